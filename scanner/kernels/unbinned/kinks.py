"""Nuisances at the kinks of a joint NLL, where spurious signals stand in channels without events.

The NLL of a channel without events is a straight line on either side of a signal of 0, rising away from it. A
spurious signal lets nuisances cross that kink, and often the NLL is least on it. So a step minimises the
quadratic model of the rest with the kinks as they are,

    min_δ  gᵀδ + ½ δᵀHδ + Σ_c φ_c(z_c + J_cᵀδ),        φ_c(z) = max of γ z over −DOWN ≤ γ ≤ I,

by ascending its dual in the γ one after the other; δ = −H⁻¹(g + Σ γ_c J_c) (a proximal Newton step: Lee, Sun,
Saunders, SIAM J. Optim. 24 (2014) 1420). The γ are the slopes of the NLL by the signals of these channels.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import OK, usable
from scanner.kernels.unbinned.channel import DOWN, KINK, TERMS, TOTAL, State, lift_signal
from scanner.kernels.unbinned.signals import GRADIENT, HIGH, LOW, STEP, Model

STIFF = 1e6
"""Curvature of the NLL by a signal that a kink holds at 0."""
SWEEPS = 200
SETTLED = 1e-12
"""Part of the slopes' range below which a change of them is none."""
WORK, ROW = 5, 6
"""Rows of the nuisances to solve with."""


@jit
def find_kinks(state: State, model: Model) -> tuple[int, int]:
    """Count the channels without events that a spurious signal stands in; set KINK and DOWN of these."""
    shares, effects = model[0], model[1]
    count = 0
    for c in range(shares.size):
        if not (shares[c] > 0.0 and state[11][c, TOTAL] == 0.0):
            continue
        added = 0
        for j in range(effects.shape[1]):
            added += (effects[LOW, j, c] != 0.0) | (effects[HIGH, j, c] != 0.0)
        if added > 0:
            status = lift_signal(state, c)
            if not usable(status):
                return count, status
            count += 1
            if math.isnan(state[11][c, KINK]):
                state[11][c, KINK] = 0.0
    return count, OK


@lean
def is_held(state: State, c: int) -> bool:
    """Tell whether a channel's kink holds its signal at 0."""
    slope, low, high = state[11][c, KINK], -state[11][c, DOWN], state[9][c, state[0][c, TERMS]]
    margin = 1e-6 * (high - low)
    return bool(slope > low + margin and slope < high - margin)


@lean
def step_with_kinks(state: State, model: Model) -> float:
    """Set the step of the nuisances, their matrix factorised, and the KINK of channels; return δᵀHδ."""
    shares, nuisances, matrix = model[0], model[2], model[3]
    size = nuisances.shape[1]
    for j in range(size):
        for c in range(shares.size):
            if shares[c] > 0.0 and not math.isnan(state[11][c, KINK]):
                nuisances[GRADIENT, j] += state[11][c, KINK] * model[4][j + 1, c, 0]
    for _ in range(SWEEPS):
        change = 0.0
        for c in range(shares.size):
            if shares[c] > 0.0 and not math.isnan(state[11][c, KINK]):
                change = max(change, _ascend(state, model, c))
        if change <= SETTLED:
            break
    return solve(matrix, size, nuisances, GRADIENT, STEP)


@lean
def _ascend(state: State, model: Model, c: int) -> float:
    """Move a slope γ to where the dual is largest, and the gradient with it; return the part it moved by."""
    nuisances, matrix, moves, wanted = model[2], model[3], model[4], model[7]
    size = nuisances.shape[1]
    for j in range(size):
        nuisances[WORK, j] = moves[j + 1, c, 0]
    curve = solve(matrix, size, nuisances, WORK, ROW)
    before, low, high = state[11][c, KINK], -state[11][c, DOWN], state[9][c, state[0][c, TERMS]]
    at = wanted[c, 0]
    for j in range(size):
        at -= nuisances[ROW, j] * nuisances[GRADIENT, j]
    after = high if at >= 0.0 else low
    if curve > 0.0:
        after = min(max(before + at / curve, low), high)
    state[11][c, KINK] = after
    for j in range(size):
        nuisances[GRADIENT, j] += (after - before) * moves[j + 1, c, 0]
    return float(abs(after - before) / (high - low))
