"""Counting, toys or asymptotic formulas, as the expected counts of a window ask; and for projections."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.counting import core
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.stats import asymptotic, counting, toys
from scanner.stats.limits import Limits
from scanner.stats.settings import Settings

THRESHOLD = 10.0
"""Effective background count from which the limits of windows with a fitted background are asymptotic.

The coverage of asymptotic 90% limits over all true yields is at worst 85.5, 88, 89, 89 and 89 to 90% for
effective backgrounds of 0.1, 1, 3, 10 and 30 to 100 events, in windows of 6 to 40 resolutions and bins of
half a resolution to two: from some events on within 1% of the level.
"""
KNOWN_THRESHOLD = 100.0
"""The same for windows whose background is known, and their test statistic as discrete as their counts.

At 90% CL the asymptotic limit of a counting experiment with n = b known is below the exact one by
10, 7.4, 4.8, 3.4 and 2.5% for b = 5, 10, 25, 50 and 100, and covers at worst 86.8, 87.5, 88.3, 88.7
and 89.0% of the time.
"""
COUNTED = 1.0
"""Effective background below which events in the core are counted: no shape is seen in so few."""

UNASKED_TOYS = 1000
"""Toys of a window that cannot be counted, where none were asked for."""


class Templates(Protocol):
    """What is expected in the bins of W windows."""

    @property
    def signal(self) -> Floats:
        """(W, B) bin integrals of a unit yield."""

    @property
    def background(self) -> Floats:
        """(W, K, B) bin integrals of each background term."""

    @property
    def core(self) -> NDArray[np.bool_]:
        """(W, B) bins for counting."""

    @property
    def terms(self) -> NDArray[np.int64]:
        """(W,) terms in use."""


def automatic_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return asymptotic limits from an effective background of `thresholds` on, and others below.

    Toys are thrown from COUNTED on, where `settings.toys` is not 0; everywhere else, and where the former
    found no limit, events are counted. `method` records which is which.

    Samples of known size, such as known peaks, are part of the background that is counted over. Where
    the bins beside the core do not tell the background, as that of a free peak, toys are thrown unasked.
    """
    limits, windows = without_toys(problem, settings)
    limits = toys.with_toys(problem, settings, limits, windows)
    limits = counting.with_counting(problem, settings, limits)
    left = np.flatnonzero(~np.isfinite(limits.yield_limit) & (limits.effective_background >= COUNTED))
    unasked = settings if settings.toys > 0 else replace(settings, toys=UNASKED_TOYS)
    return toys.with_toys(problem, unasked, limits, left)


def without_toys(problem: BinnedProblem, settings: Settings) -> tuple[Limits, NDArray[np.int64]]:
    """Return the asymptotic limits of windows that shall have them, and the windows for toys by index."""
    least = thresholds(problem)
    limits = asymptotic.asymptotic_limits_above(problem, settings, least)
    effective = limits.effective_background
    between = (effective >= COUNTED) & (effective < least)
    return limits, np.flatnonzero(between if settings.toys > 0 else np.zeros_like(between))


def thresholds(problem: BinnedProblem) -> Floats:
    """Return the effective background from which the limits of each window are asymptotic, (W,)."""
    return np.where(problem.terms > 0, THRESHOLD, KNOWN_THRESHOLD)


def expected_limits(
    expectation: Floats,
    templates: Templates,
    confidence_level: float,
    *,
    systematic: Floats | None = None,
) -> Floats:
    """Return the limits expected without signal for a background expectation, as projections need.

    Parameters
    ----------
    expectation : (W, B) float
        Expected background events, the Asimov data set.
    templates : Templates
        Signal, background terms and core bins of the windows.
    confidence_level : float
    systematic : (W,) float, optional
        Further standard deviation of the signal yield [events]: it adds to σ² of the asymptotic bands
        and to the variance of the core's background in exact limits.

    Returns
    -------
    (W, 5) float
        Yield limits at the stored quantiles: asymptotic where `automatic_limits` has them so, else by
        counting, which is some 10% weaker than the toys of a scan.
    """
    problem = BinnedProblem(
        expectation, templates.signal, templates.background, templates.core, templates.terms
    )
    extra = np.zeros(problem.windows) if systematic is None else np.asarray(systematic, dtype=np.float64)
    fits = asymptotic.fit_hypotheses(problem)
    targets = asymptotic.gaussian_limits(confidence_level)
    least, variance = thresholds(problem), extra * extra
    limits = asymptotic.limit_rows(problem, fits, confidence_level, least, targets, variance)[:, 1:]
    missing = np.flatnonzero(~np.all(np.isfinite(limits), axis=1))
    if missing.size:
        part = problem.select(missing)
        nothing = np.zeros_like(part.counts)
        counted, _ = counting.run_kernel(part, confidence_level, extra[missing], nothing)
        limits[missing] = counted[:, core.EXPECTED_LIMITS :]
    return limits
