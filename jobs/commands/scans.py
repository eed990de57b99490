"""`darkscan plan`, `scan` and `status`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from json import loads
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.output import Json, counted, print_json, print_table

if TYPE_CHECKING:
    from jobs.executors import Executor

Search = Annotated[str, typer.Argument(help="A built-in search or a definition file.")]
Store = Annotated[str, typer.Argument(help="An event store; none for a search whose counts are published.")]
Method = Annotated[
    str,
    typer.Option(
        help="auto, asymptotic, minos, counting, toys, bayesian, feldman_cousins; the definition's if empty."
    ),
]
Toys = Annotated[
    int | None,
    typer.Option(
        help="Toys a hypothesis, in place of the definition's; 0 lets auto count instead.",
        min=0,
        max=10_000_000,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0)]
RowsABlock = Annotated[int, typer.Option(help="Rows of a block of the pass.", min=1)]
WindowsABlock = Annotated[int, typer.Option(help="Windows of a block of fits.", min=1)]
Workers = Annotated[
    int, typer.Option(help="Worker processes on this machine; 0 runs in this process.", min=0, max=1024)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(plan)
    app.command()(scan)
    app.command()(status)


def _loaded(search: str, toys: int | None) -> Any:
    """Return the definition, with another number of toys where one is given."""
    from scanner import definition

    found = definition.load(search)
    return found if toys is None else definition.with_toys(found, toys)


def plan(
    search: Search,
    store: Store = "",
    method: Method = "",
    toys: Toys = None,
    workers: Workers = 1,
    rows_a_block: RowsABlock = 1 << 24,
    windows_a_block: WindowsABlock = 256,
    json: Json = False,
) -> None:
    """Show blocks, memory and time of a scan."""
    from jobs.plan import Options
    from jobs.scanning import planning

    found = _loaded(search, toys)
    options = Options(method or found.method.limit, 0, rows_a_block, windows_a_block)
    made = planning.plan_of(found, store, options)
    cost = planning.plan_cost(made, workers)
    if json:
        print_json({"scan_identity": made.scan_identity, "method": made.method, **asdict(cost)})
        return
    rows = [
        ["rows", f"{cost.rows:,}", counted(cost.pass_blocks, "block")],
        ["windows", f"{cost.windows:,}", counted(cost.fit_blocks, "block")],
        ["limits", f"{cost.limits:,}", ""],
        ["memory a worker", f"{cost.memory / 1e6:.0f} MB", ""],
        ["time", f"{cost.seconds:.1f} s", f"{counted(max(1, workers), 'worker')}, without start-up and toys"],
    ]
    print_table(f"plan of {found.name}, {made.scan_identity[:12]}", ["", "amount", ""], rows)


def scan(
    search: Search,
    output: Annotated[str, typer.Option("-o", "--output", help="The limit cube to write.")],
    store: Store = "",
    workers: Workers = 0,
    method: Method = "",
    toys: Toys = None,
    seed: Seed = 0,
    rows_a_block: RowsABlock = 1 << 24,
    windows_a_block: WindowsABlock = 256,
    spurious_signal: Annotated[
        str, typer.Option("--spurious-signal", help="Bias study that sizes systematics of that name.")
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted scan.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Throw an earlier scan away.")] = False,
    json: Json = False,
) -> None:
    """Scan an event store into a limit cube."""
    from jobs import scan as jobs_scan
    from jobs.places import run_place
    from jobs.plan import Options
    from jobs.scanning import additions
    from jobs.studies import spurious
    from storage import cubes
    from storage.events import EventStore

    found = _loaded(search, toys)
    if spurious_signal:
        luminosity = EventStore.open(store).luminosity or found.luminosity
        found = spurious.with_spurious_signal(found, spurious_signal, luminosity)
    options = Options(method or found.method.limit, seed, rows_a_block, windows_a_block)
    loses = overwrite and additions.present(run_place(output))
    with executor(workers) as chosen:
        cube = jobs_scan.scan(
            found, store, output, executor=chosen, options=options, resume=resume, overwrite=overwrite
        )
    report = describe(cube) | {"cube": output, "digest": cubes.digest(cube)}
    if loses:
        report |= {"global_significance": "thrown away with the earlier scan: `darkscan significance` again"}
    if json:
        print_json(report)
        return
    print_table(f"{found.name} → {output}", ["", ""], [[name, show(value)] for name, value in report.items()])


@contextmanager
def executor(workers: int) -> "Iterator[Executor]":
    """Make the executor that the options ask for, and close its cluster afterwards."""
    from jobs.executors import DaskExecutor, SerialExecutor, local_cluster

    if workers == 0:
        yield SerialExecutor()
        return
    with local_cluster(workers) as client:
        yield DaskExecutor(client)


def describe(cube: Any) -> dict[str, Any]:
    """Summarise a cube: windows, statuses, methods, the largest excess and its global significance."""
    import scanner.query  # noqa: F401 - registers the accessor

    report: dict[str, Any] = {"windows": cube["region"].size}
    if len(cube.limits.axes) > 1:
        report["scanned"] = int((~cube.limits.has_status("outside_scan")).sum())
    for name in ("status", "method"):
        values = cube[name].to_numpy()
        found = {word: int((values == code).sum()) for code, word in cube.limits.flags(name).items()}
        report[name] = {word: count for word, count in found.items() if count}
    if "outliers" in cube and bool(cube["outliers"].any()):
        report["outliers"] = int((cube["outliers"] > 0).sum())
    if "luminosity" in cube.attrs:
        report["luminosity"] = f"{cube.attrs['luminosity']:g} fb^-1, {_luminosity_source(cube.attrs)}"
    report["systematics"] = cube.attrs.get("systematics", "")
    merged = loads(cube.attrs.get("merged_bins", "{}"))
    if any(merged.values()):
        report["merged_bins"] = {
            name: f"{sum(count for _, _, count in bins)} stated ones to {len(bins)}, which few rows simulate"
            for name, bins in merged.items()
        }
    tied = cube.limits.tied()
    if tied.any():
        count = int(tied.sum())
        report["limits_that_systematics_lower"] = f"in up to {count} windows of few events: take auto"
    report["largest_excess"] = _excess(cube) if cube.limits.has_significance() else None
    if "p_global" in cube.attrs:
        names = ("p_global", "z_global", "p_global_method", "p_global_toys")
        report["global_significance"] = {name: cube.attrs[name] for name in names}
    return report


def _luminosity_source(attributes: Mapping[Any, Any]) -> str:
    """Say where the luminosity of a cube is from, and how to state that of one's own data."""
    if attributes.get("luminosity_source") == "store":
        return "of the store"
    if attributes.get("data_kind") == "published counts":
        return "of the published counts"
    return "of the definition: state that of your own data by `ingest --luminosity`"


def _excess(cube: Any) -> dict[str, Any]:
    """Describe the largest excess; its place is told apart from its mass in a plane."""
    found = asdict(cube.limits.largest_excess())
    return found if len(found["place"]) > 1 else {name: v for name, v in found.items() if name != "place"}


def show(value: Any) -> str:
    """Write one value of a report on a line."""
    if value is None:
        return "no window has a significance"
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def status(
    cube: Annotated[str, typer.Argument(help="The cube that a scan writes.")], json: Json = False
) -> None:
    """Show how far a scan is; exit code 3 while it is incomplete."""
    from jobs import scan as jobs_scan

    found = jobs_scan.status(cube)
    if json:
        print_json(asdict(found))
    else:
        state = "complete" if found.complete else "incomplete: --resume goes on"
        typer.echo(f"{found.done:,} of {found.blocks:,} blocks done, {found.damaged:,} damaged, {state}")
    if not found.complete:
        raise typer.Exit(3)
