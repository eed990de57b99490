"""Where signals are injected into a search: a few points of its grid, and the search of these alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner import definition, engine
from scanner.definition import Search
from scanner.schema.axes import ScanAxis
from scanner.windows.axes import Point, outer_points
from scanner.windows.channels import rate, views
from scanner.windows.counting import counts
from scanner.windows.joint import rates, total_rate
from scanner.windows.vetoes import vetoed

Floats = NDArray[np.float64]

ENDS = 0.1
"""Part of the searched windows before the first, and after the last, that gets a signal."""
DIMMEST = 0.2
"""Efficiency, relative to the median of the searched windows, that a window needs to get a signal."""


@dataclass(frozen=True)
class Spot:
    """A point of the scan's axes, all by name, in a configuration."""

    configuration: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """Where a spot is in a search: its region, and the numbers of configuration, outer point and window."""

    region: str
    configuration: int
    index: int
    window: int
    point: Point


def choose(search: Search, number: int) -> tuple[Spot, ...]:
    """Return points of a search for signals: spread over its windows, and over its configurations.

    Along a lifetime or a coupling it is where the efficiency is highest. Windows that are left out, or
    that see little of a signal, get none.
    """
    configurations = search.configurations
    found = []
    for place in range(number):
        along = 0.5 if number == 1 else place / (number - 1)
        chosen = configurations[int(along * (len(configurations) - 1))]
        points = list(_points(search, chosen.parameters))
        share = ENDS + (1.0 - 2.0 * ENDS) * along
        spot = Spot(chosen.name, points[min(int(share * len(points)), len(points) - 1)])
        found += [spot] if spot not in found else []
    return tuple(found)


def _points(search: Search, parameters: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Iterate over the windows that see a signal, each at the outer point where it is seen best."""
    outer = outer_points(search)
    for masses, inside, efficiencies in _windows(search, parameters, outer):
        best = efficiencies.max(axis=1)
        seen = inside & (best > DIMMEST * np.median(best[inside & (best > 0.0)]))
        for window in np.flatnonzero(seen):
            row = efficiencies[window]
            index = int(np.argmax(row)) if np.ptp(row) > 0.0 else len(outer) // 2
            yield {name: float(values[window]) for name, values in masses.items()} | dict(outer[index])


def _windows(
    search: Search, parameters: Mapping[str, float], outer: tuple[Point, ...]
) -> Iterator[tuple[dict[str, Floats], NDArray[np.bool_], Floats]]:
    """Iterate over regions: masses of W windows by axis, which are searched, and efficiencies (W, points)."""
    if counts(search):
        for plane in engine.counting_grids(search).values():
            points = plane.points()
            mass = plane.mass()
            known: dict[str, Any] = {**parameters, **points}
            singles = views(search).values()
            columns = [np.ones(len(mass)) for _ in outer]  # simulated signals tell those of decays in flight
            if not search.decays:
                columns = [
                    np.asarray(sum(rate(single, mass, {**known, **point}) for single in singles))
                    for point in outer
                ]
            yield points, plane.inside & ~vetoed(search, mass), np.stack(columns, axis=1)
        return
    for grid in engine.grids(search).values():
        every = slice(0, len(grid))
        columns = [np.ones(len(grid)) for _ in outer]
        if not search.decays:
            columns = [total_rate(rates(search, grid, every, {**parameters, **point})) for point in outer]
        yield (
            {search.scan_axis.name: grid.mass},
            ~vetoed(search, grid.mass),
            np.stack(columns, axis=1),
        )


def narrowed(search: Search, spots: tuple[Spot, ...]) -> Search:
    """Return a search of nothing but the values of some spots on every axis, and their configurations."""
    names = {spot.configuration for spot in spots}
    few = tuple(each for each in search.configurations if each.name in names)
    axes = {name: _at(axis, {spot.values[name] for spot in spots}) for name, axis in search.scan.items()}
    return definition.from_json(search.changed(scan=axes, configurations=few).canonical)


def _at(axis: ScanAxis, values: set[float]) -> ScanAxis:
    return axis.model_copy(update={"values": tuple(sorted(values)), "step": None, "step_of": None})


def find(search: Search, spot: Spot) -> Cell:
    """Return where a spot is in a narrowed search."""
    names = [each.name for each in search.configurations]
    outer = outer_points(search)
    (index,) = [n for n, point in enumerate(outer) if all(spot.values[k] == v for k, v in point.items())]
    for region, masses in _masses(search):
        same = np.all([values == spot.values[name] for name, values in masses.items()], axis=0)
        for window in np.flatnonzero(same):
            return Cell(region, names.index(spot.configuration), index, int(window), outer[index])
    raise LookupError(f"{dict(spot.values)} is no point of {search.name!r}")


def _masses(search: Search) -> Iterator[tuple[str, dict[str, Floats]]]:
    for region, plane in engine.counting_grids(search).items():
        yield region, plane.points()
    if not counts(search):
        for region, grid in engine.grids(search).items():
            yield region, {search.scan_axis.name: grid.mass}
