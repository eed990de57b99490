"""`darkscan bench`: the benchmark suite, with peers in the same run."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.output import print_table
from jobs.commands.speeds import (
    check_marks,
    duration,
    markdown,
    ours,
    ratio,
    read_speeds,
    replace_table,
)

SUITE = Path(__file__).resolve().parents[2] / "tests" / "benchmarks"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    select: Annotated[str, typer.Option("-k", help="Run the benchmarks whose name holds this.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json-file", help="Keep the measurements here.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="Write the table of speeds, with -k some of its lines, into this page of Markdown."
        ),
    ] = None,
) -> None:
    """Time the pass, the fits and the store against peers, and print the ratios."""
    from scanner.errors import InputError

    if not SUITE.is_dir():
        raise InputError("the benchmark suite lies in the source checkout: run `make bench` there")
    if table is not None:
        check_marks(table)
    with tempfile.TemporaryDirectory() as folder:
        results = json_file.resolve() if json_file else Path(folder) / "benchmarks.json"
        typer.echo("timing each competitor in turn: this takes some minutes", err=True)
        done = run_suite(select, results)
        if done.returncode == 0:
            measured = json.loads(results.read_text())
            report(measured)
            if table is not None:
                replace_table(table, markdown(measured), partly=bool(select))
        else:
            typer.echo(done.stdout + done.stderr, err=True)
    raise typer.Exit(done.returncode)


def run_suite(select: str, results: Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks in a process of their own; keep what they measured.

    Seconds are of processor time: those of the clock grow with whatever else the machine does, and most
    for whoever takes longest.
    """
    options = ["-m", "benchmark_suite", "-q", "-p", "no:xdist"]
    options += ["--benchmark-disable-gc", "--benchmark-timer=time.process_time"]
    options += [f"--benchmark-json={results}"]
    if select:
        options += ["-k", select]
    command = [sys.executable, "-m", "pytest", str(SUITE), *options]
    return subprocess.run(command, cwd=SUITE.parents[1], check=False, capture_output=True, text=True)  # noqa: S603 - our own suite


def report(results: dict[str, Any]) -> None:
    """Print a table a group: the shortest time of an item, and how many times longer each peer takes."""
    for group, speeds in read_speeds(results).items():
        own = ours(speeds)
        rows = [[speed.who, duration(speed.seconds), speed.rate, ratio(speed, own)] for speed in speeds]
        print_table(group, ["who", f"a {speeds[0].unit}", "rate", "over darkscan"], rows)
        if own is not None and own.bound:
            typer.echo(f"bounded by: {own.bound}\n")
