"""`darkscan export`: cubes for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.cubes import Cube, open_cube
from jobs.commands.output import counted
from jobs.commands.points import place_of

FORMATS = ("pyhf", "hs3", "csv")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    cube: Cube,
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder; for csv a file.")],
    at: Annotated[str, typer.Option(help="One window only, such as m_zprime=3.2.")] = "",
    configuration: Annotated[str, typer.Option(help="One model configuration only.")] = "",
) -> None:
    """Write the likelihood of every window as pyhf or HS3 JSON, or the limits as a table.

    The likelihoods come from the run that stands beside the cube.
    """
    from jobs import export as exports
    from scanner.errors import InputError

    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}: take one of {', '.join(FORMATS)}")
    found = open_cube(cube)
    if form == "csv":
        typer.echo(f"{output}: {counted(exports.write_table(found, output), 'row')}")
        return
    mass = place_of(found, at).get(found.limits.axis) if at else None
    count = exports.write_likelihoods(cube, form, output, mass=mass, configuration=configuration or None)
    typer.echo(f"{output}: {counted(count, 'file')}")
