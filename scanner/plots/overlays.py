"""Published limits that are drawn over a cube's own."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from scanner.errors import InputError

PROMPT = 1e-9
"""What a value of 0, such as a lifetime, counts as in logarithms."""


@dataclass(frozen=True)
class Overlay:
    """A published limit.

    Attributes
    ----------
    label : str
        What the legend says.
    mass : (N,) array-like
        Masses [unit of the scan axis]; a line joins neighbours, NaN breaks it.
    value : (N,) array-like
        Upper limits [unit of the variable that is drawn].
    """

    label: str
    mass: ArrayLike
    value: ArrayLike

    def __post_init__(self) -> None:
        mass, value = np.asarray(self.mass, dtype=np.float64), np.asarray(self.value, dtype=np.float64)
        if mass.ndim != 1 or mass.shape != value.shape or not mass.size:
            raise InputError(
                f"the overlay {self.label!r} has masses of shape {mass.shape} and values of shape "
                f"{value.shape}: give two lists of equal length, at least one number each"
            )
        object.__setattr__(self, "mass", mass)
        object.__setattr__(self, "value", value)


def choose(cube: xr.Dataset, variable: str, given: Overlay | Iterable[Overlay] | None) -> tuple[Overlay, ...]:
    """Return the overlays to draw: those given, else the cube's published ones of this variable."""
    if given is None:
        return published(cube, variable)
    return (given,) if isinstance(given, Overlay) else tuple(given)


def published(cube: xr.Dataset, variable: str) -> tuple[Overlay, ...]:
    """Read the published limits of one variable from the attribute `published` of a cube.

    The attribute is JSON: one object, or a list of them, with `quantity` (coupling, cross_section,
    branching_fraction or yield), `label`, `mass` and `value` (null breaks the line). Of those with `at`,
    their place along other axes such as lifetimes, the nearest to the cube's own are drawn.

    Raises
    ------
    InputError
        If the attribute is something else.
    """
    text = cube.attrs.get("published")
    if not text:
        return ()
    try:
        found = json.loads(text)
        entries = [dict(entry) for entry in ([found] if isinstance(found, Mapping) else found)]
        return tuple(_overlay(entry) for entry in _nearest(cube, entries) if entry["quantity"] == variable)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"the cube's attribute `published` cannot be drawn ({error}): it is a JSON object with "
            "quantity, label, mass and value; pass the published limit as an Overlay instead"
        ) from error


def _nearest(cube: xr.Dataset, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries that are nearest to the place of the cube, in the logarithm."""
    away = [distance(cube, entry.get("at", {})) for entry in entries]
    return [entry for entry, distance in zip(entries, away, strict=True) if distance <= min(away) + 1e-9]


def distance(cube: xr.Dataset, place: Mapping[str, float]) -> float:
    """Return how far a place is from that of a cube on axes with one point, in the logarithm."""
    known = {name: float(cube[name]) for name in place if name in cube.coords and cube[name].size == 1}
    return float(sum(apart(place[name], value) for name, value in known.items()))


def apart(value: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return how far apart values on an axis are, in the logarithm; 0 is far from all others."""
    return np.asarray(np.abs(np.log((np.asarray(value) + PROMPT) / (np.asarray(other) + PROMPT))))


def _overlay(entry: Mapping[str, Any]) -> Overlay:
    value = np.array(entry["value"], dtype=np.float64)
    return Overlay(str(entry.get("label") or "Published"), np.array(entry["mass"], dtype=np.float64), value)
