"""Primal-dual interior-point fit of one window, for minima on the positivity boundary.

minimise Σ (ν − n ln ν) over θ subject to ν = Σ θ_j T_j ≥ 0 in every bin. With a multiplier λ a bin
the conditions at the minimum are

    Σ_b T_jb (1 − λ_b) = 0,    λ_b ν_b = n_b,    ν = Σ θ_j T_j,    ν, λ ≥ 0,

so that λ = n/ν in an occupied bin and λ is the pull of the constraint in an empty one. It is the
problem of weighted centres of linear programming: all but the products are linear. The products
follow targets max(n, τ) while τ falls to 1e-12 or to what rounding of ν allows (Wright, Primal-Dual
Interior-Point Methods, ch. 5-6); Σ τ over the empty bins bounds the distance from the minimal NLL.
"""

import math

from scanner.kernels.algebra import Floats, accumulate, combine, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.newton import subtract
from scanner.kernels.linear.workspace import (
    CHANGE,
    CURVE,
    DATA,
    EXPECTED,
    GRADIENT,
    MULTIPLIER,
    SLOPE,
    STEP,
    THETA,
)

ITERATIONS = 80
LAST_TARGET = 1e-14
"""Last target for the product of ν and λ in an empty bin, over the largest count or 100."""
SETTLED = 1e-9
"""Relative miss of λν = n that is none."""
FRACTION = 0.995
"""Part of the way to the boundary that a step may go."""
PIVOT_ZERO = 1e-40
"""Weights λ/ν of bins differ by many powers of ten near the boundary; that is no degeneracy."""


@lean
def minimise_on_boundary(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int
) -> tuple[bool, float]:
    """Minimise over the first `free` coefficients; θ may start anywhere, also outside the region.

    Returns
    -------
    converged : bool
    edm : Σ |λν − n|, which bounds the distance from the minimal NLL
    """
    target, last_target = _start(templates, bins, coefficients)
    for _ in range(ITERATIONS):
        _solve(templates, bins, coefficients, matrix, free, target)
        length = advance(templates, bins, coefficients, target)
        if not length > 0.0:
            break
        residual, settled, gap = largest_miss(bins, target)
        if settled and target == last_target and length > 0.9:
            return True, gap
        if length > 0.9:
            target = max(last_target, target * (0.02 if residual < 1.0 else 0.1))
        elif length > 0.5:
            target = max(last_target, target * 0.3)
    return False, math.inf


@lean
def _start(templates: Floats, bins: Floats, coefficients: Floats) -> tuple[float, float]:
    """Set λ = 1, which balances every term, and ν at least the mean; return first and last target."""
    total = largest = 0.0
    for b in range(bins.shape[1]):
        total += bins[DATA, b]
        largest = max(largest, bins[DATA, b])
    mean = max(total / bins.shape[1], 1e-6)
    combine(templates, coefficients, THETA, bins, EXPECTED)
    for b in range(bins.shape[1]):
        bins[MULTIPLIER, b] = 1.0
        bins[EXPECTED, b] = max(bins[EXPECTED, b], mean)
    coefficients[STEP] = 0.0
    return float(0.1 * mean), LAST_TARGET * max(largest, 100.0)


@lean
def _solve(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int, target: float
) -> None:
    """Set the step of θ after eliminating ν and λ; CHANGE holds Tθ − ν."""
    combine(templates, coefficients, THETA, bins, CHANGE)
    for b in range(bins.shape[1]):
        inverse = 1.0 / bins[EXPECTED, b]
        missing = bins[CHANGE, b] - bins[EXPECTED, b]
        aim = max(bins[DATA, b], target)
        bins[CHANGE, b] = missing
        bins[SLOPE, b] = 1.0 - (aim - bins[MULTIPLIER, b] * missing) * inverse
        bins[CURVE, b] = bins[MULTIPLIER, b] * inverse
    accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    factorise(matrix, free, PIVOT_ZERO)
    solve(matrix, free, coefficients, GRADIENT, STEP)


@lean
def advance(templates: Floats, bins: Floats, coefficients: Floats, target: float) -> float:
    """Step θ, ν and λ as far as positivity allows; return the shorter of the two step lengths."""
    combine(templates, coefficients, STEP, bins, SLOPE)
    primal, dual = _lengths(bins, target)
    subtract(coefficients, THETA, primal, STEP)
    subtract(bins, EXPECTED, primal, CHANGE)
    subtract(bins, MULTIPLIER, dual, SLOPE)
    return min(primal, dual)


@lean
def _lengths(bins: Floats, target: float) -> tuple[float, float]:
    """Set CHANGE to the downward step of ν and SLOPE to that of λ; return how far each may go."""
    primal = dual = 1.0
    for b in range(bins.shape[1]):
        expected, multiplier = bins[EXPECTED, b], bins[MULTIPLIER, b]
        down = bins[SLOPE, b] - bins[CHANGE, b]
        relax = multiplier - (max(bins[DATA, b], target) + multiplier * down) / expected
        bins[CHANGE, b] = down
        bins[SLOPE, b] = relax
        if primal * down > FRACTION * expected:
            primal = FRACTION * expected / down
        if dual * relax > FRACTION * multiplier:
            dual = FRACTION * multiplier / relax
    return primal, dual


@lean
def largest_miss(bins: Floats, target: float) -> tuple[float, bool, float]:
    """Return the largest relative miss of the targets, whether it is settled, and Σ |λν − n|.

    An empty bin is settled within ten times its target: rounding of ν moves it about.
    """
    largest = gap = 0.0
    loose = 0
    for b in range(bins.shape[1]):
        product = bins[MULTIPLIER, b] * bins[EXPECTED, b]
        aim = max(bins[DATA, b], target)
        miss = abs(product - aim) / aim
        largest = max(largest, miss)
        loose += miss > (SETTLED if bins[DATA, b] > target else 10.0)
        gap += abs(product - bins[DATA, b])
    return largest, loose == 0, gap
