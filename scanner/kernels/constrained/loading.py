"""One window of a batch, copied into the arrays of `scanner.kernels.constrained.arrays`."""

import math

from scanner.kernels.algebra import Floats, Integers
from scanner.kernels.constrained.arrays import (
    ACTING,
    ACTS,
    BENT,
    BINS,
    CENTRE,
    CERTAIN,
    COEFFICIENTS,
    CONSTANT,
    EFFECTS,
    FLAG,
    LOG_DOWN,
    LOG_UP,
    MIXED,
    MODE,
    NUISANCES,
    OBSERVED,
    OWNER,
    PAIR_ROWS,
    PAIRS,
    PARAMETERS,
    PRESENT,
    PURE,
    SAMPLE_ROWS,
    SCALE,
    SIZES,
    STATIC,
    TERMS,
    VARIANCE,
    WEIGHTS,
    WHOLE,
    Given,
    Window,
)
from scanner.kernels.constrained.basis import lay_out
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import DATA


@lean
def load(window: Window, given: Given, w: int) -> bool:
    """Copy window `w`; return whether every bin with events can be reached by some sample."""
    _load_sizes(window, given, w)
    _load_templates(window, given, w)
    _load_pairs(window, given, w)
    _load_effects(window, given, w)
    _load_bins(window, given, w)
    lay_out(window)
    return _is_possible(window)


@lean
def _place(sample: int, terms: int, most: int) -> int:
    """Return where a sample of `Nuisances` stands here, −1 for a background term out of use."""
    if sample == 0:
        return terms
    if sample > most:
        return sample + terms - most
    return sample - 1 if sample <= terms else -1


@lean
def _load_sizes(window: Window, given: Given, w: int) -> None:
    terms, most, nuisances = given[3][w], given[2].shape[1], given[4].shape[1]
    fixed, parts = given[8].shape[1], given[13].shape[1]
    uncertain, part_of = given[12], given[14]
    owner, sizes, scale = window[OWNER], window[SIZES], window[SCALE]
    sizes[NUISANCES], sizes[TERMS], sizes[PARAMETERS] = nuisances, terms, nuisances + terms + 1
    sizes[WHOLE], sizes[SAMPLE_ROWS] = terms + 1, terms + 1 + fixed + parts
    owner[:] = -1
    scale[:] = 0.0
    for k in range(terms + 1):
        owner[k] = nuisances + k
    for i in range(terms + 1, terms + 1 + fixed):
        scale[CONSTANT, i] = 1.0
    for d in range(parts):
        whole = _place(part_of[d], terms, most)
        owner[terms + 1 + fixed + d] = owner[whole] if whole >= 0 else -1
    for sample in range(uncertain.size):
        i = _place(sample, terms, most)
        if i >= 0:
            scale[FLAG, i] = 1.0 if uncertain[sample] else 0.0
    sizes[MODE] = _mode(given[10][w], owner, scale)


@lean
def _mode(statistics: Floats, owner: Integers, scale: Floats) -> int:
    largest = 0.0
    for b in range(statistics.size):
        largest = max(largest, statistics[b])
    if largest == 0.0:
        return CERTAIN
    certain = 0
    for i in range(owner.size):
        certain += (owner[i] >= 0 or scale[CONSTANT, i] > 0.0) and scale[FLAG, i] == 0.0
    return PURE if certain == 0 else MIXED


@lean
def _load_templates(window: Window, given: Given, w: int) -> None:
    static, signal, background, fixed = window[STATIC], given[1], given[2], given[8]
    parts, part_of = given[13], given[14]
    terms, first = window[SIZES][TERMS], window[SIZES][WHOLE] + given[8].shape[1]
    window[WEIGHTS][:] = 0.0
    for k in range(terms):
        _copy(static, k, background[w, k])
    _copy(static, terms, signal[w])
    for f in range(fixed.shape[1]):
        _copy(static, terms + 1 + f, fixed[w, f])
    for d in range(parts.shape[1]):
        whole = _place(part_of[d], terms, background.shape[1])
        _copy(static, first + d, parts[w, d])
        for b in range(static.shape[1]):
            if whole >= 0:
                static[whole, b] -= parts[w, d, b]
            else:
                static[first + d, b] = 0.0


@lean
def _copy(rows: Floats, row: int, source: Floats) -> None:
    for b in range(rows.shape[1]):
        rows[row, b] = source[b]


@lean
def _load_pairs(window: Window, given: Given, w: int) -> None:
    """Copy the changes of samples in use; what is left of `static` is zero."""
    static, pairs, scale, shape = window[STATIC], window[PAIRS], window[SCALE], given[5]
    terms, most, used = window[SIZES][TERMS], given[2].shape[1], 0
    for e in range(shape.shape[1]):
        i = _place(given[7][e], terms, most)
        if i >= 0 and (window[OWNER][i] >= 0 or scale[CONSTANT, i] > 0.0):
            pairs[used, 0], pairs[used, 1] = given[6][e], i
            scale[BENT, i] = 1.0
            row = window[SIZES][SAMPLE_ROWS] + 2 * used
            _copy(static, row, shape[w, e, 1])
            _copy(static, row + 1, shape[w, e, 0])
            used += 1
    window[SIZES][PAIR_ROWS] = used
    static[window[SIZES][SAMPLE_ROWS] + 2 * used :] = 0.0


@lean
def _load_effects(window: Window, given: Given, w: int) -> None:
    """List the nuisances that act on each sample, and set how they scale it."""
    acts, acting, effects, pairs = window[ACTS], window[ACTING], window[EFFECTS], window[PAIRS]
    norm, terms, most = given[4], window[SIZES][TERMS], given[2].shape[1]
    acts[:] = 0
    for sample in range(norm.shape[2]):
        i = _place(sample, terms, most)
        for j in range(norm.shape[1] if i >= 0 else 0):
            if norm[w, j, sample, 0] != 0.0 or norm[w, j, sample, 1] != 0.0:
                acting[i, acts[i]] = j
                acts[i] += 1
    for e in range(window[SIZES][PAIR_ROWS]):
        _insert(acts, acting, pairs[e, 1], pairs[e, 0])
    for e in range(window[SIZES][PAIR_ROWS]):
        pairs[e, 2] = _find(acts, acting, pairs[e, 1], pairs[e, 0])
    for sample in range(norm.shape[2]):
        i = _place(sample, terms, most)
        for a in range(acts[i] if i >= 0 else 0):
            j = acting[i, a]
            _set_polynomial(effects[i, a], norm[w, j, sample, 0], norm[w, j, sample, 1])


@lean
def _find(acts: Integers, acting: Integers, i: int, j: int) -> int:
    """Return where a nuisance stands, or would stand, among those that act on a sample."""
    a = 0
    while a < acts[i] and acting[i, a] < j:
        a += 1
    return a


@lean
def _insert(acts: Integers, acting: Integers, i: int, j: int) -> None:
    a = _find(acts, acting, i, j)
    if a < acts[i] and acting[i, a] == j:
        return
    for c in range(acts[i], a, -1):
        acting[i, c] = acting[i, c - 1]
    acting[i, a] = j
    acts[i] += 1


@lean
def _set_polynomial(effect: Floats, down: float, up: float) -> None:
    """Set g = 1 + Σ a_k α^k so that g, g′ and g″ are those of the exponentials at ±1.

    The even and the odd coefficients solve three equations each.
    """
    if down == 0.0 and up == 0.0:
        effect[:] = 0.0
        return
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


@lean
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


@lean
def _is_live(window: Window, b: int) -> bool:
    """Return whether any sample, or any change of one, reaches a bin."""
    static = window[STATIC]
    for v in range(static.shape[0]):  # noqa: SIM110  (numba compiles loops, not generators)
        if static[v, b] != 0.0:
            return True
    return False


@lean
def _is_possible(window: Window) -> bool:
    bins, bad = window[BINS], 0
    for b in range(bins.shape[1]):
        bad += bins[DATA, b] > 0.0 and not _is_live(window, b)
    return bad == 0


@lean
def live_bins(window: Window) -> int:
    """Return the number of bins that any sample reaches."""
    live = 0
    for b in range(window[BINS].shape[1]):
        live += _is_live(window, b)
    return live
