"""The limit cube: the labelled Dataset that collects the results of all windows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from scanner.constants import QUANTILES
from scanner.definition import Search
from scanner.interpretation import COUPLING, EXPECTED, bound_model, reference_of
from scanner.islands import HIGH, LOW, OPEN, coupling_intervals
from scanner.quality import COMPARED, OUTLIER_MEANINGS, outliers
from scanner.results import VETOED, Results
from scanner.schema.statistics import Published
from scanner.stats import METHOD_MEANINGS, STATUS_MEANINGS
from scanner.stats.recovery import ATTEMPT_MEANINGS, RUNG_MEANINGS
from scanner.windows.axes import outer_axes
from scanner.windows.channels import views
from scanner.windows.counted import COUNTED_MEANINGS
from scanner.windows.grid import WindowGrid
from scanner.windows.plane import CountingGrid

SCHEMA_VERSION = 1

VARIABLES: dict[str, tuple[str, str]] = {
    "n_observed": ("1", "events in the window"),
    "n_background": ("1", "fitted background under the signal"),
    "n_background_error": ("1", "error of the background in the window"),
    "n_sideband": ("1", "events in the sideband of the window"),
    "signal_yield": ("1", "fitted signal yield"),
    "signal_yield_error": ("1", "error of the fitted signal yield"),
    "counted_yield": ("1", "signal yield from the events in the core, where the limit is counted"),
    "p_local": ("1", "one-sided local p-value"),
    "z_local": ("1", "local significance"),
    "yield_limit": ("1", "upper limit on the signal yield"),
    "yield_limit_expected": ("1", "expected upper limit on the signal yield"),
    "yield_limit_error": ("1", "standard error of the observed limit from toys or sampling"),
    "yield_lower": ("1", "lower end of the interval on the signal yield"),
    "toys": ("1", "pseudo-experiments thrown"),
    "toys_failed": ("1", "pseudo-experiments whose fits failed"),
    "cross_section_limit": ("fb", "upper limit on the cross section times branching fraction"),
    "cross_section_limit_expected": (
        "fb",
        "expected upper limit on the cross section times branching fraction",
    ),
    "branching_fraction_limit": ("1", "upper limit on the branching fraction"),
    "branching_fraction_limit_expected": ("1", "expected upper limit on the branching fraction"),
    "efficiency": ("1", "signal efficiency"),
    "efficiency_error": ("1", "error of the signal efficiency from the size of the simulation"),
    "channel_efficiency": ("1", "efficiency times branching fraction of a channel"),
    "channel_observed": ("1", "events in the window of a channel"),
    "channel_background": ("1", "estimated background in the window of a channel"),
    "channel_yield_limit": ("1", "upper limit of a channel by itself on the signal yield of all"),
    "resolution": ("GeV", "mass resolution"),
    "background_coefficients": ("1", "coefficients of the background's terms in the background-only fit"),
    "background_order": ("1", "order of the background, the number of its terms minus one"),
    "peak_yield": ("1", "fitted events of a known peak in the background-only fit"),
    "background_slope": ("1", "slope of the exponential background over half a window"),
    "background_exponent": ("1", "power with which the background falls"),
    "background_curvature": ("1", "ARGUS curvature of the background"),
    "background_power": ("1", "power with which the background rises from its threshold"),
    "fitted_mass": ("GeV", "fitted position of the signal"),
    "fitted_resolution": ("GeV", "fitted resolution of the signal"),
    "fitted_width": ("GeV", "fitted natural width of the signal"),
    "fit_quality": ("1", "p-value of the saturated-model goodness of fit"),
    "fit_quality_toys": ("1", "toys of the goodness of fit, none where it is asymptotic"),
    "status": ("1", "status of the fit"),
    "method": ("1", "statistical method of the limit"),
    "fit_attempts": ("1", "minimisers that were tried"),
    "fit_rung": ("1", "minimiser that gave the fit"),
    "outliers": ("1", "what differs from neighbouring windows"),
}
"""Unit and long name of every variable; those of couplings come from their models."""

LAST_DIMENSION = {"yield_limit_expected": "quantile", "background_coefficients": "coefficient"}
LAST_DIMENSION |= {"peak_yield": "peak", "resolution": "observable"}
LAST_DIMENSION |= {
    "cross_section_limit_expected": "quantile",
    "branching_fraction_limit_expected": "quantile",
}
FLAGS = {
    "status": STATUS_MEANINGS | {VETOED: "vetoed"} | COUNTED_MEANINGS,
    "method": METHOD_MEANINGS,
    "fit_rung": RUNG_MEANINGS,
}
"""Variables of which each value has a meaning."""
MASKS = {"fit_attempts": ATTEMPT_MEANINGS, "outliers": OUTLIER_MEANINGS}
"""Variables of which each bit has one."""


def assemble(
    search: Search,
    grids: Mapping[str, WindowGrid] | Mapping[str, CountingGrid],
    blocks: Mapping[tuple[int, int], Mapping[str, Sequence[Results]]],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Put the blocks of all windows together.

    Parameters
    ----------
    grids : mapping
        Windows of each region, in the order of the mass axis.
    blocks : mapping
        Results by configuration and point of the outer axes, and by region, each a sequence in the order of
        windows.
    attributes : mapping
        Attributes beside those that the search gives.

    Returns
    -------
    xarray.Dataset
        Dimensions: `configuration` where the search has several, outer axes and the mass axes under their
        names, `quantile` and `coefficient`.
    """
    axis = search.scan_axis.name
    fitted = {name: grid for name, grid in grids.items() if isinstance(grid, WindowGrid)}
    counted = {name: grid for name, grid in grids.items() if isinstance(grid, CountingGrid)}
    found = {
        place: _counted(search, counted, regions)
        if counted
        else _configuration(search, axis, fitted, regions)
        for place, regions in sorted(blocks.items())
    }
    cubes = [
        _outer(search, [cube for (own, _), cube in found.items() if own == number])
        for number in range(len(search.configurations))
    ]
    names = [configuration.name for configuration in search.configurations]
    cube = cubes[0] if len(names) == 1 else _stack(cubes, xr.IndexVariable("configuration", names))
    for name in {key for c in search.configurations for key in c.parameters} if len(names) > 1 else ():
        cube = cube.assign_coords(
            {name: ("configuration", [c.parameters[name] for c in search.configurations])}
        )
    cube = cube.assign(excluded_couplings(search, cube))
    cube.attrs = cube_attributes(search) | dict(attributes)
    return cube


def excluded_couplings(search: Search, cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the ends of the excluded intervals of a coupling that sets the lifetime, with attributes."""
    found = coupling_intervals(search, cube)
    for name, values in found.items():
        end, side = (LOW, "lower") if name.startswith(LOW) else (HIGH, "upper")
        kind = "expected to be excluded" if EXPECTED in name else "excluded"
        coupling = _coupling_attributes(search, name.replace(end, COUPLING, 1).replace(OPEN, "", 1))
        if OPEN in name:
            meaning = f"1 where the scan cuts off the {side} end of the couplings {kind}"
            values.attrs = coupling | {"units": "1", "long_name": meaning}
            continue
        values.attrs = coupling | {"long_name": f"{side} end of the couplings {coupling['symbol']} {kind}"}
    return found


def _outer(search: Search, cubes: Sequence[xr.Dataset]) -> xr.Dataset:
    """Stack the cubes of the points of the outer axes, the last fastest, along dimensions of their own."""
    for axis in reversed(outer_axes(search)):
        attributes = {"units": axis.unit, "long_name": axis.title or axis.name}
        dimension = xr.IndexVariable(axis.name, list(axis.values or ()), attributes)
        size = len(dimension)
        cubes = [_stack(cubes[first : first + size], dimension) for first in range(0, len(cubes), size)]
    (cube,) = cubes
    return cube


def _stack(cubes: Sequence[xr.Dataset], dimension: xr.IndexVariable) -> xr.Dataset:
    stacked: xr.Dataset = xr.concat(cubes, dimension)
    return stacked


def _configuration(
    search: Search, axis: str, grids: Mapping[str, WindowGrid], regions: Mapping[str, Sequence[Results]]
) -> xr.Dataset:
    parts = [part for region in grids for part in regions[region]]
    mass = np.concatenate([grid.mass for grid in grids.values()])
    region = np.concatenate([np.full(len(grid), name) for name, grid in grids.items()])
    variables = {name: _variable(search, name, axis, [part[name] for part in parts]) for name in parts[0]}
    coordinates = {
        axis: xr.Variable(axis, mass, {"units": "GeV", "long_name": search.scan_axis.title or "mass"}),
        "region": xr.Variable(axis, region),
        "quantile": xr.Variable("quantile", np.array(QUANTILES), {"units": "1"}),
    }
    if "peak_yield" in variables:
        coordinates["peak"] = xr.Variable("peak", np.array(free_peaks(search)))
    if len(search.channels) > 1:
        coordinates["channel"] = xr.Variable("channel", np.array(list(search.channels)))
    flags = [outliers(_columns(regions[name]), grid.mass, grid.resolution) for name, grid in grids.items()]
    variables["outliers"] = xr.Variable(axis, np.concatenate(flags), variable_attributes(search, "outliers"))
    return xr.Dataset(variables, coordinates)


def _counted(
    search: Search, grids: Mapping[str, CountingGrid], regions: Mapping[str, Sequence[Results]]
) -> xr.Dataset:
    """Put the counting windows of one configuration together: regions along the only axis, or a plane."""
    axes = {name: np.concatenate([grid.axes[name] for grid in grids.values()]) for name in _first(grids).axes}
    shape = tuple(len(values) for values in axes.values())
    parts = [part for region in grids for part in regions[region]]
    variables = {}
    for name in parts[0]:
        whole = np.concatenate([part[name] for part in parts])
        last = (_last_dimension(name),) if whole.ndim == 2 else ()
        values = whole.reshape(*shape, *whole.shape[1:])
        variables[name] = xr.Variable((*axes, *last), values, variable_attributes(search, name))
    variables["n_background"].attrs["long_name"] = "estimated background in the window"
    coordinates = {
        name: xr.Variable(name, values, {"units": search.scan[name].unit, "long_name": _title(search, name)})
        for name, values in axes.items()
    }
    region = np.concatenate([np.full(len(grid), name) for name, grid in grids.items()])
    coordinates["region"] = xr.Variable(tuple(axes), region.reshape(shape))
    coordinates["quantile"] = xr.Variable("quantile", np.array(QUANTILES), {"units": "1"})
    coordinates["observable"] = xr.Variable("observable", np.array(_first(grids).observables))
    if len(search.channels) > 1:
        coordinates["channel"] = xr.Variable("channel", np.array(list(search.channels)))
    return xr.Dataset(variables, coordinates)


def _first(grids: Mapping[str, CountingGrid]) -> CountingGrid:
    return next(iter(grids.values()))


def _title(search: Search, axis: str) -> str:
    return search.scan[axis].title or "mass"


def _columns(parts: Sequence[Results]) -> Results:
    return {name: np.concatenate([part[name] for part in parts]) for name in COMPARED}


def free_peaks(search: Search) -> tuple[str, ...]:
    """Return the names of the known peaks of free yield, after that of one of several channels."""
    prefix = len(search.channels) > 1
    return tuple(
        f"{channel}_{name}" if prefix else name
        for channel, single in views(search).items()
        for name in single.background.free_peaks
    )


def _variable(search: Search, name: str, axis: str, pieces: Sequence[np.ndarray[Any, Any]]) -> xr.Variable:
    width = max((piece.shape[1] for piece in pieces if piece.ndim == 2), default=0)
    padded = [_pad(piece, width) if piece.ndim == 2 else piece for piece in pieces]
    dimensions = (axis, _last_dimension(name)) if width else (axis,)
    return xr.Variable(dimensions, np.concatenate(padded), variable_attributes(search, name))


def _last_dimension(name: str) -> str:
    return "quantile" if name.startswith(COUPLING) else LAST_DIMENSION.get(name, "channel")


def _pad(piece: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Fill the columns that other windows have and these do not, with NaN."""
    missing = width - piece.shape[1]
    return np.pad(piece, ((0, 0), (0, missing)), constant_values=np.nan) if missing else piece


def variable_attributes(search: Search, name: str) -> dict[str, Any]:
    """Return unit, long name and flags of a variable."""
    attributes = _coupling_attributes(search, name) if name.startswith(COUPLING) else _named(name)
    for kind, table in (("flag_values", FLAGS), ("flag_masks", MASKS)):
        if name in table:
            attributes[kind] = list(table[name])
            attributes["flag_meanings"] = " ".join(table[name].values())
    return attributes


def _named(name: str) -> dict[str, Any]:
    unit, long_name = VARIABLES[name]
    return {"units": unit, "long_name": long_name}


def _coupling_attributes(search: Search, name: str) -> dict[str, Any]:
    """Return unit and symbol of the coupling, and the model that a limit belongs to."""
    reference = reference_of(search, name)
    model = bound_model(reference)
    kind = "expected upper limit" if name.startswith(f"{COUPLING}_expected") else "upper limit"
    return {
        "units": model.unit,
        "long_name": f"{kind} on the coupling {model.coupling}",
        "symbol": model.coupling,
        "model": reference.title or model.title,
    }


def cube_attributes(search: Search) -> dict[str, Any]:
    """Return the attributes that the search definition gives."""
    published = search.published
    curves = [] if published is None else _curves(published)
    drawn = {"published": json.dumps(curves[0] if len(curves) == 1 else curves)} if curves else {}
    return drawn | {
        "schema_version": SCHEMA_VERSION,
        "search": search.name,
        "title": search.title,
        "experiment": search.reference.experiment,
        "confidence_level": search.confidence_level,
        "sqrt_s": search.sqrt_s,
        "definition": search.canonical,
        "definition_digest": search.digest,
    }


def _curves(published: Published) -> list[dict[str, Any]]:
    """Describe published limits for the plots, each at a place along the axes beside the mass."""
    return [
        {
            "quantity": published.quantity,
            "label": ", ".join([published.label, *(f"{name} = {value:g}" for name, value in place.items())]),
            "mass": list(published.mass),
            "value": list(published.curve(place)),
        }
        | ({"at": place} if place else {})
        for place in published.places
    ]
