"""Gradient and Hessian of the NLL of a window with nuisances, by every parameter and in closed form.

The second derivatives of the expectation need no loop over bins for each pair of parameters: they
are sums over samples of products of normalisation derivatives with Σ λM and Σ λΔ′, the moments.
"""

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, accumulate
from scanner.kernels.constrained.arrays import (
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
    MORE_SLOPE,
    NORM,
    NUISANCES,
    OBSERVED,
    OWNER,
    PAIR_WEIGHTS,
    PAIRS,
    PARAMETERS,
    RATIOS,
    ROWS,
    SAMPLES,
    SCALE,
    SHAPES,
    SIZES,
    SPARE,
    SUM,
    UNCERTAIN_SLOPE,
    Window,
)
from scanner.kernels.constrained.model import ALL, ONLY_CERTAIN, ONLY_UNCERTAIN, set_rows
from scanner.kernels.linear.workspace import CURVE, GRADIENT, SLOPE, STEP, THETA


@jit
def differentiate(window: Window) -> None:
    """Set GRADIENT, the Hessian in `matrix` and its Gauss–Newton part in `spare`."""
    _sum_first(window)
    matrix, spare, coefficients = window[MATRIX], window[SPARE], window[COEFFICIENTS]
    for j in range(window[SIZES][NUISANCES]):
        coefficients[GRADIENT, j] += coefficients[THETA, j] - coefficients[OBSERVED, j]
        matrix[j, j] += 1.0
    parameters = window[SIZES][PARAMETERS]
    for i in range(parameters):
        for k in range(i + 1):
            spare[i, k] = matrix[i, k]
    if window[SIZES][NUISANCES] > 0:
        _sum_moments(window)
        _add_second(window)


@jit
def _sum_first(window: Window) -> None:
    rows, bins = window[ROWS], window[BINS]
    coefficients, matrix = window[COEFFICIENTS], window[MATRIX]
    if window[SIZES][MODE] != MIXED:
        set_rows(window, rows, ALL)
        accumulate(rows, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
        return
    more, spare = window[MORE], window[SPARE]
    set_rows(window, more, ONLY_UNCERTAIN)
    set_rows(window, rows, ONLY_CERTAIN)
    for p in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            rows[p, b] += bins[MIXTURE, b] * more[p, b]
    accumulate(rows, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    accumulate(more, bins, MORE_SLOPE, MORE_CURVE, coefficients, STEP, spare)
    for i in range(rows.shape[0]):
        coefficients[GRADIENT, i] += coefficients[STEP, i]
        for k in range(i + 1):
            matrix[i, k] += spare[i, k]


@jit
def _dot(rows: Floats, row: int, bins: Floats, slope: int) -> float:
    total = 0.0
    for b in range(rows.shape[1]):
        total += rows[row, b] * bins[slope, b]
    return total


@jit
def _sum_moments(window: Window) -> None:
    samples, shapes, bins, scale = window[SAMPLES], window[SHAPES], window[BINS], window[SCALE]
    moments, pairs, weights = window[MOMENTS], window[PAIRS], window[PAIR_WEIGHTS]
    mixed = window[SIZES][MODE] == MIXED
    for i in range(samples.shape[0]):
        slope = UNCERTAIN_SLOPE if mixed and scale[FLAG, i] > 0.0 else SLOPE
        scale[SUM, i] = _dot(samples, i, bins, slope)
    moments[:] = 0.0
    for e in range(pairs.shape[0]):
        j, i = pairs[e, 0], pairs[e, 1]
        if i >= 0:
            slope = UNCERTAIN_SLOPE if mixed and scale[FLAG, i] > 0.0 else SLOPE
            up = scale[NORM, i] * _dot(shapes, 2 * e, bins, slope)
            down = scale[NORM, i] * _dot(shapes, 2 * e + 1, bins, slope)
            moments[0, j, i] += weights[e, 2] * up + weights[e, 3] * down
            moments[1, j, i] += weights[e, 4] * up + weights[e, 5] * down


@jit
def _add_second(window: Window) -> None:
    owner, scale, matrix, moments = window[OWNER], window[SCALE], window[MATRIX], window[MOMENTS]
    ratios = window[RATIOS]
    for i in range(owner.size):
        total, factor = scale[SUM, i], scale[FACTOR, i]
        for j in range(ratios.shape[1]):
            ratio, moment = ratios[0, j, i], moments[0, j, i]
            if ratio == 0.0 and moment == 0.0:
                continue
            if owner[i] >= 0:
                matrix[owner[i], j] += ratio * total + moment
            for k in range(j):
                cross = ratio * (ratios[0, k, i] * total + moments[0, k, i])
                matrix[j, k] += factor * (cross + ratios[0, k, i] * moment)
            matrix[j, j] += factor * (ratios[1, j, i] * total + 2.0 * ratio * moment + moments[1, j, i])
