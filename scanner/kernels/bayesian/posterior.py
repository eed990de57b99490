"""The posterior of the signal yield of one window, its background integrated over by sampling.

The background coefficients c have flat priors over all values that leave the background positive in
every bin. For the samples c_i of a proposal density g the marginal posterior is

    p(s) = π(s) Σ_i L(s, c_i) / g(c_i),

where the sum is smooth in s: every sample has the whole likelihood in s at the nodes. Samples are
points of randomised lattices (quasi-Monte Carlo); the scatter of the limits of the R replicates is the
stated error (Owen, Monte Carlo theory, methods and examples, ch. 17).
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, factorise
from scanner.kernels.bayesian.barrier import PIVOT_ZERO, find_centre, solve_lower, start_inside
from scanner.kernels.bayesian.density import credible_limit
from scanner.kernels.bayesian.marginal import sample, set_logs_at_centre
from scanner.kernels.linear.window import IMPOSSIBLE, NOT_CONVERGED, OK
from scanner.kernels.linear.workspace import DATA, THETA, allocate, load

GRID = 40
"""Nodes in √s."""
PILOT = 32
"""Samples that find the range of s."""
DROP = 18.0
"""How far ln p falls below its maximum at the ends of the range."""


@jit
def credible_limits(
    counts: Floats,
    signal: Floats,
    templates: Floats,
    terms: int,
    points: Floats,
    log_proposal: Floats,
    share: float,
    power: float,
    limits: Floats,
    errors: Floats,
    nodes: Floats,
    logs: Floats,
    status: Flags,
) -> None:
    """Set the upper limits of credibility `share` of several data sets of one window.

    Shapes: counts (T, B), signal (B,), templates (K, B), points (R, N, K) and log_proposal (R, N) of the
    proposal in units of its width, limits, errors, status (T,). The prior of the yield is s^(power−1).
    The marginal likelihoods are left in `logs` (T, R, GRID), of each replicate at nodes of √s whose first
    and whose distance are in `nodes` (T, 2).
    """
    scratch, rows, coefficients, matrix = allocate(terms + 1, counts.shape[1])
    for t in range(counts.shape[0]):
        limits[t] = errors[t] = math.nan
        status[t] = IMPOSSIBLE
        window, bins, possible = load(scratch, rows, counts[t], signal, templates, terms)
        if not possible or np.min(window[terms]) < 0.0:
            continue
        weights = _barrier_weights(window, terms)
        status[t] = NOT_CONVERGED
        hessian = np.empty((terms + 1, terms + 1))
        theta = _centre(window, bins, coefficients, matrix, weights, terms, power, hessian)
        if math.isnan(theta[0]):
            continue
        if not _set_logs(
            window, bins[DATA], weights, theta, hessian, terms, points, log_proposal, nodes[t], logs[t]
        ):
            continue
        limits[t], errors[t] = _pool(logs[t], share, power, nodes[t, 0], nodes[t, 1])
        if math.isfinite(limits[t]):
            status[t] = OK


@jit
def _barrier_weights(templates: Floats, terms: int) -> Floats:
    """Return weights (B,) that sum to K over the bins that a background reaches."""
    weights = np.zeros(templates.shape[1])
    for b in range(weights.size):
        for k in range(terms):
            if templates[k, b] != 0.0:
                weights[b] = 1.0
    total = np.sum(weights)
    return weights * (terms / total) if total > 0.0 else weights


@jit
def _centre(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    weights: Floats,
    terms: int,
    power: float,
    hessian: Floats,
) -> Floats:
    """Return the centre (K+1,), s last, NaN if there is none, and set its Hessian."""
    theta = np.full(terms + 1, math.nan)
    if terms > 0 and not start_inside(templates, bins, coefficients, matrix, weights, terms):
        return theta
    start = coefficients[THETA, : terms + 1].copy()
    start[terms] = 1.0 / np.sum(templates[terms])
    if find_centre(templates, bins[DATA], weights, start, terms, power, hessian):
        theta[:] = start
    return theta


@jit
def _set_logs(
    templates: Floats,
    counts: Floats,
    weights: Floats,
    theta: Floats,
    hessian: Floats,
    terms: int,
    points: Floats,
    log_proposal: Floats,
    nodes: Floats,
    logs: Floats,
) -> bool:
    """Set the marginal likelihood of each replicate at the nodes; return whether there is one."""
    background = np.zeros(counts.size)
    for k in range(terms):
        background += theta[k] * templates[k]
    width = _marginalise(hessian, terms)
    if math.isnan(width):
        return False
    arrays = (templates, counts, weights, background, hessian)
    start, stop = _range(arrays, terms, theta[terms], width, points, log_proposal)
    if math.isnan(stop):
        return False
    nodes[0], nodes[1] = start, (stop - start) / (GRID - 1)
    _run(arrays, terms, nodes[0], nodes[1], points, log_proposal, logs)
    return True


@jit
def _marginalise(matrix: Floats, terms: int) -> float:
    """Factorise the precision of c with s integrated over, H_cc − H_cs H_sc/H_ss; return the width of s."""
    for i in range(terms):
        for j in range(i + 1):
            matrix[i, j] -= matrix[terms, i] * matrix[terms, j] / matrix[terms, terms]
    if not factorise(matrix, terms, PIVOT_ZERO):
        return math.nan
    row = matrix[terms].copy()
    variance = 1.0 / row[terms]
    right, out = row[:terms].copy(), np.empty(terms)
    return math.sqrt(variance + solve_lower(matrix, right, out) * variance * variance)


Arrays = tuple[Floats, Floats, Floats, Floats, Floats]
"""Templates, counts, weights, central background and factor of the precision."""


@jit
def _run(
    arrays: Arrays, terms: int, start: float, step: float, points: Floats, log_proposal: Floats, out: Floats
) -> None:
    """Set `out` (R, M) to the logarithms of the density of each replicate, at M nodes in √s."""
    templates, counts, weights, background, factor = arrays
    signals = np.empty(out.shape[1])
    for m in range(signals.size):
        signals[m] = (start + m * step) ** 2
    table, logs = np.empty((counts.size, signals.size)), np.empty(signals.size)
    set_logs_at_centre(templates, counts, background, signals, terms, table, logs)
    logs -= np.max(logs)
    for r in range(out.shape[0]):
        sample(
            templates,
            counts,
            weights,
            background,
            factor,
            terms,
            points[r],
            log_proposal[r],
            table,
            logs,
            out[r],
        )


@jit
def _range(
    arrays: Arrays, terms: int, centre: float, width: float, points: Floats, log_proposal: Floats
) -> tuple[float, float]:
    """Return the √s between which ln p is within DROP of its maximum, by a few samples on a wide grid."""
    size = min(PILOT, points.shape[1])
    low, high = math.sqrt(max(centre - 10.0 * width, 0.0)), math.sqrt(centre + 25.0 * width)
    logs = np.empty((1, GRID))
    for _ in range(40):
        step = (high - low) / (GRID - 1)
        _run(arrays, terms, low, step, points[:1, :size], log_proposal[:1, :size], logs)
        top = np.max(logs)
        if not top > -math.inf:
            return math.nan, math.nan
        if logs[0, GRID - 1] < top - DROP:
            first, last = 0, GRID - 1
            while first < GRID - 2 and logs[0, first + 1] < top - DROP:
                first += 1
            while last > 1 and logs[0, last - 1] < top - DROP:
                last -= 1
            return low + first * step, low + last * step
        high *= math.sqrt(2.0)
    return math.nan, math.nan


@jit
def _pool(logs: Floats, share: float, power: float, start: float, step: float) -> tuple[float, float]:
    """Return the limit of the mean density of the replicates (R, M), and its standard error."""
    replicates, size = logs.shape
    top = np.max(logs)
    mean, scratch = np.zeros(size), np.empty((2, size))
    squares = total = 0.0
    for r in range(replicates):
        mean += np.exp(logs[r] - top)
    pooled = credible_limit(share, power, start, step, np.log(mean), scratch)
    for r in range(replicates):
        own = credible_limit(share, power, start, step, logs[r], scratch)
        total += own - pooled
        squares += (own - pooled) ** 2
    if replicates < 2:
        return pooled, math.inf
    variance = (squares - total * total / replicates) / (replicates - 1.0)
    return pooled, math.sqrt(max(variance, 0.0) / replicates)
