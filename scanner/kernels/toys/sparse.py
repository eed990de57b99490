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
from scanner.kernels.algebra import TILE, Floats, Integers, accumulate, sum_diagonal_tile
from scanner.kernels.inlined import inlined
from scanner.kernels.lean import lean
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
from scanner.kernels.toys.faces import BIN, LEVEL, NUMBER, PULL, TRIAL, allocate_held, bounded_step
from scanner.kernels.toys.factor import invert_factor

INVERSE, MISSING = 7, 8
"""Rows of the occupied bins beside those of `scanner.kernels.linear.workspace`: 1/ν, and Σ θ_j T_j − ν."""
FEW_ROWS = 9
TOTAL, NUMBERS = TRIAL + 1, TRIAL + 2
"""Rows of the coefficients with the sums of the templates over all bins, and with three numbers:"""
MEANS, LEAST, VALUE = range(3)
"""the sum of the means; the expectation below which an empty bin is negative; the NLL of the last fit less
that of the truth."""
ITERATIONS = 40
FLOOR = 0.1
"""Smallest ν to start from, over the mean in the bin."""
FRACTION = 0.99
"""Part of the way to zero that a step may go."""
ROUNDING = 1e-11
SOFT = 1e-4
"""What is added to the diagonal of the Hessian, over its largest element."""
NEAR = 1e-3
"""Decrement squared [σ²] from which the next step keeps the Hessian."""
SHRINK = 0.03
"""Largest ratio of two decrements squared with which it is kept again."""
DISTANCE = 1e-12
"""Decrement squared [σ²] at which a fit is done: it lies 1e-6 σ from the minimum."""
REMAINING = 1e-7
"""Pulls times their bins above which a fit goes on: they bound the NLL above the minimum."""
EXTREME, LARGEST = 1e30, 1e200
"""Ratios of two expectations, and products of these, of which logarithms are taken at once."""
PADDED = 16
"""The gathered bins are a multiple of these, so that the loops over them have no rest."""

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
    """Return the arrays cut to the occupied bins of a toy, and filled; `places` (B + 1,) is scratch.

    Bins without events or templates fill them up to a multiple of `PADDED`.
    """
    lean, sums, held, gram = few
    held[NUMBER, 0] = 0.0
    occupied = 0
    for b in range(bins.shape[1]):
        places[occupied] = b
        occupied += bins[DATA, b] > 0.0
    padded = min((occupied + PADDED - 1) // PADDED * PADDED, bins.shape[1])
    lean, sums = cut(lean, padded), cut(sums, padded)
    for i in range(occupied):
        b = places[i]
        sums[DATA, i], sums[REFERENCE, i] = bins[DATA, b], bins[REFERENCE, b]
    for i in range(occupied, padded):
        sums[DATA, i], sums[REFERENCE, i] = 0.0, 1.0
    for j in range(0, templates.shape[0], TILE):
        for i in range(occupied):
            b = places[i]
            lean[j, i], lean[j + 1, i] = templates[j, b], templates[j + 1, b]
            lean[j + 2, i], lean[j + 3, i] = templates[j + 2, b], templates[j + 3, b]
        lean[j : j + TILE, occupied:] = 0.0
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
    known, before = False, math.inf
    for _ in range(ITERATIONS):
        _differentiate(lean, sums, coefficients)
        if not known:
            _sum_hessian(lean, sums, coefficients, hessian)
            invert_factor(hessian, free, SOFT)
        solved, decrement = bounded_step(templates, bins, coefficients, hessian, held, gram, free, least)
        if not solved:
            break
        if known and decrement < DISTANCE and _pulled(held) < REMAINING:
            _set_multipliers(sums)
            coefficients[NUMBERS, VALUE] = _above_truth(sums, coefficients)
            return True
        whole = _advance(lean, sums, coefficients)
        known = whole and decrement < (SHRINK * before if known else NEAR)
        before = decrement
    held[NUMBER, 0] = 0.0
    return False


@lean
def _sum_hessian(lean: Floats, sums: Floats, coefficients: Floats, hessian: Floats) -> None:
    if lean.shape[0] == TILE:
        sum_diagonal_tile(lean, 0, sums, CURVE, hessian)
    else:  # which sums a gradient too; it is not that of a fit
        accumulate(lean, sums, CURVE, CURVE, coefficients, STEP, hessian)


@inlined
def _pulled(held: Floats) -> float:
    """Return the sum of the pulls times what their bins expect.

    Of two held bins with nearly equal templates rounding may give all of the pull to one that is not empty.
    """
    total = 0.0
    for a in range(int(held[NUMBER, 0])):
        total += abs(held[PULL, a] * held[LEVEL, a])
    return total


@inlined
def _begin(lean: Floats, sums: Floats, coefficients: Floats) -> None:
    """Set ν from θ, but not below a floor, and λ = n/ν."""
    _combine(lean, coefficients, THETA, sums, EXPECTED)
    for i in range(sums.shape[1]):
        combined, n = sums[EXPECTED, i], sums[DATA, i]
        expected = max(combined, FLOOR * sums[REFERENCE, i]) if n > 0.0 else 1.0
        sums[MISSING, i] = combined - expected if n > 0.0 else 0.0
        sums[EXPECTED, i] = expected
    _set_multipliers(sums)


@inlined
def _combine(lean: Floats, coefficients: Floats, which: int, sums: Floats, out: int) -> None:
    """Set row `out` to the sum of the templates times row `which` of the coefficients."""
    for j in range(0, lean.shape[0], TILE):
        w0, w1 = coefficients[which, j], coefficients[which, j + 1]
        w2, w3 = coefficients[which, j + 2], coefficients[which, j + 3]
        for i in range(sums.shape[1]):
            before = sums[out, i] if j > 0 else 0.0
            low = w0 * lean[j, i] + w1 * lean[j + 1, i]
            sums[out, i] = before + low + (w2 * lean[j + 2, i] + w3 * lean[j + 3, i])


@inlined
def _set_multipliers(sums: Floats) -> None:
    for i in range(sums.shape[1]):
        sums[MULTIPLIER, i] = sums[DATA, i] / sums[EXPECTED, i]


@inlined
def _differentiate(lean: Floats, sums: Floats, coefficients: Floats) -> None:
    """Set the gradient from ν and λ, 1/ν and the curvatures."""
    for i in range(sums.shape[1]):
        inverse = 1.0 / sums[EXPECTED, i]
        sums[INVERSE, i] = inverse
        sums[CURVE, i] = sums[MULTIPLIER, i] * inverse
    for j in range(0, lean.shape[0], TILE):
        g0, g1 = coefficients[TOTAL, j], coefficients[TOTAL, j + 1]
        g2, g3 = coefficients[TOTAL, j + 2], coefficients[TOTAL, j + 3]
        for i in range(sums.shape[1]):
            slope = sums[CURVE, i] * sums[MISSING, i] - sums[DATA, i] * sums[INVERSE, i]
            g0 += lean[j, i] * slope
            g1 += lean[j + 1, i] * slope
            g2 += lean[j + 2, i] * slope
            g3 += lean[j + 3, i] * slope
        coefficients[GRADIENT, j], coefficients[GRADIENT, j + 1] = g0, g1
        coefficients[GRADIENT, j + 2], coefficients[GRADIENT, j + 3] = g2, g3


@inlined
def _advance(lean: Floats, sums: Floats, coefficients: Floats) -> bool:
    """Step θ, ν and λ; return whether by the whole step."""
    _combine(lean, coefficients, STEP, sums, CHANGE)
    long = strong = 0
    for i in range(sums.shape[1]):
        inverse, multiplier = sums[INVERSE, i], sums[MULTIPLIER, i]
        down = sums[CHANGE, i] - sums[MISSING, i]
        share = down * inverse
        relax = multiplier - (sums[DATA, i] * inverse + multiplier * share)
        sums[CHANGE, i], sums[SLOPE, i] = down, relax
        long += share > FRACTION
        strong += relax > FRACTION * multiplier
    primal = _length(sums, EXPECTED, CHANGE) if long > 0 else 1.0
    dual = _length(sums, MULTIPLIER, SLOPE) if strong > 0 else 1.0
    for j in range(0, lean.shape[0], TILE):
        coefficients[THETA, j] -= primal * coefficients[STEP, j]
        coefficients[THETA, j + 1] -= primal * coefficients[STEP, j + 1]
        coefficients[THETA, j + 2] -= primal * coefficients[STEP, j + 2]
        coefficients[THETA, j + 3] -= primal * coefficients[STEP, j + 3]
    for i in range(sums.shape[1]):
        sums[EXPECTED, i] -= primal * sums[CHANGE, i]
        sums[MULTIPLIER, i] -= dual * sums[SLOPE, i]
    for i in range(sums.shape[1]):
        sums[MISSING, i] *= 1.0 - primal
    return long == 0


@inlined
def _length(sums: Floats, row: int, step: int) -> float:
    """Return the part of a downward step that leaves a row positive."""
    length = 1.0
    for i in range(sums.shape[1]):
        if length * sums[step, i] > FRACTION * sums[row, i]:
            length = FRACTION * sums[row, i] / sums[step, i]
    return length


@lean
def _above_truth(sums: Floats, coefficients: Floats) -> float:
    """Return the NLL at ν less that at the truth.

    Of bins with one or two events, and a ratio of the two that is not extreme, one logarithm is taken of the
    product.
    """
    total = -coefficients[NUMBERS, MEANS]
    for j in range(coefficients.shape[1]):
        total += coefficients[TOTAL, j] * coefficients[THETA, j]
    product = 1.0
    for i in range(sums.shape[1]):
        n = sums[DATA, i]
        ratio = sums[EXPECTED, i] / sums[REFERENCE, i]
        if n in (1.0, 2.0) and EXTREME > ratio > 1.0 / EXTREME:
            product *= ratio if n == 1.0 else ratio * ratio
            if not LARGEST > product > 1.0 / LARGEST:
                total -= math.log(product)
                product = 1.0
        elif n > 0.0:
            total -= n * math.log(ratio)
    return float(total - math.log(product))


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
