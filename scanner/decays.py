"""Decays in flight: where a particle decays, and other lifetimes by weights.

Lengths are in cm. The embedded radii are those of the Belle II detector (Belle II, Technical Design Report,
1011.0352).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.errors import InputError

Array = NDArray[np.float64]

RADII = {
    "beam_pipe": (0.0, 1.0),
    "pxd": (1.4, 2.2),
    "svd": (3.9, 13.5),
    "cdc": (16.0, 113.0),
    "ecl": (125.0, 162.0),
}
"""Inner and outer radius of parts of the detector [cm]."""


def flight_probability(
    inner: ArrayLike, outer: ArrayLike, boost: ArrayLike, ctau: ArrayLike, sin_theta: ArrayLike = 1.0
) -> Array:
    """Return the probability that a particle from the origin decays between two radii.

    P = exp(−r₁/(βγcτ sin θ)) − exp(−r₂/(βγcτ sin θ)).

    Parameters
    ----------
    inner, outer : array_like
        Radii [cm], 0 ≤ inner ≤ outer; the outer one may be infinite.
    boost : array_like
        βγ = p/m.
    ctau : array_like
        Proper decay length [cm]; 0 is a prompt decay, infinite a stable particle.
    sin_theta : array_like
        Sine of the polar angle.

    Raises
    ------
    InputError
        For negative lengths or boosts, or radii in the wrong order.
    """
    r1, r2, length = np.broadcast_arrays(
        np.asarray(inner, dtype=np.float64),
        np.asarray(outer, dtype=np.float64),
        np.asarray(boost, dtype=np.float64) * np.asarray(ctau) * np.asarray(sin_theta),
    )
    if not (np.all(r1 >= 0.0) and np.all(r2 >= r1)):
        raise InputError("radii of a flight must be 0 ≤ inner ≤ outer [cm]")
    if not np.all(length >= 0.0):
        raise InputError("boost, ctau and sin_theta of a flight must not be negative")
    return np.asarray(_surviving(r1, length) * -np.expm1(-_lengths(r2 - r1, length)))


def _surviving(radius: Array, length: Array) -> Array:
    return np.asarray(np.exp(-_lengths(radius, length)))


def _lengths(distance: Array, length: Array) -> Array:
    """Return distance/length, 0 at no distance and infinite at no length."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(distance == 0.0, 0.0, distance / length))


def lifetime_weights(
    proper_length: ArrayLike, generated: ArrayLike, wanted: ArrayLike, least: ArrayLike | None = None
) -> Array:
    """Return weights that turn events of one lifetime into events of another.

    w = (cτ₀/cτ) exp(t/cτ₀ − t/cτ). Their mean is 1; their variance is finite for cτ < 2cτ₀ only.

    Events whose lifetimes were drawn evenly in ln cτ from a to b decay with the density
    [exp(−t/b) − exp(−t/a)]/(t ln b/a), and the variance of their weights is finite for all cτ < 2b.

    Parameters
    ----------
    proper_length : array_like
        Proper decay length t of each event [cm].
    generated, wanted : array_like
        Mean proper decay lengths cτ₀ and cτ [cm].
    least : array_like, optional
        Where lifetimes were drawn from `least` to `generated`, and not `generated` alone.

    Raises
    ------
    InputError
        For lengths that are not positive, or a range that is reversed.
    """
    t, c0, c = (np.asarray(v, dtype=np.float64) for v in (proper_length, generated, wanted))
    if not (np.all(t >= 0.0) and np.all(c0 > 0.0) and np.all(c > 0.0)):
        raise InputError("lifetimes must be positive, and decay lengths not negative [cm]")
    if least is None:
        return np.asarray(c0 / c * np.exp(t / c0 - t / c))
    low = np.asarray(least, dtype=np.float64)
    if not (np.all(low > 0.0) and np.all(low <= c0)):
        raise InputError("the least of the generated lifetimes must be positive, and not above the largest")
    return np.asarray(_inverse_density(t, low, c0) / c * np.exp(t / c0 - t / c))


def _inverse_density(t: Array, low: Array, high: Array) -> Array:
    """Return exp(−t/b) over the density of lengths t of lifetimes from a to b, evenly in the logarithm.

    It is t ln(b/a)/(1 − exp(−tδ)) with δ = 1/a − 1/b, and b for a = b.
    """
    slope = 1.0 / low - 1.0 / high
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(slope > 0.0, np.log(high / low) / slope, high)
        bent = t * slope / -np.expm1(-t * slope)
    return np.asarray(scale * np.where(t * slope > 0.0, bent, 1.0))


def effective_events(weights: ArrayLike) -> float:
    """Return (Σw)²/Σw², the number of unweighted events of the same precision; 0 without events."""
    w = np.asarray(weights, dtype=np.float64)
    squares = float(np.sum(w * w))
    return float(np.sum(w)) ** 2 / squares if squares > 0.0 else 0.0
