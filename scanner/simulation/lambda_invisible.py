"""B⁰ → Λψ with a ψ that is not seen, beside a B⁰ that is reconstructed whole: the mass that is missing.

The momentum of the Λ in the rest frame of its B is fixed by the mass of ψ. What else is in the calorimeter
tells the signal from decays with further neutral particles.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_B0, MASS_PION
from scanner.errors import InputError
from scanner.simulation import detector, flight, kinematics
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, as_columns
from scanner.simulation.signals import given_strength, mass_between

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MASS_LAMBDA, MASS_PROTON = 1.115683, 0.93827209
"""[GeV] (Particle Data Group, Review of Particle Physics, 2024)."""
CTAU_LAMBDA, PROTON_PION = 7.845, 0.641
"""Mean proper decay length [cm], and B(Λ → pπ⁻) (Particle Data Group)."""
MESONS = 1.110e6
"""B⁰ mesons an fb⁻¹: the Υ(4S) cross section of 1.110 nb, half of it to a pair of them."""
TAG = 1.8e-3
"""Events in which the other B⁰ is reconstructed whole; a default (after 1102.3876)."""
FOUND = TAG * PROTON_PION
"""Part of the signals that is generated, before acceptance."""
TAG_ERROR = 0.012
"""Error of each component of the momentum of the tag in the centre of mass [GeV]; a default."""
QUIET, NOISE = 0.5, 0.15
"""Share of signals without any further energy, and the mean of the rest [GeV]; defaults."""
COMBINATIONS = 0.35
"""Candidates of the background an fb⁻¹; a default."""
EXTRA_ENERGY = 0.7
"""Mean of each of the two exponentials that the further energy of the background is the sum of [GeV]."""
RANGE = (0.8, 4.15)
"""Missing masses that are kept [GeV]."""
COLUMNS = {"m_missing": "GeV", "e_ecl": "GeV"}


def meson_momentum(sqrt_s: float) -> float:
    """Return the momentum of either B⁰ in the centre of mass [GeV].

    Raises
    ------
    InputError
        Below the threshold.
    """
    if sqrt_s < 2 * MASS_B0:
        raise InputError(f"{sqrt_s} GeV is below the threshold of two B mesons, {2 * MASS_B0:.4f} GeV")
    return math.sqrt(sqrt_s**2 / 4 - MASS_B0**2)


def mesons(rng: Generator, events: int, sqrt_s: float) -> Array:
    """Draw a B⁰ of Υ(4S) → B⁰B̄⁰, dN/dcosθ ∝ sin²θ; returns it (4, N) in the centre of mass."""
    # The middle one of three uniform numbers has the density 3/4 (1 − c²) on (−1, 1).
    cosine = 2 * np.median(rng.random((3, events)), axis=0) - 1
    axis = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    energy = np.full((1, events), sqrt_s / 2)
    return kinematics.turn_to_beam(np.concatenate([energy, meson_momentum(sqrt_s) * axis]))


def missing_mass(tag: Array, baryon: Array, sqrt_s: float) -> Array:
    """Return the mass [GeV] against a tag and a Λ, momenta (4, N) in the centre of mass.

    Of the tag only the direction counts: its energy is half of √s, its mass that of a B⁰.
    """
    meson = -tag * meson_momentum(sqrt_s) / kinematics.momentum(tag)
    meson[0] = sqrt_s / 2
    return kinematics.mass(meson - baryon)


def _measured(baryon: Array, rng: Generator) -> tuple[Array, Flags]:
    """Let Λ (4, N) in the laboratory decay in flight; returns it as measured, and whether it is found."""
    events = baryon.shape[1]
    _, vertex = flight.vertices(baryon, MASS_LAMBDA, CTAU_LAMBDA, rng)
    pair = kinematics.two_body(MASS_LAMBDA, MASS_PROTON, MASS_PION, kinematics.isotropic(rng, events))
    tracks = [kinematics.boost_with(k, baryon, MASS_LAMBDA) for k in pair]
    found = np.all([flight.displaced_tracks_found(k, vertex, rng) for k in tracks], axis=0)
    masses = (MASS_PROTON, MASS_PION)
    seen = sum(detector.smear_tracks(k, m, rng) for k, m in zip(tracks, masses, strict=True))
    total = np.asarray(seen)
    total[0] = np.sqrt(MASS_LAMBDA**2 + np.sum(total[1:] ** 2, axis=0))
    return total, found


class LambdaInvisible(Process):
    """The signal."""

    name: ClassVar[str] = "lambda_invisible"
    title: ClassVar[str] = "B⁰ → Λψ, ψ invisible"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "isotropic decays of an unpolarised Λ in flight; displaced tracks with the resolution of prompt ones "
        "and an efficiency by radius that is a default, as are the tag, its momentum and further energy"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "branching_fraction")
    columns: ClassVar[dict[str, str]] = COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return `cross_section` [fb], or that of B⁰ times `branching_fraction`, with tag and Λ → pπ."""
        del sqrt_s
        self.check(parameters)
        name, value = given_strength(self.name, parameters, ("cross_section", "branching_fraction"))
        return FOUND * value * (1.0 if name == "cross_section" else MESONS)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with both tracks of the Λ, but those at the ends of RANGE."""
        self.check(parameters)
        mass = mass_between(self.name, parameters, RANGE[0], MASS_B0 - MASS_LAMBDA)
        meson = mesons(rng, events, sqrt_s)
        baryon, _ = kinematics.two_body(MASS_B0, MASS_LAMBDA, mass, kinematics.isotropic(rng, events))
        baryon = kinematics.to_laboratory(kinematics.boost_with(baryon, meson, MASS_B0))
        measured, found = _measured(baryon, rng)
        tag = -meson
        tag[1:] += TAG_ERROR * rng.standard_normal((3, events))
        missing = missing_mass(tag, kinematics.to_centre_of_mass(measured), sqrt_s)
        energy = rng.exponential(NOISE, events) * (rng.random(events) > QUIET)
        kept = np.flatnonzero(found & (missing > RANGE[0]) & (missing < RANGE[1]))
        return as_columns(kept, {"m_missing": missing[kept], "e_ecl": energy[kept]})


class LambdaCombinations(FixedSize):
    """The background: B decays with neutral particles that are missed, and continuum."""

    name: ClassVar[str] = "lambda_combinations"
    title: ClassVar[str] = "Λ beside a tag, with further energy"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised: flat in the missing mass, further energy as a sum of two exponentials; the number of "
        "candidates is a default"
    )
    columns: ClassVar[dict[str, str]] = COLUMNS
    size: ClassVar[float] = COMBINATIONS
    """Cross section [fb] after selection."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        energy = rng.gamma(2.0, EXTRA_ENERGY, events)
        return as_columns(np.arange(events), {"m_missing": rng.uniform(*RANGE, events), "e_ecl": energy})
