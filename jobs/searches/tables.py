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
from scanner.guide.tables import place as placed

INJECTIONS, EXPECTED, LIFETIMES = "injections", "expected", "lifetimes"
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


def expected_tables(found: Sequence[Compared]) -> dict[str, Table]:
    """Return the tables of expected limits beside the published ones, by their names in a page."""
    lived = lifetime_table(found)
    return {EXPECTED: expected_table(found)} | ({LIFETIMES: lived} if lived.rows else {})


def expected_table(found: Sequence[Compared]) -> Table:
    """Return the table of expected limits beside the published ones, at the middle of several lifetimes."""
    middle = [sorted(same, key=_lifetimes)[len(same) // 2] for same in _by_mass(found).values()]
    return Table(EXPECTED_HEADER, [_compared(one) for one in middle])


def lifetime_table(found: Sequence[Compared]) -> Table:
    """Return the table of limits that are published for several lifetimes: ours, theirs and their ratio."""
    lived = {key: same for key, same in _by_mass(found).items() if len(same) > 1}
    places = sorted({_lifetimes(one) for same in lived.values() for one in same})
    titles = (", ".join(f"{length:g} cm" for length in place) for place in places)
    return Table(
        ("search", "mass [GeV]", *titles),
        [
            [f"`{same[0].search}`", f"{next(iter(same[0].point.values())):.4g}", *_ratios(same, places)]
            for same in lived.values()
        ],
    )


def _ratios(same: Sequence[Compared], places: Sequence[tuple[float, ...]]) -> list[str]:
    known = {_lifetimes(one): _ratio(one) for one in same}
    return [known.get(place, NOTHING) for place in places]


def _ratio(one: Compared) -> str:
    if not math.isfinite(one.expected):
        return f"none / {_limit(one.published)}"
    ratio = f"{one.ratio:.2f}" if one.ratio < 10.0 else f"{one.ratio:.0f}"
    return f"{_limit(one.expected)} / {_limit(one.published)} = {ratio}"


def _by_mass(found: Sequence[Compared]) -> dict[tuple[object, ...], list[Compared]]:
    """Group comparisons that differ in nothing but the lifetimes that limits are published for."""
    groups: dict[tuple[object, ...], list[Compared]] = {}
    for one in found:
        own = [value for name, value in one.point.items() if name not in _lived_axes(one.search)]
        groups.setdefault((one.search, one.configuration, *own), []).append(one)
    return groups


def _lifetimes(one: Compared) -> tuple[float, ...]:
    return tuple(one.point[name] for name in _lived_axes(one.search))


def _lived_axes(search: str) -> tuple[str, ...]:
    """Return the axes beside the mass that limits of a search are published along."""
    published = definition.load(search).published
    return () if published is None else tuple(published.places[0])


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
    """Replace the table of a name in a page; its rows of other searches stay as they are.

    Raises
    ------
    ValueError
        If the page has no place for it.
    """
    text = page.read_text(encoding="utf-8")
    page.write_text(filled(text, {name: _with_others(text, name, table)}), encoding="utf-8")


def _with_others(text: str, name: str, table: Table) -> Table:
    """Return a table with the rows that a page has of other searches, in the order of the catalogue."""
    found = placed(name).search(text)
    lines = [line[2:-2].split(" | ") for line in found.group().splitlines()] if found else []
    if not lines or lines[0] != list(table.header):
        return table
    new = {row[0] for row in table.rows}
    order = {f"`{search}`": number for number, search in enumerate(definition.names())}
    rows = [*table.rows, *(row for row in lines[2:] if row[0] not in new)]
    return Table(table.header, sorted(rows, key=lambda row: order.get(row[0], len(order))))
