"""Loading and fitting unbinned windows one after the other."""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.newton import CONVERGED
from scanner.kernels.linear.window import EMPTY, SINGULAR, usable
from scanner.kernels.linear.workspace import EXPECTED, THETA, cut
from scanner.kernels.unbinned.densities import TABULATED, fill_templates
from scanner.kernels.unbinned.likelihood import descend_points, minimise_points, start_points
from scanner.kernels.unbinned.points import (
    EXTRA,
    POSITION,
    WEIGHT,
    allocate_points,
    cells_of,
    count_cells,
    place_grid,
    sum_logs,
)

MASS, RESOLUTION = 0, 1
"""First two columns of the parameters of a signal."""

Window = tuple[Floats, Floats, Floats, Floats, int, float]
"""Templates and points of grid and events, those of the grid alone, number and width of its cells."""


@jit
def load_window(
    x: Floats,
    terms: int,
    signal: int,
    parameters: Floats,
    low: float,
    high: float,
    tables: Floats,
    scratch: tuple[Floats, Floats, Floats, Floats],
) -> Window:
    """Set positions, weights and templates of one window in the scratch arrays.

    `tables` (terms + 1, at least P) holds the densities at the points, background first, where `signal` is
    TABULATED.
    """
    cells = cells_of(low, high, parameters[RESOLUTION])
    grid = cells + EXTRA
    templates, points = cut(scratch[0], grid + x.size), cut(scratch[1], grid + x.size)
    coarse_templates, coarse = cut(scratch[2], grid), cut(scratch[3], grid)
    place_grid(points[POSITION], cells, low, high, parameters[MASS])
    points[POSITION, grid:] = x
    points[WEIGHT, :grid] = 0.0
    points[WEIGHT, grid:] = 1.0
    if signal == TABULATED:
        templates[: terms + 1] = tables[:, : templates.shape[1]]
        templates[terms + 1 :] = 0.0
    else:
        fill_templates(templates, points[POSITION], terms, signal, parameters, low, high)
    coarse[POSITION] = points[POSITION, :grid]
    coarse_templates[:] = templates[:, :grid]
    count_cells(x, cells, low, high, coarse[WEIGHT])
    return templates, points, coarse_templates, coarse, cells, (high - low) / cells


@lean
def fit_loaded(
    window: Window, coefficients: Floats, integrals: Floats, matrix: Floats, terms: int, fixed: float
) -> tuple[int, float]:
    """Fit a window with no knowledge but the data, the yield held at `fixed` unless that is NaN."""
    templates, points, coarse_templates, coarse, _, cell = window
    if points.shape[1] == coarse.shape[1]:
        return EMPTY, math.inf
    free = terms + 1 if math.isnan(fixed) else terms
    if not start_points(coarse_templates, coarse, coefficients, matrix, free, cell):
        return SINGULAR, math.inf
    if free == terms:
        coefficients[THETA, terms] = fixed
    _refine_start(coarse_templates, coarse, coefficients, integrals, matrix, free)
    return descend_points(templates, points, coefficients, integrals, matrix, free, cell)


@jit
def _refine_start(
    templates: Floats, points: Floats, coefficients: Floats, integrals: Floats, matrix: Floats, free: int
) -> None:
    """Move θ to the minimum of the coarse data, or leave it where that is not found."""
    before = coefficients[THETA].copy()
    outcome, _ = minimise_points(templates, points, coefficients, integrals, matrix, free)
    if outcome != CONVERGED:
        coefficients[THETA] = before


@jit
def allocate_windows(
    first: Integers, last: Integers, low: Floats, high: Floats, resolution: Floats, terms: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return scratch for the largest of some windows."""
    most = grid = 0
    for w in range(first.size):
        here = cells_of(low[w], high[w], resolution[w]) + EXTRA
        grid = max(grid, here)
        most = max(most, here + last[w] - first[w])
    templates, points = allocate_points(terms + 1, most)
    coarse_templates, coarse = allocate_points(terms + 1, grid)
    return templates, points, coarse_templates, coarse


@jit
def fit_unbinned_windows(
    events: Floats,
    first: Integers,
    last: Integers,
    low: Floats,
    high: Floats,
    signal: int,
    parameters: Floats,
    terms: Integers,
    integrals: Floats,
    tables: Floats,
    fixed: Floats,
    theta: Floats,
    error: Floats,
    nll: Floats,
    edm: Floats,
    status: Flags,
) -> None:
    """Fit every window on its own; `fixed` holds the signal yields to fix, NaN where it is free.

    Shapes: events (N,) rising, first, last, low, high, terms, fixed, error, nll, edm, status (W,),
    parameters (W, any), integrals and theta (W, K+1) with the signal last, tables (K+1, ΣP) or empty.
    """
    scratch = allocate_windows(first, last, low, high, parameters[:, RESOLUTION], integrals.shape[1] - 1)
    rows = scratch[0].shape[0]
    coefficients, matrix, own = np.zeros((5, rows)), np.zeros((rows, rows)), np.zeros(rows)
    used = 0
    for w in range(first.size):
        size = terms[w]
        set_integrals(integrals[w], size, own)
        x = events[first[w] : last[w]]
        window = load_window(
            x, size, signal, parameters[w], low[w], high[w], tables[: size + 1, used:], scratch
        )
        used += window[0].shape[1]
        status[w], edm[w] = fit_loaded(window, coefficients, own, matrix, size, fixed[w])
        theta[w] = error[w] = nll[w] = math.nan
        if usable(status[w]):
            theta[w, :size] = coefficients[THETA, :size]
            theta[w, -1] = coefficients[THETA, size]
            error[w] = matrix[size, size] if math.isnan(fixed[w]) else 0.0
            nll[w] = _nll(window[1], coefficients, own, x.size)


@jit
def set_integrals(integrals: Floats, terms: int, out: Floats) -> None:
    """Put the integrals of a window's terms and signal where its templates are."""
    out[:] = 0.0
    out[:terms] = integrals[:terms]
    out[terms] = integrals[-1]


@lean
def _nll(points: Floats, coefficients: Floats, integrals: Floats, events: int) -> float:
    total = 0.0
    for j in range(integrals.size):
        total += coefficients[THETA, j] * integrals[j]
    return total - sum_logs(points, EXPECTED, events)
