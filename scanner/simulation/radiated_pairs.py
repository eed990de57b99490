"""Pairs of leptons with radiation off the beams: e⁺e⁻ → l⁺l⁻ after each beam has emitted one photon.

The photons take fractions z of the beams' energies with the leading-logarithmic density

    D(z) = (β/2) z^{β/2 − 1} (1 − z + z²/2),   β = (2α/π)(ln(s/m_e²) − 1)

(E. Kuraev, V. Fadin, Sov. J. Nucl. Phys. 41, 466 (1985)), and angles against their beam with the density
1/(1 − v cosθ) of a collinear emission, v the velocity of the beam's electrons. The pair takes what is left,
with the cross section of e⁺e⁻ → l⁺l⁻ at its mass and the angular distribution in its rest frame.
"""

import math
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ELECTRON
from scanner.simulation import kinematics
from scanner.simulation.initial_state import exponent
from scanner.simulation.sampling import InverseCDF, accept_reject, generator

Array = NDArray[np.float64]

POINTS = 1 << 20
"""Points of the integral over both photons, of one fixed sequence."""
NODES = 2001
"""Fractions at which their density is tabulated, in its soft and in its hard part."""
HIGHEST = 4.0
"""Bound of the weights."""


def pair_cross_section(mass: Array, lepton: float) -> Array:
    """Return σ(e⁺e⁻ → l⁺l⁻) [fb] at a pair mass [GeV], 4πα²/3m² β(3 − β²)/2; 0 below the threshold."""
    beta = np.sqrt(np.maximum(1 - 4 * lepton**2 / mass**2, 0.0))
    point = 4 * math.pi * ALPHA**2 / (3 * mass**2) * HBARC2
    return np.asarray(point * beta * (3 - beta**2) / 2)


@cache
def _fractions(sqrt_s: float, lowest: float) -> InverseCDF:
    """Return D(z)/(1 − z) per unit of v = z^{β/2} up to the fraction that leaves a pair of the lowest mass.

    The cross section of the pair grows as 1/(1 − z) with either fraction.
    """
    half, least = exponent(sqrt_s) / 2, (lowest / sqrt_s) ** 2
    hard = np.geomspace(least, 0.5, NODES)
    v = np.unique(np.concatenate([np.linspace(0.0, 0.5**half, NODES), (1 - hard) ** half]))
    z = v ** (1 / half)
    density = (1 - z + z**2 / 2) / np.maximum(1 - z, least)
    steps = np.diff(v) * (density[1:] + density[:-1]) / 2
    return InverseCDF(v, density, np.concatenate([[0.0], np.cumsum(steps)]))


def _radiate(rng: Generator, n: int, sqrt_s: float, lowest: float) -> tuple[Array, Array]:
    """Draw the photons of both beams (2, 4, n); return them with s(1 − z₁)(1 − z₂) (n,)."""
    v = _fractions(sqrt_s, lowest).sample(rng, 2 * n).reshape(2, n)
    z = v ** (2 / exponent(sqrt_s))
    gamma2 = (sqrt_s / 2 / MASS_ELECTRON) ** 2
    # 1 − v cosθ runs from 1/2γ² to 2; its logarithm is flat.
    missing = 2 * np.exp(-math.log(4 * gamma2) * rng.random((2, n))) - 0.5 / gamma2
    phi = rng.uniform(0, 2 * math.pi, (2, n))
    photons = []
    for leg, sign in enumerate((1.0, -1.0)):
        energy = z[leg] * sqrt_s / 2
        flight = kinematics.direction(sign * np.clip(1 - missing[leg], -1.0, 1.0), phi[leg])
        photons.append(np.concatenate([energy[None], energy * flight]))
    return np.stack(photons), sqrt_s**2 * np.prod(1 - z, axis=0)


def _remaining(photons: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Return the momentum that is left for the pair (4, n), and its mass, 0 where nothing is."""
    left = -photons.sum(axis=0)
    left[0] += sqrt_s
    square = left[0] ** 2 - np.sum(left[1:] ** 2, axis=0)
    return left, np.sqrt(np.maximum(square, 0.0))


def _weight(
    photons: Array, collinear: Array, mass: Array, lepton: float, lowest: float, energy: float
) -> Array:
    """Return the cross section (n,) over that of massless leptons at the collinear mass; 0 outside."""
    least = max(lowest, 2 * lepton)
    kept = (mass > least) & (photons[:, 0].sum(axis=0) > energy)
    found = pair_cross_section(np.maximum(mass, least), lepton)
    return np.where(kept, found / pair_cross_section(np.sqrt(collinear), 0.0), 0.0)


@cache
def cross_section(sqrt_s: float, lepton: float, lowest: float, energy: float) -> float:
    """Return the cross section [fb] of pairs above a mass with more than an energy in photons [GeV]."""
    rng = generator("radiated_pairs/integral", (int(1e6 * lepton), int(1e6 * lowest), int(1e6 * energy)))
    photons, collinear = _radiate(rng, POINTS, sqrt_s, lowest)
    _, mass = _remaining(photons, sqrt_s)
    mean = float(np.mean(_weight(photons, collinear, mass, lepton, lowest, energy)))
    born = float(pair_cross_section(np.array(sqrt_s), 0.0))
    return mean * born * _fractions(sqrt_s, lowest).integral ** 2


def pairs(
    rng: Generator, events: int, sqrt_s: float, lepton: float, *, lowest: float, energy: float
) -> tuple[Array, Array]:
    """Draw events; returns the leptons (2, 4, N) and the photons (2, 4, N) [GeV] in the centre of mass.

    Photons of equal direction leave less than collinear ones of opposite beams: weights above `HIGHEST`,
    of one event in some ten thousand, count as that, which leaves out 0.2% of the cross section.

    Parameters
    ----------
    lepton
        Mass of the leptons [GeV].
    lowest
        Lowest mass of the pair [GeV].
    energy
        Least energy of both photons together [GeV].
    """

    def propose(n: int) -> tuple[Array, Array]:
        photons, collinear = _radiate(rng, n, sqrt_s, lowest)
        _, mass = _remaining(photons, sqrt_s)
        weight = _weight(photons, collinear, mass, lepton, lowest, energy)
        return photons.reshape(8, n), weight / HIGHEST - rng.random(n)

    photons = accept_reject(propose, events, efficiency=0.1, width=8).reshape(2, 4, events)
    left, mass = _remaining(photons, sqrt_s)
    leptons = kinematics.two_body(mass, lepton, lepton, _directions(rng, mass, lepton))
    found = np.stack([kinematics.boost_with(k, left, mass) for k in leptons])
    return kinematics.turn_to_beam(found), kinematics.turn_to_beam(photons)


def _directions(rng: Generator, mass: Array, lepton: float) -> Array:
    """Draw directions of density 1 + cos²θ + (1 − β²) sin²θ."""
    beta2 = 1 - 4 * lepton**2 / mass**2
    cosine, pending = np.empty_like(mass), np.arange(len(mass))
    while len(pending):
        trial = rng.uniform(-1, 1, len(pending))
        density = 2 - beta2[pending] * (1 - trial**2)
        kept = density > 2 * rng.random(len(pending))
        cosine[pending[kept]] = trial[kept]
        pending = pending[~kept]
    return kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, len(mass)))
