"""What a run of the benchmarks measured, as lines of a table on the screen or in a page of Markdown.

A time is the processor time of the shortest round: other work on a machine adds to times and never takes
from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.progress import quantity
from scanner.errors import InputError

OURS = "darkscan"
BEGIN = "<!-- speeds: written by `darkscan bench --table` -->"
END = "<!-- end of speeds -->"


@dataclass(frozen=True)
class Speed:
    """What one competitor took in a group."""

    group: str
    who: str
    unit: str
    """What is counted: a row, a window, a toy."""
    seconds: float
    """Shortest time of one of them [s]."""
    bound: str
    """What keeps darkscan from being faster; empty for others."""

    @property
    def rate(self) -> str:
        """How many a second."""
        return f"{quantity(1.0 / self.seconds)}{self.unit}s/s"


def read_speeds(results: Mapping[str, Any]) -> dict[str, list[Speed]]:
    """Return the speeds of each group from the JSON of pytest-benchmark, in its order."""
    groups: dict[str, list[Speed]] = {}
    for entry in results["benchmarks"]:
        info = entry["extra_info"]
        seconds = float(entry["stats"]["min"]) / float(info["items"])
        speed = Speed(entry["group"], info["who"], info["unit"], seconds, info["bound"])
        groups.setdefault(speed.group, []).append(speed)
    return groups


def ours(speeds: Sequence[Speed]) -> Speed | None:
    """Return darkscan's speed in a group."""
    return next((speed for speed in speeds if speed.who == OURS), None)


def duration(seconds: float) -> str:
    """Write a short time."""
    for factor, unit in ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms")):
        if seconds < 1e3 * factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def ratio(speed: Speed, reference: Speed | None) -> str:
    """Write a time over darkscan's."""
    if reference is None:
        return "–"
    times = speed.seconds / reference.seconds
    return f"{times:.2g}" if times < 100.0 else f"{float(f'{times:.2g}'):,.0f}".replace(",", " ")


def markdown(results: Mapping[str, Any]) -> str:
    """Return a table with a line for each group that darkscan takes part in."""
    machine = results["machine_info"]
    processor, python = machine["cpu"].get("brand_raw", "unknown"), machine["python_version"]
    lines = [
        f"Processor time, shortest round; {processor}, Python {python}, {results['datetime'][:10]}.",
        "",
        "| what | darkscan | rate | others, over darkscan | what bounds darkscan |",
        "|---|---|---|---|---|",
    ]
    for group, speeds in read_speeds(results).items():
        own = ours(speeds)
        if own is not None:
            others = "; ".join(f"{speed.who} {ratio(speed, own)}" for speed in speeds if speed is not own)
            cells = [group, f"{duration(own.seconds)} a {own.unit}", own.rate, others, own.bound]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def check_marks(page: Path) -> None:
    """Refuse a page that has no place for the table.

    Raises
    ------
    InputError
        If the page cannot be read or lacks the marks.
    """
    try:
        text = page.read_text()
    except OSError as error:
        raise InputError(f"{page} cannot be read: {error.strerror}") from error
    _, begin, rest = text.partition(BEGIN)
    if not (begin and END in rest):
        raise InputError(f"{page} has no place for the table: add the lines '{BEGIN}' and '{END}'")


def replace_table(page: Path, table: str, *, partly: bool = False) -> None:
    """Put a table between the marks of a page that has them.

    Parameters
    ----------
    page : Path
    table : str
    partly : bool
        Keep the lines of what was not measured again.
    """
    before, _, rest = page.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{merged(old, table) if partly else table}\n{END}{after}")


def merged(old: str, new: str) -> str:
    """Return an old table with the lines of a new one in the place of its own, by their first cells."""
    fresh = {_what(line): line for line in new.splitlines() if line.startswith("| ")}
    lines = [fresh.pop(_what(line), line) for line in old.strip().splitlines()]
    return "\n".join([*lines, *fresh.values()]) if lines else new


def _what(line: str) -> str:
    return line.partition(" | ")[0]
