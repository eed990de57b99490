"""The arrays in which one window with constrained nuisances is fitted, allocated once a batch.

They are handed on as one tuple, a `Window`, whose members the first block of names below counts.
Samples stand in the order background terms, signal, fixed samples, parts; parameters in the order
nuisances, background coefficients, signal yield. With the yield last, the Cholesky factor of the
leading block serves the fits at fixed yield.

templates, samples (S, B)
    Nominal templates, and the samples at the present nuisances without their free factors.
shapes (2E, B)
    Changes of a template at +1 and −1 of each pair of nuisance and sample.
rows, more (P, B)
    Derivatives of the expectation by each parameter; `more` of the uncertain samples alone, where
    the others have to be told apart.
bins (19, B)
    The seven rows of `scanner.kernels.linear.workspace`, then those below.
effects (J, S, 9)
    Coefficients α … α⁶ of the normalisation inside ±1, logarithms at +1 and −1, and 1 if there is one.
ratios (2, J, S)
    g′/g and g″/g of the normalisations.
pair_weights (E, 6)
    Weights of the changes at +1 and −1 in the template, and their two derivatives.
scale (6, S)
    The rows NORM … CONSTANT below.
moments (2, J, S)
    Sums over bins of the slope times first and second derivative of a template by a nuisance.
linear (L, B), linear_coefficients (5, L), coefficients (8, P), matrix, spare
    Scratch of the same kinds as in `scanner.kernels.linear.workspace`.
pairs (E, 2), owner (S,), sizes (5,)
    Nuisance and sample of each pair; the parameter that is a sample's factor, or −1; the numbers
    NUISANCES … WHOLE below.
"""

import math
from typing import Any

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats, Integers
from scanner.kernels.linear.workspace import DATA

TEMPLATES, SAMPLES, SHAPES, ROWS, MORE, BINS, EFFECTS, RATIOS, PAIR_WEIGHTS = range(9)
SCALE, MOMENTS, LINEAR, LINEAR_COEFFICIENTS = range(9, 13)
COEFFICIENTS, MATRIX, SPARE, PAIRS, OWNER, SIZES = range(13, 19)

Window = tuple[Any, ...]
"""The arrays above; each has a type of its own, which numba sees and an index by name hides."""
Given = tuple[Any, ...]
"""counts, signal, background, terms, then the fields of `scanner.likelihoods.nuisances.Nuisances` in order:
norm, shape, shape_nuisance, shape_sample, fixed, observed, statistics, measured, uncertain, parts,
part_of."""

COUNTS, UNCERTAIN, CENTRE, VARIANCE, BETA, MIXTURE = range(7, 13)
"""Rows of bins: n while DATA holds a target, the sum A of the uncertain samples, the measured β and its
variance, β, its weight 2β − e in a Hessian row."""
PENALTY, MORE_SLOPE, MORE_CURVE, UNCERTAIN_SLOPE, SPREAD, BEFORE = range(13, 19)
"""The constraint's part of the NLL, the slope and the curvature of the rows `more`, dNLL/dA, the
variance h = δ²A² that β can take up, the expectation before a step."""
NORM, FACTOR, UNCERTAIN_FACTOR, FLAG, SUM, CONSTANT = range(6)
"""Rows of scale: the product of normalisations, the free factor, the same of uncertain samples alone, 1
for an uncertain sample, the sum of slope times sample, the factor of a sample without a parameter."""
OBSERVED, BASE, START = 5, 6, 7
"""Rows of coefficients beside those of `scanner.kernels.linear.workspace`: the measured values of the
nuisances, and the parameters before a step and before a fit."""
NUISANCES, TERMS, PARAMETERS, MODE, WHOLE = range(5)
CERTAIN, PURE, MIXED = range(3)
"""Whether no sample, every sample or some samples have statistical uncertainty."""
LOG_UP, LOG_DOWN, PRESENT = 6, 7, 8


@jit
def _padded(size: int) -> int:
    return (size + TILE - 1) // TILE * TILE


@jit
def allocate(given: Given) -> Window:
    """Return the arrays for windows of this batch."""
    counts, _, background, _, norm, shape, _, _, fixed, _, _, _, _, parts, _ = given
    bins, nuisances, pairs = counts.shape[1], norm.shape[1], shape.shape[1]
    terms = background.shape[1]
    samples = _padded(terms + 1 + fixed.shape[1] + parts.shape[1])
    parameters = _padded(nuisances + terms + 1)
    linear = _padded(terms + 2)
    square = max(parameters, linear)
    return (
        np.zeros((samples, bins)),
        np.zeros((samples, bins)),
        np.zeros((2 * pairs, bins)),
        np.zeros((parameters, bins)),
        np.zeros((parameters, bins)),
        np.zeros((19, bins)),
        np.zeros((nuisances, samples, 9)),
        np.zeros((2, nuisances, samples)),
        np.zeros((pairs, 6)),
        np.zeros((6, samples)),
        np.zeros((2, nuisances, samples)),
        np.zeros((linear, bins)),
        np.zeros((5, linear)),
        np.zeros((8, parameters)),
        np.zeros((square, square)),
        np.zeros((square, square)),
        np.zeros((pairs, 2), np.int64),
        np.zeros(samples, np.int64),
        np.zeros(5, np.int64),
    )


@jit
def load(window: Window, given: Given, w: int) -> bool:
    """Copy window `w`; return whether every bin with events can be reached by some sample."""
    _load_sizes(window, given, w)
    _load_templates(window, given, w)
    _load_norms(window, given, w)
    _load_shapes(window, given, w)
    _load_bins(window, given, w)
    return _is_possible(window)


@jit
def _place(sample: int, terms: int) -> int:
    """Return where a sample of `Nuisances` stands here: the signal comes after the background."""
    if sample == 0:
        return terms
    return sample - 1 if sample <= terms else sample


@jit
def _load_sizes(window: Window, given: Given, w: int) -> None:
    terms, most = given[3][w], given[2].shape[1]
    nuisances = given[4].shape[1]
    fixed, parts = given[8].shape[1], given[13].shape[1]
    uncertain, part_of = given[12], given[14]
    owner, sizes, scale = window[OWNER], window[SIZES], window[SCALE]
    sizes[NUISANCES], sizes[TERMS], sizes[PARAMETERS] = nuisances, terms, nuisances + terms + 1
    owner[:] = -1
    scale[:] = 0.0
    scale[NORM] = 1.0
    for k in range(terms):
        owner[k] = nuisances + k
    owner[most] = nuisances + terms
    for i in range(most + 1, most + 1 + fixed):
        scale[CONSTANT, i] = 1.0
    for d in range(parts):
        owner[most + 1 + fixed + d] = owner[_place(part_of[d], most)]
    for sample in range(uncertain.size):
        scale[FLAG, _place(sample, most)] = 1.0 if uncertain[sample] else 0.0
    sizes[WHOLE] = most + 1
    sizes[MODE] = _mode(given[10][w], owner, scale)


@jit
def _mode(statistics: Floats, owner: Integers, scale: Floats) -> int:
    if np.max(statistics) == 0.0:
        return CERTAIN
    certain = 0
    for i in range(owner.size):
        certain += (owner[i] >= 0 or scale[CONSTANT, i] > 0.0) and scale[FLAG, i] == 0.0
    return PURE if certain == 0 else MIXED


@jit
def _load_templates(window: Window, given: Given, w: int) -> None:
    templates, signal, background, fixed = window[TEMPLATES], given[1], given[2], given[8]
    parts, part_of = given[13], given[14]
    terms, most = window[SIZES][TERMS], background.shape[1]
    templates[:] = 0.0
    for b in range(signal.shape[1]):
        templates[most, b] = signal[w, b]
    for k in range(terms):
        for b in range(signal.shape[1]):
            templates[k, b] = background[w, k, b]
    for f in range(fixed.shape[1]):
        for b in range(signal.shape[1]):
            templates[most + 1 + f, b] = fixed[w, f, b]
    for d in range(parts.shape[1]):
        whole, part = _place(part_of[d], most), most + 1 + fixed.shape[1] + d
        for b in range(signal.shape[1]):
            if window[OWNER][whole] >= 0:
                templates[part, b] = parts[w, d, b]
                templates[whole, b] -= parts[w, d, b]


@jit
def _load_norms(window: Window, given: Given, w: int) -> None:
    effects, norm, most = window[EFFECTS], given[4], given[2].shape[1]
    effects[:] = 0.0
    window[RATIOS][:] = 0.0
    for j in range(norm.shape[1]):
        for sample in range(norm.shape[2]):
            down, up = norm[w, j, sample, 0], norm[w, j, sample, 1]
            if down != 0.0 or up != 0.0:
                _set_polynomial(effects[j, _place(sample, most)], down, up)


@jit
def _set_polynomial(effect: Floats, down: float, up: float) -> None:
    """Set g = 1 + Σ a_k α^k so that g, g′ and g″ are those of the exponentials at ±1.

    The even and the odd coefficients solve three equations each.
    """
    effect[LOG_UP], effect[LOG_DOWN], effect[PRESENT] = up, down, 1.0
    high, low = math.exp(up), math.exp(down)
    value_even, value_odd = 0.5 * (high + low) - 1.0, 0.5 * (high - low)
    slope_even, slope_odd = 0.5 * (high * up + low * down), 0.5 * (high * up - low * down)
    bend_even, bend_odd = 0.5 * (high * up**2 + low * down**2), 0.5 * (high * up**2 - low * down**2)
    effect[0] = (15.0 * value_odd - 7.0 * slope_odd + bend_odd) / 8.0
    effect[2] = (-10.0 * value_odd + 10.0 * slope_odd - 2.0 * bend_odd) / 8.0
    effect[4] = (3.0 * value_odd - 3.0 * slope_odd + bend_odd) / 8.0
    effect[1] = (24.0 * value_even - 9.0 * slope_even + bend_even) / 8.0
    effect[3] = (-24.0 * value_even + 14.0 * slope_even - 2.0 * bend_even) / 8.0
    effect[5] = (8.0 * value_even - 5.0 * slope_even + bend_even) / 8.0


@jit
def _load_shapes(window: Window, given: Given, w: int) -> None:
    shapes, pairs, shape = window[SHAPES], window[PAIRS], given[5]
    most = given[2].shape[1]
    for e in range(shape.shape[1]):
        sample = _place(given[7][e], most)
        used = window[OWNER][sample] >= 0 or window[SCALE][CONSTANT, sample] > 0.0
        pairs[e, 0], pairs[e, 1] = given[6][e], sample if used else -1
        for b in range(shape.shape[3]):
            shapes[2 * e, b] = shape[w, e, 1, b]
            shapes[2 * e + 1, b] = shape[w, e, 0, b]


@jit
def _load_bins(window: Window, given: Given, w: int) -> None:
    bins, coefficients = window[BINS], window[COEFFICIENTS]
    counts, observed, statistics, measured = given[0], given[9], given[10], given[11]
    bins[:] = 0.0
    coefficients[:] = 0.0
    for b in range(counts.shape[1]):
        bins[DATA, b] = counts[w, b]
        bins[VARIANCE, b] = statistics[w, b] * statistics[w, b]
        bins[CENTRE, b] = measured[w, b] if statistics[w, b] > 0.0 else 1.0
    for j in range(observed.shape[1]):
        coefficients[OBSERVED, j] = observed[w, j]


@jit
def is_live(window: Window, b: int) -> bool:
    """Return whether any sample, or any change of one, reaches a bin."""
    templates, shapes, pairs = window[TEMPLATES], window[SHAPES], window[PAIRS]
    for i in range(templates.shape[0]):
        if templates[i, b] != 0.0:
            return True
    for e in range(pairs.shape[0]):
        if pairs[e, 1] >= 0 and (shapes[2 * e, b] != 0.0 or shapes[2 * e + 1, b] != 0.0):
            return True
    return False


@jit
def _is_possible(window: Window) -> bool:
    bins, bad = window[BINS], 0
    for b in range(bins.shape[1]):
        bad += bins[DATA, b] > 0.0 and not is_live(window, b)
    return bad == 0


@jit
def live_bins(window: Window) -> int:
    """Return the number of bins that any sample reaches."""
    live = 0
    for b in range(window[BINS].shape[1]):
        live += is_live(window, b)
    return live
