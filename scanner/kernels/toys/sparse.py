"""Fits of toys in windows of few events.

The NLL is Σν − Σ n ln ν, and its first sum the inner product of θ with the sums of the templates. So all that
Newton's method needs are sums over the bins with events, of which a toy has few; they are gathered once.
The bins without events only have to stay positive: `scanner.kernels.toys.faces`.

Newton's method is the primal-dual one: λ stands for n/ν in an occupied bin, and the curvature is λ/ν in
place of n/ν². From a poor start it takes half as many steps (Wright, Primal-Dual Interior-Point Methods,
ch. 5).
What ν falls short of Σ θ_j T_j, where it starts from a floor, is gone after one full step.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats, Integers, accumulate, combine
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import divergence
from scanner.kernels.linear.workspace import (
    CHANGE,
    CURVE,
    DATA,
    EXPECTED,
    GRADIENT,
    MULTIPLIER,
    REFERENCE,
    SLOPE,
    STEP,
    THETA,
    cut,
)
from scanner.kernels.toys.faces import BIN, NUMBER, PULL, TRIAL, allocate_held, bounded_step, length_of

INVERSE, MISSING = 7, 8
"""Rows of the occupied bins beside those of `scanner.kernels.linear.workspace`: 1/ν, and Σ θ_j T_j − ν."""
FEW_ROWS = 9
TOTAL, NUMBERS = TRIAL + 1, TRIAL + 2
"""Rows of the coefficients with the sums of the templates over all bins, and with three numbers:"""
MEANS, LEAST, VALUE = range(3)
"""the sum of the means; the expectation below which an empty bin is negative; the NLL of the last fit less
that of the truth."""
ITERATIONS = 30
FLOOR = 0.1
"""Smallest ν to start from, over the mean in the bin."""
FRACTION = 0.99
"""Part of the way to zero that a step may go."""
ROUNDING = 1e-11
SOFT = 1e-4
"""What is added to the diagonal of the Hessian, over its largest element."""
REMAINING = 1e-7
"""Gradient at a fit times the coefficients, and pulls times their bins, above which it goes on: by convexity
their sum bounds the NLL above the minimum."""
LEFT = 1e-8
"""Gradient left by that, times the coefficients, below which a fit is done: by convexity it bounds the NLL
above the minimum."""
DECREMENT, FINE = 1e-6, 1e-3
"""Decrement squared [σ²] and largest relative change of a bin below which a step is the last: their
product, 1e-6 σ, is what it leaves."""

Few = tuple[Floats, Floats, Floats, Floats]
"""Templates and bins gathered from the occupied ones, held bins and the matrix of their pulls."""


@jit
def allocate_few(rows: int, bins: int) -> Few:
    """Return arrays for templates of that shape."""
    held, gram = allocate_held(rows)
    return np.zeros((rows, bins)), np.zeros((FEW_ROWS, bins)), held, gram


@jit
def allocate_places(bins: int) -> Integers:
    """Return the scratch of `gather`."""
    return np.zeros(bins + 1, np.int64)


@jit
def set_sums(templates: Floats, bins: Floats, coefficients: Floats) -> None:
    """Set what follows from templates and means alone."""
    means = np.sum(bins[REFERENCE])
    coefficients[NUMBERS, MEANS] = means
    coefficients[NUMBERS, LEAST] = -ROUNDING * means / bins.shape[1]
    for j in range(templates.shape[0]):
        coefficients[TOTAL, j] = np.sum(templates[j])


@jit
def gather(templates: Floats, bins: Floats, few: Few, places: Integers) -> Few:
    """Return the arrays cut to the occupied bins of a toy, and filled; `places` (B + 1,) is scratch."""
    lean, sums, held, gram = few
    held[NUMBER, 0] = 0.0
    occupied = 0
    for b in range(bins.shape[1]):
        places[occupied] = b
        occupied += bins[DATA, b] > 0.0
    lean, sums = cut(lean, occupied), cut(sums, occupied)
    for i in range(occupied):
        b = places[i]
        sums[DATA, i], sums[REFERENCE, i] = bins[DATA, b], bins[REFERENCE, b]
    for j in range(0, templates.shape[0], TILE):
        for i in range(occupied):
            b = places[i]
            lean[j, i], lean[j + 1, i] = templates[j, b], templates[j + 1, b]
            lean[j + 2, i], lean[j + 3, i] = templates[j + 2, b], templates[j + 3, b]
    return lean, sums, held, gram


@lean
def fit_few(
    templates: Floats, bins: Floats, coefficients: Floats, hessian: Floats, few: Few, free: int
) -> bool:
    """Fit the gathered toy from the present θ and held bins; return whether that came to an end.

    On return θ is the fit and the numbers hold its NLL; ν is set in the occupied bins only.
    """
    lean, sums, held, gram = few
    least = coefficients[NUMBERS, LEAST]
    if sums.shape[1] == 0 or free == 0:
        return False
    _begin(lean, sums, coefficients)
    for _ in range(ITERATIONS):
        _differentiate(lean, sums, coefficients, hessian)
        solved, decrement, left = bounded_step(
            templates, bins, coefficients, hessian, held, gram, free, least, SOFT
        )
        if not solved:
            break
        whole, moved = _advance(lean, sums, coefficients, free)
        settled = left * length_of(coefficients, THETA, free) < LEFT
        if (
            whole
            and decrement < DECREMENT
            and settled
            and not moved
            and _is_minimum(templates, few, coefficients, free)
        ):
            coefficients[NUMBERS, VALUE] = _above_truth(sums, coefficients)
            return True
    held[NUMBER, 0] = 0.0
    return False


@lean
def _is_minimum(templates: Floats, few: Few, coefficients: Floats, free: int) -> bool:
    """Check the conditions of a minimum at θ itself: the gradient, and that bins with a pull are empty.

    Of two held bins with nearly equal templates rounding may give all of the pull to one that is not.
    """
    lean, sums, held, _ = few
    for i in range(sums.shape[1]):
        sums[SLOPE, i] = sums[DATA, i] / sums[EXPECTED, i]
    squared = 0.0
    for j in range(free):
        total = coefficients[TOTAL, j]
        for i in range(sums.shape[1]):
            total -= lean[j, i] * sums[SLOPE, i]
        for a in range(int(held[NUMBER, 0])):
            total -= templates[j, int(held[BIN, a])] * held[PULL, a]
        squared += total * total
    gap = 0.0
    for a in range(int(held[NUMBER, 0])):
        level = 0.0
        for j in range(templates.shape[0]):
            level += coefficients[THETA, j] * templates[j, int(held[BIN, a])]
        gap += abs(held[PULL, a] * level)
    return gap + math.sqrt(squared) * length_of(coefficients, THETA, free) < REMAINING


@lean
def _begin(lean: Floats, sums: Floats, coefficients: Floats) -> None:
    """Set ν from θ, but not below a floor, and λ = n/ν."""
    combine(lean, coefficients, THETA, sums, EXPECTED)
    for i in range(sums.shape[1]):
        expected = max(sums[EXPECTED, i], FLOOR * sums[REFERENCE, i])
        sums[MISSING, i] = sums[EXPECTED, i] - expected
        sums[EXPECTED, i] = expected
        sums[MULTIPLIER, i] = sums[DATA, i] / expected


@lean
def _differentiate(lean: Floats, sums: Floats, coefficients: Floats, hessian: Floats) -> None:
    """Set gradient and Hessian from ν and λ."""
    for i in range(sums.shape[1]):
        inverse = 1.0 / sums[EXPECTED, i]
        sums[INVERSE, i] = inverse
        sums[CURVE, i] = sums[MULTIPLIER, i] * inverse
    for i in range(sums.shape[1]):
        sums[SLOPE, i] = sums[CURVE, i] * sums[MISSING, i] - sums[DATA, i] * sums[INVERSE, i]
    accumulate(lean, sums, SLOPE, CURVE, coefficients, GRADIENT, hessian)
    for j in range(lean.shape[0]):
        coefficients[GRADIENT, j] += coefficients[TOTAL, j]


@lean
def _advance(lean: Floats, sums: Floats, coefficients: Floats, free: int) -> tuple[bool, bool]:
    """Step θ, ν and λ; return whether by the whole step, and whether a bin moved more than a little."""
    for j in range(free, lean.shape[0]):
        coefficients[STEP, j] = 0.0
    combine(lean, coefficients, STEP, sums, CHANGE)
    moved = long = strong = 0
    for i in range(sums.shape[1]):
        inverse, multiplier = sums[INVERSE, i], sums[MULTIPLIER, i]
        down = sums[CHANGE, i] - sums[MISSING, i]
        share = down * inverse
        relax = multiplier - (sums[DATA, i] * inverse + multiplier * share)
        sums[CHANGE, i], sums[SLOPE, i] = down, relax
        moved += abs(share) > FINE
        long += share > FRACTION
        strong += relax > FRACTION * multiplier
    primal = _length(sums, EXPECTED, CHANGE) if long > 0 else 1.0
    dual = _length(sums, MULTIPLIER, SLOPE) if strong > 0 else 1.0
    for j in range(free):
        coefficients[THETA, j] -= primal * coefficients[STEP, j]
    for i in range(sums.shape[1]):
        sums[EXPECTED, i] -= primal * sums[CHANGE, i]
        sums[MULTIPLIER, i] -= dual * sums[SLOPE, i]
        sums[MISSING, i] *= 1.0 - primal
    return long == 0, moved > 0


@lean
def _length(sums: Floats, row: int, step: int) -> float:
    """Return the part of a downward step that leaves a row positive."""
    length = 1.0
    for i in range(sums.shape[1]):
        if length * sums[step, i] > FRACTION * sums[row, i]:
            length = FRACTION * sums[row, i] / sums[step, i]
    return length


@lean
def _above_truth(sums: Floats, coefficients: Floats) -> float:
    """Return the NLL at ν less that at the truth."""
    total = -coefficients[NUMBERS, MEANS]
    for j in range(coefficients.shape[1]):
        total += coefficients[TOTAL, j] * coefficients[THETA, j]
    for i in range(sums.shape[1]):
        change = sums[EXPECTED, i] - sums[REFERENCE, i]
        sums[CHANGE, i] = change
        total -= change
    return float(total + divergence(sums, REFERENCE))


@lean
def slope_of_few(templates: Floats, coefficients: Floats, few: Few, terms: int) -> float:
    """Return the slope of the profiled NLL in the signal's coordinate at a fit."""
    lean, sums, held, _ = few
    total = coefficients[TOTAL, terms]
    for i in range(sums.shape[1]):
        total -= lean[terms, i] * sums[MULTIPLIER, i]
    for a in range(int(held[NUMBER, 0])):
        total -= templates[terms, int(held[BIN, a])] * held[PULL, a]
    return float(total)
