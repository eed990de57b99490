"""The yields where toys reach a confidence level: few toys to find them, more at the one of the data.

Six curves of ln CLs (or of ln CLs+b) over the yield have one level in common: that of the data, and
those of the five quantiles of the toys without signal. Every tested yield gives a point of all six.
Toys of one number fluctuate together at all yields, so that the curves are smooth.

At the data's limit toys are added until its stated error is small enough, or their number is at its cap.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import Floats
from scanner.stats.pseudo import PseudoExperiments
from scanner.stats.toy_values import CURVES, failures, log_criteria, observed_criterion, plain_error

PRECISION = 0.02
"""Largest standard error of the data's limit, relative to it, at which no more toys are thrown. Nor is it
larger than that of the toys that were asked for, thrown there and each told of its own hypothesis alone."""
GROWTH = 16
"""How many times the toys that were asked for are thrown at most for that."""
BAND_PART, BAND_LEAST = 8, 1000
"""Part of the toys that the six curves are found by, and how many these are at least."""
ROUNDS = 12
FASTEST = 8.0
"""How many times as many toys the next round takes at most."""
MEDIAN = 1 + QUANTILES.index(0.5)
"""Place of the median among the curves."""
CLOSE = 0.04
"""Distance to the level within which a point settles a curve, for its neighbours interpolate to there."""
EDGE = 0.01
"""The same for the first and the last point, beyond which there is no neighbour."""
SMOOTH = 0.01
"""Relative difference of two interpolations to a root below which the curve is settled: the better one is off
by far less."""
NARROW = 0.02
"""Relative width of an interval around the root that needs no further point: curves may jump."""
MARGIN = 0.2
"""Part of an interval around a root at its ends where no point is set."""
SAME = 0.005
"""Relative difference of yields that one point serves."""
STRIDE = 0.3
"""Distances to the level of the two points that tell the slope: nearer ones are noisy where toys are few."""
APART = 0.02
"""Least fall between points that a parabola goes through."""
FAR = 1.0
"""Distance to the level beyond which a point only tells on which side the root is."""
BEYOND = 0.95, 1.05
"""By how much the lowest and the highest guess are moved outwards, so that the roots are between."""
SETTLED = 0.1
"""Distance in ln CLs within which the data's limit follows from the slope."""
LOST = 0.2
"""Toys of a yield whose fits may fail, as part of the probability that a curve is about: more of them, which
count as extreme, would move the curve, and there is no limit."""
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
    """Points of the six curves, by rising yield.

    Their height is z = Φ⁻¹(c CLs) above that at the level, with c = P(q̃_μ at least that of the curve | no
    signal) for the quantiles. Then z = Φ⁻¹(CLs+b), which for Gaussian measurements is linear in the yield.
    """

    def __init__(self, window: PseudoExperiments, log_alpha: float, criterion: str, toys: int) -> None:
        self._window, self._criterion = window, criterion
        self.log_alpha, self.toys = log_alpha, toys
        self._parts = np.array([0.5, *QUANTILES]) if criterion == "cls" else np.ones(CURVES)
        self.level = ndtri(self._parts * np.exp(log_alpha))
        """(6,) z at the level."""
        self.yields = np.empty(0)
        self.values = np.empty((0, CURVES))
        """(points, 6) z less that at the level."""
        self.thrown = self.failed = self.common = 0
        self.lost = 0.0
        """Largest part of the toys of a yield whose fits failed."""

    def approach(self, guesses: Floats, least: float, lowest: float) -> None:
        """Test yields until every curve is settled, or its root is below `least`.

        The median's guess is tested first and tells by what factor all of them are off; no other guess is
        below `lowest`.
        """
        self._test(float(guesses[MEDIAN]))
        median, height = -self.level[MEDIAN], float(np.nan_to_num(self.values[0, MEDIAN]))
        targets = np.delete(guesses, MEDIAN) * min(max(median / (median - height), 0.5), 2.0)
        targets[[targets.argmin(), targets.argmax()]] *= BEYOND
        targets = np.maximum(targets, lowest)
        targets = targets[np.abs(targets - self.yields[0]) > SAME * targets]
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
        chances = np.minimum(np.exp(log_criteria(sample, self._criterion)), 1.0)
        values = np.clip(ndtri(self._parts * chances) - self.level, -FAR, FAR)
        at = int(np.searchsorted(self.yields, signal_yield))
        self.yields = np.insert(self.yields, at, signal_yield)
        self.values = np.insert(self.values, at, values, axis=0)
        self.thrown += sample.signal.size
        self.common = sample.background.size + sample.guide.size
        self.failed += failures(sample)
        self.lost = max(self.lost, failures(sample) / (sample.signal.size + self.common))

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
        return float(np.mean(self._parabolas(i, low) or self._secant(i, low)))

    def _parabolas(self, i: int, low: int) -> list[float]:
        """Return the roots of curve i by parabolas through points low, low + 1 and one on either side."""
        x, y = self.yields, self.values[:, i]
        sides = [slice(low - 1, low + 2)] * (low > 0) + [slice(low, low + 3)] * (low + 2 < x.size)
        roots = [inverse_parabola(x[side], y[side]) for side in sides]
        return [root for root in roots if x[low] < root < x[low + 1]]

    def _secant(self, i: int, low: int) -> float:
        x, y = self.yields[low : low + 2], self.values[low : low + 2, i]
        return float(x[0] + y[0] * (x[1] - x[0]) / (y[0] - y[1]))

    def _well_inside(self, i: int, root: float) -> float:
        """Keep a yield off the ends of its interval, so that the interval shrinks whatever the curve."""
        above = np.flatnonzero(self.values[:, i] > 0.0)
        if above.size == 0 or above[-1] == self.yields.size - 1:
            return root
        low, high = self.yields[above[-1]], self.yields[above[-1] + 1]
        margin = MARGIN * (high - low)
        return float(min(max(root, low + margin), high - margin))

    def slope(self, i: int) -> float:
        """Return the slope of curve i around the level; −2 in units of the yield without two points."""
        x, y = self.yields, self.values[:, i]
        near = float(y[np.argmin(np.abs(y))])
        middle = 0.0 if y.min() <= 0.0 < y.max() else near
        high, low = (int(np.argmin(np.abs(y - middle + side))) for side in (-STRIDE, STRIDE))
        if not (x[high] < x[low] and y[high] > y[low] + APART):
            return -2.0 / float(x[np.argmin(np.abs(y))])
        return float((y[low] - y[high]) / (x[low] - x[high]))

    def log_slope(self) -> float:
        """Return the slope of ln CLs of the data around the level."""
        z = self.level[0]
        return self.slope(0) * float(np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) / ndtr(z))

    def is_settled(self, i: int) -> bool:
        """Return whether curve i needs no further point, which is so without a value too."""
        x, y = self.yields, self.values[:, i]
        if not np.isfinite(y).all():
            return True
        above = np.flatnonzero(y > 0.0)
        if above.size == 0 or above[-1] == x.size - 1:
            return bool(np.min(np.abs(y)) < EDGE)
        low = int(above[-1])
        if np.min(np.abs(y)) < CLOSE or x[low + 1] - x[low] < NARROW * x[low]:
            return True
        ends = self._parabolas(i, low)
        if len(ends) == 1:
            ends.append(self._secant(i, low))
        return len(ends) == 2 and abs(ends[1] - ends[0]) < SMOOTH * x[low]


def find_roots(
    window: PseudoExperiments, guesses: Floats, lowest: float, log_alpha: float, criterion: str, toys: int
) -> Roots:
    """Find the yields of the six curves.

    Parameters
    ----------
    window : PseudoExperiments
    guesses : (6,) float
        Positive yields to begin at.
    lowest : float
        Where they are near the least yield that can be a limit: the least yield to begin at.
    log_alpha : float
        The level, ln(1 − CL).
    criterion : str
        ``cls`` or ``clsb``.
    toys : int
        Pseudo-experiments of a hypothesis that are asked for; up to `GROWTH` times as many at the data's
        limit, and an eighth, but 1000 or more, to find the curves.
    """
    least = VANISHING * float(guesses.min())
    curves = Curves(window, log_alpha, criterion, min(toys, max(BAND_LEAST, toys // BAND_PART)))
    curves.approach(guesses, least, lowest)
    roots = curves.roots()
    known = np.array([roots[i] <= least or curves.is_settled(i) for i in range(CURVES)])
    roots = np.where(known, np.where(roots <= least, 0.0, roots), np.nan)
    chances = np.array([np.exp(log_alpha), *np.minimum(QUANTILES, 1.0 - np.array(QUANTILES))])
    roots = np.where(curves.lost > LOST * chances, np.nan, roots)
    refined = _refine(window, curves, float(roots[0]), criterion, toys)
    return Roots(
        np.array([refined.observed, *np.where(np.isnan(roots[1:]), np.nan, np.fmax.accumulate(roots[1:]))]),
        refined.error,
        curves.thrown + refined.thrown + max(curves.common, refined.common),
        curves.failed + refined.failed,
    )


@dataclass
class Refined:
    """The data's limit and its error, NaN without, and toys thrown: with signal, and of other truths."""

    observed: float
    error: float = np.nan
    thrown: int = 0
    common: int = 0
    failed: int = 0


def _refine(window: PseudoExperiments, curves: Curves, root: float, criterion: str, toys: int) -> Refined:
    """Find the data's limit to `PRECISION`, or as well as `GROWTH` times the toys allow."""
    found, most = Refined(root), GROWTH * toys
    if not root > 0.0:
        return found
    slope, count = curves.log_slope(), curves.toys
    for _ in range(ROUNDS):
        sample = window.sample(root, count)
        found.thrown += sample.signal.size
        found.failed += failures(sample)
        found.common = sample.background.size + sample.guide.size
        value, error = observed_criterion(sample, criterion)
        distance = value - curves.log_alpha
        if not np.isfinite(distance):
            break
        if abs(distance) < max(SETTLED, 2.0 * error):
            wanted = min(PRECISION * abs(slope) * root, plain_error(sample, toys, criterion))
            if error <= wanted or (count == most and np.isfinite(error)):
                found.observed, found.error = root - distance / slope, abs(error / slope)
                return found
            count = min(most, int(count * min(max(1.2 * (error / wanted) ** 2, 1.5), FASTEST)) + 1)
        root = min(max(root - distance / slope, 0.5 * root), 2.0 * root)
    found.observed = np.nan
    return found


def distinct(signal_yields: Floats) -> list[float]:
    """Return the rising ones among some yields, those that are nearly the same as another but once."""
    kept: list[float] = []
    for signal_yield in np.sort(signal_yields[np.isfinite(signal_yields)]):
        if all(abs(signal_yield - other) > SAME * other for other in kept):
            kept.append(float(signal_yield))
    return kept


def inverse_parabola(x: Floats, y: Floats) -> float:
    """Return x at y = 0 by the parabola x(y) through three points; NaN if it is not told by them.

    It is not where y falls by less than `APART` from one to the next, or is clipped.
    """
    if np.any(np.diff(y) > -APART) or np.any(np.abs(y) >= FAR):
        return np.nan
    a, b, c = y
    weights = [b * c / ((a - b) * (a - c)), a * c / ((b - a) * (b - c)), a * b / ((c - a) * (c - b))]
    return float(np.dot(weights, x))
