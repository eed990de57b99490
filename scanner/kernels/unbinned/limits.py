"""Fits with and without signal, and asymptotic CLs limits, of unbinned windows one after the other."""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.cls import CLOSE_LIMIT, CLOSE_ROOT, EVALUATIONS, log_cls
from scanner.kernels.linear.profile import set_tangent_of_free_fit
from scanner.kernels.linear.window import BOUNDARY, usable
from scanner.kernels.linear.workspace import EXPECTED, TANGENT, THETA
from scanner.kernels.special import normal_cdf, normal_quantile, normal_tail
from scanner.kernels.unbinned.likelihood import ZERO
from scanner.kernels.unbinned.points import POSITION
from scanner.kernels.unbinned.profile import (
    Likelihood,
    crossing,
    profile_points,
    refer,
    start_asimov,
)
from scanner.kernels.unbinned.window import (
    MASS,
    RESOLUTION,
    allocate_windows,
    fit_loaded,
    load_window,
    set_integrals,
)

YIELD, ERROR, UP, DOWN, LOCAL_P, LOCAL_Z, EFFECTIVE_BACKGROUND, UNDER, OBSERVED, EXPECTED_LIMITS = range(10)
"""Columns of the result rows; the five expected limits are the last columns."""
COLUMNS = 14
CORE = 2.0
"""Half width, in resolutions, of what is under the signal."""


@jit
def limit_unbinned_windows(
    events: Floats,
    first: Integers,
    last: Integers,
    low: Floats,
    high: Floats,
    signal: int,
    parameters: Floats,
    terms: Integers,
    integrals: Floats,
    tables: Floats,
    targets: Floats,
    log_alpha: float,
    rise: float,
    theta: Floats,
    null_theta: Floats,
    result: Floats,
    status: Flags,
) -> None:
    """Fit and limit every window on its own.

    Shapes as in `fit_unbinned_windows`; targets (5,) of √q_A, null_theta (W, K), result (W, COLUMNS)
    with the columns above. UP and DOWN are the ends of the interval where −2 ln λ is below `rise`; they
    are left out for rise = 0, as are limits for log_alpha = 0.
    """
    scratch = allocate_windows(first, last, low, high, parameters[:, RESOLUTION], integrals.shape[1] - 1)
    rows = scratch[0].shape[0]
    arrays = np.zeros((5, rows)), np.zeros(rows), np.zeros((rows, rows))
    asimov_arrays = np.zeros((5, rows)), np.zeros(rows), np.zeros((rows, rows))
    used = 0
    for w in range(first.size):
        theta[w] = null_theta[w] = result[w] = math.nan
        size = terms[w]
        x = events[first[w] : last[w]]
        window = load_window(
            x, size, signal, parameters[w], low[w], high[w], tables[: size + 1, used:], scratch
        )
        used += window[0].shape[1]
        set_integrals(integrals[w], size, arrays[1])
        status[w], _ = fit_loaded(window, arrays[0], arrays[1], arrays[2], size, math.nan)
        if not usable(status[w]):
            continue
        theta[w, :size] = arrays[0][THETA, :size]
        theta[w, -1] = arrays[0][THETA, size]
        data = (window[0], window[1], arrays[0], arrays[1], arrays[2], x.size, window[5])
        asimov = (window[2], window[3], asimov_arrays[0], asimov_arrays[1], asimov_arrays[2], 0, window[5])
        null_status = _measure(data, size, rise, status[w] == BOUNDARY, result[w])
        if not usable(null_status):
            status[w] = null_status
            continue
        null_theta[w, :size] = arrays[0][THETA, :size]
        _survey_null(data, window[4], size, parameters[w, MASS], parameters[w, RESOLUTION], result[w])
        if log_alpha < 0.0:
            _limit(data, asimov, size, targets, log_alpha, theta[w], result[w])


@jit
def _measure(data: Likelihood, terms: int, rise: float, on_boundary: bool, result: Floats) -> int:
    """Set yield, error and interval from a free fit, then move it to s = 0 and set q₀'s p-value and z.

    On the positivity boundary the error is the rise of −2 ln λ by 1 above ŝ: the Hessian there is that
    of the face of the boundary. q₀ = 0 for ŝ < 0 (1007.1727, eq. 12).
    """
    _, _, coefficients, _, matrix, _, _ = data
    best, error = coefficients[THETA, terms], matrix[terms, terms]
    result[YIELD], result[ERROR] = best, error
    refer(coefficients)
    if on_boundary:
        coefficients[TANGENT] = 0.0
        result[ERROR] = error = crossing(data, terms, best, max(abs(best), 1.0), 1.0) - best
    else:
        set_tangent_of_free_fit(coefficients, matrix, terms)
    if rise > 0.0:
        step = error * math.sqrt(rise)
        result[UP] = crossing(data, terms, best, step, rise)
        result[DOWN] = crossing(data, terms, best, -step, rise)
    q, _, status = profile_points(data, terms, 0.0)
    if usable(status):
        result[LOCAL_Z] = math.sqrt(q) if best > 0.0 and q > 0.0 else 0.0
        result[LOCAL_P] = normal_tail(result[LOCAL_Z])
    return status


@jit
def _survey_null(
    data: Likelihood, cells: int, terms: int, mass: float, resolution: float, result: Floats
) -> None:
    """Set the background in the core and 1/∫(S²/ν), that of a counting experiment as informative."""
    templates, points, _, _, _, _, cell = data
    under = information = 0.0
    for i in range(cells):
        expected = points[EXPECTED, i]
        if abs(points[POSITION, i] - mass) < CORE * resolution:
            under += expected * cell
        if expected > 0.0:
            information += cell * templates[terms, i] * templates[terms, i] / expected
    result[UNDER] = under
    result[EFFECTIVE_BACKGROUND] = 1.0 / information


@jit
def _limit(
    data: Likelihood,
    asimov: Likelihood,
    terms: int,
    targets: Floats,
    log_alpha: float,
    theta: Floats,
    result: Floats,
) -> None:
    """Set the expected limits and the observed one; `data` is at its fit without signal."""
    coefficients = data[2]
    sigma = start_asimov(asimov, coefficients[THETA], terms, ZERO)
    for i in range(targets.size):
        result[EXPECTED_LIMITS + i] = _expected_limit(asimov, terms, targets[i], sigma)
        sigma = result[EXPECTED_LIMITS + i] / targets[i]
    best = theta[-1]
    if best > 0.0:
        coefficients[THETA, :terms] = theta[:terms]
        coefficients[THETA, terms] = best
    refer(coefficients)
    sigma = result[EXPECTED_LIMITS + targets.size // 2] / targets[targets.size // 2]
    beyond = max(math.exp(log_alpha) * normal_cdf(best / sigma), 1e-300)
    guess = max(best - sigma * normal_quantile(beyond), 0.1 * sigma)
    result[OBSERVED] = _observed_limit(data, asimov, terms, best, guess, log_alpha)


@lean
def _expected_limit(asimov: Likelihood, terms: int, target: float, sigma: float) -> float:
    """Return the yield with √q_A = `target` by Newton's method (1007.1727, eqs. 30 and 89)."""
    low, high, x = 0.0, math.inf, target * sigma
    for _ in range(EVALUATIONS):
        q, slope, status = profile_points(asimov, terms, x)
        if not (usable(status) and q > 0.0):
            break
        root = math.sqrt(q)
        low, high = (x, high) if root < target else (low, x)
        point = x + (target - root) * 2.0 * root / slope
        if not (low < point and point < high):
            point = 2.0 * x if high > 1e300 else 0.5 * (low + high)
        x = point
        if abs(root - target) <= CLOSE_ROOT:
            return x
    return math.nan


@lean
def _observed_limit(
    data: Likelihood, asimov: Likelihood, terms: int, best: float, guess: float, log_alpha: float
) -> float:
    """Return the yield with CLs = α, above the best fit, by Newton's method on ln CLs."""
    low, high, x = max(best, 0.0), math.inf, guess
    for _ in range(EVALUATIONS):
        q, slope, status = profile_points(data, terms, x)
        q_asimov, slope_asimov, status_asimov = profile_points(asimov, terms, x)
        if not (usable(status) and usable(status_asimov) and q_asimov > 0.0):
            break
        a = math.sqrt(q_asimov)
        value, value_slope = log_cls(q, slope, a, 0.5 * slope_asimov / a)
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
