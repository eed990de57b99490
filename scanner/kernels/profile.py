"""The profile likelihood of the signal yield in one window.

A profile is the set of arrays (bins, coefficients, matrix) of one data set, observed or Asimov. Its
reference is the minimum that differences are taken to; each evaluation starts from the last one
along the tangent dθ/ds, so that one or two Newton steps do.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, combine, solve
from scanner.kernels.difference import divergence
from scanner.kernels.window import BOUNDARY, descend, usable
from scanner.kernels.workspace import (
    CHANGE,
    DATA,
    EXPECTED,
    MULTIPLIER,
    REFERENCE,
    STEP,
    TANGENT,
    THETA,
)

Profile = tuple[Floats, Floats, Floats]
"""Bins, coefficients and matrix of one data set."""


@jit
def set_reference(bins: Floats, coefficients: Floats) -> None:
    """Take the present fit as the one that likelihood differences refer to."""
    for b in range(bins.shape[1]):
        bins[REFERENCE, b] = max(bins[EXPECTED, b], 0.0)
    for j in range(coefficients.shape[1]):
        coefficients[REFERENCE, j] = coefficients[THETA, j]


@jit
def set_tangent_of_free_fit(coefficients: Floats, factor: Floats, terms: int) -> None:
    """Set dθ/ds from the factor of all terms, whose signal row is −dθ/ds half solved."""
    for i in range(terms - 1, -1, -1):
        total = -factor[terms, i]
        for k in range(i + 1, terms):
            total -= factor[k, i] * coefficients[TANGENT, k]
        coefficients[TANGENT, i] = total * factor[i, i]


@jit
def _set_tangent_of_fixed_fit(coefficients: Floats, matrix: Floats, terms: int) -> None:
    """Set dθ/ds = −H_bb⁻¹ H_bs from the factor of the background terms."""
    for i in range(terms):
        coefficients[TANGENT, i] = -matrix[terms, i]
    solve(matrix, terms, coefficients, TANGENT, TANGENT)


@jit
def difference(templates: Floats, bins: Floats, coefficients: Floats) -> float:
    """Return −2 ln λ of the present fit against the reference, eq. 14 of 1007.1727."""
    for j in range(coefficients.shape[1]):
        coefficients[STEP, j] = coefficients[THETA, j] - coefficients[REFERENCE, j]
    combine(templates, coefficients, STEP, bins, CHANGE)
    return 2.0 * divergence(bins, REFERENCE)


@jit
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


@jit
def profile(templates: Floats, arrays: Profile, terms: int, signal_yield: float) -> tuple[float, float, int]:
    """Fit the background at `signal_yield`; return (−2 ln λ, its slope, status)."""
    bins, coefficients, matrix = arrays
    distance = signal_yield - coefficients[THETA, terms]
    for i in range(terms):
        coefficients[THETA, i] += distance * coefficients[TANGENT, i]
    coefficients[THETA, terms] = signal_yield
    status, _ = descend(templates, bins, coefficients, matrix, terms)
    if not usable(status):
        return math.nan, math.nan, status
    _set_tangent_of_fixed_fit(coefficients, matrix, terms)
    q = difference(templates, bins, coefficients)
    return q, yield_slope(templates, bins, terms, status), status
