"""A photon and two leptons: e⁺e⁻ → γA′, A′ → e⁺e⁻ or μ⁺μ⁻, and radiative pairs."""

import math
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON, MASS_MUON
from scanner.errors import InputError
from scanner.models import MODELS
from scanner.simulation import detector, kinematics, radiative
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.radiative_events import VISIBLE_ELECTRONS, VISIBLE_MUONS, Region, reaction
from scanner.simulation.signals import mass_between, signal_cross_section
from scanner.simulation.single_photon import dark_photon_cosine

Array = NDArray[np.float64]

PAIR_COLUMNS = {
    "m_ll": "GeV", "m_llg": "GeV", "e_gamma": "GeV", "theta_gamma": "rad", "cos_forward": "1", "n_muons": "1",
}  # fmt: skip
"""Masses of the leptons and of all three; photon in the centre of mass and in the laboratory; the larger
cosine, of l⁻ against the electron or of l⁺ against the positron; identified muons."""
MASSES = {"e_e": MASS_ELECTRON, "mu_mu": MASS_MUON}


def candidates(momenta: Array, lepton: str, rng: Generator) -> Columns:
    """Simulate the detector for l⁻, l⁺, γ (3, 4, N), given in the centre of mass."""
    mass = MASSES[lepton]
    lab = [kinematics.to_laboratory(p) for p in momenta]
    kept = detector.tracks_found(lab[0], rng) & detector.tracks_found(lab[1], rng)
    kept &= detector.photons_found(lab[2], rng)
    muons = np.zeros(len(kept))
    if lepton == "mu_mu":
        muons = np.sum([1.0 * detector.muons_identified(p, rng) for p in lab[:2]], axis=0)
    tracks = [detector.smear_tracks(p[:, kept], mass, rng) for p in lab[:2]]
    photon = detector.smear_photons(lab[2][:, kept], rng)
    centre = [kinematics.to_centre_of_mass(p) for p in tracks]
    cosines = [kinematics.BEAM_AXIS @ p[1:] / kinematics.momentum(p) for p in centre]
    return as_columns(
        np.flatnonzero(kept),
        {
            "m_ll": kinematics.mass(tracks[0] + tracks[1]),
            "m_llg": kinematics.mass(tracks[0] + tracks[1] + photon),
            "e_gamma": kinematics.to_centre_of_mass(photon)[0],
            "theta_gamma": kinematics.polar_angle(photon),
            "cos_forward": np.maximum(cosines[0], -cosines[1]),
            "n_muons": muons[kept],
        },
    )


class _Radiative(Process):
    """e⁺e⁻ → l⁺l⁻γ with all three seen."""

    role: ClassVar[str] = "background"
    columns: ClassVar[dict[str, str]] = PAIR_COLUMNS
    lepton: ClassVar[str]
    region: ClassVar[Region]

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] within the generator's cuts."""
        self.check(parameters)
        return reaction(self.lepton, self.region).integral(sqrt_s).cross_section

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two tracks and a photon."""
        self.check(parameters)
        momenta = reaction(self.lepton, self.region).draw(rng, events, sqrt_s)
        return candidates(momenta, self.lepton, rng)


class EEGamma(_Radiative):
    """Radiative Bhabha events."""

    name: ClassVar[str] = "e_e_gamma"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻γ"
    approximation: ClassVar[str] = (
        "tree level for massless electrons; a photon above 0.2 GeV and 0.1 rad from them, m_ee above 15 MeV; "
        "no second photon, no bremsstrahlung, no resonances; detector parametrised by defaults"
    )
    lepton: ClassVar[str] = "e_e"
    region: ClassVar[Region] = VISIBLE_ELECTRONS


class MuMuGamma(_Radiative):
    """Radiative muon pairs."""

    name: ClassVar[str] = "mu_mu_gamma"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻γ"
    approximation: ClassVar[str] = (
        "tree level; a photon above 0.2 GeV; no second photon, no resonances; detector parametrised by "
        "defaults"
    )
    lepton: ClassVar[str] = "mu_mu"
    region: ClassVar[Region] = VISIBLE_MUONS


def signal_events(rng: Generator, cosine: Array, mass: Array, lepton: str, sqrt_s: float) -> Array:
    """Draw e⁺e⁻ → γA′, A′ → l⁺l⁻ for photons and masses (N,); returns l⁻, l⁺, γ (3, 4, N) likewise."""
    own, events = MASSES[lepton], len(cosine)
    flight = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    photon, boson = kinematics.two_body(sqrt_s, 0.0, mass, flight)
    drawn = np.empty((3, 4, events))
    pending = np.arange(events)
    while len(pending):  # the photon's angle is drawn already: only the decay is drawn again
        n = len(pending)
        decay = kinematics.two_body(mass[pending], own, own, kinematics.isotropic(rng, n))
        leptons = [kinematics.boost_with(q, boson[:, pending], mass[pending]) for q in decay]
        trial = np.stack([*leptons, photon[:, pending]])
        v = radiative.products(trial, sqrt_s)
        # At a given angle of the photon t+u and t′+u′ are fixed.
        bound = (v.t + v.u) ** 2 + (v.t1 + v.u1) ** 2
        flips = 2 * own**2 / v.s1
        kept = v.t**2 + v.t1**2 + v.u**2 + v.u1**2 + flips * bound > rng.random(n) * (1 + flips) * bound
        drawn[:, :, pending[kept]] = trial[:, :, kept]
        pending = pending[~kept]
    return kinematics.turn_to_beam(drawn)


class GammaAPrime(Process):
    """The dark photon that decays to electrons or muons, in the shares of the model."""

    name: ClassVar[str] = "gamma_aprime"
    title: ClassVar[str] = "e⁺e⁻ → γA′, A′ → e⁺e⁻, μ⁺μ⁻"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "tree level with all angles, the photon within |cosθ*| < 0.9; `cross_section` is that of γA′ with "
        "any decay; no further radiation, zero width; detector parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling", "lepton")
    columns: ClassVar[dict[str, str]] = PAIR_COLUMNS

    def _shares(self, sqrt_s: float, parameters: Parameters) -> tuple[float, float]:
        """Return the branching fractions to electrons and muons; `lepton` 11 or 13 leaves one of them."""
        mass = mass_between(self.name, parameters, 2 * MASS_ELECTRON, sqrt_s)
        kind = parameters.get("lepton", 0)
        if kind not in (0, 11, 13):
            raise InputError(f"process {self.name}: lepton = {kind:g} must be 11 or 13, or absent for both")
        model = MODELS["dark_photon"]
        both = (float(model.branching_fraction(mass, pair)) for pair in ("e_e", "mu_mu"))
        electrons, muons = (b if kind in (0, code) else 0.0 for b, code in zip(both, (11, 13), strict=True))
        return electrons, muons

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] of what is generated, from σ or from ε."""
        self.check(parameters)
        total = signal_cross_section(self.name, "dark_photon", None, sqrt_s, parameters)
        return total * sum(self._shares(sqrt_s, parameters))

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two tracks and a photon."""
        self.check(parameters)
        electrons, muons = self._shares(sqrt_s, parameters)
        mass, is_muon = float(parameters["mass"]), rng.random(events) * (electrons + muons) >= electrons
        parts = []
        for lepton, chosen in (("e_e", ~is_muon), ("mu_mu", is_muon)):
            where = np.flatnonzero(chosen)
            cosine = dark_photon_cosine(rng, len(where), mass, sqrt_s)
            momenta = signal_events(rng, cosine, np.full(len(where), mass), lepton, sqrt_s)
            part = candidates(momenta, lepton, rng)
            parts.append(part | {"event": where[part["event"]]})
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(joined["event"], kind="stable")
        return {name: values[order] for name, values in joined.items()}
