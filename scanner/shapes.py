"""Signal and background densities, as integrals over the bins of windows.

A signal is a density in the mass around its hypothesis; an observable is a rising function of the
mass, so a bin integral is a difference of the cumulative function at the masses of the bin's edges.
A background is a sum of terms, linear in its coefficients, in the observable.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.special import ndtr

from scanner.errors import InputError

Floats = NDArray[np.float64]
Parameters = Mapping[str, Floats]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def gaussian_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return Φ(z), z the distance from the peak in resolutions."""
    del parameters
    value: Floats = ndtr(z)
    return value


def double_gaussian_cdf(z: Floats, parameters: Parameters) -> Floats:
    """Return the cumulative function of two Gaussians with one centre.

    `fraction` is the part of the wide one, `ratio` (> 1) its width over the narrow one's.
    """
    fraction, ratio = parameters["fraction"], parameters["ratio"]
    value: Floats = (1.0 - fraction) * ndtr(z) + fraction * ndtr(z / ratio)
    return value


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


SIGNAL_SHAPES: dict[str, tuple[Callable[[Floats, Parameters], Floats], tuple[str, ...]]] = {
    "gaussian": (gaussian_cdf, ()),
    "double_gaussian": (double_gaussian_cdf, ("fraction", "ratio")),
    "crystal_ball": (crystal_ball_cdf, ("alpha", "n")),
}
"""Cumulative function of each shape and the parameters that it wants beside the resolution."""


def signal_integrals(
    shape: str, edges_mass: Floats, mass: Floats, resolution: Floats, parameters: Parameters
) -> Floats:
    """Integrate a unit signal over the bins of windows.

    Parameters
    ----------
    shape : str
        A key of `SIGNAL_SHAPES`.
    edges_mass : (W, B + 1) float
        Bin edges in mass [GeV].
    mass, resolution : (W,) float
        Hypothesis and its resolution [GeV].
    parameters : mapping of (W,) float
        The shape's further parameters.

    Returns
    -------
    (W, B) float
        Part of the signal in each bin; the sum over bins is below 1 where a window cuts a tail.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    if shape not in SIGNAL_SHAPES:
        raise InputError(f"unknown signal shape {shape!r}: take one of {', '.join(SIGNAL_SHAPES)}")
    cdf, wanted = SIGNAL_SHAPES[shape]
    missing = [name for name in wanted if name not in parameters]
    if missing:
        raise InputError(
            f"signal shape {shape!r} wants the parameter {missing[0]!r}: add it under signal.parameters"
        )
    z = (edges_mass - mass[:, None]) / resolution[:, None]
    columns = {name: np.asarray(parameters[name], dtype=np.float64).reshape(-1, 1) for name in wanted}
    return np.ascontiguousarray(np.diff(cdf(z, columns), axis=1))


def chebyshev_integrals(edges: Floats, terms: int) -> Floats:
    """Integrate Chebyshev polynomials T₀ … over the bins of windows.

    Parameters
    ----------
    edges : (W, B + 1) float
        Bin edges in the observable; each window is mapped to [−1, 1].
    terms : int
        Order plus one.

    Returns
    -------
    (W, K, B) float
        Integrals with dx/2, so that the coefficient of T₀ alone is in events.
    """
    low, high = edges[:, :1], edges[:, -1:]
    x = 2.0 * (edges - low) / (high - low) - 1.0
    basis = np.eye(terms)
    return np.ascontiguousarray(
        np.stack([0.5 * np.diff(chebyshev.chebval(x, chebyshev.chebint(c)), axis=1) for c in basis], axis=1)
    )


def exponential_integrals(edges: Floats, slope: Floats) -> Floats:
    """Integrate e^{−κx} and its derivative in κ over the bins of windows.

    The slope floats to first order around κ: e^{−(κ+δ)x} ≈ e^{−κx} (1 − δx), which keeps the
    expectation linear in its coefficients; `exponential_slope` finds κ.

    Parameters
    ----------
    edges : (W, B + 1) float
        Bin edges in the observable; x runs from −1 to 1 over a window.
    slope : (W,) float
        κ of each window.

    Returns
    -------
    (W, 2, B) float
        The first term is normalised to one event in the window.
    """
    x = 2.0 * (edges - edges[:, :1]) / (edges[:, -1:] - edges[:, :1]) - 1.0
    kappa = np.asarray(slope, dtype=np.float64)[:, None, None]
    half = 0.5 * np.diff(x, axis=1)[..., None]
    nodes = 0.5 * (x[:, 1:] + x[:, :-1])[..., None] + half * NODES
    density = np.exp(-kappa * nodes) * WEIGHTS * half
    plain, moment = density.sum(axis=2), (density * nodes).sum(axis=2)
    return np.ascontiguousarray(np.stack([plain, moment], axis=1) / plain.sum(axis=1)[:, None, None])


def exponential_slope(edges: Floats, counts: Floats) -> Floats:
    """Find the maximum-likelihood slope of a pure exponential in each window.

    The likelihood of a truncated exponential depends on the mean of x alone: κ solves
    ⟨x⟩ = 1/κ − coth κ on [−1, 1]. Bins stand for their centres.

    Parameters
    ----------
    edges : (W, B + 1) float
        Bin edges in the observable.
    counts : (W, B) float
        Events; a window without events has slope 0.

    Returns
    -------
    (W,) float
        κ, bounded to ±50 per half window.
    """
    x = 2.0 * (edges - edges[:, :1]) / (edges[:, -1:] - edges[:, :1]) - 1.0
    centres = 0.5 * (x[:, 1:] + x[:, :-1])
    total = counts.sum(axis=1)
    mean = np.where(total > 0.0, (counts * centres).sum(axis=1) / np.maximum(total, 1.0), 0.0)
    low, high = np.full_like(mean, -50.0), np.full_like(mean, 50.0)
    for _ in range(60):  # bisection: 100/2⁶⁰ is below the spacing of floats
        middle = 0.5 * (low + high)
        too_high = _truncated_mean(middle) > mean
        low, high = np.where(too_high, middle, low), np.where(too_high, high, middle)
    return 0.5 * (low + high)


def _truncated_mean(kappa: Floats) -> Floats:
    """Return ⟨x⟩ of e^{−κx} on [−1, 1]."""
    small = np.abs(kappa) < 1e-4
    safe = np.where(small, 1.0, kappa)
    value: Floats = np.where(small, -kappa / 3.0, 1.0 / safe - 1.0 / np.tanh(safe))
    return value
