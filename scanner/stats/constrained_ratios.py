"""Likelihood ratios of many data sets of one window with nuisances: toys, and the data itself.

A fit starts where another of the same data set ended, and what a ratio does not depend on is not fitted.
"""

from dataclasses import dataclass, replace

import numpy as np

from scanner.kernels.constrained.batch import NLL
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import ConstrainedFit, Mask, fit_constrained

SPECK = 1e-6
"""Events that a toy without any is given where most are expected: a fit needs some."""


@dataclass(frozen=True)
class FreeFits:
    """Best fits of N data sets with a yield that is not negative."""

    sets: BinnedProblem
    """The data sets as the windows of a problem, with a speck in empty ones."""
    fit: ConstrainedFit
    yields: Floats
    """(N,) max(ŝ, 0), NaN where the fit fails."""
    best: Floats
    """(N,) NLL there."""
    null: Floats
    """(N,) NLL without signal, NaN also where it was not asked for."""

    def at(self, signal_yield: float, chosen: Mask) -> Floats:
        """Return the NLL at a yield (N,), NaN where a fit fails or is not chosen."""
        return _fixed(self.sets, self.fit, signal_yield, chosen)

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
        """Return q₀ (eq. 12) of the data sets (N,); all need their fits without signal."""
        q = np.maximum(2.0 * (self.null - self.best), 0.0)
        return np.where(self.yields > 0.0, q, 0.0 * (self.null + self.yields))


def free_fits(problem: BinnedProblem, *, with_null: bool) -> FreeFits:
    """Fit data sets with a free yield, and without signal where ŝ is negative or `with_null` asks."""
    sets = with_specks(problem)
    free = fit_constrained(sets, np.full(sets.windows, np.nan))
    yields = np.where(free.found, free.yields, np.nan)
    asked = free.found if with_null else free.found & ~(yields > 0.0)
    null = _fixed(sets, free, 0.0, asked)
    best = np.where(yields > 0.0, free.numbers[:, NLL], null)
    return FreeFits(sets, free, np.where(yields < 0.0, 0.0, yields), best, null)


def _fixed(sets: BinnedProblem, free: ConstrainedFit, signal_yield: float, chosen: Mask) -> Floats:
    """Return the NLL at a yield, from fits that follow the profile of the free ones."""
    start = free.theta + (signal_yield - free.yields)[:, None] * free.tangent
    result = fit_constrained(sets, np.full(sets.windows, signal_yield), start, chosen)
    return np.where(result.found & chosen, result.numbers[:, NLL], np.nan)


def with_specks(problem: BinnedProblem) -> BinnedProblem:
    """Return data sets with a speck of an event in those without any."""
    empty = problem.counts.sum(axis=1) == 0.0
    if not empty.any():
        return problem
    counts = problem.counts.copy()
    counts[empty, np.argmax(problem.signal, axis=1)[empty]] = SPECK
    return replace(problem, counts=counts)
