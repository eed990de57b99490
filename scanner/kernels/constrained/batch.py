"""Fits of a batch of windows with nuisances, each from nothing or from a start near its minimum."""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, solve
from scanner.kernels.constrained.arrays import (
    BETA,
    BINS,
    CERTAIN,
    COEFFICIENTS,
    FLAG,
    MATRIX,
    MIXED,
    MODE,
    NORM,
    NUISANCES,
    OWNER,
    PAIR_ROWS,
    PAIR_WEIGHTS,
    PAIRS,
    PARAMETERS,
    SAMPLE_ROWS,
    SCALE,
    SIZES,
    SPARE,
    STATIC,
    TERMS,
    UNCERTAIN_SLOPE,
    Given,
    Window,
    allocate,
)
from scanner.kernels.constrained.loading import live_bins, load
from scanner.kernels.constrained.window import descend_constrained, excess_over_saturated, fit_constrained
from scanner.kernels.lean import lean
from scanner.kernels.linear.profile import set_tangent_of_free_fit
from scanner.kernels.linear.window import IMPOSSIBLE, usable
from scanner.kernels.linear.workspace import CHANGE, EXPECTED, SLOPE, TANGENT, THETA

ERROR, NLL, EDM, YIELD_SLOPE, INFORMATION, LIVE = range(6)
"""Columns of the numbers of a fit: the error of the yield, the NLL above that of the saturated model, an
upper bound of the distance from its minimum, its slope dNLL/ds, Σ(S²/ν), and the bins that count."""
COLUMNS = 6
TINY = 1e-300


@jit
def fit_constrained_windows(
    given: Given,
    chosen: Flags,
    fixed: Floats,
    start: Floats,
    theta: Floats,
    tangent: Floats,
    pull_errors: Floats,
    numbers: Floats,
    expected: Floats,
    beta: Floats,
    status: Flags,
    attempts: Flags,
) -> None:
    """Fit every chosen window on its own; what is not chosen is left as it is.

    Shapes: chosen, status, attempts (W,), fixed (W,) the signal yields to hold, NaN where it is free,
    start, theta and tangent dθ/ds (W, J+K+1) with nuisances, coefficients and the yield, NaN where a
    term is not used; a start whose yield is NaN is none. pull_errors (W, J), numbers (W, COLUMNS),
    expected (W, B) and beta (W, B), the factor of template statistics. NaN where `status` is not usable.
    """
    window = allocate(given)
    for w in range(theta.shape[0]):
        if not chosen[w]:
            continue
        theta[w] = tangent[w] = pull_errors[w] = numbers[w] = expected[w] = beta[w] = math.nan
        status[w], attempts[w], numbers[w, EDM] = IMPOSSIBLE, 0, math.inf
        if load(window, given, w):
            status[w], numbers[w, EDM], attempts[w] = _fit(window, fixed[w], start[w])
        if usable(status[w]):
            free = math.isnan(fixed[w])
            _set_tangent(window, free)
            _copy_parameters(window, THETA, theta[w])
            _copy_parameters(window, TANGENT, tangent[w])
            tangent[w, -1] = 1.0
            last = window[SIZES][PARAMETERS] - 1
            _set_errors(window[MATRIX], last + 1 if free else last, window[SPARE], pull_errors[w])
            numbers[w, ERROR] = window[MATRIX][last, last] if free else 0.0
            numbers[w, NLL] = excess_over_saturated(window)
            numbers[w, LIVE] = live_bins(window)
            numbers[w, YIELD_SLOPE], numbers[w, INFORMATION] = _sum_signal(window)
            _copy_bins(window, expected[w], beta[w])


@lean
def _fit(window: Window, fixed: float, start: Floats) -> tuple[int, float, int]:
    """Fit from the start, or from nothing where there is none or it leads nowhere."""
    coefficients, last = window[COEFFICIENTS], window[SIZES][PARAMETERS] - 1
    if not math.isnan(start[-1]):
        for i in range(last):
            coefficients[THETA, i] = start[i]
        coefficients[THETA, last] = start[-1] if math.isnan(fixed) else fixed
        status, edm, attempts = descend_constrained(window, last + 1 if math.isnan(fixed) else last)
        if usable(status):
            return status, edm, attempts
    return fit_constrained(window, fixed)


@lean
def _set_tangent(window: Window, free: bool) -> None:
    """Set dθ/ds from the factor of the Hessian."""
    coefficients, matrix, last = window[COEFFICIENTS], window[MATRIX], window[SIZES][PARAMETERS] - 1
    if free:
        set_tangent_of_free_fit(coefficients, matrix, last)
    else:
        for i in range(last):
            coefficients[TANGENT, i] = -matrix[last, i]
        solve(matrix, last, coefficients, TANGENT, TANGENT)


@lean
def _copy_parameters(window: Window, row: int, target: Floats) -> None:
    used = window[SIZES][NUISANCES] + window[SIZES][TERMS]
    for i in range(used):
        target[i] = window[COEFFICIENTS][row, i]
    target[-1] = window[COEFFICIENTS][row, used]


@lean
def _copy_bins(window: Window, expected: Floats, beta: Floats) -> None:
    bins = window[BINS]
    certain = window[SIZES][MODE] == CERTAIN
    for b in range(expected.size):
        expected[b] = max(bins[EXPECTED, b], 0.0)
        beta[b] = 1.0 if certain else bins[BETA, b]


@lean
def _sum_signal(window: Window) -> tuple[float, float]:
    """Return dNLL/ds, which only the signal's samples move at a minimum over the rest, and Σ(S²/ν)."""
    bins, pairs, scale, weights = window[BINS], window[PAIRS], window[SCALE], window[PAIR_WEIGHTS]
    first, signal = window[SIZES][SAMPLE_ROWS], window[SIZES][PARAMETERS] - 1
    slope = 0.0
    bins[CHANGE] = 0.0
    for i in range(first):
        if window[OWNER][i] == signal:
            slope += _add_static(window, i, scale[NORM, i], i)
    for e in range(window[SIZES][PAIR_ROWS]):
        i = pairs[e, 1]
        if window[OWNER][i] == signal:
            slope += _add_static(window, first + 2 * e, scale[NORM, i] * weights[e, 0], i)
            slope += _add_static(window, first + 2 * e + 1, scale[NORM, i] * weights[e, 1], i)
    information = 0.0
    for b in range(bins.shape[1]):
        information += bins[CHANGE, b] * bins[CHANGE, b] / max(bins[EXPECTED, b], TINY)
    return slope, information


@lean
def _add_static(window: Window, row: int, weight: float, sample: int) -> float:
    """Add a static row of a sample to CHANGE; return its sum times the slope."""
    static, bins = window[STATIC], window[BINS]
    uncertain = window[SIZES][MODE] == MIXED and window[SCALE][FLAG, sample] > 0.0
    slope, total = UNCERTAIN_SLOPE if uncertain else SLOPE, 0.0
    for b in range(bins.shape[1]):
        value = weight * static[row, b]
        bins[CHANGE, b] += value
        total += value * bins[slope, b]
    return total


@lean
def _set_errors(factor: Floats, size: int, inverse: Floats, errors: Floats) -> None:
    """Set the square roots of the first diagonal elements of the inverse, from the Cholesky factor.

    The reciprocals of the pivots stand on the diagonal. Rows of the factor's inverse follow from those
    above; the squares of a column sum to the element.
    """
    for j in range(errors.size):
        errors[j] = 0.0
    for i in range(size):
        for j in range(errors.size):
            inverse[i, j] = 1.0 if i == j else 0.0
        for k in range(i):
            weight = factor[i, k]
            for j in range(errors.size):
                inverse[i, j] -= weight * inverse[k, j]
        for j in range(errors.size):
            inverse[i, j] *= factor[i, i]
            errors[j] += inverse[i, j] * inverse[i, j]
    for j in range(errors.size):
        errors[j] = math.sqrt(errors[j])
