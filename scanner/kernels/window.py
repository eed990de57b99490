"""The fit of one window: least-squares start, Newton, and the interior point where Newton is stopped."""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.interior import minimise_on_boundary
from scanner.kernels.newton import CONVERGED, evaluate, minimise, start_least_squares
from scanner.kernels.workspace import CHANGE, DATA, EXPECTED, THETA, allocate, load

OK = 0
BOUNDARY = 1
EMPTY = 2
SECOND_OPINION = 3
NOT_CONVERGED = 4
SINGULAR = 5
IMPOSSIBLE = 6

ZERO = 1e-7
"""Expectation below which an empty bin sits on the positivity boundary."""
NEAR = 1.0 / 3.0
"""Relative distance |ν₁−ν₂|/(ν₁+ν₂) up to which the atanh series is used."""


@jit
def fit_from_data(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Fit the first `free` coefficients with no knowledge but the data; return (status, edm)."""
    if count(bins) == 0.0:
        return EMPTY, math.inf
    if free == 0:
        return SINGULAR, math.inf
    regular, positive = start_least_squares(templates, bins, coefficients, matrix, free)
    if not regular:
        return SINGULAR, math.inf
    return _fit(templates, bins, coefficients, matrix, free, positive)


@jit
def fit_from_guess(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Fit the first `free` coefficients from the present θ, which also holds the fixed ones."""
    positive = evaluate(templates, bins, coefficients)
    if free == 0:
        return (OK, 0.0) if positive else (IMPOSSIBLE, math.inf)
    return _fit(templates, bins, coefficients, matrix, free, positive)


@jit
def fit_fixed(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, terms: int, signal_yield: float
) -> tuple[int, float]:
    """Fit the background terms at a fixed signal yield with no knowledge but the data."""
    if count(bins) == 0.0:
        return EMPTY, math.inf
    regular, _ = start_least_squares(templates, bins, coefficients, matrix, terms)
    if not regular:
        return SINGULAR, math.inf
    coefficients[THETA, terms] = signal_yield
    return fit_from_guess(templates, bins, coefficients, matrix, terms)


@jit
def _fit(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int, positive: bool
) -> tuple[int, float]:
    if positive:
        outcome, edm = minimise(templates, bins, coefficients, matrix, free)
        if outcome == CONVERGED:
            return OK, edm
    converged, edm = minimise_on_boundary(templates, bins, coefficients, matrix, free)
    if not converged:
        return NOT_CONVERGED, edm
    return (BOUNDARY if _touches_zero(bins) else OK), edm


@jit
def _touches_zero(bins: Floats) -> bool:
    touching = 0
    for b in range(bins.shape[1]):
        touching += (bins[DATA, b] == 0.0) & (bins[EXPECTED, b] < ZERO)
    return touching > 0


@jit
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
def divergence(bins: Floats, reference: int) -> float:
    """Return Σ [δ − n ln((ν+δ)/ν)], the NLL at ν+δ minus that at ν, without cancellation.

    ν is row `reference` of `bins`, δ the row CHANGE. The logarithm is 2 atanh(t), t = δ/(2ν+δ), by
    its series where every |t| ≤ 1/3.
    """
    total = 0.0
    far = 0
    for b in range(bins.shape[1]):
        change, n = bins[CHANGE, b], bins[DATA, b]
        t = change / (2.0 * bins[reference, b] + change)
        s = t * t
        far += (not s <= NEAR * NEAR) & (n > 0.0)
        low = 1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0))))
        high = 1.0 / 13.0 + s * (1.0 / 15.0 + s * (1.0 / 17.0 + s * (1.0 / 19.0 + s * (1.0 / 21.0))))
        s5 = s * s * s * s * s
        total += change - 2.0 * n * (t + t * s * (low + s5 * high)) if n > 0.0 else change
    return total if far == 0 else _divergence_far(bins, reference)


@jit
def _divergence_far(bins: Floats, reference: int) -> float:
    total = 0.0
    for b in range(bins.shape[1]):
        total += bins[CHANGE, b]
        if bins[DATA, b] > 0.0:
            total -= bins[DATA, b] * math.log1p(bins[CHANGE, b] / bins[reference, b])
    return total


@jit
def excess_over_saturated(bins: Floats) -> float:
    """Return the NLL minus that of the saturated model, ν = n in every bin."""
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[DATA, b]
    return divergence(bins, DATA)


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
        if possible and math.isnan(fixed[w]):
            status[w], edm[w] = fit_from_data(templates, bins, coefficients, matrix, size + 1)
        elif possible:
            status[w], edm[w] = fit_fixed(templates, bins, coefficients, matrix, size, fixed[w])
        theta[w] = error[w] = nll[w] = math.nan
        if usable(status[w]):
            theta[w, :size] = coefficients[THETA, :size]
            theta[w, -1] = coefficients[THETA, size]
            error[w] = matrix[size, size] if math.isnan(fixed[w]) else 0.0
            nll[w] = excess_over_saturated(bins)
