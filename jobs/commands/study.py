"""`darkscan study`: linearity, coverage and bias of a search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.output import Json, print_json, print_table
from jobs.commands.scans import Search, Seed, Workers, executor, show

if TYPE_CHECKING:
    from scanner.definition import Search as Definition


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(study)


def study(
    kind: Annotated[str, typer.Argument(help="linearity, coverage or bias.")],
    search: Search,
    output: Annotated[str, typer.Option("-o", "--output", help="The cube to write.")],
    store: Annotated[
        str, typer.Option(help="Event store that the background is taken from; generated events by default.")
    ] = "",
    luminosity: Annotated[str, typer.Option(help="Luminosity of the toys, such as 178/fb.")] = "",
    toys: Annotated[
        int | None,
        typer.Option(
            help="Pseudo-experiments; by default 100, and for bias the Asimov data set alone.", min=1
        ),
    ] = None,
    injected: Annotated[
        str, typer.Option(help="Signal strengths, in expected errors of the yield.")
    ] = "0,1,2,3,5",
    injected_events: Annotated[str, typer.Option(help="Signal strengths in events instead.")] = "",
    every: Annotated[int, typer.Option(help="Study every so-manyth mass of the scan.", min=1)] = 1,
    method: Annotated[str, typer.Option(help="Method of the limits; the definition's own by default.")] = "",
    seed: Seed = 0,
    workers: Workers = 0,
    toys_a_block: Annotated[int, typer.Option(help="Toys of a block.", min=1)] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted study.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Throw an earlier study away.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the study as well, to a .png, .pdf or .svg file.")
    ] = None,
    spurious_signal: Annotated[
        str, typer.Option("--spurious-signal", help="Bias study that sizes systematics of that name.")
    ] = "",
    systematic: Annotated[
        Path | None, typer.Option(help="Write the spurious signal of a bias as a systematic, in YAML.")
    ] = None,
    json: Json = False,
) -> None:
    """Study a search with pseudo-experiments: linearity, coverage or bias."""
    from jobs.studies import study as jobs_study
    from storage import cubes

    asked = luminosity_of(luminosity)
    found = load(search, spurious_signal, store, asked)
    options = jobs_study.Options(
        toys=toys,
        injected=numbers(injected_events or injected),
        in_events=bool(injected_events),
        every=every,
        method=method or found.method.limit,
        luminosity=asked,
        seed=seed,
        toys_a_block=toys_a_block,
    )
    how: dict[str, Any] = {"store": store, "options": options, "resume": resume, "overwrite": overwrite}
    with executor(workers) as chosen:
        cube = jobs_study.study(kind, found, output, executor=chosen, **how)
    report = summary(cube) | {"cube": output, "digest": cubes.digest(cube)}
    show_report(f"{kind} of {found.name} → {output}", report | files(cube, systematic, plot), json=json)


def load(search: str, spurious_signal: str, store: str, luminosity: float | None) -> "Definition":
    """Read the definition, with the size that an earlier study of the bias found."""
    from jobs.studies import spurious
    from scanner import definition
    from storage.events import EventStore

    found = definition.load(search)
    if not spurious_signal:
        return found
    known = EventStore.open(store).luminosity if store else None
    return spurious.with_spurious_signal(found, spurious_signal, luminosity or known or found.luminosity)


def luminosity_of(text: str) -> float | None:
    """Read a luminosity [fb⁻¹], or none."""
    from scanner import units

    return units.parse(text, "luminosity") if text else None


def files(cube: Any, systematic: Path | None, plot: Path | None) -> dict[str, str]:
    """Write what is asked for beside the cube; return the places."""
    found = {}
    if systematic is not None:
        found["systematic"] = str(write_systematic(cube, systematic))
    if plot is not None:
        found["plot"] = str(draw(cube, plot))
    return found


def show_report(title: str, report: dict[str, Any], *, json: bool) -> None:
    """Print what a study found, for people or as JSON."""
    if json:
        print_json(report)
        return
    print_table(title, ["", ""], [[key, line(value)] for key, value in report.items()])


def draw(cube: Any, path: Path) -> Path:
    """Draw a study into a file."""
    from scanner import plots

    return plots.save(plots.study_plot(cube), path)


def write_systematic(cube: Any, path: Path) -> Path:
    """Write the spurious signal of a study as a piece of a definition."""
    from scanner.studies.spurious import as_systematic

    path.write_text(as_systematic(cube))
    return path


def numbers(text: str) -> tuple[float, ...]:
    """Read `0,1,2`.

    Raises
    ------
    InputError
        If an item is no number.
    """
    from scanner.errors import InputError

    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise InputError(f"strengths {text!r}: write a list of numbers such as 0,1,2,3,5") from None


ALONG = {
    "linearity": ("pull_mean", "pull_width"),
    "coverage": ("coverage",),
    "bias": ("fitted_significance", "truth_quality"),
}
"""Variables that are summarised by the median over masses, for each strength or truth."""
MEDIANS = {"linearity": ("slope", "offset"), "coverage": (), "bias": ()}
LARGEST = {"linearity": (), "coverage": (), "bias": ("spurious_signal", "spurious_significance")}


def summary(cube: Any) -> dict[str, Any]:
    """Summarise the cube of a study by medians over masses, and the largest bias."""
    kind = cube.attrs["study"]
    report: dict[str, Any] = {"study": kind, "windows": cube.sizes[cube.limits.axis]}
    report["systematics"] = cube.attrs.get("systematics", "")
    if "toys_failed" in cube:
        report |= {"toys": cube.attrs["toys"], "toys_failed": float(cube["toys_failed"].sum())}
    for name in MEDIANS[kind]:
        report |= {name: float(cube[name].median())} if name in cube else {}
    for name in LARGEST[kind]:
        report[f"largest_{name}"] = float(cube[name].max())
    for name in ALONG[kind]:
        (dimension,) = [d for d in cube[name].dims if d in ("injected", "truth")]
        others = [d for d in cube[name].dims if d != dimension]
        values = cube[name].median(others).to_numpy().tolist()
        report[name] = dict(zip(map(str, cube[dimension].to_numpy().tolist()), values, strict=True))
    return report


def line(value: Any) -> str:
    """Write one value of a summary."""
    return (
        ", ".join(f"{key}: {show(item)}" for key, item in value.items())
        if isinstance(value, dict)
        else show(value)
    )
