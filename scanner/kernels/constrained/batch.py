"""Fits of a batch of windows with nuisances, each from nothing or from a start near its minimum."""

import math

import numpy as np

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
    NUISANCES,
    OWNER,
    PARAMETERS,
    SAMPLES,
    SCALE,
    SIZES,
    TERMS,
    UNCERTAIN_SLOPE,
    Given,
    Window,
    allocate,
    live_bins,
    load,
)
from scanner.kernels.constrained.window import descend_constrained, excess_over_saturated, fit_constrained
from scanner.kernels.linear.profile import set_tangent_of_free_fit
from scanner.kernels.linear.window import IMPOSSIBLE, usable
from scanner.kernels.linear.workspace import EXPECTED, SLOPE, TANGENT, THETA

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
            _set_errors(window[MATRIX], last + 1 if free else last, pull_errors[w])
            numbers[w, ERROR] = window[MATRIX][last, last] if free else 0.0
            numbers[w, NLL] = excess_over_saturated(window)
            numbers[w, LIVE] = live_bins(window)
            numbers[w, YIELD_SLOPE], numbers[w, INFORMATION] = _sum_signal(window)
            _copy_bins(window, expected[w], beta[w])


@jit
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


@jit
def _set_tangent(window: Window, free: bool) -> None:
    """Set dθ/ds from the factor of the Hessian."""
    coefficients, matrix, last = window[COEFFICIENTS], window[MATRIX], window[SIZES][PARAMETERS] - 1
    if free:
        set_tangent_of_free_fit(coefficients, matrix, last)
    else:
        for i in range(last):
            coefficients[TANGENT, i] = -matrix[last, i]
        solve(matrix, last, coefficients, TANGENT, TANGENT)


@jit
def _copy_parameters(window: Window, row: int, target: Floats) -> None:
    used = window[SIZES][NUISANCES] + window[SIZES][TERMS]
    for i in range(used):
        target[i] = window[COEFFICIENTS][row, i]
    target[-1] = window[COEFFICIENTS][row, used]


@jit
def _copy_bins(window: Window, expected: Floats, beta: Floats) -> None:
    bins = window[BINS]
    certain = window[SIZES][MODE] == CERTAIN
    for b in range(expected.size):
        expected[b] = max(bins[EXPECTED, b], 0.0)
        beta[b] = 1.0 if certain else bins[BETA, b]


@jit
def _sum_signal(window: Window) -> tuple[float, float]:
    """Return dNLL/ds, which only the signal's samples move at a minimum over the rest, and Σ(S²/ν)."""
    samples, bins, owner, scale = window[SAMPLES], window[BINS], window[OWNER], window[SCALE]
    last, mixed = window[SIZES][PARAMETERS] - 1, window[SIZES][MODE] == MIXED
    slope = information = 0.0
    for b in range(bins.shape[1]):
        signal = 0.0
        for i in range(owner.size):
            if owner[i] == last:
                uncertain = mixed and scale[FLAG, i] > 0.0
                slope += samples[i, b] * (bins[UNCERTAIN_SLOPE, b] if uncertain else bins[SLOPE, b])
                signal += samples[i, b]
        information += signal * signal / max(bins[EXPECTED, b], TINY)
    return slope, information


@jit
def _set_errors(factor: Floats, size: int, errors: Floats) -> None:
    """Set the square roots of the first diagonal elements of the inverse, from the Cholesky factor.

    The reciprocals of the pivots stand on the diagonal. Row j of the inverse factor's column is solved
    downwards; its squares sum to the element.
    """
    column = np.empty(size)
    for j in range(errors.size):
        total = 0.0
        for i in range(j, size):
            value = 1.0 if i == j else 0.0
            for k in range(j, i):
                value -= factor[i, k] * column[k]
            column[i] = value * factor[i, i]
            total += column[i] * column[i]
        errors[j] = math.sqrt(total)
