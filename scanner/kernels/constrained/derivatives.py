"""Gradient and Hessian of the NLL of a window with nuisances, by every parameter and in closed form.

The gradient follows from the sums of slope times static row, and so do the second derivatives of the
expectation: they are sums over samples of products of normalisation derivatives with Σ λM and Σ λΔ′, the
moments. Only the Gauss–Newton part, Σ κν′ν′ᵀ, takes sums over bins for pairs of rows.
"""

from scanner.kernels.algebra import TILE, Floats
from scanner.kernels.constrained.arrays import (
    ACTING,
    ACTS,
    BASIS_ROWS,
    BINS,
    COEFFICIENTS,
    FACTOR,
    FLAG,
    MATRIX,
    MIXED,
    MIXTURE,
    MODE,
    MOMENTS,
    MORE,
    MORE_CURVE,
    NORM,
    NUISANCES,
    OBSERVED,
    OWNER,
    PAIR_ROWS,
    PAIR_WEIGHTS,
    PAIRS,
    PARAMETERS,
    RATIOS,
    ROWS,
    SAMPLE_ROWS,
    SCALE,
    SIZES,
    SPARE,
    STATIC,
    SUM,
    SUMS,
    UNCERTAIN_SLOPE,
    WEIGHTS,
    Window,
)
from scanner.kernels.constrained.basis import sum_by_basis, sum_products
from scanner.kernels.constrained.model import ALL, ONLY_CERTAIN, ONLY_UNCERTAIN, set_rows
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CURVE, GRADIENT, SLOPE, THETA


@lean
def differentiate(window: Window) -> None:
    """Set GRADIENT, and the Hessian in `matrix`."""
    set_gauss_newton(window)
    _sum_static(window)
    _sum_moments(window)
    _set_gradient(window)
    _add_second(window)


@lean
def set_gauss_newton(window: Window) -> None:
    """Set `matrix` to the Hessian without second derivatives of the expectation."""
    matrix = window[MATRIX]
    if window[SIZES][BASIS_ROWS] > 0:
        sum_by_basis(window)
    elif window[SIZES][MODE] == MIXED:
        _sum_mixed(window)
    else:
        set_rows(window, window[ROWS], ALL)
        sum_products(window[ROWS], window[SIZES][PARAMETERS], window[BINS], CURVE, matrix)
    for j in range(window[SIZES][NUISANCES]):
        matrix[j, j] += 1.0


@lean
def _sum_mixed(window: Window) -> None:
    rows, more, bins, matrix, spare = window[ROWS], window[MORE], window[BINS], window[MATRIX], window[SPARE]
    parameters = window[SIZES][PARAMETERS]
    set_rows(window, more, ONLY_UNCERTAIN)
    set_rows(window, rows, ONLY_CERTAIN)
    for p in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            rows[p, b] += bins[MIXTURE, b] * more[p, b]
    sum_products(rows, parameters, bins, CURVE, matrix)
    sum_products(more, parameters, bins, MORE_CURVE, spare)
    for i in range(parameters):
        for k in range(i + 1):
            matrix[i, k] += spare[i, k]


@lean
def _sum_static(window: Window) -> None:
    """Sum slope times static row; that of the uncertain samples may be another one."""
    static, bins, weights, scale = window[STATIC], window[BINS], window[WEIGHTS], window[SCALE]
    if window[SIZES][MODE] != MIXED:
        for v in range(0, static.shape[0], TILE):
            _sum_tile(static, v, bins, SLOPE, weights)
        return
    first = window[SIZES][SAMPLE_ROWS]
    for i in range(first):
        weights[SUMS, i] = _dot(static, i, bins, UNCERTAIN_SLOPE if scale[FLAG, i] > 0.0 else SLOPE)
    for e in range(window[SIZES][PAIR_ROWS]):
        slope = UNCERTAIN_SLOPE if scale[FLAG, window[PAIRS][e, 1]] > 0.0 else SLOPE
        for v in range(first + 2 * e, first + 2 * e + 2):
            weights[SUMS, v] = _dot(static, v, bins, slope)


@lean
def _sum_tile(static: Floats, v: int, bins: Floats, slope: int, weights: Floats) -> None:
    g0 = g1 = g2 = g3 = 0.0
    for b in range(bins.shape[1]):
        s = bins[slope, b]
        g0 += static[v, b] * s
        g1 += static[v + 1, b] * s
        g2 += static[v + 2, b] * s
        g3 += static[v + 3, b] * s
    weights[SUMS, v], weights[SUMS, v + 1], weights[SUMS, v + 2], weights[SUMS, v + 3] = g0, g1, g2, g3


@lean
def _dot(rows: Floats, row: int, bins: Floats, slope: int) -> float:
    total = 0.0
    for b in range(rows.shape[1]):
        total += rows[row, b] * bins[slope, b]
    return total


@lean
def _sum_moments(window: Window) -> None:
    moments, pairs, weights, scale = window[MOMENTS], window[PAIRS], window[PAIR_WEIGHTS], window[SCALE]
    sums, first = window[WEIGHTS], window[SIZES][SAMPLE_ROWS]
    for i in range(first):
        scale[SUM, i] = scale[NORM, i] * sums[SUMS, i]
        for a in range(window[ACTS][i]):
            moments[0, i, a] = moments[1, i, a] = 0.0
    for e in range(window[SIZES][PAIR_ROWS]):
        i, a = pairs[e, 1], pairs[e, 2]
        up = scale[NORM, i] * sums[SUMS, first + 2 * e]
        down = scale[NORM, i] * sums[SUMS, first + 2 * e + 1]
        scale[SUM, i] += weights[e, 0] * up + weights[e, 1] * down
        moments[0, i, a] += weights[e, 2] * up + weights[e, 3] * down
        moments[1, i, a] += weights[e, 4] * up + weights[e, 5] * down


@lean
def _set_gradient(window: Window) -> None:
    coefficients, scale, owner = window[COEFFICIENTS], window[SCALE], window[OWNER]
    ratios, moments, acting = window[RATIOS], window[MOMENTS], window[ACTING]
    nuisances = window[SIZES][NUISANCES]
    for p in range(window[SIZES][PARAMETERS]):
        coefficients[GRADIENT, p] = (
            coefficients[THETA, p] - coefficients[OBSERVED, p] if p < nuisances else 0.0
        )
    for i in range(window[SIZES][SAMPLE_ROWS]):
        if owner[i] >= 0:
            coefficients[GRADIENT, owner[i]] += scale[SUM, i]
        for a in range(window[ACTS][i]):
            change = ratios[0, i, a] * scale[SUM, i] + moments[0, i, a]
            coefficients[GRADIENT, acting[i, a]] += scale[FACTOR, i] * change


@lean
def _add_second(window: Window) -> None:
    owner, scale, matrix, moments = window[OWNER], window[SCALE], window[MATRIX], window[MOMENTS]
    ratios, acts, acting = window[RATIOS], window[ACTS], window[ACTING]
    for i in range(window[SIZES][SAMPLE_ROWS]):
        total, factor = scale[SUM, i], scale[FACTOR, i]
        for a in range(acts[i]):
            j, ratio, moment = acting[i, a], ratios[0, i, a], moments[0, i, a]
            if owner[i] >= 0:
                matrix[owner[i], j] += ratio * total + moment
            both, once = factor * (ratio * total + moment), factor * ratio
            for c in range(a):
                matrix[j, acting[i, c]] += both * ratios[0, i, c] + once * moments[0, i, c]
            matrix[j, j] += factor * (ratios[1, i, a] * total + 2.0 * ratio * moment + moments[1, i, a])
