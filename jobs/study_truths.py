"""The background truths of a study: the spectra of a store or of generated events, described smoothly."""

from typing import Any

import numpy as np

from jobs import scan
from jobs.blocks import OpenJob
from jobs.executors import Executor
from jobs.generate import PLAN, generate
from jobs.study_blocks import TRUTH
from scanner import definition
from scanner.definition import Search
from scanner.studies.bench import Source, fit_truths
from storage.events import MANIFEST, EventStore
from storage.locations import Location


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
