"""The plan of a scan: what is checked before anything runs, and what it will cost."""

from jobs.plan import (
    WINDOWS_PER_SECOND,
    Estimate,
    FitBlock,
    Options,
    Plan,
    estimate,
    fit_blocks,
    pass_blocks,
    windows_a_block,
)
from jobs.scanning import counted, lived
from scanner import definition, engine, kernels, runnable
from scanner.definition import Search
from scanner.errors import InputError
from scanner.windows import systematics
from scanner.windows.axes import outer_points
from storage.events import EventStore
from storage.provenance import code_digest
from storage.samples import DATA_LIKE

UNBINNED, IN_FLIGHT = 200.0, 3e3
"""Limits a second of unbinned likelihoods, and along lifetimes: low ends of what is measured."""


def make_plan(search: Search, store: EventStore, url: str, options: Options) -> Plan:
    """Plan the scan of a store.

    Raises
    ------
    InputError
        If the engine cannot run the search, the method is unknown, or the store holds no data.
    """
    runnable.check_runnable(search)
    check_method(options.method, search)
    check_yields(search, options.method)
    data = [sample.kind in DATA_LIKE for sample in store.samples]
    used = {*counted.used_samples(search, store.samples), *lived.signal_samples(search, store.samples)}
    shards = [(shard.index, shard.rows) for shard in store.shards if shard.sample in used]
    if not engine.stated(search) and not any(data[shard.sample] for shard in store.shards):
        what = "holds zero rows of data" if any(data) else "holds no data"
        raise InputError(
            f"store {url} {what}: ingest files with --kind data, or generate more events of a search"
        )
    runnable.check_units(search, {name: info.unit for name, info in store.columns.items()})
    try:
        # A missing column is found before anything runs.
        engine.selections(search, tuple(store.columns))
        engine.lived_selections(search, tuple(store.columns))
    except InputError as error:
        raise InputError(
            f"search {search.name!r} does not fit store {url}: {error}\n"
            "Columns get other names by `ingest --columns NAME=OLD`, and new ones by `--derive`."
        ) from None
    luminosity = search.luminosity if engine.stated(search) else store.luminosity or search.luminosity
    counted.check_simulation(search, store.samples, luminosity)
    return Plan(
        search=search.canonical,
        store=url,
        store_digest=store.digest,
        method=options.method,
        seed=options.seed,
        luminosity=luminosity,
        code=code_digest(),
        cpu=kernels.instruction_set(),
        passes=tuple(pass_blocks(shards, options.rows_a_block)),
        fits=planned_fits(search, options),
    )


def planned_fits(search: Search, options: Options) -> tuple[FitBlock, ...]:
    """Return the blocks of windows of a search, each for all configurations and points of outer axes."""
    windows = windows_a_block(options.windows_a_block, limits_a_window(search))
    return tuple(fit_blocks(engine.lengths(search).items(), windows))


def limits_a_window(search: Search) -> int:
    """Count the configurations and points of outer axes that a window has limits at."""
    return len(search.configurations) * len(outer_points(search))


def make_stated_plan(search: Search, options: Options) -> Plan:
    """Plan the scan of a search whose numbers are published: it reads no events.

    Raises
    ------
    InputError
        If the engine cannot run the search, or the method is unknown.
    """
    runnable.check_runnable(search)
    check_method(options.method, search)
    return Plan(
        search=search.canonical,
        store="",
        store_digest="",
        method=options.method,
        seed=options.seed,
        luminosity=search.luminosity,
        code=code_digest(),
        cpu=kernels.instruction_set(),
        passes=(),
        fits=planned_fits(search, options),
    )


def plan_of(search: Search, store: str, options: Options) -> Plan:
    """Plan the scan of a store, or of a search that needs none.

    Raises
    ------
    InputError
        If a store is missing, or given to a search that has no use for it.
    """
    if not engine.reads(search):
        if store:
            raise InputError(
                f"search {search.name!r} states its counts, and reads no events: leave {store} out"
            )
        return make_stated_plan(search, options)
    if not store:
        raise InputError(
            f"search {search.name!r} reads events: name a store, made by `darkscan generate {search.name} "
            "STORE` or `darkscan ingest`"
        )
    return make_plan(search, EventStore.open(store), store, options)


def check_method(method: str, search: Search) -> None:
    """Refuse an unknown statistical method, or one that the search's likelihood has not."""
    possible = runnable.methods(search)
    if method not in possible:
        kind = " of an unbinned likelihood" if engine.unbinned(search) else ""
        raise InputError(f"unknown method {method!r}{kind}: take one of {', '.join(possible)}")


def check_yields(search: Search, method: str) -> None:
    """Refuse known yields that a method does not know."""
    if method == "counting":
        runnable.refuse_known_yields(search, f"a limit by {method}")


def check_sizes(search: Search) -> None:
    """Refuse systematics whose size nobody stated.

    Raises
    ------
    InputError
        With the remedy.
    """
    for term in systematics.in_limits(search):
        if term.estimate == "spurious_signal":
            raise InputError(
                f"the systematic {term.name!r} is of the size that a study finds: give the study with "
                "--spurious-signal, state a size such as '12 events', or 'in_limit: false'"
            )


def plan_cost(plan: Plan, workers: int) -> Estimate:
    """Estimate what a plan costs on a number of workers."""
    search = definition.from_json(plan.search)
    stored = tuple(EventStore.open(plan.store).columns) if plan.store else ()
    selections = engine.selections(search, stored)
    bins = sum(selection.empty().counts[0].size for selection in selections.values())
    columns = len({name for selection in selections.values() for name in selection.needed})
    rate = UNBINNED if engine.unbinned(search) else IN_FLIGHT if search.decays else WINDOWS_PER_SECOND
    return estimate(
        plan, columns=columns, bins=bins, workers=workers, points=limits_a_window(search), rate=rate
    )
