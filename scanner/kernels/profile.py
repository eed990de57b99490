"""The profile likelihood of the signal yield in one window.

A profile is the set of arrays (bins, coefficients, matrix) of one data set, observed or Asimov. Its
reference is the minimum that differences are taken to; each evaluation starts from the last one
along the tangent dθ/ds, so that one or two Newton steps do.
"""

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, combine, solve
from scanner.kernels.window import BOUNDARY, divergence, fit_from_guess, usable
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
        bins[REFERENCE, b] = bins[EXPECTED, b]
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
def move(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, terms: int, signal_yield: float
) -> int:
    """Fit the background at `signal_yield`, starting along the tangent; return the status."""
    distance = signal_yield - coefficients[THETA, terms]
    for i in range(terms):
        coefficients[THETA, i] += distance * coefficients[TANGENT, i]
    coefficients[THETA, terms] = signal_yield
    status, _ = fit_from_guess(templates, bins, coefficients, matrix, terms)
    if usable(status):
        _set_tangent_of_fixed_fit(coefficients, matrix, terms)
    return status


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
    """Return (−2 ln λ(s), its slope, status) at `signal_yield`."""
    bins, coefficients, matrix = arrays
    status = move(templates, bins, coefficients, matrix, terms, signal_yield)
    q = difference(templates, bins, coefficients)
    return q, yield_slope(templates, bins, terms, status), status


@jit
def next_point(low: float, high: float, x: float, value: float, slope: float) -> float:
    """Return Newton's next point for a decreasing function's root, kept inside its bracket."""
    point = x - value / slope
    if low < point and point < high:
        return point
    return 2.0 * x if high > 1e300 else 0.5 * (low + high)
