"""The main job: event store in, limit cube out, by parts that can be killed and resumed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import xarray as xr

import scanner.query  # noqa: F401 - gives cubes the accessor `limits`
from jobs import blocks
from jobs.executors import Executor, Task
from jobs.places import run_place
from jobs.plan import FOLD, Options, Plan
from jobs.scanning import work
from jobs.scanning.collecting import assemble
from jobs.scanning.passes import fold
from jobs.scanning.planning import check_sizes, plan_of
from jobs.scanning.run import PLAN, Run, open_run
from scanner.definition import Search
from scanner.errors import InputError
from storage import cubes as cube_store
from storage.locations import Location
from storage.parts import PartStore


def start(plan: Plan, cube: str, *, resume: bool, overwrite: bool) -> Run:
    """Write the plan down, or find the one that is being resumed.

    Raises
    ------
    InputError
        If a run is there already and is neither resumed nor overwritten, or is of another scan.
    """
    place = Location(run_place(cube))
    if overwrite:
        Location(cube).remove_tree(cube_store.RECORD)
        place.remove_tree(PLAN)
    if not place.exists(PLAN):
        if not Location(cube).is_empty():
            raise InputError(f"{cube} is there already: choose another -o, or --overwrite it")
        place.replace(PLAN, plan.to_json())
    elif not resume:
        raise InputError(f"a scan into {cube} was started before: --resume it, or --overwrite it")
    run = open_run(run_place(cube))
    if run.plan.scan_identity != plan.scan_identity:
        raise InputError(
            f"the scan begun in {run_place(cube)} is of another definition, store, method or seed: "
            "--overwrite it, or choose another -o"
        )
    return run


def remaining(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    """List the keys without a sound part; damaged parts are thrown away first."""
    return blocks.remaining(run.parts, keys)


def finish(
    run: Run, executor: Executor, *, label: str, keys: Sequence[str], weight: Callable[[str], int]
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


def run_passes(run: Run, executor: Executor) -> None:
    """Fill and sum the histograms, as far as that is not done."""
    rows = {block.key: block.rows for block in run.plan.passes}
    if remaining(run, (FOLD,)):
        finish(run, executor, label="pass", keys=tuple(rows), weight=rows.__getitem__)
        fold(run)


def run_scan(run: Run, executor: Executor) -> None:
    """Do whatever of a run is not done: passes, their sum, fits."""
    run_passes(run, executor)
    windows = {block.key: block.last - block.first for block in run.plan.fits}
    finish(run, executor, label="limits", keys=tuple(windows), weight=windows.__getitem__)


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
    if not place.exists(PLAN) and complete:
        return Status(0, 0, 0, complete)
    if not place.exists(PLAN):
        raise InputError(
            f"no scan into {cube} was started: `darkscan scan SEARCH STORE -o {cube}` starts one"
        )
    plan = Plan.from_json(place.read(PLAN))
    parts = PartStore(place.child(blocks.PARTS))
    done = set(parts.keys()) & set(plan.keys())
    return Status(len(done), len(plan.keys()), len(parts.damaged()), complete)
