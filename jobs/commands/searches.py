"""`darkscan searches`: list, show, validate and start search definitions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands import injections
from jobs.commands.output import Json, print_json, print_table
from jobs.commands.scans import Workers, executor

app = typer.Typer(help="Search definitions: list, show, validate, new.", no_args_is_help=True)
injections.register(app)


@app.command("list")
def list_searches(json: Json = False) -> None:
    """List the built-in searches."""
    from jobs.searches import summary
    from scanner import definition

    found = [definition.load(name) for name in definition.names()]
    if json:
        print_json([summary.summary(search) for search in found])
        return
    header = ["name", "title", "reference", "L [/fb]", "grid", "method"]
    print_table("searches", header, [summary.row(search) for search in found])


@app.command("run-all")
def run_all(
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for events, cubes and plots.")],
    names: Annotated[list[str] | None, typer.Argument(help="Searches; all built-in ones if empty.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few events and few masses.")] = False,
    events: Annotated[float, typer.Option(help="Produced events of a search at most.")] = 1e8,
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Run every built-in search from generated events to limits and a page of plots."""
    from jobs.searches import catalogue

    with executor(workers) as chosen:
        found = catalogue.run_all(
            output,
            chosen,
            names=names or (),
            quick=quick,
            events=events,
            say=lambda text: typer.echo(text, err=True),
        )
    (output / "index.html").write_text(catalogue.page(found), encoding="utf-8")
    if json:
        print_json([asdict(outcome) for outcome in found])
    else:
        rows = [[o.name, str(o.windows), str(o.limits), f"{o.seconds:.0f} s", o.error] for o in found]
        print_table(f"searches → {output / 'index.html'}", ["name", "windows", "limits", "time", ""], rows)
    defects = [outcome for outcome in found if outcome.traceback]
    for outcome in defects:
        record = output / f"{outcome.name}.traceback.txt"
        record.write_text(outcome.traceback, encoding="utf-8")
        typer.echo(f"{outcome.name}: a defect ({outcome.error}); please report it with {record}", err=True)
    if any(outcome.error for outcome in found):
        raise typer.Exit(1 if defects else 3)


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="What `run-all` wrote.")], json: Json = False
) -> None:
    """Set the expected limits of searches beside the published ones, as a table in Markdown."""
    from jobs.searches import catalogue
    from storage import cubes

    found = {
        name: catalogue.compared(cubes.open(str(folder / f"{name}.zarr")))
        for name in catalogue.runnable()
        if (folder / f"{name}.zarr").exists()
    }
    if json:
        print_json(found)
        return
    typer.echo("| search | mass [GeV] | median expected | published | ratio |\n|---|---|---|---|---|")
    for name, rows in found.items():
        for row in rows:
            typer.echo(
                "| `{}` | {mass:.4g} | {expected:.3g} | {published:.3g} | {ratio:.2g} |".format(name, **row)
            )


@app.command()
def pages(
    folder: Annotated[Path, typer.Argument(help="Where to write a page of Markdown each.")],
    plots: Annotated[bool, typer.Option("--plots", help="Draw limits of reduced runs for them too.")] = False,
    names: Annotated[list[str] | None, typer.Option("--only", help="A search to draw; all if none.")] = None,
    workers: Workers = 0,
) -> None:
    """Write a page of documentation for every built-in search, from its definition."""
    from jobs.searches import catalogue
    from jobs.searches import pages as made
    from scanner import definition

    folder.mkdir(parents=True, exist_ok=True)
    for name in definition.names():
        (folder / f"{name}.md").write_text(made.page(definition.load(name)), encoding="utf-8")
    typer.echo(f"wrote {len(definition.names())} pages to {folder}")
    if plots:
        images = folder / "images"
        images.mkdir(exist_ok=True)
        with executor(workers) as chosen:
            for name in names or catalogue.runnable():
                typer.echo(name, err=True)
                catalogue.picture(definition.load(name), images / f"{name}.png", chosen)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A built-in search.")]) -> None:
    """Print a built-in definition, to copy and edit."""
    from scanner import definition

    typer.echo(definition.text(name), nl=False)


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A definition file or a built-in name.")], json: Json = False
) -> None:
    """Check a definition: keys, units, expressions, and if it runs."""
    from jobs.searches.summary import summary
    from scanner import definition, engine, runnable

    search = definition.load(file)
    runnable.check_runnable(search)
    windows = engine.lengths(search)
    if json:
        print_json(summary(search) | {"windows": windows})
        return
    typer.echo(f"{file}: search {search.name!r} is valid, {sum(windows.values())} windows")


@app.command()
def new(file: Annotated[Path, typer.Argument(help="The file to write.")]) -> None:
    """Write a commented starter definition."""
    from scanner import definition
    from scanner.errors import InputError

    if file.exists():
        raise InputError(f"{file} is there already: choose another name")
    try:
        file.write_text(definition.template(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): choose another place") from None
    typer.echo(f"wrote {file}: edit it, then `darkscan searches validate {file}`")


@app.command()
def schema() -> None:
    """Print the JSON schema of definitions, for editors."""
    from scanner import definition

    print_json(definition.json_schema())
