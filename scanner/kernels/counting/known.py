"""Limits and p-values of counts over backgrounds that are known, or known up to Gamma distributions."""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.counting.efficiency import averaged_limit
from scanner.kernels.counting.exact import background_tail, count_quantiles, counting_limit, one_sided_z

Floats = NDArray[np.float64]

LIMIT, LOCAL_P, LOCAL_Z, EXPECTED_LIMITS = range(4)
"""Columns of the result rows; the five expected limits are the last columns."""


@jit
def limit_counts(
    observed: NDArray[np.int64],
    background: Floats,
    over: Floats,
    spread: Floats,
    nodes: Floats,
    weights: Floats,
    quantiles: Floats,
    log_alpha: float,
    result: Floats,
) -> None:
    """Set the CLs limits and the p-value of every count.

    Shapes: observed, background (mean), over (its variance over its mean) and spread (standard deviation of
    the logarithm of the efficiency) (W,), nodes and weights (N,) of the average over a standard normal
    variable, result (W, 8).
    """
    factors, numbers = np.empty(nodes.size), np.empty(quantiles.size)
    for w in range(observed.size):
        for i in range(nodes.size):
            factors[i] = math.exp(spread[w] * nodes[i])
        n, b, v, uncertain = observed[w], background[w], over[w], spread[w] > 0.0
        result[w, LIMIT] = _limit(n, b, v, log_alpha, factors, weights, uncertain)
        count_quantiles(b, v, quantiles, numbers)
        for q in range(quantiles.size):
            if q > 0 and numbers[q] == numbers[q - 1]:
                result[w, EXPECTED_LIMITS + q] = result[w, EXPECTED_LIMITS + q - 1]
                continue
            limit = _limit(round(numbers[q]), b, v, log_alpha, factors, weights, uncertain)
            result[w, EXPECTED_LIMITS + q] = limit
        result[w, LOCAL_P] = background_tail(n, b, v)
        result[w, LOCAL_Z] = one_sided_z(result[w, LOCAL_P])


@jit
def _limit(
    n: int,
    background: float,
    over: float,
    log_alpha: float,
    factors: Floats,
    weights: Floats,
    uncertain: bool,
) -> float:
    if uncertain:
        return averaged_limit(n, background, over, log_alpha, factors, weights)
    return counting_limit(n, background, over, log_alpha)
