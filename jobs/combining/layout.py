"""The cube of a combination, laid out as that of its first search."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from jobs.scanned import Scanned
from scanner.constants import QUANTILES
from scanner.cube import excluded_couplings, variable_attributes
from scanner.definition import Search
from scanner.interpretation import COUPLING, EXPECTED, Place, bound_model, production_per_coupling, quantity
from scanner.results import VETOED
from scanner.schema.statistics import Model
from scanner.stats import Limits
from scanner.windows.axes import outer_axes

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[np.generic]]

RESULTS = ("signal_yield", "signal_yield_error", "p_local", "z_local", "yield_limit", "toys")
STRENGTH = "strength_limit"
"""Limit on what is shared, to the power of its rate."""
SEARCHES = {"units": "1", "long_name": "searches that have a window at the point"}


def windows(first: Scanned) -> int:
    """Return the number of points on the mass axes."""
    return int(np.prod([first.cube.sizes[name] for name in first.axes]))


def empty(size: int) -> Columns:
    """Return the columns of windows that no search has."""
    bands = ("yield_limit" + EXPECTED, STRENGTH + EXPECTED)
    return {
        **{name: np.full(size, np.nan) for name in (*RESULTS, STRENGTH)},
        **{name: np.full((size, len(QUANTILES)), np.nan) for name in bands},
        "status": np.full(size, VETOED, np.uint8),
        "method": np.zeros(size, np.uint8),
        "searches": np.zeros(size, np.int64),
    }


def put(columns: Columns, rows: NDArray[np.int64], limits: Limits, unit: Floats, searches: int) -> None:
    """Enter limits of some windows, with the events (N,) of a unit strength in all `searches` of them."""
    found = {name: getattr(limits, name) for name in (*RESULTS, "status", "method")}
    found |= {"yield_limit" + EXPECTED: limits.expected, "searches": np.full(len(rows), searches)}
    found |= {STRENGTH: limits.yield_limit / unit, STRENGTH + EXPECTED: limits.expected / unit[:, None]}
    for name, values in found.items():
        columns[name][rows] = values


def cube(
    first: Scanned, reference: Model | None, columns: Sequence[Columns], configuration: str | None
) -> xr.Dataset:
    """Lay out the columns of every configuration and point of the outer axes, in their order.

    Parameters
    ----------
    reference : Model, optional
        What is shared; None where that is the rate.
    configuration : str, optional
        The one that was chosen; default all of the first search.
    """
    like, search = first.cube["yield_limit"], first.run.search
    if configuration is not None and "configuration" in like.dims:
        like = like.sel(configuration=configuration)
        chosen = tuple(own for own in search.configurations if own.name == configuration)
        search = search.changed(configurations=chosen)
    if reference is not None:
        search = search.changed(model=reference, interpretations={})
    power = 1 if reference is None else bound_model(reference).power
    name = COUPLING if reference is not None else f"{quantity(search)}_limit"
    variables = {}
    for own in columns[0]:
        values = np.stack([part[own] for part in columns])
        label = own.replace(STRENGTH, name, 1)
        if label != own:
            values = np.power(values, 1.0 / power)
        variables[label] = _variable(search, label, like, values)
    known = {name: getattr(search, name) for name in ("title", "confidence_level", "sqrt_s")}
    coordinates = {**like.coords, "quantile": ("quantile", np.array(QUANTILES), {"units": "1"})}
    made = xr.Dataset(variables, coordinates, {"search": search.name, **known})
    return made if reference is None else made.assign(_intervals(search, reference, made))


def _intervals(search: Search, reference: Model, made: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the excluded intervals of a coupling that sets lifetimes too, by the first search's rates."""
    mass, each = made[search.scan_axis.name], []
    for own in search.configurations if outer_axes(search) else ():
        place = Place(mass.to_numpy(), own.parameters)
        reach = production_per_coupling(search, reference, bound_model(reference, place), place)
        each.append(xr.DataArray(reach, {mass.name: mass}, [mass.name]))
    if not each:
        return {}
    production = xr.concat(each, made["configuration"]) if "configuration" in made.dims else each[0]
    power, rates = bound_model(reference).power, {}
    for suffix in ("", EXPECTED):
        limit = made[COUPLING + suffix]
        rates[f"{quantity(search)}_limit{suffix}"] = (production * limit**power).transpose(*limit.dims)
    return excluded_couplings(search, made.assign(rates))


def _variable(search: Search, name: str, like: xr.DataArray, values: NDArray[np.generic]) -> xr.Variable:
    last = values.shape[2:]
    attributes = SEARCHES if name == "searches" else variable_attributes(search, name)
    return xr.Variable(
        (*like.dims, *(["quantile"] if last else [])), values.reshape(*like.shape, *last), attributes
    )
