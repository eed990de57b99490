"""Newton's method for one window with nuisances, by the full Hessian and with a line search.

The NLL need not be convex: where the Hessian is not positive definite the Gauss–Newton part takes its
place, and where that is not either, it with a growing diagonal (Levenberg). A step is shortened until
the NLL falls by a fair part of what its slope promises (Armijo).
"""

import math

from scanner.kernels.algebra import PIVOT_FLOOR, Floats, factorise, solve
from scanner.kernels.constrained.arrays import (
    BASE,
    BEFORE,
    BINS,
    CERTAIN,
    COEFFICIENTS,
    MATRIX,
    MODE,
    NUISANCES,
    OBSERVED,
    PENALTY,
    SIZES,
    Window,
)
from scanner.kernels.constrained.derivatives import differentiate, set_gauss_newton
from scanner.kernels.constrained.model import evaluate
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import divergence
from scanner.kernels.linear.newton import BLOCKED, CONVERGED, EXHAUSTED, UNDETERMINED
from scanner.kernels.linear.workspace import CHANGE, EXPECTED, GRADIENT, STEP, THETA

ITERATIONS = 60
DECREMENT = 1e-6
"""Newton decrement squared, in units of σ², below which a step is the last: its error is the square."""
HALVINGS = 40
ARMIJO = 1e-4
RIDGE, RIDGE_GROWTH, RIDGES = 1e-6, 30.0, 12


@lean
def minimise_constrained(window: Window, free: int) -> tuple[int, float]:
    """Minimise over the first `free` parameters from the present ones, which are evaluated.

    Returns
    -------
    outcome : CONVERGED, BLOCKED, UNDETERMINED or EXHAUSTED of `scanner.kernels.linear.newton`
    edm : half the Newton decrement squared before the last step
    """
    decrement = math.inf
    for _ in range(ITERATIONS):
        differentiate(window)
        decrement, definite = newton_step(window, free, PIVOT_FLOOR)
        if not decrement >= 0.0:
            return UNDETERMINED, math.inf
        length, blocked = search(window, free, 1.0, decrement)
        if blocked:
            return BLOCKED, 0.5 * decrement
        if length == 0.0:
            return EXHAUSTED, 0.5 * decrement
        if decrement < DECREMENT and length == 1.0:
            return (CONVERGED if definite else UNDETERMINED), 0.5 * decrement
    return EXHAUSTED, 0.5 * decrement


@lean
def newton_step(window: Window, free: int, floor: float) -> tuple[float, bool]:
    """Set STEP; return the Newton decrement squared and whether the Hessian is positive definite.

    The decrement is NaN where the free coefficients are not determined at all.
    """
    matrix, coefficients = window[MATRIX], window[COEFFICIENTS]
    for i in range(free, coefficients.shape[1]):
        coefficients[STEP, i] = 0.0
    if factorise(matrix, free, floor):
        return solve(matrix, free, coefficients, GRADIENT, STEP), True
    ridge = 0.0
    for _ in range(RIDGES + 1):
        set_gauss_newton(window)
        for i in range(free):
            matrix[i, i] += ridge * abs(matrix[i, i])
        if factorise(matrix, free, floor):
            return solve(matrix, free, coefficients, GRADIENT, STEP), False
        ridge = max(RIDGE, ridge * RIDGE_GROWTH)
    return math.nan, False


@lean
def search(window: Window, free: int, longest: float, decrement: float) -> tuple[float, bool]:
    """Step down from the present parameters; return the length, and whether an empty bin is in the way.

    The length is 0 where no step lowers the NLL, and the parameters are then as before.
    """
    coefficients = window[COEFFICIENTS]
    penalty = remember(window)
    length = longest
    for attempt in range(HALVINGS):
        move(coefficients, free, length)
        possible, reachable = evaluate(window)
        if possible:
            change = change_since(window, penalty)
            if change <= -ARMIJO * length * decrement or decrement < DECREMENT:
                return length, False
        elif reachable and attempt == 0 and longest == 1.0:
            move(coefficients, free, 0.0)
            evaluate(window)
            return 0.0, True
        length *= 0.5
    move(coefficients, free, 0.0)
    evaluate(window)
    return 0.0, False


@lean
def remember(window: Window) -> float:
    """Keep parameters and expectation as the point before a step; return the sum of the penalties."""
    bins, coefficients = window[BINS], window[COEFFICIENTS]
    for b in range(bins.shape[1]):
        bins[BEFORE, b] = bins[EXPECTED, b]
    for i in range(coefficients.shape[1]):
        coefficients[BASE, i] = coefficients[THETA, i]
    return penalties(window)


@lean
def penalties(window: Window) -> float:
    """Return the template statistics' part of the NLL."""
    bins = window[BINS]
    total = 0.0
    if window[SIZES][MODE] != CERTAIN:
        for b in range(bins.shape[1]):
            total += bins[PENALTY, b]
    return total


@lean
def move(coefficients: Floats, free: int, length: float) -> None:
    """Set the parameters `length` steps away from those before."""
    for i in range(free):
        coefficients[THETA, i] = coefficients[BASE, i] - length * coefficients[STEP, i]


@lean
def change_since(window: Window, penalty: float) -> float:
    """Return how much the NLL changed since `remember` returned `penalty`."""
    bins, coefficients = window[BINS], window[COEFFICIENTS]
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[BEFORE, b]
    total = divergence(bins, BEFORE) + penalties(window) - penalty
    return total + constraint_change(coefficients, BASE, window[SIZES][NUISANCES])


@lean
def constraint_change(coefficients: Floats, before: int, nuisances: int) -> float:
    """Return the rise of ½Σ(α−a)² from row `before` to THETA."""
    total = 0.0
    for j in range(nuisances):
        x, y, a = coefficients[THETA, j], coefficients[before, j], coefficients[OBSERVED, j]
        total += 0.5 * (x - y) * (x + y - 2.0 * a)
    return total
