"""The main job: event store in, limit cube out, by parts that can be killed and resumed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import scanner.query  # noqa: F401 - gives cubes the accessor `limits`
from jobs import additions, blocks, counted, lived, work
from jobs.executors import Executor, Task
from jobs.plan import FOLD, ROWS_A_BLOCK, WINDOWS_A_BLOCK, Estimate, Plan, estimate, fit_blocks, pass_blocks
from scanner import cube as cubes
from scanner import definition, engine, kernels, runnable
from scanner.definition import Search
from scanner.errors import InputError
from scanner.windows import systematics
from scanner.windows.channels import views
from storage import cubes as cube_store
from storage.events import EventStore
from storage.locations import Location
from storage.parts import PartStore
from storage.provenance import code_digest, versions
from storage.samples import DATA_LIKE


@dataclass(frozen=True)
class Options:
    """How a scan is run; none of it changes a number but `method` and `seed`."""

    method: str = "auto"
    seed: int = 0
    rows_a_block: int = ROWS_A_BLOCK
    windows_a_block: int = WINDOWS_A_BLOCK


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
    if not any(data[shard.sample] for shard in store.shards):
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
    luminosity = store.luminosity or search.luminosity
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
        fits=tuple(fit_blocks(engine.lengths(search).items(), options.windows_a_block)),
    )


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
        fits=tuple(fit_blocks(engine.lengths(search).items(), options.windows_a_block)),
    )


def plan_of(search: Search, store: str, options: Options) -> Plan:
    """Plan the scan of a store, or of a search that needs none.

    Raises
    ------
    InputError
        If a store is missing, or given to a search that has no use for it.
    """
    if engine.stated(search):
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
    if method == "counting" or systematics.included(search) == "nothing":
        runnable.refuse_known_yields(search, f"a limit by {method}")


def check_sizes(search: Search) -> None:
    """Refuse systematics whose size nobody stated.

    Raises
    ------
    InputError
        With the remedy.
    """
    for term in systematics.in_limits(search) if systematics.included(search) != "nothing" else ():
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
    return estimate(plan, columns=columns, bins=bins, workers=workers)


def run_place(cube: str) -> str:
    """Return where the plan and the parts of a cube are kept: beside it."""
    return cube.rstrip("/") + ".run"


def start(plan: Plan, cube: str, *, resume: bool, overwrite: bool) -> work.Run:
    """Write the plan down, or find the one that is being resumed.

    Raises
    ------
    InputError
        If a run is there already and is neither resumed nor overwritten, or is of another scan.
    """
    place = Location(run_place(cube))
    if overwrite:
        Location(cube).remove_tree(cube_store.RECORD)
        place.remove_tree(work.PLAN)
    if not place.exists(work.PLAN):
        if not Location(cube).is_empty():
            raise InputError(f"{cube} is there already: choose another -o, or --overwrite it")
        place.replace(work.PLAN, plan.to_json())
    elif not resume:
        raise InputError(f"a scan into {cube} was started before: --resume it, or --overwrite it")
    run = work.open_run(run_place(cube))
    if run.plan.scan_identity != plan.scan_identity:
        raise InputError(
            f"the scan begun in {run_place(cube)} is of another definition, store, method or seed: "
            "--overwrite it, or choose another -o"
        )
    return run


def remaining(run: work.Run, keys: Sequence[str]) -> tuple[str, ...]:
    """List the keys without a sound part; damaged parts are thrown away first."""
    return blocks.remaining(run.parts, keys)


def finish(
    run: work.Run, executor: Executor, *, label: str, keys: Sequence[str], weight: Callable[[str], int]
) -> None:
    """Run what remains of some blocks until the store of parts holds them all.

    Raises
    ------
    IncompleteError
        If a round over what remains commits nothing more.
    """
    task = Task(work.execute, run.ticket, run.parts.keys)
    unit = "rows" if label == "pass" else "windows"
    blocks.finish(task, run.parts, executor, keys=keys, label=label, unit=unit, weight=weight)


def run_passes(run: work.Run, executor: Executor) -> None:
    """Fill and sum the histograms, as far as that is not done."""
    rows = {block.key: block.rows for block in run.plan.passes}
    if remaining(run, (FOLD,)):
        finish(run, executor, label="pass", keys=tuple(rows), weight=rows.__getitem__)
        work.fold(run)


def run_scan(run: work.Run, executor: Executor) -> None:
    """Do whatever of a run is not done: passes, their sum, fits."""
    run_passes(run, executor)
    windows = {block.key: block.last - block.first for block in run.plan.fits}
    finish(run, executor, label="limits", keys=tuple(windows), weight=windows.__getitem__)


def assemble(run: work.Run) -> xr.Dataset:
    """Collect the parts of a complete run into the limit cube."""
    found: dict[tuple[int, int], dict[str, list[dict[str, Any]]]] = {}
    for block in run.plan.fits:
        parts: dict[tuple[int, int], dict[str, Any]] = {}
        for key, array in run.parts.read(block.key).arrays.items():
            number, point, name = key.split(".", 2)
            parts.setdefault((int(number), int(point)), {})[name] = array
        for place, part in parts.items():
            found.setdefault(place, {}).setdefault(block.region, []).append(part)
    cube = cubes.assemble(run.search, run.counting or run.grids, found, attributes(run))
    return cube.assign(cutflows(run))


def attributes(run: work.Run) -> dict[str, Any]:
    """Return the attributes of the cube that come from the run."""
    plan = run.plan
    found = events(run) | {
        "statistical_method": plan.method,
        "seed": plan.seed,
        "scan_identity": plan.scan_identity,
        "store_digest": plan.store_digest,
        "code_digest": plan.code,
        "instruction_set": plan.cpu,
        "systematics": systematics.describe(run.search),
        **{f"version_{name}": version for name, version in versions().items()},
        **additions.kept(run.place),
    }
    for region in counted.of_data(run.histograms):
        histogram = run.histograms[region]
        found[f"candidates_outside_{region}"] = int(histogram.outside.sum())
        found[f"candidates_not_finite_{region}"] = int(histogram.not_finite.sum())
    return found


def events(run: work.Run) -> dict[str, Any]:
    """Return the attributes that say what the limits are from."""
    stated = engine.stated(run.search)
    luminosity = {
        "luminosity": run.plan.luminosity,
        "luminosity_source": "definition" if stated or not run.store.luminosity else "store",
    }
    found: dict[str, Any] = luminosity if run.plan.luminosity is not None else {}
    if stated:
        return found | {"data_kind": "published counts"}
    missing = {name: count for name, count in sorted(run.store.non_finite().items()) if count}
    kinds = sorted({sample.kind for sample in run.store.samples if sample.kind in DATA_LIKE})
    return found | {"data_kind": ", ".join(kinds), "non_finite_in_store": json.dumps(missing)}


def cutflows(run: work.Run) -> dict[str, xr.DataArray]:
    """Return the candidates left after each cut, (region, cut), summed over nothing but the rows.

    Several channels have a cutflow each, under their names.
    """
    if engine.stated(run.search):
        return {}
    if len(run.search.channels) == 1:
        (channel,) = run.search.channels
        return {"cutflow": cutflow(run, channel, "cut")}
    return {f"cutflow_{name}": cutflow(run, name, f"cut_{name}") for name in run.search.channels}


def cutflow(run: work.Run, channel: str, dimension: str) -> xr.DataArray:
    """Return the cutflow of a channel, its cuts along a dimension of that name."""
    names = {region: engine.pass_name(run.search, region, channel) for region in run.counting or run.grids}
    flows = np.stack([run.histograms[name].cutflow[0] for name in names.values()])
    single = views(run.search)[channel]
    labels = ["all", *engine.cuts(single, single.channels[channel])][: flows.shape[1]]
    coordinates = {"channel_region": list(names), dimension: labels}
    attributes = {"units": "1", "long_name": "candidates left after the cuts so far"}
    return xr.DataArray(flows, coordinates, dims=("channel_region", dimension), attrs=attributes)


def scan(
    search: Search,
    store: str,
    cube: str,
    *,
    executor: Executor,
    options: Options = Options(),
    resume: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """Scan an event store into a limit cube.

    Parameters
    ----------
    search : Search
        The definition.
    store, cube : str
        Paths or URLs; plan and parts are kept beside the cube, in `<cube>.run`. A search whose counts are
        published takes "" for a store.
    executor : Executor
        Serial or Dask.
    options : Options
        Method, seed and block sizes.
    resume, overwrite : bool
        Go on with a run that was interrupted, or throw it away.

    Returns
    -------
    xarray.Dataset
        The cube as written.

    Raises
    ------
    InputError, StorageError, IncompleteError
    """
    check_sizes(search)
    plan = plan_of(search, store, options)
    run = start(plan, cube, resume=resume, overwrite=overwrite)
    run_scan(run, executor)
    cube_store.write(assemble(run), cube, overwrite=True)
    return cube_store.open(cube)


@dataclass(frozen=True)
class Status:
    """How far a run is: blocks done and in all, and whether the cube is there."""

    done: int
    blocks: int
    damaged: int
    complete: bool


def status(cube: str) -> Status:
    """Tell how far the scan into a cube is.

    Raises
    ------
    InputError
        If no scan into that cube was started.
    """
    place, complete = Location(run_place(cube)), Location(cube).exists(cube_store.RECORD)
    if not place.exists(work.PLAN) and complete:
        return Status(0, 0, 0, complete)
    if not place.exists(work.PLAN):
        raise InputError(
            f"no scan into {cube} was started: `darkscan scan SEARCH STORE -o {cube}` starts one"
        )
    plan = Plan.from_json(place.read(work.PLAN))
    parts = PartStore(place.child(work.PARTS))
    done = set(parts.keys()) & set(plan.keys())
    return Status(len(done), len(plan.keys()), len(parts.damaged()), complete)
