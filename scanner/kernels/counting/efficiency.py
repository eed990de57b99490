"""Counting limits averaged over the distribution of the signal's efficiency.

P(≤n | s) is the average of the Poisson probability over the efficiency, as in Cousins and Highland, NIM
A320 (1992) 331; the background is that of `scanner.kernels.counting.exact`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.counting.core import (
    BACKGROUND,
    EFFICIENCY,
    EXPECTED_LIMITS,
    LIMIT,
    OBSERVED,
    VARIANCE,
)
from scanner.kernels.counting.exact import count_quantiles, counting_limit, log_counting_cls

Floats = NDArray[np.float64]

ITERATIONS = 200
PRECISION = 1e-10


@jit
def average_windows(
    spread: Floats, nodes: Floats, weights: Floats, quantiles: Floats, log_alpha: float, result: Floats
) -> None:
    """Set the limits in result rows of `count_windows` anew where the efficiency is uncertain.

    Shapes: spread (W,) standard deviation of the logarithm of the efficiency, nodes and weights (N,) of
    the average over a standard normal variable, result (W, 13). Rows without a limit stay without.
    """
    factors, numbers = np.empty(nodes.size), np.empty(quantiles.size)
    for w in range(result.shape[0]):
        if spread[w] <= 0.0 or math.isnan(result[w, LIMIT]):
            continue
        for i in range(nodes.size):
            factors[i] = math.exp(spread[w] * nodes[i])
        background = result[w, BACKGROUND]
        over = result[w, VARIANCE] / background if background > 0.0 else 0.0
        n = round(result[w, OBSERVED])
        scale = 1.0 / result[w, EFFICIENCY]
        result[w, LIMIT] = scale * averaged_limit(n, background, over, log_alpha, factors, weights)
        count_quantiles(background, over, quantiles, numbers)
        for q in range(quantiles.size):
            limit = averaged_limit(round(numbers[q]), background, over, log_alpha, factors, weights)
            result[w, EXPECTED_LIMITS + q] = scale * limit


@jit
def averaged_limit(
    n: int, background: float, spread: float, log_alpha: float, factors: Floats, weights: Floats
) -> float:
    """Return the signal whose CLs, averaged over the factors on it, is α, by safeguarded Newton steps."""
    low, high = 0.0, math.inf
    x = counting_limit(n, background, spread, log_alpha)
    for _ in range(ITERATIONS):
        value, slope = _log_average(n, background, spread, x, factors, weights)
        value -= log_alpha
        low, high = (x, high) if value > 0.0 else (low, x)
        point = x - value / slope
        if not (low < point and point < high):
            point = 2.0 * x if high == math.inf else 0.5 * (low + high)
        done = abs(point - x) <= PRECISION * x
        x = point
        if done:
            return x
    return math.nan


@jit
def _log_average(
    n: int, background: float, spread: float, signal: float, factors: Floats, weights: Floats
) -> tuple[float, float]:
    """Return the logarithm of the averaged CLs and its slope in the signal."""
    total = slope = 0.0
    top = -math.inf
    for i in range(factors.size):
        value, step = log_counting_cls(n, background, spread, factors[i] * signal)
        if value > top:
            fade = math.exp(top - value)
            total, slope, top = total * fade, slope * fade, value
        part = weights[i] * math.exp(value - top)
        total += part
        slope += part * factors[i] * step
    return top + math.log(total), slope / total
