"""The yields where toys reach a confidence level: few toys to find them, many at the one of the data.

Six curves of ln CLs (or of ln CLs+b) over the yield have one level in common: that of the data, and
those of the five quantiles of the toys without signal. Every tested yield gives a point of all six.
Toys of one number fluctuate together at all yields, so that the curves are smooth.

A curve is estimated from the toys of both hypotheses, each weighted by its probability under one over
that under the mixture of both (the balance heuristic, Veach and Guibas, SIGGRAPH 95, eq. 12). A toy
without signal then counts a little as one with it: probabilities far below one over the number of toys
are known, as the limits of deficits need. The data's limit itself rests on plain p-values, (k+1)/(N+1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import Floats
from scanner.stats.pseudo import PseudoExperiments, Sample

CURVES = 1 + len(QUANTILES)
TIE = 1e-6
"""Relative difference within which two values of q̃_μ are one: counts are discrete, fits are rounded."""
BAND_PART, BAND_LEAST = 8, 1000
"""Part of the toys that the six curves are found by, and how many these are at least."""
ROUNDS = 12
CLOSE = 0.1
"""Distance in ln CLs within which a point settles a curve, for its neighbours interpolate to there."""
EDGE = 0.02
"""The same for the first and the last point, beyond which there is no neighbour."""
MARGIN = 0.2
"""Part of an interval around a root at its ends where no point is set."""
NARROW = 0.02
"""Relative width of an interval around the root that needs no further point: curves may jump."""
SAME = 0.005
"""Relative difference of yields that one point serves."""
FAR = 2.0
"""Distance in ln CLs beyond which a point only tells on which side the root is."""
VANISHING = 1e-3
"""Part of the first guess below which a limit is 0."""


@dataclass(frozen=True)
class Roots:
    """Yields at the level, NaN where there is none."""

    yields: Floats
    """(6,) the data's, then those of `scanner.constants.QUANTILES`."""
    error: float
    """Standard deviation of the data's yield from the number of toys."""
    toys: int
    """Pseudo-experiments thrown."""
    failed: int
    """Fits of them that failed: they count as at least as extreme as the data."""


class Curves:
    """Points of the six curves, by rising yield."""

    def __init__(self, window: PseudoExperiments, log_alpha: float, criterion: str, toys: int) -> None:
        self._window, self._criterion = window, criterion
        self.log_alpha, self.toys = log_alpha, toys
        self.yields = np.empty(0)
        self.values = np.empty((0, CURVES))
        """(points, 6) ln CLs less the level."""
        self.thrown, self.failed = toys, 0

    def approach(self, guesses: Floats, least: float) -> None:
        """Test yields until every curve is settled, or its root is below `least`."""
        targets = guesses
        for _ in range(ROUNDS):
            for signal_yield in distinct(targets):
                self._test(signal_yield)
            roots = self.roots()
            open_ones = [i for i in range(CURVES) if roots[i] > least and not self.is_settled(i)]
            targets = np.array([self._well_inside(i, roots[i]) for i in open_ones])
            if targets.size == 0:
                return

    def _test(self, signal_yield: float) -> None:
        sample = self._window.sample(signal_yield, self.toys)
        values = np.clip(log_criteria(sample, self._criterion) - self.log_alpha, -FAR, FAR)
        at = int(np.searchsorted(self.yields, signal_yield))
        self.yields = np.insert(self.yields, at, signal_yield)
        self.values = np.insert(self.values, at, values, axis=0)
        self.thrown += self.toys
        self.failed += failures(sample)

    def roots(self) -> Floats:
        """Return where the curves reach the level, (6,): interpolated, or a step beyond the points."""
        return np.array([self._root(i) for i in range(CURVES)])

    def _root(self, i: int) -> float:
        x, y = self.yields, self.values[:, i]
        if not np.isfinite(y).all():
            return np.nan
        above = np.flatnonzero(y > 0.0)
        low = int(above[-1]) if above.size else 0
        if above.size == 0 or low == x.size - 1:
            step = -y[low] / self.slope(i) / x[low]
            if abs(y[low]) > EDGE:
                step = min(max(step, 0.1), 2.0) if step > 0.0 else min(max(step, -0.7), -0.1)
            return float(x[low] * (1.0 + step))
        guess = inverse_parabola(x, y)
        if x[low] < guess < x[low + 1]:
            return guess
        return float(x[low] + y[low] * (x[low + 1] - x[low]) / (y[low] - y[low + 1]))

    def _well_inside(self, i: int, root: float) -> float:
        """Keep a yield off the ends of its interval, so that the interval shrinks whatever the curve."""
        above = np.flatnonzero(self.values[:, i] > 0.0)
        if above.size == 0 or above[-1] == self.yields.size - 1:
            return root
        low, high = self.yields[above[-1]], self.yields[above[-1] + 1]
        margin = MARGIN * (high - low)
        return float(min(max(root, low + margin), high - margin))

    def slope(self, i: int) -> float:
        """Return the slope of curve i around the level; like that of e^−s/2σ without two points."""
        x, y = self.yields, self.values[:, i]
        near = int(np.argmin(np.abs(y)))
        falls = (np.abs(y - y[near]) > CLOSE) & ((x - x[near]) * (y - y[near]) < 0.0)
        if not falls.any():
            return -2.0 / float(x[near])
        other = int(np.argmin(np.where(falls, np.abs(y - y[near]), np.inf)))
        return float((y[other] - y[near]) / (x[other] - x[near]))

    def is_settled(self, i: int) -> bool:
        """Return whether curve i needs no further point, which is so without a value too."""
        x, y = self.yields, self.values[:, i]
        if not np.isfinite(y).all():
            return True
        above = np.flatnonzero(y > 0.0)
        if above.size == 0 or above[-1] == x.size - 1:
            return bool(np.min(np.abs(y)) < EDGE)
        low, high = x[above[-1]], x[above[-1] + 1]
        return bool(np.min(np.abs(y)) < CLOSE or high - low < NARROW * low)


def find_roots(
    window: PseudoExperiments, guesses: Floats, log_alpha: float, criterion: str, toys: int
) -> Roots:
    """Find the yields of the six curves.

    Parameters
    ----------
    window : PseudoExperiments
    guesses : (n,) float
        Positive yields to begin at.
    log_alpha : float
        The level, ln(1 − CL).
    criterion : str
        ``cls`` or ``clsb``.
    toys : int
        Pseudo-experiments of a hypothesis at the data's limit.
    """
    least = VANISHING * float(guesses.min())
    curves = Curves(window, log_alpha, criterion, min(toys, max(BAND_LEAST, toys // BAND_PART)))
    curves.approach(guesses, least)
    roots = curves.roots()
    known = np.array([roots[i] <= least or curves.is_settled(i) for i in range(CURVES)])
    roots = np.where(known, np.where(roots <= least, 0.0, roots), np.nan)
    observed, error, thrown, failed = _refine(window, curves, float(roots[0]), criterion, toys)
    return Roots(
        np.array([observed, *np.fmax.accumulate(roots[1:])]),
        error,
        curves.thrown + thrown,
        curves.failed + failed,
    )


def _refine(
    window: PseudoExperiments, curves: Curves, root: float, criterion: str, toys: int
) -> tuple[float, float, int, int]:
    """Return the data's limit from plain p-values of many toys, its error, and toys thrown and failed."""
    thrown = failed = 0
    if not root > 0.0:
        return root, np.nan, 0, 0
    slope = curves.slope(0)
    for _ in range(ROUNDS):
        sample = window.sample(root, toys)
        thrown, failed = thrown + toys, failed + failures(sample)
        value, error = observed_criterion(sample, criterion)
        distance = value - curves.log_alpha
        if not np.isfinite(distance):
            return np.nan, np.nan, thrown, failed
        step = -distance / slope
        if abs(distance) < max(CLOSE, 2.0 * error):
            return root + step, abs(error / slope), thrown + toys - curves.toys, failed
        root = min(max(root + step, 0.5 * root), 2.0 * root)
    return np.nan, np.nan, thrown, failed


def distinct(signal_yields: Floats) -> list[float]:
    """Return the rising ones among some yields, those that are nearly the same but once."""
    kept: list[float] = []
    for signal_yield in np.sort(signal_yields[np.isfinite(signal_yields)]):
        if not kept or signal_yield > (1.0 + SAME) * kept[-1]:
            kept.append(float(signal_yield))
    return kept


def inverse_parabola(x: Floats, y: Floats) -> float:
    """Return x at y = 0 by the parabola x(y) through the three points nearest to it, NaN without them."""
    chosen: list[int] = []
    for at in np.argsort(np.abs(y), kind="stable"):
        if all(abs(y[at] - y[other]) > CLOSE for other in chosen):
            chosen.append(int(at))
        if len(chosen) == 3:
            break
    if len(chosen) < 3:
        return np.nan
    a, b, c = y[chosen]
    weights = [b * c / ((a - b) * (a - c)), a * c / ((b - a) * (b - c)), a * b / ((c - a) * (c - b))]
    return float(np.dot(weights, x[chosen]))


def log_criteria(sample: Sample, criterion: str) -> Floats:
    """Return ln CLs (or ln CLs+b) of the data and of the quantiles, (6,), from toys of both hypotheses.

    The p-th quantile of the CLs of the toys without signal is that of the toy which a part p of them
    has no smaller q̃_μ than, since CLs falls with q̃_μ. Without a toy as extreme, CLs is 1.
    """
    background = ordered(sample.background)
    count = background.size
    places = count - np.maximum(np.ceil(np.array(QUANTILES) * count).astype(np.int64), 1)
    q = np.array([sample.observed, *background[places]])
    both = extreme(np.concatenate([sample.signal, sample.background]))
    weights = expit(np.concatenate([sample.signal_log_ratio, sample.background_log_ratio]))
    order = np.argsort(both, kind="stable")
    first = np.searchsorted(both[order], least_extreme(q))
    p_signal = np.where(least_extreme(q) < 0.0, 1.0, _sums_from(weights[order], first) / count)
    if criterion == "clsb":
        p_background = np.ones(CURVES)
    else:
        p_background = np.where(least_extreme(q) < 0.0, 1.0, _sums_from(1.0 - weights[order], first) / count)
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = np.where(p_background > 0.0, np.log(p_signal / p_background), 0.0)
    values[np.isnan(q)] = np.nan
    return values


def _sums_from(values: Floats, first: NDArray[np.int64]) -> Floats:
    sums: Floats = np.append(np.cumsum(values[::-1])[::-1], 0.0)[first]
    return sums


def observed_criterion(sample: Sample, criterion: str) -> tuple[float, float]:
    """Return ln CLs (or ln CLs+b) of the data from plain p-values, and its standard deviation."""
    q = np.array([sample.observed])
    p_signal, variance = tail(ordered(sample.signal), q)
    value = np.log(p_signal[0])
    if criterion == "cls":
        p_background, spread = tail(ordered(sample.background), q)
        value, variance = value - np.log(p_background[0]), variance + spread
    if np.isnan(sample.observed):
        return np.nan, np.nan
    return float(value), float(np.sqrt(variance[0]))


def failures(sample: Sample) -> int:
    """Count the toys with a fit that failed."""
    return int(np.isnan(sample.signal).sum() + np.isnan(sample.background).sum())


def extreme(q: Floats) -> Floats:
    """Return q̃ with failed toys as the most extreme."""
    return np.where(np.isnan(q), np.inf, q)


def ordered(q: Floats) -> Floats:
    """Return q̃ in rising order, failed toys last."""
    return np.sort(extreme(q))


def least_extreme(q: Floats) -> Floats:
    """Return the smallest value that is as extreme as q̃."""
    limit: Floats = q - TIE * (1.0 + np.where(np.isfinite(q), q, 0.0))
    return limit


def tail(rising: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Return P(≥ q) = (k+1)/(N+1) of toys in rising order, and the relative variance of k."""
    k: NDArray[np.int64] = rising.size - np.searchsorted(rising, least_extreme(q))
    p: Floats = np.asarray((k + 1.0) / (rising.size + 1.0))
    return p, (1.0 - p) / (k + 1.0)
