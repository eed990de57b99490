"""The posterior of the yield of a window with nuisances, which are integrated over at every yield.

At each node s the background coefficients and nuisances θ have a centre and a precision of their own: the
minimum and the Hessian of

    −ln L(θ, s) − ln π(θ) − Σ_b w_b ln β_b(θ),

with the background β and the weights of `scanner.kernels.bayesian.barrier`. The same points of randomised
lattices, laid around each centre, sample the integral over θ there. Where the posterior at given s is close
to normal, their weights are nearly the same at all s, and the shape of p(s) is known better than its size.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, factorise
from scanner.kernels.bayesian.barrier import PIVOT_ZERO, solve_lower
from scanner.kernels.bayesian.sums import (
    Model,
    allowed,
    barrier,
    best_factor,
    constraint,
    log_likelihood,
    set_sums,
)

ITERATIONS = 60
DECREMENT = 1e-7
"""Newton decrement squared at which a centre is found: it need not be exact, but smooth in s."""
HALVINGS = 30
DIFFERENCE = 1e-4
"""Step of a parameter for derivatives of the expectation."""
RIDGE = 1e-10
"""Added to the relative diagonal of a precision, which rounding may make singular."""
DROP = 18.0
"""How far ln p falls below its maximum at the ends of the range."""
COARSE = 20
"""Nodes that the range is looked for with."""
PASSES = 60

Data = tuple[Floats, Floats, Floats]
"""Counts (B,), global observables (J,), measured factors of the template statistics (B,)."""


@jit
def find_range(model: Model, data: Data, weights: Floats, start: Floats, high: float) -> tuple[float, float]:
    """Return the √s between which ln p in the Laplace approximation is within DROP of its maximum.

    `start` (P,) is where the search for centres begins at the lowest yield, `high` a guess of the upper
    end. Returns NaN where there is none.
    """
    low, size = 0.0, start.size
    centres, factors, logs = np.empty((COARSE, size)), np.empty((COARSE, size, size)), np.empty(COARSE)
    for _ in range(PASSES):
        step = (high - low) / (COARSE - 1)
        set_centres(model, data, weights, start, low, step, centres, factors, logs)
        top = np.max(logs)
        if not top > -math.inf:
            return math.nan, math.nan
        first, last = 0, COARSE - 1
        while logs[first] < top - DROP:
            first += 1
        while logs[last] < top - DROP:
            last -= 1
        if last == COARSE - 1:
            high *= math.sqrt(2.0)
            continue
        end = low + (last + 1) * step
        low += max(first - 1, 0) * step
        high = end
        if last - first >= COARSE // 2:
            return low, high
    return math.nan, math.nan


@jit
def set_centres(
    model: Model,
    data: Data,
    weights: Floats,
    start: Floats,
    low: float,
    step: float,
    centres: Floats,
    factors: Floats,
    logs: Floats,
) -> None:
    """Set centres (M, P), Cholesky factors (M, P, P) and Laplace's ln p (M,) at the nodes low + m·step.

    A factor's diagonal holds reciprocals. Where there is no centre ln p is −∞.
    """
    theta = start.copy()
    for m in range(logs.size):
        logs[m] = find_conditional(model, data, weights, (low + m * step) ** 2, theta, factors[m])
        if not logs[m] > -math.inf:
            theta[:] = start
        centres[m] = theta


@jit
def find_conditional(
    model: Model, data: Data, weights: Floats, signal: float, theta: Floats, factor: Floats
) -> float:
    """Move `theta` to the centre at a yield and set the factor; return ln p by Laplace's method."""
    size, bins = theta.size, weights.size
    sums, gradient, step, trial = np.empty((4, bins)), np.empty(size), np.empty(size), np.empty(size)
    rows = np.empty((2, size, bins))
    value = _objective(model, data, weights, signal, theta, sums)
    if not value < math.inf:
        return -math.inf
    for _ in range(ITERATIONS):
        _set_rows(model, theta, signal, rows)
        set_sums(model, theta, sums)
        _derivatives(model, data, weights, signal, theta, sums, rows, gradient, factor)
        if not factorise(factor, size, PIVOT_ZERO):
            return -math.inf
        decrement = solve_lower(factor, gradient, step)
        if not decrement >= DECREMENT:
            break
        better = _search(model, data, weights, signal, theta, step, value, decrement, trial, sums)
        if not better < value:
            break
        value = better
        theta[:] = trial
    log = constraint(theta, data[1])
    set_sums(model, theta, sums)
    log += log_likelihood(model, data[0], data[2], sums, signal)
    for i in range(size):
        log += math.log(factor[i, i])
    return log


@jit
def _search(
    model: Model,
    data: Data,
    weights: Floats,
    signal: float,
    theta: Floats,
    step: Floats,
    value: float,
    decrement: float,
    trial: Floats,
    sums: Floats,
) -> float:
    """Set `trial` to a point down the step; return the objective there, ∞ if there is none."""
    length = 1.0
    for _ in range(HALVINGS):
        for i in range(theta.size):
            trial[i] = theta[i] - length * step[i]
        new = _objective(model, data, weights, signal, trial, sums)
        if new < value - 1e-4 * length * decrement:
            return new
        length *= 0.5
    return math.inf


@jit
def _objective(
    model: Model, data: Data, weights: Floats, signal: float, theta: Floats, sums: Floats
) -> float:
    set_sums(model, theta, sums)
    inside = barrier(sums, weights)
    if not inside > -math.inf:
        return math.inf
    log = log_likelihood(model, data[0], data[2], sums, signal)
    return -log - inside - constraint(theta, data[1])


@jit
def _set_rows(model: Model, theta: Floats, signal: float, rows: Floats) -> None:
    """Set the derivatives (2, P, B) of the whole expectation and of the background."""
    above, below = np.empty((4, rows.shape[2])), np.empty((4, rows.shape[2]))
    moved = theta.copy()
    for i in range(theta.size):
        step = DIFFERENCE * max(abs(theta[i]), 1.0)
        moved[i] = theta[i] + step
        set_sums(model, moved, above)
        moved[i] = theta[i] - step
        set_sums(model, moved, below)
        moved[i] = theta[i]
        for b in range(rows.shape[2]):
            background = above[0, b] - below[0, b] + above[1, b] - below[1, b]
            own = above[2, b] - below[2, b] + above[3, b] - below[3, b]
            rows[1, i, b] = 0.5 * background / step
            rows[0, i, b] = 0.5 * (background + signal * own) / step


@jit
def _derivatives(
    model: Model,
    data: Data,
    weights: Floats,
    signal: float,
    theta: Floats,
    sums: Floats,
    rows: Floats,
    gradient: Floats,
    matrix: Floats,
) -> None:
    """Set the gradient and the Hessian's lower triangle, without second derivatives of the expectation."""
    counts, observed, measured = data
    statistics, nuisances = model[7], observed.size
    gradient[:] = 0.0
    matrix[:] = 0.0
    for b in range(counts.size):
        slope, curve = _bin_derivatives(counts[b], statistics[b], measured[b], sums[:, b], signal)
        background = sums[0, b] + sums[1, b]
        ratio = weights[b] / background if weights[b] > 0.0 else 0.0
        bend = ratio / background if weights[b] > 0.0 else 0.0
        for i in range(theta.size):
            gradient[i] += slope * rows[0, i, b] - ratio * rows[1, i, b]
            for j in range(i + 1):
                matrix[i, j] += curve * rows[0, i, b] * rows[0, j, b] + bend * rows[1, i, b] * rows[1, j, b]
    for j in range(nuisances):
        gradient[j] += theta[j] - observed[j]
        matrix[j, j] += 1.0
    for i in range(theta.size):
        matrix[i, i] *= 1.0 + RIDGE


@jit
def _bin_derivatives(
    n: float, delta: float, measured: float, sums: Floats, signal: float
) -> tuple[float, float]:
    """Return slope and curvature of a bin's −ln L by the expectation; template statistics soften both."""
    uncertain, certain = sums[0] + signal * sums[2], sums[1] + signal * sums[3]
    expected, spread = uncertain + certain, 0.0
    if delta > 0.0 and uncertain != 0.0:
        beta = best_factor(n, uncertain, certain, delta, measured)
        expected = beta * uncertain + certain
        spread = (delta * uncertain) ** 2
    if not expected > 0.0:
        return 1.0, 0.0
    slope = 1.0 - n / expected
    return slope, n / (expected * expected + n * spread)


@jit
def sample(
    model: Model,
    data: Data,
    centres: Floats,
    factors: Floats,
    logs: Floats,
    low: float,
    step: float,
    points: Floats,
    log_proposal: Floats,
    out: Floats,
) -> None:
    """Set `out` (R, M) to ln Σ_i p(s_m, θ_i)/g_m(θ_i) for the points (R, N, P) of each replicate.

    `log_proposal` (R, N) is the logarithm of the points' density in units of the precision.
    """
    theta, sums = np.empty(centres.shape[1]), np.empty((4, data[0].size))
    own = np.empty(points.shape[1])
    for m in range(centres.shape[0]):
        volume = 0.0
        for i in range(theta.size):
            volume += math.log(factors[m, i, i])
        for r in range(points.shape[0]):
            for n in range(points.shape[1]):
                own[n] = -math.inf
                if not logs[m] > -math.inf:
                    continue
                _place(centres[m], factors[m], points[r, n], theta)
                set_sums(model, theta, sums)
                if allowed(sums):
                    log = log_likelihood(model, data[0], data[2], sums, (low + m * step) ** 2)
                    own[n] = log + constraint(theta, data[1]) - log_proposal[r, n] + volume
            out[r, m] = _log_sum(own)


@jit
def _place(centre: Floats, factor: Floats, point: Floats, theta: Floats) -> None:
    """Set θ to the centre plus L⁻ᵀ y."""
    for k in range(theta.size - 1, -1, -1):
        shift = point[k]
        for j in range(k + 1, theta.size):
            shift -= factor[j, k] * (theta[j] - centre[j])
        theta[k] = centre[k] + shift * factor[k, k]


@jit
def _log_sum(logs: Floats) -> float:
    top = np.max(logs)
    if not top > -math.inf:
        return -math.inf
    total = 0.0
    for i in range(logs.size):
        total += math.exp(logs[i] - top)
    return top + math.log(total)
