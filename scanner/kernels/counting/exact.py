"""Exact counting: n events over a background that is known, or known up to a Gamma distribution.

The background's mean is b with variance V; `spread` is V/b. Marginalised over a Gamma distribution
of that mean and variance the background count is negative binomial, with the ratio of neighbours

    P(j+1)/P(j) = (b + j·spread) / ((j+1)(1+spread)),

Poisson for spread 0. Every sum runs over that recurrence: no Gamma function, no quadrature. It is
the same as an auxiliary Poisson measurement of the background with τ = 1/spread, and its CLs limit is
the Bayesian one for a prior that is flat in the signal (Zhukov & Bonesini, hep-ex/9902006).
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.special import normal_quantile

Floats = NDArray[np.float64]

NO_BACKGROUND = 1e-12
HUGE = 1e140
LOG_HUGE = 140.0 * math.log(10.0)
NEGLIGIBLE = 1e-18
ITERATIONS = 100


@jit
def log_counting_cls(n: int, background: float, spread: float, signal: float) -> tuple[float, float]:
    """Return ln CLs = ln [P(≤n | s+b)/P(≤n | b)] and its slope in s.

    The background counts j run down from n, the signal counts n−j up from 0, and both sums are
    rescaled before they overflow. Both summands rise and fall once, so that a negligible one that is
    falling ends its sum.
    """
    weight, weights = 1.0, 0.0
    term, below = 1.0, 1.0  # Poisson P(i | s) and P(≤i | s), times e^s
    numerator = slope = scale = before = 0.0
    for j in range(n, -1, -1):
        product = weight * below
        if background > NO_BACKGROUND or j == 0:
            numerator += product
            slope -= weight * term
            weights += weight
        falling = j < background and product < before
        if j == 0 or (falling and weight < NEGLIGIBLE * weights and product < NEGLIGIBLE * numerator):
            break
        before = product
        term *= signal / (n - j + 1)
        below += term
        if background > NO_BACKGROUND:
            weight *= j * (1.0 + spread) / (background + (j - 1) * spread)
        if below > HUGE:
            term, below = term / HUGE, below / HUGE
            numerator, slope = numerator / HUGE, slope / HUGE
            before /= HUGE
            scale += LOG_HUGE
        if weights > HUGE:
            weight, weights = weight / HUGE, weights / HUGE
            numerator, slope = numerator / HUGE, slope / HUGE
            before /= HUGE
    return math.log(numerator / weights) - signal + scale, slope / numerator


@jit
def counting_limit(n: int, background: float, spread: float, log_alpha: float) -> float:
    """Return the signal with CLs = α: Newton on ln CLs, which falls and curves down."""
    if n == 0:
        return -log_alpha
    width = math.sqrt(n + 1.0 + background * (1.0 + spread))
    low, high = 0.0, math.inf
    x = max(n - background, 0.0) + 1.7 * width
    for _ in range(ITERATIONS):
        value, slope = log_counting_cls(n, background, spread, x)
        value -= log_alpha
        low, high = (x, high) if value > 0.0 else (low, x)
        point = x - value / slope
        if not (low < point and point < high):
            point = 2.0 * x if high == math.inf else 0.5 * (low + high)
        done = abs(point - x) <= 1e-10 * x
        x = point
        if done:
            return x
    return math.nan


@jit
def first_count(background: float, spread: float) -> int:
    """Return a count below which the background's distribution has nothing to speak of."""
    return max(0, int(background - 12.0 * math.sqrt(background * (1.0 + spread)) - 12.0))


@jit
def count_quantiles(background: float, spread: float, quantiles: Floats, counts: Floats) -> None:
    """Set `counts` to the smallest n with P(≤n | b) ≥ each of the rising `quantiles`."""
    counts[:] = 0.0
    if background <= NO_BACKGROUND:
        return
    total = _walk(background, spread, math.inf, quantiles, counts)
    _walk(background, spread, total, quantiles, counts)


@jit
def _walk(background: float, spread: float, total: float, quantiles: Floats, counts: Floats) -> float:
    """Sum the distribution from its low end; note the counts where it passes quantiles of `total`."""
    j = first_count(background, spread)
    weight, weights = 1.0, 0.0
    passed = 0
    while weight > NEGLIGIBLE * weights or j < background:
        weights += weight
        while passed < quantiles.size and weights >= quantiles[passed] * total:
            counts[passed] = j
            passed += 1
        weight *= (background + j * spread) / ((j + 1) * (1.0 + spread))
        j += 1
    return weights


@jit
def log_probability(n: int, background: float, spread: float) -> float:
    """Return ln P(n | b)."""
    if background <= NO_BACKGROUND:
        return 0.0 if n == 0 else -math.inf
    decay = math.log1p(spread) / spread if spread > 0.0 else 1.0
    product, log_product = 1.0, -background * decay
    for j in range(n):
        product *= (background + j * spread) / ((j + 1) * (1.0 + spread))
        if product > HUGE or product < 1.0 / HUGE:
            log_product += math.log(product)
            product = 1.0
    return log_product + math.log(product)


@jit
def background_tail(n: int, background: float, spread: float) -> float:
    """Return P(≥n | b), the local p-value of n observed events."""
    if n <= 0:
        return 1.0
    if background <= NO_BACKGROUND:
        return 0.0
    probability = math.exp(log_probability(n, background, spread))
    if n > background + 1.0:
        return probability * _ratio_sum_up(n, background, spread)
    step_down = n * (1.0 + spread) / (background + (n - 1) * spread)
    return 1.0 - probability * step_down * _ratio_sum_down(n - 1, background, spread)


@jit
def _ratio_sum_up(n: int, background: float, spread: float) -> float:
    """Return Σ_{j≥n} P(j)/P(n)."""
    term, total, j = 1.0, 0.0, n
    while term > NEGLIGIBLE * total:
        total += term
        term *= (background + j * spread) / ((j + 1) * (1.0 + spread))
        j += 1
    return total


@jit
def _ratio_sum_down(n: int, background: float, spread: float) -> float:
    """Return Σ_{j≤n} P(j)/P(n)."""
    term, total = 1.0, 1.0
    for j in range(n, 0, -1):
        term *= j * (1.0 + spread) / (background + (j - 1) * spread)
        total += term
        if term < NEGLIGIBLE * total and j < background:
            break
    return total


@jit
def one_sided_z(p: float) -> float:
    """Return Φ⁻¹(1−p), not below 0: a deficit is no excess."""
    return max(0.0, -normal_quantile(p))


@jit
def expected_counting_limits(
    background: float, spread: float, quantiles: Floats, log_alpha: float, counts: Floats, limits: Floats
) -> None:
    """Set `limits` to those at the quantiles of the count under the background (`counts` is scratch)."""
    count_quantiles(background, spread, quantiles, counts)
    for i in range(quantiles.size):
        same = i > 0 and counts[i] == counts[i - 1]
        n = int(counts[i])
        limits[i] = limits[i - 1] if same else counting_limit(n, background, spread, log_alpha)
