"""The fit of one window: least-squares start, Newton, and the interior point where Newton is stopped."""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import excess_over_saturated
from scanner.kernels.linear.interior import minimise_on_boundary
from scanner.kernels.linear.newton import CONVERGED, evaluate, minimise, start_least_squares
from scanner.kernels.linear.workspace import DATA, EXPECTED, THETA, allocate, load

OK = 0
BOUNDARY = 1
EMPTY = 2
SECOND_OPINION = 3
NOT_CONVERGED = 4
SINGULAR = 5
IMPOSSIBLE = 6

NEWTON = 1
INTERIOR = 2
"""Bits of the minimisers that were tried."""

ZERO = 1e-7
"""Expectation below which an empty bin sits on the positivity boundary."""


@lean
def fit_window(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, terms: int, fixed: float
) -> tuple[int, float]:
    """Fit with no knowledge but the data, the signal yield held at `fixed` unless that is NaN.

    Returns
    -------
    status : one of the codes above
    edm : upper bound of the distance from the minimal NLL
    """
    status, edm, _ = attempt_window(templates, bins, coefficients, matrix, terms, fixed)
    return status, edm


@lean
def attempt_window(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, terms: int, fixed: float
) -> tuple[int, float, int]:
    """Fit like `fit_window`, and return also the bits of the minimisers that were tried."""
    if count(bins) == 0.0:
        return EMPTY, math.inf, 0
    free = terms + 1 if math.isnan(fixed) else terms
    if not start_least_squares(templates, bins, coefficients, matrix, free):
        return SINGULAR, math.inf, NEWTON
    if free == terms:
        coefficients[THETA, terms] = fixed
    return attempt_descent(templates, bins, coefficients, matrix, free)


@lean
def descend(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Fit the first `free` coefficients from the present θ, which also holds the fixed ones."""
    status, edm, _ = attempt_descent(templates, bins, coefficients, matrix, free)
    return status, edm


@lean
def attempt_descent(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float, int]:
    """Fit like `descend`, and return also the bits of the minimisers that were tried."""
    if free == 0:
        positive = evaluate(templates, bins, coefficients)
        return (OK if positive else IMPOSSIBLE), (0.0 if positive else math.inf), 0
    outcome, edm = minimise(templates, bins, coefficients, matrix, free)
    if outcome == CONVERGED:
        return OK, edm, NEWTON
    converged, edm = minimise_on_boundary(templates, bins, coefficients, matrix, free)
    if not converged:
        return NOT_CONVERGED, edm, NEWTON | INTERIOR
    return (BOUNDARY if _touches_zero(bins) else OK), edm, NEWTON | INTERIOR


@lean
def _touches_zero(bins: Floats) -> bool:
    touching = 0
    for b in range(bins.shape[1]):
        touching += (bins[DATA, b] == 0.0) & (bins[EXPECTED, b] < ZERO)
    return touching > 0


@lean
def count(bins: Floats) -> float:
    """Return the number of events in the window."""
    total = 0.0
    for b in range(bins.shape[1]):
        total += bins[DATA, b]
    return total


@jit
def usable(status: int) -> bool:
    """Return whether a fit with this status has a minimum."""
    return status <= BOUNDARY


@jit
def fit_windows(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    fixed: Floats,
    theta: Floats,
    error: Floats,
    nll: Floats,
    edm: Floats,
    status: Flags,
) -> None:
    """Fit every window on its own; `fixed` holds the signal yields to fix, NaN where it is free.

    Shapes: counts, signal (W, B), background (W, K, B), terms (W,) number of terms in use,
    theta (W, K+1) with the signal last, the others (W,).
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, counts.shape[1])
    for w in range(counts.shape[0]):
        size = terms[w]
        templates, bins, possible = load(scratch, rows, counts[w], signal[w], background[w], size)
        status[w], edm[w] = IMPOSSIBLE, math.inf
        if possible:
            status[w], edm[w] = fit_window(templates, bins, coefficients, matrix, size, fixed[w])
        theta[w] = error[w] = nll[w] = math.nan
        if usable(status[w]):
            theta[w, :size] = coefficients[THETA, :size]
            theta[w, -1] = coefficients[THETA, size]
            error[w] = matrix[size, size] if math.isnan(fixed[w]) else 0.0
            nll[w] = excess_over_saturated(bins)
