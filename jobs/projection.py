"""Expected limits at future luminosities from the likelihoods of a scan, whatever its kind of search.

Fitted windows are projected by Asimov data (Cowan et al., arXiv:1007.1727, section 3.2): the fit without
signal, with as many times the events as the luminosity grows. Counted windows have as many times the events
in their sidebands and simulations, and published counts as many times what they expect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from jobs.likelihoods import Spot, block_problem, coordinates
from jobs.progress import progress
from jobs.scanned import Scanned, opened
from jobs.scanning import fits
from scanner import engine
from scanner.cube import excluded_couplings, variable_attributes
from scanner.definition import Search
from scanner.interpretation import COUPLING, EXPECTED, Exposure, Place, physics_limits
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.constrained import asimov, fit_constrained
from scanner.limits import method_settings
from scanner.projection import OF_THE_DATA, check
from scanner.results import VETOED
from scanner.scenarios import SCENARIOS, at_luminosity, at_scenario, without_systematics
from scanner.stats import Settings
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.auto import thresholds
from scanner.stats.counted import counted_limits
from scanner.stats.counting import known_events, with_counting
from scanner.stats.joint_counts import joint_limits
from scanner.stats.several import Experiment, several_limits
from scanner.studies.injected import at_point
from scanner.windows.backgrounds import Simulated
from scanner.windows.counted import containment, experiments
from scanner.windows.joint_counted import joint_experiments

Floats = NDArray[np.float64]

EXACT = ("auto", "counting", "bayesian")
"""Methods of counts that are projected as they are; others by `auto`."""


def project(cube: str, luminosities: Sequence[float], scenario: str = "statistical") -> xr.Dataset:
    """Project the limits of a cube to other luminosities by the likelihoods of the run beside it.

    Limits are asymptotic, and counted where few events are expected, whatever the method of the cube was.
    Efficiency and resolution stay as they are. Unbinned searches are projected in the bins of their windows.

    Parameters
    ----------
    cube : str
        A limit cube of a luminosity, with its run.
    luminosities : sequence of float
        Target luminosities [fb⁻¹].
    scenario : str
        A key of `scanner.scenarios.SCENARIOS`.

    Returns
    -------
    xarray.Dataset
        Expected limits with a `luminosity` dimension [fb⁻¹], and the excluded intervals of a coupling that
        sets the lifetime.

    Raises
    ------
    InputError
        If the cube has no luminosity or no run, the scenario is unknown, or a luminosity is not positive.
    """
    scanned = opened(cube, "a projection")
    check(scanned.cube, luminosities, scenario)
    size = scanned.cube["yield_limit"].size
    with progress("project", len(luminosities) * size, "windows") as advance:
        columns = []
        for luminosity in luminosities:
            for spot in scanned.spots:
                columns.append(_limits(scanned, spot, luminosity, scenario))
                advance(size / len(list(scanned.spots)))
    return _cube(scanned, luminosities, scenario, columns)


def _limits(scanned: Scanned, spot: Spot, luminosity: float, scenario: str) -> Mapping[str, Floats]:
    """Return the expected limits (W, 5) of the windows of a spot."""
    run, today = scanned.run, scanned.at(spot)
    scale = luminosity / float(scanned.cube.attrs["luminosity"])
    parts = [_region(scanned, spot, region, scale, scenario) for region in run.counting or run.grids]
    left_out = today["status"].to_numpy().ravel() >= VETOED
    expected = np.where(left_out[:, None], np.nan, np.concatenate(parts))
    axes = [coordinates(run, region) for region in run.counting or run.grids]
    places = {name: np.concatenate([each[name] for each in axes]) for name in axes[0]}
    place = Place(places[scanned.axes[0]], {**scanned.values(spot), **places})
    efficiency, nothing = today["efficiency"].to_numpy().ravel(), np.full(len(expected), np.nan)
    found = physics_limits(run.search, place, nothing, expected, efficiency, Exposure(luminosity))
    limits = {"yield_limit" + EXPECTED: expected}
    return limits | {name: v for name, v in found.items() if EXPECTED in name}


def _region(scanned: Scanned, spot: Spot, region: str, scale: float, scenario: str) -> Floats:
    """Return the expected limits on the yield in the windows of a region, (W, 5)."""
    run = scanned.run
    settings = method_settings(run.search, "auto")
    size = len(next(iter(coordinates(run, region).values())))
    if run.counting:
        return _counted(scanned, spot, region, slice(0, size), (scale, scenario))
    problem, _ = block_problem(
        run, spot, region, slice(0, size), lambda now: at_scenario(now, scale, scenario, counts_scaled=False)
    )
    problem = without_systematics(problem) if scenario == "statistical" else problem
    shrink = 1.0 / np.sqrt(scale) if scenario == "improving" else 1.0
    if engine.stated(run.search):
        problem = at_luminosity(replace(problem, counts=known_events(problem)), scale, shrink)
        return several_limits([Experiment(problem, counts=True)], settings).expected
    return expected_limits(problem, scale, settings, shrink)


def expected_limits(problem: BinnedProblem, scale: float, settings: Settings, shrink: float = 1.0) -> Floats:
    """Return the limits (W, 5) expected of windows at `scale` times the luminosity of their data.

    Parameters
    ----------
    shrink : float
        What the relative error of templates from the size of their samples is multiplied with.
    """
    null = fit_constrained(problem, np.zeros(problem.windows))
    later = at_luminosity(asimov(problem, null), scale, shrink)
    limits = asymptotic_limits_above(later, settings, thresholds(later))
    return with_counting(at_luminosity(problem, scale, shrink), settings, limits).expected


def _counted(scanned: Scanned, spot: Spot, region: str, windows: slice, later: tuple[float, str]) -> Floats:
    """Return the expected limits of counting windows, (W, 5), with as many times the events beside them."""
    run, (scale, scenario) = scanned.run, later
    rows, simulated = fits.region_rows(run, region, spot.configuration, windows)
    grown: list[Any] = [scale * each for each in rows]
    samples = [tuple(_grown(one, scale) for one in each) for each in simulated]
    search = at_scenario(run.at(spot.configuration, spot.index), scale, scenario, counts_scaled=True)
    here, grid = at_point(search, spot.configuration, spot.point), run.counting[region]
    parameters = here.configurations[0].parameters
    method = run.plan.method if run.plan.method in EXACT else "auto"
    settings = method_settings(run.search, method)
    if len(grown) > 1:
        counts, _ = joint_experiments(here, grid, grown, samples, windows, parameters)
        whole = [replace(one, observed=_whole(one.observed)) for one in counts.channels]
        return joint_limits(replace(counts, channels=whole), settings, method).expected
    counted, _ = experiments(here, grid, grown[0], windows, samples[0], parameters)
    found = counted_limits(replace(counted, observed=_whole(counted.observed)), settings, method)
    return found.expected / containment(here, grid, windows, parameters)[:, None]


def _grown(sample: Simulated, scale: float) -> Simulated:
    rows: Any = scale * sample.counts
    return replace(sample, counts=rows)


def _whole(events: NDArray[Any]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(events).astype(np.int64)
    return whole


def _cube(
    scanned: Scanned, luminosities: Sequence[float], scenario: str, columns: Sequence[Mapping[str, Floats]]
) -> xr.Dataset:
    """Lay out the columns of every luminosity and spot as the cube is."""
    like, search = scanned.cube["yield_limit"], scanned.run.search
    axis = xr.IndexVariable(
        "luminosity", list(luminosities), {"units": "fb^-1", "long_name": "integrated luminosity"}
    )
    shape, dims = (len(luminosities), *like.shape, -1), ("luminosity", *like.dims, "quantile")
    values = {name: np.stack([part[name] for part in columns]).reshape(shape) for name in columns[0]}
    variables = {name: (dims, found, variable_attributes(search, name)) for name, found in values.items()}
    coordinates = {**like.coords, "quantile": scanned.cube["quantile"], "luminosity": axis}
    made = xr.Dataset(variables, coordinates)
    made = made.assign(_intervals(search, made))
    kept = {name: v for name, v in scanned.cube.attrs.items() if not str(name).startswith(OF_THE_DATA)}
    made.attrs = kept | {"scenario": scenario, "systematics": SCENARIOS[scenario]}
    return made


def _intervals(search: Search, made: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the couplings that are expected to be excluded, where the coupling sets the lifetime."""
    rates = [name for name in made if EXPECTED in str(name) and COUPLING not in str(name)]
    nothing = {
        str(name).replace(EXPECTED, ""): xr.full_like(made[name].isel(quantile=0, drop=True), np.nan)
        for name in rates
    }
    found = excluded_couplings(search, made.assign(nothing))
    return {name: values for name, values in found.items() if EXPECTED in name}
