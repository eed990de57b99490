"""The centre and the width of a posterior over yield and background, however few the events.

With a flat prior the mode of a Poisson likelihood may sit on the positivity boundary, where its Hessian
says nothing. The minimum of

    Σ_b (ν_b − n_b ln ν_b) − w Σ_b ln β_b − γ ln s,    ν = β + s S,    β = Σ_k c_k B_k,

lies inside, and for one coefficient with w = 1 it is the posterior's mean, with the posterior's variance
as inverse Hessian: with the logarithm of the volume element, −ln L is seen in ln c. The weights w of all
bins sum to the number of coefficients, as the logarithm of a volume in a cone does.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, factorise
from scanner.kernels.linear.window import fit_window, usable
from scanner.kernels.linear.workspace import DATA

ITERATIONS = 60
DECREMENT = 1e-6
"""Newton decrement squared at which the centre is found: it need not be exact."""
FRACTION = 0.9
"""Part of the way to the boundary that a step may go."""
PIVOT_ZERO = 1e-14


@jit
def start_inside(
    templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, weights: Floats, terms: int
) -> bool:
    """Set the background coefficients to a fit of n + w events a bin, which is positive everywhere."""
    for b in range(bins.shape[1]):
        bins[DATA, b] += weights[b]
    status, _ = fit_window(templates, bins, coefficients, matrix, terms, 0.0)
    for b in range(bins.shape[1]):
        bins[DATA, b] -= weights[b]
    return usable(status)


@jit
def expectations(
    templates: Floats, weights: Floats, theta: Floats, terms: int, background: Floats, total: Floats
) -> bool:
    """Set β and ν; return whether β is positive where a background can be, and ν everywhere."""
    inside = bool(theta[terms] > 0.0)
    for b in range(background.size):
        level = 0.0
        for k in range(terms):
            level += theta[k] * templates[k, b]
        background[b] = level
        total[b] = level + theta[terms] * templates[terms, b]
    for b in range(background.size):
        inside = inside and bool(total[b] > 0.0) and bool(background[b] > 0.0 or weights[b] == 0.0)
    return inside


@jit
def objective(
    counts: Floats, weights: Floats, background: Floats, total: Floats, signal: float, power: float
) -> float:
    """Return Σ (ν − n ln ν − w ln β) − γ ln s."""
    value = -power * math.log(signal)
    for b in range(counts.size):
        value += total[b]
        if counts[b] > 0.0:
            value -= counts[b] * math.log(total[b])
        if weights[b] > 0.0:
            value -= weights[b] * math.log(background[b])
    return value


@jit
def _derivatives(
    templates: Floats,
    counts: Floats,
    background: Floats,
    total: Floats,
    weights: Floats,
    theta: Floats,
    terms: int,
    power: float,
    gradient: Floats,
    matrix: Floats,
) -> None:
    gradient[:] = 0.0
    matrix[:] = 0.0
    for b in range(counts.size):
        slope = 1.0 - counts[b] / total[b]
        curve = counts[b] / (total[b] * total[b])
        barrier = weights[b] / background[b] if weights[b] > 0.0 else 0.0
        for i in range(terms + 1):
            gradient[i] += slope * templates[i, b]
            for j in range(i + 1):
                matrix[i, j] += curve * templates[i, b] * templates[j, b]
        for i in range(terms):
            gradient[i] -= barrier * templates[i, b]
            for j in range(i + 1):
                matrix[i, j] += barrier * templates[i, b] / background[b] * templates[j, b]
    gradient[terms] -= power / theta[terms]
    matrix[terms, terms] += power / (theta[terms] * theta[terms])


@jit
def find_centre(
    templates: Floats,
    counts: Floats,
    weights: Floats,
    theta: Floats,
    terms: int,
    power: float,
    matrix: Floats,
) -> bool:
    """Minimise from a θ (K+1,), s last, that lies inside; leave the Hessian's lower triangle in `matrix`.

    Returns whether the minimum was found.
    """
    background, total = np.empty(counts.size), np.empty(counts.size)
    gradient, step, trial = np.empty(terms + 1), np.empty(terms + 1), np.empty(terms + 1)
    factor = np.empty((terms + 1, terms + 1))
    if not expectations(templates, weights, theta, terms, background, total):
        return False
    value = objective(counts, weights, background, total, theta[terms], power)
    for _ in range(ITERATIONS):
        _derivatives(templates, counts, background, total, weights, theta, terms, power, gradient, matrix)
        factor[:] = matrix
        if not factorise(factor, terms + 1, PIVOT_ZERO):
            return False
        decrement = solve_lower(factor, gradient, step)
        if decrement < DECREMENT:
            return True
        length = 1.0
        for _ in range(60):
            for i in range(terms + 1):
                trial[i] = theta[i] - length * step[i]
            if expectations(templates, weights, trial, terms, background, total):
                new = objective(counts, weights, background, total, trial[terms], power)
                if new <= value - 0.1 * length * decrement:
                    value = new
                    break
            length *= 0.5
        theta[:] = trial
        if not expectations(templates, weights, theta, terms, background, total):
            return False
    return False


@jit
def solve_lower(factor: Floats, right: Floats, out: Floats) -> float:
    """Solve factor·factorᵀ x = right into `out`, 1/diagonal stored; return right·x."""
    size = right.size
    squared = 0.0
    for i in range(size):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * out[k]
        out[i] = total * factor[i, i]
        squared += out[i] * out[i]
    for i in range(size - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, size):
            total -= factor[k, i] * out[k]
        out[i] = total * factor[i, i]
    return squared
