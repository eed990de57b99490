"""Central intervals on the signal yield from the shape of the profile likelihood, as MINOS finds them.

A window in which no background is possible has an interval from its events alone: −2 ln λ of n events is
2(μ − n − n ln(μ/n)) for μ of signal, and 2μ without any.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from scanner.constants import QUANTILES
from scanner.kernels.linear.window import EMPTY, OK
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.stats.asymptotic import as_limits, constrained_hypotheses
from scanner.stats.constrained_limits import fit_pair, intervals
from scanner.stats.constrained_ratios import with_specks
from scanner.stats.limits import MINOS, Limits
from scanner.stats.settings import Settings

SPECK = 1e-10
"""Events that stand for none: −2 ln λ changes by 50 times as many."""


def minos_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return the central intervals where −2 ln λ(s) rises by z², for example by 1 at a level of 68.27%.

    z is the two-sided standard score of the confidence level (S. S. Wilks, Ann. Math. Stat. 9 (1938) 60).
    `yield_limit` is the upper end, `yield_lower` the lower one, which may be negative; where no bin may
    get more negative it is the lowest possible yield. Expected are the upper ends without signal.
    """
    alone = without_background(problem)
    fits, pair = constrained_hypotheses(_with_specks(problem, alone))
    score = float(ndtri(0.5 + 0.5 * settings.confidence_level))
    targets: Floats = score + ndtri(np.array(QUANTILES))
    found = intervals(_with_specks(problem, alone), pair, targets, score, pair.free.found)
    limits = as_limits(problem, fits, found[:, :-1], MINOS, found[:, -1])
    return _of_signal_alone(problem, limits, alone, score) if alone.any() else limits


def without_background(problem: BinnedProblem) -> NDArray[np.bool_]:
    """Tell which windows have neither a background term nor a sample of known size, (W,)."""
    nuisances = problem.nuisances
    if nuisances is None:
        return np.asarray(problem.terms == 0)
    known = nuisances.fixed.any(axis=(1, 2))
    changed = (nuisances.shape_sample > problem.background.shape[1]) & (
        nuisances.shape_sample <= problem.background.shape[1] + nuisances.fixed.shape[1]
    )
    added = nuisances.shape[:, changed].any(axis=(1, 2, 3))
    return np.asarray((problem.terms == 0) & ~known & ~added)


def _with_specks(problem: BinnedProblem, alone: NDArray[np.bool_]) -> BinnedProblem:
    """Give empty windows among the chosen ones the speck of an event that fits need."""
    specks = with_specks(problem, SPECK).counts
    return replace(problem, counts=np.where(alone[:, None], specks, problem.counts))


def _of_signal_alone(
    problem: BinnedProblem, limits: Limits, alone: NDArray[np.bool_], score: float
) -> Limits:
    """Return `limits` with what follows where only signal is possible.

    The fit without signal does not exist there; without signal there are no events, whose upper end all
    expected ones are.
    """
    part = problem.select(np.flatnonzero(alone))
    nothing = with_specks(replace(part, counts=np.zeros_like(part.counts)), SPECK)
    pair = fit_pair(nothing)
    upper = intervals(nothing, pair, np.zeros(len(QUANTILES)), score, pair.free.found)[:, :1]
    expected, status, yields = limits.expected.copy(), limits.status.copy(), limits.signal_yield.copy()
    expected[alone] = upper
    empty = alone & (problem.counts.sum(axis=1) == 0.0)
    mended = alone & np.isfinite(limits.yield_limit)
    status[mended] = np.where(empty[mended], EMPTY, OK)
    yields[empty] = 0.0
    return replace(
        limits,
        expected=expected,
        status=status,
        signal_yield=yields,
        signal_yield_error=np.where(empty, np.nan, limits.signal_yield_error),
        yield_lower=np.where(empty, 0.0, limits.yield_lower),
    )
