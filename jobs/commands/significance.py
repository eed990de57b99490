"""`darkscan significance`: how likely the largest excess of a scan is anywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.output import Json, counted, print_json, print_table
from jobs.commands.scans import Workers, executor

if TYPE_CHECKING:
    from scanner.stats.look_elsewhere import Crossings, GlobalP, GlobalSignificance


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(significance)


def significance(
    cube: Annotated[str, typer.Argument(help="A limit cube, with its run beside it.")],
    method: Annotated[str, typer.Option(help="toys or upcrossings.")] = "toys",
    toys: Annotated[
        int, typer.Option(help="Toys; 0 takes 1000, or 100 for upcrossings.", min=0, max=100_000_000)
    ] = 0,
    workers: Workers = 0,
    toys_a_block: Annotated[int, typer.Option(help="Toys of a block.", min=1)] = 50,
    plot: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg of the toys' maxima.")] = None,
    json: Json = False,
) -> None:
    """Find the global significance of the largest excess, and write it into the cube.

    Toys of the whole spectrum pass through all windows as the data did. The same command again adds only
    toys that are missing.
    """
    from jobs.studies import significance as jobs_significance

    options = jobs_significance.Options(method, toys, toys_a_block)
    kept: list[Any] = []
    with executor(workers) as chosen:
        found = jobs_significance.significance(cube, executor=chosen, options=options, report=kept.append)
    if plot is not None:
        from scanner import plots
        from storage import cubes

        attributes = cubes.open(cube).attrs
        plots.save(plots.toy_maxima_plot(kept[0].maximum, found.excess.z, attributes=attributes), plot)
    if json:
        print_json({"cube": cube} | found.attributes() | {"upcrossings_valid": found.upcrossings_valid})
        return
    print_table(f"largest excess of {cube}", ["", "", ""], rows(found))
    if not found.upcrossings_valid:
        few = counted(found.excess.few, "window")
        typer.echo(f"upcrossings are not valid here: {few} of {found.excess.windows:,} with few events")


def rows(found: "GlobalSignificance") -> list[list[str]]:
    """Write the result line by line."""
    excess = found.excess
    return [
        ["mass", f"{excess.mass:.5g} GeV", f"region {excess.region}, {excess.configuration}".rstrip(", ")],
        ["local significance", f"{excess.z:.3g}", counted(excess.windows, "window")],
        ["global significance", f"{found.best.z:.3g}", f"by {found.method}"],
        ["p_global by toys", chance(found.by_toys), _toys(found)],
        ["p_global by upcrossings", chance(found.by_upcrossings), f"above {found.crossings.level:g}"],
        ["upcrossings", mean(found.crossings), f"every second window {mean(found.crossings_half)}"],
    ]


def _toys(found: "GlobalSignificance") -> str:
    return f"{counted(found.toys, 'toy')}, {found.toys_failed:,} failed"


def chance(p: "GlobalP") -> str:
    """Write a p-value with its interval."""
    return f"{p.p:.3g} ({p.low:.3g} to {p.high:.3g})"


def mean(crossings: "Crossings") -> str:
    """Write a mean with its error."""
    return f"{crossings.mean:.3g} ± {crossings.error:.2g}"
