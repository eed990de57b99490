"""The axes of a scan: those that windows are laid out on, and those along which they stay the same."""

from collections.abc import Mapping
from itertools import product

from scanner.definition import Search
from scanner.schema.axes import ScanAxis

Point = Mapping[str, float]


def window_axes(search: Search) -> tuple[ScanAxis, ...]:
    """Return the mass axes of the windows: one for intervals, two for boxes and ellipses."""
    return tuple(search.scan.values())[: 1 if search.window.shape == "interval" else 2]


def outer_axes(search: Search) -> tuple[ScanAxis, ...]:
    """Return the axes, such as a lifetime or a coupling, on which the signal depends and no window does."""
    return tuple(search.scan.values())[len(window_axes(search)) :]


def outer_points(search: Search) -> tuple[Point, ...]:
    """Return the points of the product of the outer axes, the last axis fastest; one if there are none."""
    axes = outer_axes(search)
    values = product(*(axis.values or () for axis in axes))
    return tuple(dict(zip((axis.name for axis in axes), point, strict=True)) for point in values)
