"""Fits and asymptotic limits of windows whose channels share one signal, one window after the other.

Formulas are those of `scanner.kernels.unbinned.limits`. The Asimov data set of a channel is its density in
the fit without signal, at the middles of the grid's cells; global observables are the nuisances there.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.cls import CLOSE_LIMIT, CLOSE_ROOT, EVALUATIONS, log_cls
from scanner.kernels.linear.window import BOUNDARY, EMPTY, usable
from scanner.kernels.linear.workspace import THETA, cut, tiled
from scanner.kernels.special import normal_cdf, normal_quantile, normal_tail
from scanner.kernels.unbinned.channel import (
    ACTIVE,
    CELLS,
    CURVE,
    DOWN,
    EVENTS,
    GRID,
    SLOPE,
    TERMS,
    TOTAL,
    VALUE,
    WIDTH,
    State,
    allocate_channels,
    begin_channel,
)
from scanner.kernels.unbinned.densities import TABULATED, fill_templates
from scanner.kernels.unbinned.joint import (
    ALPHA,
    CENTRE,
    Model,
    allocate_model,
    minimise_joint,
    profile_joint,
    total_events,
)
from scanner.kernels.unbinned.likelihood import ZERO
from scanner.kernels.unbinned.limits import (
    CORE,
    EFFECTIVE_BACKGROUND,
    ERROR,
    EXPECTED_LIMITS,
    LOCAL_P,
    LOCAL_Z,
    OBSERVED,
    UNDER,
    UP,
    YIELD,
)
from scanner.kernels.unbinned.limits import (
    DOWN as LOWER_END,
)
from scanner.kernels.unbinned.pieces import is_live, measure_pieces, place_pieces
from scanner.kernels.unbinned.points import POSITION, WEIGHT
from scanner.kernels.unbinned.window import MASS, RESOLUTION

Given = tuple[
    Floats,
    Integers,
    Integers,
    Floats,
    Floats,
    Integers,
    Floats,
    Integers,
    Floats,
    Floats,
    Integers,
    Floats,
    Floats,
    Floats,
]
"""What is known of W windows of C channels: events (N,) of all channels; first and last (W, C); ends
(W, C, 2) and live pieces (W, C, L, 2), the rest NaN; signals (C,); parameters (W, C, P); terms (W, C);
integrals (W, C, K + 1) with the signal last; tables (K + 1, ΣP) and where in them a channel begins (W, C);
shares (W, C); effects (W, 4, J, C) and centres (W, J)."""

STRAIGHT = 1e-12
"""Curvature of the NLL, in units of the yield or of one event, below which it is a straight line."""


@jit
def allocate_window(given: Given) -> tuple[State, Model]:
    """Return the arrays of the largest window."""
    _, first, last, _, pieces, _, parameters, terms, _, _, _, shares, effects, _ = given
    grid = most = 1
    for w in range(first.shape[0]):
        for c in range(first.shape[1]):
            grid = max(grid, measure_pieces(pieces[w, c], parameters[w, c, RESOLUTION])[1])
            most = max(most, last[w, c] - first[w, c])
    largest = terms.max() if terms.size > 0 else 1
    channels = shares.shape[1]
    return allocate_channels(channels, largest, grid, most), allocate_model(channels, effects.shape[2])


@jit
def load_channels(given: Given, w: int, state: State, model: Model) -> None:
    """Set grids, events, integrals and signals of a window, and start its channels."""
    shares, effects, centres = given[11], given[12], given[13]
    model[0][:] = shares[w]
    model[1][:] = effects[w]
    model[2][:] = 0.0
    model[2][CENTRE] = centres[w]
    model[2][ALPHA] = centres[w]
    for c in range(shares.shape[1]):
        if shares[w, c] > 0.0:
            _load_grid(given, w, c, state)
            _load_events(given, w, c, state)
            begin_channel(state, c)


@jit
def _load_grid(given: Given, w: int, c: int, state: State) -> None:
    pieces, parameters = given[4], given[6]
    sizes, grids, places, widths = state[0], state[1], state[2], state[3]
    integrals, numbers = state[9], state[11]
    size, resolution = given[7][w, c], parameters[w, c, RESOLUTION]
    sizes[c, TERMS] = size
    sizes[c, CELLS], sizes[c, GRID] = measure_pieces(pieces[w, c], resolution)
    points = cut(places[c], sizes[c, GRID])
    place_pieces(points[POSITION], widths[c], pieces[w, c], resolution, parameters[w, c, MASS])
    templates = cut(grids[c][: tiled(size + 1)], sizes[c, GRID])
    _fill(given, w, c, templates, points[POSITION], 0)
    integrals[c] = 0.0
    integrals[c, :size] = given[8][w, c, :size]
    integrals[c, size] = given[8][w, c, -1]
    numbers[c, WIDTH] = widths[c, : sizes[c, CELLS]].sum()


@lean
def _fill(given: Given, w: int, c: int, templates: Floats, x: Floats, skip: int) -> None:
    """Set the templates at some points, `skip` places after the beginning of the table of a channel."""
    ends, signals, parameters, tables, starts = given[3], given[5], given[6], given[9], given[10]
    size = given[7][w, c]
    if signals[c] != TABULATED:
        fill_templates(templates, x, size, signals[c], parameters[w, c], ends[w, c, 0], ends[w, c, 1])
        return
    at = starts[w, c] + skip
    for j in range(templates.shape[0]):
        for i in range(x.size):
            templates[j, i] = tables[j, at + i] if j <= size else 0.0


@jit
def _load_events(given: Given, w: int, c: int, state: State) -> None:
    """Copy the events in the live pieces of a channel."""
    events, first, last, pieces = given[0], given[1], given[2], given[4]
    sizes, points = state[0], state[6]
    x = points[c].reshape(points[c].size)
    kept = 0
    for i in range(first[w, c], last[w, c]):
        if is_live(events[i], pieces[w, c]):
            x[kept] = events[i]
            kept += 1
    sizes[c, EVENTS] = kept
    templates = cut(state[4][c][: tiled(sizes[c, TERMS] + 1)], kept)
    _fill(given, w, c, templates, x[:kept], sizes[c, GRID])


@jit
def copy_for_asimov(state: State) -> State:
    """Return a second state on the same grid, whose fits are on all of it."""
    sizes, grids, places, widths, events, _, _, active, coefficients, integrals, matrices, numbers = state
    points = places.copy()
    return (
        sizes.copy(),
        grids,
        points,
        widths,
        events,
        grids,
        points,
        active,
        coefficients.copy(),
        integrals.copy(),
        matrices.copy(),
        numbers.copy(),
    )


@jit
def set_asimov(state: State, model: Model, asimov: State, copy: Model) -> None:
    """Make the Asimov data set of the present fit of `state`, with the signals that spurious events are."""
    copy[0][:] = model[0]
    copy[1][:] = model[1]
    copy[2][:] = model[2]
    copy[2][CENTRE] = model[2][ALPHA]
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            _set_channel(state, asimov, c)


@jit
def _set_channel(state: State, asimov: State, c: int) -> None:
    sizes, grids, _, widths, _, _, _, _, source, _, _, numbers = state
    own, points, coefficients, integrals, results = asimov[0], asimov[2], asimov[8], asimov[9], asimov[11]
    terms, grid, cells = sizes[c, TERMS], sizes[c, GRID], sizes[c, CELLS]
    templates, point = cut(grids[c][: tiled(terms + 1)], grid), cut(points[c], grid)
    own[c] = sizes[c]
    own[c, ACTIVE], own[c, EVENTS] = grid, 0
    coefficients[c] = 0.0
    coefficients[c, THETA] = source[c, THETA]
    integrals[c] = 0.0
    point[WEIGHT] = 0.0
    total = 0.0
    for i in range(cells):
        expected = 0.0
        for j in range(terms + 1):
            expected += source[c, THETA, j] * templates[j, i]
            integrals[c, j] += templates[j, i] * widths[c, i]
        weight = expected * widths[c, i]
        point[WEIGHT, i] = weight if weight > ZERO else 0.0
        total += point[WEIGHT, i]
    results[c] = numbers[c]
    results[c, TOTAL], results[c, DOWN] = total, math.nan


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
        terms, mass = sizes[c, TERMS], parameters[w, c, MASS]
        templates = cut(grids[c][: tiled(terms + 1)], sizes[c, GRID])
        points = cut(places[c], sizes[c, GRID])
        floor = 1.0 / state[11][c, WIDTH]
        for i in range(sizes[c, CELLS]):
            expected = 0.0
            for j in range(terms):
                expected += coefficients[c, THETA, j] * templates[j, i]
            if abs(points[POSITION, i] - mass) < CORE * parameters[w, c, RESOLUTION]:
                under += expected * widths[c, i]
            part = model[0][c] * templates[terms, i]
            information += part * part / max(expected, floor) * widths[c, i]
    result[UNDER] = under
    result[EFFECTIVE_BACKGROUND] = 1.0 / information if information > 0.0 else 0.0


@jit
def limit_joint_windows(
    given: Given,
    targets: Floats,
    log_alpha: float,
    rise: float,
    least: float,
    theta: Floats,
    null_theta: Floats,
    result: Floats,
    status: Flags,
) -> None:
    """Fit and limit every window on its own.

    targets (5,) of √q_A; theta and null_theta (W, C, K); result (W, COLUMNS) of
    `scanner.kernels.unbinned.limits`; status (W,). UP and DOWN are the ends of the interval where −2 ln λ is
    below `rise`, left out for 0, as are limits for log_alpha = 0, and where the effective background is
    below `least`.
    """
    state, model = allocate_window(given)
    asimov, copy = copy_for_asimov(state), allocate_model(model[0].size, model[2].shape[1])
    out = np.zeros(3)
    for w in range(status.size):
        theta[w] = null_theta[w] = result[w] = math.nan
        load_channels(given, w, state, model)
        if total_events(state, model) == 0.0:
            status[w] = EMPTY
            continue
        best, found = minimise_joint(state, model, True, out)
        status[w] = found
        if not usable(found):
            continue
        _copy_theta(state, model, theta[w])
        _measure(state, model, best, rise, found == BOUNDARY, out, result[w])
        found = profile_joint(state, model, 0.0, out)
        if not usable(found):
            status[w] = found
            continue
        null = out[VALUE]
        _copy_theta(state, model, null_theta[w])
        q = 2.0 * (null - result[w, OBSERVED])
        result[w, LOCAL_Z] = math.sqrt(q) if best > 0.0 and q > 0.0 else 0.0
        result[w, LOCAL_P] = normal_tail(result[w, LOCAL_Z])
        survey_background(given, w, state, model, result[w])
        lowest = min(null, result[w, OBSERVED]) if best > 0.0 else null
        result[w, OBSERVED] = math.nan
        if log_alpha < 0.0 and result[w, EFFECTIVE_BACKGROUND] >= least:
            set_asimov(state, model, asimov, copy)
            _limit(state, model, asimov, copy, targets, log_alpha, best, lowest, out, result[w])


@jit
def _copy_theta(state: State, model: Model, theta: Floats) -> None:
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            terms = state[0][c, TERMS]
            theta[c, :terms] = state[8][c, THETA, :terms]


@jit
def _scale(curve: float, best: float) -> float:
    """Return the error that a curvature gives; where it is rounding, the size of the yield."""
    size = max(abs(best), 1.0)
    return 1.0 / math.sqrt(curve) if curve * size * size > STRAIGHT else size


@jit
def _measure(
    state: State, model: Model, best: float, rise: float, on_boundary: bool, out: Floats, result: Floats
) -> None:
    """Set yield, error and interval from a free fit, and leave its NLL in OBSERVED for the time being."""
    lowest, curve = out[VALUE], out[CURVE]
    result[YIELD], result[OBSERVED] = best, lowest
    error = step = _scale(curve, best)
    if on_boundary or not curve * step * step > 0.5:
        error = crossing_joint(state, model, best, lowest, step, 1.0, out) - best
    result[ERROR] = error
    if rise > 0.0:
        step = error * math.sqrt(rise)
        result[UP] = crossing_joint(state, model, best, lowest, step, rise, out)
        result[LOWER_END] = crossing_joint(state, model, best, lowest, -step, rise, out)


@lean
def crossing_joint(
    state: State, model: Model, best: float, lowest: float, step: float, rise: float, out: Floats
) -> float:
    """Return the yield on the side of `step` from `best` where twice the NLL is `rise` above its least."""
    near, far, x = best, math.inf, best + step
    for _ in range(EVALUATIONS):
        if not usable(profile_joint(state, model, x, out)):
            break
        q = 2.0 * (out[VALUE] - lowest)
        near, far = (x, far) if q < rise else (near, x)
        point = x + (rise - q) / (2.0 * out[SLOPE])
        # Before the bracket is asked: of a straight NLL the second point is the first, to the bit.
        if abs(point - x) <= 1e-6 * abs(point - best):
            return float(point)
        if not ((point - near) * step > 0.0 and (math.isinf(far) or (far - point) * step > 0.0)):
            point = best + 2.0 * (x - best) if math.isinf(far) else 0.5 * (near + far)
            if abs(point - x) <= 1e-6 * abs(point - best):
                return float(point)
        x = point
    return math.nan


@jit
def _limit(
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
    sigma = _scale(out[CURVE], best)
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
