"""The likelihood of a signal yield, summed over samples of the background.

Likelihoods at all yields are updated together from those of the central background, by series of the
logarithm of the ratio: bins that the signal does not reach cost one logarithm a sample.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Floats

NEAR = 0.1
FAR = 1.0 / 3.0
"""Relative distances up to which a short and a long series of the logarithm hold."""
UNREACHED = 1e-8
"""Relative change by the largest signal below which a bin's likelihood ratio is the same at every s."""


@jit
def add_log_ratios(n: float, change: float, reference: Floats, out: Floats) -> None:
    """Add n ln((ν+δ)/ν) to `out` (M,) for the rising ν of `reference` (M,), by 2 atanh(δ/(2ν+δ))."""
    first = abs(change / (2.0 * reference[0] + change))
    if first < NEAR:
        for m in range(out.size):
            t = change / (2.0 * reference[m] + change)
            s = t * t
            series = 1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0))))
            out[m] += 2.0 * n * (t + t * s * series)
    elif first < FAR:
        for m in range(out.size):
            t = change / (2.0 * reference[m] + change)
            s = t * t
            far = 1.0 / 13.0 + s * (1.0 / 15.0 + s * (1.0 / 17.0 + s * (1.0 / 19.0 + s * (1.0 / 21.0))))
            series = 1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0 + s * far)))
            out[m] += 2.0 * n * (t + t * s * (1.0 / 3.0 + s * series))
    else:
        for m in range(out.size):
            ratio = 1.0 + change / reference[m]
            out[m] += n * math.log(ratio) if ratio > 0.0 else -math.inf


@jit
def set_logs_at_centre(
    templates: Floats,
    counts: Floats,
    background: Floats,
    signals: Floats,
    terms: int,
    table: Floats,
    logs: Floats,
) -> None:
    """Set `table` (B, M) to ν at the central background and each s, `logs` (M,) to ln L there."""
    logs[:] = 0.0
    for b in range(counts.size):
        n = counts[b]
        for m in range(signals.size):
            nu = background[b] + signals[m] * templates[terms, b]
            table[b, m] = nu
            if n > 0.0:
                logs[m] += n * math.log(nu) if nu > 0.0 else -math.inf
            logs[m] -= nu


@jit
def sample(
    templates: Floats,
    counts: Floats,
    weights: Floats,
    background: Floats,
    factor: Floats,
    terms: int,
    points: Floats,
    log_proposal: Floats,
    table: Floats,
    logs: Floats,
    out: Floats,
) -> None:
    """Set `out` (M,) to ln Σ_i L(s, c_i)/g(c_i) over the `points` (N, K) of the proposal.

    c_i = c̃ + L⁻ᵀ y_i with the Cholesky factor L of the precision of c, and ln g of each point given.
    `background` (B,), `table` (B, M) and `logs` (M,) belong to c̃.
    """
    change = np.empty(counts.size)
    own, total = np.empty(out.size), np.zeros(out.size)
    steady = _steady_bins(table)
    for i in range(points.shape[0]):
        if not _set_changes(templates, weights, background, factor, terms, points[i], change):
            continue
        own[:] = logs
        same = log_proposal[i : i + 1].copy()
        for b in range(counts.size):
            same[0] += change[b]
        for b in range(counts.size):
            if counts[b] > 0.0:
                if steady[b]:
                    add_log_ratios(-counts[b], change[b], table[b, :1], same)
                else:
                    add_log_ratios(counts[b], change[b], table[b], own)
        for m in range(own.size):
            total[m] += math.exp(own[m] - same[0])
    for m in range(out.size):
        out[m] = math.log(total[m]) if total[m] > 0.0 else -math.inf


@jit
def _steady_bins(table: Floats) -> NDArray[np.bool_]:
    """Return the bins (B,) that the signal does not reach."""
    steady = np.empty(table.shape[0], dtype=np.bool_)
    for b in range(steady.size):
        steady[b] = table[b, -1] - table[b, 0] <= UNREACHED * table[b, 0]
    return steady


@jit
def _set_changes(
    templates: Floats,
    weights: Floats,
    background: Floats,
    factor: Floats,
    terms: int,
    point: Floats,
    change: Floats,
) -> bool:
    """Set the change of β in every bin (B,); return whether the background stays positive."""
    shift = np.empty(terms)
    change[:] = 0.0
    for k in range(terms - 1, -1, -1):
        shift[k] = point[k]
        for j in range(k + 1, terms):
            shift[k] -= factor[j, k] * shift[j]
        shift[k] *= factor[k, k]
        for b in range(change.size):
            change[b] += shift[k] * templates[k, b]
    negative = 0
    for b in range(change.size):
        negative += (background[b] + change[b] < 0.0) & (weights[b] > 0.0)
    return negative == 0
