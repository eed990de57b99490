"""The unbinned extended fit of one window: Newton from a coarse fit, and the interior point beyond it.

The NLL of `scanner.kernels.unbinned.points` is convex in θ. The coarse fit moves every event to the middle
of its cell, which leaves the minimum within a fraction of σ of the true one; two or three Newton steps
over the events then end at it. With weights w ≥ 1 the NLL is self-concordant (Boyd, Vandenberghe, Convex
Optimization, sect. 9.6): a step of decrement λ changes no event's ν by more than a part λ of it.
"""

from scanner.kernels.algebra import PIVOT_FLOOR, Floats, accumulate, combine, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.newton import BLOCKED, CONVERGED, EXHAUSTED, UNDETERMINED, subtract
from scanner.kernels.linear.window import BOUNDARY, NOT_CONVERGED, OK
from scanner.kernels.linear.workspace import CHANGE, CURVE, EXPECTED, GRADIENT, SLOPE, STEP, THETA
from scanner.kernels.unbinned.interior import minimise_points_on_boundary
from scanner.kernels.unbinned.points import WEIGHT, derive

ITERATIONS = 30
SAFE = 0.1
"""Square of the part by which a full step may change a point."""
LAST = 1e-9
"""Newton decrement squared, for each point of weight, below which a step is the last, and ..."""
LEAST_LAST, MOST_LAST = 1e-9, 1e-5
"""... its limits. A step of decrement λ moves a point by about λ√(K/n), and so changes the error."""
ZERO = 1e-7
"""Expected events in a cell below which its density sits on the positivity boundary."""


@lean
def start_points(
    templates: Floats, points: Floats, coefficients: Floats, matrix: Floats, free: int, cell: float
) -> bool:
    """Set θ to the weighted least-squares solution of a grid; return whether terms can be told apart.

    The density of a cell is its weight over its width, with a variance of max(weight, 1).
    """
    for i in range(points.shape[1]):
        weight = points[WEIGHT, i]
        inverse = 1.0 / (weight if weight > 1.0 else 1.0)
        points[SLOPE, i] = weight * inverse * cell
        points[CURVE, i] = inverse * cell * cell
    accumulate(templates, points, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    regular = factorise(matrix, free, PIVOT_FLOOR)
    coefficients[THETA] = 0.0
    solve(matrix, free, coefficients, GRADIENT, THETA)
    return regular


@lean
def descend_points(
    templates: Floats,
    points: Floats,
    coefficients: Floats,
    integrals: Floats,
    matrix: Floats,
    free: int,
    cell: float,
) -> tuple[int, float]:
    """Fit the first `free` coefficients from the present θ, which also holds the fixed ones.

    Returns
    -------
    status : a code of `scanner.kernels.linear.window`
    edm : upper bound of the distance from the minimal NLL
    """
    outcome, edm = minimise_points(templates, points, coefficients, integrals, matrix, free)
    if outcome == CONVERGED:
        return OK, edm
    converged, edm = minimise_points_on_boundary(
        templates, points, coefficients, integrals, matrix, free, cell
    )
    if not converged:
        return NOT_CONVERGED, edm
    return (BOUNDARY if _touches_zero(points, ZERO / cell) else OK), edm


@lean
def minimise_points(
    templates: Floats, points: Floats, coefficients: Floats, integrals: Floats, matrix: Floats, free: int
) -> tuple[int, float]:
    """Minimise over the first `free` coefficients from the present θ by Newton's method.

    Returns CONVERGED or why not, and half the Newton decrement squared before the last step.
    """
    total, least = _survey_weights(points)
    last = min(max(LAST * total, LEAST_LAST), MOST_LAST)
    decrement = 0.0
    coefficients[STEP] = 0.0
    for _ in range(ITERATIONS):
        if not derive(templates, points, coefficients, integrals, matrix):
            return BLOCKED, 0.5 * decrement
        if not factorise(matrix, free, PIVOT_FLOOR):
            return UNDETERMINED, decrement
        decrement = solve(matrix, free, coefficients, GRADIENT, STEP)
        length = 1.0
        if not decrement < SAFE * least:
            length, blocked = _shorten(templates, points, coefficients, integrals)
            if blocked:
                return BLOCKED, 0.5 * decrement
        subtract(coefficients, THETA, length, STEP)
        if decrement < last:
            return _check_last(templates, points, coefficients), 0.5 * decrement
    return EXHAUSTED, 0.5 * decrement


@lean
def _survey_weights(points: Floats) -> tuple[float, float]:
    """Return the sum of the weights and the least positive one, at most 1."""
    total = 0.0
    light = 0
    for i in range(points.shape[1]):
        weight = points[WEIGHT, i]
        total += weight
        light += (weight > 0.0) & (weight < 1.0)
    return total, 1.0 if light == 0 else _least_weight(points)


@lean
def _least_weight(points: Floats) -> float:
    least = 1.0
    for i in range(points.shape[1]):
        weight = points[WEIGHT, i]
        if weight > 0.0 and weight < least:
            least = weight
    return least


@lean
def _check_last(templates: Floats, points: Floats, coefficients: Floats) -> int:
    """Set ν after the last step; a point where it is not positive blocks."""
    combine(templates, coefficients, THETA, points, EXPECTED)
    bad = 0
    for i in range(points.shape[1]):
        bad += not points[EXPECTED, i] > 0.0
    return CONVERGED if bad == 0 else BLOCKED


@lean
def _shorten(
    templates: Floats, points: Floats, coefficients: Floats, integrals: Floats
) -> tuple[float, bool]:
    """Return the length of a step, and whether a point without weight stops it.

    A full step is taken where it changes no point by more than a third, as in `newton`; otherwise the
    length is that of the minimum along the step, at most 4.
    """
    combine(templates, coefficients, THETA, points, EXPECTED)
    combine(templates, coefficients, STEP, points, CHANGE)
    high, large, blocked = 4.0, 0, 0
    for i in range(points.shape[1]):
        change, expected = points[CHANGE, i], points[EXPECTED, i]
        weighty = points[WEIGHT, i] > 0.0
        large += weighty and abs(change) > expected / 3.0
        blocked += not weighty and change >= 0.999 * expected
        if change * high > 0.999 * expected:
            high = 0.999 * expected / change
    if blocked > 0:
        return 0.0, True
    return (_line_minimum(points, coefficients, integrals, high) if large > 0 else 1.0), False


@lean
def _line_minimum(points: Floats, coefficients: Floats, integrals: Floats, high: float) -> float:
    """Return the length that minimises the NLL along the step, at most `high`."""
    rise = 0.0
    for j in range(integrals.size):
        rise += integrals[j] * coefficients[STEP, j]
    if _line_slope(points, rise, high) < 0.0:
        return high
    low = 0.0
    for _ in range(12):  # a factor of 4096 on the length is ample: the next step mends the rest
        middle = 0.5 * (low + high)
        if _line_slope(points, rise, middle) < 0.0:
            low = middle
        else:
            high = middle
    return low if low > 0.0 else high


@lean
def _line_slope(points: Floats, rise: float, length: float) -> float:
    total = -rise
    for i in range(points.shape[1]):
        change = points[CHANGE, i]
        total += points[WEIGHT, i] * change / (points[EXPECTED, i] - length * change)
    return total


@lean
def _touches_zero(points: Floats, zero: float) -> bool:
    touching = 0
    for i in range(points.shape[1]):
        touching += (points[WEIGHT, i] == 0.0) & (points[EXPECTED, i] < zero)
    return touching > 0
