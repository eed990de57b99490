"""Expected limits at future luminosities, from Asimov data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from scanner import definition, engine
from scanner.constants import QUANTILES
from scanner.cube import variable_attributes
from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import Exposure, Place, physics_limits
from scanner.scenarios import SCENARIOS, improved, improves
from scanner.schema.statistics import Systematic
from scanner.shapes import BACKGROUNDS
from scanner.stats import expected_limits
from scanner.windows.axes import outer_axes
from scanner.windows.counting import counts
from scanner.windows.filled import uses_templates
from scanner.windows.floating import floats
from scanner.windows.grid import WindowGrid

Floats = NDArray[np.float64]
OF_THE_DATA = ("p_global", "z_global", "upcrossings")
"""How the attributes begin that are about the excess of the data, of which a projection has none."""
SIGNAL_TARGETS = ("signal", "efficiency", "luminosity")
BACKGROUND_TARGETS = ("background", "yield")


def project(cube: xr.Dataset, luminosities: Sequence[float], scenario: str = "statistical") -> xr.Dataset:
    """Project the limits of a cube to other luminosities.

    The background that was fitted in each window, scaled to the new luminosity, is the Asimov data
    set (Cowan et al., arXiv:1007.1727, section 3.2); efficiency and resolution stay as they are. A
    window whose neighbourhood holds no events is projected without background, which is optimistic.

    Parameters
    ----------
    cube : xarray.Dataset
        A limit cube with a luminosity.
    luminosities : sequence of float
        Target luminosities [fb⁻¹].
    scenario : str
        A key of `SCENARIOS`. Systematics of the background are relative to the background under the
        signal and enter as an error on the yield; those of the signal multiply it.

    Returns
    -------
    xarray.Dataset
        Expected limits on yield, cross section and coupling with a `luminosity` dimension [fb⁻¹].

    Raises
    ------
    InputError
        If the cube has no luminosity or says not all that is needed, see `alone`, the scenario is unknown,
        or a luminosity is not positive.
    """
    check(cube, luminosities, scenario)
    search = _search(cube)
    today = float(cube.attrs["luminosity"])
    found = [_at(search, cube, target, target / today, scenario) for target in luminosities]
    axis = xr.IndexVariable(
        "luminosity", list(luminosities), {"units": "fb^-1", "long_name": "integrated luminosity"}
    )
    projection = xr.concat(found, axis)
    kept = {name: value for name, value in cube.attrs.items() if not str(name).startswith(OF_THE_DATA)}
    projection.attrs = kept | {"scenario": scenario, "systematics": SCENARIOS[scenario]}
    return projection


def check(cube: xr.Dataset, luminosities: Sequence[float], scenario: str) -> None:
    """Refuse what cannot be projected.

    Raises
    ------
    InputError
        If the cube has no luminosity, the scenario is unknown, or a luminosity is not positive.
    """
    if scenario not in SCENARIOS:
        raise InputError(f"unknown scenario {scenario!r}: take one of {', '.join(SCENARIOS)}")
    if not luminosities or not all(np.isfinite(value) and value > 0.0 for value in luminosities):
        raise InputError(f"luminosities {list(luminosities)}: give positive ones, such as 1/ab,5/ab")
    if not np.isfinite(cube.attrs.get("luminosity", np.nan)):
        raise InputError("this cube has no luminosity, so there is nothing to scale: state it when ingesting")


def alone(search: Search) -> bool:
    """Tell whether a cube says all that its projection needs: spectra in one channel without known peaks."""
    background = search.background
    return not (
        len(search.channels) > 1
        or len(search.configurations) > 1
        or outer_axes(search)
        or counts(search)
        or engine.stated(search)
        or engine.unbinned(search)
        or floats(search)
        or uses_templates(search)
        or set(background.peaks) - set(background.free_peaks)
    )


def _search(cube: xr.Dataset) -> Search:
    search = definition.from_json(cube.attrs["definition"])
    if not alone(search):
        raise InputError(
            f"the limits of search {search.name!r} are projected from the likelihoods of its run, which "
            "stands beside its cube: `darkscan project CUBE`"
        )
    return search


def _at(search: Search, cube: xr.Dataset, luminosity: float, scale: float, scenario: str) -> xr.Dataset:
    axis = search.scan_axis.name
    events = _events(search, cube[axis].to_numpy(), scale, scenario)
    relative = {
        name: _relative(search, names, cube[axis].to_numpy(), scale, scenario)
        for name, names in TARGETS.items()
    }
    expected = np.concatenate(
        [
            _region(
                search,
                cube.isel({axis: cube["region"] == name}),
                grid,
                scale,
                relative["background"][cube["region"] == name],
                events[cube["region"] == name],
            )
            for name, grid in engine.grids(search).items()
        ]
    )
    expected = expected * _signal_factor(search.confidence_level, relative["signal"])
    empty = np.full(len(expected), np.nan)
    limits = physics_limits(
        search,
        Place(cube[axis].to_numpy()),
        empty,
        expected,
        cube["efficiency"].to_numpy(),
        Exposure(luminosity),
    )
    limits = {"yield_limit_expected": expected} | {name: v for name, v in limits.items() if v.ndim == 2}
    variables = {
        name: ((axis, "quantile"), v, variable_attributes(search, name)) for name, v in limits.items()
    }
    return xr.Dataset(variables, {name: cube[name] for name in (axis, "region", "quantile")})


TARGETS = {"signal": SIGNAL_TARGETS, "background": BACKGROUND_TARGETS}


def _region(
    search: Search, cube: xr.Dataset, grid: WindowGrid, scale: float, relative: Floats, events: Floats
) -> Floats:
    """Return the expected yield limits of one region, (W, 5).

    `relative` and `events` are errors of the yield, (W,): relative to the background, and in events.
    """
    everything = slice(0, len(grid))
    names = BACKGROUNDS[search.background.shape].parameters
    nonlinear = {name: cube[f"background_{name}"].to_numpy() for name in names}
    model = engine.window_model(search, grid, everything, {}, nonlinear)
    if "background_order" in cube:
        order = cube["background_order"].to_numpy().astype(np.int64)
        model = replace(model, terms=order + 1 + (model.peaks >= 0).sum(axis=1))
    coefficients = np.nan_to_num(cube["background_coefficients"].to_numpy()[:, : model.background.shape[1]])
    background = np.maximum(np.einsum("wk,wkb->wb", coefficients, model.background), 0.0)
    under = (background * model.core).sum(axis=1)
    return expected_limits(
        scale * background,
        model,
        search.confidence_level,
        systematic=np.hypot(relative * scale * under, events),
    )


def _relative(search: Search, targets: Sequence[str], mass: Floats, scale: float, scenario: str) -> Floats:
    """Add the relative systematics of some targets in quadrature, (W,)."""
    total = np.zeros(len(mass))
    if scenario == "statistical":
        return total
    for systematic in search.systematics.values():
        if systematic.on in targets and systematic.size is not None:
            total += _size(systematic, mass, scale, scenario) ** 2
    return np.sqrt(total)


def _events(search: Search, mass: Floats, scale: float, scenario: str) -> Floats:
    """Add the systematics in events in quadrature, (W,); those of a study must be known by now."""
    total = np.zeros(len(mass))
    for term in search.systematics.values() if scenario != "statistical" else ():
        if term.events is not None:
            grown = np.sqrt(scale) if improves(term, scenario) else scale
            total += (term.events(mass) * grown) ** 2
    return np.sqrt(total)


def _size(systematic: Systematic, mass: Floats, scale: float, scenario: str) -> Floats:
    size: Floats = systematic.size(mass) if systematic.size is not None else np.zeros(len(mass))
    return improved(size, scale, systematic.floor) if improves(systematic, scenario) else size


def _signal_factor(confidence_level: float, relative: Floats) -> Floats:
    """Return what a relative error δ of the signal multiplies the limits with, (W, 5).

    Profiling a normal factor of the signal gives q_A = μ²/(σ² + δ²μ²), so that a limit at
    √q_A = a grows by 1/√(1 − a²δ²); a = Φ⁻¹(1 − αΦ(N)) + N (arXiv:1007.1727, eq. 89).

    Raises
    ------
    InputError
        If δ is so large that no limit exists.
    """
    n = ndtri(np.array(QUANTILES))
    a = ndtri(1.0 - (1.0 - confidence_level) * ndtr(n)) + n
    room = 1.0 - (a * relative[:, None]) ** 2
    if np.any(room <= 0.0):
        raise InputError(f"a signal systematic of {relative.max():.0%} leaves no upper limit: check its size")
    factor: Floats = 1.0 / np.sqrt(room)
    return factor
