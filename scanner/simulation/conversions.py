"""Events of e⁺e⁻ → γ*γ* → μ⁺μ⁻μ⁺μ⁻: two virtual photons off the beam electrons turn into muons.

The cross section of two massive photons is that of neutral vector bosons with the electron's charge
(R. Brown, K. Mikaelian, Phys. Rev. D 19, 922 (1979), for ZZ): with t, u and Σ = m₁² + m₂²,

    dσ/dcosθ = πα²√λ/s² [t/u + u/t + 2sΣ/tu − m₁²m₂²(1/t² + 1/u²)],

and each photon converts with dm²/m² (α/3π)(1+2r)√(1−4r), r = m_μ²/m². The leptonic decays take the
photons as transverse and uncorrelated.
"""

import math
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from scanner.constants import ALPHA, HBARC2, MASS_MUON
from scanner.simulation import kinematics
from scanner.simulation.sampling import InverseCDF

Array = NDArray[np.float64]

NODES = 60
"""Gauss-Legendre nodes along each variable of the total cross section."""


def conversion_density(log_mass: Array, lepton: float = MASS_MUON) -> Array:
    """Return the conversion of a virtual photon to leptons per unit of ln m, (2α/3π)(1+2r)√(1−4r)."""
    r = lepton**2 * np.exp(-2 * log_mass)
    velocity = np.sqrt(np.maximum(1 - 4 * r, 0))
    return np.asarray(2 * ALPHA / (3 * math.pi) * (1 + 2 * r) * velocity)


def pair_density(m1: ArrayLike, m2: ArrayLike, y: ArrayLike, sqrt_s: float) -> tuple[Array, Array]:
    """Return dσ/dy [fb] of e⁺e⁻ → γ*γ* for distinct photons of masses m1, m2 [GeV], and cosθ.

    The coordinate y, 0 to 1, is the artanh of √λ cosθ/(s − Σ) between its bounds, in which the t- and
    u-channel poles are flat. Zero beyond the threshold.
    """
    a, b, y = np.asarray(m1) ** 2, np.asarray(m2) ** 2, np.asarray(y)
    s, total = sqrt_s**2, sqrt_s**2 - a - b
    closed = np.sqrt(a) + np.sqrt(b) >= sqrt_s
    root = np.sqrt(np.where(closed, 0.25 * s * s, np.maximum(total**2 - 4 * a * b, 1e-12 * s * s)))
    total = np.where(closed, s, total)
    reach = np.arctanh(root / total)
    slope = np.tanh(reach * (2 * y - 1))
    t, u = -total / 2 * (1 - slope), -total / 2 * (1 + slope)
    bracket = t / u + u / t + 2 * s * (a + b) / (t * u) - a * b * (1 / t**2 + 1 / u**2)
    jacobian = (1 - slope**2) * 2 * reach * total / root
    density = HBARC2 * math.pi * ALPHA**2 * root / s**2 * bracket * jacobian
    return np.where(closed, 0.0, density), np.asarray(slope * total / root)


@cache
def _masses(sqrt_s: float) -> InverseCDF:
    low, high = math.log(2 * MASS_MUON), math.log(sqrt_s - 2 * MASS_MUON)
    return InverseCDF.of(conversion_density, low, high, 2001)


@cache
def cross_section(sqrt_s: float) -> float:
    """Return the total cross section [fb]; a half for the exchange of the two pairs."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    low, high = math.log(2 * MASS_MUON), math.log(sqrt_s - 2 * MASS_MUON)
    nodes, weights = low + (high - low) * (x + 1) / 2, (high - low) / 2 * w
    share = conversion_density(nodes) * weights
    m = np.exp(nodes)
    density, _ = pair_density(m[:, None, None], m[None, :, None], (x + 1) / 2, sqrt_s)
    return float(0.5 * np.einsum("i,j,k,ijk->", share, share, w / 2, density))


@cache
def bound(sqrt_s: float) -> float:
    """Return an upper bound of `pair_density` [fb], 10% above its maximum on a grid."""
    m = np.exp(np.linspace(math.log(2 * MASS_MUON), math.log(sqrt_s - 2 * MASS_MUON), 200))
    density, _ = pair_density(m[:, None, None], m[None, :, None], np.linspace(0, 1, 21), sqrt_s)
    return 1.1 * float(density.max())


def _helicity_angle(rng: Generator, mass: Array) -> Array:
    """Draw the decay angle of transverse photons, density 1 − ½β² sin²θ."""
    c = np.empty_like(mass)
    pending = np.arange(len(mass))
    while len(pending):
        trial = rng.uniform(-1, 1, len(pending))
        beta2 = 1 - 4 * (MASS_MUON / mass[pending]) ** 2
        kept = 1 - beta2 * (1 - trial**2) / 2 > rng.random(len(pending))
        c[pending[kept]] = trial[kept]
        pending = pending[~kept]
    return c


def _photons(rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
    """Draw the two masses (2, N) [GeV] and cosθ of the first photon."""
    drawn = np.empty((3, events))
    pending = np.arange(events)
    while len(pending):
        n = len(pending)
        m1, m2 = np.exp(_masses(sqrt_s).sample(rng, 2 * n).reshape(2, n))
        density, cosine = pair_density(m1, m2, rng.random(n), sqrt_s)
        kept = density > rng.random(n) * bound(sqrt_s)
        drawn[:, pending[kept]] = m1[kept], m2[kept], cosine[kept]
        pending = pending[~kept]
    return drawn[:2], drawn[2]


def conversion_events(rng: Generator, events: int, sqrt_s: float) -> Array:
    """Draw events; returns four-momenta (4 muons, 4, N) [GeV] in the centre of mass, pair by pair."""
    masses, cosine = _photons(rng, events, sqrt_s)
    flight = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    p = kinematics.two_body_momentum(sqrt_s, masses[0], masses[1])
    muons = []
    for mass, axis in zip(masses, (flight, -flight), strict=True):
        photon = np.concatenate([np.sqrt(p * p + mass * mass)[None], p * axis])
        across, _ = kinematics.transverse(axis, rng.uniform(0, 2 * math.pi, events))
        c = _helicity_angle(rng, mass)
        decay = kinematics.two_body(mass, MASS_MUON, MASS_MUON, c * axis + np.sqrt(1 - c * c) * across)
        muons += [kinematics.boost_with(k, photon, mass) for k in decay]
    return kinematics.turn_to_beam(np.stack(muons))
