"""The Newton step of a toy of few events, among the steps that leave no empty bin negative.

minimise gᵀd + ½dᵀHd over d subject to ν_b(θ+d) ≥ 0 in every bin without events: of so many bounds at most
as many as there are coefficients hold at once. The bins that are held at zero, with a pull λ ≥ 0 each, are
found by the dual method of Lawson and Hanson (Solving Least Squares Problems, 1974, ch. 23): take a
negative bin in, solve for all pulls, and release the bin whose pull first falls to zero on the way. Each
solution raises the dual objective, so that no set of bins returns.

Any negative bin will do. Where a smooth expectation dips below zero between two held bins it will touch zero
near the mean of their places, weighted with the roots of their pulls: the lowest bin stands in the middle
instead, and leads there by bisection.

With H = LLᵀ all but the last line of a round happens in the coordinates Lᵀd: with v = L⁻¹g and y_b = L⁻¹T_b
of the held bins the step is −r, r = v − Σλ_b y_b, and leaves ν_b − y_b·r. L⁻¹ is made once a step, and its
rows beyond the free coefficients are zero.

A little of the unit matrix is added to H, since few events do not determine every coefficient. It holds back
a step where H says nothing about its length.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats, factorise, solve
from scanner.kernels.inlined import inlined
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CHANGE, DATA, GRADIENT, STEP, THETA
from scanner.kernels.toys.factor import PIVOT_ZERO, dot, multiply

FORWARD, REST, TRIAL = 5, 6, 7
"""Rows of the coefficients: v, r, and θ after the step."""
NUMBER, PULL, SLACK, DELTA, BIN, LEVEL, REDUCED = range(7)
"""Rows of the held bins, one a column: first of all how many there are, λ, −ν after a step with these
pulls, what is still to be added to λ, the bin, its present ν, and from there on y."""
RIDGE = 1e-12
"""Added to the matrix of the pulls, relatively: one bin too many makes it singular."""
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
    inverse: Floats,
    held: Floats,
    gram: Floats,
    free: int,
    least: float,
) -> tuple[bool, float]:
    """Set STEP, downwards, and the expectation after it in CHANGE; `inverse` is L⁻¹.

    Returns
    -------
    solved : whether no empty bin is below `least` after the step
    decrement : the squared Newton decrement
    """
    multiply(inverse, coefficients, GRADIENT, FORWARD)
    for a in range(int(held[NUMBER, 0])):
        _reduce(templates, coefficients, inverse, held, a)
    for _ in range(ROUNDS):
        if held[NUMBER, 0] > 0.0 and _pull(coefficients, held, gram):
            continue
        decrement = _set_rest(coefficients, held)
        _lead(coefficients, inverse)
        worst = _find_negative(templates, bins, coefficients, least)
        if worst < 0:
            return True, decrement
        if held[NUMBER, 0] > free + 2:
            break
        _hold(templates, coefficients, inverse, held, _between(bins, held, worst, least))
    return False, math.inf


@inlined
def _reduce(templates: Floats, coefficients: Floats, inverse: Floats, held: Floats, a: int) -> None:
    """Set ν and y of a held bin."""
    b = int(held[BIN, a])
    level = 0.0
    for i in range(0, inverse.shape[0], TILE):
        y0 = y1 = y2 = y3 = 0.0
        for k in range(0, i + TILE, TILE):
            c0, c1, c2, c3 = templates[k, b], templates[k + 1, b], templates[k + 2, b], templates[k + 3, b]
            y0 += dot(inverse, i, k, c0, c1, c2, c3)
            y1 += dot(inverse, i + 1, k, c0, c1, c2, c3)
            y2 += dot(inverse, i + 2, k, c0, c1, c2, c3)
            y3 += dot(inverse, i + 3, k, c0, c1, c2, c3)
        held[REDUCED + i, a], held[REDUCED + i + 1, a] = y0, y1
        held[REDUCED + i + 2, a], held[REDUCED + i + 3, a] = y2, y3
        t0, t1, t2, t3 = templates[i, b], templates[i + 1, b], templates[i + 2, b], templates[i + 3, b]
        level += dot(coefficients, THETA, i, t0, t1, t2, t3)
    held[LEVEL, a] = level


@inlined
def _set_rest(coefficients: Floats, held: Floats) -> float:
    """Set r; return its squared length."""
    number = int(held[NUMBER, 0])
    squared = 0.0
    for i in range(0, coefficients.shape[1], TILE):
        r0, r1 = coefficients[FORWARD, i], coefficients[FORWARD, i + 1]
        r2, r3 = coefficients[FORWARD, i + 2], coefficients[FORWARD, i + 3]
        for a in range(number):
            pull, at = held[PULL, a], REDUCED + i
            r0 -= pull * held[at, a]
            r1 -= pull * held[at + 1, a]
            r2 -= pull * held[at + 2, a]
            r3 -= pull * held[at + 3, a]
        coefficients[REST, i], coefficients[REST, i + 1] = r0, r1
        coefficients[REST, i + 2], coefficients[REST, i + 3] = r2, r3
        squared += (r0 * r0 + r1 * r1) + (r2 * r2 + r3 * r3)
    return squared


@lean
def _pull(coefficients: Floats, held: Floats, gram: Floats) -> bool:
    """Move the pulls towards those that leave all held bins at zero; return whether a bin was released."""
    number, rows = int(held[NUMBER, 0]), coefficients.shape[1]
    for a in range(number):
        slack = -held[LEVEL, a]
        for i in range(0, rows, TILE):
            y0, y1 = held[REDUCED + i, a], held[REDUCED + i + 1, a]
            slack += dot(coefficients, FORWARD, i, y0, y1, held[REDUCED + i + 2, a], held[REDUCED + i + 3, a])
        held[SLACK, a] = slack
        for c in range(a + 1):
            product = _product(held, a, c, rows)
            gram[a, c] = product
            held[SLACK, a] -= product * held[PULL, c]
            if c < a:
                held[SLACK, c] -= product * held[PULL, a]
        gram[a, a] *= 1.0 + RIDGE
    if number == 1:
        held[DELTA, 0] = held[SLACK, 0] / gram[0, 0] if gram[0, 0] > 0.0 else 0.0
    else:
        factorise(gram, number, PIVOT_ZERO)
        solve(gram, number, held, SLACK, DELTA)
    return _release(held, number, rows) < number


@inlined
def _product(held: Floats, a: int, c: int, rows: int) -> float:
    total = 0.0
    for i in range(REDUCED, REDUCED + rows, TILE):
        total += held[i, a] * held[i, c] + held[i + 1, a] * held[i + 1, c]
        total += held[i + 2, a] * held[i + 2, c] + held[i + 3, a] * held[i + 3, c]
    return total


@inlined
def _release(held: Floats, number: int, rows: int) -> int:
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
            for i in range(rows if kept < a else 0):
                held[REDUCED + i, kept] = held[REDUCED + i, a]
            kept += 1
    held[NUMBER, 0] = kept
    return kept


@inlined
def _lead(coefficients: Floats, inverse: Floats) -> None:
    """Set the step and where it leads."""
    for i in range(0, inverse.shape[0], TILE):
        x0 = x1 = x2 = x3 = 0.0
        for k in range(i, inverse.shape[0]):
            rest = coefficients[REST, k]
            x0 += inverse[k, i] * rest
            x1 += inverse[k, i + 1] * rest
            x2 += inverse[k, i + 2] * rest
            x3 += inverse[k, i + 3] * rest
        coefficients[STEP, i], coefficients[TRIAL, i] = x0, coefficients[THETA, i] - x0
        coefficients[STEP, i + 1], coefficients[TRIAL, i + 1] = x1, coefficients[THETA, i + 1] - x1
        coefficients[STEP, i + 2], coefficients[TRIAL, i + 2] = x2, coefficients[THETA, i + 2] - x2
        coefficients[STEP, i + 3], coefficients[TRIAL, i + 3] = x3, coefficients[THETA, i + 3] - x3


@inlined
def _find_negative(templates: Floats, bins: Floats, coefficients: Floats, least: float) -> int:
    """Set CHANGE to the expectation after the step; return the lowest of the empty bins, −1 without.

    That is if it is below `least`.
    """
    for j in range(0, templates.shape[0], TILE):
        w0, w1 = coefficients[TRIAL, j], coefficients[TRIAL, j + 1]
        w2, w3 = coefficients[TRIAL, j + 2], coefficients[TRIAL, j + 3]
        for b in range(bins.shape[1]):
            before = bins[CHANGE, b] if j > 0 else 0.0
            low = w0 * templates[j, b] + w1 * templates[j + 1, b]
            bins[CHANGE, b] = before + low + (w2 * templates[j + 2, b] + w3 * templates[j + 3, b])
    bad = 0
    for b in range(bins.shape[1]):
        bad += bins[CHANGE, b] < least
    return _lowest(bins, least) if bad > 0 else -1


@inlined
def _lowest(bins: Floats, least: float) -> int:
    place = -1
    for b in range(bins.shape[1]):
        if bins[CHANGE, b] < least and bins[DATA, b] == 0.0:
            least, place = bins[CHANGE, b], b
    return place


@inlined
def _between(bins: Floats, held: Floats, worst: int, least: float) -> int:
    """Return a negative bin to hold: between two held ones as their pulls say, else the lowest."""
    low, high, low_pull, high_pull = -1, bins.shape[1], 0.0, 0.0
    for a in range(int(held[NUMBER, 0])):
        b = int(held[BIN, a])
        if low < b and b < worst:
            low, low_pull = b, held[PULL, a]
        if worst < b and b < high:
            high, high_pull = b, held[PULL, a]
    if low < 0 or high == bins.shape[1]:
        return worst
    low_pull, high_pull = math.sqrt(low_pull), math.sqrt(high_pull)
    place = int((low * low_pull + high * high_pull) / (low_pull + high_pull) + 0.5)
    place = min(max(place, low + 1), high - 1)
    return place if bins[CHANGE, place] < least and bins[DATA, place] == 0.0 else worst


@inlined
def _hold(templates: Floats, coefficients: Floats, inverse: Floats, held: Floats, b: int) -> None:
    """Take a bin in with no pull yet; one that is held already, but not quite at zero, is left."""
    number = int(held[NUMBER, 0])
    for a in range(number):
        if held[BIN, a] == b:
            return
    held[PULL, number], held[BIN, number] = 0.0, b
    held[NUMBER, 0] = number + 1
    _reduce(templates, coefficients, inverse, held, number)
