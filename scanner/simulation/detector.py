"""The parametrised detector: acceptance, resolution and identification.

All numbers are defaults in the manner of Belle II (1011.0352, 1808.10567), not measurements; an
analysis that needs better ones brings its own simulated events.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.simulation import kinematics

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Tracking:
    """Drift chamber and vertex detectors: angles [degree], transverse momenta [GeV], angles' σ [rad]."""

    theta: tuple[float, float] = (17.0, 150.0)
    lowest_pt: float = 0.1
    efficiency: float = 0.99
    curvature: float = 0.0011
    scattering: float = 0.0025
    angle: float = 1e-3


@dataclass(frozen=True)
class MuonIdentification:
    """Momentum [GeV] from which muons reach the outer detector, and the efficiency above it."""

    lowest_p: float = 0.7
    efficiency: float = 0.95


@dataclass(frozen=True)
class Calorimeter:
    """Crystals: angular ranges of the three parts [degree] and the energy resolution.

    σ_E/E = noise/E ⊕ shower/E^¼ ⊕ constant, with a tail to low energies: a Crystal Ball whose power
    law starts `tail_start` standard deviations below the peak with the exponent `tail_power`. A photon
    is found with `efficiency`; two photons at the angle θ [rad] make two clusters with the probability
    1 − exp(−θ²/separation²). With these two numbers the ALP search keeps 20% of light and 34% of heavy
    signals. Its direction is smeared by angle/E^angle_power [rad] in either transverse direction.
    """

    theta: tuple[tuple[float, float], ...] = ((12.4, 31.4), (32.2, 128.7), (130.7, 155.1))
    noise: float = 0.00066
    shower: float = 0.0081
    constant: float = 0.0134
    tail_start: float = 1.0
    tail_power: float = 10.0
    angle: float = 3e-3
    angle_power: float = 0.0
    efficiency: float = 0.955
    separation: float = 0.08

    def direction_error(self, energy: Array) -> Array:
        """Return the error of either transverse direction [rad] at energies [GeV]."""
        return np.asarray(self.angle / energy**self.angle_power)


TRACKING, MUON_IDENTIFICATION, CALORIMETER = Tracking(), MuonIdentification(), Calorimeter()


@dataclass(frozen=True)
class Spectrometer:
    """Tracking and calorimeter of one experiment."""

    tracking: Tracking = TRACKING
    calorimeter: Calorimeter = CALORIMETER


BELLE_II = Spectrometer()
BABAR = Spectrometer(
    Tracking(theta=(17.2, 152.6), curvature=0.0013, scattering=0.0045),
    Calorimeter(
        theta=((15.8, 141.8),), noise=0.0, shower=0.0232, constant=0.0185, angle=3.87e-3, angle_power=0.5
    ),
)
"""Acceptance and resolution of the BaBar detector (hep-ex/0105044); the rest as for Belle II."""


def smear_tracks(p: Array, mass: float, rng: Generator, tracking: Tracking = TRACKING) -> Array:
    """Return measured four-momenta of charged particles in the laboratory, shape as p (4, N).

    σ_pT/p_T = curvature p_T ⊕ scattering/β; θ and φ are smeared by `angle`. The mass hypothesis is
    the true one.
    """
    transverse, theta = np.hypot(p[1], p[2]), kinematics.polar_angle(p)
    beta = kinematics.momentum(p) / p[0]
    relative = np.hypot(tracking.curvature * transverse, tracking.scattering / beta)
    g = rng.standard_normal((3, p.shape[1]))
    pt = transverse * np.maximum(1 + relative * g[0], 1e-3)
    theta = np.clip(theta + tracking.angle * g[1], 1e-3, math.pi - 1e-3)
    phi = np.arctan2(p[2], p[1]) + tracking.angle * g[2]
    measured = np.stack([np.zeros_like(pt), pt * np.cos(phi), pt * np.sin(phi), pt / np.tan(theta)])
    measured[0] = np.sqrt(pt**2 + measured[3] ** 2 + mass * mass)
    return measured


def tracks_found(p: Array, rng: Generator, tracking: Tracking = TRACKING) -> Flags:
    """Return which charged particles (4, N) are reconstructed."""
    theta = np.degrees(kinematics.polar_angle(p))
    inside = (theta > tracking.theta[0]) & (theta < tracking.theta[1])
    inside &= np.hypot(p[1], p[2]) > tracking.lowest_pt
    return np.asarray(inside & (rng.random(p.shape[1]) < tracking.efficiency))


def muons_identified(p: Array, rng: Generator, muons: MuonIdentification = MUON_IDENTIFICATION) -> Flags:
    """Return which muons (4, N) are identified as such."""
    luck = rng.random(p.shape[1]) < muons.efficiency
    return np.asarray(luck & (kinematics.momentum(p) > muons.lowest_p))


def energy_resolution(energy: Array, calorimeter: Calorimeter = CALORIMETER) -> Array:
    """Return σ_E [GeV] of photons of these energies [GeV], of the same shape."""
    # Each term times the energy: divided by the softest of photons, the noise would overflow.
    shower, constant = calorimeter.shower * energy**0.75, calorimeter.constant * energy
    return np.asarray(np.sqrt(calorimeter.noise**2 + shower**2 + constant**2))


def crystal_ball_deviate(rng: Generator, size: int, start: float, power: float) -> Array:
    """Draw from a Crystal Ball of peak 0 and σ 1 with a tail below −start.

    The tail's share follows from the continuity of density and slope (SLAC-R-236, appendix F).
    """
    tail = power / start / (power - 1) * math.exp(-0.5 * start**2)
    core = math.sqrt(math.pi / 2) * (1 + math.erf(start / math.sqrt(2)))
    in_tail = rng.random(size) < tail / (tail + core)
    v = 1 - rng.random(size)
    # Below −start the density is ∝ (power/start − start − x)^−power: invert its integral.
    low = power / start - start - power / start * v ** (-1 / (power - 1))
    return np.where(in_tail, low, _truncated_normal(v, start))


def _truncated_normal(uniform: Array, start: float) -> Array:
    """Map (0, 1] to a normal deviate above −start."""
    from scipy.special import ndtr, ndtri

    floor = ndtr(-start)
    return np.asarray(-ndtri(np.clip(1 - floor, 0, 1) * uniform))


def smear_photons(p: Array, rng: Generator, calorimeter: Calorimeter = CALORIMETER) -> Array:
    """Return measured four-momenta of photons in the laboratory, shape as p (4, N)."""
    n = p.shape[1]
    deviate = crystal_ball_deviate(rng, n, calorimeter.tail_start, calorimeter.tail_power)
    energy = np.maximum(p[0] + energy_resolution(p[0], calorimeter) * deviate, 1e-3 * p[0])
    g = calorimeter.direction_error(p[0]) * rng.standard_normal((2, n))
    theta = kinematics.polar_angle(p)
    axis = p[1:] / p[0]
    first, second = kinematics.transverse(axis, np.zeros_like(theta))
    measured = axis + first * g[0] + second * g[1]
    return np.concatenate([energy[None], energy * measured / np.sqrt(np.sum(measured**2, axis=0))])


def photons_found(p: Array, rng: Generator, calorimeter: Calorimeter = CALORIMETER) -> Flags:
    """Return which photons (4, N) reach a crystal and are found."""
    theta = np.degrees(kinematics.polar_angle(p))
    inside = np.zeros(p.shape[1], dtype=np.bool_)
    for low, high in calorimeter.theta:
        inside |= (theta > low) & (theta < high)
    return np.asarray(inside & (rng.random(p.shape[1]) < calorimeter.efficiency))


def photons_apart(a: Array, b: Array, rng: Generator, calorimeter: Calorimeter = CALORIMETER) -> Flags:
    """Return which pairs of photons (4, N) make two clusters."""
    square = np.maximum(2 * kinematics.minkowski(a, b) / (a[0] * b[0]), 0)
    angle = 2 * np.arcsin(np.minimum(np.sqrt(square) / 2, 1))
    return np.asarray(rng.random(a.shape[1]) < -np.expm1(-((angle / calorimeter.separation) ** 2)))
