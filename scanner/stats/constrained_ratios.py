"""Likelihood ratios of many data sets of one window with nuisances: toys, and the data itself.

A fit starts where another of the same data set ended, and what a ratio does not depend on is not fitted.
"""

from dataclasses import dataclass, replace

import numpy as np

from scanner.kernels.constrained.batch import NLL, YIELD_SLOPE
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import Mask, fit_constrained

SPECK = 1e-6
"""Events that a toy without any is given where most are expected: a fit needs some."""


@dataclass(frozen=True)
class FreeFits:
    """Best fits of N data sets with a yield that is not negative."""

    sets: BinnedProblem
    """The data sets as the windows of a problem, with a speck in empty ones."""
    theta: Floats
    """(N, J+K+1) parameters of the best fit."""
    tangent: Floats
    """(N, J+K+1) how these follow the yield along the profile."""
    yields: Floats
    """(N,) max(ŝ, 0), NaN where the fit fails."""
    best: Floats
    """(N,) NLL there."""
    null: Floats
    """(N,) NLL without signal."""

    def at(self, signal_yield: float, chosen: Mask) -> Floats:
        """Return the NLL at a yield (N,), NaN where a fit fails or is not chosen."""
        start = self.theta + (signal_yield - self.theta[:, -1:]) * self.tangent
        yields = np.full(self.sets.windows, signal_yield)
        result = fit_constrained(self.sets, yields, start, chosen)
        return np.where(result.found & chosen, result.numbers[:, NLL], np.nan)

    def qmu_tilde(self, signal_yield: float) -> Floats:
        """Return q̃_μ (arXiv:1007.1727, eq. 16) of the data sets (N,), NaN where a fit fails."""
        below = self.yields < signal_yield
        q = np.maximum(2.0 * (self.at(signal_yield, below) - self.best), 0.0)
        return np.where(self.yields >= signal_yield, 0.0 * self.best, q)

    def ratio(self, signal_yield: float) -> Floats:
        """Return −2 ln of the likelihood over that at the best yield (N,), NaN where a fit fails."""
        fixed = self.at(signal_yield, np.isfinite(self.best))
        return np.maximum(2.0 * (fixed - self.best), 0.0)

    def excess(self) -> Floats:
        """Return q₀ (eq. 12) of the data sets (N,)."""
        q = np.maximum(2.0 * (self.null - self.best), 0.0)
        return np.where(self.yields > 0.0, q, 0.0 * (self.null + self.yields))


def free_fits(problem: BinnedProblem) -> FreeFits:
    """Fit data sets without signal, and with a free yield where the likelihood rises with the yield."""
    sets = with_specks(problem)
    null = fit_constrained(sets, np.zeros(sets.windows))
    rises = ~(null.numbers[:, YIELD_SLOPE] >= 0.0)
    free = fit_constrained(sets, np.full(sets.windows, np.nan), null.theta, rises)
    above = rises & free.found & ~(free.yields <= 0.0)
    nll = np.where(null.found, null.numbers[:, NLL], np.nan)
    lost = rises & ~free.found
    best = np.where(above, free.numbers[:, NLL], np.where(lost, np.nan, nll))
    return FreeFits(
        sets,
        np.where(above[:, None], free.theta, null.theta),
        np.where(above[:, None], free.tangent, null.tangent),
        np.where(above, free.yields, 0.0 * best),
        best,
        nll,
    )


def with_specks(problem: BinnedProblem, speck: float = SPECK) -> BinnedProblem:
    """Return data sets with a speck of an event in those without any."""
    empty = problem.counts.sum(axis=1) == 0.0
    if not empty.any():
        return problem
    counts = problem.counts.copy()
    counts[empty, np.argmax(problem.signal, axis=1)[empty]] = speck
    return replace(problem, counts=counts)
