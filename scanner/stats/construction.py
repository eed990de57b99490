"""The Neyman construction of one mass window, by toys.

A yield s is in the interval where data sets less like it than the observed one, by the likelihood ratio
t(s) = −2 ln L(s, ĉ(s))/L(ŝ ≥ 0, ĉ), have a probability above 1 − CL (Feldman, Cousins, physics/9711021,
secs. IV B and V). Toys of each s have the background of the fit at that s to the data, as profiling
prescribes (Sen, Walker, Woodroofe, Statistica Sinica 19 (2009) 301).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scanner.kernels.counting.neyman import likelihood_ratios
from scanner.kernels.linear import window
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.posterior import TOY_STREAM
from scanner.stats.sampling import poisson_toys

FIRST_TOYS = 500
"""Toys of a yield to begin with; more are thrown where the decision is not clear."""
CLEAR = 3.0
"""Standard deviations of the fraction of toys that make a decision clear."""
INTERVAL_STREAM = 2
"""Stream of the toys of the construction."""
STEPS = 16
"""Yields that are tried from outside to find an end of the interval."""
ENDS = 2e-3
"""Width, relative to the interval, to which its ends are searched."""
EQUAL = 1e-5
"""Difference of t, relative to 1 + t, that is none: the fits' own error."""
CURVE_POINTS = 24
CURVE_TOYS = 1000
"""Yields, and toys of each, of the critical values for expected limits."""
CURVE_REACH = 16.0
"""t of the largest of these yields for the background itself: four standard deviations."""


@dataclass
class Construction:
    """The data set of one window and the toys around it."""

    problem: BinnedProblem
    level: float
    most: int
    toys: int = 0
    failed: int = 0

    def ratios(self, counts: Any, yields: Floats) -> tuple[Floats, Floats]:
        """Return t (T, G) of data sets (T, B) at yields (G,), and ŝ ≥ 0 (T,); NaN where a fit fails."""
        ratios, best = np.empty((len(counts), yields.size)), np.empty(len(counts))
        status = np.empty(len(counts), dtype=np.uint8)
        arrays = (self.problem.signal[0], self.problem.background[0], int(self.problem.terms[0]))
        likelihood_ratios(counts, *arrays, yields, ratios, best, status)
        return ratios, best

    def expectation(self, signal_yield: float) -> Any:
        """Return the expected events (B,) with the background of the fit at that yield, if it succeeds.

        Without events that background is zero.
        """
        signal: Floats = np.maximum(signal_yield * self.problem.signal[0], 0.0)
        if self.problem.terms[0] == 0:
            return signal
        conditional = fit(self.problem, np.array([signal_yield]))
        if not (conditional.status[0] in USABLE or conditional.status[0] == window.EMPTY):
            return None
        background = np.nan_to_num(conditional.background[0]) @ self.problem.background[0]
        total: Floats = np.maximum(background + signal, 0.0)
        return total

    def observed(self) -> Any:
        """Return the data as the only one of its data sets."""
        return self.problem.counts

    def asimov(self, expected: Any) -> Any:
        """Return the expected events as the only one of their data sets."""
        return expected[None]

    def with_signal(self, expected: Any, signal_yield: float) -> Any:
        """Return what is expected with a signal and the same background."""
        return expected + signal_yield * self.problem.signal[0]

    def throw(self, expected: Any, first: int, count: int, stream: int = INTERVAL_STREAM) -> Any:
        """Return toys (count, B); those of one number fluctuate together at every yield."""
        return poisson_toys(expected, int(self.problem.keys[0]), first, count, stream=stream)

    def accepts(self, signal_yield: float) -> bool | None:
        """Return whether a yield belongs to the interval; None where a fit of the data fails.

        A toy whose fit fails counts as less like the yield than the data.
        """
        expected, at = self.expectation(signal_yield), np.array([signal_yield])
        observed = self.ratios(self.observed(), at)[0][0, 0]
        if expected is None or np.isnan(observed):
            return None
        alpha = 1.0 - self.level
        thrown = extreme = 0
        while True:
            size = min(max(thrown, FIRST_TOYS), self.most - thrown)
            ratios = self.ratios(self.throw(expected, thrown, size), at)[0][:, 0]
            self.failed += int(np.count_nonzero(np.isnan(ratios)))
            extreme += int(np.count_nonzero(~(ratios < observed - EQUAL * (1.0 + observed))))
            thrown += size
            self.toys += size
            distance = abs(extreme / thrown - alpha)
            if thrown >= self.most or distance > CLEAR * np.sqrt(alpha * (1.0 - alpha) / thrown):
                return (extreme + 1.0) / (thrown + 1.0) > alpha

    def interval(self) -> tuple[float, float]:
        """Return both ends of the interval, NaN where a fit of the data fails."""
        none = np.array([0.0])
        best = float(self.ratios(self.observed(), none)[1][0])
        if np.isnan(best):
            return np.nan, np.nan
        outside = yield_of_ratio(lambda s: self.ratios(self.observed(), s)[0][0, 0], best, 4.0)
        for _ in range(30):
            accepted = self.accepts(outside)
            if accepted is None:
                return np.nan, np.nan
            if not accepted:
                break
            outside = best + 1.5 * (outside - best)
        high = self._end(best, outside)
        if best == 0.0 or self.accepts(0.0):
            return 0.0, high
        return self._end(best, 0.0), high

    def _end(self, inside: float, outside: float) -> float:
        """Return the first accepted yield on the way in: with few events the set may have islands."""
        width, step = abs(outside - inside), (inside - outside) / STEPS
        for i in range(1, STEPS):
            accepted = self.accepts(outside + i * step)
            if accepted is None:
                return np.nan
            if accepted:
                inside, outside = outside + i * step, outside + (i - 1) * step
                break
        else:
            outside = inside - step
        while abs(outside - inside) > ENDS * width:
            middle = 0.5 * (inside + outside)
            accepted = self.accepts(middle)
            if accepted is None:
                return np.nan
            inside, outside = (middle, outside) if accepted else (inside, middle)
        return 0.5 * (inside + outside)

    def expected_limits(self, count: int) -> Floats:
        """Return the upper ends of some background-only toys, by critical values at a few yields.

        The critical values are those of toys with the background of the background-only fit.
        """
        null = self.expectation(0.0)
        if null is None:
            return np.empty(0)
        toys = self.throw(null, 0, count, TOY_STREAM)
        top = yield_of_ratio(lambda s: self.ratios(self.asimov(null), s)[0][0, 0], 0.0, CURVE_REACH)
        yields = top / CURVE_POINTS * np.arange(1.0, CURVE_POINTS + 1.0)
        critical, thrown = np.empty(yields.size), min(CURVE_TOYS, self.most)
        for i, value in enumerate(yields):
            expected = self.with_signal(null, value)
            ratios = self.ratios(self.throw(expected, 0, thrown), yields[i : i + 1])[0][:, 0]
            self.failed += int(np.count_nonzero(np.isnan(ratios)))
            self.toys += thrown
            counted = np.where(np.isnan(ratios), np.inf, ratios)
            critical[i] = np.quantile(counted, self.level, method="inverted_cdf")
        return last_crossings(yields, self.ratios(toys, yields)[0], critical)


def last_crossings(yields: Floats, ratios: Floats, critical: Floats) -> Floats:
    """Return for each row of `ratios` (T, G) where √t rises above its critical value for the last time."""
    distance = np.sqrt(np.maximum(ratios, 0.0)) - np.sqrt(critical)
    ends = np.full(len(ratios), np.nan)
    for t, row in enumerate(distance):
        inside = np.flatnonzero(row <= EQUAL)
        if np.isnan(row).any() or (inside.size and inside[-1] == yields.size - 1):
            continue
        last = inside[-1] if inside.size else -1
        low, start = (yields[last], row[last]) if last >= 0 else (0.0, -np.sqrt(critical[0]))
        ends[t] = low + (yields[last + 1] - low) * -start / (row[last + 1] - start)
    return ends


def yield_of_ratio(ratio: Callable[[Floats], float], best: float, target: float) -> float:
    """Return a yield above `best` where t is about `target`, by doubling and halving the distance."""
    distance = 1.0 + best
    while ratio(np.array([best + distance])) < target and distance < 1e12:
        distance *= 2.0
    while ratio(np.array([best + 0.5 * distance])) > target and distance > 1e-12:
        distance *= 0.5
    for _ in range(6):
        scale = np.sqrt(target / max(ratio(np.array([best + distance])), 1e-9))
        distance *= min(max(scale, 0.5), 2.0)
    return best + distance
