"""Bayesian limits with a prior that is flat in the signal yield, by quadrature over the nuisances.

Flat in the yield is not flat in a coupling: σ ∝ g² makes it flat in g².
"""

import math

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.optimize import brentq
from scipy.special import gammaincc, gammaincinv, ndtri

from scanner.likelihood import Floats

NODES = 400
"""Quadrature nodes in the cumulative probability of a nuisance."""


def unit_nodes() -> tuple[Floats, Floats]:
    """Return Gauss–Legendre nodes on (0, 1), crowded at both ends, and their weights.

    With u = t³(10 − 15t + 6t²) the tails of a distribution are resolved and its moments converge.
    """
    x, w = leggauss(NODES)
    t = 0.5 * (x + 1.0)
    u = t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
    weights: Floats = 0.5 * w * 30.0 * t * t * (1.0 - t) ** 2
    return np.clip(u, 1e-300, 1.0 - 1e-16), weights


def gamma_backgrounds(mean: float, spread: float) -> tuple[Floats, Floats]:
    """Return background values and weights of the Gamma distribution of variance mean·spread."""
    if spread == 0.0 or mean == 0.0:
        return np.array([mean]), np.ones(1)
    u, weights = unit_nodes()
    values: Floats = gammaincinv(mean / spread, u) * spread
    return values, weights


def log_normal_scales(kappa: float) -> tuple[Floats, Floats]:
    """Return values and weights of κ^z with z standard normal."""
    if kappa == 1.0:
        return np.ones(1), np.ones(1)
    u, weights = unit_nodes()
    scales: Floats = np.exp(math.log(kappa) * ndtri(u))
    return scales, weights


def posterior_tail(
    strength: float, n: int, backgrounds: tuple[Floats, Floats], scales: tuple[Floats, Floats]
) -> float:
    """Return ∫_strength^∞ L(μ) dμ, up to a constant, for n ~ Poisson(μ·scale + b).

    The integral over μ of one pair of nuisances is Q(n+1, μ·scale + b)/scale.
    """
    total = strength * scales[0][:, None] + backgrounds[0][None, :]
    inner = gammaincc(n + 1.0, total) @ backgrounds[1]
    return float(np.sum(scales[1] / scales[0] * inner))


def bayesian_limit(
    n: int,
    background: float,
    confidence_level: float,
    *,
    spread: float = 0.0,
    signal: float = 1.0,
    kappa: float = 1.0,
) -> float:
    """Return the credible upper limit on the strength μ of `signal` expected events.

    Parameters
    ----------
    n : int
        Observed events.
    background : float
        Mean background.
    confidence_level : float
    spread : float
        Variance of the background over its mean, Gamma distributed.
    signal, kappa : float
        Expected signal events at μ = 1, and their log-normal error: the median times κ^z.
    """
    backgrounds = gamma_backgrounds(background, spread)
    scales = log_normal_scales(kappa)
    scales = (scales[0] * signal, scales[1])
    target = (1.0 - confidence_level) * posterior_tail(0.0, n, backgrounds, scales)

    def excess(strength: float) -> float:
        return posterior_tail(strength, n, backgrounds, scales) - target

    high = 1.0 / signal
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-13 * high, rtol=1e-12))
