"""e⁺e⁻ → τ⁺τ⁻ with one τ into three pions and the other into one lepton, seen in its pseudo rest frame.

The direction of the τ is not measured: the three pions of the other one stand for it, reversed, and its
energy is half of √s. A lepton's energy in that frame is smeared by the angle between pions and τ.
"""

import math
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON, MASS_MUON, MASS_PION, MASS_TAU
from scanner.errors import InputError
from scanner.simulation import detector, kinematics
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, as_columns
from scanner.simulation.phase_space import pair_masses
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import decay_cross_section, mass_between

Array = NDArray[np.float64]

CROSS_SECTION = 0.919e6
"""σ(e⁺e⁻ → τ⁺τ⁻) [fb] (1808.10567, table 10)."""
TAG = 0.0931
"""B(τ → πππν) (Particle Data Group, Review of Particle Physics, 2024)."""
LEPTONIC = {"e": 0.1782, "mu": 0.1739}
"""B(τ → lνν) (Particle Data Group)."""
PION = 0.1082
"""B(τ → πν) (Particle Data Group)."""
MASSES = {"e": MASS_ELECTRON, "mu": MASS_MUON}
CODES = {"e": 11.0, "mu": 13.0}
"""Numbers of the leptons in the column `lepton` and the parameter `lepton_code`."""
MASS_A1, WIDTH_A1 = 1.23, 0.42
"""Mass and width of the three pions' resonance [GeV]; the width is a default."""
FAKES = {"e": 0.01, "mu": 0.05}
"""Pions that are taken for leptons; defaults."""
LEAST_MOMENTUM = 0.5
"""Momentum in the laboratory from which electrons are identified [GeV]; a default, with that of muons."""
TAU_COLUMNS = {"x": "1", "lepton": "1", "p_lepton": "GeV"}
"""2E*/m_τ in the pseudo rest frame, identified lepton (11 or 13), its momentum in the laboratory."""


def michel(x: Array, lepton: str) -> Array:
    """Return dΓ/dx of τ → lνν without radiation, of any norm, with ρ = 3/4 and the lepton's mass.

    x = E*/W, W = (m_τ² + m_l²)/2m_τ (Particle Data Group, "Muon decay parameters", eq. 1).
    """
    m = MASSES[lepton]
    least = m / endpoint(lepton)
    square = np.maximum(x * x - least * least, 0.0)
    return np.asarray(np.sqrt(square) * np.maximum(x * (1 - x) + (4 * x * x - 3 * x - least**2) / 6, 0.0))


def endpoint(lepton: str) -> float:
    """Return the largest energy of a lepton in τ → lνν, W [GeV]."""
    return (MASS_TAU**2 + MASSES[lepton] ** 2) / (2 * MASS_TAU)


@cache
def _energies(lepton: str) -> InverseCDF:
    return InverseCDF.of(lambda x: michel(x, lepton), MASSES[lepton] / endpoint(lepton), 1.0, 4001)


@cache
def _triple_masses() -> InverseCDF:
    """Return the masses of three pions in τ → πππν: a broad resonance times phase space."""

    def density(m: Array) -> Array:
        s, pole = m * m, MASS_A1**2
        line = m / ((s - pole) ** 2 + (MASS_A1 * WIDTH_A1) ** 2)
        return np.asarray(line * (1 - s / MASS_TAU**2) ** 2 * (1 + 2 * s / MASS_TAU**2))

    return InverseCDF.of(density, 3 * MASS_PION + 0.1, MASS_TAU, 4001)


def pairs(rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
    """Draw τ⁺τ⁻, dN/dcosθ ∝ 1 + c² + (1 − c²)/γ²; returns (4, N) each in the centre of mass."""
    gamma2 = (sqrt_s / (2 * MASS_TAU)) ** 2

    def density(c: Array) -> Array:
        return 1 + c * c + (1 - c * c) / gamma2

    cosine = InverseCDF.of(density, -1.0, 1.0, 2001).sample(rng, events)
    axis = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    first, second = kinematics.two_body(sqrt_s, MASS_TAU, MASS_TAU, axis)
    return kinematics.turn_to_beam(first), kinematics.turn_to_beam(second)


def three_pions(rng: Generator, tau: Array) -> Array:
    """Draw τ → πππν of τ (4, N); returns the pions (3, 4, N), by a resonance and a uniform Dalitz plane."""
    events = tau.shape[1]
    mass = _triple_masses().sample(rng, events)
    triple, _ = kinematics.two_body(MASS_TAU, mass, 0.0, kinematics.isotropic(rng, events))
    triple = kinematics.boost_with(triple, tau, MASS_TAU)
    pair_mass = pair_masses(rng, mass, (MASS_PION, MASS_PION, MASS_PION))
    pair, single = kinematics.two_body(mass, pair_mass, MASS_PION, kinematics.isotropic(rng, events))
    decay = kinematics.two_body(pair_mass, MASS_PION, MASS_PION, kinematics.isotropic(rng, events))
    pions = [*(kinematics.boost_with(k, pair, pair_mass) for k in decay), single]
    return np.stack([kinematics.boost_with(k, triple, mass) for k in pions])


def pseudo_energy(lepton: Array, pions: Array, sqrt_s: float) -> Array:
    """Return the energy of the lepton (4, N) in the pseudo rest frame [GeV], from momenta in the laboratory.

    Parameters
    ----------
    pions
        Sum of the three pions (4, N).
    """
    own, other = kinematics.to_centre_of_mass(lepton), kinematics.to_centre_of_mass(pions)
    gamma = sqrt_s / (2 * MASS_TAU)
    along = -np.sum(own[1:] * other[1:], axis=0) / kinematics.momentum(other)
    return np.asarray(gamma * own[0] - math.sqrt(gamma**2 - 1) * along)


def candidates(
    rng: Generator, own: Array, other: Array, lepton: Array, code: Array, sqrt_s: float
) -> Columns:
    """Simulate the detector for leptons and the pions of the other τ.

    Parameters
    ----------
    own, other
        Decaying τ (4, N) in the centre of mass: that of the lepton, and that of the pions.
    lepton
        Momenta (4, N) in the rest frame of `own`.
    code
        What the particle is identified as, 11 or 13; 0 for nothing.
    """
    track = kinematics.to_laboratory(kinematics.boost_with(lepton, own, MASS_TAU))
    pions = [kinematics.to_laboratory(k) for k in three_pions(rng, other)]
    kept = (code > 0) & np.logical_and.reduce([detector.tracks_found(k, rng) for k in (track, *pions)])
    momentum = kinematics.momentum(track)
    muon = code == CODES["mu"]
    muons = detector.MUON_IDENTIFICATION
    kept &= momentum > np.where(muon, muons.lowest_p, LEAST_MOMENTUM)
    kept &= rng.random(len(code)) < muons.efficiency
    mass = np.where(muon, MASS_MUON, MASS_ELECTRON)
    seen = detector.smear_tracks(track, 0.0, rng)
    seen[0] = np.sqrt(seen[0] ** 2 + mass**2)
    total = np.sum([detector.smear_tracks(k, MASS_PION, rng) for k in pions], axis=0)
    x = 2 * pseudo_energy(seen, total, sqrt_s) / MASS_TAU
    values = {"x": x[kept], "lepton": code[kept], "p_lepton": kinematics.momentum(seen)[kept]}
    return as_columns(np.flatnonzero(kept), values)


class TauLeptons(FixedSize):
    """The background: τ → eνν and τ → μνν."""

    name: ClassVar[str] = "tau_leptons"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → lνν and τ → πππν"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "Michel spectrum without its radiative tail, unpolarised; three pions by a resonance and phase "
        "space; no initial-state radiation, no trigger; identification by defaults"
    )
    columns: ClassVar[dict[str, str]] = TAU_COLUMNS
    size: ClassVar[float] = CROSS_SECTION * 2 * TAG * sum(LEPTONIC.values())
    """Cross section [fb] of both leptons with a tag, 60.3 pb."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with four tracks and an identified lepton."""
        self.check(parameters)
        own, other = pairs(rng, events, sqrt_s)
        electron = rng.random(events) * sum(LEPTONIC.values()) < LEPTONIC["e"]
        mass = np.where(electron, MASS_ELECTRON, MASS_MUON)
        energy = np.empty(events)
        for name, rows in (("e", electron), ("mu", ~electron)):
            energy[rows] = endpoint(name) * _energies(name).sample(rng, int(np.count_nonzero(rows)))
        momentum = np.sqrt(np.maximum(energy**2 - mass**2, 0.0))
        lepton = np.concatenate([energy[None], momentum * kinematics.isotropic(rng, events)])
        code = np.where(electron, CODES["e"], CODES["mu"])
        return candidates(rng, own, other, lepton, code, sqrt_s)


class TauPions(FixedSize):
    """Background from τ → πν with the pion taken for a lepton."""

    name: ClassVar[str] = "tau_pions"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → πν and τ → πππν, π taken for a lepton"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        f"1% of pions are taken for electrons, 5% for muons; {TauLeptons.approximation}"
    )
    columns: ClassVar[dict[str, str]] = TAU_COLUMNS
    size: ClassVar[float] = CROSS_SECTION * 2 * TAG * PION * sum(FAKES.values())
    """Cross section [fb] of pions that are taken for leptons, 1.11 pb."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with four tracks."""
        self.check(parameters)
        own, other = pairs(rng, events, sqrt_s)
        pion, _ = kinematics.two_body(MASS_TAU, MASS_PION, 0.0, kinematics.isotropic(rng, events))
        electron = rng.random(events) * sum(FAKES.values()) < FAKES["e"]
        code = np.where(electron, CODES["e"], CODES["mu"])
        return candidates(rng, own, other, pion, code, sqrt_s)


class TauAlpha(Process):
    """The signal: τ → lα with an invisible α, for one lepton."""

    name: ClassVar[str] = "tau_alpha"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → lα and τ → πππν"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = f"isotropic decay to two bodies; {TauLeptons.approximation}"
    parameters: ClassVar[tuple[str, ...]] = (
        "mass", "lepton_code", "cross_section", "branching_fraction", "coupling",
    )  # fmt: skip
    columns: ClassVar[dict[str, str]] = TAU_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ [fb] with the tag, of `cross_section`, `branching_fraction` or `coupling` [GeV⁻¹]."""
        self.check(parameters)
        parents = CROSS_SECTION * 2 * TAG
        return decay_cross_section(self.name, "tau_alpha", None, parents, sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with four tracks and an identified lepton."""
        self.check(parameters)
        code = float(parameters.get("lepton_code", CODES["mu"]))
        names = [name for name, number in CODES.items() if number == code]
        if not names:
            raise InputError(f"process {self.name}: lepton_code = {code:g} is neither 11 (e) nor 13 (μ)")
        own_mass = MASSES[names[0]]
        mass = mass_between(self.name, parameters, 0.0, MASS_TAU - own_mass)
        own, other = pairs(rng, events, sqrt_s)
        lepton, _ = kinematics.two_body(MASS_TAU, own_mass, mass, kinematics.isotropic(rng, events))
        return candidates(rng, own, other, lepton, np.full(events, code), sqrt_s)
