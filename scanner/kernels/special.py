"""The normal distribution in kernels."""

import math

from scanner.kernels import jit

ROOT_2 = math.sqrt(2.0)
ROOT_2PI = math.sqrt(2.0 * math.pi)
FAR = 12.0
"""Where the continued fraction of the tail is exact to the last bits and erfc nears underflow."""


@jit
def normal_cdf(x: float) -> float:
    """Return Φ(x)."""
    return 0.5 * math.erfc(-x / ROOT_2)


@jit
def normal_tail(x: float) -> float:
    """Return 1 − Φ(x)."""
    return 0.5 * math.erfc(x / ROOT_2)


@jit
def normal_hazard(x: float) -> float:
    """Return φ(x)/(1−Φ(x)), the slope of −ln(1−Φ)."""
    if x < FAR:
        return math.exp(-0.5 * x * x) / (ROOT_2PI * normal_tail(x))
    fraction = x
    for k in range(24, 0, -1):
        fraction = x + k / fraction
    return fraction


@jit
def log_normal_tail(x: float) -> float:
    """Return ln(1 − Φ(x))."""
    if x < FAR:
        return math.log(normal_tail(x))
    return -0.5 * x * x - math.log(ROOT_2PI * normal_hazard(x))


@jit
def log_tail_and_hazard(x: float) -> tuple[float, float]:
    """Return ln(1 − Φ(x)) and φ(x)/(1−Φ(x)) from one evaluation of the tail."""
    if x < FAR:
        tail = normal_tail(x)
        return math.log(tail), math.exp(-0.5 * x * x) / (ROOT_2PI * tail)
    hazard = normal_hazard(x)
    return -0.5 * x * x - math.log(ROOT_2PI * hazard), hazard


@jit
def rough_tail_quantile(tail: float) -> float:
    """Return x with 1 − Φ(x) = tail ≤ ½ to 5e-4 (Hastings, Abramowitz and Stegun 26.2.23)."""
    t = math.sqrt(-2.0 * math.log(tail))
    return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    )


@jit
def normal_quantile(p: float) -> float:
    """Return Φ⁻¹(p): the rational start of Hastings and Newton steps on ln p."""
    if not (p > 0.0 and p < 1.0):
        return -math.inf if p == 0.0 else (math.inf if p == 1.0 else math.nan)
    tail = min(p, 1.0 - p)
    x = rough_tail_quantile(tail)
    for _ in range(3):
        x += (log_normal_tail(x) - math.log(tail)) / normal_hazard(x)
    return x if p > 0.5 else -x
