"""Two leptons and nothing else: e⁺e⁻ → μ⁺μ⁻Z′ and e^±μ^∓Z′ with an unseen Z′, and their backgrounds.

Everything but the leptons goes along the beams and is lost: photons in the leading logarithm, or the
electrons of two virtual photons in the equivalent-photon approximation.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.models import radiation
from scanner.simulation import detector, initial_state, kinematics, tau_decays
from scanner.simulation.base import Columns, Parameters, Process, StatedSize, as_columns
from scanner.simulation.radiated import emitted
from scanner.simulation.signals import mass_between, signal_cross_section
from scanner.simulation.two_photons import LOWEST_W
from scanner.simulation.weighted import Reaction

Array = NDArray[np.float64]
Kinds = NDArray[np.int64]

RECOIL_COLUMNS = {
    "m_ll": "GeV", "m_recoil": "GeV", "m2_recoil": "GeV^2", "theta_recoil": "rad", "p_t": "GeV",
    "n_muons": "1", "n_electrons": "1",
}  # fmt: skip
"""Mass of the leptons; mass and squared mass against them; polar angle of the recoil in the laboratory;
transverse momentum in the centre of mass; identified muons and electrons."""
LOWEST = {"mu_mu": 1.0, "tau_tau": 2.0 * MASS_TAU * 1.001}
"""Least mass of a pair that is made [GeV]."""


def candidates(leptons: Array, kinds: Kinds, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector for l⁻, l⁺ (2, 4, N) of kinds (2, N), in the centre of mass; both are needed."""
    lab = [kinematics.to_laboratory(p) for p in leptons]
    muon = np.stack([detector.muons_identified(p, rng) for p in lab]) & (kinds == tau_decays.MUON)
    electron = kinds == tau_decays.ELECTRON
    kept = np.all([detector.tracks_found(p, rng) for p in lab], axis=0) & np.all(muon | electron, axis=0)
    masses = tau_decays.MASSES[kinds[:, kept]]
    tracks = [detector.smear_tracks(p[:, kept], MASS_MUON, rng) for p in lab]
    for track, mass in zip(tracks, masses, strict=True):
        track[0] = np.sqrt(kinematics.momentum(track) ** 2 + mass**2)
    pair = tracks[0] + tracks[1]
    missing = kinematics.to_laboratory(np.array([[sqrt_s], [0.0], [0.0], [0.0]])) - pair
    centre = kinematics.turn_from_beam(kinematics.to_centre_of_mass(pair))
    return as_columns(
        np.flatnonzero(kept),
        {
            "m_ll": kinematics.mass(pair),
            "m_recoil": kinematics.mass(missing),
            "m2_recoil": kinematics.minkowski(missing, missing),
            "theta_recoil": kinematics.polar_angle(missing),
            "p_t": np.hypot(centre[1], centre[2]),
            "n_muons": np.sum(muon, axis=0)[kept],
            "n_electrons": np.sum(electron, axis=0)[kept],
        },
    )


def _turned(mass2: Array, c: Array, phi: Array, x: Array, lepton: float) -> Array:
    """Return a pair (2, 4, n) of squared mass mass2 at angles in the frame of the beams' remains x."""
    beta = np.sqrt(np.maximum(1 - 4 * lepton**2 / mass2, 0))
    energy, flight = np.sqrt(mass2)[None] / 2, kinematics.direction(c, phi)
    pair = [np.concatenate([energy, sign * energy * beta * flight]) for sign in (1, -1)]
    return np.stack([kinematics.turn_to_beam(initial_state.boost_along_beam(p, x)) for p in pair])


def seen(leptons: Array) -> NDArray[np.bool_]:
    """Tell which pairs (2, 4, n) are in the drift chamber."""
    low, high = np.radians(detector.TRACKING.theta)
    theta = np.stack([kinematics.polar_angle(kinematics.to_laboratory(p)) for p in leptons])
    return np.asarray(np.all((theta > low) & (theta < high), axis=0))


def _annihilation(name: str, lepton: float) -> Reaction:
    """Return e⁺e⁻ → l⁺l⁻(γ) with the photons along the beams: l⁻, l⁺."""

    def trial(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
        legs = initial_state.legs(uniform[:4], sqrt_s)
        square = sqrt_s**2 * legs.x[0] * legs.x[1]
        some = square > LOWEST[name] ** 2
        square = np.where(some, square, sqrt_s**2)
        c = 2 * uniform[4] - 1
        pair = _turned(square, c, 2 * math.pi * uniform[5], np.where(some, legs.x, 1.0), lepton)
        beta2 = 1 - 4 * lepton**2 / square
        density = math.pi * ALPHA**2 / (2 * square) * np.sqrt(beta2) * (2 - beta2 * (1 - c * c)) * HBARC2
        kept = some & (seen(pair) if name == "mu_mu" else True)
        return pair, np.where(
            kept, 2 * legs.weight * density * initial_state.vacuum_polarisation(square), 0.0
        )

    return Reaction(f"{name}_recoil", 6, 2, trial)


def equivalent_photons(x: Array, highest_q2: Array) -> Array:
    """Return the photons of an electron per unit of x, the part of its energy, up to Q² [GeV²].

    V. Budnev et al., Phys. Rept. 15, 181 (1975), eq. 6.17b.
    """
    lowest = MASS_ELECTRON**2 * x * x / (1 - x)
    log = np.log(np.maximum(highest_q2 / lowest, 1.0))
    longitudinal = 2 * MASS_ELECTRON**2 * x * (1 / lowest - 1 / np.maximum(highest_q2, lowest))
    return np.asarray(ALPHA / (2 * math.pi) * ((1 + (1 - x) ** 2) / x * log - longitudinal))


def _two_photon(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Map points (4, n) to e⁺e⁻ → e⁺e⁻μ⁺μ⁻ with weights [fb]: μ⁻, μ⁺."""
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
    flux = x[0] * x[1] * np.prod([equivalent_photons(y, square / 4 + MASS_MUON**2) for y in x], axis=0)
    pair = _turned(square, bc / beta, 2 * math.pi * uniform[3], x, MASS_MUON)
    return pair, flux * density * span * reach


def _two_photon_seen(uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    pair, weight = _two_photon(uniform, sqrt_s)
    return pair, np.where(seen(pair), weight, 0.0)


MUONS, TAUS = _annihilation("mu_mu", MASS_MUON), _annihilation("tau_tau", MASS_TAU)
TWO_PHOTON = Reaction("e_e_mu_mu", 4, 2, _two_photon_seen)
LEPTONIC = tau_decays.SHARES["e"] + tau_decays.SHARES["mu"]


class BackgroundOfMuons(Process):
    """What backgrounds of two leptons share; muons unless they say otherwise."""

    role: ClassVar[str] = "background"
    columns: ClassVar[dict[str, str]] = RECOIL_COLUMNS
    reaction: ClassVar[Reaction]

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] of what is generated."""
        self.check(parameters)
        return self.reaction.integral(sqrt_s).cross_section

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two identified leptons."""
        self.check(parameters)
        pair = self.reaction.draw(rng, events, sqrt_s)
        return candidates(pair, np.full((2, events), tau_decays.MUON), sqrt_s, rng)


class MuMuLost(BackgroundOfMuons):
    """Muon pairs with lost photons."""

    name: ClassVar[str] = "mu_mu_lost"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻(γ), photons lost"
    approximation: ClassVar[str] = (
        "photons along the beams in the leading logarithm, vacuum polarisation; muons above 1 GeV of mass "
        "in the drift chamber; no photons off the muons, none lost in cracks; detector parametrised by "
        "defaults"
    )
    reaction: ClassVar[Reaction] = MUONS


class EEMuMu(BackgroundOfMuons):
    """Muon pairs of two virtual photons, both electrons lost."""

    name: ClassVar[str] = "e_e_mu_mu"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻μ⁺μ⁻, electrons lost"
    approximation: ClassVar[str] = (
        "equivalent photons up to Q² = W²/4 + m_μ², electrons along the beams; muons above 0.5 GeV of mass "
        "in the drift chamber; detector parametrised by defaults"
    )
    reaction: ClassVar[Reaction] = TWO_PHOTON


class TauTauLost(BackgroundOfMuons):
    """τ pairs of which both decay to an electron or a muon."""

    name: ClassVar[str] = "tau_tau_lost"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻(γ) → l⁺l⁻ + neutrinos"
    approximation: ClassVar[str] = (
        "photons along the beams in the leading logarithm, vacuum polarisation; unpolarised τ leptons that "
        "all decay to leptons, with their share of the cross section; detector parametrised by defaults"
    )
    reaction: ClassVar[Reaction] = TAUS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B² [fb] of both τ leptons decaying to an electron or a muon."""
        return super().cross_section(sqrt_s, parameters) * LEPTONIC**2

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two identified leptons."""
        self.check(parameters)
        minus, plus = (tau_decays.leptonic(rng, tau) for tau in self.reaction.draw(rng, events, sqrt_s))
        return candidates(np.stack([minus[0], plus[0]]), np.stack([minus[1], plus[1]]), sqrt_s, rng)


class MuMuInvisible(Process):
    """e⁺e⁻ → μ⁺μ⁻Z′, Z′ unseen."""

    name: ClassVar[str] = "mu_mu_zprime_invisible"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻Z′, Z′ → invisible"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "tree level in the Dalitz plane, even orientation; no initial-state radiation, zero width; detector "
        "parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling")
    columns: ClassVar[dict[str, str]] = RECOIL_COLUMNS
    kinds: ClassVar[tuple[int, int]] = (tau_decays.MUON, tau_decays.MUON)

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb]: as given by `cross_section`, or from `coupling`."""
        self.check(parameters)
        return signal_cross_section(self.name, "zprime_lmu_ltau", "invisible", sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two identified leptons."""
        self.check(parameters)
        mass = np.full(events, mass_between(self.name, parameters, 0.0, radiation.threshold(sqrt_s)))
        pair = emitted(rng, "vector", mass, sqrt_s, MASS_MUON)[:2]
        kinds = np.repeat(np.array(self.kinds)[:, None], events, axis=1)
        return candidates(pair, kinds, sqrt_s, rng)


class EMuInvisible(StatedSize, MuMuInvisible):
    """e⁺e⁻ → e^±μ^∓Z′ that breaks lepton flavour, Z′ unseen."""

    name: ClassVar[str] = "e_mu_zprime"
    title: ClassVar[str] = "e⁺e⁻ → e⁻μ⁺Z′, Z′ → invisible"
    approximation: ClassVar[str] = (
        "kinematics of μ⁺μ⁻Z′ with one muon taken as an electron; no coupling model, only a cross section"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section")
    kinds: ClassVar[tuple[int, int]] = (tau_decays.ELECTRON, tau_decays.MUON)
