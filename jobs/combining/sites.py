"""Where searches are combined: the configurations and points of outer axes that they have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.likelihoods import Spot
from scanner.definition import Search
from scanner.errors import InputError
from scanner.windows.axes import Point, outer_axes, outer_points

SAME = 1e-9
"""Relative difference of values on outer axes that are one."""


@dataclass(frozen=True)
class Site:
    """A configuration and a point of the first search, and where the others have it; None where not."""

    spots: tuple[Spot | None, ...]


def sites(searches: Sequence[Search], configuration: str | None) -> list[Site]:
    """Return where searches are combined: at all points of the first, configuration by configuration.

    Parameters
    ----------
    configuration : str, optional
        The one to take of searches with several; default all, if they have the same.

    Raises
    ------
    InputError
        If configurations differ, or outer axes have not the same names and no value in common.
    """
    points = [outer_points(search) for search in searches]
    found = [[_same(searches[0], point, search, own) for point in points[0]] for search, own in
             zip(searches, points, strict=True)]  # fmt: skip
    for search, places in zip(searches, found, strict=True):
        if all(place is None for place in places):
            names = ", ".join(axis.name for axis in outer_axes(search))
            raise InputError(f"no value of {names} is in both {searches[0].name!r} and {search.name!r}")
    return [
        Site(tuple(
            None if (index := places[number]) is None else Spot(own, index, points[s][index])
            for s, (own, places) in enumerate(zip(chosen, found, strict=True))
        ))
        for chosen in _configurations(searches, configuration)
        for number in range(len(points[0]))
    ]  # fmt: skip


def _same(first: Search, point: Point, search: Search, own: Sequence[Point]) -> int | None:
    """Return the number of the same point of a search, None where it has none."""
    if set(own[0]) != set(point):
        raise InputError(
            f"searches {first.name!r} and {search.name!r} are scanned along different axes beside the mass: "
            f"{', '.join(point) or 'none'} and {', '.join(own[0]) or 'none'}"
        )
    for index, other in enumerate(own):
        if all(np.isclose(other[name], value, rtol=SAME, atol=0.0) for name, value in point.items()):
            return index
    return None


def _configurations(searches: Sequence[Search], name: str | None) -> list[tuple[int, ...]]:
    """Return the numbers of the configurations that are combined, of each search."""
    owns = [[(own.name, dict(own.parameters)) for own in search.configurations] for search in searches]
    several = [own for own in owns if len(own) > 1]
    if name is not None:
        return [tuple(_named(search, name) for search in searches)]
    if any(own != several[0] for own in several):
        raise InputError("the searches have different configurations: choose one with --configuration")
    most = max(len(own) for own in owns)
    return [tuple(number if len(own) > 1 else 0 for own in owns) for number in range(most)]


def _named(search: Search, name: str) -> int:
    names = [own.name for own in search.configurations]
    if len(names) == 1:
        return 0
    if name not in names:
        raise InputError(
            f"search {search.name!r} has no configuration {name!r}: take one of {', '.join(names)}"
        )
    return names.index(name)
