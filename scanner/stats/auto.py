"""Asymptotic limits where they hold, exact ones where they do not; and the same for projections."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import core
from scanner.likelihood import BinnedProblem, Floats
from scanner.stats import asymptotic, counting
from scanner.stats.limits import Limits
from scanner.stats.settings import Settings

THRESHOLD = 100.0
"""Effective background count from which limits are asymptotic.

At 90% CL the asymptotic limit of a counting experiment with n = b known is below the exact one by
10, 7.4, 4.8, 3.4 and 2.5% for b = 5, 10, 25, 50 and 100, and covers at worst 86.8, 87.5, 88.3, 88.7
and 89.0% of the time. From 100 on that is within 1% of the level.
"""


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
    """Return asymptotic limits above an effective background of THRESHOLD, exact ones below.

    Windows whose asymptotic limit was not found are counted too; `method` records which is which. Counting
    knows no nuisances: windows with them have asymptotic limits, whatever their counts.
    """
    if problem.nuisances is not None:
        return asymptotic.asymptotic_limits(problem, settings)
    limits = asymptotic.asymptotic_limits_above(problem, settings, THRESHOLD)
    return counting.with_counting(problem, settings, limits)


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
        Yield limits at the stored quantiles, by the same switch as `automatic_limits`.
    """
    problem = BinnedProblem(
        expectation, templates.signal, templates.background, templates.core, templates.terms
    )
    extra = np.zeros(problem.windows) if systematic is None else np.asarray(systematic, dtype=np.float64)
    fits = asymptotic.fit_hypotheses(problem)
    targets = asymptotic.gaussian_limits(confidence_level)
    limits = asymptotic.limit_rows(problem, fits, confidence_level, THRESHOLD, targets, extra * extra)[:, 1:]
    missing = np.flatnonzero(~np.all(np.isfinite(limits), axis=1))
    if missing.size:
        counted, _ = counting.run_kernel(problem.select(missing), confidence_level, extra[missing])
        limits[missing] = counted[:, core.EXPECTED_LIMITS :]
    return limits
