"""Fits, asymptotic limits and intervals of windows with nuisances (arXiv:1007.1727).

The formulas are those of `scanner.stats.asymptotic`, the root searches run for all windows at once.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from scanner.constants import QUANTILES
from scanner.kernels.constrained.batch import ERROR, INFORMATION, LIVE, NLL
from scanner.kernels.linear import hypotheses, window
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import ConstrainedFit, Mask, asimov, fit_constrained
from scanner.stats.profiling import EVALUATIONS, Bracket, Profile, crossing, crossings
from scanner.stats.spread_series import Background, spread_series

CLOSE_LIMIT = 1e-4
"""Relative Newton step of the observed limit after which it is known to about its square."""
NOTHING = 1e-7
"""Limit over its first guess below which every yield is excluded."""
TRIED = np.array([0, window.NEWTON, window.NEWTON | window.INTERIOR])
"""Bits of the minimisers that a number of attempts stands for."""
ROOT_2PI = np.sqrt(2.0 * np.pi)


@dataclass(frozen=True)
class Pair:
    """Fits of W windows with a free yield and without signal."""

    free: ConstrainedFit
    null: ConstrainedFit

    @property
    def status(self) -> NDArray[np.uint8]:
        """Status of the free fit, or that of the other one where that fails."""
        failed = self.free.found & ~self.null.found
        return np.where(failed, self.null.status, self.free.status)

    @property
    def found(self) -> Mask:
        """Windows with both fits, (W,)."""
        return self.free.found & self.null.found


def fit_pair(problem: BinnedProblem) -> Pair:
    """Fit every window with a free yield, and from there without signal."""
    free = fit_constrained(problem, np.full(problem.windows, np.nan))
    start = free.theta - free.yields[:, None] * free.tangent
    return Pair(free, fit_constrained(problem, np.zeros(problem.windows), start, free.found))


def describe(problem: BinnedProblem, pair: Pair) -> Floats:
    """Return the (W, 9) columns of `scanner.kernels.linear.hypotheses`: fits, and what they say of an excess.

    On the positivity boundary the error is the rise of −2 ln λ by 1 above ŝ: the Hessian there is that of
    the face of the boundary.
    """
    free, null = pair.free, pair.null
    rows = np.full((problem.windows, hypotheses.COLUMNS), np.nan)
    q = np.maximum(2.0 * (null.numbers[:, NLL] - free.numbers[:, NLL]), 0.0)
    z = np.where(np.isnan(q), np.nan, np.where(free.yields > 0.0, np.sqrt(q), 0.0))
    rows[:, hypotheses.YIELD] = free.yields
    rows[:, hypotheses.ERROR] = _errors(problem, free)
    rows[:, hypotheses.NLL] = free.numbers[:, NLL]
    rows[:, hypotheses.LOCAL_Z], rows[:, hypotheses.LOCAL_P] = z, ndtr(-z)
    rows[:, hypotheses.EFFECTIVE_BACKGROUND] = 1.0 / null.numbers[:, INFORMATION]
    rows[:, hypotheses.UNDER] = np.sum(np.where(problem.core_bins(), null.expected, 0.0), axis=1)
    rows[~null.found, hypotheses.UNDER] = np.nan
    rows[:, hypotheses.BINS] = free.numbers[:, LIVE]
    rows[:, hypotheses.ATTEMPTS] = TRIED[free.attempts]
    return rows


def _errors(problem: BinnedProblem, free: ConstrainedFit) -> Floats:
    errors = free.numbers[:, ERROR].copy()
    edge = free.status == window.BOUNDARY
    if edge.any():
        ones = np.ones(problem.windows)
        upper = crossing(Profile(problem, free), free.yields, ones, ones, ones, edge)
        errors[edge] = (upper - free.yields)[edge]
    return errors


def bands(problem: BinnedProblem, pair: Pair, targets: Floats, chosen: Mask) -> tuple[Background, Floats]:
    """Return the Asimov profile and the yields where √q_A with the sign of the yield is each target.

    Parameters
    ----------
    problem, pair
        The windows and their fits.
    targets : (5,) float
        Rising.
    chosen : (W,) bool
        Windows to look at.

    Returns
    -------
    background : Background
        The Asimov data without signal.
    yields : (W, 5) float
        NaN where there is none.
    """
    data = asimov(problem, pair.null)
    reference = fit_constrained(data, np.full(problem.windows, np.nan), pair.null.theta, chosen)
    profile, spread = Profile(data, reference), reference.numbers[:, ERROR]
    smooth = chosen & reference.found & bool(targets[0] > 0.0)
    series = spread_series(profile, spread, targets, smooth)
    spreads = np.array([series.spread(target)[0] for target in targets])
    yields = crossings(profile, spread, np.where(smooth, spreads, np.nan), targets, chosen & ~series.holds)
    return Background(profile, series), np.where(series.holds[:, None], targets * spreads.T, yields)


def limits(
    problem: BinnedProblem, pair: Pair, targets: Floats, alpha: float, criterion: str, chosen: Mask
) -> Floats:
    """Return the (W, 6) observed and expected limits, NaN where there is none.

    Parameters
    ----------
    problem, pair
        The windows and their fits.
    targets : (5,) float
        Rising values of √q_A at which the expected limits lie; where one is not positive it is 0.
    alpha : float
        One minus the confidence level.
    criterion : str
        ``cls`` or ``clsb``; by the latter the limit is 0 where every yield is excluded.
    chosen : (W,) bool
        Windows to limit.
    """
    chosen = chosen & pair.found
    background, expected = bands(problem, pair, np.maximum(targets, 0.0), chosen)
    found = np.full((problem.windows, 1 + len(QUANTILES)), np.nan)
    found[:, 1:] = expected
    positive = pair.free.yields > 0.0
    data = Profile(problem, _either(positive, pair.free, pair.null))
    sigma = expected[:, 2] / targets[2] if targets[2] > 0.0 else background.series.parts[0]
    guess = _gaussian_limit(pair.free.yields, sigma, alpha, criterion)
    found[:, 0] = _observed(data, background, pair.free.yields, guess, alpha, criterion, chosen)
    found[~np.all(np.isfinite(found), axis=1)] = np.nan
    return found


def cls_values(problem: BinnedProblem, yields: Floats) -> Floats:
    """Return observed and expected CLs, (W, 6), of the given signal yields (W,).

    Expected ones are those at the stored quantiles of the yield: 1 − Φ(√q_A − N) over Φ(N), whose root is
    the expected limit. NaN where there is no fit.
    """
    pair = fit_pair(problem)
    background, _ = bands(problem, pair, np.zeros(len(QUANTILES)), pair.found)
    data = Profile(problem, _either(pair.free.yields > 0.0, pair.free, pair.null))
    q, slope, found = data.evaluate(yields, pair.found)
    q_asimov, slope_asimov, also = background.evaluate(yields, pair.found)
    q = np.where(pair.free.yields > yields, 0.0, q)
    value, _ = log_p_value(q, slope, q_asimov, slope_asimov, "cls")
    quantiles = np.array(QUANTILES)
    expected = ndtr(ndtri(quantiles) - np.sqrt(q_asimov)[:, None]) / quantiles
    values = np.concatenate([np.exp(value)[:, None], expected], axis=1)
    values[~(found & also)] = np.nan
    return values


def _gaussian_limit(best: Floats, sigma: Floats, alpha: float, criterion: str) -> Floats:
    """Return the limits of Gaussian measurements, s = ŝ + σΦ⁻¹(1−αΦ(ŝ/σ)), by CLs+b without Φ(ŝ/σ)."""
    spread = np.where(sigma > 0.0, sigma, 1.0)
    z = best / spread
    logs = np.log(alpha) + (log_ndtr(z) if criterion == "cls" else 0.0)
    limit: Floats = best - spread * ndtri_exp(logs)
    return np.maximum(limit, np.maximum(best, 0.0) + 0.1 * spread)


def _either(mask: Mask, yes: ConstrainedFit, no: ConstrainedFit) -> ConstrainedFit:
    """Return the one fit or the other, window by window, as far as a profile refers to it."""
    rows = mask[:, None]
    return replace(
        yes,
        theta=np.where(rows, yes.theta, no.theta),
        tangent=np.where(rows, yes.tangent, no.tangent),
        numbers=np.where(rows, yes.numbers, no.numbers),
    )


def _observed(
    data: Profile,
    background: Background,
    best: Floats,
    guess: Floats,
    alpha: float,
    criterion: str,
    chosen: Mask,
) -> Floats:
    """Return the yields above the best fit where CLs or CLs+b is α, by Newton's method on its logarithm."""
    lowest = np.maximum(best, 0.0)
    bracket = Bracket(lowest.copy(), np.full(len(best), np.inf), guess)
    smallest, result, active = NOTHING * bracket.x, np.full(len(best), np.nan), chosen.copy()
    for _ in range(EVALUATIONS):
        if not active.any():
            break
        x = bracket.x
        q, slope, found = data.evaluate(x, active)
        q_asimov, slope_asimov, also = background.evaluate(x, active)
        found &= also & (q_asimov > 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, value_slope = log_p_value(q, slope, q_asimov, slope_asimov, criterion)
            value -= np.log(alpha)
            point = x - value / value_slope
        bracket.step(found, value > 0.0, point)
        done = found & (np.abs(bracket.x - x) <= CLOSE_LIMIT * x)
        nothing = found & (bracket.high < smallest)
        result = np.where(nothing, 0.0, np.where(done, bracket.x, result))
        active &= found & ~done & ~nothing
    return result


def log_p_value(
    q: Floats, slope: Floats, q_asimov: Floats, slope_asimov: Floats, criterion: str
) -> tuple[Floats, Floats]:
    """Return ln CLs or ln CLs+b and its slope, from q̃_μ and q_A and their slopes (eqs. 59, 65, 66).

    Parameters
    ----------
    q, slope, q_asimov, slope_asimov : (W,) float
    criterion : str
        ``cls`` or ``clsb``.
    """
    a = np.sqrt(q_asimov)
    a_slope = 0.5 * slope_asimov / a
    root = np.sqrt(q)
    near = q <= q_asimov
    root_slope = 0.5 * slope / np.where(root > 0.0, root, np.inf)
    ratio = q / a
    ratio_slope = (slope - ratio * a_slope) / a
    x, x_slope = (
        np.where(near, root, 0.5 * (ratio + a)),
        np.where(near, root_slope, 0.5 * (ratio_slope + a_slope)),
    )
    value, value_slope = log_ndtr(-x), -_hazard(x) * x_slope
    if criterion == "cls":
        y = np.where(near, root - a, 0.5 * (ratio - a))
        y_slope = np.where(near, root_slope - a_slope, 0.5 * (ratio_slope - a_slope))
        value, value_slope = value - log_ndtr(-y), value_slope + _hazard(y) * y_slope
    return value, value_slope


def _hazard(x: Floats) -> Floats:
    """Return φ(x)/(1−Φ(x)), the slope of −ln(1−Φ)."""
    hazard: Floats = np.exp(-0.5 * x * x - log_ndtr(-x)) / ROOT_2PI
    return hazard


def intervals(problem: BinnedProblem, pair: Pair, targets: Floats, score: float, chosen: Mask) -> Floats:
    """Return the (W, 7) upper ends, observed and expected, and the lower ends of intervals.

    Both observed ends are there or neither is; an expected one that is not found is NaN on its own.

    Parameters
    ----------
    problem, pair
        The windows and their fits.
    targets : (5,) float
        Rising: √q_A of the expected upper ends, with the sign of the yield.
    score : float
        √(−2 ln λ) at the ends.
    chosen : (W,) bool
        Windows to look at; those without a fit without signal have no expected ends.
    """
    chosen = chosen & pair.free.found
    found = np.full((problem.windows, 2 + len(QUANTILES)), np.nan)
    _, found[:, 1:-1] = bands(problem, pair, targets, chosen & pair.null.found)
    errors, size = pair.free.numbers[:, ERROR], np.full(problem.windows, score)
    for column, side in ((0, 1.0), (-1, -1.0)):
        data = Profile(problem, pair.free)
        found[:, column] = crossing(
            data, pair.free.yields, np.full_like(size, side), size, score * errors, chosen
        )
    found[~np.all(np.isfinite(found[:, [0, -1]]), axis=1)] = np.nan
    return found
