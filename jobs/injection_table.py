"""What injections found, kept as JSON by search, and as a table of a page of Markdown."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jobs.injection import Injected
from scanner import definition
from scanner.guide.tables import Table, filled, number

NAME = "injections"
"""Name of the table in a page."""
HEADER = ("search", "at", "injected", "fitted, events", "pull", "mean pull of toys", "width")


def write(folder: Path, found: Sequence[Injected]) -> None:
    """Keep the results of one search."""
    text = json.dumps([asdict(one) for one in found], indent=1)
    (folder / f"{found[0].search}.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> tuple[Injected, ...]:
    """Return all results in a folder, in the order of the catalogue."""
    files = [folder / f"{name}.json" for name in definition.names()]
    return tuple(
        Injected(**fields) for file in files if file.exists() for fields in json.loads(file.read_text())
    )


def table(found: Sequence[Injected]) -> Table:
    """Return the table of some injections."""
    return Table(HEADER, [_row(one) for one in found])


def _row(one: Injected) -> list[str]:
    events = ("–", "–")
    if math.isfinite(one.generated_pull):
        events = (f"{one.generated_yield:.1f} ± {one.generated_error:.1f}", f"{one.generated_pull:+.2f}")
    mean = f"{one.pull_mean:+.2f} ± {one.pull_mean_error:.2f}"
    return [f"`{one.search}`", place(one), number(one.injected), *events, mean, f"{one.pull_width:.2f}"]


def place(one: Injected) -> str:
    """Say at which point a signal is."""
    names = list(definition.load(one.search).scan)
    point = ", ".join(f"{name} = {one.point[name]:.4g}" for name in names)
    return point if one.configuration == "default" else f"{point}; {one.configuration}"


def fill(page: Path, folder: Path) -> None:
    """Replace the table of a page by that of all results in a folder.

    Raises
    ------
    ValueError
        If the page has no place for it.
    """
    text = filled(page.read_text(encoding="utf-8"), {NAME: table(read(folder))})
    page.write_text(text, encoding="utf-8")
