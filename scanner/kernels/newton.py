"""Newton's method for one window whose minimum lies inside the region where every bin is positive.

The negative log-likelihood of Poisson counts n with expectation ν = Σ θ_j T_j is convex in θ:
NLL = Σ (ν − n ln ν), with dNLL/dν = 1 − n/ν and d²NLL/dν² = n/ν². A full step is taken where it
changes no occupied bin by more than a third, which by x − ln(1+x) ≤ x²/2(1−|x|) lowers the NLL for
sure; a longer step is first shortened to the minimum along its line.
"""

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Floats, accumulate, combine, factorise, solve
from scanner.kernels.workspace import CHANGE, CURVE, DATA, EXPECTED, GRADIENT, SLOPE, STEP, THETA

CONVERGED = 0
BLOCKED = 1
"""An empty bin stopped the step: the minimum may lie on the positivity boundary."""
UNDETERMINED = 2
"""The occupied bins alone do not determine the coefficients."""
EXHAUSTED = 3

ITERATIONS = 30
DECREMENT = 1e-4
"""Newton decrement squared (in units of σ²) and ..."""
FINE = 1e-3
"""... largest relative change of a bin, below which a step is the last.

What is left after it is half the product of the two numbers' sizes: 5e-6 σ.
"""
COARSE = 1.0 / 3.0


@jit
def start_least_squares(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> bool:
    """Set θ to the weighted least-squares solution, the variance of a bin being max(n, 1).

    Returns whether the terms can be told apart at all.
    """
    _least_squares_weights(bins)
    accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    regular = factorise(matrix, free, PIVOT_FLOOR)
    coefficients[THETA] = 0.0
    solve(matrix, free, coefficients, GRADIENT, THETA)
    return regular


@jit
def _least_squares_weights(bins: Floats) -> None:
    for b in range(bins.shape[1]):
        n = bins[DATA, b]
        inverse = 1.0 / (n if n > 1.0 else 1.0)
        bins[SLOPE, b] = n * inverse
        bins[CURVE, b] = inverse


@jit
def evaluate(templates: Floats, bins: Floats, coefficients: Floats) -> bool:
    """Set ν from θ; return whether every bin is positive."""
    combine(templates, coefficients, THETA, bins, EXPECTED)
    bad = 0
    for b in range(bins.shape[1]):
        bad += not bins[EXPECTED, b] > 0.0
    return bad == 0


@jit
def derivatives(bins: Floats) -> None:
    """Set dNLL/dν and d²NLL/dν² of every bin."""
    for b in range(bins.shape[1]):
        inverse = 1.0 / bins[EXPECTED, b]
        ratio = bins[DATA, b] * inverse
        bins[SLOPE, b] = 1.0 - ratio
        bins[CURVE, b] = ratio * inverse


@jit
def minimise(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Minimise over the first `free` coefficients from the present θ and ν > 0.

    Returns
    -------
    outcome : CONVERGED, BLOCKED, UNDETERMINED or EXHAUSTED
    edm : half the Newton decrement squared before the last step, an upper bound of the distance left
    """
    decrement = 0.0
    coefficients[STEP] = 0.0
    for _ in range(ITERATIONS):
        derivatives(bins)
        accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
        if not factorise(matrix, free, PIVOT_FLOOR):
            return UNDETERMINED, decrement
        decrement = solve(matrix, free, coefficients, GRADIENT, STEP)
        combine(templates, coefficients, STEP, bins, CHANGE)  # the step is −CHANGE
        large, moved, blocked = _survey(bins)
        if blocked:
            return BLOCKED, 0.5 * decrement
        length = _line_minimum(bins) if large else 1.0
        subtract(coefficients, THETA, length, STEP)
        subtract(bins, EXPECTED, length, CHANGE)
        if decrement < DECREMENT and not moved:
            return CONVERGED, 0.5 * decrement
    return EXHAUSTED, 0.5 * decrement


@jit
def _survey(bins: Floats) -> tuple[bool, bool, bool]:
    """Return whether a full step changes an occupied bin much, a little, or empties an empty bin."""
    large = moved = blocked = 0
    for b in range(bins.shape[1]):
        change, expected = bins[CHANGE, b], bins[EXPECTED, b]
        large += abs(change) > COARSE * expected
        moved += abs(change) > FINE * expected
        blocked += (change >= 0.999 * expected) & (bins[DATA, b] == 0.0)
    return large > 0, moved > 0, blocked > 0


@jit
def subtract(array: Floats, row: int, length: float, step: int) -> None:
    """Take `length` times row `step` off row `row`."""
    for i in range(array.shape[1]):
        array[row, i] -= length * array[step, i]


@jit
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


@jit
def _line_slope(bins: Floats, length: float) -> float:
    total = 0.0
    for b in range(bins.shape[1]):
        change = bins[CHANGE, b]
        total -= change * (1.0 - bins[DATA, b] / (bins[EXPECTED, b] - length * change))
    return total
