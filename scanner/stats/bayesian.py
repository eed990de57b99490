"""Bayesian limits of counting experiments, by quadrature over background and efficiency.

With a prior flat in the yield the integral over it is a Gamma function. A flat prior in the yield is not
flat in a coupling: with σ ∝ g^power a prior flat in g is s^(1/power−1). Those priors, and intervals, take
the density at nodes.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincc, logsumexp, xlogy

from scanner.likelihoods.binned import Floats
from scanner.stats import mixture
from scanner.stats.density import Density
from scanner.stats.mixture import Mixture

POINTS = 301
"""Nodes of a density in √s."""
DROP = 30.0
"""How far ln p falls below its maximum at the ends of the nodes."""


def posterior_tail(strength: float, n: int, backgrounds: Mixture, scales: Mixture) -> float:
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
    backgrounds = mixture.gamma(background, spread)
    scales = mixture.log_normal(signal, kappa)
    return flat_limit(n, backgrounds, scales, confidence_level)


def flat_limit(n: int, backgrounds: Mixture, scales: Mixture, confidence_level: float) -> float:
    """Return the upper limit for a prior flat in the yield: the integral over it is a Gamma function."""
    target = (1.0 - confidence_level) * posterior_tail(0.0, n, backgrounds, scales)

    def excess(strength: float) -> float:
        return posterior_tail(strength, n, backgrounds, scales) - target

    high = 1.0 / float(scales[0] @ scales[1])
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-13 * high, rtol=1e-12))


def posterior_density(n: int, backgrounds: Mixture, scales: Mixture, power: float) -> Density:
    """Return the posterior of s for n ~ Poisson(s·scale + b) and the prior s^(power−1)."""
    scale = float(scales[0] @ scales[1])
    start, stop = 0.0, (math.sqrt(n + 1.0) + 6.0) ** 2 / scale
    for _ in range(200):
        x = np.linspace(math.sqrt(start), math.sqrt(stop), POINTS)
        logs = log_likelihood(x * x, n, backgrounds, scales)
        inside = np.flatnonzero(logs > logs.max() - DROP)
        if inside[-1] == POINTS - 1:
            stop *= 2.0
            continue
        low, high = max(inside[0] - 1, 0), inside[-1] + 1
        if high - low > POINTS // 2:
            break
        start, stop = float(x[low] ** 2), float(x[high] ** 2)
    return Density(float(x[0]), float(x[1] - x[0]), logs, power)


def log_likelihood(strengths: Floats, n: int, backgrounds: Mixture, scales: Mixture) -> Floats:
    """Return ln P(n | s), averaged over background and scale, at each of the `strengths`."""
    weights = np.log(np.outer(scales[1], backgrounds[1])).ravel()
    logs = np.empty(strengths.size)
    for i, s in enumerate(strengths):
        nu = np.add.outer(s * scales[0], backgrounds[0]).ravel()
        logs[i] = logsumexp(weights + xlogy(n, nu) - nu)
    return logs
