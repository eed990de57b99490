"""The fits of every window with and without signal, and what they say of an excess."""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit, literal
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import excess_over_saturated
from scanner.kernels.linear.profile import (
    Profile,
    profile,
    set_reference,
    set_tangent_of_free_fit,
)
from scanner.kernels.linear.window import BOUNDARY, IMPOSSIBLE, attempt_window, fit_window, usable
from scanner.kernels.linear.workspace import EXPECTED, TANGENT, THETA, allocate, load
from scanner.kernels.special import normal_tail

YIELD, ERROR, NLL, LOCAL_P, LOCAL_Z, EFFECTIVE_BACKGROUND, UNDER, BINS, ATTEMPTS = range(9)
"""Columns of the result rows."""
COLUMNS = 9
ITERATIONS = 60
CLOSE = 1e-6


@jit
def fit_hypotheses(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    core: NDArray[np.bool_],
    theta: Floats,
    null_theta: Floats,
    result: Floats,
    status: Flags,
) -> None:
    """Fit every window on its own, with a free yield and without signal.

    Shapes: counts, signal, core (W, B), background (W, K, B), terms, status (W,), theta (W, K+1) with
    the yield last, null_theta (W, K), result (W, COLUMNS) with the columns above.
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, counts.shape[1])
    for w in range(counts.shape[0]):
        theta[w] = null_theta[w] = result[w] = math.nan
        size = terms[w]
        templates, bins, possible = load(scratch, rows, counts[w], signal[w], background[w], size)
        status[w] = IMPOSSIBLE
        result[w, ATTEMPTS] = 0.0
        if possible:
            status[w], _, result[w, ATTEMPTS] = attempt_window(
                templates, bins, coefficients, matrix, size, math.nan
            )
        if not usable(status[w]):
            continue
        theta[w, :size] = coefficients[THETA, :size]
        theta[w, -1] = coefficients[THETA, size]
        result[w, BINS] = bins.shape[1]
        result[w, YIELD] = coefficients[THETA, size]
        result[w, ERROR] = matrix[size, size]
        result[w, NLL] = excess_over_saturated(bins)
        null_status = _compare_with_null(templates, (bins, coefficients, matrix), size, result[w])
        if usable(null_status):
            null_theta[w, :size] = coefficients[THETA, :size]
            result[w, UNDER] = _background_under(background[w], core[w], coefficients, size)
        else:
            status[w] = null_status


@lean
def _compare_with_null(templates: Floats, arrays: Profile, terms: int, result: Floats) -> int:
    """Move a free fit to s = 0; set q₀'s p-value and z, where q₀ = 0 for ŝ < 0 (1007.1727, eq. 12)."""
    bins, coefficients, matrix = arrays
    set_reference(bins, coefficients)
    set_tangent_of_free_fit(coefficients, matrix, terms)
    q, _, status = profile(templates, arrays, terms, 0.0)
    if usable(status):
        result[LOCAL_Z] = math.sqrt(q) if result[YIELD] > 0.0 and q > 0.0 else 0.0
        result[LOCAL_P] = normal_tail(result[LOCAL_Z])
        result[EFFECTIVE_BACKGROUND] = effective_background(templates, bins, terms)
    return status


@lean
def effective_background(templates: Floats, bins: Floats, terms: int) -> float:
    """Return 1/Σ(S²/ν): the background of the counting experiment with the same information."""
    total = 0.0
    for b in range(bins.shape[1]):
        total += templates[terms, b] * templates[terms, b] / bins[EXPECTED, b]
    return 1.0 / total


@literal
def _background_under(background: Floats, core: NDArray[np.bool_], coefficients: Floats, terms: int) -> float:
    """Return the background events in the core bins, summed in their order: empty bins change no bit."""
    total = 0.0
    for k in range(terms):
        share = 0.0
        for b in range(core.size):
            share += background[k, b] if core[b] else 0.0
        total += coefficients[THETA, k] * share
    return total


@jit
def set_boundary_errors(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    theta: Floats,
    status: Flags,
    result: Floats,
) -> None:
    """Set the error of fits on the positivity boundary to the rise of −2 ln λ by 1 above ŝ.

    The Hessian there is that of the face of the boundary and says nothing of the way off it.
    Shapes as in `fit_hypotheses`.
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, counts.shape[1])
    for w in range(counts.shape[0]):
        if status[w] != BOUNDARY:
            continue
        size = terms[w]
        templates, bins, _ = load(scratch, rows, counts[w], signal[w], background[w], size)
        fit_window(templates, bins, coefficients, matrix, size, theta[w, -1])
        set_reference(bins, coefficients)
        coefficients[TANGENT] = 0.0
        result[w, ERROR] = _rise_by_one(templates, (bins, coefficients, matrix), size, theta[w, -1])


@lean
def _rise_by_one(templates: Floats, arrays: Profile, terms: int, best: float) -> float:
    low, high, x = best, math.inf, best + 1.0
    for _ in range(ITERATIONS):
        q, slope, status = profile(templates, arrays, terms, x)
        if not usable(status):
            break
        low, high = (x, high) if q < 1.0 else (low, x)
        point = x + (1.0 - q) / slope
        if not (low < point and point < high):
            point = best + 2.0 * (x - best) if high > 1e300 else 0.5 * (low + high)
        done = abs(point - x) <= CLOSE * (point - best)
        x = point
        if done:
            return x - best
    return math.nan
