"""Fits and asymptotic limits of windows whose channels share one signal, one window after the other.

Formulas are those of `scanner.kernels.unbinned.limits`.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.cls import EVALUATIONS
from scanner.kernels.linear.window import BOUNDARY, EMPTY, usable
from scanner.kernels.linear.workspace import THETA
from scanner.kernels.special import normal_tail
from scanner.kernels.unbinned.asimov import (
    copy_for_asimov,
    limit_from_asimov,
    scale_of,
    set_asimov,
    survey_background,
)
from scanner.kernels.unbinned.channel import TERMS, VALUE, State
from scanner.kernels.unbinned.joint import CURVE, SLOPE, minimise_joint, profile_joint, total_events
from scanner.kernels.unbinned.limits import (
    DOWN,
    EFFECTIVE_BACKGROUND,
    ERROR,
    LOCAL_P,
    LOCAL_Z,
    OBSERVED,
    UP,
    YIELD,
)
from scanner.kernels.unbinned.loading import Given, allocate_window, load_channels
from scanner.kernels.unbinned.signals import Model, allocate_model


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
    asimov = copy_for_asimov(state)
    copy = allocate_model(model[0].size, model[2].shape[1], model[5], model[6].shape[2])
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
            limit_from_asimov(state, model, asimov, copy, targets, log_alpha, best, lowest, out, result[w])


@jit
def _copy_theta(state: State, model: Model, theta: Floats) -> None:
    for c in range(model[0].size):
        if model[0][c] > 0.0:
            terms = state[0][c, TERMS]
            theta[c, :terms] = state[8][c, THETA, :terms]


@jit
def _measure(
    state: State, model: Model, best: float, rise: float, on_boundary: bool, out: Floats, result: Floats
) -> None:
    """Set yield, error and interval from a free fit, and leave its NLL in OBSERVED for the time being."""
    lowest, curve = out[VALUE], out[CURVE]
    result[YIELD], result[OBSERVED] = best, lowest
    error = step = scale_of(curve, best)
    if on_boundary or not curve * step * step > 0.5:
        error = crossing_joint(state, model, best, lowest, step, 1.0, out) - best
    result[ERROR] = error
    if rise > 0.0:
        step = error * math.sqrt(rise)
        result[UP] = crossing_joint(state, model, best, lowest, step, rise, out)
        result[DOWN] = crossing_joint(state, model, best, lowest, -step, rise, out)


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
