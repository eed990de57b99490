"""The profile likelihood of the signal yield in one window.

A profile is the set of arrays (bins, coefficients, matrix) of one data set, observed or Asimov. Its
reference is the minimum that differences are taken to; each evaluation starts from the last one
along the tangent dθ/ds, so that one or two Newton steps do.
"""

import math

from scanner.kernels.algebra import PIVOT_FLOOR, Floats, combine, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import difference_from, divergence
from scanner.kernels.linear.newton import COARSE, PLENTY, derive, subtract
from scanner.kernels.linear.window import BOUNDARY, OK, descend, usable
from scanner.kernels.linear.workspace import (
    CHANGE,
    DATA,
    EXPECTED,
    GRADIENT,
    MULTIPLIER,
    REFERENCE,
    STEP,
    TANGENT,
    THETA,
)

Profile = tuple[Floats, Floats, Floats]
"""Bins, coefficients and matrix of one data set."""
PASSES = 3
SMALL = 1e-4
"""Newton decrement squared (in units of σ²) from which the minimum need not be visited."""


@lean
def set_reference(bins: Floats, coefficients: Floats) -> None:
    """Take the present fit as the one that likelihood differences refer to."""
    for b in range(bins.shape[1]):
        bins[REFERENCE, b] = max(bins[EXPECTED, b], 0.0)
    for j in range(coefficients.shape[1]):
        coefficients[REFERENCE, j] = coefficients[THETA, j]


@lean
def set_tangent_of_free_fit(coefficients: Floats, factor: Floats, terms: int) -> None:
    """Set dθ/ds from the factor of all terms, whose signal row is −dθ/ds half solved."""
    for i in range(terms - 1, -1, -1):
        total = -factor[terms, i]
        for k in range(i + 1, terms):
            total -= factor[k, i] * coefficients[TANGENT, k]
        coefficients[TANGENT, i] = total * factor[i, i]


@lean
def _set_tangent_of_fixed_fit(coefficients: Floats, matrix: Floats, terms: int) -> None:
    """Set dθ/ds = −H_bb⁻¹ H_bs from the factor of the background terms."""
    for i in range(terms):
        coefficients[TANGENT, i] = -matrix[terms, i]
    solve(matrix, terms, coefficients, TANGENT, TANGENT)


@lean
def difference(templates: Floats, bins: Floats, coefficients: Floats) -> float:
    """Return −2 ln λ of the present fit against the reference, eq. 14 of 1007.1727."""
    for j in range(coefficients.shape[1]):
        coefficients[STEP, j] = coefficients[THETA, j] - coefficients[REFERENCE, j]
    combine(templates, coefficients, STEP, bins, CHANGE)
    return 2.0 * divergence(bins, REFERENCE)


@lean
def yield_slope(templates: Floats, bins: Floats, terms: int, status: int) -> float:
    """Return d(−2 ln λ)/ds = 2 Σ S (1−λ): at a minimum over the rest, only S moves the NLL."""
    total = 0.0
    if status == BOUNDARY:
        for b in range(bins.shape[1]):
            total += templates[terms, b] * (1.0 - bins[MULTIPLIER, b])
    else:
        for b in range(bins.shape[1]):
            total += templates[terms, b] * (1.0 - bins[DATA, b] / bins[EXPECTED, b])
    return 2.0 * total


@lean
def profile(templates: Floats, arrays: Profile, terms: int, signal_yield: float) -> tuple[float, float, int]:
    """Fit the background at `signal_yield`; return (−2 ln λ, its slope, status)."""
    bins, coefficients, matrix = arrays
    _move(coefficients, terms, signal_yield)
    status, _ = descend(templates, bins, coefficients, matrix, terms)
    if not usable(status):
        return math.nan, math.nan, status
    _set_tangent_of_fixed_fit(coefficients, matrix, terms)
    q = difference(templates, bins, coefficients)
    return q, yield_slope(templates, bins, terms, status), status


@lean
def estimate(templates: Floats, arrays: Profile, terms: int, signal_yield: float) -> tuple[float, float, int]:
    """Return what `profile` does, where possible from one pass at a point close to the minimum.

    −2 ln λ at the minimum is that at the point less the Newton decrement squared, d, and its slope is
    the gradient's after elimination of the background. With n events or more in every bin the error
    is at most d^(3/2)/(1.5 √n). θ takes the Newton step; ν stays behind.
    """
    bins, coefficients, matrix = arrays
    _move(coefficients, terms, signal_yield)
    coefficients[STEP] = 0.0
    for _ in range(PASSES if terms > 0 else 0):
        positive, plenty = derive(templates, bins, coefficients, matrix)
        if not (positive and plenty and factorise(matrix, terms, PIVOT_FLOOR)):
            break
        decrement = solve(matrix, terms, coefficients, GRADIENT, STEP)
        if not decrement <= PLENTY * COARSE * COARSE:
            break
        subtract(coefficients, THETA, 1.0, STEP)
        if decrement <= SMALL:
            slope = coefficients[GRADIENT, terms]
            for i in range(terms):
                slope -= matrix[terms, i] * coefficients[STEP, i]
            _set_tangent_of_fixed_fit(coefficients, matrix, terms)
            return 2.0 * difference_from(bins, REFERENCE) - decrement, 2.0 * slope, OK
    return profile(templates, arrays, terms, signal_yield)


@lean
def _move(coefficients: Floats, terms: int, signal_yield: float) -> None:
    """Move θ along the tangent to another signal yield."""
    distance = signal_yield - coefficients[THETA, terms]
    for i in range(terms):
        coefficients[THETA, i] += distance * coefficients[TANGENT, i]
    coefficients[THETA, terms] = signal_yield
