"""Interior-point minimisation of a window with nuisances, for minima where empty bins touch zero.

An empty bin has a positivity bound ν ≥ 0 with a multiplier m. Its count is replaced by a target τ that
falls to nothing while mν follows it (primal-dual, Nocedal & Wright, Numerical Optimization, ch. 19):
its curvature n/ν² becomes m/ν; the rest is Newton's method with the same line search. Nuisances may bend the
bounds so much that steps get stuck: τ then rises, and falls only when the minimum for it is found. The
bound on a bin with statistical uncertainty is soft, since β gives way, and its curvature is that of
`scanner.kernels.constrained.bins`.
"""

import math

from scanner.kernels.algebra import Floats, combine
from scanner.kernels.constrained.arrays import (
    BASIS_ROWS,
    BETA,
    BINS,
    CERTAIN,
    COEFFICIENTS,
    CONSTANT,
    COUNTS,
    LINEAR,
    LINEAR_COEFFICIENTS,
    MATRIX,
    MIXTURE,
    MODE,
    MORE_CURVE,
    NUISANCES,
    OWNER,
    PURE,
    ROWS,
    SAMPLE_ROWS,
    SAMPLES,
    SCALE,
    SIZES,
    SPREAD,
    TERMS,
    UNCERTAIN_SLOPE,
    Window,
)
from scanner.kernels.constrained.basis import set_expected_step
from scanner.kernels.constrained.derivatives import differentiate
from scanner.kernels.constrained.model import evaluate, set_samples, set_weights
from scanner.kernels.constrained.newton import DECREMENT, newton_step, search
from scanner.kernels.lean import lean
from scanner.kernels.linear.interior import FRACTION, LAST_TARGET, PIVOT_ZERO, minimise_on_boundary
from scanner.kernels.linear.workspace import (
    CHANGE,
    CURVE,
    DATA,
    EXPECTED,
    MULTIPLIER,
    SLOPE,
    STEP,
    THETA,
)

ITERATIONS = 150
CENTRAL = 0.1
"""Counts that empty bins are given for a start, over the mean."""
STRAY = 1e8
"""How far a multiplier may stray from τ/ν."""
CENTRED = 10.0
"""Newton decrement squared, in units of τ, below which τ falls with care."""
STUCK = 0.05
"""Length of a step below which τ rises and from then on falls with care."""
DEAD = 1e-200


@lean
def centre(window: Window, free: int) -> bool:
    """Move the free coefficients to where every bin is positive, at the present nuisances.

    That is the fit of the linear problem with counts added in empty bins.
    """
    bins, linear, coefficients = window[BINS], window[LINEAR], window[LINEAR_COEFFICIENTS]
    nuisances, terms = window[SIZES][NUISANCES], window[SIZES][TERMS]
    keep_counts(bins)
    set_linear(window)
    mean = _mean(bins, COUNTS) + 0.1 * _mean(linear, terms + 1) + 1e-6
    for b in range(bins.shape[1]):
        bins[DATA, b] = max(bins[COUNTS, b], CENTRAL * mean) if _reached(linear, b) else 0.0
    coefficients[:] = 0.0
    coefficients[THETA, terms] = window[COEFFICIENTS][THETA, nuisances + terms]
    coefficients[THETA, terms + 1] = 1.0
    count = free - nuisances
    found = True
    if count > 0:
        found, _ = minimise_on_boundary(linear, bins, coefficients, window[MATRIX], count)
    for i in range(count):
        window[COEFFICIENTS][THETA, nuisances + i] = coefficients[THETA, i]
    restore_counts(bins)
    possible, _ = evaluate(window)
    return found and possible


@lean
def _mean(rows: Floats, row: int) -> float:
    total = 0.0
    for b in range(rows.shape[1]):
        total += rows[row, b]
    return float(total / rows.shape[1])


@lean
def _reached(linear: Floats, b: int) -> bool:
    for i in range(linear.shape[0]):  # noqa: SIM110  (numba compiles loops, not generators)
        if linear[i, b] != 0.0:
            return True
    return False


@lean
def set_linear(window: Window) -> None:
    """Set the templates at the present nuisances: background terms, signal, sum of the fixed samples."""
    linear, samples, owner, scale = window[LINEAR], window[SAMPLES], window[OWNER], window[SCALE]
    nuisances, terms = window[SIZES][NUISANCES], window[SIZES][TERMS]
    set_weights(window)
    set_samples(window)
    linear[:] = 0.0
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if owner[i] >= 0 or scale[CONSTANT, i] > 0.0:
            row = owner[i] - nuisances if owner[i] >= 0 else terms + 1
            for b in range(linear.shape[1]):
                linear[row, b] += samples[i, b]


@lean
def keep_counts(bins: Floats) -> None:
    """Keep the counts while targets take their place."""
    for b in range(bins.shape[1]):
        bins[COUNTS, b] = bins[DATA, b]


@lean
def restore_counts(bins: Floats) -> None:
    """Put the counts back."""
    for b in range(bins.shape[1]):
        bins[DATA, b] = bins[COUNTS, b]


@lean
def minimise_inside(window: Window, free: int) -> tuple[bool, float]:
    """Minimise over the first `free` parameters from the present ones, where every bin is positive.

    On return SLOPE holds 1 − m in the empty bins: dNLL/dν but for the pull of the bound.

    Returns
    -------
    converged : bool
    edm : upper bound of the distance from the minimal NLL
    """
    bins, pure = window[BINS], window[SIZES][MODE] == PURE
    keep_counts(bins)
    first, last = _first_target(bins)
    target, careful = first, False
    converged, edm = False, math.inf
    for _ in range(ITERATIONS):
        _aim(bins, target)
        evaluate(window)
        _bend(bins, pure)
        differentiate(window)
        decrement, definite = newton_step(window, free, PIVOT_ZERO)
        if not decrement >= 0.0:
            break
        _set_change(window, pure)
        primal, dual = _lengths(bins, target)
        _step_multipliers(bins, target, dual)
        length, _ = search(window, free, primal * 0.9999999, decrement)
        if length == 0.0:
            break
        _confine(bins, target)
        if target == last and decrement < DECREMENT and length > 0.9:
            converged, edm = definite, 0.5 * decrement + _gap(bins)
            break
        if length < STUCK:
            careful, target = True, min(first, target * 10.0)
        elif careful:
            target = max(last, target * 0.1) if length > 0.9 and decrement < CENTRED * target else target
        elif length > 0.9 and decrement < 1.0:
            target = max(last, target * (0.02 if decrement < 0.1 else 0.1))
        elif length > 0.5:
            target = max(last, target * 0.3)
    restore_counts(bins)
    _set_slopes(bins, pure, window[SIZES][MODE] == CERTAIN)
    return converged, edm


@lean
def _set_slopes(bins: Floats, pure: bool, certain: bool) -> None:
    for b in range(bins.shape[1]):
        if _is_bound(bins, b):
            slope = 1.0 - bins[MULTIPLIER, b]
            bins[SLOPE, b] = slope * bins[BETA, b] if pure else slope
            if not certain:
                bins[UNCERTAIN_SLOPE, b] = slope * bins[BETA, b]


@lean
def _set_change(window: Window, pure: bool) -> None:
    """Set CHANGE to the downward step of ν to first order."""
    bins = window[BINS]
    if window[SIZES][BASIS_ROWS] > 0:
        set_expected_step(window, CHANGE)
    else:
        combine(window[ROWS], window[COEFFICIENTS], STEP, bins, CHANGE)
    for b in range(bins.shape[1]):
        if bins[SPREAD, b] > 0.0:
            curve = bins[DATA, b] / bins[EXPECTED, b] ** 2
            if _is_bound(bins, b):
                curve = bins[MULTIPLIER, b] / bins[EXPECTED, b]
            change = bins[CHANGE, b] * (bins[MIXTURE, b] if pure else 1.0)
            bins[CHANGE, b] = change / (1.0 + bins[SPREAD, b] * curve)


@lean
def _is_bound(bins: Floats, b: int) -> bool:
    return bool(bins[MULTIPLIER, b] > 0.0)


@lean
def _first_target(bins: Floats) -> tuple[float, float]:
    """Set the multipliers of empty bins; return the first and the last target."""
    total = largest = 0.0
    for b in range(bins.shape[1]):
        total += max(bins[COUNTS, b], min(bins[EXPECTED, b], 1.0))
        largest = max(largest, bins[COUNTS, b])
    target = 0.1 * max(total / bins.shape[1], 1e-6)
    for b in range(bins.shape[1]):
        alive = bins[COUNTS, b] == 0.0 and bins[EXPECTED, b] > DEAD
        bins[MULTIPLIER, b] = target / bins[EXPECTED, b] if alive else 0.0
    return float(target), LAST_TARGET * max(largest, 100.0)


@lean
def _aim(bins: Floats, target: float) -> None:
    for b in range(bins.shape[1]):
        bins[DATA, b] = target if bins[MULTIPLIER, b] > 0.0 else bins[COUNTS, b]


@lean
def _bend(bins: Floats, pure: bool) -> None:
    """Set the curvature of bounded bins by m/ν in place of τ/ν²."""
    for b in range(bins.shape[1]):
        if _is_bound(bins, b):
            curve = bins[MULTIPLIER, b] / (bins[EXPECTED, b] + bins[SPREAD, b] * bins[MULTIPLIER, b])
            if pure:
                curve = curve * bins[MIXTURE, b] ** 2 + bins[MORE_CURVE, b]
            bins[CURVE, b] = curve


@lean
def _lengths(bins: Floats, target: float) -> tuple[float, float]:
    """Return how far the step and that of the multipliers may go; CHANGE is the downward step of ν."""
    primal = dual = 1.0
    for b in range(bins.shape[1]):
        expected, down = bins[EXPECTED, b], bins[CHANGE, b]
        if expected > DEAD and primal * down > FRACTION * expected:
            primal = FRACTION * expected / down
        if _is_bound(bins, b):
            relax = bins[MULTIPLIER, b] - (target + bins[MULTIPLIER, b] * down) / expected
            if dual * relax > FRACTION * bins[MULTIPLIER, b]:
                dual = FRACTION * bins[MULTIPLIER, b] / relax
    return primal, dual


@lean
def _step_multipliers(bins: Floats, target: float, dual: float) -> None:
    for b in range(bins.shape[1]):
        if _is_bound(bins, b):
            expected, m = bins[EXPECTED, b], bins[MULTIPLIER, b]
            bins[MULTIPLIER, b] = m + dual * ((target + m * bins[CHANGE, b]) / expected - m)


@lean
def _confine(bins: Floats, target: float) -> None:
    """Keep mν within a wide range of its target."""
    for b in range(bins.shape[1]):
        if _is_bound(bins, b):
            central = target / max(bins[EXPECTED, b], DEAD)
            bins[MULTIPLIER, b] = min(max(bins[MULTIPLIER, b], central / STRAY), central * STRAY)


@lean
def _gap(bins: Floats) -> float:
    total = 0.0
    for b in range(bins.shape[1]):
        if bins[MULTIPLIER, b] > 0.0:
            total += bins[DATA, b]
    return total
