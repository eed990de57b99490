"""`darkscan bench`: the benchmark suite, with peers in the same run."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.output import print_table

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
        command = [sys.executable, "-m", "pytest", str(SUITE), "-m", "benchmark_suite", "-q", "-s"]
        command += [
            "--benchmark-disable-gc",
            f"--benchmark-json={results}",
            *(["-k", select] if select else []),
        ]
        code = subprocess.run(command, cwd=SUITE.parents[1], check=False).returncode  # noqa: S603 - our own suite
        if code == 0:
            report(json.loads(results.read_text())["benchmarks"])
    raise typer.Exit(code)


def report(benchmarks: list[dict[str, Any]]) -> None:
    """Print a table a group: time of one item, and how many times longer each peer takes."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in benchmarks:
        groups.setdefault(entry["group"] or "other", []).append(entry)
    for group, entries in groups.items():
        times = {
            label(entry): entry["stats"]["median"] / entry["extra_info"].get("items", 1) for entry in entries
        }
        ours = next((time for name, time in times.items() if name.startswith(OURS)), None)
        rows = [[name, f"{time * 1e6:.4g} µs", ratio(time, ours)] for name, time in times.items()]
        print_table(group, ["who", "an item", "over ours"], rows)


def label(entry: dict[str, Any]) -> str:
    """Name who ran: the peer that the benchmark states, or the test's name."""
    return str(entry["extra_info"].get("who", entry["name"]))


def ratio(time: float, ours: float | None) -> str:
    """Write a time over ours."""
    return "–" if ours is None else f"{time / ours:.2f}"
