"""The Newton step of a toy of few events, among the steps that leave no empty bin negative.

minimise gᵀd + ½dᵀHd over d subject to ν_b(θ+d) ≥ 0 in every bin without events: of so many bounds at most
as many as there are coefficients hold at once. The bins that are held at zero, with a pull λ ≥ 0 each, are
found by the dual method of Lawson and Hanson (Solving Least Squares Problems, 1974, ch. 23): take the
lowest of the negative bins in, solve for all pulls, and release the bin whose pull first falls to zero on
the way. Each solution raises the dual objective, so that no set of bins returns.

With H = LLᵀ all but the last line of a round happens in the coordinates Lᵀd: with v = L⁻¹g and y_b = L⁻¹T_b
of the held bins the step is −r, r = v − Σλ_b y_b, and leaves ν_b − y_b·r.

A little of the unit matrix is added to H, since few events do not determine every coefficient. It holds back
a step where H says nothing about its length, and leaves a gradient, which is returned.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats, combine, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CHANGE, DATA, GRADIENT, STEP, THETA

FORWARD, REST, TRIAL = 5, 6, 7
"""Rows of the coefficients: v, r, and θ after the step."""
NUMBER, PULL, SLACK, DELTA, BIN, LEVEL, REDUCED = range(7)
"""Rows of the held bins, one a column: first of all how many there are, λ, −ν after a step with these
pulls, what is still to be added to λ, the bin, its present ν, and from there on y."""
RIDGE = 1e-12
"""Added to the matrix of the pulls, relatively: one bin too many makes it singular."""
PIVOT_ZERO = 1e-40
ROUNDS = 40


@jit
def allocate_held(rows: int) -> tuple[Floats, Floats]:
    """Return the rows of the held bins, and the matrix of their pulls."""
    most = rows + TILE
    return np.zeros((REDUCED + rows, most)), np.zeros((most, most))


@lean
def bounded_step(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    factor: Floats,
    held: Floats,
    gram: Floats,
    free: int,
    least: float,
    soft: float,
) -> tuple[bool, float, float]:
    """Set STEP, downwards, and the expectation after it in CHANGE; the Hessian becomes its factor.

    `soft` times its largest element is added to its diagonal.

    Returns
    -------
    solved : whether no empty bin is below `least` after the step
    decrement : the squared Newton decrement
    left : the length of the gradient that what is added leaves
    """
    added = _prepare(templates, coefficients, factor, held, free, soft)
    for _ in range(ROUNDS):
        _set_rest(coefficients, held, free)
        if held[NUMBER, 0] > 0.0:
            if _pull(coefficients, held, gram, free):
                continue
            _set_rest(coefficients, held, free)
        decrement = _lead(coefficients, factor, free)
        worst = _lowest(bins, least) if _try(templates, bins, coefficients, least) > 0 else -1
        if worst < 0:
            return True, decrement, added * length_of(coefficients, STEP, free)
        if held[NUMBER, 0] > free:
            break
        _hold(templates, coefficients, factor, held, worst, free)
    return False, math.inf, math.inf


@lean
def length_of(coefficients: Floats, row: int, free: int) -> float:
    """Return the length of the first coefficients of a row."""
    squared = 0.0
    for j in range(free):
        squared += coefficients[row, j] * coefficients[row, j]
    return math.sqrt(squared)


@lean
def _prepare(
    templates: Floats, coefficients: Floats, factor: Floats, held: Floats, free: int, soft: float
) -> float:
    """Factorise, and set v and what is known of the bins that are held already; return what is added."""
    largest = 0.0
    for j in range(free):
        largest = max(largest, factor[j, j])
    for j in range(free):
        factor[j, j] += soft * largest
    factorise(factor, free, PIVOT_ZERO)
    for i in range(free):
        total = coefficients[GRADIENT, i]
        for k in range(i):
            total -= factor[i, k] * coefficients[FORWARD, k]
        coefficients[FORWARD, i] = total * factor[i, i]
    for a in range(int(held[NUMBER, 0])):
        _reduce(templates, coefficients, factor, held, a, free)
    return soft * largest


@lean
def _reduce(templates: Floats, coefficients: Floats, factor: Floats, held: Floats, a: int, free: int) -> None:
    """Set ν and y of a held bin."""
    b = int(held[BIN, a])
    level = 0.0
    for j in range(templates.shape[0]):
        level += coefficients[THETA, j] * templates[j, b]
    held[LEVEL, a] = level
    for i in range(free):
        total = templates[i, b]
        for k in range(i):
            total -= factor[i, k] * held[REDUCED + k, a]
        held[REDUCED + i, a] = total * factor[i, i]


@lean
def _set_rest(coefficients: Floats, held: Floats, free: int) -> None:
    number = int(held[NUMBER, 0])
    for i in range(free):
        total = coefficients[FORWARD, i]
        for a in range(number):
            total -= held[PULL, a] * held[REDUCED + i, a]
        coefficients[REST, i] = total


@lean
def _pull(coefficients: Floats, held: Floats, gram: Floats, free: int) -> bool:
    """Move the pulls towards those that leave all held bins at zero; return whether a bin was released."""
    number = int(held[NUMBER, 0])
    for a in range(number):
        left = held[LEVEL, a]
        for i in range(free):
            left -= held[REDUCED + i, a] * coefficients[REST, i]
        held[SLACK, a] = -left
        for c in range(a + 1):
            product = 0.0
            for i in range(free):
                product += held[REDUCED + i, a] * held[REDUCED + i, c]
            gram[a, c] = product
        gram[a, a] *= 1.0 + RIDGE
    factorise(gram, number, PIVOT_ZERO)
    solve(gram, number, held, SLACK, DELTA)
    return _release(held, number, free) < number


@lean
def _release(held: Floats, number: int, free: int) -> int:
    """Go on to the pulls that are solved for, or until the first is zero; return how many are not."""
    length = 1.0
    for a in range(number):
        if length * held[DELTA, a] < -held[PULL, a]:
            length = -held[PULL, a] / held[DELTA, a]
    kept = 0
    for a in range(number):
        if length * held[DELTA, a] > -held[PULL, a]:
            held[PULL, kept] = held[PULL, a] + length * held[DELTA, a]
            held[BIN, kept], held[LEVEL, kept] = held[BIN, a], held[LEVEL, a]
            for i in range(free):
                held[REDUCED + i, kept] = held[REDUCED + i, a]
            kept += 1
    held[NUMBER, 0] = kept
    return kept


@lean
def _lead(coefficients: Floats, factor: Floats, free: int) -> float:
    """Set the step and where it leads; return the decrement."""
    squared = 0.0
    for j in range(coefficients.shape[1]):
        coefficients[TRIAL, j] = coefficients[THETA, j]
    for i in range(free - 1, -1, -1):
        total = coefficients[REST, i]
        squared += total * total
        for k in range(i + 1, free):
            total -= factor[k, i] * coefficients[STEP, k]
        total *= factor[i, i]
        coefficients[STEP, i] = total
        coefficients[TRIAL, i] -= total
    return squared


@lean
def _try(templates: Floats, bins: Floats, coefficients: Floats, least: float) -> int:
    """Set CHANGE to the expectation after the step; return how many bins are below `least`."""
    bad = 0
    if templates.shape[0] == TILE:
        w0, w1 = coefficients[TRIAL, 0], coefficients[TRIAL, 1]
        w2, w3 = coefficients[TRIAL, 2], coefficients[TRIAL, 3]
        for b in range(bins.shape[1]):
            low = w0 * templates[0, b] + w1 * templates[1, b]
            expected = low + (w2 * templates[2, b] + w3 * templates[3, b])
            bins[CHANGE, b] = expected
            bad += expected < least
        return bad
    combine(templates, coefficients, TRIAL, bins, CHANGE)
    for b in range(bins.shape[1]):
        bad += bins[CHANGE, b] < least
    return bad


@lean
def _lowest(bins: Floats, least: float) -> int:
    """Return the lowest of the empty bins, −1 if none is below `least`."""
    place = -1
    for b in range(bins.shape[1]):
        if bins[CHANGE, b] < least and bins[DATA, b] == 0.0:
            least, place = bins[CHANGE, b], b
    return place


@lean
def _hold(templates: Floats, coefficients: Floats, factor: Floats, held: Floats, b: int, free: int) -> None:
    """Take a bin in with no pull yet; one that is held already, but not quite at zero, is left."""
    number = int(held[NUMBER, 0])
    for a in range(number):
        if held[BIN, a] == b:
            return
    held[PULL, number], held[BIN, number] = 0.0, b
    held[NUMBER, 0] = number + 1
    _reduce(templates, coefficients, factor, held, number, free)
