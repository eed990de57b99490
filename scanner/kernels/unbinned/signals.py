"""The held coefficients of channels as functions of the signal yield and the nuisances.

The signal of channel c is s P_c [F_c S + Σ_m (α_m D_m + e(α_m) E_m)] + Σ_j u_jc(α_j) S, with

    P = f exp(Σ_j α_j k_j),        F = 1 + Σ_j α_j b_j,

f its share, k the logarithms of log-normal factors, b relative changes of normal ones, u the events of
spurious signals, and a nuisance m of the shape, whose signal is S + L at −1 and S + U at +1, D = (U − L)/2
and E = U + L. Both are interpolated as HistFactory's code 4p (CERN-OPEN-2012-016), and beyond ±1 as straight
lines. Peaks of a known yield have the factor exp(Σ_j α_j κ_j).

Held coefficients are those of S, of D and E for each m, and of the known peaks.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, Integers
from scanner.kernels.lean import lean

Model = tuple[Floats, Floats, Floats, Floats, Floats, Integers, Floats, Floats, Floats]
"""Shares (C,); effects (4, J, C): k, b, u at −1 and at +1; nuisances (7, J): α, a, and rows to solve with;
matrix (J, J); derivatives (J + 1, C, H) of the held coefficients by the yield, then by the nuisances; the
nuisance m of each bend (M,); κ (J, C, F); held coefficients (C, H); rows (2, J) to sum with."""
LOGS, FACTORS, LOW, HIGH = range(4)
ALPHA, CENTRE, GRADIENT, STEP, KEPT = range(5)
TURN, BEND = range(2)


@jit
def allocate_model(channels: int, nuisances: int, bends: Integers, known: int) -> Model:
    """Return the arrays of a window's signals."""
    held = 1 + 2 * bends.size + known
    return (
        np.zeros(channels),
        np.zeros((4, nuisances, channels)),
        np.zeros((7, nuisances)),
        np.zeros((nuisances, nuisances)),
        np.zeros((nuisances + 1, channels, held)),
        bends,
        np.zeros((nuisances, channels, known)),
        np.zeros((channels, held)),
        np.zeros((2, nuisances)),
    )


@jit
def even_part(x: float) -> tuple[float, float, float]:
    """Return e(α) of code 4p, |α|/2 beyond ±1, and its first two derivatives."""
    if x >= 1.0:
        return 0.5 * x, 0.5, 0.0
    if x <= -1.0:
        return -0.5 * x, -0.5, 0.0
    s = x * x
    even = s * (15.0 + s * (-10.0 + 3.0 * s)) / 16.0
    slope = x * (15.0 + s * (-20.0 + 9.0 * s)) / 8.0
    return even, slope, (15.0 + s * (-60.0 + 45.0 * s)) / 8.0


@jit
def added_events(low: float, high: float, x: float) -> tuple[float, float, float]:
    """Return what a nuisance adds, and the first two derivatives."""
    even, slope, bend = even_part(x)
    both, half = high + low, 0.5 * (high - low)
    return even * both + half * x, slope * both + half, bend * both


@lean
def set_held(model: Model, c: int, signal_yield: float) -> None:
    """Set the held coefficients of a channel and their derivatives."""
    shares, effects, nuisances, _, moves, bends, known, wanted, _ = model
    log, factor, added = 0.0, 1.0, 0.0
    size = nuisances.shape[1]
    for j in range(size):
        alpha = nuisances[ALPHA, j]
        log += alpha * effects[LOGS, j, c]
        factor += alpha * effects[FACTORS, j, c]
    scale = shares[c] * math.exp(log)
    moves[0, c, 0] = scale * factor
    for m in range(bends.size):
        alpha = nuisances[ALPHA, bends[m]]
        moves[0, c, 2 * m + 1], moves[0, c, 2 * m + 2] = scale * alpha, scale * even_part(alpha)[0]
    for j in range(size):
        more, slope, _ = added_events(effects[LOW, j, c], effects[HIGH, j, c], nuisances[ALPHA, j])
        added += more
        for h in range(2 * bends.size + 1):
            moves[j + 1, c, h] = signal_yield * effects[LOGS, j, c] * moves[0, c, h]
        moves[j + 1, c, 0] += signal_yield * scale * effects[FACTORS, j, c] + slope
    for m in range(bends.size):
        j = bends[m]
        moves[j + 1, c, 2 * m + 1] += signal_yield * scale
        moves[j + 1, c, 2 * m + 2] += signal_yield * scale * even_part(nuisances[ALPHA, j])[1]
    for h in range(2 * bends.size + 1):
        wanted[c, h] = signal_yield * moves[0, c, h]
    wanted[c, 0] += added
    for f in range(known.shape[2]):
        _set_known(model, c, f)


@lean
def _set_known(model: Model, c: int, f: int) -> None:
    """Set the coefficient of a known peak, and its derivatives."""
    _, _, nuisances, _, moves, bends, known, wanted, _ = model
    h, log = 1 + 2 * bends.size + f, 0.0
    for j in range(nuisances.shape[1]):
        log += nuisances[ALPHA, j] * known[j, c, f]
    wanted[c, h] = math.exp(log)
    moves[0, c, h] = 0.0
    for j in range(nuisances.shape[1]):
        moves[j + 1, c, h] = known[j, c, f] * wanted[c, h]


@lean
def set_turns(model: Model, c: int, slopes: Floats) -> tuple[float, float]:
    """Weigh second derivatives of a channel's coefficients by the slopes (H,) of its NLL.

    Returns P and A = Σ w g over the slopes g, of w the coefficients over s P; sets TURN ∂A/∂α and
    BEND ∂²A/∂α², (J,) each.
    """
    shares, effects, nuisances, _, _, bends, _, _, turns = model
    log, factor = 0.0, 1.0
    for j in range(nuisances.shape[1]):
        log += nuisances[ALPHA, j] * effects[LOGS, j, c]
        factor += nuisances[ALPHA, j] * effects[FACTORS, j, c]
        turns[TURN, j], turns[BEND, j] = slopes[0] * effects[FACTORS, j, c], 0.0
    total = slopes[0] * factor
    for m in range(bends.size):
        alpha, odd, even = nuisances[ALPHA, bends[m]], slopes[2 * m + 1], slopes[2 * m + 2]
        value, slope, bend = even_part(alpha)
        total += odd * alpha + even * value
        turns[TURN, bends[m]] += odd + even * slope
        turns[BEND, bends[m]] += even * bend
    return float(shares[c] * math.exp(log)), float(total)
