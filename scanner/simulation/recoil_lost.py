"""Two muons whose partners carry transverse momentum and are lost: e⁺e⁻ → μ⁺μ⁻γ and e⁺e⁻ → e⁺e⁻μ⁺μ⁻.

Only what a search for two muons and nothing else can keep is made: the muons in the drift chamber with a
transverse momentum together, the photon or the electrons where the detector does not see them. The points
of phase space are drawn where that is so, and the cross section is that of what is left.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ELECTRON, MASS_MUON
from scanner.simulation import detector, initial_state, kinematics, radiative
from scanner.simulation.radiative_events import Region, pair_along, pair_density, squared_masses
from scanner.simulation.recoil import LOWEST_W, BackgroundOfMuons, seen
from scanner.simulation.single_photon import escape
from scanner.simulation.weighted import Reaction

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_PT = 0.8
"""Least transverse momentum of the muons in the centre of mass [GeV]: a cut at 1 GeV is well above it."""
ASIDE = (25.0, 136.0)
"""Polar angles in the laboratory [degree] of what is missing: a cut at 32 and 129 is well within."""
PHOTON = Region(LEAST_PT, (0.0, 180.0), 0.0, (0.5, 0.5, 0.0, 0.0))
"""Least energy of the lost photon, and how the muons are drawn."""


def kept(turned: Array, sqrt_s: float) -> Flags:
    """Tell which pairs (2, 4, n) are seen, and recoil with a transverse momentum at wide angles."""
    total = kinematics.turn_from_beam(turned.sum(axis=0))
    beams = kinematics.to_laboratory(np.array([[sqrt_s], [0.0], [0.0], [0.0]]))
    missing = beams - kinematics.to_laboratory(turned.sum(axis=0))
    theta = np.degrees(kinematics.polar_angle(missing))
    wide = (theta > ASIDE[0]) & (theta < ASIDE[1])
    return np.asarray(seen(turned) & wide & (np.hypot(total[1], total[2]) > LEAST_PT))


def lost_photons(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Map points (8, n) to μ⁻, μ⁺, γ (3, 4, n), z along the electron, and weights [fb] with the loss."""
    theta, density, passes = escape(uniform[0], uniform[1])
    flight = kinematics.direction(np.cos(theta), 2 * math.pi * uniform[2])
    there = np.concatenate([np.ones((1, len(theta))), flight])
    back = kinematics.turn_from_beam(kinematics.to_centre_of_mass(there))
    s1, mass_density = squared_masses(uniform[3:5], PHOTON, MASS_MUON, sqrt_s)
    k = back * (sqrt_s**2 - s1) / (2 * sqrt_s) / back[0]
    momenta = np.concatenate([pair_along(uniform[5:], s1, k, PHOTON, MASS_MUON, sqrt_s), k[None]])
    # dΩ for the direction in the laboratory, from the centre of mass.
    proposed = density / (2 * math.pi * np.sin(theta)) * back[0] ** 2 * mass_density
    proposed *= pair_density(momenta, s1, PHOTON, MASS_MUON)
    element = radiative.muon_element(momenta, sqrt_s, MASS_MUON)
    velocity = np.sqrt(np.maximum(1 - 4 * MASS_MUON**2 / s1, 0))
    return momenta, element * radiative.phase_space(k[0], velocity, sqrt_s) / proposed * passes


def lost_photon(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Map points (8, n) to the muons (2, 4, n) that are made and weights [fb]."""
    momenta, weight = lost_photons(uniform, sqrt_s)
    turned = kinematics.turn_to_beam(momenta[:2])
    return turned, np.where(kept(turned, sqrt_s), weight, 0.0)


def two_photons(uniform: Array, sqrt_s: float, least: float = 0.0) -> tuple[Array, Array, Array]:
    """Map points (8, n) to μ⁻, μ⁺ and e⁻, e⁺ (2, 4, n), z along the electron, and weights [fb].

    Equivalent photons by x and Q² (V. Budnev et al., Phys. Rept. 15, 181 (1975), eq. 6.17b before its
    integral), where electrons get p_T² = (1 − x)(Q² − Q²_min); the muons recoil against both.
    The harder of both photons has a Q² of `least` [GeV²] or more.
    """
    s, span = sqrt_s**2, 2 * math.log(0.98 * sqrt_s / LOWEST_W)
    square = LOWEST_W**2 * np.exp(span * uniform[0])
    reach = np.log(s / square)
    first = square / s * np.exp(reach * uniform[1])
    x = np.clip(np.stack([first, square / s / first]), 1e-12, 1 - 1e-9)
    beta = np.sqrt(1 - 4 * MASS_MUON**2 / square)
    slope = np.arctanh(beta)
    bc = np.tanh(slope * (2 * uniform[2] - 1))
    shape = (1 - bc**4 + 2 * (1 - beta**2) * (beta**2 - bc**2)) / (1 - bc**2)
    density = 2 * math.pi * ALPHA**2 / square * HBARC2 * shape * 2 * slope
    # The harder leg comes first, and is that of the electron in half of the points.
    swapped = uniform[7] < 0.5
    (first_pt, first_flux), (other_pt, other_flux) = (
        _photon_of(x[leg], square, np.where(hard, uniform[4], uniform[5]), np.where(hard, least, 0.0))
        for leg, hard in enumerate((~swapped, swapped))
    )
    ordered = np.where((first_pt > other_pt) != swapped, 2.0, 0.0)
    turn = 2 * math.pi * uniform[6]
    pushed = np.stack([first_pt, 0.0 * turn]), other_pt * np.stack([np.cos(turn), np.sin(turn)])
    pair = _recoiling(square, bc / beta, 2 * math.pi * uniform[3], x, -pushed[0] - pushed[1])
    electrons = np.stack([_electron(x[leg], pushed[leg], 1 - 2 * leg, sqrt_s) for leg in (0, 1)])
    both = _turned_about(np.concatenate([pair, electrons]), 4 * math.pi * uniform[7])
    weight = x[0] * x[1] * first_flux * other_flux * density * span * reach * ordered
    return both[:2], both[2:], weight


def _photon_of(x: Array, square: Array, uniform: Array, least: Array) -> tuple[Array, Array]:
    """Draw Q² of a photon; returns p_T of its electron, and its flux per unit of x over the density of Q²."""
    lowest = MASS_ELECTRON**2 * x * x / (1 - x)
    start = np.maximum(lowest, least)
    span = np.log(np.maximum((square / 4 + MASS_MUON**2) / start, 1.0))
    q2 = start * np.exp(span * uniform)
    flux = ALPHA / (2 * math.pi) * ((1 + (1 - x) ** 2) / x - 2 * MASS_ELECTRON**2 * x / q2) * span
    return np.sqrt((1 - x) * np.maximum(q2 - lowest, 0.0)), flux


def _recoiling(square: Array, c: Array, phi: Array, x: Array, push: Array) -> Array:
    """Return the muons (2, 4, n) of a pair with a transverse momentum (2, n), whose mass and p_z are kept."""
    beta = np.sqrt(np.maximum(1 - 4 * MASS_MUON**2 / square, 0))
    energy, flight = np.sqrt(square)[None] / 2, kinematics.direction(c, phi)
    along = initial_state.boost_along_beam(
        np.concatenate([np.sqrt(square)[None], np.zeros((3, len(square)))]), x
    )
    total = np.stack([along[0], push[0], push[1], along[3]])
    total[0] = np.sqrt(along[0] ** 2 + np.sum(push**2, axis=0))
    rest = [np.concatenate([energy, sign * energy * beta * flight]) for sign in (1, -1)]
    return np.stack([kinematics.boost_with(p, total, np.sqrt(square)) for p in rest])


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


def unseen(electrons: Array) -> Flags:
    """Tell which pairs of electrons (2, 4, n) are both before or behind the calorimeter."""
    low, high = np.radians([detector.CALORIMETER.theta[0][0], detector.CALORIMETER.theta[-1][1]])
    theta = np.stack([kinematics.polar_angle(kinematics.to_laboratory(p)) for p in electrons])
    return np.asarray(np.all((theta < low) | (theta > high), axis=0))


def lost_electrons(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Map points (8, n) to the muons (2, 4, n) that are made and weights [fb]."""
    pair, electrons, weight = two_photons(uniform, sqrt_s, (LEAST_PT / 2) ** 2)
    turned = kinematics.turn_to_beam(pair)
    found = kept(turned, sqrt_s) & unseen(kinematics.turn_to_beam(electrons))
    return turned, np.where(found, weight, 0.0)


class MuMuPhotonLost(BackgroundOfMuons):
    """Muon pairs against a photon that the calorimeter does not see."""

    name: ClassVar[str] = "mu_mu_photon_lost"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻γ, the photon lost"
    approximation: ClassVar[str] = (
        "tree level with radiation off beams and muons, one photon; it is lost between the parts of the "
        "calorimeter, or passes 16.1 radiation lengths and the muon detector, by defaults; muons "
        "in the drift chamber, with 0.8 GeV of transverse momentum against 25 to 136 degrees; detector "
        "parametrised by defaults"
    )
    reaction: ClassVar[Reaction] = Reaction("mu_mu_photon_lost", 8, 2, lost_photon)


class EEMuMuLost(BackgroundOfMuons):
    """Muon pairs of two virtual photons against electrons that are lost at small angles."""

    name: ClassVar[str] = "e_e_mu_mu_lost"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻μ⁺μ⁻, electrons lost"
    approximation: ClassVar[str] = (
        "equivalent photons up to Q² = W²/4 + m_μ² with the transverse momentum of their electrons, which "
        "are before or behind the calorimeter; muons above 0.5 GeV of mass in the drift chamber, with "
        "0.8 GeV of transverse momentum against 25 to 136 degrees; detector parametrised by defaults"
    )
    reaction: ClassVar[Reaction] = Reaction("e_e_mu_mu_lost", 8, 2, lost_electrons)
