"""Several searches for one coupling in one cube: windows of one mass are fitted with a shared strength."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from jobs.likelihoods import open_cube_run
from jobs.progress import progress
from jobs.scanning import fits
from jobs.scanning.run import Run
from scanner import runnable
from scanner.constants import QUANTILES
from scanner.cube import variable_attributes
from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import Exposure, Place, bound_model, events_per_rate, production_per_coupling
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.combination import combine
from scanner.likelihoods.strength import named_apart, scaled
from scanner.limits import method_settings, window_problem
from scanner.results import VETOED
from scanner.stats import METHODS, Limits
from scanner.windows.joint import parts, total_rate
from scanner.windows.vetoes import vetoed
from storage import cubes as cube_store

Floats = NDArray[np.float64]

NEAR = 0.5
"""Resolutions by which windows of one mass may differ."""
COMBINED_METHODS = ("auto", "asymptotic", "toys")


@dataclass(frozen=True)
class Member:
    """One search of a combination.

    Attributes
    ----------
    name : str
    mass, resolution : (W,) float
        Of its windows, in rising order [GeV].
    problems : BinnedProblem
        Their likelihoods, of a signal of one event.
    events : (W,) float
        Signal events at unit coupling; 0 in windows that it leaves out.
    """

    name: str
    mass: Floats
    resolution: Floats
    problems: BinnedProblem
    events: Floats

    def nearest(self, mass: Floats) -> NDArray[np.int64]:
        """Return the window nearest to each mass, (N,); −1 where none is near."""
        right = np.clip(np.searchsorted(self.mass, mass), 1, max(1, len(self.mass) - 1))
        left = right - 1
        right = np.minimum(right, len(self.mass) - 1)
        closer = np.abs(self.mass[left] - mass) <= np.abs(self.mass[right] - mass)
        found = np.where(closer, left, right)
        near = np.abs(self.mass[found] - mass) <= NEAR * self.resolution[found]
        return np.where(near & (self.events[found] > 0.0), found, -1)


def member(name: str, run: Run) -> Member:
    """Return a scanned search with the likelihoods of its windows.

    Raises
    ------
    InputError
        If the search has no coupling, or no windows that are fitted in bins.
    """
    search = run.search
    runnable.refuse_special(search, "a combination")
    if search.model is None:
        raise InputError(f"search {search.name!r} names no model: there is no coupling to combine")
    if len(search.configurations) > 1:
        raise InputError(f"search {search.name!r} has several configurations: combine one at a time")
    masses, sigmas, problems, events = [], [], [], []
    for region, grid in run.grids.items():
        whole = slice(0, len(grid))
        counts = fits.region_counts(run, region, 0, whole)
        problem, _ = window_problem(search, grid, counts, whole, configuration=0, include="everything")
        place = Place(grid.mass, search.configurations[0].parameters)
        rate = total_rate(parts(search, grid, whole, search.configurations[0].parameters))
        per_rate = events_per_rate(search, place, rate, Exposure(run.plan.luminosity))
        if per_rate is None:
            raise InputError(f"the luminosity of {name} is unknown: state it when ingesting")
        model = bound_model(search.model, place)
        reach = per_rate * production_per_coupling(search, search.model, model, place)
        masses.append(grid.mass)
        sigmas.append(grid.resolution)
        problems.append(problem)
        events.append(np.where(vetoed(search, grid.mass), 0.0, reach))
    if len(problems) > 1:
        raise InputError(f"search {search.name!r} has {len(problems)} regions: combine those of one")
    return Member(name, masses[0], sigmas[0], problems[0], events[0])


def combination(
    cubes: Sequence[str], output: str, *, method: str = "auto", shared: Sequence[str] = ()
) -> xr.Dataset:
    """Combine the scans of several searches for one coupling, at the masses of the first.

    Parameters
    ----------
    cubes : sequence of str
        Limit cubes with their runs beside them.
    output : str
        The cube to write.
    method : str
        One of COMBINED_METHODS.
    shared : sequence of str
        Nuisances that are one for all searches that name them, such as a cross section; others are each
        search's own.

    Returns
    -------
    xarray.Dataset
        Limits on the coupling; `searches` counts those that have a window at a mass, and the signal yield is
        in events of the first one that has.

    Raises
    ------
    InputError
        If the searches have not one coupling.
    """
    if method not in COMBINED_METHODS:
        raise InputError(f"no combination by {method}: take one of {', '.join(COMBINED_METHODS)}")
    if len(cubes) < 2:
        raise InputError("a combination takes two cubes or more")
    runs = [open_cube_run(cube) for cube in cubes]
    _check_models(runs)
    names = [f"{run.search.name}_{number}" for number, run in enumerate(runs)]
    members = [member(name, run) for name, run in zip(names, runs, strict=True)]
    made = _cube(runs, members, _limits(runs[0], members, method, shared))
    made.attrs |= {"statistical_method": method, "combined": ", ".join(cubes), "shared": ", ".join(shared)}
    cube_store.write(made, output, overwrite=True)
    return cube_store.open(output)


def _check_models(runs: Sequence[Run]) -> None:
    first = runs[0].search
    for run in runs[1:]:
        mine, other = first.model, run.search.model
        if mine is None or other is None or (mine.name, mine.parameters) != (other.name, other.parameters):
            raise InputError(
                f"searches {first.name!r} and {run.search.name!r} have not the same model: nothing to combine"
            )
        if run.search.confidence_level != first.confidence_level:
            raise InputError(
                f"{first.name!r} is at {first.confidence_level:.0%} CL and {run.search.name!r} at "
                f"{run.search.confidence_level:.0%}: state one in the definitions"
            )


@dataclass(frozen=True)
class Combined:
    """Limits of groups of windows, each with the searches that it is made from."""

    rows: NDArray[np.int64]
    searches: int
    limits: Limits
    unit: Floats
    """Events of the first search of the group at unit coupling, (N,)."""


def _limits(run: Run, members: Sequence[Member], method: str, shared: Sequence[str]) -> list[Combined]:
    """Fit the windows of every set of searches that has them, those of one set together."""
    chosen = np.stack([one.nearest(members[0].mass) for one in members], axis=1)
    settings, found = method_settings(run.search, method), []
    patterns, group = np.unique(_patterns(members, chosen), axis=0, return_inverse=True)
    with progress("combine", len(chosen), "windows") as advance:
        for number, pattern in enumerate(patterns):
            rows = np.flatnonzero(group.ravel() == number)
            used = np.flatnonzero(pattern >= 0)
            if used.size:
                unit = members[used[0]].events[chosen[rows, used[0]]]
                problem = combine([_share(members[m], chosen[rows, m], unit, shared) for m in used.tolist()])
                found.append(Combined(rows, used.size, METHODS[method](problem, settings), unit))
            advance(rows.size)
    return found


def _patterns(members: Sequence[Member], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the background terms of every search in each window, −1 where it has none: one fit a pattern."""
    terms = [
        np.where(chosen[:, m] >= 0, one.problems.terms[chosen[:, m]], -1) for m, one in enumerate(members)
    ]
    return np.stack(terms, axis=1)


def _share(one: Member, windows: NDArray[np.int64], unit: Floats, shared: Sequence[str]) -> BinnedProblem:
    problem = named_apart(one.problems.select(windows), one.name, shared)
    return scaled(problem, one.events[windows] / unit)


RESULTS = ("signal_yield", "signal_yield_error", "p_local", "z_local", "yield_limit", "status", "method")
"""What a combined cube takes over from the limits as it is."""


def _cube(runs: Sequence[Run], members: Sequence[Member], found: Sequence[Combined]) -> xr.Dataset:
    search, mass = runs[0].search, members[0].mass
    axis, size = search.scan_axis.name, len(mass)
    columns = _empty(size)
    for group in found:
        for name, values in _values(search, group).items():
            columns[name][group.rows] = values
    attributes = {"units": "1", "long_name": "searches that have a window at the mass"}
    variables = {
        name: (
            (axis, "quantile") if values.ndim == 2 else (axis,),
            values,
            attributes if name == "searches" else variable_attributes(search, name),
        )
        for name, values in columns.items()
    }
    coordinates = {
        axis: (axis, mass, {"units": "GeV", "long_name": search.scan_axis.title or "mass"}),
        "region": (axis, np.full(size, "all")),
        "quantile": ("quantile", np.array(QUANTILES), {"units": "1"}),
    }
    known = {name: getattr(search, name) for name in ("title", "confidence_level", "sqrt_s")}
    return xr.Dataset(variables, coordinates, {"search": search.name, **known})


def _empty(size: int) -> dict[str, NDArray[np.generic]]:
    """Return the columns of a cube of masses that no search has a window at."""
    numbers = [*RESULTS[:-2], "coupling_limit"]
    bands = ["yield_limit_expected", "coupling_limit_expected"]
    return {
        **{name: np.full(size, np.nan) for name in numbers},
        **{name: np.full((size, len(QUANTILES)), np.nan) for name in bands},
        "status": np.full(size, VETOED, np.uint8),
        "method": np.zeros(size, np.uint8),
        "searches": np.zeros(size, np.int64),
    }


def _values(search: Search, group: Combined) -> dict[str, Any]:
    """Return the columns of a group's masses."""
    limits = group.limits
    power = 1.0 / (bound_model(search.model).power if search.model is not None else 1)
    return {name: getattr(limits, name) for name in RESULTS} | {
        "yield_limit_expected": limits.expected,
        "coupling_limit": (limits.yield_limit / group.unit) ** power,
        "coupling_limit_expected": (limits.expected / group.unit[:, None]) ** power,
        "searches": group.searches,
    }
