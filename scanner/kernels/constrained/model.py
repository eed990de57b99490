"""What a window with nuisances expects, and its derivatives by every parameter.

A sample is M_ib = Π_j g_ij(α_j) · [T_ib + Σ_j Δ_ijb(α_j)]; the window expects Σ_i f_i M_ib, where the
factor f_i is a free coefficient or 1. g is exponential beyond ±1 and a polynomial of sixth degree
between, Δ linear beyond ±1 and a polynomial between, both twice continuously differentiable
(HistFactory, CERN-OPEN-2012-016, section 4.1).
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, combine
from scanner.kernels.constrained.arrays import (
    BINS,
    COEFFICIENTS,
    CONSTANT,
    EFFECTS,
    FACTOR,
    FLAG,
    LOG_DOWN,
    LOG_UP,
    MIXED,
    MODE,
    NORM,
    NUISANCES,
    OWNER,
    PAIR_WEIGHTS,
    PAIRS,
    PRESENT,
    RATIOS,
    SAMPLES,
    SCALE,
    SHAPES,
    SIZES,
    TEMPLATES,
    UNCERTAIN,
    UNCERTAIN_FACTOR,
    WHOLE,
    Window,
)
from scanner.kernels.constrained.bins import set_bins
from scanner.kernels.linear.workspace import EXPECTED, THETA

ONLY_CERTAIN, ONLY_UNCERTAIN, ALL = 0.0, 1.0, 2.0


@jit
def evaluate(window: Window) -> tuple[bool, bool]:
    """Set samples, expectation and the terms of every bin from the present parameters.

    Returns
    -------
    possible : whether the NLL is finite and no bin is negative
    blocked : whether it is empty bins alone that are negative
    """
    bins, scale, samples = window[BINS], window[SCALE], window[SAMPLES]
    positive = set_samples(window)
    combine(samples, scale, FACTOR, bins, EXPECTED)
    mode = window[SIZES][MODE]
    if mode == MIXED:
        combine(samples, scale, UNCERTAIN_FACTOR, bins, UNCERTAIN)
    bad, negative = set_bins(bins, mode)
    return positive and bad == 0 and negative == 0, positive and bad == 0


@jit
def set_samples(window: Window) -> bool:
    """Set samples and factors from the present parameters; return whether normalisations are positive."""
    _set_factors(window)
    positive = _set_norms(window[EFFECTS], window[COEFFICIENTS], window[RATIOS], window[SCALE])
    _set_pair_weights(window)
    templates, samples, scale = window[TEMPLATES], window[SAMPLES], window[SCALE]
    for i in range(templates.shape[0]):
        norm = scale[NORM, i]
        for b in range(templates.shape[1]):
            samples[i, b] = norm * templates[i, b]
    pairs, weights = window[PAIRS], window[PAIR_WEIGHTS]
    for e in range(pairs.shape[0]):
        i = pairs[e, 1]
        if i >= 0:
            add_pair(
                samples, i, window[SHAPES], e, scale[NORM, i] * weights[e, 0], scale[NORM, i] * weights[e, 1]
            )
    return positive


@jit
def add_pair(rows: Floats, row: int, shapes: Floats, pair: int, up: float, down: float) -> None:
    """Add the changes of a template at ±1, times their weights, to a row."""
    if up == 0.0 and down == 0.0:
        return
    for b in range(rows.shape[1]):
        rows[row, b] += up * shapes[2 * pair, b] + down * shapes[2 * pair + 1, b]


@jit
def _set_factors(window: Window) -> None:
    scale, owner, coefficients = window[SCALE], window[OWNER], window[COEFFICIENTS]
    for i in range(owner.size):
        factor = coefficients[THETA, owner[i]] if owner[i] >= 0 else scale[CONSTANT, i]
        scale[FACTOR, i] = factor
        scale[UNCERTAIN_FACTOR, i] = factor * scale[FLAG, i]


@jit
def _set_norms(effects: Floats, coefficients: Floats, ratios: Floats, scale: Floats) -> bool:
    for i in range(scale.shape[1]):
        scale[NORM, i] = 1.0
    impossible = 0
    for j in range(effects.shape[0]):
        for i in range(effects.shape[1]):
            if effects[j, i, PRESENT] != 0.0:
                norm, first, second = norm_factor(effects[j, i], coefficients[THETA, j])
                scale[NORM, i] *= norm
                ratios[0, j, i] = first
                ratios[1, j, i] = second
                impossible += not norm > 0.0
    return impossible == 0


@jit
def norm_factor(effect: Floats, alpha: float) -> tuple[float, float, float]:
    """Return g, g′/g and g″/g."""
    if alpha >= 1.0:
        log = effect[LOG_UP]
        return math.exp(alpha * log), log, log * log
    if alpha <= -1.0:
        log = effect[LOG_DOWN]
        return math.exp(-alpha * log), -log, log * log
    value, first, second = 0.0, 0.0, 0.0
    for k in range(5, -1, -1):
        second = second * alpha + 2.0 * first
        first = first * alpha + value
        value = value * alpha + effect[k]
    # value·α is g − 1, so the derivatives follow by the product rule
    second = second * alpha + 2.0 * first
    first = first * alpha + value
    value = 1.0 + value * alpha
    return value, first / value, second / value


@jit
def _set_pair_weights(window: Window) -> None:
    pairs, weights, coefficients = window[PAIRS], window[PAIR_WEIGHTS], window[COEFFICIENTS]
    for e in range(pairs.shape[0]):
        x = coefficients[THETA, pairs[e, 0]]
        weights[e, 4] = weights[e, 5] = 0.0
        if x >= 1.0:
            weights[e, 0], weights[e, 1], weights[e, 2], weights[e, 3] = x, 0.0, 1.0, 0.0
        elif x <= -1.0:
            weights[e, 0], weights[e, 1], weights[e, 2], weights[e, 3] = 0.0, -x, 0.0, -1.0
        else:
            s = x * x
            even = s * (15.0 + s * (-10.0 + 3.0 * s)) / 16.0
            slope = x * (15.0 + s * (-20.0 + 9.0 * s)) / 8.0
            bend = (15.0 + s * (-60.0 + 45.0 * s)) / 8.0
            weights[e, 0], weights[e, 1] = even + 0.5 * x, even - 0.5 * x
            weights[e, 2], weights[e, 3] = slope + 0.5, slope - 0.5
            weights[e, 4], weights[e, 5] = bend, bend


@jit
def set_rows(window: Window, rows: Floats, kind: float) -> None:
    """Set the derivatives of the sum of all, of the uncertain or of the certain samples."""
    nuisances = window[SIZES][NUISANCES]
    samples, scale, owner, ratios = window[SAMPLES], window[SCALE], window[OWNER], window[RATIOS]
    rows[:nuisances] = 0.0
    if kind != ALL:
        rows[nuisances:] = 0.0
    for i in range(owner.size):
        if kind != ALL and scale[FLAG, i] != kind:
            continue
        if owner[i] >= 0:
            _put(rows, owner[i], samples, i, kind == ALL and i < window[SIZES][WHOLE])
        for j in range(nuisances):
            if ratios[0, j, i] != 0.0:
                _add(rows, j, samples, i, ratios[0, j, i] * scale[FACTOR, i])
    _add_shapes(window, rows, kind)


@jit
def _add(rows: Floats, row: int, samples: Floats, sample: int, weight: float) -> None:
    for b in range(rows.shape[1]):
        rows[row, b] += weight * samples[sample, b]


@jit
def _put(rows: Floats, row: int, samples: Floats, sample: int, first: bool) -> None:
    if first:
        for b in range(rows.shape[1]):
            rows[row, b] = samples[sample, b]
    else:
        _add(rows, row, samples, sample, 1.0)


@jit
def _add_shapes(window: Window, rows: Floats, kind: float) -> None:
    pairs, weights, scale = window[PAIRS], window[PAIR_WEIGHTS], window[SCALE]
    for e in range(pairs.shape[0]):
        j, i = pairs[e, 0], pairs[e, 1]
        if i >= 0 and (kind == ALL or scale[FLAG, i] == kind):
            size = scale[FACTOR, i] * scale[NORM, i]
            add_pair(rows, j, window[SHAPES], e, size * weights[e, 2], size * weights[e, 3])
