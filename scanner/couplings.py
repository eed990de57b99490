"""From a limit on the yield to excluded couplings, where the coupling sets both rate and lifetime.

A large coupling makes many particles, which decay too early to be seen; a small one makes few. What is
excluded is then an interval, an island, or several.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.errors import InputError

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Yields = Callable[[Indices, Array], Array]

BISECTIONS = 60
"""Halvings of a bracket; a step of the grid shrinks below the precision of a double."""


def excluded_intervals(
    expected: Yields,
    limit: ArrayLike,
    couplings: ArrayLike,
    intervals: int = 2,
) -> Array:
    """Return the intervals of the coupling where more events are expected than the limit allows.

    All roots of N(g) = N_UL are bracketed on a grid and found by bisection in ln g.

    Parameters
    ----------
    expected : callable
        Signal yields N ≥ 0 of windows, by index, at one coupling each: two arrays (N,) in, one out.
    limit : (W,) array_like
        Upper limits on the yield; NaN and infinite ones exclude nothing.
    couplings : (G,) array_like
        Rising grid on which roots are bracketed: two roots within one of its steps are not seen.
    intervals : int
        Largest number of intervals of a window.

    Returns
    -------
    (W, intervals, 2) float
        Lower and upper ends, in rising order; NaN where there is no further interval. An interval that
        reaches an end of the grid has that end of the grid.

    Raises
    ------
    InputError
        If the grid is not positive and rising, N is not finite, or a window has more intervals.
    """
    grid = np.asarray(couplings, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 2 or grid[0] <= 0.0 or not np.all(np.diff(grid) > 0.0):
        raise InputError("couplings must be a rising list of at least two positive numbers")
    bound = np.atleast_1d(np.asarray(limit, dtype=np.float64))
    windows = np.repeat(np.arange(bound.size), grid.size)
    above = _excluded(expected, bound, windows, np.tile(grid, bound.size)).reshape(bound.size, grid.size)
    padded = np.pad(above, ((0, 0), (1, 1)))
    starts, ends = above & ~padded[:, :-2], above & ~padded[:, 2:]
    most = int(starts.sum(axis=1).max(initial=0))
    if most > intervals:
        raise InputError(f"{most} intervals of the coupling are excluded in a window, room for {intervals}")
    found = np.full((bound.size, intervals, 2), np.nan)
    for side, (edges, step) in enumerate(((starts, -1), (ends, 1))):
        window, point = np.nonzero(edges)
        order = (np.cumsum(edges, axis=1) - 1)[window, point]
        outside = grid[np.clip(point + step, 0, grid.size - 1)]
        found[window, order, side] = _bisect(expected, bound, window, grid[point], outside)
    return found


def _excluded(expected: Yields, bound: Array, windows: Indices, couplings: Array) -> NDArray[np.bool_]:
    """Tell which windows are excluded at one coupling each."""
    events = np.asarray(expected(windows, couplings), dtype=np.float64)
    if events.shape != couplings.shape or not np.all(np.isfinite(events) & (events >= 0.0)):
        raise InputError("the expected yield must be finite and not negative at every coupling of the grid")
    return np.asarray(events > bound[windows])


def _bisect(expected: Yields, bound: Array, windows: Indices, inside: Array, outside: Array) -> Array:
    """Return the last excluded couplings between an excluded and an allowed one, for each window named."""
    within, beyond = np.log(inside), np.log(outside)
    for _ in range(BISECTIONS):
        middle = (within + beyond) / 2
        excluded = _excluded(expected, bound, windows, np.exp(middle))
        within, beyond = np.where(excluded, middle, within), np.where(excluded, beyond, middle)
    return np.asarray(np.exp(within))
