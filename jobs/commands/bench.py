"""`darkscan bench`: the benchmark suite, with peers in the same run."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.output import print_table
from jobs.progress import quantity

SUITE = Path(__file__).resolve().parents[2] / "tests" / "benchmarks"
OURS = "darkscan"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    select: Annotated[str, typer.Option("-k", help="Run the benchmarks whose name holds this.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json-file", help="Keep the measurements here.")] = None,
) -> None:
    """Time the pass, the fits and the store against peers, and print the ratios."""
    from scanner.errors import InputError

    if not SUITE.is_dir():
        raise InputError("the benchmark suite lies in the source checkout: run `make bench` there")
    with tempfile.TemporaryDirectory() as folder:
        results = json_file or Path(folder) / "benchmarks.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(SUITE),
            "-m",
            "benchmark_suite",
            "-q",
            "-p",
            "no:xdist",
        ]
        command += [
            "--benchmark-disable-gc",
            f"--benchmark-json={results}",
            *(["-k", select] if select else []),
        ]
        typer.echo("timing each competitor in turn: this takes some minutes", err=True)
        done = subprocess.run(command, cwd=SUITE.parents[1], check=False, capture_output=True, text=True)  # noqa: S603 - our own suite
        if done.returncode == 0:
            report(json.loads(results.read_text())["benchmarks"])
        else:
            typer.echo(done.stdout + done.stderr, err=True)
    raise typer.Exit(done.returncode)


def report(benchmarks: list[dict[str, Any]]) -> None:
    """Print a table a group: the median time of an item, and how many times longer each peer takes."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in benchmarks:
        groups.setdefault(entry["group"], []).append(entry)
    for group, entries in groups.items():
        ours = next((an_item(entry) for entry in entries if entry["extra_info"]["who"] == OURS), None)
        rows = [
            [entry["extra_info"]["who"], duration(an_item(entry)), rate(entry), ratio(an_item(entry), ours)]
            for entry in entries
        ]
        print_table(group, ["who", f"a {entries[0]['extra_info']['unit']}", "rate", "over darkscan"], rows)
        bound = next((entry["extra_info"]["bound"] for entry in entries if entry["extra_info"]["bound"]), "")
        if bound:
            typer.echo(f"bounded by: {bound}\n")


def an_item(entry: dict[str, Any]) -> float:
    """Return the median seconds of one row, window or part."""
    return float(entry["stats"]["median"]) / float(entry["extra_info"]["items"])


def duration(seconds: float) -> str:
    """Write a short time."""
    for factor, unit in ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms")):
        if seconds < 1e3 * factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def rate(entry: dict[str, Any]) -> str:
    """Write items a second."""
    return f"{quantity(1.0 / an_item(entry))}{entry['extra_info']['unit']}s/s"


def ratio(time: float, ours: float | None) -> str:
    """Write a time over ours."""
    return "–" if ours is None else f"{time / ours:.3g}"
