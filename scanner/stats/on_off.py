"""Profile likelihood of one signal region and one auxiliary measurement of its background.

n ~ Poisson(s + b) and m ~ Poisson(τ b); for τ = ∞ the background is known and m holds its number.
"""

import math

from scipy.optimize import brentq

from scanner.kernels.linear.cls import log_cls
from scanner.stats.asymptotic import gaussian_limits

SERIES = 0.01
"""Relative excess below which a deviance comes from its series, since its terms cancel."""


def profiled_background(s: float, n: float, m: float, tau: float) -> float:
    """Return b̂(s), the background that maximises the likelihood at signal `s`.

    b̂ = [n+m−(1+τ)s + √((n+m−(1+τ)s)² + 4(1+τ)sm)] / 2(1+τ) (Rolke, López, Conrad, NIM A551 (2005) 493).
    """
    if math.isinf(tau):
        return m
    linear = n + m - (1.0 + tau) * s
    root = math.sqrt(linear**2 + 4.0 * (1.0 + tau) * s * m)
    if linear >= 0.0:
        return (linear + root) / (2.0 * (1.0 + tau))
    return 2.0 * s * m / (root - linear)  # the same without cancellation


def minus_two_log_likelihood(s: float, n: float, m: float, tau: float) -> float:
    """Return −2 ln L(s, b̂(s)) above the saturated model."""
    b = profiled_background(s, n, m, tau)
    total = poisson_deviance(n, s + b - n)
    if math.isinf(tau):
        return total
    # At b̂ the derivative vanishes, so that τb̂ − m = b̂ (n−s−b̂)/(s+b̂), without the cancellation of large τ.
    excess = b * (n - s - b) / (s + b) if s + b > 0.0 else -m
    return total + poisson_deviance(m, excess)


def poisson_deviance(n: float, excess: float) -> float:
    """Return 2[ν − n + n ln(n/ν)] for ν = n + `excess`, with its limit 2ν for n = 0."""
    if n == 0.0:
        return 2.0 * excess
    x = excess / n
    if x <= -1.0:
        return math.inf
    if abs(x) < SERIES:  # x − ln(1+x) = x²/2 − x³/3 + …
        return 2.0 * n * x * x * sum((-x) ** k / (k + 2) for k in range(8))
    return 2.0 * n * (x - math.log1p(x))


def best_signal(n: float, m: float, tau: float) -> float:
    """Return ŝ = n − m/τ."""
    return n - (m if math.isinf(tau) else m / tau)


def q_tilde(s: float, n: float, m: float, tau: float) -> float:
    """Return q̃_s of arXiv:1007.1727, eq. 16."""
    best = best_signal(n, m, tau)
    if best >= s:
        return 0.0
    reference = minus_two_log_likelihood(max(best, 0.0), n, m, tau)
    return max(0.0, minus_two_log_likelihood(s, n, m, tau) - reference)


def asimov_root(s: float, n: float, m: float, tau: float) -> float:
    """Return √q_A for the Asimov data of the background-only fit to n and m."""
    b = profiled_background(0.0, n, m, tau)
    return math.sqrt(q_tilde(s, b, m if math.isinf(tau) else tau * b, tau))


def asymptotic_cls(s: float, n: float, m: float, tau: float) -> float:
    """Return CLs of signal `s` (arXiv:1007.1727, eqs. 59, 65, 66)."""
    value, _ = log_cls(q_tilde(s, n, m, tau), 0.0, asimov_root(s, n, m, tau), 0.0)
    return math.exp(value)


def asymptotic_limit(n: float, m: float, tau: float, confidence_level: float) -> float:
    """Return the signal whose asymptotic CLs is 1 − CL."""
    log_alpha = math.log1p(-confidence_level)

    def above(s: float) -> float:
        return float(log_cls(q_tilde(s, n, m, tau), 0.0, asimov_root(s, n, m, tau), 0.0)[0]) - log_alpha

    low = max(best_signal(n, m, tau), 0.0) + 1e-9
    high = low + 1.0
    while above(high) > 0.0:
        high = low + 2.0 * (high - low)
    return float(brentq(above, low, high, xtol=1e-12, rtol=1e-12))


def asymptotic_bands(n: float, m: float, tau: float, confidence_level: float) -> tuple[float, ...]:
    """Return the expected limits: the signals with √q_A = Φ⁻¹(1−αΦ(N)) + N (eq. 89)."""
    targets = [float(target) for target in gaussian_limits(confidence_level)]
    return tuple(_signal_of_root(target, n, m, tau) for target in targets)


def _signal_of_root(target: float, n: float, m: float, tau: float) -> float:
    high = 1.0
    while asimov_root(high, n, m, tau) < target:
        high *= 2.0
    return float(brentq(lambda s: asimov_root(s, n, m, tau) - target, 0.0, high, xtol=1e-12, rtol=1e-12))
