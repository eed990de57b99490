"""`darkscan searches inject`: signals put into every search, and what comes back."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from jobs.commands.output import Json, print_json, print_table
from jobs.commands.scans import Workers, executor


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inject)


def inject(
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for what is found, as JSON.")],
    names: Annotated[list[str] | None, typer.Argument(help="Searches; all built-in ones if empty.")] = None,
    points: Annotated[int, typer.Option(help="Points of each grid.", min=1)] = 3,
    toys: Annotated[int, typer.Option(help="Pseudo-experiments at each point.", min=2)] = 400,
    events: Annotated[bool, typer.Option(help="Whether to inject generated events as well.")] = True,
    table: Annotated[
        Path | None, typer.Option(help="A page whose table of injections is written anew from the folder.")
    ] = None,
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Inject signals into searches, as generated events and as toys, and compare what is fitted."""
    from jobs import catalogue, injection, injection_table
    from scanner import definition

    output.mkdir(parents=True, exist_ok=True)
    found: list[injection.Injected] = []
    with executor(workers) as chosen:
        for name in names or catalogue.runnable():
            typer.echo(name, err=True)
            search = definition.load(name)
            options = injection.Options(points=points, toys=toys, events=events)
            with TemporaryDirectory(dir=output) as folder:
                results = injection.inject(search, Path(folder), chosen, options)
            injection_table.write(output, results)
            found += results
    if table is not None:
        injection_table.fill(table, output)
    if json:
        print_json([asdict(one) | {"sound": one.sound} for one in found])
    else:
        shown = injection_table.table(found)
        print_table(f"injections → {output}", list(shown.header), [list(row) for row in shown.rows])
    if not all(one.sound for one in found):
        raise typer.Exit(3)
