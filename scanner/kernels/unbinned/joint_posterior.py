"""The posterior of the yield of one window whose channels share one signal.

Backgrounds are profiled. Nuisances are integrated over at every yield, by importance sampling around the
place where the NLL is least, with the spread that its Hessian by the nuisances gives: what a kink takes off
that spread the weights know.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Floats, factorise
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import usable
from scanner.kernels.unbinned.channel import VALUE, State, begin_channel
from scanner.kernels.unbinned.joint import minimise_joint, profile_joint, set_newton, sum_channels
from scanner.kernels.unbinned.signals import ALPHA, KEPT, STEP, Model

RANGE = 18.0
"""Rise of the NLL beyond which a posterior is nothing; normal factors that vanish may end it soon after."""
ROOTS = 60


@lean
def _profile_anew(state: State, model: Model, signal_yield: float, out: Floats) -> int:
    """Fit at a yield, and once more from flat backgrounds where that fails from the last fit."""
    status = profile_joint(state, model, signal_yield, out)
    if not usable(status):
        _begin_anew(state, model)
        status = profile_joint(state, model, signal_yield, out)
    return status


@lean
def _begin_anew(state: State, model: Model) -> None:
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            begin_channel(state, c)


@jit
def posterior_range(state: State, model: Model, out: Floats) -> tuple[float, float]:
    """Return the yields between which the posterior is more than nothing; NaN where a fit fails."""
    best, status = minimise_joint(state, model, False, out)
    if not usable(status):
        return math.nan, math.nan
    lowest, step, high = out[VALUE], 1.0, math.nan
    for _ in range(ROOTS):
        if not usable(_profile_anew(state, model, best + step, out)):
            return math.nan, math.nan
        if out[VALUE] - lowest > RANGE:
            high = best + step
            break
        step *= 1.4
    if not (usable(_profile_anew(state, model, 0.0, out)) and out[VALUE] - lowest > RANGE):
        return 0.0, high
    low, near = 0.0, best
    for _ in range(ROOTS):
        middle = 0.5 * (low + near)
        if not usable(_profile_anew(state, model, middle, out)) or out[VALUE] - lowest <= RANGE:
            near = middle
            continue
        low = middle
        if out[VALUE] - lowest < 2.0 * RANGE:
            break
    return low, high


@jit
def marginal_logs(
    state: State, model: Model, roots: Floats, points: Floats, proposal: Floats, rows: Floats
) -> None:
    """Set the logarithm of the likelihood, integrated over nuisances, at yields (M,) given by their roots.

    points (R, N, J) of a proposal around 0 of unit spread and the logarithm of its density (R, N), up to a
    constant; rows (R, M). Points whose fit fails make it NaN.
    """
    out = rows[0, :3].copy()
    for m in range(roots.size):
        signal_yield = roots[m] * roots[m]
        if not usable(_profile_anew(state, model, signal_yield, out)):
            rows[:, m] = math.nan
            continue
        lowest, spread = out[VALUE], _set_spread(state, model, signal_yield)
        for r in range(points.shape[0]):
            total = 0.0
            for n in range(points.shape[1]):
                value = _value_at(state, model, signal_yield, points[r, n])
                total += math.exp(lowest - value - proposal[r, n])
            rows[r, m] = math.log(total) + spread - lowest


@lean
def _set_spread(state: State, model: Model, signal_yield: float) -> float:
    """Factorise the Hessian by the nuisances as it is beside kinks; return the logarithm of the volume."""
    nuisances, matrix = model[2], model[3]
    size = nuisances.shape[1]
    sum_channels(state, model, signal_yield)
    set_newton(state, model, signal_yield, 1.0)
    if not factorise(matrix, size, PIVOT_FLOOR):
        set_newton(state, model, signal_yield, 0.0)
        factorise(matrix, size, PIVOT_FLOOR)
    volume = 0.0
    for j in range(size):
        nuisances[KEPT, j] = nuisances[ALPHA, j]
        volume += math.log(matrix[j, j])
    return volume


@lean
def _value_at(state: State, model: Model, signal_yield: float, point: Floats) -> float:
    """Return the NLL at a point of the nuisances in units of the spread around where it is least."""
    nuisances, matrix = model[2], model[3]
    size = nuisances.shape[1]
    for i in range(size - 1, -1, -1):
        total = point[i]
        for k in range(i + 1, size):
            total -= matrix[k, i] * nuisances[STEP, k]
        nuisances[STEP, i] = total * matrix[i, i]
    for j in range(size):
        nuisances[ALPHA, j] = nuisances[KEPT, j] + nuisances[STEP, j]
    value, status = sum_channels(state, model, signal_yield)
    if not usable(status):
        _begin_anew(state, model)
        value, status = sum_channels(state, model, signal_yield)
    return value if usable(status) else math.nan
