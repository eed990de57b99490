"""Events of e⁺e⁻ → l⁺l⁻γ in regions of the detector, by several channels of importance sampling.

The squared mass of the pair is drawn flat in its logarithm or in that of what is missing to s, the photon
flat in rapidity, and the leptons isotropically in their rest frame, along the photon, or along the beams;
the weight takes the sum of all densities.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON, MASS_MUON
from scanner.simulation import kinematics, radiative
from scanner.simulation.detector import CALORIMETER, TRACKING
from scanner.simulation.weighted import Reaction

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """Where events are made: photon in the centre of mass [GeV] and laboratory [degree], lowest pair [GeV].

    `shares` are those of leptons isotropic, along the photon, electron along its beam, positron along its
    beam, and `forward` the scale in 1 − cosθ of the latter two, which end at `widest`.
    """

    lowest_energy: float
    photon: tuple[float, float]
    lowest_mass: float
    shares: tuple[float, float, float, float]
    forward: float = 0.05
    widest: float = 2.0
    power: int = 2
    seen: bool = True
    apart: float = 0.0


def _polar(p: Array) -> Array:
    return np.degrees(kinematics.polar_angle(kinematics.to_laboratory(kinematics.turn_to_beam(p))))


def _accepted(momenta: Array, region: Region) -> Flags:
    """Tell which events (3, 4, N) are in the region: leptons all in the drift chamber, or all beyond."""
    theta = _polar(momenta[2])
    inside = (theta > region.photon[0]) & (theta < region.photon[1])
    low, high = TRACKING.theta if region.seen else (CALORIMETER.theta[0][0], CALORIMETER.theta[-1][1])
    for q in momenta[:2]:
        angle = _polar(q)
        within = (angle > low) & (angle < high)
        inside &= within if region.seen else ~within
        if region.apart:
            cosine = np.sum(q[1:] * momenta[2, 1:], axis=0) / (kinematics.momentum(q) * momenta[2, 0])
            inside &= cosine < math.cos(region.apart)
    return np.asarray(inside)


class _Forward:
    """The density 1/(1 + scale − c)^power of a cosine from 1 − widest to 1, normalised."""

    def __init__(self, region: Region) -> None:
        self.scale, self.widest, self.power = region.forward, region.widest, region.power
        if self.power == 1:
            self.norm = math.log((self.widest + self.scale) / self.scale)
        else:
            self.norm = 1 / self.scale - 1 / (self.widest + self.scale)

    def missing(self, u: Array) -> Array:
        """Return 1 − c."""
        if self.power == 1:
            return np.asarray(self.scale * np.expm1(self.norm * u))
        return np.asarray(1 / (1 / self.scale - self.norm * u) - self.scale)

    def density(self, cosine: Array) -> Array:
        """Return the density per solid angle."""
        missing = 1 - cosine
        value = 1 / (np.maximum(missing, 0) + self.scale) ** self.power / self.norm
        return np.where(missing <= self.widest, value, 0.0) / (2 * math.pi)


def _rapidities(region: Region) -> tuple[float, float]:
    """Return bounds of the photon's rapidity in the centre of mass, 3° of crossing angle beyond its own."""
    speed = math.hypot(*kinematics.VELOCITY)
    angles = region.photon[1] + 3, max(region.photon[0] - 3, 1)
    low, high = (math.atanh(math.cos(math.radians(angle))) - math.atanh(speed) for angle in angles)
    return low, high


def squared_masses(uniform: Array, region: Region, mass: float, sqrt_s: float) -> tuple[Array, Array]:
    """Draw s′ [GeV²] from points (2, N); returns it with its density."""
    s = sqrt_s**2
    low = max(region.lowest_mass, 2 * mass) ** 2
    soft = 2 * sqrt_s * region.lowest_energy
    spans = math.log((s - soft) / low), math.log((s - low) / soft)
    s1 = np.where(
        uniform[0] < 0.5, low * np.exp(spans[0] * uniform[1]), s - soft * np.exp(spans[1] * uniform[1])
    )
    s1 = np.clip(s1, low, s - soft)
    return s1, 0.5 / (s1 * spans[0]) + 0.5 / ((s - s1) * spans[1])


def _photon(uniform: Array, region: Region, mass: float, sqrt_s: float) -> tuple[Array, Array, Array]:
    """Draw s′ [GeV²] and the photon (4, N); returns them with the density in s′ and its direction."""
    s1, density = squared_masses(uniform[:2], region, mass, sqrt_s)
    start, end = _rapidities(region)
    c = np.tanh(start + (end - start) * uniform[2])
    energy = (sqrt_s**2 - s1) / (2 * sqrt_s)
    k = energy * kinematics.direction(c, 2 * math.pi * uniform[3])
    density = density / ((1 - c**2) * (end - start) * 2 * math.pi)
    return s1, np.concatenate([energy[None], k]), density


def pair_along(uniform: Array, s1: Array, k: Array, region: Region, mass: float, sqrt_s: float) -> Array:
    """Draw the leptons; returns l⁻ and l⁺ (2, 4, N)."""
    beta = np.sqrt(np.maximum(1 - 4 * mass**2 / s1, 0))
    bounds = np.cumsum(region.shares)
    phi = 2 * math.pi * uniform[2]
    along = np.tanh(np.arctanh(_collinear(beta)) * (2 * uniform[1] - 1)) / _collinear(beta)
    c = np.where(uniform[0] < bounds[0], 2 * uniform[1] - 1, along)
    axis = k[1:] / k[0]
    first, second = kinematics.transverse(axis, phi)
    del second
    flight = c * axis + np.sqrt(np.maximum(1 - c * c, 0)) * first
    p = np.sqrt(s1) / 2 * beta * flight
    pair = np.concatenate([(sqrt_s - k[0])[None], -k[1:]])
    rest = np.concatenate([(np.sqrt(s1) / 2)[None], p])
    minus = kinematics.boost_with(rest, pair, np.sqrt(s1))
    if region.shares[2]:
        missing = _Forward(region).missing(uniform[1])
        sine = np.sqrt(missing * (2 - missing))
        n = np.stack([sine * np.cos(phi), sine * np.sin(phi), 1 - missing])
        forward = _given_direction(n, s1, k, sqrt_s)
        backward = pair - _given_direction(-n, s1, k, sqrt_s)
        minus = np.where(uniform[0] >= bounds[1], np.where(uniform[0] < bounds[2], forward, backward), minus)
    return np.stack([minus, pair - minus])


def _collinear(beta: Array) -> Array:
    """Return the slope of the collinear density, which stays below 1 for massless leptons."""
    return np.clip(beta, 1e-3, 0.9995)


def _given_direction(n: Array, s1: Array, k: Array, sqrt_s: float) -> Array:
    """Return the massless momentum along n (3, N) that completes the event."""
    energy = s1 / (2 * (sqrt_s - k[0] + np.sum(n * k[1:], axis=0)))
    return np.concatenate([energy[None], energy * n])


def pair_density(momenta: Array, s1: Array, region: Region, mass: float) -> Array:
    """Return the density of `pair_along` in the direction of l⁻ in the rest frame of the pair."""
    minus, plus, k = momenta
    near, far = kinematics.minkowski(minus, k), kinematics.minkowski(plus, k)
    beta = np.sqrt(np.maximum(1 - 4 * mass**2 / s1, 0))
    cosine = np.clip((far - near) / (far + near) / np.maximum(beta, 1e-9), -1, 1)
    b = _collinear(beta)
    collinear = b / (2 * np.arctanh(b) * (1 - (b * cosine) ** 2) * 2 * math.pi)
    total = region.shares[0] / (4 * math.pi) + region.shares[1] * collinear
    if region.shares[2]:
        forward = _Forward(region)
        for share, q, sign in ((region.shares[2], minus, 1), (region.shares[3], plus, -1)):
            solid = s1 / (4 * q[0] ** 2)
            total = total + share * forward.density(sign * q[3] / q[0]) * solid
    return np.asarray(total)


@cache
def reaction(lepton: str, region: Region) -> Reaction:
    """Return e⁺e⁻ → l⁺l⁻γ ("e_e" or "mu_mu") in a region: l⁻, l⁺, γ."""
    mass = {"e_e": MASS_ELECTRON, "mu_mu": MASS_MUON}[lepton]
    massless = 0.0 if lepton == "e_e" else mass

    def trial(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
        s1, k, density = _photon(uniform[:4], region, massless, sqrt_s)
        momenta = np.concatenate([pair_along(uniform[4:], s1, k, region, massless, sqrt_s), k[None]])
        kept = _accepted(momenta, region) & np.all(momenta[:, 0] > mass, axis=0)
        some = momenta[:, :, kept]
        density = density[kept] * pair_density(some, s1[kept], region, massless)
        velocity = np.sqrt(np.maximum(1 - 4 * massless**2 / s1[kept], 0))
        if lepton == "e_e":
            element = radiative.electron_element(some, sqrt_s)
        else:
            element = radiative.muon_element(some, sqrt_s, mass)
        weight = np.zeros(uniform.shape[1])
        weight[kept] = element * radiative.phase_space(some[2, 0], velocity, sqrt_s) / density
        return kinematics.turn_to_beam(momenta), weight

    return Reaction(f"{lepton}_gamma/{region}", 7, 3, trial)


VISIBLE_MUONS = Region(0.2, (12.0, 155.5), 0.0, (0.5, 0.5, 0.0, 0.0))
VISIBLE_ELECTRONS = Region(0.2, (12.0, 155.5), 0.015, (0.1, 0.3, 0.3, 0.3), apart=0.1)
LOST_ELECTRONS = Region(
    2.08, (32.0, 124.0), 6.5, (0.0, 0.0, 0.5, 0.5), forward=2e-11, widest=0.12, power=1, seen=False
)
"""Photon and leptons seen; a photon in the barrel alone, and electrons beyond the calorimeter."""
