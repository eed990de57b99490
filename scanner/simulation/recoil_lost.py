"""Two muons whose partners carry transverse momentum and are lost: e⁺e⁻ → μ⁺μ⁻γ and e⁺e⁻ → e⁺e⁻μ⁺μ⁻.

Only what a search for two muons and nothing else can keep is made: the muons in the drift chamber with a
transverse momentum together, the photon or the electrons where the detector does not see them. The points
of phase space are drawn where that is so, and the cross section is that of what is left.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scanner.constants import MASS_MUON
from scanner.simulation import detector, kinematics, radiative, two_photons
from scanner.simulation.radiative_events import Region, pair_along, pair_density, squared_masses
from scanner.simulation.recoil import BackgroundOfMuons, seen
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


def unseen(electrons: Array) -> Flags:
    """Tell which pairs of electrons (2, 4, n) are both before or behind the calorimeter."""
    low, high = np.radians([detector.CALORIMETER.theta[0][0], detector.CALORIMETER.theta[-1][1]])
    theta = np.stack([kinematics.polar_angle(kinematics.to_laboratory(p)) for p in electrons])
    return np.asarray(np.all((theta < low) | (theta > high), axis=0))


def steepest() -> tuple[float, float]:
    """Return largest angles [rad] of unseen electrons and positrons to their beams, in the centre of mass."""
    azimuth = np.linspace(0, 2 * math.pi, 3601)
    ends = ((detector.CALORIMETER.theta[0][0], 1), (detector.CALORIMETER.theta[-1][1], -1))
    found = []
    for theta, sign in ends:
        flight = kinematics.direction(np.full_like(azimuth, math.cos(math.radians(theta))), azimuth)
        edge = kinematics.to_centre_of_mass(np.concatenate([np.ones((1, len(azimuth))), flight]))
        turned = kinematics.turn_from_beam(edge)
        found.append(float(np.max(kinematics.polar_angle(turned * [[1], [1], [1], [sign]]))))
    return found[0] * 1.001, found[1] * 1.001  # an angle between two of these points is larger by 1e-6


LOST = two_photons.Electrons(LEAST_PT, steepest())
"""Electrons that may be lost while the muons have enough transverse momentum."""


def _most_of_lost_electrons(uniform: Array, sqrt_s: float) -> Array:
    """Map points (8, n) to weights [fb] before the cuts of the detector."""
    return two_photons.points(uniform, sqrt_s, LOST).weight


def lost_electrons(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Map points (8, n) to the muons (2, 4, n) that are made and weights [fb]."""
    found = two_photons.points(uniform, sqrt_s, LOST)
    pair, electrons = two_photons.momenta(found, 4 * math.pi * uniform[7], sqrt_s)
    turned = kinematics.turn_to_beam(pair)
    seen = kept(turned, sqrt_s) & unseen(kinematics.turn_to_beam(electrons))
    return turned, np.where(seen, found.weight, 0.0)


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
    reaction: ClassVar[Reaction] = Reaction("e_e_mu_mu_lost", 8, 2, lost_electrons, _most_of_lost_electrons)
