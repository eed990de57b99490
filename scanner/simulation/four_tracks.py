"""Four tracks with two τ leptons: e⁺e⁻ → μ⁺μ⁻X, X → τ⁺τ⁻ and e⁺e⁻ → τ⁺τ⁻X, X → l⁺l⁻, and their background.

The background is the virtual photon in the place of X, in the leading logarithm of its mass.
"""

import math
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.errors import InputError
from scanner.models import MODELS, radiation
from scanner.simulation import conversions, detector, kinematics
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.radiated import emitted
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import mass_between, signal_cross_section
from scanner.simulation.tau_decays import ELECTRON, HADRON, MASSES, MUON, SEVERAL, Kinds, one_prong

Array = NDArray[np.float64]

TRACK_COLUMNS = {
    "m_ll": "GeV", "m_recoil": "GeV", "m_tracks": "GeV", "p_missing": "GeV", "flavour": "1",
    "n_muons": "1", "n_electrons": "1",
}  # fmt: skip
"""Mass of the only pair of identified muons, or else of electrons; against it; of all four tracks; missing
momentum in the centre of mass; 13 or 11 for the pair; identified muons and electrons."""
LEPTONS = {"e_e": (ELECTRON, MASS_ELECTRON), "mu_mu": (MUON, MASS_MUON), "tau_tau": (SEVERAL, MASS_TAU)}
LOWEST = {"e_e": 0.02, "mu_mu": 2 * MASS_MUON, "tau_tau": 2 * MASS_TAU}
"""Least mass of the background's pair [GeV]."""


def candidates(momenta: Array, kinds: Kinds, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector for l⁻, l⁺, l⁻, l⁺ (4, 4, N) of kinds (4, N), given in the centre of mass.

    An event needs four tracks, and two identified muons or electrons of opposite charge with no other
    lepton of that kind; muons go before electrons.
    """
    lab = [kinematics.to_laboratory(p) for p in momenta]
    found = np.all([detector.tracks_found(p, rng) for p in lab], axis=0) & np.all(kinds < SEVERAL, axis=0)
    muon = np.stack([detector.muons_identified(p, rng) for p in lab]) & (kinds == MUON)
    electron = kinds == ELECTRON
    pairs = [(np.sum(flag, axis=0) == 2) & (np.sum(flag[::2], axis=0) == 1) for flag in (muon, electron)]
    kept = found & (pairs[0] | pairs[1])
    chosen = np.where(pairs[0], muon, electron)[:, kept]
    tracks = np.stack([_measured(p[:, kept], k[kept], rng) for p, k in zip(lab, kinds, strict=True)])
    pair = np.sum(tracks * chosen[:, None], axis=0)
    total = tracks.sum(axis=0)
    beams = kinematics.to_laboratory(np.array([[sqrt_s], [0.0], [0.0], [0.0]]))
    return as_columns(
        np.flatnonzero(kept),
        {
            "m_ll": kinematics.mass(pair),
            "m_recoil": kinematics.mass(beams - pair),
            "m_tracks": kinematics.mass(total),
            "p_missing": kinematics.momentum(kinematics.to_centre_of_mass(beams - total)),
            "flavour": np.where(pairs[0], 13.0, 11.0)[kept],
            "n_muons": np.sum(muon, axis=0)[kept],
            "n_electrons": np.sum(electron, axis=0)[kept],
        },
    )


def _measured(p: Array, kind: Kinds, rng: Generator) -> Array:
    """Return measured momenta (4, N) of charged particles, each with the mass of its kind."""
    measured = detector.smear_tracks(p, MASSES[HADRON], rng)
    measured[0] = np.sqrt(kinematics.momentum(measured) ** 2 + MASSES[kind] ** 2)
    return measured


def _decayed(lepton: str, momenta: Array, rng: Generator) -> tuple[Array, Kinds]:
    """Decay a pair (2, 4, N) if it is of τ leptons; returns what is charged and its kinds (2, N)."""
    if lepton != "tau_tau":
        return momenta, np.full((2, momenta.shape[2]), LEPTONS[lepton][0])
    decays = [one_prong(rng, tau) for tau in momenta]
    return np.stack([p for p, _ in decays]), np.stack([kind for _, kind in decays])


def events_with(
    rng: Generator, kind: str, mass: Array, radiator: str, decay: str, sqrt_s: float
) -> tuple[Array, Kinds]:
    """Draw e⁺e⁻ → l⁺l⁻X with an isotropic decay of X; returns the charged (4, 4, N) and kinds (4, N)."""
    minus, plus, boson = emitted(rng, kind, mass, sqrt_s, LEPTONS[radiator][1])
    own = LEPTONS[decay][1]
    rest = kinematics.two_body(mass, own, own, kinematics.isotropic(rng, len(mass)))
    pair = np.stack([kinematics.boost_with(q, boson, mass) for q in rest])
    first, second = _decayed(radiator, np.stack([minus, plus]), rng), _decayed(decay, pair, rng)
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


@cache
def virtual_photons(radiator: str, decay: str, sqrt_s: float) -> InverseCDF:
    """Return dσ/d ln m [fb] of a virtual photon off one pair of leptons that turns into another one."""
    own, other = LEPTONS[radiator][1], LEPTONS[decay][1]
    top = radiation.threshold(sqrt_s, own) * (1 - 1e-6)
    nodes = np.linspace(math.log(LOWEST[decay]), math.log(top), 101)
    sigma = radiation.cross_section("vector", np.exp(nodes), sqrt_s, lepton=own)

    def density(log_mass: Array) -> Array:
        photon = np.interp(log_mass, nodes, sigma)
        return np.asarray(conversions.conversion_density(log_mass, other) * 4 * math.pi * ALPHA * photon)

    return InverseCDF.of(density, nodes[0], nodes[-1], 2001)


class TauTauPair(Process):
    """The background: two τ leptons and a pair of muons or electrons."""

    name: ClassVar[str] = "tau_tau_pair"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻l⁺l⁻"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "leading logarithm: a virtual photon off a pair of τ leptons that turns into muons or electrons "
        "above 20 MeV, and off muons that turns into τ leptons; no conversions off the beams, no "
        "interference, even orientation; parametrised decays of the τ to one charged particle; no "
        "misidentified hadrons, no converted photons; detector parametrised by defaults"
    )
    columns: ClassVar[dict[str, str]] = TRACK_COLUMNS
    sources: ClassVar[tuple[tuple[str, str], ...]] = (
        ("mu_mu", "tau_tau"), ("tau_tau", "mu_mu"), ("tau_tau", "e_e"),
    )  # fmt: skip

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the total cross section [fb]."""
        self.check(parameters)
        return sum(virtual_photons(*source, sqrt_s).integral for source in self.sources)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with four tracks and one pair of leptons."""
        self.check(parameters)
        tables = [virtual_photons(*source, sqrt_s) for source in self.sources]
        bounds = np.cumsum([table.integral for table in tables])
        which = np.searchsorted(bounds, rng.random(events) * bounds[-1], side="right")
        momenta, kinds = np.empty((4, 4, events)), np.empty((4, events), dtype=np.int64)
        for number, (source, table) in enumerate(zip(self.sources, tables, strict=True)):
            where = np.flatnonzero(which == number)
            mass = np.exp(table.sample(rng, len(where)))
            momenta[:, :, where], kinds[:, where] = events_with(rng, "vector", mass, *source, sqrt_s)
        return candidates(momenta, kinds, sqrt_s, rng)


class MuMuZPrimeTauTau(Process):
    """e⁺e⁻ → μ⁺μ⁻Z′, Z′ → τ⁺τ⁻."""

    name: ClassVar[str] = "mu_mu_zprime_tautau"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻Z′, Z′ → τ⁺τ⁻"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "tree level in the Dalitz plane, even orientation, isotropic decay, unpolarised τ leptons with "
        "parametrised decays to one charged particle; no initial-state radiation, zero width; detector "
        "parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling")
    columns: ClassVar[dict[str, str]] = TRACK_COLUMNS
    kind: ClassVar[str] = "vector"

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B(X → τ⁺τ⁻) [fb]: as given by `cross_section`, or from `coupling`."""
        self.check(parameters)
        return signal_cross_section(self.name, "zprime_lmu_ltau", "tau_tau", sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with four tracks and one pair of leptons."""
        self.check(parameters)
        top = radiation.threshold(sqrt_s)
        mass = np.full(events, mass_between(self.name, parameters, 2 * MASS_TAU, top))
        return candidates(*events_with(rng, self.kind, mass, "mu_mu", "tau_tau", sqrt_s), sqrt_s, rng)


class MuMuScalarTauTau(MuMuZPrimeTauTau):
    """e⁺e⁻ → μ⁺μ⁻φ, φ → τ⁺τ⁻."""

    name: ClassVar[str] = "mu_mu_scalar_tautau"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻φ, φ → τ⁺τ⁻"
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section")
    kind: ClassVar[str] = "scalar"


class MuMuALPTauTau(MuMuZPrimeTauTau):
    """e⁺e⁻ → μ⁺μ⁻a, a → τ⁺τ⁻."""

    name: ClassVar[str] = "mu_mu_alp_tautau"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻a, a → τ⁺τ⁻"
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section")
    kind: ClassVar[str] = "pseudoscalar"


class TauTauScalar(Process):
    """e⁺e⁻ → τ⁺τ⁻φ, φ → e⁺e⁻ or μ⁺μ⁻ in the shares of the model."""

    name: ClassVar[str] = "tau_tau_scalar"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻φ, φ → e⁺e⁻, μ⁺μ⁻"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "tree level in the Dalitz plane, even orientation; `cross_section` is that of ττφ with any decay of "
        "φ, which decays at once; unpolarised τ leptons with parametrised decays to one charged particle; no "
        "initial-state radiation, zero width; detector parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling", "lepton")
    columns: ClassVar[dict[str, str]] = TRACK_COLUMNS

    def _shares(self, sqrt_s: float, parameters: Parameters) -> tuple[float, float]:
        top = radiation.threshold(sqrt_s, MASS_TAU)
        mass = mass_between(self.name, parameters, 2 * MASS_ELECTRON, top)
        kind, model = parameters.get("lepton", 0), MODELS["leptophilic_scalar"]
        if kind not in (0, 11, 13):
            raise InputError(f"process {self.name}: lepton = {kind:g} must be 11 or 13, or absent for both")
        electrons, muons = (float(model.branching_fraction(mass, pair)) for pair in ("e_e", "mu_mu"))
        return electrons * (kind in (0, 11)), muons * (kind in (0, 13))

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] of what is generated, from σ or from ξ."""
        self.check(parameters)
        total = signal_cross_section(self.name, "leptophilic_scalar", None, sqrt_s, parameters)
        return total * sum(self._shares(sqrt_s, parameters))

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with four tracks and one pair of leptons."""
        self.check(parameters)
        electrons, muons = self._shares(sqrt_s, parameters)
        is_muon = rng.random(events) * (electrons + muons) >= electrons
        momenta, kinds = np.empty((4, 4, events)), np.empty((4, events), dtype=np.int64)
        for decay, where in (("e_e", np.flatnonzero(~is_muon)), ("mu_mu", np.flatnonzero(is_muon))):
            mass = np.full(len(where), float(parameters["mass"]))
            momenta[:, :, where], kinds[:, where] = events_with(rng, "scalar", mass, "tau_tau", decay, sqrt_s)
        return candidates(momenta, kinds, sqrt_s, rng)
