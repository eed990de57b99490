"""Differences of log-likelihoods, bin by bin and without cancellation."""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CHANGE, DATA, EXPECTED

NEAR = 0.1
FAR = 1.0 / 3.0
"""Relative distances |ν₁−ν₂|/(ν₁+ν₂) up to which a short and a long series hold."""
CLOSE = 0.02
"""And up to which three terms do, to 1e-11 of the sum."""


@lean
def divergence(bins: Floats, reference: int) -> float:
    """Return Σ [δ − n ln((ν+δ)/ν)], the NLL at ν+δ minus that at ν.

    ν is row `reference` of `bins`, δ the row CHANGE. The logarithm is 2 atanh(t), t = δ/(2ν+δ), by its
    series: logarithms in a loop cost ten times as much, and would lose the difference's digits.
    """
    total = 0.0
    far = 0
    for b in range(bins.shape[1]):
        change, n = bins[CHANGE, b], bins[DATA, b]
        t = change / (2.0 * bins[reference, b] + change)
        s = t * t
        far += (not s <= NEAR * NEAR) & (n > 0.0)
        series = 1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0))))
        total += change - 2.0 * n * (t + t * s * series) if n > 0.0 else change
    return total if far == 0 else _divergence_far(bins, reference)


@lean
def _divergence_far(bins: Floats, reference: int) -> float:
    total = 0.0
    for b in range(bins.shape[1]):
        change, n = bins[CHANGE, b], bins[DATA, b]
        total += change
        if n > 0.0:
            t = change / (2.0 * bins[reference, b] + change)
            s = t * t
            total -= n * (2.0 * t * (1.0 + s * _series(s)) if s <= FAR * FAR else _log_ratio(t))
    return total


@jit
def _log_ratio(t: float) -> float:
    return math.log1p(2.0 * t / (1.0 - t))


@jit
def _series(s: float) -> float:
    """Return (atanh(t)/t − 1)/t² for t² = s ≤ 1/9."""
    total = 1.0 / 31.0
    for k in range(29, 1, -2):
        total = total * s + 1.0 / k
    return total


@lean
def excess_over_saturated(bins: Floats) -> float:
    """Return the NLL minus that of the saturated model, ν = n in every bin."""
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[DATA, b]
    return divergence(bins, DATA)


@lean
def difference_from(bins: Floats, reference: int) -> float:
    """Return the NLL at ν minus that at row `reference`; sets CHANGE where the two are far apart."""
    total = 0.0
    far = 0
    for b in range(bins.shape[1]):
        expected, before, n = bins[EXPECTED, b], bins[reference, b], bins[DATA, b]
        change = expected - before
        t = change / (expected + before)
        s = t * t
        far += not s <= CLOSE * CLOSE
        total += change - 2.0 * n * (t + t * s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0))))
    if far == 0:
        return total
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[reference, b]
    return divergence(bins, reference)
