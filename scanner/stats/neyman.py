"""Unified intervals of mass windows by a Neyman construction with toys.

Data sets are ordered by the likelihood ratio of Feldman and Cousins, nuisances profiled:
`scanner.stats.construction`.
"""

from dataclasses import replace

import numpy as np

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.constrained_construction import ConstrainedConstruction
from scanner.stats.constrained_ratios import with_specks
from scanner.stats.construction import Construction
from scanner.stats.limits import FELDMAN_COUSINS, NO_LIMIT, Limits
from scanner.stats.posterior import BAND_TOYS, band
from scanner.stats.settings import Settings


def construction_of(problem: BinnedProblem, w: int, settings: Settings) -> Construction:
    """Return the construction of one window."""
    one = problem.select(np.array([w]))
    if problem.nuisances is None:
        return Construction(one, settings.confidence_level, settings.toys)
    return ConstrainedConstruction(with_specks(one), settings.confidence_level, settings.toys)


def intervals_cover(problem: BinnedProblem, signal_yield: float, settings: Settings) -> Floats:
    """Tell of every window (W,) whether its interval holds a yield: 1, 0, or NaN without an interval."""
    found = [construction_of(problem, w, settings).accepts(signal_yield) for w in range(problem.windows)]
    return np.array([np.nan if accepted is None else float(accepted) for accepted in found])


def feldman_cousins_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return unified intervals of every window, `yield_lower` and `yield_limit`, whatever its counts.

    A yield takes up to `settings.toys` toys, fewer where the decision is clear. The error of an end is
    that of the fraction of toys: with 10⁴ toys 1% of a 90% limit. Islands of more than a sixteenth of
    the search belong to the interval, as in the published tables. Expected limits are quantiles of the
    upper ends of background-only toys.
    """
    limits = asymptotic_limits_above(problem, settings, np.inf)
    ends, expected = np.empty((problem.windows, 2)), np.empty((problem.windows, len(QUANTILES)))
    toys, failed = np.zeros((2, problem.windows), dtype=np.int64)
    for w in range(problem.windows):
        construction = construction_of(problem, w, settings)
        ends[w] = construction.interval()
        expected[w] = band(construction.expected_limits(min(BAND_TOYS, settings.toys)))
        toys[w], failed[w] = construction.toys, construction.failed
    ends[np.isnan(ends).any(axis=1)] = np.nan
    return replace(
        limits,
        yield_lower=ends[:, 0],
        yield_limit=ends[:, 1],
        expected=expected,
        method=np.where(np.isfinite(ends[:, 1]), FELDMAN_COUSINS, NO_LIMIT).astype(np.uint8),
        toys=toys,
        toys_failed=failed,
    )
