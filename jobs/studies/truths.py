"""The background truths of a study: the spectra of a store or of generated events, described smoothly."""

from typing import Any

import numpy as np

from jobs import scan
from jobs.blocks import OpenJob
from jobs.executors import Executor
from jobs.generate import generate
from jobs.places import generating
from jobs.plan import Options
from jobs.scanning import fits, planning
from jobs.scanning.run import Run
from jobs.studies.blocks import SPECTRUM, TRUTH
from scanner import definition, engine
from scanner.definition import Search
from scanner.limits import window_problem
from scanner.studies.bench import Source, Truths, choose_windows, fit_truths, join_truths
from scanner.studies.injected import MODEL, expectation
from scanner.windows.filled import uses_templates
from storage.events import MANIFEST, EventStore
from storage.locations import Location


def commit_truths(opened: OpenJob, store: str, executor: Executor) -> None:
    """Fill the spectra of the source, fit the truths, and commit them."""
    facts = opened.job.facts
    search = definition.from_json(facts["search"])
    if not store:
        store = f"{opened.place}/events"
        produce(search, store, facts, executor)
    plan = planning.make_plan(search, EventStore.open(store), store, Options("asymptotic", facts["seed"]))
    run = scan.start(plan, f"{opened.place}/{SPECTRUM}", resume=True, overwrite=False)
    scan.run_passes(run, executor)
    arrays = {}
    for region in run.grids:
        for number in range(len(search.configurations)):
            found = (model_truth if uses_templates(search) else region_truths)(run, region, number, facts)
            for name, expected in found.expectations.items():
                arrays[f"{number}.{region}.{name}"] = expected
                arrays[f"{number}.{region}.{name}.quality"] = np.array([found.quality[name]])
    opened.parts.commit(TRUTH, arrays)


def region_truths(run: Run, region: str, number: int, facts: dict[str, Any]) -> Truths:
    """Fit the truths of a region in a configuration, channel by channel."""
    grid, found = run.grids[region], []
    for channel in run.search.channels:
        counts = run.histograms[engine.pass_name(run.search, region, channel)].counts[number]
        source = Source(grid.channels.get(channel, grid), counts, facts["scale"])
        found.append(fit_truths(source, facts["truths"], facts["every"]))
    return join_truths(found, grid, facts["every"])


def model_truth(run: Run, region: str, number: int, facts: dict[str, Any]) -> Truths:
    """Return what the templates of a region expect in each window, as fitted to its data without signal."""
    part, numbers = choose_windows(run.grid(region, number), facts["every"])
    counts = fits.region_counts(run, region, number, slice(0, len(run.grids[region])))[numbers]
    problem, _ = window_problem(
        run.at(number, 0), part, counts, slice(0, len(part)), configuration=number, include=facts["include"]
    )
    return Truths({MODEL: facts["scale"] * expectation(problem)}, {MODEL: np.nan})


def produce(search: Search, store: str, facts: dict[str, Any], executor: Executor) -> None:
    """Generate the backgrounds of a search, unless that is done."""
    begun = generating(store)
    if begun or not Location(store).exists(MANIFEST) or not EventStore.open(store, allow_empty=True).rows:
        generate(
            search,
            store,
            executor=executor,
            luminosity=facts["produced_luminosity"],
            seed=facts["seed"],
        )
