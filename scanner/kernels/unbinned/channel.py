"""One channel of a simultaneous unbinned fit: the least NLL over its background at every signal yield.

Channels share nothing but the signal. So the joint NLL at a signal is the sum of the channels' own least
values h(s), which are convex, with slopes and curvatures that follow from the fit at s.

A fit sees the events and a few points of the grid where the density might turn negative. Where it does so
elsewhere, the lowest points of the grid join them and the fit is made again, until none is left: the
minimum is that of all constraints, and a fit of two events costs as much as its two events.

Without events the best background is none for s ≥ 0, and h(s) = s I_S. For s < 0 the background has to lift
the density up to zero; that is a linear programme, and h(s) = |s| h(−1).

state, a tuple over C channels
    sizes (C, 5); templates of the grid (C, rows, G); its points (C, 7, G), and the widths of its cells
    (C, G); templates of the events (C, rows, N); templates and points in the fit (C, rows | 7, G + N) and
    which of the grid are among them (C, G); coefficients (C, 5, rows), integrals (C, rows), matrices
    (C, rows, rows) and numbers (C, 6). Rows, G and N are those of the largest channel of a batch; a
    channel uses the first of them, as one block of memory.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, Integers, combine, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.newton import CONVERGED
from scanner.kernels.linear.window import BOUNDARY, NOT_CONVERGED, OK
from scanner.kernels.linear.workspace import EXPECTED, MULTIPLIER, TANGENT, THETA, cut, tiled
from scanner.kernels.unbinned.interior import minimise_points_on_boundary
from scanner.kernels.unbinned.likelihood import ZERO, minimise_points
from scanner.kernels.unbinned.points import WEIGHT, sum_logs

GRID, CELLS, EVENTS, ACTIVE, TERMS = range(5)
"""Points of the grid, those that are middles of cells, events, points of the grid in the fit, terms."""
VALUE, SLOPE, CURVE, TOTAL, WIDTH, DOWN = range(6)
"""Numbers of a channel: h, h′ and h″ of the last fit, weight of its data, its live width, h(−1)."""
State = tuple[
    Integers, Floats, Floats, Floats, Floats, Floats, Floats, Integers, Floats, Floats, Floats, Floats
]
ROUNDS = 40
LOOSE = 1e-8
"""Part of the mean density by which it may be negative between the points of a fit."""


@jit
def allocate_channels(channels: int, terms: int, grid: int, events: int) -> State:
    """Return the arrays of a window with up to so many of everything."""
    rows = tiled(terms + 1)
    return (
        np.zeros((channels, 5), np.int64),
        np.zeros((channels, rows, grid)),
        np.zeros((channels, 7, grid)),
        np.zeros((channels, grid)),
        np.zeros((channels, rows, events)),
        np.zeros((channels, rows, grid + events)),
        np.zeros((channels, 7, grid + events)),
        np.zeros((channels, grid), np.int64),
        np.zeros((channels, 5, rows)),
        np.zeros((channels, rows)),
        np.zeros((channels, rows, rows)),
        np.zeros((channels, 6)),
    )


@jit
def begin_channel(state: State, c: int) -> None:
    """Start a channel, whose sizes, grid, events and integrals are set, from a flat background."""
    sizes, _, _, _, _, _, _, active, coefficients, integrals, _, numbers = state
    grid, extra = sizes[c, GRID], sizes[c, GRID] - sizes[c, CELLS]
    sizes[c, ACTIVE] = extra
    for i in range(extra):
        active[c, i] = grid - extra + i
    numbers[c, TOTAL] = sizes[c, EVENTS]
    numbers[c, DOWN] = math.nan
    coefficients[c] = 0.0
    coefficients[c, THETA, 0] = sizes[c, EVENTS] / integrals[c, 0]
    gather(state, c)


@jit
def gather(state: State, c: int) -> None:
    """Put the chosen points of the grid, and the events after them, into the arrays of the fit."""
    sizes, grids, _, _, events, works, points, active, _, _, _, _ = state
    rows, m, n = tiled(sizes[c, TERMS] + 1), sizes[c, ACTIVE], sizes[c, EVENTS]
    grid = cut(grids[c][:rows], sizes[c, GRID])
    own, work, point = cut(events[c][:rows], n), cut(works[c][:rows], m + n), cut(points[c], m + n)
    for j in range(rows):
        for k in range(m):
            work[j, k] = grid[j, active[c, k]]
        for i in range(n):
            work[j, m + i] = own[j, i]
    point[WEIGHT, :m] = 0.0
    point[WEIGHT, m:] = 1.0


@jit
def profile_channel(state: State, c: int, signal_yield: float) -> int:
    """Fit the background of a channel at a yield, set VALUE, SLOPE and CURVE, and return the status."""
    sizes, _, _, _, _, _, _, _, coefficients, integrals, _, numbers = state
    terms, theta, own = sizes[c, TERMS], coefficients[c], numbers[c]
    if own[TOTAL] > 0.0:
        distance = signal_yield - theta[THETA, terms]
        for i in range(terms):
            theta[THETA, i] += distance * theta[TANGENT, i]
        return _descend(state, c, signal_yield)
    status = OK
    if signal_yield < 0.0 and math.isnan(own[DOWN]):
        status = _descend(state, c, -1.0)
        own[DOWN] = own[VALUE]
    theta[THETA, :terms] = 0.0
    theta[THETA, terms] = signal_yield
    own[SLOPE] = integrals[c, terms] if signal_yield >= 0.0 else -own[DOWN]
    own[VALUE], own[CURVE] = signal_yield * own[SLOPE], 0.0
    return status


@jit
def _descend(state: State, c: int, signal_yield: float) -> int:
    """Fit at a yield with ever more points of the grid, until the density is negative nowhere."""
    sizes, _, _, _, _, works, points, _, coefficients, integrals, matrices, numbers = state
    terms, rows, n = sizes[c, TERMS], tiled(sizes[c, TERMS] + 1), sizes[c, EVENTS]
    coefficients[c, THETA, terms] = signal_yield
    own, matrix = integrals[c][:rows], matrices[c]
    for _ in range(ROUNDS):
        m = sizes[c, ACTIVE]
        work, point = cut(works[c][:rows], m + n), cut(points[c], m + n)
        outcome, _ = minimise_points(work, point, coefficients[c], own, matrix, terms)
        inside = outcome == CONVERGED
        cell = numbers[c, WIDTH] / m
        if (
            not inside
            and not minimise_points_on_boundary(work, point, coefficients[c], own, matrix, terms, cell)[0]
        ):
            return NOT_CONVERGED
        if m == sizes[c, GRID] or not _add_lowest(state, c, signal_yield):
            return _conclude(state, c, work, point, inside)
    return NOT_CONVERGED


@jit
def _add_lowest(state: State, c: int, signal_yield: float) -> bool:
    """Let the lowest point of every stretch of negative density join the fit; return whether there is one."""
    sizes, grids, places, _, _, _, _, active, coefficients, _, _, numbers = state
    rows, grid, cells = tiled(sizes[c, TERMS] + 1), sizes[c, GRID], sizes[c, CELLS]
    points = cut(places[c], grid)
    combine(cut(grids[c][:rows], grid), coefficients[c], THETA, points, EXPECTED)
    floor = -LOOSE * max(numbers[c, TOTAL], abs(signal_yield)) / numbers[c, WIDTH]
    before, lowest, at = sizes[c, ACTIVE], floor, -1
    for i in range(grid):
        expected = points[EXPECTED, i]
        if expected < lowest:
            lowest, at = expected, i
        if at >= 0 and (expected >= floor or i >= cells - 1):
            active[c, sizes[c, ACTIVE]] = at
            sizes[c, ACTIVE] += 1
            lowest, at = floor, -1
    if sizes[c, ACTIVE] == before:
        return False
    gather(state, c)
    return True


@lean
def _conclude(state: State, c: int, work: Floats, point: Floats, inside: bool) -> int:
    """Set value, slope, curvature and tangent of a fit; return the status."""
    sizes, _, _, _, _, _, _, _, coefficients, integrals, matrices, numbers = state
    terms, n, theta, matrix = sizes[c, TERMS], sizes[c, EVENTS], coefficients[c], matrices[c]
    for i in range(terms):
        theta[TANGENT, i] = -matrix[terms, i]
    solve(matrix, terms, theta, TANGENT, TANGENT)
    curve, slope, value = matrix[terms, terms], integrals[c, terms], 0.0
    for i in range(terms):
        curve += matrix[terms, i] * theta[TANGENT, i]
    for j in range(terms + 1):
        value += theta[THETA, j] * integrals[c, j]
    touching = 0
    zero = ZERO * sizes[c, CELLS] / numbers[c, WIDTH]
    for i in range(point.shape[1]):
        pull = point[WEIGHT, i] / point[EXPECTED, i] if inside else point[MULTIPLIER, i]
        slope -= work[terms, i] * pull
        touching += (point[WEIGHT, i] == 0.0) & (point[EXPECTED, i] < zero)
    numbers[c, VALUE] = value - sum_logs(point, EXPECTED, n)
    numbers[c, SLOPE], numbers[c, CURVE] = slope, max(curve, 0.0)
    return BOUNDARY if touching > 0 and not inside else OK
