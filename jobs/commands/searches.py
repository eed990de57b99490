"""`darkscan searches`: list, show, validate and start search definitions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.output import Json, print_json, print_table

if TYPE_CHECKING:
    from scanner.definition import Search

app = typer.Typer(help="Search definitions: list, show, validate, new.", no_args_is_help=True)


@app.command("list")
def list_searches(json: Json = False) -> None:
    """List the built-in searches."""
    from scanner import definition

    found = [summary(definition.load(name)) for name in definition.names()]
    if json:
        print_json(found)
        return
    rows = [
        [s["name"], s["title"], s["arxiv"] or "–", f"{s['low']:g}–{s['high']:g} {s['unit']}"] for s in found
    ]
    print_table("searches", ["name", "title", "arXiv", "range"], rows)


def summary(search: "Search") -> dict[str, Any]:
    """Describe a search for scripts."""
    axis = search.scan_axis
    return {
        "name": search.name,
        "title": search.title,
        "arxiv": search.reference.arxiv,
        "axis": axis.name,
        "low": axis.low,
        "high": axis.high,
        "unit": axis.unit,
        "method": search.method.limit,
        "confidence_level": search.confidence_level,
        "luminosity": search.luminosity,
        "columns": {name: column.unit for name, column in search.columns.items()},
        "digest": search.digest,
    }


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
    from scanner import definition, engine

    search = definition.load(file)
    engine.check_runnable(search)
    windows = {name: len(grid) for name, grid in engine.grids(search).items()}
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
