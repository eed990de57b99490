"""What is known of a background or an efficiency, as a mixture: values and the weights of a quadrature."""

import math
from functools import cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import gammaincinv, ndtr, ndtri

from scanner.likelihoods.binned import Floats

NODES = 400
"""Quadrature nodes in the cumulative probability of one nuisance ..."""
NODES_OF_TWO = 100
"""... and of each of two."""

Mixture = tuple[Floats, Floats]
"""Values and weights, which sum to one."""


@cache
def unit_nodes(nodes: int = NODES) -> Mixture:
    """Return Gauss–Legendre nodes on (0, 1), crowded at both ends, and their weights.

    With u = t³(10 − 15t + 6t²) the tails of a distribution are resolved and its moments converge.
    """
    x, w = leggauss(nodes)
    t = 0.5 * (x + 1.0)
    u = t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
    weights: Floats = 0.5 * w * 30.0 * t * t * (1.0 - t) ** 2
    return np.clip(u, 1e-300, 1.0 - 1e-16), weights


def exactly(value: float) -> Mixture:
    """Return the mixture of one value."""
    return np.array([value]), np.ones(1)


def gamma(mean: float, spread: float, nodes: int = NODES) -> Mixture:
    """Return the Gamma distribution of variance mean·spread."""
    if spread == 0.0 or mean == 0.0:
        return exactly(mean)
    u, weights = unit_nodes(nodes)
    values: Floats = gammaincinv(mean / spread, u) * spread
    return values, weights


def log_normal(median: float, kappa: float, nodes: int = NODES) -> Mixture:
    """Return median·κ^z with z standard normal."""
    if kappa == 1.0:
        return exactly(median)
    u, weights = unit_nodes(nodes)
    values: Floats = median * np.exp(math.log(kappa) * ndtri(u))
    return values, weights


def normal(mean: float, error: float, nodes: int = NODES) -> Mixture:
    """Return the normal distribution, cut off at 0."""
    if error == 0.0:
        return exactly(mean)
    u, weights = unit_nodes(nodes)
    below = ndtr(-mean / error)
    values: Floats = np.maximum(mean + error * ndtri(below + u * (1.0 - below)), 0.0)
    return values, weights
