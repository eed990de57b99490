"""The fit of one window with nuisances.

Least squares at the measured nuisances starts Newton's method; where an empty bin or a poor start
stops that, the interior-point method tries again from a point where every bin is positive.
"""

import math

from scanner.kernels.algebra import PIVOT_FLOOR, Floats, accumulate, factorise, solve
from scanner.kernels.constrained.arrays import (
    BINS,
    COEFFICIENTS,
    CONSTANT,
    LINEAR,
    LINEAR_COEFFICIENTS,
    MATRIX,
    NUISANCES,
    OBSERVED,
    PARAMETERS,
    SAMPLE_ROWS,
    SCALE,
    SIZES,
    START,
    TERMS,
    VARIANCE,
    Window,
)
from scanner.kernels.constrained.interior import centre, minimise_inside, set_linear
from scanner.kernels.constrained.model import evaluate
from scanner.kernels.constrained.newton import minimise_constrained, penalties
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import divergence
from scanner.kernels.linear.newton import CONVERGED
from scanner.kernels.linear.window import BOUNDARY, EMPTY, IMPOSSIBLE, NOT_CONVERGED, OK, SINGULAR, ZERO
from scanner.kernels.linear.workspace import CHANGE, CURVE, DATA, EXPECTED, GRADIENT, SLOPE, THETA


@lean
def fit_constrained(window: Window, fixed: float) -> tuple[int, float, int]:
    """Fit with no knowledge but the data, the signal yield held at `fixed` unless that is NaN.

    Returns
    -------
    status : one of the codes of `scanner.kernels.linear.window`
    edm : upper bound of the distance from the minimal NLL
    attempts : 1, or 2 where the interior-point method was needed
    """
    sizes, coefficients = window[SIZES], window[COEFFICIENTS]
    if _count(window) == 0.0:
        return EMPTY, math.inf, 0
    free = sizes[PARAMETERS] if math.isnan(fixed) else sizes[PARAMETERS] - 1
    for j in range(sizes[NUISANCES]):
        coefficients[THETA, j] = coefficients[OBSERVED, j]
    coefficients[THETA, sizes[PARAMETERS] - 1] = 0.0 if math.isnan(fixed) else fixed
    if not _start(window, free):
        return SINGULAR, math.inf, 0
    return descend_constrained(window, free)


@lean
def _count(window: Window) -> float:
    """Return the events in the window, or 1 where fixed samples make even an empty window say something."""
    scale, total = window[SCALE], 0.0
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if scale[CONSTANT, i] > 0.0:
            return 1.0
    for b in range(window[BINS].shape[1]):
        total += window[BINS][DATA, b]
    return total


@lean
def _start(window: Window, free: int) -> bool:
    """Set the free coefficients to the least-squares solution; return whether they can be told apart."""
    bins, linear, coefficients = window[BINS], window[LINEAR], window[LINEAR_COEFFICIENTS]
    nuisances, terms = window[SIZES][NUISANCES], window[SIZES][TERMS]
    set_linear(window)
    held = window[COEFFICIENTS][THETA, nuisances + terms] if free < window[SIZES][PARAMETERS] else 0.0
    for b in range(bins.shape[1]):
        n = bins[DATA, b]
        inverse = 1.0 / (n + 1.0 + bins[VARIANCE, b] * n * n)
        known = linear[terms + 1, b] + held * linear[terms, b]
        bins[SLOPE, b] = (n + min(n, 1.0) - known) * inverse
        bins[CURVE, b] = inverse
    coefficients[:] = 0.0
    accumulate(linear, bins, SLOPE, CURVE, coefficients, GRADIENT, window[MATRIX])
    count = free - nuisances
    regular = factorise(window[MATRIX], count, PIVOT_FLOOR)
    solve(window[MATRIX], count, coefficients, GRADIENT, THETA)
    for i in range(count):
        window[COEFFICIENTS][THETA, nuisances + i] = coefficients[THETA, i]
    return regular


@lean
def descend_constrained(window: Window, free: int) -> tuple[int, float, int]:
    """Fit the first `free` parameters from the present ones, which also hold the fixed one."""
    coefficients = window[COEFFICIENTS]
    for i in range(coefficients.shape[1]):
        coefficients[START, i] = coefficients[THETA, i]
    possible, _ = evaluate(window)
    if free == 0:
        return (OK if possible else IMPOSSIBLE), 0.0, 1
    if possible:
        outcome, edm = minimise_constrained(window, free)
        if outcome == CONVERGED:
            return OK, edm, 1
    converged, edm = False, math.inf
    for part in (1.0, 0.0):
        if not converged and _begin(window, free, part):
            converged, edm = minimise_inside(window, free)
    if not converged:
        return NOT_CONVERGED, edm, 2
    return (BOUNDARY if _touches_zero(window[BINS]) else OK), edm, 2


@lean
def _begin(window: Window, free: int, part: float) -> bool:
    """Go to where every bin is positive, at a part of the nuisances of the start; tell whether it is there.

    Templates at the start may be negative in bins, as shapes are beyond ±1, but not those at 0.
    """
    coefficients = window[COEFFICIENTS]
    for i in range(coefficients.shape[1]):
        scale = part if i < window[SIZES][NUISANCES] else 1.0
        coefficients[THETA, i] = scale * coefficients[START, i]
    return centre(window, free)


@lean
def _touches_zero(bins: Floats) -> bool:
    touching = 0
    for b in range(bins.shape[1]):
        empty = (bins[DATA, b] == 0.0) & (bins[VARIANCE, b] == 0.0)
        touching += empty & (bins[EXPECTED, b] < ZERO) & (bins[EXPECTED, b] > 0.0)
    return touching > 0


@lean
def excess_over_saturated(window: Window) -> float:
    """Return the NLL with its constraints, minus that of the saturated model ν = n."""
    bins, coefficients = window[BINS], window[COEFFICIENTS]
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[DATA, b]
    total = divergence(bins, DATA) + penalties(window)
    for j in range(window[SIZES][NUISANCES]):
        total += 0.5 * (coefficients[THETA, j] - coefficients[OBSERVED, j]) ** 2
    return total
