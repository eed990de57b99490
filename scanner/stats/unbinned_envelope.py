"""Asymptotic limits of unbinned windows whose likelihood is the envelope over background orders.

Definitions are those of `scanner.stats.envelope`, with the NLL of the events. The Asimov data set is the
density of the best background-only order in the cells of the grid, and so a likelihood of bins.
"""

from collections.abc import Sequence

import numpy as np

from scanner.kernels.linear.window import usable
from scanner.kernels.unbinned.channel import CELLS, GRID, TERMS
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats import envelope, order
from scanner.stats.envelope import Envelope
from scanner.stats.limits import ASYMPTOTIC, Limits
from scanner.stats.settings import Settings
from scanner.stats.simultaneous import asymptotic_simultaneous
from scanner.stats.simultaneous_toys import SimultaneousWindow, Truth

LEVEL = Settings(0.95)
"""Of limits that are not asked for; fits have none."""
Windows = Sequence[SimultaneousWindow]


def with_unbinned_envelope(
    candidates: Sequence[SimultaneousProblem], settings: Settings, limits: Limits
) -> Limits:
    """Return `limits` with the asymptotic ones replaced by those of the envelope.

    Parameters
    ----------
    candidates : sequence of SimultaneousProblem
        The windows of one channel without nuisances at every order, the lowest first; a window may repeat
        its highest.
    settings : Settings
    limits : Limits
        Limits at a chosen order, by any method.
    """
    chosen = np.flatnonzero(limits.method == ASYMPTOTIC)
    if chosen.size == 0:
        return limits
    found = unbinned_envelope_limits([candidate.select(chosen) for candidate in candidates], settings)
    return envelope.merged(limits, chosen, found)


def unbinned_envelope_limits(
    candidates: Sequence[SimultaneousProblem], settings: Settings
) -> dict[str, Floats]:
    """Return what `scanner.stats.envelope.envelope_limits` does, from the windows at every order."""
    orders = _windows(candidates)
    asimov = Envelope.of(_asimov(candidates, orders))
    return envelope.limits_of(_envelope(candidates, orders), asimov, settings)


def unbinned_envelope(candidates: Sequence[SimultaneousProblem]) -> Envelope:
    """Return the envelope of the windows, with 2NLL that of the densities, per unit of the observable."""
    return _envelope(candidates, _windows(candidates))


def _windows(candidates: Sequence[SimultaneousProblem]) -> list[Windows]:
    return [[SimultaneousWindow(one, w) for w in range(one.windows)] for one in candidates]


def _envelope(candidates: Sequence[SimultaneousProblem], orders: Sequence[Windows]) -> Envelope:
    def values(yields: Floats) -> Floats:
        return np.array([_corrected(own, yields) for own in orders])

    fits = [asymptotic_simultaneous(candidate, LEVEL, np.inf) for candidate in candidates]
    best = np.array([found.signal_yield for found in fits])
    errors = np.array([found.signal_yield_error for found in fits])
    there = [_corrected(own, yields) for own, yields in zip(orders, best, strict=True)]
    return Envelope.least(values, best, errors, np.array(there))


def _corrected(windows: Windows, yields: Floats) -> Floats:
    """Return 2NLL with its correction at yields (W,); infinite where there is no fit."""
    found = np.full(yields.size, np.inf)
    for w in map(int, np.flatnonzero(np.isfinite(yields))):
        truth = Truth(windows[w], float(yields[w]))
        if usable(truth.status):
            found[w] = 2.0 * truth.nll + order.PENALTY * _terms(windows[w])
    return found


def _terms(window: SimultaneousWindow) -> int:
    return int(window.load()[0][0][0, TERMS])


def _asimov(candidates: Sequence[SimultaneousProblem], orders: Sequence[Windows]) -> BinnedProblem:
    """Return the cells of the grids as bins, with what the best background-only order expects there."""
    highest, nothing = candidates[-1], np.zeros(candidates[-1].windows)
    best = np.argmin(np.array([_corrected(own, nothing) for own in orders]), axis=0)
    found = [_cells(orders[-1][w], orders[int(c)][w]) for w, c in enumerate(best)]
    bins, terms = max(expected.size for _, expected in found), int(highest.terms.max())
    counts, signal = np.zeros((2, len(found), bins))
    background = np.zeros((len(found), terms, bins))
    for w, (rows, expected) in enumerate(found):
        size, used = expected.size, len(rows) - 1
        counts[w, :size], signal[w, :size] = expected, highest.shares[w, 0] * rows[used]
        background[w, :used, :size] = rows[:used]
    return BinnedProblem(counts, signal, background, terms=highest.terms[:, 0], keys=highest.keys)


def _cells(highest: SimultaneousWindow, best: SimultaneousWindow) -> tuple[Floats, Floats]:
    """Return terms and signal of the highest order in cells (K + 1, B), and what the best one expects."""
    sizes, grids, _, widths = highest.load()[0][:4]
    cells, grid, rows = sizes[0, CELLS], sizes[0, GRID], sizes[0, TERMS] + 1
    densities = grids[0].ravel()[: rows * grid].reshape(rows, grid)
    return densities[:, :cells] * widths[0, :cells], Truth(best, 0.0).contents[0, :cells]
