"""The blocks of a study: sums over toys, and what needs no toys, committed as parts; and their cube."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import xarray as xr

from jobs import blocks
from jobs.blocks import OpenJob
from jobs.places import run_place
from jobs.scanning.run import open_run
from scanner import definition, engine
from scanner.definition import Search
from scanner.studies import bias, coverage, linearity
from scanner.studies.bench import Bench, choose_windows
from scanner.studies.cases import Cases, Variables, cases_of, grouped, total
from scanner.studies.cube import assemble as assemble_cube
from scanner.windows.filled import uses_templates
from scanner.windows.grid import WindowGrid
from storage.provenance import versions

TRUTH = "truth"
"""Key of the part with the background truths."""
SPECTRUM = "spectrum"
"""Where the run stands whose passes fill the spectra."""
ASIMOV = "asimov"
"""Last word of the keys of blocks without toys."""


def region_and_toys(key: str) -> tuple[str, tuple[int, int] | None]:
    """Return the region of a key, and its first toy and one past the last; None for the Asimov data set."""
    if key.endswith(f"-{ASIMOV}"):
        return key.removesuffix(f"-{ASIMOV}"), None
    region, first, last = key.rsplit("-", 2)
    return region, (int(first), int(last))


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
        for region in engine.grids(self.search):
            for number in range(len(self.search.configurations)):
                part, numbers = choose_windows(self._grid(region, number), self.facts["every"])
                truths = {name: arrays[f"{number}.{region}.{name}"] for name in self.facts["truths"]}
                found[number, region] = Bench(
                    self.search,
                    part,
                    numbers,
                    number,
                    truths,
                    self.opened.job.identity,
                    self.facts["include"],
                )
        return found

    def _grid(self, region: str, number: int) -> WindowGrid:
        """Return the windows of a region; templates are those of the spectra, at the study's luminosity."""
        if not uses_templates(self.search):
            return engine.grids(self.search)[region]
        grid = open_run(run_place(f"{self.opened.place}/{SPECTRUM}")).grid(region, number)
        if grid.templates is None:
            return grid
        fixed = self.facts["scale"] * grid.templates.fixed
        return replace(grid, templates=replace(grid.templates, fixed=fixed))

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
    if found.opened.job.kind == "bias":
        return grouped(lambda toy: bias.measure(bench, toy), first, last)
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
    sums: Variables = {}
    if len(own) > 1:
        sums = total({name: np.concatenate([part[name] for part in own[1:]]) for name in own[1]})
    if found.opened.job.kind == "bias":
        quality = found.quality(number, region)
        thrown = bias.summarise(sums) if sums else {}
        extra = bias.spurious_signal(own[0] | thrown, bench.grid.mass, bench.grid.resolution, quality)
        return variables | thrown | extra | {"truth_quality": np.tile(quality, (len(bench.grid), 1))}
    variables["injected_yield"] = found.cases(bench).yields
    return variables | SUMMARIES[found.opened.job.kind](sums)


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
        "systematics": facts["systematics"],
        "code_digest": job.code,
        "instruction_set": job.cpu,
        **{f"version_{name}": version for name, version in versions().items()},
    }
