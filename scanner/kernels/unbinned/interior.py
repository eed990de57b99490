"""Primal-dual interior-point fit of one unbinned window, for minima where the density touches zero.

minimise Σ θ_j I_j − Σ w ln ν over θ subject to ν(x) ≥ 0 at every point. With a multiplier λ a point the
conditions at the minimum are

    Σ_i T_j(x_i) λ_i = I_j,    λ_i ν_i = w_i,    ν_i = Σ θ_j T_j(x_i),    ν, λ ≥ 0.

The method is that of `scanner.kernels.linear.interior`, where the left sum of the first condition is
over all bins of the templates themselves; steps and targets are its own, with weights in place of counts.
"""

import math

from scanner.kernels.algebra import Floats, accumulate, combine, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.interior import ITERATIONS, LAST_TARGET, PIVOT_ZERO, advance, largest_miss
from scanner.kernels.linear.workspace import CHANGE, CURVE, EXPECTED, GRADIENT, MULTIPLIER, SLOPE, STEP, THETA
from scanner.kernels.unbinned.points import WEIGHT


@lean
def minimise_points_on_boundary(
    templates: Floats,
    points: Floats,
    coefficients: Floats,
    integrals: Floats,
    matrix: Floats,
    free: int,
    cell: float,
) -> tuple[bool, float]:
    """Minimise over the first `free` coefficients; θ may start anywhere, also outside the region.

    Returns
    -------
    converged : bool
    edm : Σ |λν − w|, which bounds the distance from the minimal NLL
    """
    target, last_target = _start(templates, points, coefficients, cell)
    for _ in range(ITERATIONS):
        _solve(templates, points, coefficients, integrals, matrix, free, target)
        length = advance(templates, points, coefficients, target)
        if not length > 0.0:
            break
        residual, settled, gap = largest_miss(points, target)
        if settled and target == last_target and length > 0.9:
            return True, gap
        if length > 0.9:
            target = max(last_target, target * (0.02 if residual < 1.0 else 0.1))
        elif length > 0.5:
            target = max(last_target, target * 0.3)
    return False, math.inf


@lean
def _start(templates: Floats, points: Floats, coefficients: Floats, cell: float) -> tuple[float, float]:
    """Set ν at least to the mean density and λ to balance the integrals, half by cells, half by events."""
    total, largest, cells = 0.0, 1.0, 0
    for i in range(points.shape[1]):
        total += points[WEIGHT, i]
        largest = max(largest, points[WEIGHT, i])
        cells += points[WEIGHT, i] == 0.0
    mean = max(total / max(cells, 1), 1e-6)
    combine(templates, coefficients, THETA, points, EXPECTED)
    for i in range(points.shape[1]):
        points[EXPECTED, i] = max(points[EXPECTED, i], mean / cell)
        weight = points[WEIGHT, i]
        points[MULTIPLIER, i] = 0.5 * (weight / points[EXPECTED, i] if weight > 0.0 else cell)
    coefficients[STEP] = 0.0
    return float(0.1 * mean), LAST_TARGET * max(largest, 100.0)


@lean
def _solve(
    templates: Floats,
    points: Floats,
    coefficients: Floats,
    integrals: Floats,
    matrix: Floats,
    free: int,
    target: float,
) -> None:
    """Set the step of θ after eliminating ν and λ; CHANGE holds Tθ − ν."""
    combine(templates, coefficients, THETA, points, CHANGE)
    for i in range(points.shape[1]):
        inverse = 1.0 / points[EXPECTED, i]
        missing = points[CHANGE, i] - points[EXPECTED, i]
        aim = max(points[WEIGHT, i], target)
        points[CHANGE, i] = missing
        points[SLOPE, i] = (aim - points[MULTIPLIER, i] * missing) * inverse
        points[CURVE, i] = points[MULTIPLIER, i] * inverse
    accumulate(templates, points, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    for j in range(integrals.size):
        coefficients[GRADIENT, j] = integrals[j] - coefficients[GRADIENT, j]
    factorise(matrix, free, PIVOT_ZERO)
    solve(matrix, free, coefficients, GRADIENT, STEP)
