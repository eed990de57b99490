"""`darkscan limit`: the limit of one counting experiment."""

from dataclasses import asdict
from typing import Annotated

import typer

from jobs.commands.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("limit")(limit)


def limit(
    observed: Annotated[int, typer.Option(help="Events observed in the signal region.")],
    background: Annotated[float | None, typer.Option(help="Expected background events.")] = None,
    background_error: Annotated[float, typer.Option(help="Its absolute uncertainty [events].")] = 0.0,
    off: Annotated[int | None, typer.Option(help="Events observed in the off region (sideband).")] = None,
    tau: Annotated[
        float | None, typer.Option(help="Background in the off region over that in the signal region.")
    ] = None,
    method: Annotated[str, typer.Option(help="cls, asymptotic, fc or bayesian.")] = "cls",
    cl: Annotated[float, typer.Option(help="Confidence level.")] = 0.9,
    background_shape: Annotated[
        str, typer.Option(help="Distribution of an uncertain background: gamma, lognormal or normal.")
    ] = "gamma",
    efficiency_error: Annotated[
        float, typer.Option(help="Relative uncertainty of the signal's efficiency.")
    ] = 0.0,
    efficiency_shape: Annotated[
        str, typer.Option(help="Its distribution: lognormal or normal.")
    ] = "lognormal",
    criterion: Annotated[str, typer.Option(help="cls, or clsb for CLs+b.")] = "cls",
    prior: Annotated[
        str, typer.Option(help="Bayesian prior: 'flat in yield', 'flat in coupling' or '1/sqrt(yield)'.")
    ] = "flat in yield",
    power: Annotated[float, typer.Option(help="Power of the coupling that the yield follows.")] = 2.0,
    interval: Annotated[
        str, typer.Option(help="Bayesian interval: limit (from 0 to the limit) or shortest.")
    ] = "limit",
    json: Json = False,
) -> None:
    """Set a limit on the signal events of one counting experiment."""
    from scanner.stats import calculate

    result = calculate(
        observed=observed,
        background=background,
        background_error=background_error,
        off=off,
        tau=tau,
        method=method,
        confidence_level=cl,
        background_shape=background_shape,
        efficiency_error=efficiency_error,
        efficiency_shape=efficiency_shape,
        criterion=criterion,
        prior=prior,
        power=power,
        interval=interval,
    )
    if json:
        print_json({"method": method, "confidence_level": cl, **asdict(result)})
        return
    typer.echo(f"upper limit at {100.0 * cl:.12g}% CL ({method}): {result.limit:.4f} events")
    quantiles = "  ".join(f"{value:.4f}" for value in result.expected)
    typer.echo(f"expected (2.5%, 16%, 50%, 84%, 97.5%): {quantiles}")
    typer.echo(f"interval: [{result.low:.4f}, {result.high:.4f}]")
    if result.treatment:
        typer.echo(f"uncertainties: {result.treatment}")
