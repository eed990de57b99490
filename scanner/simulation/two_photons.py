"""e⁺e⁻ → e⁺e⁻μ⁺μ⁻ by two virtual photons whose electrons carry transverse momentum.

Equivalent photons by x, the part of a beam's energy, and Q² (V. Budnev et al., Phys. Rept. 15, 181 (1975),
eq. 6.17b before its integral), where electrons get p_T² = (1 − x)(Q² − Q²_min); the muons recoil against
both.

What a point of the unit cube weighs is known before its momenta: most points are turned down at a third of
the work.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ELECTRON, MASS_MUON
from scanner.simulation import initial_state, kinematics

Array = NDArray[np.float64]

LOWEST_W = 0.5
"""Least mass of the muons of two virtual photons [GeV]."""


@dataclass(frozen=True)
class Electrons:
    """Where electrons are made.

    Their transverse momenta add up to `least_pt` [GeV] or more, and they leave their beams by at most
    `widest` [rad], the electron and the positron.
    """

    least_pt: float = 0.0
    widest: tuple[float, float] = (math.inf, math.inf)

    @property
    def lowest_w(self) -> float:
        """Least mass of the muons [GeV]: the harder electron has half of `least_pt`, and Q² ≤ W²/4 + m²."""
        return max(LOWEST_W, 2 * math.sqrt(max(self.least_pt**2 / 4 - MASS_MUON**2, 0.0)))

    def highest_q2(self, leg: int, x: Array, square: Array, sqrt_s: float) -> Array:
        """Return the largest Q² [GeV²] of a photon of this leg, for pairs of squared masses `square`."""
        ends = square / 4 + MASS_MUON**2
        if math.isinf(self.widest[leg]):
            return ends
        steep = (1 - x) * (math.sin(self.widest[leg]) * sqrt_s / 2) ** 2
        return np.asarray(np.minimum(ends, lowest_q2(x) + steep))


@dataclass(frozen=True)
class Points:
    """Points of phase space.

    Squared mass of the pair [GeV²], x (2, n) of both legs, cosine and azimuth of a muon, transverse momenta
    (2, n) [GeV] of the electrons, the angle between them, and weights [fb].
    """

    square: Array
    x: Array
    cosine: Array
    phi: Array
    push: Array
    turn: Array
    weight: Array

    def where(self, kept: NDArray[np.bool_]) -> "Points":
        """Return some of the points."""
        return Points(*(getattr(self, name)[..., kept] for name in self.__dataclass_fields__))


def lowest_q2(x: Array) -> Array:
    """Return the least Q² of a photon [GeV²]."""
    return np.asarray(MASS_ELECTRON**2 * x * x / (1 - x))


def points(uniform: Array, sqrt_s: float, region: Electrons) -> Points:
    """Map points (8, n) of the unit cube to points of phase space."""
    s, lowest = sqrt_s**2, region.lowest_w
    span = 2 * math.log(0.98 * sqrt_s / lowest)
    square = lowest**2 * np.exp(span * uniform[0])
    reach = np.log(s / square)
    first = square / s * np.exp(reach * uniform[1])
    x = np.clip(np.stack([first, square / s / first]), 1e-12, 1 - 1e-9)
    cosine, density = _muons(square, uniform[2])
    push, turn, fluxes = _electrons(uniform[4:8], x, square, sqrt_s, region)
    weight = x[0] * x[1] * fluxes * density * span * reach
    return Points(square, x, cosine, 2 * math.pi * uniform[3], push, turn, weight)


def _muons(square: Array, uniform: Array) -> tuple[Array, Array]:
    """Draw the cosine of a muon in γγ → μ⁺μ⁻; returns it and the cross section over its density [fb]."""
    beta = np.sqrt(1 - 4 * MASS_MUON**2 / square)
    slope = np.arctanh(beta)
    bc = np.tanh(slope * (2 * uniform - 1))
    shape = (1 - bc**4 + 2 * (1 - beta**2) * (beta**2 - bc**2)) / (1 - bc**2)
    return bc / beta, 2 * math.pi * ALPHA**2 / square * HBARC2 * shape * 2 * slope


def _electrons(
    uniform: Array, x: Array, square: Array, sqrt_s: float, region: Electrons
) -> tuple[Array, Array, Array]:
    """Draw transverse momenta (2, n), the angle between them, and the product of fluxes over densities.

    The softer electron comes first; the harder one and the angle are drawn where both add up to enough.
    """
    swapped = uniform[3] < 0.5  # the positron is the harder one
    most = np.stack([region.highest_q2(leg, x[leg], square, sqrt_s) for leg in (0, 1)])
    kept = np.where(swapped, x, x[::-1]), np.where(swapped, most, most[::-1])
    (soft_x, hard_x), (soft_most, hard_most) = kept
    soft, soft_flux = _photon(soft_x, np.zeros_like(soft_x), soft_most, uniform[1])
    hard, hard_flux = _photon(hard_x, np.maximum(soft, region.least_pt - soft), hard_most, uniform[0])
    product = np.maximum(2 * soft * hard, 1e-30)
    opening = np.arccos(np.clip((region.least_pt**2 - soft**2 - hard**2) / product, -1, 1))
    push = np.where(swapped, np.stack([soft, hard]), np.stack([hard, soft]))
    return push, opening * (2 * uniform[2] - 1), 2 * soft_flux * hard_flux * opening / math.pi


def _photon(x: Array, least_pt: Array, most: Array, uniform: Array) -> tuple[Array, Array]:
    """Draw Q² up to `most`; returns p_T of its electron, and its flux per unit of x over that density."""
    lowest = lowest_q2(x)
    start = lowest + least_pt**2 / (1 - x)
    span = np.log(np.maximum(most / start, 1.0))
    q2 = start * np.exp(span * uniform)
    flux = ALPHA / (2 * math.pi) * ((1 + (1 - x) ** 2) / x - 2 * MASS_ELECTRON**2 * x / q2) * span
    return np.sqrt((1 - x) * np.maximum(q2 - lowest, 0.0)), flux


def momenta(found: Points, azimuth: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Return μ⁻, μ⁺ and e⁻, e⁺, each (2, 4, n) [GeV] with z along the electron, turned by `azimuth`."""
    cosine, sine = np.cos(found.turn), np.sin(found.turn)
    first = np.stack([found.push[0], np.zeros_like(sine)])
    other = found.push[1] * np.stack([cosine, sine])
    pair = _recoiling(found, -first - other)
    electrons = np.stack(
        [_electron(found.x[leg], push, 1 - 2 * leg, sqrt_s) for leg, push in enumerate((first, other))]
    )
    both = _turned_about(np.concatenate([pair, electrons]), azimuth)
    return both[:2], both[2:]


def _recoiling(found: Points, push: Array) -> Array:
    """Return the muons (2, 4, n) of a pair with a transverse momentum (2, n), whose mass and p_z are kept."""
    mass, n = np.sqrt(found.square), len(found.square)
    beta = np.sqrt(np.maximum(1 - 4 * MASS_MUON**2 / found.square, 0))
    flight = kinematics.direction(found.cosine, found.phi)
    along = initial_state.boost_along_beam(np.concatenate([mass[None], np.zeros((3, n))]), found.x)
    total = np.stack([along[0], push[0], push[1], along[3]])
    total[0] = np.sqrt(along[0] ** 2 + np.sum(push**2, axis=0))
    rest = [np.concatenate([mass[None] / 2, sign * mass / 2 * beta * flight]) for sign in (1, -1)]
    return np.stack([kinematics.boost_with(p, total, mass) for p in rest])


def _electron(x: Array, push: Array, sign: int, sqrt_s: float) -> Array:
    """Return an electron (4, n) that keeps 1 − x of its energy, with a transverse momentum (2, n)."""
    energy = (1 - x) * sqrt_s / 2
    along = np.sqrt(np.maximum(energy**2 - np.sum(push**2, axis=0), 0.0))
    return np.stack([energy, push[0], push[1], sign * along])


def _turned_about(momenta: Array, phi: Array) -> Array:
    """Turn momenta (P, 4, n) about z by angles (n,)."""
    cosine, sine = np.cos(phi), np.sin(phi)
    first, second = (
        momenta[:, 1] * cosine - momenta[:, 2] * sine,
        momenta[:, 1] * sine + momenta[:, 2] * cosine,
    )
    return np.stack([momenta[:, 0], first, second, momenta[:, 3]], axis=1)
