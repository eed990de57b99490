"""The inverse L⁻¹ of the Cholesky factor of a Hessian H = LLᵀ, and its products with vectors.

With the inverse, solves are products without a chain of steps that wait for each other. What stands above its
diagonal, and in its rows beyond the free coefficients, is zero.
"""

import math

from scanner.kernels.algebra import TILE, Floats, factorise
from scanner.kernels.inlined import inlined
from scanner.kernels.lean import lean

PIVOT_ZERO = 1e-40


@lean
def invert_factor(matrix: Floats, free: int, soft: float) -> None:
    """Replace the Hessian, with `soft` times its largest element on its diagonal, by L⁻¹."""
    largest = 0.0
    for j in range(free):
        largest = max(largest, matrix[j, j])
    for j in range(free):
        matrix[j, j] += soft * largest
    if matrix.shape[0] == TILE:
        _invert_tile(matrix, free)
        return
    factorise(matrix, free, PIVOT_ZERO)
    for i in range(matrix.shape[0]):
        if i >= free:
            matrix[i, i] = 0.0
        for j in range(i):
            total = 0.0
            for k in range(j, i):
                total += matrix[i, k] * matrix[k, j]
            matrix[i, j] = -matrix[i, i] * total
            matrix[j, i] = 0.0


@inlined
def _invert_tile(matrix: Floats, free: int) -> None:
    """Do that for one tile, by reciprocals d of the pivots: √d times the inverse of the unit factor."""
    d0 = _reciprocal(matrix[0, 0], matrix[0, 0], free > 0)
    a10, a20, a30 = matrix[1, 0], matrix[2, 0], matrix[3, 0]
    b10, b20, b30 = a10 * d0, a20 * d0, a30 * d0
    d1 = _reciprocal(matrix[1, 1], matrix[1, 1] - a10 * b10, free > 1)
    a21, a31 = matrix[2, 1] - a20 * b10, matrix[3, 1] - a30 * b10
    b21, b31 = a21 * d1, a31 * d1
    d2 = _reciprocal(matrix[2, 2], matrix[2, 2] - (a20 * b20 + a21 * b21), free > 2)
    a32 = matrix[3, 2] - (a30 * b20 + a31 * b21)
    b32 = a32 * d2
    d3 = _reciprocal(matrix[3, 3], matrix[3, 3] - (a30 * b30 + a31 * b31 + a32 * b32), free > 3)
    r0, r1, r2, r3 = math.sqrt(d0), math.sqrt(d1), math.sqrt(d2), math.sqrt(d3)
    w20, w31 = b21 * b10 - b20, b32 * b21 - b31
    matrix[0, 0], matrix[0, 1], matrix[0, 2], matrix[0, 3] = r0, 0.0, 0.0, 0.0
    matrix[1, 0], matrix[1, 1], matrix[1, 2], matrix[1, 3] = -b10 * r1, r1, 0.0, 0.0
    matrix[2, 0], matrix[2, 1], matrix[2, 2], matrix[2, 3] = w20 * r2, -b21 * r2, r2, 0.0
    matrix[3, 0] = -(b30 + b31 * -b10 + b32 * w20) * r3
    matrix[3, 1], matrix[3, 2], matrix[3, 3] = w31 * r3, -b32 * r3, r3


@inlined
def _reciprocal(diagonal: float, pivot: float, used: bool) -> float:
    return 1.0 / pivot if used and pivot > PIVOT_ZERO * diagonal else 0.0


@inlined
def multiply(inverse: Floats, coefficients: Floats, source: int, out: int) -> None:
    """Set a row of the coefficients to L⁻¹ times another."""
    for i in range(0, inverse.shape[0], TILE):
        x0 = x1 = x2 = x3 = 0.0
        for k in range(0, i + TILE, TILE):
            c0, c1 = coefficients[source, k], coefficients[source, k + 1]
            c2, c3 = coefficients[source, k + 2], coefficients[source, k + 3]
            x0 += dot(inverse, i, k, c0, c1, c2, c3)
            x1 += dot(inverse, i + 1, k, c0, c1, c2, c3)
            x2 += dot(inverse, i + 2, k, c0, c1, c2, c3)
            x3 += dot(inverse, i + 3, k, c0, c1, c2, c3)
        coefficients[out, i], coefficients[out, i + 1] = x0, x1
        coefficients[out, i + 2], coefficients[out, i + 3] = x2, x3


@inlined
def dot(matrix: Floats, i: int, k: int, c0: float, c1: float, c2: float, c3: float) -> float:
    """Return what four columns of a row of the matrix add to its product with a vector."""
    low = matrix[i, k] * c0 + matrix[i, k + 1] * c1
    return float(low + (matrix[i, k + 2] * c2 + matrix[i, k + 3] * c3))
