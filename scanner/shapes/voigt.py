"""The Breit–Wigner distribution convolved with a Gaussian."""

import numpy as np
from scipy.special import voigt_profile

from scanner.shapes.types import Floats, Parameters

FAR = 10.0
"""|z + iγ| from which the asymptotic series is exact to the last digits."""
SERIES_TERMS = 16
HIGHEST_FREQUENCY = 9.0
"""Where e^{−t²/2} has fallen below 3·10⁻¹⁸."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(96)
"""More than two nodes a radian of the fastest oscillation, z t = 90."""


def voigt_density(z: Floats, parameters: Parameters) -> Floats:
    """Return the density of a Breit–Wigner convolved with a Gaussian of the resolution.

    `width` is the full width at half maximum of the non-relativistic Breit–Wigner in resolutions.
    """
    value: Floats = voigt_profile(z, 1.0, 0.5 * parameters["width"])
    return value


def voigt_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative function of `voigt_density`, to 10⁻¹³.

    The characteristic function is e^{−t²/2 − γ|t|} with γ half the width, so that
    F(z) = ½ + (1/π) ∫₀^∞ sin(tz)/t e^{−t²/2 − γt} dt. Far from the peak the integral oscillates, and the
    asymptotic series of the Faddeeva function (DLMF 7.12.1), integrated term by term, takes over.
    """
    z, gamma = np.broadcast_arrays(np.asarray(z, dtype=np.float64), 0.5 * parameters["width"])
    far = np.hypot(z, gamma) >= FAR
    value = np.empty(z.shape)
    value[far] = _series(z[far], gamma[far])
    value[~far] = _inversion(z[~far], gamma[~far])
    return value


def _series(z: Floats, gamma: Floats) -> Floats:
    """Return 1 − arg(s)/π + Im[Σ (2k−1)!!/(2k s^{2k})]/π at s = z + iγ."""
    s = z + 1j * gamma
    inverse = 1.0 / (s * s)
    term = np.ones_like(s)
    total = np.zeros_like(s)
    for k in range(1, SERIES_TERMS + 1):
        term = term * inverse * (2 * k - 1)
        total += term / (2 * k)
    value: Floats = 1.0 - np.angle(s) / np.pi + total.imag / np.pi
    return value


def _inversion(z: Floats, gamma: Floats) -> Floats:
    half = 0.5 * HIGHEST_FREQUENCY
    total = np.zeros_like(z)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        t = half * (node + 1.0)
        total += weight * half * np.sin(t * z) / t * np.exp(-0.5 * t * t - gamma * t)
    return 0.5 + total / np.pi
