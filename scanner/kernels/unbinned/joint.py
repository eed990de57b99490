"""The joint NLL of the channels of a window as a function of the one signal yield, nuisances profiled.

It is Σ_c h_c(z_c) + ½ Σ_j (α_j − a_j)², h_c of `scanner.kernels.unbinned.channel`, z of
`scanner.kernels.unbinned.signals`. Newton's method takes the nuisances down; what makes kinks of it is in
`scanner.kernels.unbinned.kinks`.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Floats, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import BOUNDARY, OK, usable
from scanner.kernels.unbinned.channel import KINK, ROWS, TERMS, TOTAL, VALUE, State, profile_channel
from scanner.kernels.unbinned.kinks import STIFF, find_kinks, is_held, step_with_kinks
from scanner.kernels.unbinned.signals import (
    ALPHA,
    BEND,
    CENTRE,
    GRADIENT,
    HIGH,
    KEPT,
    LOGS,
    LOW,
    STEP,
    TURN,
    Model,
    added_events,
    set_held,
    set_turns,
)

SLOPE, CURVE = 1, 2
"""After VALUE, what is known of the NLL at a yield."""
ITERATIONS = 60
LAST = 1e-11
"""Newton decrement squared of the nuisances below which they are where the NLL is least."""
FARTHEST = 4.0
"""Largest step of a nuisance, in its standard deviations."""
MINIMUM = 1e-12
"""The same for the yield."""
SPECK = 1e-9
"""Yield below 0 at which the NLL is asked on which side of 0 it falls."""
ROUNDING = 1e-13
"""Part of the NLL by which it may rise in a step."""


@lean
def sum_channels(state: State, model: Model, signal_yield: float) -> tuple[float, int]:
    """Fit all channels at a yield and the present nuisances; return the joint NLL and the status."""
    shares, nuisances, wanted = model[0], model[2], model[7]
    status, total = OK, 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            set_held(model, c, signal_yield)
            found = profile_channel(state, c, wanted[c])
            if not usable(found):
                return math.inf, found
            status = max(status, found)
            total += state[11][c, VALUE]
    for j in range(nuisances.shape[1]):
        pull = nuisances[ALPHA, j] - nuisances[CENTRE, j]
        total += 0.5 * pull * pull
    return total, status


@lean
def set_newton(state: State, model: Model, signal_yield: float, whole: float) -> None:
    """Set gradient and Hessian by the nuisances, that of what is bent by them times `whole`.

    Kinks are no part of the gradient; where one holds the nuisances they are as stiff as can be.
    """
    shares, nuisances, matrix = model[0], model[2], model[3]
    for j in range(nuisances.shape[1]):
        nuisances[GRADIENT, j] = nuisances[ALPHA, j] - nuisances[CENTRE, j]
        for k in range(j + 1):
            matrix[j, k] = 1.0 if j == k else 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            _add_squares(state, model, c)
            _add_bends(state, model, c, signal_yield, whole)


@lean
def _add_squares(state: State, model: Model, c: int) -> None:
    nuisances, matrix, moves = model[2], model[3], model[4]
    slopes, curves = state[12], state[13]
    held, kink = state[0][c, ROWS] - state[0][c, TERMS], state[11][c, KINK]
    for j in range(nuisances.shape[1]):
        for h in range(held):
            slope = 0.0 if h == 0 and not math.isnan(kink) else slopes[c, h]
            nuisances[GRADIENT, j] += slope * moves[j + 1, c, h]
            turn = 0.0
            for g in range(held):
                turn += curves[c, h, g] * moves[j + 1, c, g]
            if turn != 0.0:
                for k in range(j + 1):
                    matrix[j, k] += turn * moves[k + 1, c, h]


@lean
def _add_bends(state: State, model: Model, c: int, signal_yield: float, whole: float) -> None:
    effects, nuisances, matrix = model[1], model[2], model[3]
    bends, known, turns = model[5], model[6], model[8]
    wanted, slopes = model[7], state[12]
    scale, total = set_turns(model, c, slopes[c])
    scale *= signal_yield * whole
    for j in range(nuisances.shape[1]):
        kj = effects[LOGS, j, c]
        more = added_events(effects[LOW, j, c], effects[HIGH, j, c], nuisances[ALPHA, j])[2]
        matrix[j, j] += scale * turns[BEND, j] + whole * slopes[c, 0] * more
        for k in range(j + 1):
            kk = effects[LOGS, k, c]
            matrix[j, k] += scale * (kj * kk * total + kj * turns[TURN, k] + kk * turns[TURN, j])
            for f in range(known.shape[2]):
                h = 1 + 2 * bends.size + f
                matrix[j, k] += whole * slopes[c, h] * wanted[c, h] * known[j, c, f] * known[k, c, f]


@lean
def _newton_step(state: State, model: Model, signal_yield: float, kinks: int) -> float:
    """Set the step of the nuisances; return the decrement squared."""
    nuisances, matrix = model[2], model[3]
    size = nuisances.shape[1]
    set_newton(state, model, signal_yield, 1.0)
    if not factorise(matrix, size, PIVOT_FLOOR):
        set_newton(state, model, signal_yield, 0.0)
        factorise(matrix, size, PIVOT_FLOOR)
    if kinks > 0:
        return step_with_kinks(state, model)
    return solve(matrix, size, nuisances, GRADIENT, STEP)


@jit
def profile_joint(state: State, model: Model, signal_yield: float, out: Floats) -> int:
    """Fit backgrounds and nuisances at a yield; set VALUE, SLOPE and CURVE of `out`, return the status."""
    nuisances = model[2]
    kinks, found = find_kinks(state, model)
    if not usable(found):
        return found
    value, status = sum_channels(state, model, signal_yield)
    if nuisances.shape[1] > 0:
        if not usable(status):
            nuisances[ALPHA] = nuisances[CENTRE]
            value, status = sum_channels(state, model, signal_yield)
        value, status = _fit_nuisances(state, model, signal_yield, value, status, kinks)
    out[VALUE] = value
    if usable(status):
        _set_slopes(state, model, signal_yield, kinks, out)
    return status


@jit
def _fit_nuisances(
    state: State, model: Model, signal_yield: float, value: float, status: int, kinks: int
) -> tuple[float, int]:
    nuisances = model[2]
    for _ in range(ITERATIONS):
        if not usable(status):
            break
        decrement = _newton_step(state, model, signal_yield, kinks)
        nuisances[KEPT] = nuisances[ALPHA]
        largest = 0.0
        for j in range(nuisances.shape[1]):
            largest = max(largest, abs(nuisances[STEP, j]))
        if decrement < LAST:
            if kinks > 0:  # the NLL falls by as much as the signal is off its kink, not by the square of it
                nuisances[ALPHA] -= nuisances[STEP]
                value, status = sum_channels(state, model, signal_yield)
            break
        length = 1.0 if largest < FARTHEST else FARTHEST / largest
        for _ in range(ITERATIONS):
            for j in range(nuisances.shape[1]):
                nuisances[ALPHA, j] = nuisances[KEPT, j] - length * nuisances[STEP, j]
            found, status = sum_channels(state, model, signal_yield)
            if usable(status) and found <= value + ROUNDING * max(abs(value), 1.0):
                break
            length *= 0.5
        value = found
    return value, status


@lean
def _set_slopes(state: State, model: Model, signal_yield: float, kinks: int, out: Floats) -> None:
    """Set slope and curvature by the yield, with the nuisances where they are."""
    shares, nuisances, matrix = model[0], model[2], model[3]
    size = nuisances.shape[1]
    if kinks > 0:
        for c in range(shares.size):
            if shares[c] > 0.0 and is_held(state, c):
                state[13][c, 0, 0] = STIFF
        set_newton(state, model, signal_yield, 1.0)
        factorise(matrix, size, PIVOT_FLOOR)
    out[SLOPE] = out[CURVE] = 0.0
    nuisances[GRADIENT] = 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            _add_slopes(state, model, c, out)
    if size > 0:
        out[CURVE] = max(out[CURVE] - solve(matrix, size, nuisances, GRADIENT, STEP), 0.0)


@lean
def _add_slopes(state: State, model: Model, c: int, out: Floats) -> None:
    """Add what a channel has of slope and curvature by the yield, and of those by yield and nuisances."""
    effects, nuisances, moves, turns = model[1], model[2], model[4], model[8]
    slopes, curves = state[12], state[13]
    if not math.isnan(state[11][c, KINK]):
        slopes[c, 0] = state[11][c, KINK]
    held = state[0][c, ROWS] - state[0][c, TERMS]
    scale, total = set_turns(model, c, slopes[c])
    out[SLOPE] += scale * total
    for h in range(held):
        turn = 0.0
        for g in range(held):
            turn += curves[c, h, g] * moves[0, c, g]
        out[CURVE] += turn * moves[0, c, h]
        for j in range(nuisances.shape[1]):
            nuisances[GRADIENT, j] += turn * moves[j + 1, c, h]
    for j in range(nuisances.shape[1]):
        nuisances[GRADIENT, j] += scale * (effects[LOGS, j, c] * total + turns[TURN, j])


@lean
def total_events(state: State, model: Model) -> float:
    """Return the weight of the data of all channels that take part."""
    total = 0.0
    for c in range(model[0].size):
        total += state[11][c, TOTAL] if model[0][c] > 0.0 else 0.0
    return total


@lean
def minimise_joint(state: State, model: Model, signed: bool, out: Floats) -> tuple[float, int]:
    """Find the best yield, not below 0 unless `signed`, and leave everything there.

    Where a channel without events lets the NLL rise steeply below 0 the best yield is often 0, with a slope
    on either side that rises away from it.
    """
    status = profile_joint(state, model, 0.0, out)
    if not usable(status) or _is_least(out):
        return 0.0, status
    low, high = 0.0, math.inf
    if out[SLOPE] > 0.0:
        if not signed:
            return 0.0, status
        below = profile_joint(state, model, -SPECK, out)
        if not usable(below) or out[SLOPE] <= 0.0:
            return 0.0, (max(profile_joint(state, model, 0.0, out), BOUNDARY) if usable(below) else below)
        low, high = -math.inf, 0.0
    return _search(state, model, low, high, out)


@lean
def _is_least(out: Floats) -> bool:
    return bool(out[SLOPE] * out[SLOPE] <= MINIMUM * out[CURVE])


@lean
def _search(state: State, model: Model, low: float, high: float, out: Floats) -> tuple[float, int]:
    """Find the root of the slope by Newton's method within a bracket; halve it where that is slow."""
    side = 1.0 if low == 0.0 else -1.0
    x = min(max(low, 0.0), high)
    slow, status = False, OK
    for _ in range(4 * ITERATIONS):
        point = x - out[SLOPE] / out[CURVE] if out[CURVE] > 0.0 else math.inf
        open_end = math.isinf(low) or math.isinf(high)
        if open_end and not abs(point) < 10.0 * max(abs(x), 1.0):
            point = 4.0 * x + side
        if not (low < point and point < high) or (slow and not open_end):
            point = 0.5 * (low + high) if not open_end else 4.0 * x + side
        before, x = out[SLOPE], point
        status = profile_joint(state, model, x, out)
        if not usable(status):
            return math.nan, status
        slow = abs(out[SLOPE]) > 0.5 * abs(before)
        if out[SLOPE] < 0.0:
            low = x
        else:
            high = x
        if _is_least(out) or high - low < 1e-10 * max(abs(x), 1e-3):
            break
    return x, status
