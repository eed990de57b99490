"""Gaussian peaks and the Johnson distribution, as functions of z = (x − m)/σ."""

import numpy as np
from scipy.special import ndtr

from scanner.shapes.types import Floats, Parameters

ROOT_TWO_PI = np.sqrt(2.0 * np.pi)


def normal_density(z: Floats) -> Floats:
    """Return φ(z)."""
    value: Floats = np.exp(-0.5 * z * z) / ROOT_TWO_PI
    return value


def gaussian_density(z: Floats, parameters: Parameters) -> Floats:
    """Return φ(z)."""
    del parameters
    return normal_density(z)


def gaussian_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return Φ(z), z the distance from the peak in resolutions."""
    del parameters
    value: Floats = ndtr(z)
    return value


def double_gaussian_density(z: Floats, parameters: Parameters) -> Floats:
    """Return the density of two Gaussians with one centre; see `double_gaussian_cdf`."""
    fraction, ratio = parameters["fraction"], parameters["ratio"]
    return (1.0 - fraction) * normal_density(z) + fraction / ratio * normal_density(z / ratio)


def double_gaussian_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative function of two Gaussians with one centre.

    `fraction` is the part of the wide one, `ratio` (> 1) its width over the narrow one's.
    """
    fraction, ratio = parameters["fraction"], parameters["ratio"]
    value: Floats = (1.0 - fraction) * ndtr(z) + fraction * ndtr(z / ratio)
    return value


def johnson_density(z: Floats, parameters: Parameters) -> Floats:
    """Return the density of Johnson's S_U; see `johnson_cdf`."""
    centre, scale = _johnson_location(parameters)
    y = (z - centre) / scale
    argument = parameters["gamma"] + parameters["delta"] * np.arcsinh(y)
    value: Floats = parameters["delta"] / scale / np.sqrt(1.0 + y * y) * normal_density(argument)
    return value


def johnson_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative function of Johnson's S_U of mean 0 and standard deviation 1.

    Φ(γ + δ asinh((z − ξ)/λ)) (N. L. Johnson, Biometrika 36 (1949) 149), where ξ and λ follow from the
    skewness parameter `gamma` (positive: tail to low values) and the tail parameter `delta` (> 0,
    heavier the smaller it is), so that mass and resolution are mean and standard deviation.
    """
    centre, scale = _johnson_location(parameters)
    value: Floats = ndtr(parameters["gamma"] + parameters["delta"] * np.arcsinh((z - centre) / scale))
    return value


def _johnson_location(parameters: Parameters) -> tuple[Floats, Floats]:
    """Return ξ and λ for mean 0 and variance 1 (Johnson, eqs. 37 and 38)."""
    growth = np.exp(parameters["delta"] ** -2.0)
    skew = parameters["gamma"] / parameters["delta"]
    scale = 1.0 / np.sqrt(0.5 * (growth - 1.0) * (growth * np.cosh(2.0 * skew) + 1.0))
    centre: Floats = scale * np.sqrt(growth) * np.sinh(skew)
    return centre, scale
