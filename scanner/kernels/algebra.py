"""Sums over bins and small dense solves, shared by every fit.

Templates of one window are rows of a (rows, bins) array: the background terms, the signal last,
then rows of zeros up to a multiple of four, as few as that takes. So how sums are ordered follows from
the window's own terms, whatever the batch that it stands in. Four rows make one tile, whose sums all stay in
registers while one loop runs over the bins; those loops are where a fit spends its time. A loop
writes at most two rows: with more, the compiler gives up proving that they do not overlap.

With the signal last, the Cholesky factor of the leading block serves the fits at fixed signal
yield, and the last pivot is the Schur complement of the background block: one over the variance
of the yield.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.lean import lean

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.uint8]

TILE = 4
"""Rows of templates that one loop sums together."""
PIVOT_FLOOR = 1e-13
"""A pivot below this fraction of its diagonal element means that two terms cannot be told apart."""


@lean
def combine(templates: Floats, coefficients: Floats, which: int, bins: Floats, out: int) -> None:
    """Set row `out` of `bins` to the sum of the templates times row `which` of `coefficients`."""
    _set_tile(templates, coefficients, which, bins, out)
    for j in range(TILE, templates.shape[0], TILE):
        _add_tile(templates, j, coefficients, which, bins, out)


@lean
def _set_tile(templates: Floats, coefficients: Floats, which: int, bins: Floats, out: int) -> None:
    w0, w1 = coefficients[which, 0], coefficients[which, 1]
    w2, w3 = coefficients[which, 2], coefficients[which, 3]
    for b in range(bins.shape[1]):
        low = w0 * templates[0, b] + w1 * templates[1, b]
        bins[out, b] = low + w2 * templates[2, b] + w3 * templates[3, b]


@lean
def _add_tile(templates: Floats, j: int, coefficients: Floats, which: int, bins: Floats, out: int) -> None:
    w0, w1 = coefficients[which, j], coefficients[which, j + 1]
    w2, w3 = coefficients[which, j + 2], coefficients[which, j + 3]
    for b in range(bins.shape[1]):
        low = w0 * templates[j, b] + w1 * templates[j + 1, b]
        bins[out, b] += low + w2 * templates[j + 2, b] + w3 * templates[j + 3, b]


@lean
def accumulate(
    templates: Floats,
    bins: Floats,
    slope: int,
    curve: int,
    coefficients: Floats,
    gradient: int,
    matrix: Floats,
) -> None:
    """Sum T_j·slope into row `gradient` of `coefficients`, T_j·T_k·curve into the lower triangle."""
    for j in range(0, templates.shape[0], TILE):
        _sum_gradient_tile(templates, j, bins, slope, coefficients, gradient)
        sum_diagonal_tile(templates, j, bins, curve, matrix)
        for k in range(0, j, TILE):
            _sum_cross_tile(templates, j, k, bins, curve, matrix)


@lean
def _sum_gradient_tile(
    templates: Floats, j: int, bins: Floats, slope: int, coefficients: Floats, gradient: int
) -> None:
    g0 = g1 = g2 = g3 = 0.0
    for b in range(bins.shape[1]):
        s = bins[slope, b]
        g0 += templates[j, b] * s
        g1 += templates[j + 1, b] * s
        g2 += templates[j + 2, b] * s
        g3 += templates[j + 3, b] * s
    coefficients[gradient, j], coefficients[gradient, j + 1] = g0, g1
    coefficients[gradient, j + 2], coefficients[gradient, j + 3] = g2, g3


@lean
def sum_diagonal_tile(templates: Floats, j: int, bins: Floats, curve: int, matrix: Floats) -> None:
    """Sum T_j·T_k·curve within the tile from row `j` into the lower triangle."""
    h00 = h10 = h11 = h20 = h21 = h22 = h30 = h31 = h32 = h33 = 0.0
    for b in range(bins.shape[1]):
        c = bins[curve, b]
        t0, t1, t2, t3 = templates[j, b], templates[j + 1, b], templates[j + 2, b], templates[j + 3, b]
        c0, c1, c2, c3 = t0 * c, t1 * c, t2 * c, t3 * c
        h00 += c0 * t0
        h10 += c0 * t1
        h20 += c0 * t2
        h30 += c0 * t3
        h11 += c1 * t1
        h21 += c1 * t2
        h31 += c1 * t3
        h22 += c2 * t2
        h32 += c2 * t3
        h33 += c3 * t3
    matrix[j, j] = h00
    matrix[j + 1, j], matrix[j + 1, j + 1] = h10, h11
    matrix[j + 2, j], matrix[j + 2, j + 1], matrix[j + 2, j + 2] = h20, h21, h22
    matrix[j + 3, j], matrix[j + 3, j + 1] = h30, h31
    matrix[j + 3, j + 2], matrix[j + 3, j + 3] = h32, h33


@lean
def _sum_cross_tile(templates: Floats, j: int, k: int, bins: Floats, curve: int, matrix: Floats) -> None:
    for i in range(j, j + TILE):
        h0 = h1 = h2 = h3 = 0.0
        for b in range(bins.shape[1]):
            c = templates[i, b] * bins[curve, b]
            h0 += c * templates[k, b]
            h1 += c * templates[k + 1, b]
            h2 += c * templates[k + 2, b]
            h3 += c * templates[k + 3, b]
        matrix[i, k], matrix[i, k + 1], matrix[i, k + 2], matrix[i, k + 3] = h0, h1, h2, h3


@lean
def factorise(matrix: Floats, size: int, floor: float) -> bool:
    """Replace the leading block by its Cholesky factor, with the reciprocals on the diagonal.

    Returns whether every pivot is above `floor` times its diagonal element. The reciprocal of a
    pivot that is not is set to zero, so that a solve leaves its parameter where it is.
    """
    if size <= TILE:
        return _factorise_tile(matrix, size, floor)
    regular = True
    for j in range(size):
        diagonal = matrix[j, j]
        pivot = diagonal
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        sound = pivot > floor * diagonal
        regular = regular and sound
        inverse = 1.0 / math.sqrt(pivot) if sound else 0.0
        matrix[j, j] = inverse
        for i in range(j + 1, size):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total * inverse
    return regular


@lean
def solve(factor: Floats, size: int, coefficients: Floats, right: int, out: int) -> float:
    """Solve factor·factorᵀ x = row `right` into row `out`; return right·x.

    For a gradient on the right that is the Newton decrement squared.
    """
    if size <= TILE:
        return _solve_tile(factor, size, coefficients, right, out)
    squared = 0.0
    for i in range(size):
        total = coefficients[right, i]
        for k in range(i):
            total -= factor[i, k] * coefficients[out, k]
        total *= factor[i, i]
        coefficients[out, i] = total
        squared += total * total
    for i in range(size - 1, -1, -1):
        total = coefficients[out, i]
        for k in range(i + 1, size):
            total -= factor[k, i] * coefficients[out, k]
        coefficients[out, i] = total * factor[i, i]
    return squared


@lean
def _factorise_tile(matrix: Floats, size: int, floor: float) -> bool:
    """Factorise a leading block within one tile.

    Columns are eliminated by reciprocals of pivots; the roots stand outside of that chain, where the
    processor takes them side by side. Rows beyond the block are not read.
    """
    a10, a20, a21, a30, a31, a32 = _below_diagonal(matrix, size)
    regular, d0 = _reciprocal(matrix, 0, 0.0, floor, size)
    b10, b20 = a10 * d0, a20 * d0
    sound, d1 = _reciprocal(matrix, 1, a10 * b10, floor, size)
    regular = regular and sound
    a21, a31 = a21 - a20 * b10, a31 - a30 * b10
    b21 = a21 * d1
    sound, d2 = _reciprocal(matrix, 2, a20 * b20 + a21 * b21, floor, size)
    regular = regular and sound
    a32 = a32 - a30 * b20 - a31 * b21
    sound, d3 = _reciprocal(matrix, 3, a30 * a30 * d0 + a31 * a31 * d1 + a32 * a32 * d2, floor, size)
    r0, r1, r2 = math.sqrt(d0), math.sqrt(d1), math.sqrt(d2)
    matrix[0, 0] = r0
    if size > 1:
        matrix[1, 0], matrix[1, 1] = a10 * r0, r1
    if size > 2:
        matrix[2, 0], matrix[2, 1], matrix[2, 2] = a20 * r0, a21 * r1, r2
    if size > 3:
        matrix[3, 0], matrix[3, 1], matrix[3, 2] = a30 * r0, a31 * r1, a32 * r2
        matrix[3, 3] = math.sqrt(d3)
    return regular and sound


@lean
def _below_diagonal(matrix: Floats, size: int) -> tuple[float, float, float, float, float, float]:
    """Return the elements below the diagonal of a leading block within one tile, and zeros beyond it."""
    a10 = matrix[1, 0] if size > 1 else 0.0
    a20, a21 = (matrix[2, 0], matrix[2, 1]) if size > 2 else (0.0, 0.0)
    a30, a31, a32 = (matrix[3, 0], matrix[3, 1], matrix[3, 2]) if size > 3 else (0.0, 0.0, 0.0)
    return a10, a20, a21, a30, a31, a32


@lean
def _reciprocal(matrix: Floats, i: int, less: float, floor: float, size: int) -> tuple[bool, float]:
    """Return whether the pivot of row `i` is sound, and its reciprocal; zero where it is not, or beyond."""
    if i >= size:
        return True, 0.0
    pivot = matrix[i, i] - less
    sound = pivot > floor * matrix[i, i]
    return sound, 1.0 / pivot if sound else 0.0


@lean
def _solve_tile(factor: Floats, size: int, coefficients: Floats, right: int, out: int) -> float:
    """Solve within one tile; what is beyond the block is neither read nor written."""
    f10, f20, f21, f30, f31, f32 = _below_diagonal(factor, size)
    y0 = y1 = y2 = y3 = x1 = x2 = x3 = 0.0
    if size > 0:
        y0 = coefficients[right, 0] * factor[0, 0]
    if size > 1:
        y1 = (coefficients[right, 1] - f10 * y0) * factor[1, 1]
    if size > 2:
        y2 = (coefficients[right, 2] - f20 * y0 - f21 * y1) * factor[2, 2]
    if size > 3:
        y3 = (coefficients[right, 3] - f30 * y0 - f31 * y1 - f32 * y2) * factor[3, 3]
        x3 = y3 * factor[3, 3]
        coefficients[out, 3] = x3
    if size > 2:
        x2 = (y2 - f32 * x3) * factor[2, 2]
        coefficients[out, 2] = x2
    if size > 1:
        x1 = (y1 - f21 * x2 - f31 * x3) * factor[1, 1]
        coefficients[out, 1] = x1
    if size > 0:
        coefficients[out, 0] = (y0 - f10 * x1 - f20 * x2 - f30 * x3) * factor[0, 0]
    return float(y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3)
