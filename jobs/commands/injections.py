"""`darkscan searches inject` and `expected`: what comes back of signals, and limits beside published ones."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import Json, print_json, print_table
from jobs.commands.scans import Workers, executor

if TYPE_CHECKING:
    from jobs.searches.expected import Compared
    from jobs.searches.injection import Injected
    from scanner.definition import Search
    from scanner.guide.tables import Table

Output = Annotated[Path, typer.Option("-o", "--output", help="A folder for what is found, as JSON.")]
Names = Annotated[list[str] | None, typer.Argument(help="Searches; all built-in ones if empty.")]
Page = Annotated[Path | None, typer.Option("--table", help="A page whose table gets what is in the folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(inject)
    app.command()(expected)


def inject(
    output: Output,
    names: Names = None,
    points: Annotated[int, typer.Option(help="Points of each grid.", min=1)] = 3,
    toys: Annotated[int, typer.Option(help="Pseudo-experiments at each point.", min=2)] = 1000,
    events: Annotated[bool, typer.Option(help="Whether to inject generated events as well.")] = True,
    table: Page = None,
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Inject signals into searches, as generated events and as toys, and compare what is fitted."""
    from jobs.searches import injection
    from jobs.searches import tables as catalogue_tables

    options = injection.Options(points=points, toys=toys, events=events)
    found: list[Injected] = []
    with executor(workers) as chosen:
        for search, folder in _each(names, output):
            results = injection.inject(search, folder, chosen, options)
            catalogue_tables.write(output, results)
            found += results
    if table is not None:
        everything = catalogue_tables.injections(output)
        catalogue_tables.fill(
            table, catalogue_tables.INJECTIONS, catalogue_tables.injection_table(everything)
        )
    if json:
        print_json([asdict(one) | {"sound": one.sound} for one in found])
    else:
        _show(f"injections → {output}", catalogue_tables.injection_table(found))
    if not all(one.sound for one in found):
        raise typer.Exit(3)


def expected(
    output: Output,
    names: Names = None,
    events: Annotated[float, typer.Option(help="Events to generate at most.", min=1.0)] = 1e6,
    table: Page = None,
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Set expected limits at published luminosities beside the published ones, at a few masses."""
    from jobs.searches import expected as jobs_expected
    from jobs.searches import tables as catalogue_tables

    found: list[Compared] = []
    with executor(workers) as chosen:
        for search, folder in _each(names, output):
            results = jobs_expected.compare(search, folder, chosen, events)
            catalogue_tables.write(output, results)
            found += results
    if table is not None:
        everything = catalogue_tables.comparisons(output)
        for name, made in catalogue_tables.expected_tables(everything).items():
            catalogue_tables.fill(table, name, made)
    if json:
        print_json([asdict(one) | {"ratio": one.ratio} for one in found])
    else:
        _show(f"expected limits → {output}", catalogue_tables.expected_table(found))


def _each(names: list[str] | None, output: Path) -> Iterator[tuple["Search", Path]]:
    """Iterate over searches, each with a folder that is removed after it."""
    from jobs.searches import catalogue
    from scanner import definition

    output.mkdir(parents=True, exist_ok=True)
    for name in names or catalogue.runnable():
        typer.echo(name, err=True)
        with TemporaryDirectory(dir=output) as folder:
            yield definition.load(name), Path(folder)


def _show(title: str, table: "Table") -> None:
    print_table(title, list(table.header), [list(row) for row in table.rows])
