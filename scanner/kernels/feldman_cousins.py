"""Acceptance of a signal by the ordering of Feldman and Cousins (physics/9711021)."""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.counting import log_probability

STEP = 0.01
"""Signal step of the search for the ends of an interval, which bisection then refines."""
GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


@jit
def count_probabilities(signal: float, background: Floats, out: Floats) -> None:
    """Set `out` (M,) to P(0 … M−1 | s): the background distribution (M,) plus Poisson signal."""
    out[:] = 0.0
    term = math.exp(-signal)
    for i in range(out.size):
        for j in range(out.size - i):
            out[i + j] += term * background[j]
        term *= signal / (i + 1)


@jit
def poisson_probabilities(mean: float, out: Floats) -> None:
    """Set `out` (M,) to the Poisson probabilities of 0 … M−1."""
    if mean == 0.0:
        out[:] = 0.0
        out[0] = 1.0
        return
    start = min(int(mean), out.size - 1)
    out[start] = math.exp(start * math.log(mean) - mean - math.lgamma(start + 1.0))
    for k in range(start, 0, -1):
        out[k - 1] = out[k] * k / mean
    for k in range(start + 1, out.size):
        out[k] = out[k - 1] * mean / k


@jit
def _one_probability(n: int, signal: float, background: Floats) -> float:
    total = 0.0
    term = math.exp(-signal)
    for i in range(n + 1):
        total += term * background[n - i]
        term *= signal / (i + 1)
    return total


@jit
def best_probabilities(mean: float, spread: float, background: Floats, best: Floats) -> None:
    """Set `best` (M,) to max over s ≥ 0 of P(n | s), and `background` (M,) to P(n | 0).

    For a known background the best signal is max(0, n−b); for an uncertain one P has one maximum in s,
    found by golden section.
    """
    for n in range(best.size):
        background[n] = math.exp(log_probability(n, mean, spread))
        if spread == 0.0:
            top = max(float(n), mean)
            best[n] = math.exp(n * math.log(top) - top - math.lgamma(n + 1.0)) if top > 0.0 else 1.0
        else:
            best[n] = _golden_maximum(n, background)


@jit
def _golden_maximum(n: int, background: Floats) -> float:
    low, high = 0.0, n + 1.0
    while high - low > 1e-6 * (1.0 + n):
        width = GOLDEN * (high - low)
        right = _one_probability(n, low + width, background)
        if right > _one_probability(n, high - width, background):
            low = high - width
        else:
            high = low + width
    middle = _one_probability(n, 0.5 * (low + high), background)
    return float(max(middle, background[n]))


@jit
def accepts(
    n: int,
    signal: float,
    mean: float,
    spread: float,
    background: Floats,
    best: Floats,
    cl: float,
    out: Floats,
) -> bool:
    """Return whether n is in the acceptance region of `signal`.

    It is, where the counts of larger likelihood ratio P(k|s)/P(k|s_best) together have a probability
    below the confidence level `cl`.
    """
    if spread == 0.0:
        poisson_probabilities(signal + mean, out)
    else:
        count_probabilities(signal, background, out)
    own = out[n] / best[n]
    ahead = 0.0
    for k in range(out.size):
        if k != n and out[k] > own * best[k]:
            ahead += out[k]
    return ahead < cl


@jit
def interval_end(
    n: int, start: float, stop: float, mean: float, spread: float, size: int, cl: float
) -> float:
    """Return the first accepted signal on the way from `start` to `stop`, or `stop` if there is none."""
    background, best, out = np.empty(size), np.empty(size), np.empty(size)
    best_probabilities(mean, spread, background, best)
    if accepts(n, start, mean, spread, background, best, cl, out):
        return start
    steps = math.ceil(abs(stop - start) / STEP)
    step = (stop - start) / max(steps, 1)
    for i in range(1, steps + 1):
        if accepts(n, start + i * step, mean, spread, background, best, cl, out):
            outside, inside = start + (i - 1) * step, start + i * step
            for _ in range(40):
                middle = 0.5 * (outside + inside)
                if accepts(n, middle, mean, spread, background, best, cl, out):
                    inside = middle
                else:
                    outside = middle
            return inside
    return stop


@jit
def envelope(
    n: int, high: float, mean: float, size: int, cl: float, reach: float, step: float, window: float
) -> float:
    """Return the largest upper end at the known backgrounds mean … mean + reach, at least `high`.

    Between jumps an upper end falls as the background rises, and no jump is wider than `window`; so
    the largest one stands just after a jump, which bisection finds within the step before it.
    """
    best = 0.0
    for i in range(1, int(reach / step) + 1):
        end = interval_end(n, high + window, high, mean + i * step, 0.0, size, cl)
        if end > high:
            high, best = end, i * step
    low = max(best - step, 0.0)
    for _ in range(20):
        middle = 0.5 * (low + best)
        end = interval_end(n, high + window, high, mean + middle, 0.0, size, cl)
        if end > high:
            high, best = end, middle
        else:
            low = middle
    return high
