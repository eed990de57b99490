"""The Neyman construction of one mass window with constrained nuisances, which are profiled."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.expectation import Expectation
from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.constrained_ratios import free_fits
from scanner.stats.construction import INTERVAL_STREAM, Construction
from scanner.stats.sampling import OBSERVABLES, normal_numbers


@dataclass(frozen=True)
class Truth:
    """What toys of a window with nuisances are thrown from: the parameters of a fit to the data.

    Attributes
    ----------
    theta : (J+K+1,) float
        Nuisances, coefficients, and the yield.
    expected, beta : (B,) float
        Expected events, and the factors of template statistics.
    """

    theta: Floats
    expected: Floats
    beta: Floats


class ConstrainedConstruction(Construction):
    """The same with constrained nuisances, whose global observables fluctuate in toys; sets are problems.

    A window without events is given a speck of one, since a fit with nuisances needs some.
    """

    def ratios(self, counts: Any, yields: Floats) -> tuple[Floats, Floats]:
        """Return t (T, G) of windows at yields (G,), and ŝ ≥ 0 (T,); NaN where a fit fails."""
        sets: BinnedProblem = counts
        fits = free_fits(sets)
        ratios: Floats = np.array([fits.ratio(s) for s in yields]).T
        if sets.windows == 1 and np.isnan(ratios).any():  # of toys, those that fail are counted
            return self._second_opinion(sets, yields)
        return ratios, fits.yields

    def _second_opinion(self, sets: BinnedProblem, yields: Floats) -> tuple[Floats, Floats]:
        """Return the same of the data, with iminuit's help."""
        free, null = fit(sets), fit(sets, np.zeros(sets.windows))
        least = np.where(free.yields < 0.0, null.nll, free.nll)
        fixed = [fit(sets, np.full(sets.windows, s)).nll for s in yields]
        ratios: Floats = np.maximum(2.0 * (np.array(fixed) - least), 0.0).T
        return ratios, np.maximum(free.yields, 0.0)

    def expectation(self, signal_yield: float) -> Any:
        """Return the truth of the fit at that yield, if it succeeds."""
        found = fit(self.problem, np.array([signal_yield]))
        if found.status[0] not in USABLE:
            return None
        coefficients = found.background[0, : self.problem.terms[0]]
        return self._truth(np.concatenate([found.pulls[0], coefficients, [signal_yield]]))

    def _truth(self, theta: Floats) -> Truth:
        expected, beta = Expectation.of(self.problem, 0).expected(theta, self.problem.counts[0])
        return Truth(theta, np.maximum(expected, 0.0), beta)

    def observed(self) -> Any:
        """Return the data."""
        return self.problem

    def asimov(self, expected: Any) -> Any:
        """Return the expected events, with global observables where the truth is."""
        return self._sets(expected, expected.expected[None], np.zeros((1, self._numbers(expected))))

    def with_signal(self, expected: Any, signal_yield: float) -> Any:
        """Return the truth with a signal."""
        return self._truth(np.append(expected.theta[:-1], signal_yield))

    def throw(self, expected: Any, first: int, count: int, stream: int = INTERVAL_STREAM) -> Any:
        """Return toys; those of one number fluctuate together at every yield."""
        counts, key = super().throw(expected.expected, first, count, stream), int(self.problem.keys[0])
        size = self._numbers(expected)
        numbers = [
            normal_numbers(key, toy, size, stream=stream + OBSERVABLES) for toy in range(first, first + count)
        ]
        return self._sets(expected, counts, np.array(numbers).reshape(count, size))

    def _numbers(self, truth: Truth) -> int:
        return truth.theta.size - 1 - int(self.problem.terms[0]) + truth.beta.size

    def _sets(self, truth: Truth, counts: Floats, numbers: Floats) -> BinnedProblem:
        """Return windows with counts (T, B), global observables `numbers` (T, J+B) deviations away."""
        sets = self.problem.select(np.zeros(len(counts), dtype=np.int64))
        nuisances = sets.nuisances
        if nuisances is None:
            return replace(sets, counts=counts)
        size = len(nuisances.names)
        moved = replace(
            nuisances,
            observed=truth.theta[:size] + numbers[:, :size],
            measured=truth.beta + nuisances.statistics * numbers[:, size:],
        )
        return replace(sets, counts=counts, nuisances=moved)
