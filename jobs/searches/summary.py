"""What the list of searches says of each: where it is from, its grid, and how limits are set."""

from math import prod
from typing import Any

from scanner import engine
from scanner.definition import Search
from scanner.schema.axes import ScanAxis
from scanner.windows.axes import outer_axes
from scanner.windows.counting import counts
from scanner.windows.filled import uses_templates

OVER = {"sideband": "sidebands", "simulation": "simulation", "given": "given numbers", "fit": "a fit"}
"""What tells the background of counts."""


def summary(search: Search) -> dict[str, Any]:
    """Describe a search for scripts."""
    axis = search.scan_axis
    return {
        "experiment": search.reference.experiment,
        "grid": {name: grid_of(each) for name, each in search.scan.items()},
        "points": points(search),
        "channels": list(search.channels),
        "configurations": len(search.configurations),
        "name": search.name,
        "title": search.title,
        "arxiv": search.reference.arxiv,
        "axis": axis.name,
        "low": axis.low,
        "high": axis.high,
        "unit": axis.unit,
        "extraction": extraction(search),
        "method": search.method.limit,
        "confidence_level": search.confidence_level,
        "luminosity": search.luminosity,
        "columns": {name: column.unit for name, column in search.columns.items()},
        "digest": search.digest,
    }


def grid_of(axis: ScanAxis) -> str:
    """Say which points of an axis are scanned."""
    if axis.values is not None:
        return f"{len(axis.values)} values"
    return f"steps of {axis.step:g} resolution" + (f" of {axis.step_of}" if axis.step_of else "")


def points(search: Search) -> int:
    """Count the points of a scan in one configuration: windows times points of the other axes."""
    planes = [int(grid.inside.sum()) for grid in engine.counting_grids(search).values()]
    windows = sum(planes or engine.lengths(search).values())
    return windows * prod(len(axis.values or ()) for axis in outer_axes(search))


def extraction(search: Search) -> str:
    """Say how a signal is told from its background."""
    if engine.stated(search):
        return "published counts"
    if counts(search):
        shape = {"interval": "windows", "ellipse": "ellipses", "box": "boxes"}[search.window.shape]
        return f"counts in {shape} over {OVER[search.background.estimate]}"
    if uses_templates(search):
        return "fit of templates"
    return "unbinned fit" if engine.unbinned(search) else "binned fit"


def row(search: Search) -> list[str]:
    """Return name, title, reference, luminosity, grid and method, for people."""
    luminosity = "–" if search.luminosity is None else f"{search.luminosity:g}"
    reference = f"{search.reference.experiment} {search.reference.arxiv or ''}".strip()
    method = f"{extraction(search)}, {search.method.limit}, {search.confidence_level:.0%}"
    return [search.name, search.title, reference or "–", luminosity, _grid(search), method]


def _grid(search: Search) -> str:
    """Return the ranges of all axes, and how many points, channels and configurations there are."""
    outer = prod(len(axis.values or ()) for axis in outer_axes(search))
    windows = points(search) // outer
    text = [f"{windows:,} × {outer}" if outer > 1 else f"{windows:,}"]
    for number, word in ((len(search.channels), "channels"), (len(search.configurations), "configurations")):
        text += [f"{number} {word}"] * (number > 1)
    return f"{', '.join(_range(axis) for axis in search.scan.values())}: {', '.join(text)}"


def _range(axis: ScanAxis) -> str:
    ends = f"{axis.low:g}" if axis.low == axis.high else f"{axis.low:g}–{axis.high:g}"
    return f"{axis.name} {ends} {axis.unit}"
