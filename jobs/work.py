"""What a worker does with one block of a plan: run it, and commit its part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from jobs import counted, lived
from jobs.plan import FOLD, FitBlock, PassBlock, Plan
from jobs.templates import with_templates
from scanner import definition, engine, kernels
from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import Exposure
from scanner.limits import Memory, method_settings, scan_block
from scanner.reading.candidates import Candidates, refuse_many
from scanner.reading.histogram import Histogram
from scanner.reading.lived import LivedSelection
from scanner.reading.selection import Selection
from scanner.windows.axes import outer_points
from scanner.windows.channels import at_luminosity
from scanner.windows.counted import count_block
from scanner.windows.grid import WindowGrid
from scanner.windows.joint_counted import JointMemory, count_channels
from scanner.windows.lived import lived_search
from scanner.windows.plane import CountingGrid
from scanner.windows.stated_limits import scan_stated
from storage.events import EventStore
from storage.locations import Location
from storage.manifest import Shard
from storage.parts import PartStore
from storage.provenance import code_digest

ROWS_A_BATCH = 1 << 20
"""Rows in memory at once: large enough to stream, small enough for 30 columns on a small machine."""
PLAN = "plan.json"
PARTS = "parts"

Arrays = dict[str, np.ndarray[Any, Any]]
Piece = tuple[int, int, int]
"""Rows of a shard: its number, the first row and one past the last."""


@dataclass(frozen=True)
class Run:
    """An opened run: its plan, and what follows from it, made once a process."""

    place: str
    plan: Plan

    @property
    def ticket(self) -> str:
        """What a worker needs to open this run, and no other that has the same place later."""
        return f"{self.plan.digest} {self.place}"

    @cached_property
    def search(self) -> Search:
        """The search definition."""
        return definition.from_json(self.plan.search)

    @cached_property
    def grids(self) -> dict[str, WindowGrid]:
        """The windows of each region that are fitted."""
        return engine.grids(self.search)

    @cached_property
    def counting(self) -> dict[str, CountingGrid]:
        """The windows of each region that are counted; empty where spectra are fitted."""
        return engine.counting_grids(self.search)

    @cached_property
    def store(self) -> EventStore:
        """The event store.

        Raises
        ------
        InputError
            If its content is no longer the one that was planned for.
        """
        store = EventStore.open(self.plan.store)
        if store.digest != self.plan.store_digest:
            raise InputError(
                f"the content of {self.plan.store} has changed since the scan was started: "
                "start it anew with --overwrite"
            )
        return store

    @cached_property
    def shards(self) -> dict[int, Shard]:
        """The shards of the store by their number."""
        return {shard.index: shard for shard in self.store.shards}

    @cached_property
    def selections(self) -> dict[str, Selection]:
        """The compiled pass of each region."""
        stored = () if engine.stated(self.search) else tuple(self.store.columns)
        return engine.selections(self.search, stored)

    @cached_property
    def lived_selections(self) -> dict[str, LivedSelection]:
        """The selection of each channel and its decays in flight; none without."""
        stored = () if engine.stated(self.search) else tuple(self.store.columns)
        return engine.lived_selections(self.search, stored)

    def at(self, configuration: int, point: int) -> Search:
        """Return the search at one point of the outer axes, and at the luminosity of the data.

        Its efficiencies are those of simulated signals, if it has decays in flight.
        """
        if not self.search.decays:
            return at_luminosity(self.search, self.plan.luminosity)
        found = lived.signals(self.search, self.store.samples, self.folded, configuration)
        return lived_search(at_luminosity(self.search, self.plan.luminosity), found, configuration, point)

    @cached_property
    def parts(self) -> PartStore:
        """The committed parts."""
        return PartStore(Location(self.place).child(PARTS))

    @cached_property
    def folded(self) -> Arrays:
        """The arrays of the sum of all passes."""
        return dict(self.parts.read(FOLD).arrays)

    @cached_property
    def histograms(self) -> dict[str, Histogram]:
        """The histograms of all passes, by region."""
        return {region: filled.histogram for region, filled in unpack(self.folded).items()}

    def grid(self, region: str, configuration: int) -> WindowGrid:
        """Return the windows of a region, with their templates in a configuration."""
        luminosity = self.plan.luminosity
        return with_templates(
            self.search, self.grids[region], self.histograms, self.store.samples, luminosity, configuration
        )

    @cached_property
    def candidates(self) -> dict[str, Candidates]:
        """The candidates of all passes, by their name; none for binned likelihoods."""
        found = {region: filled.candidates for region, filled in unpack(self.folded).items()}
        return {region: kept for region, kept in found.items() if kept is not None}

    @cached_property
    def blocks(self) -> Mapping[str, PassBlock | FitBlock]:
        """The blocks by key."""
        blocks: tuple[PassBlock | FitBlock, ...] = self.plan.passes + self.plan.fits
        return {block.key: block for block in blocks}


def open_run(place: str) -> Run:
    """Open a run and check that this process computes what the plan's author would.

    Raises
    ------
    InputError
        If the sources or the instruction set differ from the plan's.
    """
    plan = Plan.from_json(Location(place).read(PLAN))
    if plan.code != code_digest():
        raise InputError(
            "this plan was made by other sources than those installed here: install one version everywhere, "
            "or start the scan anew with --overwrite"
        )
    if plan.cpu != kernels.instruction_set():
        raise InputError(
            f"this plan is for {plan.cpu} processors, and this one is {kernels.instruction_set()}: "
            "bits would differ; use equal machines, or set NUMBA_CPU_NAME=x86-64-v3 on all and start anew"
        )
    return Run(place, plan)


@lru_cache(maxsize=4)
def run_of(ticket: str) -> Run:
    """Open a run once a process."""
    digest, _, place = ticket.partition(" ")
    run = open_run(place)
    if run.plan.digest != digest:
        raise InputError(f"the scan in {place} was started anew meanwhile: this one ends here")
    return run


def execute(ticket: str, key: str) -> str:
    """Run one block of the run that a ticket names and commit its part; return the key."""
    run = run_of(ticket)
    block = run.blocks[key]
    arrays = run_pass(run, block) if isinstance(block, PassBlock) else run_fit(run, block)
    run.parts.commit(key, arrays)
    return key


@dataclass(frozen=True, eq=False)
class Filled:
    """What a pass leaves of a region: counts, and candidates where the likelihood is unbinned."""

    histogram: Histogram
    candidates: Candidates | None

    def __add__(self, other: "Filled") -> "Filled":
        """Merge."""
        mine, theirs = self.candidates, other.candidates
        merged = None if mine is None or theirs is None else mine + theirs
        return Filled(self.histogram + other.histogram, merged)


def run_pass(run: Run, block: PassBlock) -> Arrays:
    """Fill the histograms of all regions, and of each simulated sample, from the rows of a block."""
    samples = counted.used_samples(run.search, run.store.samples)
    total = {
        counted.histogram_name(region, run.store.samples[number], number): _nothing(run, selection.empty())
        for region, selection in run.selections.items()
        for number in samples
    }
    signals = lived.signal_samples(run.search, run.store.samples)
    weighted = lived.empty(
        run.search, run.lived_selections, run.store.samples, signals, len(outer_points(run.search))
    )
    for piece in block.pieces:
        number = run.shards[piece[0]].sample
        if number in signals:
            for sums in lived.fill(run.search, run.store, run.lived_selections, number, piece):
                weighted = {name: weighted[name] + sums.get(name, 0) for name in weighted}
            continue
        for filled in skipped(run, piece) or read(run, piece):
            for region, found in filled.items():
                total[counted.histogram_name(region, run.store.samples[number], number)] += found
            _check_room(total)
    return pack(total) | weighted


def _nothing(run: Run, histogram: Histogram) -> Filled:
    configurations = len(run.search.configurations)
    nobody = Candidates((np.empty(0),) * configurations) if engine.unbinned(run.search) else None
    return Filled(histogram, nobody)


def _check_room(total: Mapping[str, Filled]) -> None:
    refuse_many(sum(len(filled.candidates) for filled in total.values() if filled.candidates is not None))


def skipped(run: Run, piece: Piece) -> tuple[dict[str, Filled]] | None:
    """Return what the extremes of a piece's shard, which reject it, leave; None if it must be read."""
    shard, start, stop = piece
    facts = run.shards[shard]
    found = {}
    for region, selection in run.selections.items():
        if any(facts.non_finite[name] for name in selection.needed):
            return None
        low, high = (
            {name: value for name in selection.needed if (value := ends[name]) is not None}
            for ends in (facts.minimum, facts.maximum)
        )
        histogram = selection.skip(stop - start, low, high, finite=True)
        if histogram is None:
            return None
        found[region] = _nothing(run, histogram)
    return (found,)


def read(run: Run, piece: Piece) -> Iterator[dict[str, Filled]]:
    """Read the rows of a piece, a bounded number at a time, and fill the histograms of all regions."""
    shard, start, stop = piece
    needed = sorted({name for selection in run.selections.values() for name in selection.needed})
    keep = engine.unbinned(run.search)
    for first in range(start, stop, ROWS_A_BATCH):
        columns = run.store.read(shard, needed, first, min(stop, first + ROWS_A_BATCH))
        yield {
            region: Filled(selection.fill(columns), selection.candidates(columns) if keep else None)
            for region, selection in run.selections.items()
        }


def fold(run: Run) -> None:
    """Sum what all passes left, in the order of their keys, and commit the sum."""
    total: dict[str, Filled] = {}
    weighted: Arrays = {}
    for block in run.plan.passes:
        arrays = run.parts.read(block.key).arrays
        for region, filled in unpack(arrays).items():
            total[region] = total[region] + filled if region in total else filled
        for name in (name for name in arrays if name.startswith(lived.PREFIX)):
            weighted[name] = weighted[name] + arrays[name] if name in weighted else arrays[name]
        _check_room(total)
    run.parts.commit(FOLD, pack(total) | weighted)


def run_fit(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of the windows of a block, for every configuration."""
    if run.counting:
        return run_counted(run, block)
    if engine.stated(run.search):
        return run_stated(run, block)
    windows = slice(block.first, block.last)
    exposure = Exposure(run.plan.luminosity)
    results: Arrays = {}
    for number in range(len(run.search.configurations)):
        counts, memory = region_counts(run, block.region, number, windows), Memory()
        grid = run.grid(block.region, number)
        for index, point in enumerate(outer_points(run.search)):
            found = scan_block(
                run.at(number, index),
                grid,
                counts,
                windows,
                configuration=number,
                exposure=exposure,
                method=run.plan.method,
                identity=run.plan.scan_identity,
                candidates=region_candidates(run, block.region, number),
                point=point,
                memory=memory,
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def run_counted(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of the counting windows of a block, for every configuration."""
    windows = slice(block.first, block.last)
    results: Arrays = {}
    memory = JointMemory()
    for number in range(len(run.search.configurations)):
        names = engine.pass_names(run.search, block.region)
        counts = [run.histograms[name].counts[number][windows] for name in names]
        place = (run.store.samples, run.histograms, number, windows, run.plan.luminosity)
        simulated = [counted.simulated(name, *place) for name in names]
        for index, point in enumerate(outer_points(run.search)):
            search, grid = run.at(number, index), run.counting[block.region]
            how: dict[str, Any] = {
                "configuration": number, "exposure": Exposure(run.plan.luminosity),
                "method": run.plan.method, "point": point,
            }  # fmt: skip
            found = (
                count_block(search, grid, counts[0], simulated[0], windows, **how)
                if len(names) == 1
                else count_channels(
                    search,
                    grid,
                    counts,
                    simulated,
                    windows,
                    identity=run.plan.scan_identity,
                    memory=memory,
                    **how,
                )
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def run_stated(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of a block of masses from published counts, for every configuration."""
    results: Arrays = {}
    for number in range(len(run.search.configurations)):
        for index, point in enumerate(outer_points(run.search)):
            found = scan_stated(
                run.search,
                run.grids[block.region],
                slice(block.first, block.last),
                configuration=number,
                exposure=Exposure(run.plan.luminosity),
                method=run.plan.method,
                settings=method_settings(run.search, run.plan.method),
                identity=run.plan.scan_identity,
                point=point,
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def region_counts(run: Run, region: str, configuration: int, windows: slice) -> Any:
    """Return the counts of windows (W, B), the bins of several channels one after the other."""
    grid = run.grids[region]
    names = engine.pass_names(run.search, region)
    axes = [grid.channels.get(channel, grid) for channel in run.search.channels]
    found = [
        window_counts(run.histograms[name], axis, configuration, windows)
        for name, axis in zip(names, axes, strict=True)
    ]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def region_candidates(run: Run, region: str, configuration: int) -> list[Any] | None:
    """Return the candidates of a region (N,) of every channel; None for binned likelihoods."""
    if not run.candidates:
        return None
    return [run.candidates[name].values[configuration] for name in engine.pass_names(run.search, region)]


def window_counts(histogram: Histogram, grid: WindowGrid, configuration: int, windows: slice) -> Any:
    """Return the counts of windows, whether the pass filled a fine axis or each window by itself."""
    counts = histogram.counts[configuration]
    if counts.ndim == 1:
        return grid.counts(counts, windows)
    return np.ascontiguousarray(counts[windows], dtype=np.float64)


FIELDS = ("counts", "cutflow", "outside", "not_finite")
COUNTS, CANDIDATES = ".counts", ".candidates."


def pack(total: Mapping[str, Filled]) -> Arrays:
    """Flatten what a pass left by region into named arrays; candidates in rising order."""
    arrays: Arrays = {}
    for region, filled in total.items():
        arrays |= {f"{region}.{field}": getattr(filled.histogram, field) for field in FIELDS}
        kept = () if filled.candidates is None else filled.candidates.in_order().values
        arrays |= {f"{region}{CANDIDATES}{number:03d}": values for number, values in enumerate(kept)}
    return arrays


def unpack(arrays: Mapping[str, Any]) -> dict[str, Filled]:
    """Build what a pass left by region from named arrays."""
    found = {}
    for region in (name.removesuffix(COUNTS) for name in arrays if name.endswith(COUNTS)):
        histogram = Histogram(*(arrays[f"{region}.{field}"] for field in FIELDS))
        names = sorted(name for name in arrays if name.startswith(region + CANDIDATES))
        found[region] = Filled(histogram, Candidates(tuple(arrays[n] for n in names)) if names else None)
    return found
