"""Studies as jobs: expected background in, a cube of linearity, coverage or bias out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import xarray as xr

import scanner.query  # noqa: F401 - gives cubes the accessor `limits`
from jobs import blocks, scan
from jobs.blocks import Job, OpenJob
from jobs.executors import Executor, Task
from jobs.generate import PLAN, generate
from scanner import definition, engine, simulation
from scanner.definition import Search
from scanner.errors import InputError
from scanner.studies import GROUP, STUDIES, TRUTHS, bias, coverage, linearity
from scanner.studies.bench import Bench, Source, choose_windows, fit_truths
from scanner.studies.cases import Cases, Variables, cases_of, grouped, total
from scanner.studies.cube import assemble as assemble_cube
from storage import cubes as cube_store
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.provenance import versions

TRUTH = "truth"
"""Key of the part with the background truths."""
ASIMOV = "asimov"
MOST_EVENTS = 2_000_000
"""Events that are produced for a truth; at a larger luminosity it is scaled up."""


@dataclass(frozen=True)
class Options:
    """How a study is done; all but `toys_a_block` may influence a number.

    Attributes
    ----------
    toys : int
        Pseudo-experiments.
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

    toys: int = 100
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
    place = scan.run_place(cube)
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
    engine.check_runnable(search)
    scan.check_method(options.method)
    _check_numbers(options)
    there, luminosity, produced = _source(search, store, options)
    toys = 0 if kind == "bias" else options.toys
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
        "truths": list(TRUTHS) if kind == "bias" else list(TRUTHS)[:1],
    }
    regions = list(engine.grids(search))
    return Job.of(kind, facts, tuple(_keys(regions, toys, options.toys_a_block)))


def _check_numbers(options: Options) -> None:
    wrong = {
        f"{options.toys} toys": options.toys < 1,
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
    target = options.luminosity or search.luminosity
    if target is None:
        raise InputError(f"search {search.name!r} states no luminosity: give --luminosity, such as 178/fb")
    rate = sum(
        simulation.expected_events(
            p.process, sqrt_s=search.sqrt_s, luminosity=1.0, parameters=dict(p.parameters)
        )
        for p in search.simulation
        if p.role == "background"
    )
    if not rate > 0.0:
        raise InputError(
            f"search {search.name!r} names no background processes under 'simulation': give --store"
        )
    return "generator", target, min(target, options.events / rate)


def _keys(regions: Sequence[str], toys: int, size: int) -> Iterator[str]:
    whole = -(-size // GROUP) * GROUP
    for region in regions:
        yield f"{region}-{ASIMOV}"
        for first in range(0, toys, whole):
            yield f"{region}-{first:07d}-{min(toys, first + whole):07d}"


def region_and_toys(key: str) -> tuple[str, tuple[int, int] | None]:
    """Return the region of a key, and its first toy and one past the last; None for the Asimov data set."""
    if key.endswith(f"-{ASIMOV}"):
        return key.removesuffix(f"-{ASIMOV}"), None
    region, first, last = key.rsplit("-", 2)
    return region, (int(first), int(last))


def _weight(key: str) -> float:
    _, bounds = region_and_toys(key)
    return 1.0 if bounds is None else float(bounds[1] - bounds[0])


def commit_truths(opened: OpenJob, store: str, executor: Executor) -> None:
    """Fill the spectra of the source, fit the truths, and commit them."""
    facts = opened.job.facts
    search = definition.from_json(facts["search"])
    if not store:
        store = f"{opened.place}/events"
        produce(search, store, facts, executor)
    plan = scan.make_plan(search, EventStore.open(store), store, scan.Options("asymptotic", facts["seed"]))
    run = scan.start(plan, f"{opened.place}/spectrum", resume=True, overwrite=False)
    scan.run_passes(run, executor)
    arrays = {}
    for region, histogram in run.histograms.items():
        for number in range(len(search.configurations)):
            source = Source(run.grids[region], histogram.counts[number], facts["scale"])
            found = fit_truths(source, facts["truths"], facts["every"])
            for name, expectation in found.expectations.items():
                arrays[f"{number}.{region}.{name}"] = expectation
                arrays[f"{number}.{region}.{name}.quality"] = np.array([found.quality[name]])
    opened.parts.commit(TRUTH, arrays)


def produce(search: Search, store: str, facts: dict[str, Any], executor: Executor) -> None:
    """Generate the backgrounds of a search, unless that is done."""
    begun = Location(f"{store}.run").exists(PLAN)
    if begun or not Location(store).exists(MANIFEST) or not EventStore.open(store, allow_empty=True).rows:
        generate(
            search,
            store,
            executor=executor,
            luminosity=facts["produced_luminosity"],
            seed=facts["seed"],
        )


@dataclass(frozen=True)
class Study:
    """A study that is being worked on, and what follows from it, made once a process."""

    opened: OpenJob

    @property
    def facts(self) -> dict[str, Any]:
        """What the study depends on."""
        return self.opened.job.facts

    @cached_property
    def search(self) -> Search:
        """The search definition."""
        return definition.from_json(self.facts["search"])

    @cached_property
    def benches(self) -> dict[tuple[int, str], Bench]:
        """Windows and truths by configuration and region."""
        arrays = self.opened.parts.read(TRUTH).arrays
        found = {}
        for region, grid in engine.grids(self.search).items():
            part, numbers = choose_windows(grid, self.facts["every"])
            for number in range(len(self.search.configurations)):
                truths = {name: arrays[f"{number}.{region}.{name}"] for name in self.facts["truths"]}
                found[number, region] = Bench(
                    self.search, part, numbers, number, truths, self.opened.job.identity
                )
        return found

    def quality(self, number: int, region: str) -> list[float]:
        """How well each truth describes its source: p-values."""
        arrays = self.opened.parts.read(TRUTH).arrays
        return [float(arrays[f"{number}.{region}.{name}.quality"][0]) for name in self.facts["truths"]]

    def cases(self, bench: Bench) -> Cases:
        """Return the strengths that are injected."""
        strengths = np.array(self.facts["injected"], dtype=np.float64)
        return cases_of(bench, self.facts["truths"][0], strengths, in_events=self.facts["in_events"])


@lru_cache(maxsize=2)
def _study_of(ticket: str) -> Study:
    return Study(blocks.of_ticket(ticket))


def execute(ticket: str, key: str) -> str:
    """Run the block of a study that a key names and commit its part; return the key."""
    found = _study_of(ticket)
    region, bounds = region_and_toys(key)
    arrays: Variables = {}
    for number in range(len(found.search.configurations)):
        bench = found.benches[number, region]
        part = asimov(found, bench) if bounds is None else toys(found, bench, *bounds)
        arrays |= {f"{number}.{name}": values for name, values in part.items()}
    found.opened.parts.commit(key, arrays)
    return key


def asimov(found: Study, bench: Bench) -> Variables:
    """Return what needs no toys: the expected errors, and spurious signals."""
    arrays = {"expected_error": bench.expected_error}
    return arrays | (bias.spurious_signals(bench) if found.opened.job.kind == "bias" else {})


def toys(found: Study, bench: Bench, first: int, last: int) -> Variables:
    """Return the sums over groups of the toys first … last − 1."""
    cases, method = found.cases(bench), found.facts["method"]
    if found.opened.job.kind == "coverage":
        return grouped(lambda toy: coverage.measure(bench, cases, toy, method), first, last)
    return grouped(lambda toy: linearity.measure(bench, cases, toy), first, last)


SUMMARIES = {"linearity": linearity.summarise, "coverage": coverage.summarise}


def assemble(found: Study) -> xr.Dataset:
    """Collect the parts of a complete study into its cube."""
    kind, facts = found.opened.job.kind, found.facts
    regions = list(engine.grids(found.search))
    results: dict[int, dict[str, Variables]] = {}
    for (number, region), bench in found.benches.items():
        results.setdefault(number, {})[region] = _masked(_region(found, number, region, bench), bench)
    grids = [(region, found.benches[0, region].grid.mass) for region in regions]
    attributes = _attributes(found) | {"toys": facts["toys"], "truths": ", ".join(facts["truths"])}
    return assemble_cube(found.search, kind, grids, results, _coordinates(found), attributes)


def _region(found: Study, number: int, region: str, bench: Bench) -> Variables:
    prefix = f"{number}."
    keys = [key for key in found.opened.job.keys if region_and_toys(key)[0] == region]
    parts = [found.opened.parts.read(key).arrays for key in keys]  # the Asimov data set first, then toys
    own = [{n.removeprefix(prefix): a for n, a in part.items() if n.startswith(prefix)} for part in parts]
    variables: Variables = {"resolution": bench.grid.resolution} | own[0]
    if found.opened.job.kind == "bias":
        quality = found.quality(number, region)
        extra = bias.spurious_signal(own[0], bench.grid.mass, bench.grid.resolution, quality)
        return variables | extra | {"truth_quality": np.tile(quality, (len(bench.grid), 1))}
    groups = {name: np.concatenate([part[name] for part in own[1:]]) for name in own[1]}
    variables["injected_yield"] = found.cases(bench).yields
    return variables | SUMMARIES[found.opened.job.kind](total(groups))


def _masked(variables: Variables, bench: Bench) -> Variables:
    """Blank what is said of windows that the search leaves out."""
    for name, values in variables.items():
        if name not in ("resolution", "truth_quality"):
            variables[name] = np.array(values)
            variables[name][bench.vetoed] = np.nan
    return variables


def _coordinates(found: Study) -> dict[str, tuple[Sequence[Any], dict[str, str]]]:
    facts = found.facts
    if found.opened.job.kind == "bias":
        return {"truth": (facts["truths"], {"long_name": "shape of the background that is thrown"})}
    what = "mean injected yield" if facts["in_events"] else "injected yield over its expected error"
    return {"injected": (facts["injected"], {"units": "1", "long_name": what})}


def _attributes(found: Study) -> dict[str, Any]:
    facts, job = found.facts, found.opened.job
    known = {} if facts["luminosity"] is None else {"luminosity": facts["luminosity"]}
    return known | {
        "statistical_method": facts["method"],
        "seed": facts["seed"],
        "scan_identity": job.identity,
        "source": facts["source"],
        "scale": facts["scale"],
        "code_digest": job.code,
        "instruction_set": job.cpu,
        **{f"version_{name}": version for name, version in versions().items()},
    }
