"""Asymptotic CLs limits with bands, one window at a time (Cowan, Cranmer, Gross, Vitells 1007.1727).

The Asimov data set is post-fit: the expectation of the background-only fit to the data, so that the
coefficients of its own fit at s = 0 are exactly those and its best yield is 0. With a = √q_A(s), the
spread σ = s/a is a smooth and nearly constant function of a. Where its series converges, two Asimov
fits give all bands and √q_A at the observed limit; else steps and guesses follow σ(a), so that
nearly every band needs one Asimov fit.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Flags, Floats, Integers, factorise
from scanner.kernels.lean import lean
from scanner.kernels.linear.bands import REACH, SIZE, build_series, root_at, spread_at, spread_point
from scanner.kernels.linear.newton import derive, evaluate
from scanner.kernels.linear.profile import Profile, estimate, set_reference, set_tangent_of_free_fit
from scanner.kernels.linear.window import ZERO, usable
from scanner.kernels.linear.workspace import (
    DATA,
    EXPECTED,
    TANGENT,
    THETA,
    allocate,
    cut,
    load,
)
from scanner.kernels.special import log_tail_and_hazard, normal_cdf, rough_tail_quantile

EVALUATIONS = 60
CLOSE_ROOT = 3e-4
"""Distance from a target of √q_A from which a step ends within about its square."""
CLOSE_LIMIT = 1e-4
"""Relative Newton step of the observed limit after which it is known to about its square."""
VISITS = ((2, 2, 2), (4, 2, 2), (0, 2, 2), (1, 0, 2), (3, 2, 4))
"""Order of the bands, each with the two that its first guess is interpolated from."""
ROOT, SPREAD, SPREAD_SLOPE = range(3)
TINY = 1e-12


@jit
def log_cls(q: float, q_slope: float, a: float, a_slope: float) -> tuple[float, float]:
    """Return ln CLs and its slope, from q̃_μ and a = √q_A and their slopes (eqs. 59, 65, 66)."""
    if a == 0.0:  # no sensitivity: signal and background hypotheses are the same
        return 0.0, 0.0
    if q <= a * a:
        x = math.sqrt(max(q, 0.0))
        x_slope = 0.5 * q_slope / x if x > 0.0 else 0.0
        y, y_slope = x - a, x_slope - a_slope
    else:
        ratio, ratio_slope = q / a, (q_slope - q * a_slope / a) / a
        x, x_slope = 0.5 * (ratio + a), 0.5 * (ratio_slope + a_slope)
        y, y_slope = 0.5 * (ratio - a), 0.5 * (ratio_slope - a_slope)
    x_log, x_hazard = log_tail_and_hazard(x)
    y_log, y_hazard = log_tail_and_hazard(y)
    return x_log - y_log, y_hazard * y_slope - x_hazard * x_slope


@jit
def limit_windows(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    theta: Floats,
    null_theta: Floats,
    chosen: Flags,
    targets: Floats,
    log_alpha: float,
    variance: Floats,
    limits: Floats,
) -> None:
    """Limit every chosen window on its own.

    Shapes: counts, signal (W, B), background (W, K, B), terms (W,), theta (W, K+1) of the free fits,
    null_theta (W, K) of the background-only fits, chosen (W,), targets (5,) of √q_A, rising,
    variance (W,) added to that of the yield in the expected limits, limits (W, 6): the observed one,
    then the expected ones; NaN where not chosen or not found.
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, counts.shape[1])
    _, asimov_rows, asimov_coefficients, asimov_matrix = allocate(background.shape[1] + 1, counts.shape[1])
    curve, series = np.zeros((3, targets.size)), np.zeros(SIZE)
    for w in range(counts.shape[0]):
        limits[w] = math.nan
        if not chosen[w]:
            continue
        size = terms[w]
        templates, bins, _ = load(scratch, rows, counts[w], signal[w], background[w], size)
        coefficients[:] = 0.0
        coefficients[THETA, :size] = null_theta[w, :size]
        evaluate(templates, bins, coefficients)
        set_reference(bins, coefficients)
        asimov = (cut(asimov_rows, bins.shape[1]), asimov_coefficients, asimov_matrix)
        sigma = _start_asimov(templates, bins, coefficients, asimov, size)
        curve[ROOT], curve[SPREAD], curve[SPREAD_SLOPE] = targets, sigma, 0.0
        if build_series(templates, asimov, size, sigma, variance[w], targets, series):
            for i in range(targets.size):
                curve[SPREAD, i], _ = spread_at(series, targets[i])
                limits[w, 1 + i] = targets[i] * curve[SPREAD, i]
            if variance[w] > 0.0:  # the series is then of the wider spread
                series[REACH] = 0.0
        else:
            series[REACH] = 0.0
            for i, left, right in VISITS:
                guess = targets[i] * _guess_spread(curve, left, right, targets[i])
                limits[w, 1 + i] = _expected_limit(
                    templates, asimov, size, guess, targets[i], variance[w], curve, i
                )
        best = theta[w, -1]
        if best > 0.0:
            coefficients[THETA, :size] = theta[w, :size]
            coefficients[THETA, size] = best
            evaluate(templates, bins, coefficients)
            set_reference(bins, coefficients)
        guess = _gaussian_limit(best, curve[SPREAD, 2], log_alpha)
        observed = (bins, coefficients, matrix)
        limits[w, 0] = _observed_limit(templates, observed, asimov, size, series, best, guess, log_alpha)


@jit
def _start_asimov(
    templates: Floats, source: Floats, source_coefficients: Floats, asimov: Profile, terms: int
) -> float:
    """Set the Asimov profile from a background-only fit, and its tangent on both; return σ at s = 0."""
    bins, coefficients, matrix = asimov
    for b in range(bins.shape[1]):
        expected = source[EXPECTED, b]
        bins[EXPECTED, b] = max(expected, TINY)
        bins[DATA, b] = expected if expected > ZERO else 0.0
    coefficients[:] = source_coefficients
    set_reference(bins, coefficients)
    derive(templates, bins, coefficients, matrix)
    if not factorise(matrix, terms + 1, PIVOT_FLOOR):
        return 1.0
    set_tangent_of_free_fit(coefficients, matrix, terms)
    source_coefficients[TANGENT] = coefficients[TANGENT]
    return float(matrix[terms, terms])


@lean
def _guess_spread(curve: Floats, left: int, right: int, root: float) -> float:
    """Return σ at `root` by the cubic through two points with slopes, or the line through one."""
    distance = root - curve[ROOT, left]
    width = curve[ROOT, right] - curve[ROOT, left]
    if width == 0.0:
        spread = curve[SPREAD, left] + distance * curve[SPREAD_SLOPE, left]
    else:
        t = distance / width
        rise = curve[SPREAD, right] - curve[SPREAD, left]
        bend_left = curve[SPREAD_SLOPE, left] * width - rise
        bend_right = rise - curve[SPREAD_SLOPE, right] * width
        spread = curve[SPREAD, left] + t * rise
        spread += t * (1.0 - t) * ((1.0 - t) * bend_left + t * bend_right)
    return float(max(spread, 0.1 * curve[SPREAD, left]))


@lean
def _expected_limit(
    templates: Floats,
    asimov: Profile,
    terms: int,
    guess: float,
    target: float,
    variance: float,
    curve: Floats,
    column: int,
) -> float:
    """Return the yield s with s/σ = `target`, σ² = s²/q_A + `variance`, and note σ(s/σ) in `curve`.

    With target Φ⁻¹(1−αΦ(N)) + N that is the N-sigma edge of the band (eqs. 30 and 89).
    """
    low, high, x = 0.0, math.inf, guess
    for _ in range(EVALUATIONS):
        root, spread, spread_slope, status = spread_point(templates, asimov, terms, variance, x)
        if not (usable(status) and root > 0.0):
            break
        low, high = (x, high) if root < target else (low, x)
        point = target * (spread + spread_slope * (target - root))
        if not (low < point and point < high):
            point = 2.0 * x if high > 1e300 else 0.5 * (low + high)
        x = point
        if abs(root - target) <= CLOSE_ROOT:
            curve[ROOT, column], curve[SPREAD, column] = root, spread
            curve[SPREAD_SLOPE, column] = spread_slope
            return x
    return math.nan


@jit
def _gaussian_limit(best: float, sigma: float, log_alpha: float) -> float:
    """Return the limit of a Gaussian measurement, s = ŝ + σΦ⁻¹(1−αΦ(ŝ/σ))."""
    beyond = max(math.exp(log_alpha) * normal_cdf(best / sigma), 1e-300)  # for a deep deficit 1 − it is 1
    return max(best + sigma * rough_tail_quantile(beyond), 0.1 * sigma)


@lean
def _asimov_root(
    templates: Floats, asimov: Profile, terms: int, series: Floats, x: float
) -> tuple[float, float]:
    """Return √q_A and its slope, from the series where it reaches."""
    if x <= series[REACH]:
        return root_at(series, x)
    q, slope, status = estimate(templates, asimov, terms, x)
    if not (usable(status) and q > 0.0):
        return math.nan, math.nan
    return math.sqrt(q), 0.5 * slope / math.sqrt(q)


@lean
def _observed_limit(
    templates: Floats,
    observed: Profile,
    asimov: Profile,
    terms: int,
    series: Floats,
    best: float,
    guess: float,
    log_alpha: float,
) -> float:
    """Return the yield with CLs = α, above the best fit, by Newton's method on ln CLs."""
    low, high, x = max(best, 0.0), math.inf, guess
    for _ in range(EVALUATIONS):
        q, slope, status = estimate(templates, observed, terms, x)
        a, a_slope = _asimov_root(templates, asimov, terms, series, x)
        if not (usable(status) and a > 0.0):
            break
        value, value_slope = log_cls(q, slope, a, a_slope)
        value -= log_alpha
        low, high = (x, high) if value > 0.0 else (low, x)
        point = x - value / value_slope
        if not (low < point and point < high):
            point = 2.0 * x if high > 1e300 else 0.5 * (low + high)
        done = abs(point - x) <= CLOSE_LIMIT * x
        x = point
        if done:
            return x
    return math.nan
