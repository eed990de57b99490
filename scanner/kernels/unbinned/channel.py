"""One channel of a simultaneous unbinned fit: the least NLL over its background for any held coefficients.

Channels share nothing but the signal and the nuisances. What a channel expects is a sum of templates: its
background terms, whose coefficients are free, the signal, and rows that bend the signal or are peaks of a
known yield. The coefficients of the latter, z, are held: they follow from the yield and the nuisances. So the
joint NLL is the sum of the channels' own least values h(z), which are convex, with slopes and curvatures that
follow from the fit at z.

A fit sees the events and a few points of the grid where the density might turn negative. Where it does so
elsewhere, the lowest points of the grid join them and the fit is made again, until none is left: the
minimum is that of all constraints, and a fit of two events costs as much as its two events.

Without events the best background is none for a signal ≥ 0, and h is Σ z I. For a signal below 0 the
background has to lift the density up to zero, which is a linear programme; its value at −1, DOWN, is that of
the signal's nominal shape alone. So h has a kink at 0.

state, a tuple over C channels
    sizes (C, 6); templates of the grid (C, rows, G); its points (C, 7, G), and the widths of its cells
    (C, G); templates of the events (C, rows, N); templates and points in the fit (C, rows | 7, G + N) and
    which of the grid are among them (C, G); coefficients (C, 5, rows), integrals (C, rows), matrices
    (C, rows, rows) and numbers (C, 5); what follows from a fit by the H held coefficients: slopes of h
    (C, H), its curvatures (C, H, H), and moves of the coefficients (C, H, rows). Rows, G and N are those of
    the largest channel of a batch; a channel uses the first of them, as one block of memory.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, Integers, combine, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.newton import CONVERGED
from scanner.kernels.linear.window import BOUNDARY, NOT_CONVERGED, OK, usable
from scanner.kernels.linear.workspace import EXPECTED, MULTIPLIER, THETA, cut, tiled
from scanner.kernels.unbinned.interior import minimise_points_on_boundary
from scanner.kernels.unbinned.likelihood import ZERO, minimise_points
from scanner.kernels.unbinned.points import WEIGHT, sum_logs

GRID, CELLS, EVENTS, ACTIVE, TERMS, ROWS = range(6)
"""Points of the grid, those that are middles of cells, events, points of the grid in the fit, terms, and
terms with what is held."""
VALUE, TOTAL, WIDTH, DOWN, KINK = range(5)
"""Numbers of a channel: h of the last fit, weight of its data, its live width, h of a signal of −1, and the
slope of h by the signal at the kink there, NaN elsewhere."""
State = tuple[
    Integers,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Integers,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
    Floats,
]
ROUNDS = 40
LOOSE = 1e-8
"""Part of the mean density by which it may be negative between the points of a fit."""


@jit
def allocate_channels(channels: int, terms: int, held: int, grid: int, events: int) -> State:
    """Return the arrays of a window with up to so many of everything."""
    rows = tiled(terms + held)
    return (
        np.zeros((channels, 6), np.int64),
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
        np.zeros((channels, 5)),
        np.zeros((channels, held)),
        np.zeros((channels, held, held)),
        np.zeros((channels, held, rows)),
    )


@jit
def begin_channel(state: State, c: int) -> None:
    """Start a channel, whose sizes, grid, events and integrals are set, from a flat background."""
    sizes, active, coefficients = state[0], state[7], state[8]
    integrals, numbers, moves = state[9], state[11], state[14]
    grid, extra = sizes[c, GRID], sizes[c, GRID] - sizes[c, CELLS]
    sizes[c, ACTIVE] = extra
    for i in range(extra):
        active[c, i] = grid - extra + i
    numbers[c, TOTAL] = sizes[c, EVENTS]
    numbers[c, DOWN] = numbers[c, KINK] = math.nan
    coefficients[c] = 0.0
    moves[c] = 0.0
    coefficients[c, THETA, 0] = sizes[c, EVENTS] / integrals[c, 0]
    gather(state, c)


@jit
def gather(state: State, c: int) -> None:
    """Put the chosen points of the grid, and the events after them, into the arrays of the fit."""
    sizes, grids, events, works, points, active = state[0], state[1], state[4], state[5], state[6], state[7]
    rows, m, n = tiled(sizes[c, ROWS]), sizes[c, ACTIVE], sizes[c, EVENTS]
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
def profile_channel(state: State, c: int, wanted: Floats) -> int:
    """Fit the background of a channel at held coefficients (H,), set what follows, and return the status."""
    sizes, coefficients, moves = state[0], state[8], state[14]
    terms, held, theta = sizes[c, TERMS], sizes[c, ROWS] - sizes[c, TERMS], coefficients[c]
    if not state[11][c, TOTAL] > 0.0:
        return _profile_nothing(state, c, wanted)
    for h in range(held):
        distance = wanted[h] - theta[THETA, terms + h]
        if distance != 0.0:
            for i in range(terms):
                theta[THETA, i] += distance * moves[c, h, i]
        theta[THETA, terms + h] = wanted[h]
    status = _descend(state, c, wanted[0])
    if usable(status) and not math.isnan(state[11][c, VALUE]):
        return status
    # What a wild step left behind must not be where the next fit starts.
    theta[THETA] = 0.0
    theta[THETA, 0] = state[11][c, TOTAL] / state[9][c, 0]
    moves[c] = 0.0
    return NOT_CONVERGED


@jit
def _profile_nothing(state: State, c: int, wanted: Floats) -> int:
    """Do the same for a channel without events."""
    sizes, coefficients, integrals = state[0], state[8], state[9]
    numbers, slopes, moves = state[11], state[12], state[14]
    terms, theta, status = sizes[c, TERMS], coefficients[c], OK
    if wanted[0] < 0.0:
        status = lift_signal(state, c)
    state[13][c] = 0.0
    numbers[c, VALUE] = 0.0
    for h in range(sizes[c, ROWS] - terms):
        theta[THETA, terms + h] = wanted[h]
        slopes[c, h] = -numbers[c, DOWN] if h == 0 and wanted[0] < 0.0 else integrals[c, terms + h]
        numbers[c, VALUE] += wanted[h] * slopes[c, h]
    for i in range(terms):
        theta[THETA, i] = min(wanted[0], 0.0) * moves[c, 0, i]
    return status


@jit
def lift_signal(state: State, c: int) -> int:
    """Find the background that lifts a signal of −1 in a channel without events, and DOWN, once."""
    sizes, coefficients, numbers, moves = state[0], state[8], state[11], state[14]
    terms, theta = sizes[c, TERMS], coefficients[c]
    if not math.isnan(numbers[c, DOWN]):
        return OK
    for h in range(sizes[c, ROWS] - terms):
        theta[THETA, terms + h] = -1.0 if h == 0 else 0.0
    status = _descend(state, c, 1.0)
    numbers[c, DOWN] = numbers[c, VALUE]
    moves[c] = 0.0
    for i in range(terms):
        moves[c, 0, i] = -theta[THETA, i]
    return status


@jit
def _descend(state: State, c: int, size: float) -> int:
    """Fit with ever more points of the grid, until the density is negative nowhere; `size` of the signal."""
    sizes, works, points, coefficients = state[0], state[5], state[6], state[8]
    integrals, matrices, numbers = state[9], state[10], state[11]
    terms, rows, n = sizes[c, TERMS], tiled(sizes[c, ROWS]), sizes[c, EVENTS]
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
        if m == sizes[c, GRID] or not _add_lowest(state, c, size):
            return _conclude(state, c, work, point, inside)
    return NOT_CONVERGED


@jit
def _add_lowest(state: State, c: int, size: float) -> bool:
    """Let the lowest point of every stretch of negative density join the fit; return whether there is one."""
    sizes, grids, places = state[0], state[1], state[2]
    active, coefficients, numbers = state[7], state[8], state[11]
    rows, grid, cells = tiled(sizes[c, ROWS]), sizes[c, GRID], sizes[c, CELLS]
    points = cut(places[c], grid)
    combine(cut(grids[c][:rows], grid), coefficients[c], THETA, points, EXPECTED)
    floor = -LOOSE * max(numbers[c, TOTAL], abs(size)) / numbers[c, WIDTH]
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
    """Set value, slopes, curvatures and moves of a fit; return the status."""
    sizes, coefficients, integrals, numbers = state[0], state[8], state[9], state[11]
    rows, theta, value = sizes[c, ROWS], coefficients[c], 0.0
    for j in range(rows):
        value += theta[THETA, j] * integrals[c, j]
    touching = 0
    zero = ZERO * sizes[c, CELLS] / numbers[c, WIDTH]
    for i in range(point.shape[1]):
        touching += (point[WEIGHT, i] == 0.0) & (point[EXPECTED, i] < zero)
    numbers[c, VALUE] = value - sum_logs(point, EXPECTED, sizes[c, EVENTS])
    for h in range(rows - sizes[c, TERMS]):
        _derive_held(state, c, h, work, point, inside)
    return BOUNDARY if touching > 0 and not inside else OK


@lean
def _derive_held(state: State, c: int, h: int, work: Floats, point: Floats, inside: bool) -> None:
    """Set slope and curvatures of h(z) by one of the held coefficients, and how it moves the others."""
    integrals, matrix, slopes, curves, moves = state[9], state[10][c], state[12], state[13][c], state[14][c]
    terms = state[0][c, TERMS]
    row, slope = terms + h, integrals[c, terms + h]
    for i in range(point.shape[1]):
        pull = point[WEIGHT, i] / point[EXPECTED, i] if inside else point[MULTIPLIER, i]
        slope -= work[row, i] * pull
    slopes[c, h] = slope
    for i in range(terms):
        moves[h, i] = -matrix[row, i]
    solve(matrix, terms, moves, h, h)
    for g in range(h + 1):
        total = matrix[row, terms + g]
        for i in range(terms):
            total += matrix[row, i] * moves[g, i]
        curves[h, g] = curves[g, h] = max(total, 0.0) if g == h else total
