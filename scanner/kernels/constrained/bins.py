r"""The Poisson term of a bin whose template has statistical uncertainty, profiled in closed form.

A bin expects ν = βA + C, where A is the sum of the uncertain samples and β ~ N(e, δ) (J. Conway,
arXiv:1103.0354; e = 1 but for toys and Asimov data). With t = eA + C and h = δ²A² the minimum over β is at

    ν = ½[(t−h) + √((t−h)² + 4hn)],    λ = 1 − n/ν,    β = e − δ²Aλ,

and the profiled term L(t, h) = ν − n ln ν + ½hλ² has dL/dt = λ, dL/dh = −½λ² and a Hessian of rank one
in (t, h) with the curvature κ = n/(ν² + hn) along (1, −λ). For the parameters that is

    gradient  Σ λ(β A′ + C′),    Hessian  Σ κRR′ᵀ − δ²λ²A′A′ᵀ + λ(βA″ + C″),    R = (2β−e)A′ + C′.

β is not negative: where that binds, ν = C. Without events λ = min(1, t/h), so that such a bin has no
positivity boundary.
"""

import math

from scanner.kernels.algebra import Floats
from scanner.kernels.constrained.arrays import (
    BETA,
    CENTRE,
    CERTAIN,
    MIXTURE,
    MORE_CURVE,
    MORE_SLOPE,
    PENALTY,
    PURE,
    SPREAD,
    UNCERTAIN,
    UNCERTAIN_SLOPE,
    VARIANCE,
)
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import CURVE, DATA, EXPECTED, SLOPE

TINY = 1e-300
ROUNDING = 1e-12


@lean
def set_bins(bins: Floats, mode: int) -> tuple[int, int]:
    """Set slopes and curvatures; return how many bins are impossible, and how many empty ones negative.

    On entry EXPECTED holds the sum of all samples at β = 1, on return the profiled ν.
    """
    return _set_certain(bins) if mode == CERTAIN else _set_uncertain(bins, mode == PURE)


@lean
def _set_certain(bins: Floats) -> tuple[int, int]:
    bad = negative = 0
    for b in range(bins.shape[1]):
        expected, n = bins[EXPECTED, b], bins[DATA, b]
        bad += (n > 0.0) & (not expected > 0.0)
        negative += (n == 0.0) & (not expected >= 0.0)
        inverse = 1.0 / max(expected, TINY)
        ratio = n * inverse
        bins[SLOPE, b] = 1.0 - ratio
        bins[CURVE, b] = ratio * inverse
    return bad, negative


@lean
def _set_uncertain(bins: Floats, pure: bool) -> tuple[int, int]:
    bad = negative = 0
    for b in range(bins.shape[1]):
        n, variance, centre = bins[DATA, b], bins[VARIANCE, b], bins[CENTRE, b]
        total = bins[EXPECTED, b]
        uncertain = total if pure else bins[UNCERTAIN, b]
        certain = 0.0 if pure else total - uncertain
        expected, slope, curve, beta = _profile(n, centre * uncertain, uncertain, certain, variance, centre)
        penalty = 0.5 * variance * (uncertain * slope) ** 2
        mixture = 2.0 * beta - centre
        more_slope, more_curve = slope * (centre - beta), -variance * slope * slope
        bins[SPREAD, b] = variance * uncertain * uncertain
        if beta < 0.0:
            expected = certain if certain > ROUNDING * uncertain or n > 0.0 else max(certain, 0.0)
            beta = mixture = more_slope = more_curve = bins[SPREAD, b] = 0.0
            penalty = 0.5 * centre * centre / variance
            inverse = 1.0 / max(expected, TINY)
            slope, curve = 1.0 - n * inverse, n * inverse * inverse
        bad += (n > 0.0) & (not expected > 0.0)
        negative += (n == 0.0) & (not expected >= 0.0)
        bins[EXPECTED, b], bins[UNCERTAIN, b], bins[BETA, b] = expected, uncertain, beta
        bins[PENALTY, b], bins[MIXTURE, b] = penalty, mixture
        bins[UNCERTAIN_SLOPE, b] = slope * beta
        bins[MORE_SLOPE, b], bins[MORE_CURVE, b] = more_slope, more_curve
        bins[SLOPE, b] = slope * beta if pure else slope
        bins[CURVE, b] = curve * mixture * mixture + more_curve if pure else curve
    return bad, negative


@lean
def _profile(
    n: float, measured: float, uncertain: float, certain: float, variance: float, centre: float
) -> tuple[float, float, float, float]:
    """Return ν, λ, κ and β at the minimum over β, which may be negative."""
    t, h = measured + certain, variance * uncertain * uncertain
    d = t - h
    root = math.sqrt(d * d + 4.0 * h * n)
    if h <= 0.0:
        inverse = 1.0 / max(t, TINY)
        return t, 1.0 - n * inverse, n * inverse * inverse, centre
    if n == 0.0:
        if d >= 0.0:
            return d, 1.0, 0.0, centre - variance * uncertain
        return 0.0, t / h, 1.0 / h, centre - variance * uncertain * t / h
    expected = 0.5 * (d + root) if d > 0.0 else 2.0 * h * n / (root - d)
    slope = 1.0 - n / expected
    return expected, slope, n / (expected * expected + h * n), centre - variance * uncertain * slope
