"""Bayesian intervals of mass windows."""

from dataclasses import dataclass

import numpy as np

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.stats.density import Density, pooled
from scanner.stats.posterior import RELATIVE_ERROR, credible
from scanner.stats.settings import Settings


@dataclass(frozen=True)
class Intervals:
    """Intervals on the signal yield of W windows, NaN where a window has none."""

    low: Floats
    """(W,) lower ends."""
    high: Floats
    """(W,) upper ends."""
    low_error: Floats
    """(W,) standard errors of the lower ends from the sampling."""
    high_error: Floats
    """(W,) standard errors of the upper ends."""


def credible_intervals(problem: BinnedProblem, settings: Settings) -> Intervals:
    """Return the shortest interval in the yield that has the posterior probability `confidence_level`.

    Priors are those of `scanner.stats.posterior.bayesian_limits`. The shortest interval depends on the
    parameter whose length is taken: it is not the shortest in a coupling. Its lower end is 0 where no
    signal is needed to explain the data.
    """
    rows = np.full((problem.windows, 4), np.nan)
    for w in range(problem.windows):
        found = credible(problem, w, problem.counts[w : w + 1], settings, RELATIVE_ERROR)
        if found.densities[0]:
            rows[w] = _shortest(found.densities[0], settings.confidence_level)
    return Intervals(*rows.T)


def _shortest(replicates: list[Density], confidence_level: float) -> Floats:
    """Return both ends for the mean of the replicates, and their standard errors from the scatter."""
    ends = np.array([replicate.shortest(confidence_level) for replicate in replicates])
    errors = ends.std(axis=0, ddof=1) / np.sqrt(len(replicates))
    return np.concatenate([pooled(replicates).shortest(confidence_level), errors])
