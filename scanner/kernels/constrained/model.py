"""What a window with nuisances expects, and its derivatives by every parameter.

A sample is M_ib = Π_j g_ij(α_j) · [T_ib + Σ_j Δ_ijb(α_j)]; the window expects Σ_i f_i M_ib, where the
factor f_i is a free coefficient or 1. g is exponential beyond ±1 and a polynomial of sixth degree
between, Δ linear beyond ±1 and a polynomial between, both twice continuously differentiable
(HistFactory, CERN-OPEN-2012-016, section 4.1).
"""

import math

from scanner.kernels.algebra import Floats, combine
from scanner.kernels.constrained.arrays import (
    ACTING,
    ACTS,
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
    PAIR_ROWS,
    PAIR_WEIGHTS,
    PAIRS,
    PRESENT,
    RATIOS,
    SAMPLE_ROWS,
    SAMPLES,
    SCALE,
    SIZES,
    STATIC,
    TOTAL,
    UNCERTAIN,
    UNCERTAIN_PART,
    WEIGHTS,
    WHOLE,
    Window,
)
from scanner.kernels.constrained.bins import set_bins
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import EXPECTED, THETA

ONLY_CERTAIN, ONLY_UNCERTAIN, ALL = 0.0, 1.0, 2.0


@lean
def evaluate(window: Window) -> tuple[bool, bool]:
    """Set the expectation and the terms of every bin from the present parameters.

    Returns
    -------
    possible : whether the NLL is finite and no bin is negative
    blocked : whether it is empty bins alone that are negative
    """
    bins, static, weights = window[BINS], window[STATIC], window[WEIGHTS]
    positive = set_weights(window)
    combine(static, weights, TOTAL, bins, EXPECTED)
    mode = window[SIZES][MODE]
    if mode == MIXED:
        combine(static, weights, UNCERTAIN_PART, bins, UNCERTAIN)
    bad, negative = set_bins(bins, mode)
    return positive and bad == 0 and negative == 0, positive and bad == 0


@lean
def set_weights(window: Window) -> bool:
    """Set factors, normalisations and what each static row counts; return whether these are positive."""
    _set_factors(window)
    positive = _set_norms(window)
    _set_pair_weights(window)
    weights, scale = window[WEIGHTS], window[SCALE]
    first = window[SIZES][SAMPLE_ROWS]
    for i in range(first):
        weights[TOTAL, i] = scale[FACTOR, i] * scale[NORM, i]
        weights[UNCERTAIN_PART, i] = weights[TOTAL, i] * scale[FLAG, i]
    for e in range(window[SIZES][PAIR_ROWS]):
        i, up, down = window[PAIRS][e, 1], window[PAIR_WEIGHTS][e, 0], window[PAIR_WEIGHTS][e, 1]
        for row in (TOTAL, UNCERTAIN_PART):
            weights[row, first + 2 * e] = weights[row, i] * up
            weights[row, first + 2 * e + 1] = weights[row, i] * down
    return positive


@lean
def set_samples(window: Window) -> None:
    """Set the samples without their free factors, at the weights as they are."""
    static, samples, scale = window[STATIC], window[SAMPLES], window[SCALE]
    pairs, weights = window[PAIRS], window[PAIR_WEIGHTS]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        norm = scale[NORM, i]
        for b in range(static.shape[1]):
            samples[i, b] = norm * static[i, b]
    for e in range(window[SIZES][PAIR_ROWS]):
        i = pairs[e, 1]
        add_pair(window, samples, i, e, scale[NORM, i] * weights[e, 0], scale[NORM, i] * weights[e, 1])


@lean
def add_pair(window: Window, rows: Floats, row: int, pair: int, up: float, down: float) -> None:
    """Add the changes of a template at ±1, times their weights, to a row."""
    static, first = window[STATIC], window[SIZES][SAMPLE_ROWS] + 2 * pair
    for b in range(rows.shape[1]):
        rows[row, b] += up * static[first, b] + down * static[first + 1, b]


@lean
def _set_factors(window: Window) -> None:
    scale, owner, coefficients = window[SCALE], window[OWNER], window[COEFFICIENTS]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        scale[FACTOR, i] = coefficients[THETA, owner[i]] if owner[i] >= 0 else scale[CONSTANT, i]


@lean
def _set_norms(window: Window) -> bool:
    effects, ratios, scale, acts = window[EFFECTS], window[RATIOS], window[SCALE], window[ACTS]
    acting, coefficients, impossible = window[ACTING], window[COEFFICIENTS], 0
    for i in range(window[SIZES][SAMPLE_ROWS]):
        total = 1.0
        for a in range(acts[i]):
            ratios[0, i, a] = ratios[1, i, a] = 0.0
            if effects[i, a, PRESENT] > 0.0:
                norm, first, second = norm_factor(effects[i, a], coefficients[THETA, acting[i, a]])
                total *= norm
                ratios[0, i, a], ratios[1, i, a] = first, second
                impossible += not norm > 0.0
        scale[NORM, i] = total
    return impossible == 0


@lean
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


@lean
def _set_pair_weights(window: Window) -> None:
    pairs, weights, coefficients = window[PAIRS], window[PAIR_WEIGHTS], window[COEFFICIENTS]
    for e in range(window[SIZES][PAIR_ROWS]):
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


@lean
def set_rows(window: Window, rows: Floats, kind: float) -> None:
    """Set the derivatives of the sum of all, of the uncertain or of the certain samples."""
    nuisances, sizes = window[SIZES][NUISANCES], window[SIZES]
    samples, scale, owner, ratios = window[SAMPLES], window[SCALE], window[OWNER], window[RATIOS]
    set_samples(window)
    rows[:nuisances] = 0.0
    if kind != ALL:
        rows[nuisances:] = 0.0
    for i in range(sizes[SAMPLE_ROWS]):
        if kind != ALL and scale[FLAG, i] != kind:
            continue
        if owner[i] >= 0:
            _put(rows, owner[i], samples, i, kind == ALL and i < sizes[WHOLE])
        for a in range(window[ACTS][i]):
            if ratios[0, i, a] != 0.0:
                _add(rows, window[ACTING][i, a], samples, i, ratios[0, i, a] * scale[FACTOR, i])
    _add_shapes(window, rows, kind)


@lean
def _add(rows: Floats, row: int, samples: Floats, sample: int, weight: float) -> None:
    for b in range(rows.shape[1]):
        rows[row, b] += weight * samples[sample, b]


@lean
def _put(rows: Floats, row: int, samples: Floats, sample: int, first: bool) -> None:
    if first:
        for b in range(rows.shape[1]):
            rows[row, b] = samples[sample, b]
    else:
        _add(rows, row, samples, sample, 1.0)


@lean
def _add_shapes(window: Window, rows: Floats, kind: float) -> None:
    pairs, weights, scale = window[PAIRS], window[PAIR_WEIGHTS], window[SCALE]
    for e in range(window[SIZES][PAIR_ROWS]):
        j, i = pairs[e, 0], pairs[e, 1]
        if kind == ALL or scale[FLAG, i] == kind:
            size = scale[FACTOR, i] * scale[NORM, i]
            add_pair(window, rows, j, e, size * weights[e, 2], size * weights[e, 3])
