"""Newton's method for one window whose minimum lies inside the region where every bin is positive.

The negative log-likelihood of Poisson counts n with expectation ν = Σ θ_j T_j is convex in θ:
NLL = Σ (ν − n ln ν), with dNLL/dν = 1 − n/ν and d²NLL/dν² = n/ν². A full step is taken where it
changes no occupied bin by more than a third, which by x − ln(1+x) ≤ x²/2(1−|x|) lowers the NLL for
sure; a longer step is first shortened to the minimum along its line.
"""

from scanner.kernels.algebra import (
    PIVOT_FLOOR,
    TILE,
    Floats,
    accumulate,
    combine,
    factorise,
    solve,
    sum_diagonal_tile,
)
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CHANGE, CURVE, DATA, EXPECTED, GRADIENT, SLOPE, STEP, THETA

CONVERGED = 0
BLOCKED = 1
"""An empty bin stopped the step: the minimum may lie on the positivity boundary."""
UNDETERMINED = 2
"""The occupied bins alone do not determine the coefficients."""
EXHAUSTED = 3

ITERATIONS = 30
DECREMENT = 1e-6
"""Newton decrement squared (in units of σ²) and ..."""
FINE = 3e-5
"""... largest relative change of a bin, below which a step is the last.

What is left after it is half the product of √DECREMENT and FINE: 2e-8 σ.
"""
COARSE = 1.0 / 3.0
PLENTY = 100.0
"""Events in every bin from which the decrement alone tells how far a bin moves."""


@lean
def start_least_squares(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> bool:
    """Set θ to the solution of least squares with n + min(n, 1) in place of n, and variance n + 1.

    That sum is nearly unbiased for Poisson counts (Mighell, astro-ph/9903093), where plain weights
    1/n would start half a standard deviation low. Returns whether the terms can be told apart at all.
    """
    if templates.shape[0] == TILE:
        _start_tile(templates, bins, coefficients)
        sum_diagonal_tile(templates, 0, bins, CURVE, matrix)
    else:
        _least_squares_weights(bins)
        accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    regular = factorise(matrix, free, PIVOT_FLOOR)
    coefficients[THETA] = 0.0
    solve(matrix, free, coefficients, GRADIENT, THETA)
    return regular


@lean
def _least_squares_weights(bins: Floats) -> None:
    for b in range(bins.shape[1]):
        n = bins[DATA, b]
        inverse = 1.0 / (n + 1.0)
        bins[SLOPE, b] = (n + min(n, 1.0)) * inverse
        bins[CURVE, b] = inverse


@lean
def _start_tile(templates: Floats, bins: Floats, coefficients: Floats) -> None:
    """Set the weights and sum the right-hand side."""
    g0 = g1 = g2 = g3 = 0.0
    for b in range(bins.shape[1]):
        n = bins[DATA, b]
        inverse = 1.0 / (n + 1.0)
        bins[CURVE, b] = inverse
        slope = (n + min(n, 1.0)) * inverse
        g0 += templates[0, b] * slope
        g1 += templates[1, b] * slope
        g2 += templates[2, b] * slope
        g3 += templates[3, b] * slope
    coefficients[GRADIENT, 0], coefficients[GRADIENT, 1] = g0, g1
    coefficients[GRADIENT, 2], coefficients[GRADIENT, 3] = g2, g3


@lean
def evaluate(templates: Floats, bins: Floats, coefficients: Floats) -> bool:
    """Set ν from θ; return whether every bin is positive."""
    combine(templates, coefficients, THETA, bins, EXPECTED)
    bad = 0
    for b in range(bins.shape[1]):
        bad += not bins[EXPECTED, b] > 0.0
    return bad == 0


@lean
def derive(templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats) -> tuple[bool, bool]:
    """Set ν from θ, the gradient and the Hessian; return whether all ν > 0 and all n ≥ PLENTY."""
    if templates.shape[0] == TILE:
        bad, few = _expand_tile(templates, bins, coefficients)
        sum_diagonal_tile(templates, 0, bins, CURVE, matrix)
    else:
        combine(templates, coefficients, THETA, bins, EXPECTED)
        bad, few = _expand(bins)
        accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    return bad == 0, few == 0


@lean
def _expand(bins: Floats) -> tuple[int, int]:
    """Set dNLL/dν and d²NLL/dν² of every bin; return how many have ν ≤ 0, and n < PLENTY."""
    bad = few = 0
    for b in range(bins.shape[1]):
        expected, n = bins[EXPECTED, b], bins[DATA, b]
        inverse = 1.0 / expected
        ratio = n * inverse
        bins[SLOPE, b] = 1.0 - ratio
        bins[CURVE, b] = ratio * inverse
        bad += not expected > 0.0
        few += n < PLENTY
    return bad, few


@lean
def _expand_tile(templates: Floats, bins: Floats, coefficients: Floats) -> tuple[int, int]:
    """Set ν and d²NLL/dν² from θ, sum the gradient; return how many bins have ν ≤ 0, and n < PLENTY."""
    w0, w1 = coefficients[THETA, 0], coefficients[THETA, 1]
    w2, w3 = coefficients[THETA, 2], coefficients[THETA, 3]
    g0 = g1 = g2 = g3 = 0.0
    bad = few = 0
    for b in range(bins.shape[1]):
        t0, t1, t2, t3 = templates[0, b], templates[1, b], templates[2, b], templates[3, b]
        n = bins[DATA, b]
        expected = w0 * t0 + w1 * t1 + w2 * t2 + w3 * t3
        inverse = 1.0 / expected
        ratio = n * inverse
        slope = 1.0 - ratio
        bins[EXPECTED, b] = expected
        bins[CURVE, b] = ratio * inverse
        g0 += t0 * slope
        g1 += t1 * slope
        g2 += t2 * slope
        g3 += t3 * slope
        bad += not expected > 0.0
        few += n < PLENTY
    coefficients[GRADIENT, 0], coefficients[GRADIENT, 1] = g0, g1
    coefficients[GRADIENT, 2], coefficients[GRADIENT, 3] = g2, g3
    return bad, few


@lean
def minimise(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Minimise over the first `free` coefficients from the present θ.

    A Newton step changes no bin by more than its decrement over √n: (δν/ν)² n sums to the decrement
    squared. Where every n is large and that is little enough, bins are not looked at one by one.

    Returns
    -------
    outcome : CONVERGED, BLOCKED, UNDETERMINED or EXHAUSTED
    edm : half the Newton decrement squared before the last step, an upper bound of the distance left
    """
    decrement = 0.0
    coefficients[STEP] = 0.0
    for _ in range(ITERATIONS):
        positive, plenty = derive(templates, bins, coefficients, matrix)
        if not positive:
            return BLOCKED, decrement
        if not factorise(matrix, free, PIVOT_FLOOR):
            return UNDETERMINED, decrement
        decrement = solve(matrix, free, coefficients, GRADIENT, STEP)
        length, moved = 1.0, decrement > FINE * FINE * PLENTY
        if not (plenty and decrement <= COARSE * COARSE * PLENTY):
            combine(templates, coefficients, STEP, bins, CHANGE)  # the step is −CHANGE
            large, moved, blocked = _survey(bins)
            if blocked:
                return BLOCKED, 0.5 * decrement
            length = _line_minimum(bins) if large else 1.0
        subtract(coefficients, THETA, length, STEP)
        if decrement < DECREMENT and not moved:
            combine(templates, coefficients, THETA, bins, EXPECTED)
            return CONVERGED, 0.5 * decrement
    return EXHAUSTED, 0.5 * decrement


@lean
def _survey(bins: Floats) -> tuple[bool, bool, bool]:
    """Return whether a full step changes an occupied bin much, a little, or empties an empty bin."""
    large = moved = blocked = 0
    for b in range(bins.shape[1]):
        change, expected = bins[CHANGE, b], bins[EXPECTED, b]
        large += abs(change) > COARSE * expected
        moved += abs(change) > FINE * expected
        blocked += (change >= 0.999 * expected) & (bins[DATA, b] == 0.0)
    return large > 0, moved > 0, blocked > 0


@lean
def subtract(array: Floats, row: int, length: float, step: int) -> None:
    """Take `length` times row `step` off row `row`."""
    for i in range(array.shape[1]):
        array[row, i] -= length * array[step, i]


@lean
def _line_minimum(bins: Floats) -> float:
    """Return the step length that minimises the NLL along the step, at most 4 steps away."""
    high = 4.0
    for b in range(bins.shape[1]):
        if bins[CHANGE, b] * high > 0.999 * bins[EXPECTED, b]:
            high = 0.999 * bins[EXPECTED, b] / bins[CHANGE, b]
    if _line_slope(bins, high) < 0.0:
        return high
    low = 0.0
    for _ in range(12):  # a factor of 4096 on the length is ample: the next step mends the rest
        middle = 0.5 * (low + high)
        if _line_slope(bins, middle) < 0.0:
            low = middle
        else:
            high = middle
    return low if low > 0.0 else high


@lean
def _line_slope(bins: Floats, length: float) -> float:
    total = 0.0
    for b in range(bins.shape[1]):
        change = bins[CHANGE, b]
        total -= change * (1.0 - bins[DATA, b] / (bins[EXPECTED, b] - length * change))
    return total
