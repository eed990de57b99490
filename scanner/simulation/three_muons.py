"""e⁺e⁻ → τ⁺τ⁻ with τ → μμμ: mass and energy of three muons, and what else looks like them.

A τ that decays to charged particles alone has its own mass, and in the centre of mass half of the energy but
for what is radiated off the beams. Nothing is asked of the other τ.
"""

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_MUON, MASS_TAU
from scanner.simulation import detector, kinematics, network, recoil, tau_pairs
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, as_columns
from scanner.simulation.phase_space import pair_masses
from scanner.simulation.signals import given_strength

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

THREE_MUON_COLUMNS = {"m_3mu": "GeV", "delta_e": "GeV", "classifier": "1"}
"""Mass of the three muons; their energy in the centre of mass less half of √s; output of a classifier."""
MASSES, ENERGIES = (1.5, 2.1), (-0.6, 0.4)
"""Masses and energy differences that are kept [GeV]."""
FAKES = tau_pairs.FAKES["mu"] ** 3
"""Three pions that are all taken for muons; a default."""
COMBINATIONS = 21.5
"""Combinations of three tracks in the plane of MASSES and ENERGIES [fb], before the classifier: what leaves
0.7 events in the ellipse of the built-in search at 424 fb⁻¹, as many as Belle II expects in its own
(2405.07386), for a flat plane."""


def three_bodies(rng: Generator, tau: Array) -> Array:
    """Draw τ → μμμ of τ (4, N), flat in phase space; returns the muons (3, 4, N)."""
    events = tau.shape[1]
    pair_mass = pair_masses(rng, np.full(events, MASS_TAU), (MASS_MUON, MASS_MUON, MASS_MUON))
    pair, single = kinematics.two_body(MASS_TAU, pair_mass, MASS_MUON, kinematics.isotropic(rng, events))
    decay = kinematics.two_body(pair_mass, MASS_MUON, MASS_MUON, kinematics.isotropic(rng, events))
    muons = [*(kinematics.boost_with(k, pair, pair_mass) for k in decay), single]
    return np.stack([kinematics.boost_with(k, tau, MASS_TAU) for k in muons])


def _taus(rng: Generator, events: int, sqrt_s: float) -> Array:
    """Draw one of the τ leptons of each event (4, N), in the centre of mass."""
    pairs = recoil.TAUS.draw(rng, events, sqrt_s)
    return np.asarray(np.where(rng.random(events) < 0.5, pairs[0], pairs[1]))


def _seen(values: dict[str, Array], kept: Flags, is_signal: bool, rng: Generator) -> Columns:
    """Return the candidates in the plane that is kept, with the output of a classifier."""
    kept = kept & (values["m_3mu"] > MASSES[0]) & (values["m_3mu"] < MASSES[1])
    kept &= (values["delta_e"] > ENERGIES[0]) & (values["delta_e"] < ENERGIES[1])
    values["classifier"] = network.output(np.full(len(kept), is_signal), rng)
    return as_columns(np.flatnonzero(kept), {name: column[kept] for name, column in values.items()})


def candidates(rng: Generator, tracks: Array, identified: Flags, sqrt_s: float, is_signal: bool) -> Columns:
    """Simulate the detector for three tracks (3, 4, N) in the centre of mass, taken for muons."""
    lab = [kinematics.to_laboratory(k) for k in tracks]
    kept = identified & np.all([detector.tracks_found(k, rng) for k in lab], axis=0)
    kept &= np.all([kinematics.momentum(k) > detector.MUON_IDENTIFICATION.lowest_p for k in lab], axis=0)
    total = np.sum([detector.smear_tracks(k, MASS_MUON, rng) for k in lab], axis=0)
    energy = kinematics.to_centre_of_mass(total)[0] - sqrt_s / 2
    return _seen({"m_3mu": kinematics.mass(total), "delta_e": energy}, kept, is_signal, rng)


class TauThreeMuons(Process):
    """The signal."""

    name: ClassVar[str] = "tau_three_muons"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → μμμ"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "decays flat in phase space, unpolarised; photons along the beams in the leading logarithm, none off "
        "the muons; nothing is asked of the other τ, no trigger; identification and classifier by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "energy", "cross_section", "branching_fraction")
    columns: ClassVar[dict[str, str]] = THREE_MUON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return `cross_section` [fb], or that of τ leptons times `branching_fraction`."""
        del sqrt_s
        self.check(parameters)
        name, value = given_strength(self.name, parameters, ("cross_section", "branching_fraction"))
        return value if name == "cross_section" else 2 * tau_pairs.CROSS_SECTION * value

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with three identified muons.

        `mass` and `energy` name the point of the scan, and change nothing: a τ has one mass.
        """
        self.check(parameters)
        muons = three_bodies(rng, _taus(rng, events, sqrt_s))
        identified = rng.random((3, events)) < detector.MUON_IDENTIFICATION.efficiency
        return candidates(rng, muons, np.all(identified, axis=0), sqrt_s, is_signal=True)


class TauPionsAsMuons(FixedSize):
    """Background from τ → πππν with all pions taken for muons."""

    name: ClassVar[str] = "tau_pions_as_muons"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → πππν, all π taken for μ"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "5% of pions are taken for muons and 1% of candidates pass the classifier, defaults; three pions by "
        "a resonance and phase space; photons along the beams in the leading logarithm"
    )
    columns: ClassVar[dict[str, str]] = THREE_MUON_COLUMNS
    size: ClassVar[float] = tau_pairs.CROSS_SECTION * 2 * tau_pairs.TAG * FAKES
    """Cross section [fb] of three pions that are taken for muons, 21 fb."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with three tracks."""
        self.check(parameters)
        pions = tau_pairs.three_pions(rng, _taus(rng, events, sqrt_s))
        return candidates(rng, pions, np.ones(events, dtype=np.bool_), sqrt_s, is_signal=False)


class ThreeMuonCombinations(FixedSize):
    """Background from other tracks."""

    name: ClassVar[str] = "three_muon_combinations"
    title: ClassVar[str] = "three tracks that are taken for the muons of a τ"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised: flat in mass and energy, as many as the paper expects in its signal region; 1% pass "
        "the classifier, a default"
    )
    columns: ClassVar[dict[str, str]] = THREE_MUON_COLUMNS
    size: ClassVar[float] = COMBINATIONS
    """Cross section [fb] before the classifier."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        values = {"m_3mu": rng.uniform(*MASSES, events), "delta_e": rng.uniform(*ENERGIES, events)}
        return _seen(values, np.ones(events, dtype=np.bool_), False, rng)
