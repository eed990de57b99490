"""The Asimov data set of a joint fit, what is under the signal in it, and the limits that follow from it.

The Asimov data set of a channel is its density in the fit without signal, at the middles of the grid's cells;
global observables are the nuisances there.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.cls import CLOSE_LIMIT, CLOSE_ROOT, EVALUATIONS, log_cls
from scanner.kernels.linear.window import usable
from scanner.kernels.linear.workspace import THETA, cut, tiled
from scanner.kernels.special import normal_cdf, normal_quantile
from scanner.kernels.unbinned.channel import (
    ACTIVE,
    CELLS,
    DOWN,
    EVENTS,
    GRID,
    KINK,
    ROWS,
    TERMS,
    TOTAL,
    VALUE,
    WIDTH,
    State,
)
from scanner.kernels.unbinned.joint import CURVE, SLOPE, profile_joint
from scanner.kernels.unbinned.likelihood import ZERO
from scanner.kernels.unbinned.limits import CORE, EFFECTIVE_BACKGROUND, EXPECTED_LIMITS, OBSERVED, UNDER
from scanner.kernels.unbinned.loading import Given
from scanner.kernels.unbinned.points import POSITION, WEIGHT
from scanner.kernels.unbinned.signals import ALPHA, CENTRE, Model
from scanner.kernels.unbinned.window import MASS, RESOLUTION

STRAIGHT = 1e-12
"""Curvature of the NLL, in units of the yield or of one event, below which it is a straight line."""


@jit
def copy_for_asimov(state: State) -> State:
    """Return a second state on the same grid, whose fits are on all of it."""
    points = state[2].copy()
    return (
        state[0].copy(),
        state[1],
        points,
        state[3],
        state[4],
        state[1],
        points,
        state[7],
        state[8].copy(),
        state[9].copy(),
        state[10].copy(),
        state[11].copy(),
        state[12].copy(),
        state[13].copy(),
        state[14].copy(),
    )


@jit
def set_asimov(state: State, model: Model, asimov: State, copy: Model) -> None:
    """Make the Asimov data set of the present fit of `state`, whose global observables are its nuisances."""
    copy[0][:] = model[0]
    copy[1][:] = model[1]
    copy[2][:] = model[2]
    copy[6][:] = model[6]
    copy[2][CENTRE] = model[2][ALPHA]
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            _set_channel(state, asimov, c)


@jit
def _set_channel(state: State, asimov: State, c: int) -> None:
    sizes, grids, widths, source, numbers = state[0], state[1], state[3], state[8], state[11]
    own, points, coefficients, integrals, results = asimov[0], asimov[2], asimov[8], asimov[9], asimov[11]
    rows, grid, cells = sizes[c, ROWS], sizes[c, GRID], sizes[c, CELLS]
    templates, point = cut(grids[c][: tiled(rows)], grid), cut(points[c], grid)
    own[c] = sizes[c]
    own[c, ACTIVE], own[c, EVENTS] = grid, 0
    asimov[14][c] = 0.0
    coefficients[c] = 0.0
    coefficients[c, THETA] = source[c, THETA]
    integrals[c] = 0.0
    point[WEIGHT] = 0.0
    total = 0.0
    for i in range(cells):
        expected = 0.0
        for j in range(rows):
            expected += source[c, THETA, j] * templates[j, i]
            integrals[c, j] += templates[j, i] * widths[c, i]
        weight = expected * widths[c, i]
        point[WEIGHT, i] = weight if weight > ZERO else 0.0
        total += point[WEIGHT, i]
    results[c] = numbers[c]
    results[c, TOTAL] = total
    results[c, DOWN] = results[c, KINK] = math.nan


@jit
def survey_background(given: Given, w: int, state: State, model: Model, result: Floats) -> None:
    """Set the background in the cores and 1/Σ f² ∫(S²/ν) from the fit without signal.

    A background of less than an event in a window is not known to be that small: ν is taken as at least one
    over the width, so that a channel without events counts as what it may be.
    """
    parameters = given[6]
    sizes, grids, places, widths, coefficients = state[0], state[1], state[2], state[3], state[8]
    under = information = 0.0
    for c in range(model[0].size):
        if not model[0][c] > 0.0:
            continue
        terms, rows, mass = sizes[c, TERMS], sizes[c, ROWS], parameters[w, c, MASS]
        templates = cut(grids[c][: tiled(rows)], sizes[c, GRID])
        points = cut(places[c], sizes[c, GRID])
        floor = 1.0 / state[11][c, WIDTH]
        for i in range(sizes[c, CELLS]):
            expected = 0.0
            for j in range(rows):
                expected += coefficients[c, THETA, j] * templates[j, i]
            if abs(points[POSITION, i] - mass) < CORE * parameters[w, c, RESOLUTION]:
                under += expected * widths[c, i]
            part = model[0][c] * templates[terms, i]
            information += part * part / max(expected, floor) * widths[c, i]
    result[UNDER] = under
    result[EFFECTIVE_BACKGROUND] = 1.0 / information if information > 0.0 else 0.0


@jit
def scale_of(curve: float, best: float) -> float:
    """Return the error that a curvature gives; where it is rounding, the size of the yield."""
    size = max(abs(best), 1.0)
    return 1.0 / math.sqrt(curve) if curve * size * size > STRAIGHT else size


@jit
def limit_from_asimov(
    state: State,
    model: Model,
    asimov: State,
    copy: Model,
    targets: Floats,
    log_alpha: float,
    best: float,
    lowest: float,
    out: Floats,
    result: Floats,
) -> None:
    """Set the expected limits and the observed one."""
    if not usable(profile_joint(asimov, copy, 0.0, out)):
        return
    null = out[VALUE]
    sigma = scale_of(out[CURVE], best)
    for i in range(targets.size):
        limit = _expected_limit(asimov, copy, null, targets[i], sigma, out)
        result[EXPECTED_LIMITS + i] = limit
        sigma = limit / targets[i] if limit > 0.0 else sigma
    middle = targets.size // 2
    sigma = result[EXPECTED_LIMITS + middle] / targets[middle]
    beyond = max(math.exp(log_alpha) * normal_cdf(best / sigma), 1e-300)
    x = max(best - sigma * normal_quantile(beyond), 0.1 * sigma)
    low, high = max(best, 0.0), math.inf
    for _ in range(EVALUATIONS):
        if not usable(profile_joint(state, model, x, out)):
            break
        q, slope = 2.0 * (out[VALUE] - lowest), 2.0 * out[SLOPE]
        if not usable(profile_joint(asimov, copy, x, out)) or not out[VALUE] > null:
            break
        a = math.sqrt(2.0 * (out[VALUE] - null))
        value, value_slope = log_cls(q, slope, a, out[SLOPE] / a)
        value -= log_alpha
        low, high = (x, high) if value > 0.0 else (low, x)
        point = x - value / value_slope
        if not (low < point and point < high):
            point = 2.0 * x if high > 1e300 else 0.5 * (low + high)
        done = abs(point - x) <= CLOSE_LIMIT * x
        x = point
        if done:
            result[OBSERVED] = x
            break


@lean
def _expected_limit(
    asimov: State, copy: Model, null: float, target: float, sigma: float, out: Floats
) -> float:
    """Return the yield with √q_A = `target` by Newton's method (1007.1727, eqs. 30 and 89)."""
    low, high, x = 0.0, math.inf, target * sigma
    for _ in range(EVALUATIONS):
        if not usable(profile_joint(asimov, copy, x, out)) or not out[VALUE] > null:
            break
        root = math.sqrt(2.0 * (out[VALUE] - null))
        low, high = (x, high) if root < target else (low, x)
        point = x + (target - root) * root / out[SLOPE]
        if not (low < point and point < high):
            point = 2.0 * x if high > 1e300 else 0.5 * (low + high)
        x = point
        if abs(root - target) <= CLOSE_ROOT:
            return float(x)
    return math.nan
