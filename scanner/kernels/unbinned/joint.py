"""The joint NLL of the channels of a window as a function of the one signal yield, nuisances profiled.

The signal of channel c is

    s_c = s f_c exp(Σ_j α_j k_jc) (1 + Σ_j α_j b_jc) + Σ_j u_jc(α_j),

f its share, k the logarithms of log-normal factors, b relative changes of normal ones, u the events of
spurious signals, interpolated between their values at −1 and +1 as HistFactory's code 4p. The joint NLL is
Σ_c h_c(s_c) + ½ Σ_j (α_j − a_j)², h_c of `scanner.kernels.unbinned.channel`.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Floats, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import BOUNDARY, OK, usable
from scanner.kernels.unbinned.channel import CURVE, SLOPE, TOTAL, VALUE, State, profile_channel

Model = tuple[Floats, Floats, Floats, Floats, Floats]
"""Shares (C,); effects (4, J, C): k, b, u at −1 and at +1; nuisances (5, J): α, a, and rows to solve with;
matrix (J, J) and derivatives (J + 1, C) of the signals by the yield, then by the nuisances."""
LOGS, FACTORS, LOW, HIGH = range(4)
ALPHA, CENTRE, GRADIENT, STEP, KEPT = range(5)
ITERATIONS = 60
LAST = 1e-11
"""Newton decrement squared of the nuisances below which they are where the NLL is least."""
MINIMUM = 1e-12
"""The same for the yield."""
SPECK = 1e-9
"""Yield below 0 at which the NLL is asked on which side of 0 it falls."""


@jit
def allocate_model(channels: int, nuisances: int) -> Model:
    """Return the arrays of a window's signals."""
    return (
        np.zeros(channels),
        np.zeros((4, nuisances, channels)),
        np.zeros((5, nuisances)),
        np.zeros((nuisances, nuisances)),
        np.zeros((nuisances + 1, channels)),
    )


@jit
def added_events(low: float, high: float, x: float) -> tuple[float, float, float]:
    """Return what a nuisance adds, and the first two derivatives."""
    if x >= 1.0:
        return x * high, high, 0.0
    if x <= -1.0:
        return -x * low, -low, 0.0
    s = x * x
    even = s * (15.0 + s * (-10.0 + 3.0 * s)) / 16.0
    slope = x * (15.0 + s * (-20.0 + 9.0 * s)) / 8.0
    bend = (15.0 + s * (-60.0 + 45.0 * s)) / 8.0
    both, half = high + low, 0.5 * (high - low)
    return even * both + half * x, slope * both + half, bend * both


@lean
def _signal_of(model: Model, c: int, signal_yield: float) -> float:
    """Return the signal of a channel and set its derivatives."""
    shares, effects, nuisances, _, moves = model
    log, factor, added = 0.0, 1.0, 0.0
    for j in range(nuisances.shape[1]):
        alpha = nuisances[ALPHA, j]
        log += alpha * effects[LOGS, j, c]
        factor += alpha * effects[FACTORS, j, c]
    scale = shares[c] * math.exp(log)
    for j in range(nuisances.shape[1]):
        more, slope, _ = added_events(effects[LOW, j, c], effects[HIGH, j, c], nuisances[ALPHA, j])
        added += more
        turn = effects[LOGS, j, c] * factor + effects[FACTORS, j, c]
        moves[j + 1, c] = signal_yield * scale * turn + slope
    moves[0, c] = scale * factor
    return float(signal_yield * moves[0, c] + added)


@lean
def sum_channels(state: State, model: Model, signal_yield: float) -> tuple[float, int]:
    """Fit all channels at a yield and the present nuisances; return the joint NLL and the status."""
    shares, _, nuisances, _, _ = model
    status, total = OK, 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            found = profile_channel(state, c, _signal_of(model, c, signal_yield))
            if not usable(found):
                return math.inf, found
            status = max(status, found)
            total += state[11][c, VALUE]
    for j in range(nuisances.shape[1]):
        pull = nuisances[ALPHA, j] - nuisances[CENTRE, j]
        total += 0.5 * pull * pull
    return total, status


@lean
def _set_newton(state: State, model: Model, signal_yield: float, whole: float) -> None:
    """Set gradient and Hessian by the nuisances, that of signals bent by them times `whole`."""
    shares, effects, nuisances, matrix, moves = model
    numbers = state[11]
    for j in range(nuisances.shape[1]):
        nuisances[GRADIENT, j] = nuisances[ALPHA, j] - nuisances[CENTRE, j]
        for k in range(j + 1):
            matrix[j, k] = 1.0 if j == k else 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            slope, curve = numbers[c, SLOPE], numbers[c, CURVE]
            factor = 1.0
            for j in range(nuisances.shape[1]):
                factor += nuisances[ALPHA, j] * effects[FACTORS, j, c]
            scale = signal_yield * moves[0, c] / factor
            for j in range(nuisances.shape[1]):
                nuisances[GRADIENT, j] += slope * moves[j + 1, c]
                kj, bj = effects[LOGS, j, c], effects[FACTORS, j, c]
                for k in range(j + 1):
                    kk, bk = effects[LOGS, k, c], effects[FACTORS, k, c]
                    bend = scale * (kj * kk * factor + kj * bk + kk * bj)
                    if j == k:
                        bend += added_events(effects[LOW, j, c], effects[HIGH, j, c], nuisances[ALPHA, j])[2]
                    matrix[j, k] += curve * moves[j + 1, c] * moves[k + 1, c] + whole * slope * bend


@lean
def _newton_step(state: State, model: Model, signal_yield: float) -> float:
    """Set the step of the nuisances; return the decrement squared."""
    _, _, nuisances, matrix, _ = model
    size = nuisances.shape[1]
    _set_newton(state, model, signal_yield, 1.0)
    if not factorise(matrix, size, PIVOT_FLOOR):
        _set_newton(state, model, signal_yield, 0.0)
        factorise(matrix, size, PIVOT_FLOOR)
    return solve(matrix, size, nuisances, GRADIENT, STEP)


@jit
def profile_joint(state: State, model: Model, signal_yield: float, out: Floats) -> int:
    """Fit backgrounds and nuisances at a yield; set VALUE, SLOPE and CURVE of `out`, return the status."""
    _, _, nuisances, _, _ = model
    value, status = sum_channels(state, model, signal_yield)
    if nuisances.shape[1] > 0:
        if not usable(status):
            nuisances[ALPHA] = nuisances[CENTRE]
            value, status = sum_channels(state, model, signal_yield)
        value, status = _fit_nuisances(state, model, signal_yield, value, status)
    out[VALUE] = value
    if usable(status):
        _set_slopes(state, model, out)
    return status


@jit
def _fit_nuisances(
    state: State, model: Model, signal_yield: float, value: float, status: int
) -> tuple[float, int]:
    _, _, nuisances, _, _ = model
    size = nuisances.shape[1]
    for _ in range(ITERATIONS):
        if not usable(status):
            break
        decrement = _newton_step(state, model, signal_yield)
        if decrement < LAST:
            break
        nuisances[KEPT] = nuisances[ALPHA]
        length = 1.0
        for _ in range(ITERATIONS):
            for j in range(size):
                nuisances[ALPHA, j] = nuisances[KEPT, j] - length * nuisances[STEP, j]
            found, status = sum_channels(state, model, signal_yield)
            if usable(status) and found <= value + 1e-13 * abs(value):
                break
            length *= 0.5
        value = found
    return value, status


@lean
def _set_slopes(state: State, model: Model, out: Floats) -> None:
    """Set slope and curvature by the yield, with the nuisances where they are."""
    shares, effects, nuisances, matrix, moves = model
    numbers, size = state[11], nuisances.shape[1]
    out[SLOPE] = out[CURVE] = 0.0
    nuisances[GRADIENT] = 0.0
    for c in range(shares.size):
        if shares[c] > 0.0:
            rate, slope, curve = moves[0, c], numbers[c, SLOPE], numbers[c, CURVE]
            out[SLOPE] += rate * slope
            out[CURVE] += rate * rate * curve
            factor = 1.0
            for j in range(size):
                factor += nuisances[ALPHA, j] * effects[FACTORS, j, c]
            for j in range(size):
                turn = rate * (effects[LOGS, j, c] + effects[FACTORS, j, c] / factor)
                nuisances[GRADIENT, j] += curve * rate * moves[j + 1, c] + slope * turn
    if size > 0:
        out[CURVE] = max(out[CURVE] - solve(matrix, size, nuisances, GRADIENT, STEP), 0.0)


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
