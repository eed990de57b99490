"""What injections and comparisons of the catalogue found: kept as JSON by search, and as tables of a page."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jobs.searches.expected import Compared
from jobs.searches.injection import Injected
from scanner import definition
from scanner.guide.tables import Table, filled, number

INJECTIONS, EXPECTED = "injections", "expected"
"""Names of the tables in a page."""
INJECTION_HEADER = ("search", "at", "injected", "fitted, events", "pull", "mean pull of toys", "width")
EXPECTED_HEADER = ("search", "at", "limit on", "median expected", "published", "ratio", "generated")
NOTHING = "–"


def write(folder: Path, found: Sequence[Injected] | Sequence[Compared]) -> None:
    """Keep the results of one search."""
    text = json.dumps([asdict(one) for one in found], indent=1)
    (folder / f"{found[0].search}.json").write_text(text + "\n", encoding="utf-8")


def kept(folder: Path) -> list[dict[str, Any]]:
    """Return what is kept in a folder, in the order of the catalogue."""
    files = [folder / f"{name}.json" for name in definition.names()]
    return [fields for file in files if file.exists() for fields in json.loads(file.read_text())]


def injections(folder: Path) -> tuple[Injected, ...]:
    """Return the injections that are kept in a folder."""
    return tuple(Injected(**fields) for fields in kept(folder))


def comparisons(folder: Path) -> tuple[Compared, ...]:
    """Return the expected limits that are kept in a folder."""
    return tuple(Compared(**fields) for fields in kept(folder))


def injection_table(found: Sequence[Injected]) -> Table:
    """Return the table of some injections."""
    return Table(INJECTION_HEADER, [_injected(one) for one in found])


def _injected(one: Injected) -> list[str]:
    events = (NOTHING, NOTHING)
    if math.isfinite(one.generated_pull):
        events = (f"{one.generated_yield:.1f} ± {one.generated_error:.1f}", f"{one.generated_pull:+.2f}")
    mean = f"{one.pull_mean:+.2f} ± {one.pull_mean_error:.2f}"
    at = place(one.search, one.configuration, one.point)
    return [f"`{one.search}`", at, number(one.injected), *events, mean, f"{one.pull_width:.2f}"]


def expected_table(found: Sequence[Compared]) -> Table:
    """Return the table of some expected limits beside the published ones."""
    return Table(EXPECTED_HEADER, [_compared(one) for one in found])


def _compared(one: Compared) -> list[str]:
    published, ratio = NOTHING, NOTHING
    if math.isfinite(one.published):
        published = _limit(one.published)
        if one.published_high > one.published:
            published += f" to {_limit(one.published_high)}"
        inside = one.published < one.expected < one.published_high
        ratio = "within" if inside else f"{one.ratio:.2f}"
    unit = " [fb]" if one.quantity == "cross_section" else ""
    what, part = one.quantity.replace("_", " ") + unit, f"{100.0 * one.generated:.3g}%"
    at = place(one.search, one.configuration, one.point)
    return [f"`{one.search}`", at, what, _limit(one.expected), published, ratio, part]


def _limit(value: float) -> str:
    return f"{value:.3g}"


def place(search: str, configuration: str, point: Mapping[str, float]) -> str:
    """Say where a point of a search is."""
    at = ", ".join(f"{name} = {point[name]:.4g}" for name in definition.load(search).scan)
    return at if configuration == "default" else f"{at}; {configuration}"


def fill(page: Path, name: str, table: Table) -> None:
    """Replace the table of a name in a page.

    Raises
    ------
    ValueError
        If the page has no place for it.
    """
    text = filled(page.read_text(encoding="utf-8"), {name: table})
    page.write_text(text, encoding="utf-8")
