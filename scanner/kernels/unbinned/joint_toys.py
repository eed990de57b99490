"""Toys and posteriors of one window whose channels share one signal.

A toy's events stand at the middles of the grid's cells, of an eighth of the resolution, so that a toy needs
no density of its own: an event has the templates of its cell. What that loses of the resolution is a
thousandth of its square.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import usable
from scanner.kernels.linear.workspace import THETA, cut, tiled
from scanner.kernels.toys.random import threefry, uniform
from scanner.kernels.unbinned.channel import (
    CELLS,
    EVENTS,
    GRID,
    TERMS,
    VALUE,
    State,
    allocate_channels,
    begin_channel,
)
from scanner.kernels.unbinned.joint import ALPHA, CENTRE, Model, minimise_joint, profile_joint

Words = NDArray[np.uint64]

YIELD, LEAST, NULL = range(3)
"""Columns of the fits of toys: best yield, not below 0; the NLL there; that without signal."""
RANGE = 35.0
"""Rise of the NLL beyond which a posterior is nothing."""
PANELS = 24
ROOTS = 40


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
            terms = sizes[c, TERMS]
            templates = cut(grids[c][: tiled(terms + 1)], sizes[c, GRID])
            for i in range(sizes[c, CELLS]):
                for j in range(terms + 1):
                    contents[c, i] += coefficients[c, THETA, j] * templates[j, i] * widths[c, i]
                contents[c, i] = max(contents[c, i], 0.0)
    return status


@jit
def copy_for_toys(state: State, events: int) -> State:
    """Return a second state on the same grid, for toys of at most so many events a channel."""
    sizes, grids, places, widths, _, _, _, _, coefficients, integrals, _, numbers = state
    toy = allocate_channels(grids.shape[0], coefficients.shape[2] - 1, grids.shape[2], events)
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
    rows, cells = tiled(sizes[c, TERMS] + 1), sizes[c, CELLS]
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
        ratios[t] = 0.0
        model[2][CENTRE] = observables[t]
        model[2][ALPHA] = observables[t]
        for c in range(model[0].size):
            if model[0][c] > 0.0:
                count = int(counts[t, c])
                ratios[t] += _throw_channel(toy, c, count, cumulative[c], logs[c], key, stream, first + t)
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


@lean
def _profile_anew(state: State, model: Model, signal_yield: float, out: Floats) -> int:
    """Fit at a yield, and once more from flat backgrounds where that fails from the last fit."""
    status = profile_joint(state, model, signal_yield, out)
    if not usable(status):
        for c in range(model[0].size):
            if model[0][c] > 0.0:
                begin_channel(state, c)
        status = profile_joint(state, model, signal_yield, out)
    return status


@jit
def credible_limit(
    state: State, model: Model, level: float, power: float, nodes: Floats, weights: Floats
) -> float:
    """Return the upper limit of the posterior exp(−NLL) s^(power−1), background and nuisances profiled."""
    out = np.zeros(3)
    best, status = minimise_joint(state, model, False, out)
    if not usable(status):
        return math.nan
    lowest = out[VALUE]
    step = 1.0
    for _ in range(ROOTS):
        if not usable(_profile_anew(state, model, best + step, out)):
            return math.nan
        if out[VALUE] - lowest > RANGE:
            break
        step *= 1.4
    if not out[VALUE] - lowest > RANGE:
        return math.nan
    width = (best + step) ** power / PANELS
    masses = np.zeros(PANELS)
    for i in range(PANELS):
        masses[i] = _mass(state, model, i * width, (i + 1) * width, power, lowest, nodes, weights, out)
    return _quantile(state, model, level * masses.sum(), masses, width, power, lowest, nodes, weights, out)


@lean
def _mass(
    state: State,
    model: Model,
    low: float,
    high: float,
    power: float,
    lowest: float,
    nodes: Floats,
    weights: Floats,
    out: Floats,
) -> float:
    """Integrate the posterior over t = s^power from `low` to `high` by Gauss and Legendre's rule."""
    half, middle, total = 0.5 * (high - low), 0.5 * (high + low), 0.0
    for i in range(nodes.size):
        s = (middle + half * nodes[i]) ** (1.0 / power)
        if usable(_profile_anew(state, model, s, out)):
            total += half * weights[i] * math.exp(lowest - out[VALUE])
        else:
            total = math.nan
    return total


@jit
def _quantile(
    state: State,
    model: Model,
    wanted: float,
    masses: Floats,
    width: float,
    power: float,
    lowest: float,
    nodes: Floats,
    weights: Floats,
    out: Floats,
) -> float:
    """Return the yield below which the posterior has a mass, by false positions in its panel."""
    panel = 0
    while panel < PANELS - 1 and wanted > masses[panel]:
        wanted -= masses[panel]
        panel += 1
    low, high, below, above = panel * width, (panel + 1) * width, -wanted, masses[panel] - wanted
    start = low
    for _ in range(ROOTS):
        x = low - below * (high - low) / (above - below)
        miss = _mass(state, model, start, x, power, lowest, nodes, weights, out) - wanted
        if not abs(miss) > 1e-9 * masses.sum():
            return float(x ** (1.0 / power))
        if miss < 0.0:
            low, below, above = x, miss, 0.5 * above
        else:
            high, above, below = x, miss, 0.5 * below
    return math.nan


@jit
def credible_toys(
    toy: State,
    model: Model,
    counts: Floats,
    observables: Floats,
    cumulative: Floats,
    key: np.uint64,
    stream: np.uint64,
    level: float,
    power: float,
    nodes: Floats,
    weights: Floats,
    limits: Floats,
) -> None:
    """Set the limits (T,) of the first toys."""
    nothing = np.zeros(cumulative.shape[1])
    for t in range(limits.size):
        model[2][CENTRE] = observables[t]
        model[2][ALPHA] = observables[t]
        for c in range(model[0].size):
            if model[0][c] > 0.0:
                count = int(counts[t, c])
                _throw_channel(toy, c, count, cumulative[c], nothing, key, stream, t)
        limits[t] = credible_limit(toy, model, level, power, nodes, weights)
