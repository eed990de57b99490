"""What a window with nuisances expects, and its likelihood averaged over the template statistics.

A model is the tuple (templates (S, B), owner (S,), uncertain (S,), polynomials (J, S, 6), logs (J, S, 2),
pairs (E, 2), shapes (E, 2, B), statistics (B,), nodes (N, 2)): samples with their free factor among the
parameters or −1, 1 for those with template statistics, normalisations inside and outside of ±1, changes of
templates, relative errors, and the Gauss–Hermite rule of the average. The last parameter is the yield.
"""

import math
from typing import Any

from scanner.kernels import jit
from scanner.kernels.algebra import Floats

Model = tuple[Any, ...]
UNCERTAIN, CERTAIN, UNCERTAIN_SIGNAL, CERTAIN_SIGNAL = range(4)
"""Rows of sums (4, B): the expectation at a yield s is β(first + s·third) + second + s·fourth."""


@jit
def set_sums(model: Model, theta: Floats, sums: Floats) -> None:
    """Set the sums of samples at nuisances and coefficients `theta`, the yield left out."""
    templates, owner, uncertain, polynomials, logs, pairs, shapes, _, _ = model
    last = theta.size
    sums[:] = 0.0
    for i in range(owner.size):
        row = 0 if uncertain[i] > 0.0 else 1
        if owner[i] == last:
            row += 2
        weight = theta[owner[i]] if 0 <= owner[i] < last else 1.0
        for j in range(logs.shape[0]):
            if logs[j, i, 0] != 0.0 or logs[j, i, 1] != 0.0:
                weight *= norm_factor(polynomials[j, i], logs[j, i], theta[j])
        for b in range(templates.shape[1]):
            sums[row, b] += weight * templates[i, b]
        for e in range(pairs.shape[0]):
            if pairs[e, 1] == i:
                _add_change(shapes[e], theta[pairs[e, 0]], weight, sums[row])


@jit
def norm_factor(polynomial: Floats, logs: Floats, alpha: float) -> float:
    """Return the factor on a normalisation."""
    if alpha >= 1.0:
        return math.exp(min(alpha, 1e3) * logs[1])
    if alpha <= -1.0:
        return math.exp(min(-alpha, 1e3) * logs[0])
    value = 0.0
    for k in range(5, -1, -1):
        value = (value + polynomial[k]) * alpha
    return 1.0 + value


@jit
def _add_change(change: Floats, alpha: float, weight: float, out: Floats) -> None:
    """Add the change of a template, whose values at −1 and +1 are `change` (2, B)."""
    if alpha >= 1.0:
        down, up = 0.0, weight * alpha
    elif alpha <= -1.0:
        down, up = -weight * alpha, 0.0
    else:
        s = alpha * alpha
        even = weight * s * (15.0 + s * (-10.0 + 3.0 * s)) / 16.0
        down, up = even - 0.5 * weight * alpha, even + 0.5 * weight * alpha
    for b in range(out.size):
        out[b] += down * change[0, b] + up * change[1, b]


@jit
def log_likelihood(model: Model, counts: Floats, measured: Floats, sums: Floats, signal: float) -> float:
    """Return ln L of counts at a yield, −∞ where a bin is negative, or empty under events."""
    statistics, nodes = model[7], model[8]
    total = 0.0
    for b in range(counts.size):
        uncertain = sums[0, b] + signal * sums[2, b]
        certain = sums[1, b] + signal * sums[3, b]
        if statistics[b] > 0.0 and uncertain != 0.0:
            total += _averaged(counts[b], uncertain, certain, statistics[b], measured[b], nodes)
        else:
            total += _poisson(counts[b], uncertain + certain)
    return total


@jit
def _poisson(n: float, expected: float) -> float:
    if expected > 0.0:
        return n * math.log(expected) - expected if n > 0.0 else -expected
    return 0.0 if expected == 0.0 and n == 0.0 else -math.inf


@jit
def best_factor(n: float, uncertain: float, certain: float, delta: float, measured: float) -> float:
    """Return β ≥ 0 where βA + C − n ln(βA + C) + (β−e)²/2δ² is least, and βA + C not negative."""
    h = delta * delta * uncertain
    b = certain / uncertain + h - measured
    c = delta * delta * (certain - n) - measured * certain / uncertain
    root = math.sqrt(max(b * b - 4.0 * c, 0.0))
    floor = 0.0 if n > 0.0 else max(0.0, -certain / uncertain)
    if b < 0.0:
        return max(0.5 * (root - b), floor)
    return max(-2.0 * c / (b + root), floor) if b + root > 0.0 else floor


@jit
def _averaged(
    n: float, uncertain: float, certain: float, delta: float, measured: float, nodes: Floats
) -> float:
    """Return ln ∫ N(β; e, δ) Poisson(n; βA + C) dβ, by Gauss–Hermite nodes around the best β.

    The nodes have the width of the integrand at its maximum: the Laplace approximation, with corrections.
    """
    beta = best_factor(n, uncertain, certain, delta, measured)
    relative = uncertain / max(beta * uncertain + certain, 1e-300)
    width = 1.0 / math.sqrt(n * relative * relative + 1.0 / (delta * delta))
    best = -math.inf
    total = 0.0
    for k in range(nodes.shape[0]):
        x = nodes[k, 0]
        value = beta + width * x
        if value < 0.0:
            continue
        pull = (value - measured) / delta
        log = _poisson(n, value * uncertain + certain) - 0.5 * (pull * pull - x * x)
        if log > best:
            total *= math.exp(best - log)
            best = log
        if log > -math.inf:
            total += nodes[k, 1] * math.exp(log - best)
    return best + math.log(total * width / delta) if total > 0.0 else -math.inf


@jit
def barrier(sums: Floats, weights: Floats) -> float:
    """Return Σ w ln β of the background β, −∞ where it is negative, or zero under a weight."""
    total = 0.0
    for b in range(weights.size):
        background = sums[0, b] + sums[1, b]
        if weights[b] > 0.0:
            total += weights[b] * math.log(background) if background > 0.0 else -math.inf
        elif background < 0.0:
            return -math.inf
    return total


@jit
def allowed(sums: Floats) -> bool:
    """Return whether the background is nowhere negative."""
    negative = 0
    for b in range(sums.shape[1]):
        negative += sums[0, b] + sums[1, b] < 0.0
    return negative == 0


@jit
def constraint(theta: Floats, observed: Floats) -> float:
    """Return ln of the nuisances' prior, up to a constant."""
    total = 0.0
    for j in range(observed.size):
        total -= 0.5 * (theta[j] - observed[j]) ** 2
    return total
