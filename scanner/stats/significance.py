"""Significances of one counting experiment, and its likelihood interval."""

import math

from scipy.optimize import brentq
from scipy.special import betainc, ndtri

from scanner.stats.on_off import best_signal, minus_two_log_likelihood, poisson_deviance


def z_profile_likelihood(n: float, m: float, tau: float) -> float:
    """Return the profile-likelihood significance of n on and m off events.

    Li, Ma, ApJ 272 (1983) 317, eq. 17, with τ = 1/α; negative for a deficit.
    """
    best = best_signal(n, m, tau)
    q = minus_two_log_likelihood(0.0, n, m, tau) - minus_two_log_likelihood(best, n, m, tau)
    return math.copysign(math.sqrt(max(q, 0.0)), best)


def z_binomial(n: int, m: int, tau: float) -> float:
    """Return the exact on/off significance Z_Bi (Cousins, Linnemann, Tucker, NIM A595 (2008) 480, eq. 14)."""
    if n == 0:
        return -math.inf
    return -float(ndtri(betainc(n, m + 1.0, 1.0 / (1.0 + tau))))


def z_asimov(signal: float, background: float) -> float:
    """Return the median significance √(2[(s+b)ln(1+s/b) − s]) (arXiv:1007.1727, eq. 97)."""
    return math.sqrt(2.0 * ((signal + background) * math.log1p(signal / background) - signal))


def poisson_interval(n: int, rise: float = 1.0) -> tuple[float, float]:
    """Return the interval of a Poisson mean where −2 ln L is within `rise` of its minimum at n."""

    def above(mean: float) -> float:
        return poisson_deviance(n, mean - n) - rise

    high = float(brentq(above, n, n + rise + 10.0 * math.sqrt(rise * (n + 1.0)), xtol=1e-13))
    # At n exp(−1 − rise/2n) the deviance exceeds `rise` by twice that mean.
    low = 0.0 if n == 0 else float(brentq(above, n * math.exp(-1.0 - rise / (2.0 * n)), n, xtol=1e-13))
    return low, high
