"""Toys of one window whose channels share one signal.

A toy's events stand at the middles of the grid's cells, of an eighth of the resolution, so that a toy needs
no density of its own: an event has the templates of its cell. What that loses of the resolution is a
thousandth of its square.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.linear.window import usable
from scanner.kernels.linear.workspace import THETA, cut, tiled
from scanner.kernels.toys.random import threefry, uniform
from scanner.kernels.unbinned.channel import (
    CELLS,
    EVENTS,
    GRID,
    ROWS,
    VALUE,
    State,
    allocate_channels,
    begin_channel,
)
from scanner.kernels.unbinned.joint import minimise_joint, profile_joint
from scanner.kernels.unbinned.signals import ALPHA, CENTRE, Model

Words = NDArray[np.uint64]

YIELD, LEAST, NULL = range(3)
"""Columns of the fits of toys: best yield, not below 0; the NLL there; that without signal."""


@jit
def expect_at(
    state: State, model: Model, signal_yield: float, free: bool, contents: Floats, out: Floats
) -> int:
    """Fit a loaded window at a yield, or at the best one from 0 on, and set what its cells (C, G) expect.

    `out` (5,) has value, slope and curvature of the NLL, and the yield last.
    """
    status = profile_joint(state, model, signal_yield, out)
    out[4] = signal_yield
    if free:
        out[4], status = minimise_joint(state, model, False, out)
    contents[:] = 0.0
    sizes, grids, widths, coefficients = state[0], state[1], state[3], state[8]
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            rows = sizes[c, ROWS]
            templates = cut(grids[c][: tiled(rows)], sizes[c, GRID])
            for i in range(sizes[c, CELLS]):
                for j in range(rows):
                    contents[c, i] += coefficients[c, THETA, j] * templates[j, i] * widths[c, i]
                contents[c, i] = max(contents[c, i], 0.0)
    return status


@jit
def copy_for_toys(state: State, events: int) -> State:
    """Return a second state on the same grid, for toys of at most so many events a channel."""
    sizes, grids, places = state[0], state[1], state[2]
    widths, integrals, numbers = state[3], state[9], state[11]
    held = state[12].shape[1]
    toy = allocate_channels(grids.shape[0], grids.shape[1] - held, held, grids.shape[2], events)
    toy[0][:] = sizes
    toy[1][:] = grids
    toy[2][:] = places
    toy[3][:] = widths
    toy[9][:] = integrals
    toy[11][:] = numbers
    return toy


@jit
def _throw_channel(
    toy: State,
    c: int,
    count: int,
    cumulative: Floats,
    logs: Floats,
    key: np.uint64,
    stream: np.uint64,
    number: int,
) -> float:
    """Put events where the expectation has them; return the sum of the logarithms there."""
    sizes, grids, events = toy[0], toy[1], toy[4]
    rows, cells = tiled(sizes[c, ROWS]), sizes[c, CELLS]
    count = min(count, events.shape[2])
    sizes[c, EVENTS] = count
    grid, own = cut(grids[c][:rows], sizes[c, GRID]), cut(events[c][:rows], count)
    total = 0.0
    for n in range(count):
        word, _ = threefry(np.uint64(n), np.uint64(number), key, stream + np.uint64(16 * (c + 1)))
        wanted = uniform(word) * cumulative[cells - 1]
        at = min(np.searchsorted(cumulative[:cells], wanted), cells - 1)
        for j in range(rows):
            own[j, n] = grid[j, at]
        total += logs[at]
    begin_channel(toy, c)
    return total


@jit
def throw_toy(
    toy: State,
    model: Model,
    counts: Floats,
    observables: Floats,
    cumulative: Floats,
    logs: Floats,
    key: np.uint64,
    stream: np.uint64,
    number: int,
) -> float:
    """Load a toy of so many events in each channel (C,); return the sum of the logarithms (C, G) there."""
    model[2][CENTRE] = observables
    model[2][ALPHA] = observables
    total = 0.0
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            count = int(counts[c])
            total += _throw_channel(toy, c, count, cumulative[c], logs[c], key, stream, number)
    return total


@jit
def test_joint_toys(
    toy: State,
    model: Model,
    counts: Floats,
    observables: Floats,
    cumulative: Floats,
    logs: Floats,
    key: np.uint64,
    stream: np.uint64,
    first: int,
    signal_yield: float,
    fits: Floats,
    q: Floats,
    ratios: Floats,
) -> None:
    """Throw toys first, first + 1, … and set q̃_μ (T,) at a yield, their fits (T, 3) where these are NaN.

    counts (T, C) of events; observables (T, J); cumulative expectation (C, G) and the logarithm (C, G) that
    `ratios` (T,) sum over the events.
    """
    out = np.zeros(3)
    for t in range(counts.shape[0]):
        ratios[t] = throw_toy(toy, model, counts[t], observables[t], cumulative, logs, key, stream, first + t)
        if math.isnan(fits[t, LEAST]):
            _fit_toy(toy, model, out, fits[t])
        if math.isnan(signal_yield):
            continue
        q[t] = 0.0 if fits[t, YIELD] >= signal_yield else math.nan
        if fits[t, YIELD] < signal_yield and usable(profile_joint(toy, model, signal_yield, out)):
            q[t] = max(2.0 * (out[VALUE] - fits[t, LEAST]), 0.0)


@jit
def _fit_toy(toy: State, model: Model, out: Floats, fit: Floats) -> None:
    status = profile_joint(toy, model, 0.0, out)
    fit[NULL] = out[VALUE] if usable(status) else math.nan
    best, status = minimise_joint(toy, model, False, out)
    fit[YIELD], fit[LEAST] = best, out[VALUE]
    if not usable(status):
        fit[:] = math.nan
