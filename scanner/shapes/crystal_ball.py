"""The Crystal Ball function with one tail and with two."""

import numpy as np
from scipy.special import ndtr

from scanner.shapes.peaks import ROOT_TWO_PI
from scanner.shapes.types import Floats, Parameters


def crystal_ball_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative Crystal Ball function.

    A Gaussian core above z = −α and a power law (n/α)ⁿ e^{−α²/2} (n/α − α − z)^{−n} below
    (J. E. Gaiser, SLAC-R-255, appendix F), n > 1. A negative α is the mirror image, with the tail to
    high values: a photon that leaks energy raises the mass that it recoils against.
    """
    side, n = np.sign(parameters["alpha"]), parameters["n"]
    alpha, z = np.abs(parameters["alpha"]), side * z
    root = np.sqrt(2.0 * np.pi)
    tail = n / alpha / (n - 1.0) * np.exp(-0.5 * alpha**2)
    norm = tail + root * ndtr(alpha)
    below = tail * (np.maximum(n / alpha - alpha - np.minimum(z, -alpha), 1e-300) * alpha / n) ** (1.0 - n)
    above = tail + root * (ndtr(np.maximum(z, -alpha)) - ndtr(-alpha))
    cumulative = np.where(z < -alpha, below, above) / norm
    value: Floats = np.where(side < 0, 1.0 - cumulative, cumulative)
    return value


def crystal_ball_density(z: Floats, parameters: Parameters) -> Floats:
    """Return the density of the Crystal Ball function; see `crystal_ball_cdf`."""
    side, n = np.sign(parameters["alpha"]), parameters["n"]
    alpha, z = np.abs(parameters["alpha"]), side * z
    norm = tail_area(alpha, n) + ROOT_TWO_PI * ndtr(alpha)
    value: Floats = np.where(z < -alpha, tail_height(-z, alpha, n), np.exp(-0.5 * z * z)) / norm
    return value


def double_crystal_ball_density(z: Floats, parameters: Parameters) -> Floats:
    """Return the density of the Crystal Ball function with two tails; see `double_crystal_ball_cdf`."""
    low, n_low, high, n_high = _tails(parameters)
    core = np.exp(-0.5 * z * z)
    below, above = tail_height(-z, low, n_low), tail_height(z, high, n_high)
    value: Floats = np.where(z < -low, below, np.where(z > high, above, core)) / _norm(parameters)
    return value


def double_crystal_ball_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative Crystal Ball function with a power law on either side.

    A Gaussian core from −`alpha_low` to `alpha_high`, with the tails of `crystal_ball_cdf` of powers
    `n_low` and `n_high` beyond; all four are positive, the powers above 1.
    """
    low, n_low, high, n_high = _tails(parameters)
    inside = np.clip(z, -low, high)
    area = tail_area(low, n_low, np.maximum(-z, low)) + ROOT_TWO_PI * (ndtr(inside) - ndtr(-low))
    beyond = tail_area(high, n_high) - tail_area(high, n_high, np.maximum(z, high))
    value: Floats = (area + beyond) / _norm(parameters)
    return value


def tail_height(distance: Floats, alpha: Floats, n: Floats) -> Floats:
    """Return the power law (n/α)ⁿ e^{−α²/2} (n/α − α + d)^{−n} at distances d ≥ α from the peak."""
    reach = 1.0 + (np.maximum(distance, alpha) - alpha) * alpha / n
    value: Floats = np.exp(-0.5 * alpha**2) * reach**-n
    return value


def tail_area(alpha: Floats, n: Floats, distance: Floats | None = None) -> Floats:
    """Return the integral of the power law from a distance, α by default, to infinity."""
    whole: Floats = n / alpha / (n - 1.0) * np.exp(-0.5 * alpha**2)
    if distance is None:
        return whole
    area: Floats = whole * (1.0 + (distance - alpha) * alpha / n) ** (1.0 - n)
    return area


def _tails(parameters: Parameters) -> tuple[Floats, Floats, Floats, Floats]:
    return parameters["alpha_low"], parameters["n_low"], parameters["alpha_high"], parameters["n_high"]


def _norm(parameters: Parameters) -> Floats:
    low, n_low, high, n_high = _tails(parameters)
    norm: Floats = tail_area(low, n_low) + tail_area(high, n_high) + ROOT_TWO_PI * (ndtr(high) - ndtr(-low))
    return norm
