"""`darkscan generate`, `ingest` and `verify`: event stores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.output import Json, counted, print_json
from jobs.commands.points import columns_of, number, pairs, points
from jobs.commands.scans import Workers

if TYPE_CHECKING:
    from scanner.definition import Search

Store = Annotated[str, typer.Argument(help="The event store to write.")]
Period = Annotated[str, typer.Option(help="Name of the run period; one more period appends.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(ingest)
    app.command()(verify)


def generate(
    search: Annotated[str, typer.Argument(help="A built-in search or a definition file.")],
    store: Store,
    luminosity: Annotated[str, typer.Option(help="Such as 178/fb; the definition's own by default.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the generator.", min=0)] = 1,
    inject: Annotated[
        list[str] | None,
        typer.Option(help="A signal, such as m_zprime=3,cross_section=5fb; may be repeated."),
    ] = None,
    period: Period = "",
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Generate the pseudodata of a search into an event store."""
    from jobs import generate as jobs_generate
    from jobs.commands.scans import executor
    from scanner import definition, units

    found = definition.load(search)
    target = units.parse(luminosity, "luminosity") if luminosity else None
    with executor(workers) as chosen:
        report = jobs_generate.generate(
            found,
            store,
            luminosity=target,
            seed=seed,
            signals=[signal(found, text) for text in inject or []],
            period=period,
            executor=chosen,
        )
    if json:
        print_json(report)
        return
    for sample in report["samples"]:
        events, kept = counted(sample["generated"], "event"), counted(sample["rows"], "candidate")
        typer.echo(f"{sample['name']}: {events} generated, {kept} kept")
    typer.echo(f"{store}: {counted(report['rows'], 'row')} at {report['luminosity']:g} fb^-1")


def signal(search: "Search", text: str) -> dict[str, float]:
    """Read an injected signal: its mass, its cross section, and whatever else its process takes."""
    known = {axis.name: axis.unit for axis in search.scan.values()}
    known |= {"m": search.scan_axis.unit, "cross_section": "fb", "ctau": "cm"}
    return {name: number(name, value, known.get(name, "1")) for name, value in points(text).items()}


def ingest(
    files: Annotated[list[str], typer.Argument(help="Source files, then the store to write.")],
    sample: Annotated[str, typer.Option(help="Name of the sample.")] = "data",
    kind: Annotated[str, typer.Option(help="data, pseudodata, simulation or signal.")] = "data",
    luminosity: Annotated[str, typer.Option(help="Such as 178/fb.")] = "",
    columns: Annotated[
        str, typer.Option(help="new=old pairs or names; all numeric columns by default.")
    ] = "",
    derive: Annotated[list[str] | None, typer.Option(help="name=expression; may be repeated.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="column=unit in the file; may be repeated.")] = None,
    tree: Annotated[str, typer.Option(help="TTree or RNTuple of a ROOT file.")] = "",
    period: Period = "",
    non_finite: Annotated[str, typer.Option(help="stop, or keep and count NaN and infinity.")] = "stop",
    generated: Annotated[
        int | None, typer.Option(help="Simulated events before any selection.", min=1)
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="name=number of a simulated sample, mass=1; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Read CSV, Parquet, NumPy or ROOT files into an event store."""
    from jobs import ingest as jobs_ingest
    from scanner import units
    from scanner.errors import InputError

    if len(files) < 2:
        raise InputError("give the source files and then the store: darkscan ingest FILES... STORE")
    report = jobs_ingest.ingest(
        [Path(file) for file in files[:-1]],
        files[-1],
        sample=sample,
        kind=kind,
        luminosity=units.parse(luminosity, "luminosity") if luminosity else None,
        columns=columns_of(columns),
        derive=pairs("--derive", derive or [], "pt2=px**2+py**2"),
        units_in_file=pairs("--unit", unit or [], "mass=MeV"),
        tree=tree or None,
        period=period,
        non_finite=non_finite,
        generated=generated,
        parameters={
            name: number(name, value, {"mass": "GeV", "ctau": "cm"}.get(name, "1"))
            for name, value in pairs("--parameter", parameter or [], "mass=1").items()
        },
    )
    for note in report["notes"]:
        typer.echo(f"note: {note}", err=True)
    if json:
        print_json(report)
        return
    names = [f"{name} [{of}]" if of else name for name, of in report["columns"].items()]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    typer.echo(f"{files[-1]}: {counted(report['rows'], 'row')} of {', '.join(names[:SHOWN])}{more}")
    for column, count in report["non_finite"].items():
        typer.echo(f"kept {counted(count, 'value')} of {column}: NaN or infinite")


SHOWN = 20
"""Columns of a store that are printed."""


def verify(
    place: Annotated[str, typer.Argument(help="An event store or a limit cube.")], json: Json = False
) -> None:
    """Check every byte of a store or a cube; name what is damaged."""
    from storage.check import verify as check

    problems: list[Any] = [str(problem) for problem in check(place)]
    if json:
        print_json({"place": place, "problems": problems})
    else:
        for problem in problems:
            typer.echo(problem)
        typer.echo(f"{place}: {counted(len(problems), 'problem') if problems else 'sound'}")
    if problems:
        raise typer.Exit(2)
