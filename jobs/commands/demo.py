"""`darkscan demo`: the main job on generated events, end to end."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import Json, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for store, cube and plots.")] = Path(
        "demo"
    ),
    workers: Annotated[int, typer.Option(help="Worker processes; 0 runs in this process.", min=0)] = 2,
    json: Json = False,
) -> None:
    """Generate Z′→μμ events with a signal, scan them, project to 50 ab⁻¹, and draw the limits."""
    from jobs import demo as jobs_demo

    report = jobs_demo.run(output, workers, say=lambda text: typer.echo(text, err=True))
    if json:
        print_json(report)
        return
    found, injected = report["recovered"], report["injected"]
    print_table(
        "the injected signal",
        ["", "injected", "recovered"],
        [
            ["mass [GeV]", f"{injected['mass']:.4f}", f"{found['mass']:.4f}"],
            [
                "yield",
                f"{injected['yield']:.1f}",
                f"{found['signal_yield']:.1f} ± {found['signal_yield_error']:.1f}",
            ],
            ["local significance", "", f"{found['z_local']:.1f}"],
        ],
    )
    print_table(
        f"median expected limits at {report['projection_mass']:g} GeV",
        ["luminosity", "σ×B [fb]", "g′"],
        [
            [f"{row['luminosity']:g} fb^-1", f"{row['cross_section']:.3g}", f"{row['coupling']:.3g}"]
            for row in report["projection"]
        ],
    )
    for name, path in report["paths"].items():
        typer.echo(f"{name}: {path}")
