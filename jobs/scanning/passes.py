"""Passes over the events: histograms of all regions, candidates, and weighted signals."""

from collections.abc import Iterator, Mapping

import numpy as np

from jobs.plan import FOLD, PassBlock
from jobs.scanning import counted, lived, weights
from jobs.scanning.filled import Arrays, Filled, pack, unpack
from jobs.scanning.run import Run
from scanner import engine
from scanner.reading.candidates import Candidates, refuse_many
from scanner.reading.histogram import Histogram
from scanner.windows.axes import outer_points

ROWS_A_BATCH = 1 << 20
"""Rows in memory at once: large enough to stream, small enough for 30 columns on a small machine."""

Piece = tuple[int, int, int]
"""Rows of a shard: its number, the first row and one past the last."""


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
    ) | weights.empty(run.weighted_selections, run.store.samples, samples)
    for piece in block.pieces:
        number = run.shards[piece[0]].sample
        if number in signals:
            for sums in lived.fill(run.search, run.store, run.lived_selections, number, piece):
                weighted = _added(weighted, sums)
            continue
        for filled, sums in skipped(run, piece) or read(run, piece):
            for region, found in filled.items():
                total[counted.histogram_name(region, run.store.samples[number], number)] += found
            weighted = _added(weighted, sums)
            _check_room(total)
    return pack(total) | weighted


def _added(total: Arrays, more: Arrays) -> Arrays:
    return {name: sums + more.get(name, 0) for name, sums in total.items()}


def _nothing(run: Run, histogram: Histogram) -> Filled:
    configurations = len(run.search.configurations)
    nobody = Candidates((np.empty(0),) * configurations) if engine.unbinned(run.search) else None
    return Filled(histogram, nobody)


def _check_room(total: Mapping[str, Filled]) -> None:
    refuse_many(sum(len(filled.candidates) for filled in total.values() if filled.candidates is not None))


def skipped(run: Run, piece: Piece) -> tuple[tuple[dict[str, Filled], Arrays]] | None:
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
    return ((found, {}),)


def read(run: Run, piece: Piece) -> Iterator[tuple[dict[str, Filled], Arrays]]:
    """Read the rows of a piece, a bounded number at a time.

    Yields
    ------
    filled : dict
        Histograms of all regions.
    sums : dict
        Of the weights of simulated rows.
    """
    shard, start, stop = piece
    number = run.shards[shard].sample
    sample = run.store.samples[number]
    weighted = run.weighted_selections if sample.kind in counted.TEMPLATE_KINDS else {}
    wanted = [s.needed for s in run.selections.values()] + [s.needed for s in weighted.values()]
    needed = sorted({name for names in wanted for name in names})
    keep = engine.unbinned(run.search)
    for first in range(start, stop, ROWS_A_BATCH):
        columns = run.store.read(shard, needed, first, min(stop, first + ROWS_A_BATCH))
        filled = {
            region: Filled(selection.fill(columns), selection.candidates(columns) if keep else None)
            for region, selection in run.selections.items()
        }
        yield filled, weights.fill(weighted, sample, number, columns)


def fold(run: Run) -> None:
    """Sum what all passes left, in the order of their keys, and commit the sum."""
    total: dict[str, Filled] = {}
    weighted: Arrays = {}
    for block in run.plan.passes:
        arrays = run.parts.read(block.key).arrays
        for region, filled in unpack(arrays).items():
            total[region] = total[region] + filled if region in total else filled
        for name in (name for name in arrays if name.startswith((lived.PREFIX, weights.PREFIX))):
            weighted[name] = weighted[name] + arrays[name] if name in weighted else arrays[name]
        _check_room(total)
    run.parts.commit(FOLD, pack(total) | weighted)
