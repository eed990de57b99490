"""`darkscan export` and `combine`: cubes for other tools, and of several searches."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.cubes import Cube, open_cube
from jobs.commands.output import Json, counted, print_json, print_table
from jobs.commands.points import place_of

FORMATS = ("pyhf", "hs3", "csv")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(export)
    app.command()(combine)


def export(
    cube: Cube,
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder; for csv a file.")],
    at: Annotated[str, typer.Option(help="The nearest window only, such as m_zprime=3.2.")] = "",
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
    where: dict[str, Any] = {"at": place_of(found, at), "configuration": configuration or None}
    count = exports.write_likelihoods(cube, form, output, **where)
    typer.echo(f"{output}: {counted(count, 'file')}")


def combine(
    cubes: Annotated[list[str], typer.Argument(help="Limit cubes of searches for one coupling.")],
    output: Annotated[str, typer.Option("-o", "--output", help="The cube to write.")],
    method: Annotated[str, typer.Option(help="auto, asymptotic or toys.")] = "auto",
    share: Annotated[str, typer.Option(help="Systematics that are one for all, such as a,b.")] = "",
    of: Annotated[
        str, typer.Option(help="What is shared: coupling, rate, or an interpretation of the first search.")
    ] = "coupling",
    configuration: Annotated[str, typer.Option(help="The one to take of searches with several.")] = "",
    json: Json = False,
) -> None:
    """Combine searches for one coupling, or one rate, in one cube with a shared strength."""
    from jobs.combining.combination import combination
    from jobs.commands.scans import describe, show

    shared = [name.strip() for name in share.split(",") if name.strip()]
    chosen = configuration or None
    cube = combination(cubes, output, method=method, shared=shared, of=of, configuration=chosen)
    report = describe(cube) | {"cube": output, "searches": int(cube["searches"].max())}
    if json:
        print_json(report)
        return
    print_table(f"combination → {output}", ["", ""], [[name, show(value)] for name, value in report.items()])
