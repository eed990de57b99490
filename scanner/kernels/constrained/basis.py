"""The Hessian's sums over bins, by rows of which the derivatives of the expectation are sums.

A nuisance that only scales samples has a derivative that is a sum of samples, and so have the free
factors. With the samples (before normalisations) and one row for each nuisance that changes a template
as the basis, products need summing over bins for pairs of basis rows alone: for K terms, signal, F fixed
samples and J′ nuisances with shapes these are K + 1 + F + J′ rows for any number J of nuisances. The rest
is algebra of small matrices. Where that makes more rows than there are parameters, and where some
samples are uncertain and others are not, the derivatives are rows of their own
(`scanner.kernels.constrained.model.set_rows`).
"""

from scanner.kernels.algebra import TILE, Floats, Integers, combine, sum_diagonal_tile
from scanner.kernels.constrained.arrays import (
    ACTING,
    ACTS,
    BASIS,
    BASIS_ROWS,
    BENT,
    BINS,
    COEFFICIENTS,
    CONSTANT,
    EFFECTS,
    FACTOR,
    GRAM,
    HALF,
    MATRIX,
    MIXED,
    MODE,
    NORM,
    OWNER,
    PAIR_ROWS,
    PAIR_WEIGHTS,
    PAIRS,
    PARAMETERS,
    PLACE,
    PRESENT,
    RATIOS,
    SAMPLE_ROWS,
    SCALE,
    SIZES,
    SPANS,
    STATIC,
    TAKEN,
    USED,
    Window,
    padded,
)
from scanner.kernels.constrained.model import add_pair
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CURVE, STEP


@lean
def lay_out(window: Window) -> None:
    """Give samples and nuisances with shapes their rows of the basis, and list what each derivative takes."""
    sizes, place, owner, scale = window[SIZES], window[PLACE], window[OWNER], window[SCALE]
    used, pairs = window[USED], window[PAIRS]
    rows = 0
    used[:] = 0
    for i in range(sizes[SAMPLE_ROWS]):
        place[i] = -1
        if owner[i] >= 0 or scale[CONSTANT, i] > 0.0:
            place[i] = rows
            rows += 1
    for e in range(sizes[PAIR_ROWS]):
        j = pairs[e, 0]
        if used[j] == 0:
            _take(window, j, rows)
            window[SPANS][j, rows] = 1.0
            rows += 1
        pairs[e, 3] = window[TAKEN][j, 0]
    fits = sizes[MODE] != MIXED and padded(rows) <= padded(sizes[PARAMETERS])
    sizes[BASIS_ROWS] = rows if fits else 0
    if fits:
        _take_samples(window)
        _copy_samples(window, rows)


@lean
def _take(window: Window, parameter: int, row: int) -> None:
    used = window[USED]
    window[TAKEN][parameter, used[parameter]] = row
    used[parameter] += 1


@lean
def _take_samples(window: Window) -> None:
    owner, place, effects = window[OWNER], window[PLACE], window[EFFECTS]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if place[i] >= 0:
            for a in range(window[ACTS][i]):
                if effects[i, a, PRESENT] > 0.0:
                    _take(window, window[ACTING][i, a], place[i])
            if owner[i] >= 0:
                _take(window, owner[i], place[i])


@lean
def _copy_samples(window: Window, rows: int) -> None:
    basis, static, place = window[BASIS], window[STATIC], window[PLACE]
    basis[rows:] = 0.0
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if place[i] >= 0:
            for b in range(basis.shape[1]):
                basis[place[i], b] = static[i, b]


@lean
def sum_by_basis(window: Window) -> None:
    """Set `matrix` to Σ curve·ν′ν′ᵀ at the present parameters, ν′ the derivatives of the expectation."""
    _set_basis(window)
    rows = window[SIZES][BASIS_ROWS]
    sum_products(window[BASIS], rows, window[BINS], CURVE, window[GRAM])
    _mirror(window[GRAM], rows)
    _set_spans(window)
    size = window[SIZES][PARAMETERS]
    _halve(window[SPANS], window[TAKEN], window[USED], size, window[GRAM], window[HALF])
    _finish(window[SPANS], window[TAKEN], window[USED], size, window[HALF], window[MATRIX])


@lean
def _set_basis(window: Window) -> None:
    basis, static, pairs, weights = window[BASIS], window[STATIC], window[PAIRS], window[PAIR_WEIGHTS]
    scale, place = window[SCALE], window[PLACE]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if scale[BENT, i] > 0.0 and place[i] >= 0:
            for b in range(basis.shape[1]):
                basis[place[i], b] = static[i, b]
    for e in range(window[SIZES][PAIR_ROWS]):
        for b in range(basis.shape[1]):
            basis[pairs[e, 3], b] = 0.0
    for e in range(window[SIZES][PAIR_ROWS]):
        i = pairs[e, 1]
        size = scale[FACTOR, i] * scale[NORM, i]
        add_pair(window, basis, place[i], e, weights[e, 0], weights[e, 1])
        add_pair(window, basis, pairs[e, 3], e, size * weights[e, 2], size * weights[e, 3])


@lean
def _set_spans(window: Window) -> None:
    spans, owner, place, scale = window[SPANS], window[OWNER], window[PLACE], window[SCALE]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        m = place[i]
        if m >= 0:
            for a in range(window[ACTS][i]):
                ratio = window[RATIOS][0, i, a]
                spans[window[ACTING][i, a], m] = ratio * scale[FACTOR, i] * scale[NORM, i]
            if owner[i] >= 0:
                spans[owner[i], m] = scale[NORM, i]


@lean
def _halve(spans: Floats, taken: Integers, used: Integers, size: int, gram: Floats, half: Floats) -> None:
    """Set half = spans·gram, for the spans in use."""
    for p in range(size):
        for c in range(used[p]):
            m = taken[p, c]
            weight = spans[p, m]
            if c == 0:
                for k in range(gram.shape[1]):
                    half[p, k] = weight * gram[m, k]
            else:
                for k in range(gram.shape[1]):
                    half[p, k] += weight * gram[m, k]
        if used[p] == 0:
            half[p] = 0.0


@lean
def _finish(spans: Floats, taken: Integers, used: Integers, size: int, half: Floats, matrix: Floats) -> None:
    """Set the lower triangle of `matrix` to half·spansᵀ."""
    for q in range(size):
        for p in range(q, size):
            matrix[p, q] = 0.0
        for c in range(used[q]):
            m = taken[q, c]
            weight = spans[q, m]
            for p in range(q, size):
                matrix[p, q] += weight * half[p, m]


@lean
def _mirror(gram: Floats, rows: int) -> None:
    for i in range(padded(rows)):
        for k in range(i):
            gram[k, i] = gram[i, k]


@lean
def sum_products(rows: Floats, count: int, bins: Floats, curve: int, matrix: Floats) -> None:
    """Sum R_j·R_k·curve over bins into the lower triangle, for the tiles of the first `count` rows."""
    for j in range(0, count, TILE):
        sum_diagonal_tile(rows, j, bins, curve, matrix)
        for k in range(0, j, TILE):
            _sum_cross(rows, j, k, bins, curve, matrix)
            _sum_cross(rows, j + 2, k, bins, curve, matrix)


@lean
def _sum_cross(rows: Floats, j: int, k: int, bins: Floats, curve: int, matrix: Floats) -> None:
    """Sum two rows times the four of a tile: eight sums keep both multipliers of the processor at work."""
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
    for b in range(bins.shape[1]):
        first, second = rows[j, b] * bins[curve, b], rows[j + 1, b] * bins[curve, b]
        t0, t1, t2, t3 = rows[k, b], rows[k + 1, b], rows[k + 2, b], rows[k + 3, b]
        a0 += first * t0
        a1 += first * t1
        a2 += first * t2
        a3 += first * t3
        b0 += second * t0
        b1 += second * t1
        b2 += second * t2
        b3 += second * t3
    matrix[j, k], matrix[j, k + 1], matrix[j, k + 2], matrix[j, k + 3] = a0, a1, a2, a3
    matrix[j + 1, k], matrix[j + 1, k + 1], matrix[j + 1, k + 2], matrix[j + 1, k + 3] = b0, b1, b2, b3


@lean
def set_expected_step(window: Window, out: int) -> None:
    """Set row `out` of bins to what the row STEP of the coefficients changes in the expectation."""
    spans, taken, used, weights = window[SPANS], window[TAKEN], window[USED], window[HALF]
    weights[0] = 0.0
    for p in range(window[SIZES][PARAMETERS]):
        for c in range(used[p]):
            m = taken[p, c]
            weights[0, m] += spans[p, m] * window[COEFFICIENTS][STEP, p]
    combine(window[BASIS], weights, 0, window[BINS], out)
