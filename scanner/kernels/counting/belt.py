"""Probabilities of counts, and their order, where background and efficiency are averaged over."""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats

NEGLIGIBLE = 1e-20


@jit
def mixed_probabilities(means: Floats, weights: Floats, out: Floats) -> None:
    """Set `out` (M,) to Σ_j w_j P(0 … M−1 | mean_j), with Poisson probabilities."""
    out[:] = 0.0
    for j in range(means.size):
        mean, weight = means[j], weights[j]
        if weight == 0.0:
            continue
        if mean == 0.0:
            out[0] += weight
            continue
        start = min(int(mean), out.size - 1)
        top = weight * math.exp(start * math.log(mean) - mean - math.lgamma(start + 1.0))
        term = top
        for k in range(start, -1, -1):
            out[k] += term
            term *= k / mean
            if term < NEGLIGIBLE * weight:
                break
        term = top
        for k in range(start + 1, out.size):
            term *= mean / k
            out[k] += term
            if term < NEGLIGIBLE * weight:
                break


@jit
def sum_probabilities(first: Floats, second: Floats, out: Floats) -> None:
    """Set `out` (M,) to the probabilities of the sum of two independent counts (M,)."""
    out[:] = 0.0
    low, high = 0, second.size
    while low < high and second[low] < NEGLIGIBLE:
        low += 1
    while high > low and second[high - 1] < NEGLIGIBLE:
        high -= 1
    for i in range(out.size):
        if first[i] >= NEGLIGIBLE:
            for j in range(low, min(high, out.size - i)):
                out[i + j] += first[i] * second[j]


@jit
def accepted(probabilities: Floats, best: Floats, cl: float, out: Flags) -> None:
    """Set `out` (M,) to whether the counts of a larger ratio P/best together are less probable than `cl`."""
    ratios = np.empty(out.size)
    for n in range(out.size):
        ratios[n] = probabilities[n] / best[n] if best[n] > 0.0 else 0.0
    ahead = before = last = 0.0
    for n in np.argsort(-ratios):
        if ratios[n] != last:
            before, last = ahead, ratios[n]
        out[n] = before < cl
        ahead += probabilities[n]
