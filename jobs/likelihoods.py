"""The likelihood of every window of a finished scan: fitted, counted, or of published counts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.places import run_place
from jobs.scanning import fits
from jobs.scanning.run import PLAN, Run, open_run
from scanner import engine
from scanner.definition import Search
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.limits import window_problem
from scanner.studies.injected import at_point
from scanner.windows.axes import Point, outer_axes, outer_points, window_axes
from scanner.windows.joint_counted import counting_problem
from scanner.windows.stated import stated_problem
from storage.locations import Location

Coordinates = Mapping[str, NDArray[np.float64]]
Flags = NDArray[np.bool_]


def open_cube_run(cube: str) -> Run:
    """Open the run of a cube, whose histograms hold the windows' counts.

    Raises
    ------
    InputError
        If plan and parts no longer stand beside the cube.
    """
    place = run_place(cube)
    if not Location(place).exists(PLAN):
        raise InputError(f"the likelihoods of {cube} are made from {place}, which is not there: scan again")
    return open_run(place)


@dataclass(frozen=True)
class Spot:
    """One configuration of a run, at one point of the outer axes."""

    configuration: int
    index: int
    point: Point


def block_problem(
    run: Run, spot: Spot, region: str, windows: slice, change: Callable[[Search], Search] = lambda same: same
) -> tuple[BinnedProblem, Flags]:
    """Return the likelihoods of a block of W windows, of a signal of one event, in all channels together.

    An unbinned search has those of its candidates in the bins of its windows.

    Parameters
    ----------
    change : callable
        Makes another search of that of the run, such as one of other systematics.

    Returns
    -------
    problem : BinnedProblem
    known : (W,) bool
        Where there is a likelihood: counting windows may have no background, or be left out.
    """
    search = change(run.at(spot.configuration, spot.index))
    here = at_point(search, spot.configuration, spot.point)
    if run.counting:
        rows = fits.region_rows(run, region, spot.configuration, windows)
        return counting_problem(here, run.counting[region], *rows, windows)
    if engine.stated(run.search):
        (chosen,) = here.configurations
        names, known = ("", chosen.name), chosen.parameters
        laid = run.grids[region]
        problem, _ = stated_problem(here, laid, windows, parameters=known, names=names, include="everything")
    else:
        grid = run.grid(region, spot.configuration)
        counts = fits.region_counts(run, region, spot.configuration, windows)
        problem, _ = window_problem(here, grid, counts, windows, configuration=0, include="everything")
    return problem, np.ones(problem.windows, dtype=np.bool_)


@dataclass(frozen=True)
class WindowAt:
    """One window of a run, in one configuration and at one point of the outer axes."""

    region: str
    spot: Spot
    window: int

    def problem(self, run: Run) -> BinnedProblem | None:
        """Return its likelihood, a problem of one window; None where a counting window has none."""
        problem, known = block_problem(run, self.spot, self.region, slice(self.window, self.window + 1))
        return problem if known[0] else None

    def label(self, run: Run) -> str:
        """Return what names it: configuration, region, masses, and the values of the outer axes."""
        places = [f"{values[self.window]:.6g}" for values in coordinates(run, self.region).values()]
        outer = [f"{name}={value:.6g}" for name, value in self.spot.point.items()]
        name = run.search.configurations[self.spot.configuration].name
        return "-".join([name, self.region, *places, *outer])


def coordinates(run: Run, region: str) -> Coordinates:
    """Return the values (W,) of the axes of the windows of a region."""
    if run.counting:
        return run.counting[region].points()
    return {run.search.scan_axis.name: run.grids[region].mass}


def windows_at(run: Run, at: Mapping[str, float], configuration: str | None = None) -> Iterator[WindowAt]:
    """Go through the windows of a run, or those nearest to a point.

    Parameters
    ----------
    at : mapping
        Values of some axes in their units; of the others, every one is taken.
    configuration : str, optional
        Name of a model configuration; default all.

    Raises
    ------
    InputError
        For an unknown configuration or axis, naming those there are.
    """
    axes = [axis.name for axis in (*window_axes(run.search), *outer_axes(run.search))]
    if unknown := [name for name in at if name not in axes]:
        raise InputError(
            f"no axis {', '.join(map(repr, unknown))} of windows: take some of {', '.join(axes)}"
        )
    names = [c.name for c in run.search.configurations]
    if configuration is not None and configuration not in names:
        raise InputError(f"no configuration {configuration!r}: take one of {', '.join(names)}")
    points = outer_points(run.search)
    outer = {name: np.array([point[name] for point in points]) for name in points[0]}
    near = _nearest(outer, at, len(points))
    for region, chosen in _regions(run, at).items():
        for number, name in enumerate(names):
            if configuration in (None, name):
                for index in near:
                    for window in chosen:
                        yield WindowAt(region, Spot(number, int(index), points[index]), int(window))


def _regions(run: Run, at: Mapping[str, float]) -> dict[str, NDArray[np.int64]]:
    """Return the windows of each region that are nearest to a point; other regions may have none."""
    every = {region: coordinates(run, region) for region in run.counting or run.grids}
    joined = {
        name: np.concatenate([places[name] for places in every.values()])
        for name in next(iter(every.values()))
    }
    sizes = [len(next(iter(places.values()))) for places in every.values()]
    near = _nearest(joined, at, sum(sizes))
    ends = np.cumsum(sizes)
    return {
        region: near[(near >= end - size) & (near < end)] - (end - size)
        for region, size, end in zip(every, sizes, ends, strict=True)
    }


def _nearest(axes: Coordinates, at: Mapping[str, float], size: int) -> NDArray[np.int64]:
    """Return the places (N,) of the one value on every axis that `at` names that is the nearest."""
    kept = np.ones(size, dtype=np.bool_)
    for name, values in axes.items():
        if name in at:
            distance = np.where(kept, np.abs(values - at[name]), np.inf)
            kept &= values == values[np.argmin(distance)]
    return np.flatnonzero(kept)
