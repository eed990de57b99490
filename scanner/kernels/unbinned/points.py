"""The points of one unbinned window, and the sums over them.

A point has a weight w: 1 for an event, 0 where the expected density ν(x) = Σ θ_j T_j(x) must only be
positive, and the expected number of events for a point of an Asimov data set. The negative
log-likelihood of a set of points is

    NLL = Σ_j θ_j I_j − Σ_i w_i ln ν(x_i),        I_j the integral of T_j over the window.

points (7, P)
    POSITION x, WEIGHT w, EXPECTED ν, MULTIPLIER λ, CHANGE of ν in a step, SLOPE and CURVE, the factors
    of T_j in the gradient and of T_j T_k in the Hessian.
templates (rows, P), coefficients (5, rows), matrix (rows, rows)
    As in `scanner.kernels.linear.workspace`.
integrals (rows,)
    I_j, zero beyond the signal.

The grid of a window is its first points, of weight 0 for the data: the middles of equal cells, then both
ends and the mass, where positivity is most often decided.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats, accumulate, combine
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CHANGE, CURVE, EXPECTED, GRADIENT, REFERENCE, SLOPE, THETA

POSITION, WEIGHT = 0, 1
EXTRA = 3
"""Points of the grid beside the middles of cells."""
CELLS_A_RESOLUTION = 8.0
FEWEST_CELLS, MOST_CELLS = 64, 2048
BLOCK = 16
"""Numbers that are multiplied before a logarithm is taken, and ..."""
TINY = 1e-280
"""... the least product of which it is."""


@jit
def cells_of(low: float, high: float, resolution: float) -> int:
    """Return how many cells the grid of a window has."""
    wanted = math.ceil(CELLS_A_RESOLUTION * (high - low) / resolution)
    return int(min(max(wanted, FEWEST_CELLS), MOST_CELLS))


@lean
def place_grid(x: Floats, cells: int, low: float, high: float, mass: float) -> None:
    """Set the positions of the grid."""
    width = (high - low) / cells
    for i in range(cells):
        x[i] = low + (i + 0.5) * width
    x[cells], x[cells + 1] = low, high
    x[cells + 2] = min(max(mass, low), high)


@lean
def count_cells(events: Floats, cells: int, low: float, high: float, weights: Floats) -> None:
    """Set the weights of a grid to the events in its cells.

    Four runs take turns: neighbouring events are in one cell, whose count would be waited for.
    """
    weights[:] = 0.0
    scale = cells / (high - low)
    run = events.size // 4
    for i in range(run):
        for part in range(4):
            weights[_cell(events[part * run + i], low, scale, cells)] += 1.0
    for i in range(4 * run, events.size):
        weights[_cell(events[i], low, scale, cells)] += 1.0


@jit
def _cell(x: float, low: float, scale: float, cells: int) -> int:
    return int(min(max(int((x - low) * scale), 0), cells - 1))


@lean
def derive(
    templates: Floats, points: Floats, coefficients: Floats, integrals: Floats, matrix: Floats
) -> bool:
    """Set gradient and Hessian of the NLL at θ; return whether ν is positive at every point."""
    if templates.shape[0] == TILE:
        positive = _derive_tile(templates, points, coefficients, matrix)
    else:
        positive = _weigh(templates, points, coefficients)
        accumulate(templates, points, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    for j in range(integrals.size):
        coefficients[GRADIENT, j] = integrals[j] - coefficients[GRADIENT, j]
    return positive


@lean
def _derive_tile(templates: Floats, points: Floats, coefficients: Floats, matrix: Floats) -> bool:
    """Sum everything of four templates in one loop: this is where a fit spends its time."""
    w0, w1 = coefficients[THETA, 0], coefficients[THETA, 1]
    w2, w3 = coefficients[THETA, 2], coefficients[THETA, 3]
    g0 = g1 = g2 = g3 = 0.0
    h00 = h10 = h11 = h20 = h21 = h22 = h30 = h31 = h32 = h33 = 0.0
    bad = 0
    for i in range(points.shape[1]):
        t0, t1, t2, t3 = templates[0, i], templates[1, i], templates[2, i], templates[3, i]
        expected = w0 * t0 + w1 * t1 + w2 * t2 + w3 * t3
        bad += not expected > 0.0
        inverse = 1.0 / expected
        slope = points[WEIGHT, i] * inverse
        curve = slope * inverse
        g0 += t0 * slope
        g1 += t1 * slope
        g2 += t2 * slope
        g3 += t3 * slope
        c0, c1, c2, c3 = t0 * curve, t1 * curve, t2 * curve, t3 * curve
        h00 += c0 * t0
        h10 += c1 * t0
        h20 += c2 * t0
        h30 += c3 * t0
        h11 += c1 * t1
        h21 += c2 * t1
        h31 += c3 * t1
        h22 += c2 * t2
        h32 += c3 * t2
        h33 += c3 * t3
    coefficients[GRADIENT, 0], coefficients[GRADIENT, 1] = g0, g1
    coefficients[GRADIENT, 2], coefficients[GRADIENT, 3] = g2, g3
    matrix[0, 0] = h00
    matrix[1, 0], matrix[1, 1] = h10, h11
    matrix[2, 0], matrix[2, 1], matrix[2, 2] = h20, h21, h22
    matrix[3, 0], matrix[3, 1], matrix[3, 2], matrix[3, 3] = h30, h31, h32, h33
    return bad == 0


@lean
def _weigh(templates: Floats, points: Floats, coefficients: Floats) -> bool:
    """Set ν, w/ν and w/ν²; return whether ν is positive at every point."""
    combine(templates, coefficients, THETA, points, EXPECTED)
    bad = 0
    for i in range(points.shape[1]):
        expected = points[EXPECTED, i]
        bad += not expected > 0.0
        inverse = 1.0 / expected
        slope = points[WEIGHT, i] * inverse
        points[SLOPE, i] = slope
        points[CURVE, i] = slope * inverse
    return bad == 0


@lean
def log_ratio(templates: Floats, points: Floats, coefficients: Floats, events: int) -> float:
    """Return Σ w ln(ν/ν_ref) of the present θ and the reference; the last `events` have weight 1.

    EXPECTED holds ν then, and CHANGE the ratio.
    """
    combine(templates, coefficients, THETA, points, EXPECTED)
    combine(templates, coefficients, REFERENCE, points, CHANGE)
    for i in range(points.shape[1]):
        points[CHANGE, i] = points[EXPECTED, i] / points[CHANGE, i]
    return sum_logs(points, CHANGE, events)


@lean
def sum_logs(points: Floats, row: int, events: int) -> float:
    """Return Σ w ln of a row of the points, of which the last `events` have weight 1.

    A logarithm costs as much as all the rest, so that events are multiplied before.
    """
    size = points.shape[1]
    total = _sum_logs_each(points, row, 0, size - events)
    for start in range(size - events, size, BLOCK):
        stop = min(start + BLOCK, size)
        product = 1.0
        for i in range(start, stop):
            product *= points[row, i]
        if product > TINY and product < 1.0 / TINY:
            total += math.log(product)
        else:
            total += _sum_logs_each(points, row, start, stop)
    return total


@lean
def _sum_logs_each(points: Floats, row: int, start: int, stop: int) -> float:
    total = 0.0
    for i in range(start, stop):
        if points[WEIGHT, i] > 0.0:
            total += points[WEIGHT, i] * math.log(points[row, i])
    return total


@jit
def allocate_points(parameters: int, points: int) -> tuple[Floats, Floats]:
    """Return templates and points for `parameters` templates."""
    rows = (parameters + TILE - 1) // TILE * TILE
    return np.zeros((rows, points)), np.zeros((7, points))
