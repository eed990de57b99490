"""Several counts with one signal, each over a background known up to a Gamma distribution.

Channel c holds the part p_c of the signal x that is seen in all of them, Σ p_c = 1. Averaged over its
background, the probability of its count is e^{−p x} times a polynomial in x (see
`scanner.kernels.counting.exact`), and so is the product over the channels: Σ_k d_k e^{−x} x^k/k!, a mixture
of Erlang densities. Its tail is a sum of incomplete Γ functions of whole order, and no quadrature is needed.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.counting.exact import background_tail, log_probability, one_sided_z

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LIMIT, LOCAL_P, LOCAL_Z, EXPECTED_LIMITS = range(4)
"""Columns of the result rows; the five expected limits are the last columns."""
LARGEST = 100
"""Most events, observed or in an outcome whose limit is needed."""
ROOM = 160
"""Most events of an outcome that is looked at: factorials of more do not fit into doubles."""
RARE, RAREST = 1e-5, 1e-8
"""Tail of a channel, and probability of an outcome, that the expected limits leave out."""
EQUAL = 1e-9
"""Difference of two test statistics that is rounding."""
NEGLIGIBLE = 1e-17
ITERATIONS = 200
HALVINGS = 60
PRECISION = 1e-10


@jit
def limit_joint_counts(
    observed: Integers,
    background: Floats,
    over: Floats,
    shares: Floats,
    spread: Floats,
    nodes: Floats,
    weights: Floats,
    quantiles: Floats,
    log_alpha: float,
    result: Floats,
) -> None:
    """Set limit, p-value and expected limits of W sets of C counts; NaN for more events than LARGEST.

    Shapes: observed, background (means), over (their variances over the means) and shares (signal events in
    the channel for a yield of 1) (W, C); spread (W,), standard deviation of the logarithm of the
    efficiency; nodes and weights (N,) of the average over a standard normal variable; result (W, 8).
    """
    for w in range(observed.shape[0]):
        on = np.flatnonzero(shares[w] > 0.0)
        total = shares[w][on].sum()
        p, b, v = shares[w][on] / total, background[w][on], over[w][on]
        factors, averaged = np.exp(spread[w] * nodes), weights
        if spread[w] <= 0.0:
            factors, averaged = np.ones(1), np.ones(1)
        n = observed[w][on]
        result[w] = math.nan
        if n.sum() <= LARGEST:
            result[w, LIMIT] = joint_limit(n, b, v, p, log_alpha, factors, averaged) / total
            result[w, LOCAL_P] = joint_tail(n, b, v, p)
            result[w, LOCAL_Z] = one_sided_z(result[w, LOCAL_P])
        _expected(b, v, p, quantiles, log_alpha, factors, averaged, result[w, EXPECTED_LIMITS:])
        result[w, EXPECTED_LIMITS:] /= total


@jit
def erlang_weights(counts: Integers, background: Floats, over: Floats, shares: Floats) -> Floats:
    """Return the weights d_k of the Erlang densities of the signal, (N + 1,) for N events, of sum 1."""
    found, own = np.zeros(ROOM + 1), np.zeros(ROOM + 1)
    found[0], degree = 1.0, 0
    for c in range(counts.size):
        _polynomial(counts[c], background[c], over[c], shares[c], own)
        top = degree + counts[c]
        for k in range(top, -1, -1):
            part = 0.0
            for i in range(max(0, k - degree), min(counts[c], k) + 1):
                part += found[k - i] * own[i]
            found[k] = part
        degree = top
    factorial = 1.0
    for k in range(degree + 1):
        found[k] *= factorial
        factorial *= k + 1
    weights = found[: degree + 1]
    weights /= weights.sum()
    return weights


@jit
def _polynomial(count: int, background: float, over: float, share: float, own: Floats) -> None:
    """Set the coefficients of x^i in the probability of a count, times e^{p x} and a constant."""
    weight = 1.0  # of j background events, relative to none
    for j in range(count + 1):
        own[count - j] = weight
        weight *= (background + j * over) / ((j + 1) * (1.0 + over))
    power = 1.0
    for i in range(count + 1):
        own[i] *= power
        power *= share / (i + 1)


@jit
def erlang_tail(weights: Floats, x: float) -> tuple[float, float]:
    """Return the probability of more than x, and its slope."""
    term = math.exp(-x)
    below = tail = slope = 0.0
    for k in range(weights.size):
        below += term
        tail += weights[k] * below
        slope -= weights[k] * term
        term *= x / (k + 1)
    return tail, slope


@jit
def joint_limit(
    counts: Integers,
    background: Floats,
    over: Floats,
    shares: Floats,
    log_alpha: float,
    factors: Floats,
    averaged: Floats,
) -> float:
    """Return the signal of all channels whose tail, averaged over factors on it, is α."""
    weights = erlang_weights(counts, background, over, shares)
    low, high = 0.0, math.inf
    mean = 1.0
    for k in range(weights.size):
        mean += k * weights[k]
    x = mean + 1.5 * math.sqrt(mean)
    for _ in range(ITERATIONS):
        tail = slope = 0.0
        for i in range(factors.size):
            part, step = erlang_tail(weights, factors[i] * x)
            tail += averaged[i] * part
            slope += averaged[i] * factors[i] * step
        above = tail > 0.0 and math.log(tail) > log_alpha
        low, high = (x, high) if above else (low, x)
        point = x - (math.log(tail) - log_alpha) * tail / slope if tail > 0.0 and slope < 0.0 else -1.0
        if not (low < point and point < high):
            point = 2.0 * x if high == math.inf else 0.5 * (low + high)
        done = abs(point - x) <= PRECISION * x
        x = point
        if done:
            return x
    return math.nan


@jit
def log_ratio(counts: Integers, background: Floats, over: Floats, shares: Floats) -> float:
    """Return max ln L(x)/L(0) over x ≥ 0 of the averaged likelihood, which has one maximum."""
    weights = erlang_weights(counts, background, over, shares)
    if weights[0] <= 0.0:
        return math.inf
    if weights.size == 1 or weights[1] <= weights[0]:
        return 0.0
    low, high = 0.0, float(weights.size)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        value, slope = _series(weights, middle)
        low, high = (middle, high) if slope > value else (low, middle)
    return math.log(_series(weights, low)[0] / weights[0]) - low


@jit
def _series(weights: Floats, x: float) -> tuple[float, float]:
    """Return Σ d_k x^k/k! and its derivative."""
    term, value, slope = 1.0, weights[0], 0.0
    for k in range(1, weights.size):
        slope += weights[k] * term
        term *= x / k
        value += weights[k] * term
    return value, slope


@jit
def joint_tail(counts: Integers, background: Floats, over: Floats, shares: Floats) -> float:
    """Return the probability without signal of a likelihood ratio that is at least the observed one.

    The ratio rises with every count. So outcomes are looked at in lexical order, and where one is in the
    tail with no event in the channels after c, all are with at least as many in c.
    """
    least = log_ratio(counts, background, over, shares) - EQUAL
    if least <= 0.0:
        return 1.0
    last = counts.size - 1
    outcome, before = np.zeros(counts.size, np.int64), np.ones(counts.size)
    p, c = 0.0, last
    outcome[c] = 1
    before[1:] = _before(outcome, background, over)[:-1]
    while c >= 0:
        rest = before[c] * background_tail(outcome[c], background[c], over[c])
        beyond = rest < NEGLIGIBLE or outcome.sum() >= ROOM
        if beyond or log_ratio(outcome, background, over, shares) >= least:
            p += rest
            outcome[c] = 0
            c -= 1
        else:
            c = last
        if c >= 0:
            outcome[c] += 1
            before[1:] = _before(outcome, background, over)[:-1]
    return min(p, 1.0)


@jit
def _before(outcome: Integers, background: Floats, over: Floats) -> Floats:
    """Return the probability of the counts of the channels up to each."""
    found = np.empty(outcome.size)
    product = 1.0
    for c in range(outcome.size):
        product *= math.exp(log_probability(outcome[c], background[c], over[c]))
        found[c] = product
    return found


@jit
def _expected(
    background: Floats,
    over: Floats,
    shares: Floats,
    quantiles: Floats,
    log_alpha: float,
    factors: Floats,
    averaged: Floats,
    result: Floats,
) -> None:
    """Set the quantiles of the limit without signal: the smallest that is not passed as often."""
    sizes = np.ones(background.size, np.int64)
    for c in range(background.size):
        while background_tail(sizes[c], background[c], over[c]) > RARE:
            sizes[c] += 1
    limits, chances = np.empty(sizes.prod()), np.empty(sizes.prod())
    outcome, kept = np.zeros(sizes.size, np.int64), 0
    for number in range(limits.size):
        rest = number
        for c in range(sizes.size):
            outcome[c] = rest % sizes[c]
            rest //= sizes[c]
        chance = _before(outcome, background, over)[-1]
        if chance < RAREST or outcome.sum() > LARGEST:
            continue
        limits[kept] = joint_limit(outcome, background, over, shares, log_alpha, factors, averaged)
        chances[kept] = chance
        kept += 1
    order = np.argsort(limits[:kept])
    passed, q = 0.0, 0
    whole = chances[:kept].sum()
    for i in order:
        passed += chances[i]
        while q < quantiles.size and passed >= quantiles[q] * whole:
            result[q] = limits[i]
            q += 1
