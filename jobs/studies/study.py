"""Studies as jobs: expected background in, a cube of linearity, coverage or bias out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

import scanner.query  # noqa: F401 - gives cubes the accessor `limits`
from jobs import blocks
from jobs.blocks import Job
from jobs.executors import Executor, Task
from jobs.places import run_place
from jobs.scanning import planning
from jobs.studies.blocks import ASIMOV, TRUTH, Study, assemble, execute, region_and_toys
from jobs.studies.truths import commit_truths
from scanner import engine, runnable, simulation
from scanner.definition import Search
from scanner.errors import InputError
from scanner.studies import GROUP, STUDIES, TRUTHS
from scanner.studies.injected import MODEL
from scanner.windows import systematics
from scanner.windows.filled import uses_templates
from storage import cubes as cube_store
from storage.events import EventStore
from storage.locations import Location

MOST_EVENTS = 2_000_000
"""Events that are produced for a truth; at a larger luminosity it is scaled up."""


TOYS = {"linearity": 100, "coverage": 100, "bias": 0}
"""Pseudo-experiments of each kind of study, unless one asks for others."""


@dataclass(frozen=True)
class Options:
    """How a study is done; all but `toys_a_block` may influence a number.

    Attributes
    ----------
    toys : int or None
        Pseudo-experiments; None is 100, and none for the bias, which the Asimov data set gives.
    injected : tuple of float
        Signal strengths: in units of the expected error of each window, or events if `in_events`.
    every : int
        Every so-manyth mass of the scan is studied.
    method : str
        Method of the limits whose coverage is studied.
    luminosity : float or None
        [fb⁻¹]; that of the store, or of the definition, by default.
    seed : int
    events : int
        Events produced at most for a truth by the embedded generator.
    toys_a_block : int
        Rounded up to whole groups of `GROUP`.
    """

    toys: int | None = None
    injected: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 5.0)
    in_events: bool = False
    every: int = 1
    method: str = "auto"
    luminosity: float | None = None
    seed: int = 0
    events: int = MOST_EVENTS
    toys_a_block: int = GROUP


def study(
    kind: str,
    search: Search,
    cube: str,
    *,
    executor: Executor,
    store: str = "",
    options: Options = Options(),
    resume: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """Study a search into a cube.

    Parameters
    ----------
    kind : str
        A key of `scanner.studies.STUDIES`.
    search : Search
    cube : str
        Path or URL; what the study needs on the way is kept beside it, in `<cube>.run`.
    executor : Executor
        Serial or Dask.
    store : str
        Event store whose spectrum the background truths describe; without it, events of the embedded
        generator.
    options : Options
    resume, overwrite : bool
        Go on with a study that was interrupted, or throw it away.

    Returns
    -------
    xarray.Dataset
        The cube as written.

    Raises
    ------
    InputError, StorageError, IncompleteError
    """
    job = make_job(kind, search, store, options)
    place = run_place(cube)
    if overwrite:
        Location(cube).remove_tree(cube_store.RECORD)
    elif not Location(place).exists(blocks.JOB) and not Location(cube).is_empty():
        raise InputError(f"{cube} is there already: choose another -o, or --overwrite it")
    opened = blocks.begin(job, place, resume=resume, overwrite=overwrite)
    if blocks.remaining(opened.parts, (TRUTH,)):
        commit_truths(opened, store, executor)
    blocks.finish(
        Task(execute, opened.ticket, opened.parts.keys),
        opened.parts,
        executor,
        keys=opened.job.keys,
        label=kind,
        unit="toys",
        weight=_weight,
    )
    cube_store.write(assemble(Study(opened)), cube, overwrite=True)
    return cube_store.open(cube)


def make_job(kind: str, search: Search, store: str, options: Options) -> Job:
    """Write down what a study depends on, and its blocks.

    Raises
    ------
    InputError
        If the kind or the method is unknown, an option has no sense, or the engine cannot run the search.
    """
    if kind not in STUDIES:
        raise InputError(f"unknown study {kind!r}: take one of {', '.join(STUDIES)}")
    runnable.check_runnable(search)
    runnable.refuse_counts(search, "a study")
    runnable.refuse_curves(search, "a study")
    runnable.refuse_known_yields(search, "a study")
    if kind == "bias" and uses_templates(search):
        raise InputError(
            "templates from samples are their own truth: there is no bias of their shape to study"
        )
    planning.check_method(options.method, search)
    _check_numbers(options)
    there, luminosity, produced = _source(search, store, options)
    toys = TOYS[kind] if options.toys is None else options.toys
    facts = {
        "search": search.canonical,
        "source": there,
        "luminosity": luminosity,
        "produced_luminosity": produced,
        "scale": 1.0 if luminosity is None or produced is None else luminosity / produced,
        "toys": toys,
        "injected": [] if kind == "bias" else list(options.injected),
        "in_events": options.in_events,
        "every": options.every,
        "method": options.method,
        "seed": options.seed,
        "truths": _truths(kind, search),
        **_systematics(kind, search),
    }
    regions = list(engine.grids(search))
    return Job.of(kind, facts, tuple(_keys(regions, toys, options.toys_a_block)))


def _truths(kind: str, search: Search) -> list[str]:
    """Return the names of the backgrounds that are thrown; templates throw what they expect."""
    if uses_templates(search):
        return [MODEL]
    return list(TRUTHS) if kind == "bias" else list(TRUTHS)[:1]


def _systematics(kind: str, search: Search) -> dict[str, str]:
    """Say which systematics enter a study: those of limits in its fits, in those of a bias none.

    Raises
    ------
    InputError
        If one of them has no size yet.
    """
    if kind == "bias":
        return {"include": "nothing", "systematics": "none: a bias is that of the background's shape alone"}
    planning.check_sizes(search)
    return {"include": "everything", "systematics": systematics.describe(search)}


def _check_numbers(options: Options) -> None:
    wrong = {
        f"{options.toys} toys": options.toys is not None and options.toys < 1,
        f"every {options.every}th mass": options.every < 1,
        f"{options.toys_a_block} toys a block": options.toys_a_block < 1,
        f"{options.events} events": options.events < 1,
        f"luminosity {options.luminosity} fb^-1": options.luminosity is not None
        and not (np.isfinite(options.luminosity) and options.luminosity > 0.0),
        f"injected strengths {list(options.injected)}": not options.injected
        or not all(np.isfinite(x) and x >= 0.0 for x in options.injected),
    }
    for text, found in wrong.items():
        if found:
            raise InputError(f"{text}: give positive, finite numbers (strengths may be 0)")


def _source(search: Search, store: str, options: Options) -> tuple[str, float | None, float | None]:
    """Name the source, the luminosity of the study, and that of the source [fb⁻¹]."""
    if store:
        opened = EventStore.open(store)
        if options.luminosity is not None and opened.luminosity is None:
            raise InputError(
                f"store {store} has no luminosity, so there is nothing to scale: leave --luminosity"
            )
        return f"store {opened.digest}", options.luminosity or opened.luminosity, opened.luminosity
    backgrounds = [p for p in search.simulation if p.role == "background"]
    if not backgrounds:
        raise InputError(
            f"search {search.name!r} names no background processes to generate: give --store with events"
        )
    target = options.luminosity or search.luminosity
    if target is None:
        raise InputError(f"search {search.name!r} states no luminosity: give --luminosity, such as 178/fb")
    rate = sum(
        simulation.expected_events(
            p.process, sqrt_s=search.sqrt_s, luminosity=1.0, parameters=dict(p.parameters)
        )
        for p in backgrounds
    )
    return "generator", target, min(target, options.events / rate)


def _keys(regions: Sequence[str], toys: int, size: int) -> Iterator[str]:
    whole = -(-size // GROUP) * GROUP
    for region in regions:
        yield f"{region}-{ASIMOV}"
        for first in range(0, toys, whole):
            yield f"{region}-{first:07d}-{min(toys, first + whole):07d}"


def _weight(key: str) -> float:
    _, bounds = region_and_toys(key)
    return 1.0 if bounds is None else float(bounds[1] - bounds[0])
