"""Three pairs of tracks of equal mass: e⁺e⁻ → A′h′ with h′ → A′A′, and e⁺e⁻ → γΥ_D with Υ_D → A′A′A′.

Every dark photon decays to electrons, muons, pions or something else with its branching fractions; six tracks
are joined to three pairs of opposite charge such that the masses differ the least.
"""

import math
from abc import abstractmethod
from functools import cache
from itertools import permutations
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON, MASS_MUON, MASS_PION
from scanner.errors import InputError
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.dark_photon import DarkPhoton
from scanner.simulation import detector, kinematics
from scanner.simulation.base import Columns, Parameters, Process, as_columns, required
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import STRENGTHS, given_strength

Array = NDArray[np.float64]

TRACK_MASSES = (MASS_ELECTRON, MASS_MUON, MASS_PION)
ALL_PIONS, NO_PIONS = 0.9, 1.2
"""Masses of a dark photon [GeV] up to which its hadrons are two pions, and from which none are: defaults."""
STEEPEST = 0.99
"""Cosine against the beam up to which the photon beside a darkonium is generated."""
SIX_COLUMNS = {"m_pair": "GeV", "spread": "GeV", "m_two": "GeV", "m_six": "GeV"}
"""Mean and largest difference of the masses of the pairs, mass of two pairs, mass of all tracks."""
DARKONIUM_COLUMNS = {"m_pair": "GeV", "spread": "GeV", "m_six": "GeV", "m2_recoil": "GeV^2"}
"""Likewise, and the squared mass against all tracks."""


def pair_shares(mass: float) -> Array:
    """Return the branching fractions of a dark photon into electrons, muons and pairs of pions, (3,)."""
    photon = DarkPhoton()
    pions = min(max((NO_PIONS - mass) / (NO_PIONS - ALL_PIONS), 0.0), 1.0)
    hadrons = float(photon.branching_fraction(mass, "hadrons"))
    leptons = [float(photon.branching_fraction(mass, state)) for state in ("e_e", "mu_mu")]
    return np.array([*leptons, pions * hadrons])


def decay(rng: Generator, parents: Array, mass: float) -> tuple[Array, Array]:
    """Decay dark photons (4, N); returns both tracks (2, 4, N) and their mass (N,), 0 for other decays."""
    events = parents.shape[1]
    kind = np.searchsorted(np.cumsum(pair_shares(mass)), rng.random(events))
    masses = np.array([*TRACK_MASSES, 0.0])[kind]
    p = kinematics.two_body_momentum(np.full(events, mass), masses, masses) * kinematics.isotropic(
        rng, events
    )
    energy = np.full((1, events), mass / 2)
    tracks = [np.concatenate([energy, p]), np.concatenate([energy, -p])]
    return np.stack([kinematics.boost_with(k, parents, mass) for k in tracks]), masses


def reconstruct(tracks: Array, masses: Array, rng: Generator) -> tuple[NDArray[np.bool_], Array]:
    """Simulate the detector; returns which events have six tracks, and these (6, 4, N).

    Positive tracks are at even places; every track has its true mass.
    """
    kept: NDArray[np.bool_] = np.all(masses > 0.0, axis=0)
    measured = np.empty_like(tracks)
    for number, k in enumerate(tracks):
        lab = kinematics.to_laboratory(k)
        kept &= detector.tracks_found(lab, rng)
        for mass in TRACK_MASSES:
            own = masses[number // 2] == mass
            measured[number][:, own] = detector.smear_tracks(lab[:, own], mass, rng)
    return kept, measured[:, :, kept]


def join(tracks: Array) -> tuple[Array, Array]:
    """Join six tracks (6, 4, N) to three pairs; returns these (3, 4, N) and their masses (3, N)."""
    ways = []
    for order in permutations(range(3)):
        pairs = np.stack([tracks[2 * i] + tracks[2 * j + 1] for i, j in enumerate(order)])
        ways.append((pairs, np.stack([kinematics.mass(pair) for pair in pairs])))
    spread = np.stack([np.ptp(masses, axis=0) for _, masses in ways])
    best, events = np.argmin(spread, axis=0), np.arange(tracks.shape[2])
    pairs = np.stack([pairs for pairs, _ in ways])[best, :, :, events]
    return np.moveaxis(pairs, 0, -1), np.stack([m for _, m in ways])[best, :, events].T


class _ThreePairs(Process):
    """What both signals share."""

    role: ClassVar[str] = "signal"
    second: ClassVar[str]
    """Parameter of the second mass."""

    @abstractmethod
    def photons(self, rng: Generator, events: int, sqrt_s: float, masses: tuple[float, float]) -> Array:
        """Draw three dark photons (3, 4, N) in the centre of mass."""

    @abstractmethod
    def rows(self, kept: NDArray[np.intp], tracks: Array, sqrt_s: float) -> Columns:
        """Return the candidates of measured tracks (6, 4, N) in the laboratory."""

    def masses(self, sqrt_s: float, parameters: Parameters) -> tuple[float, float]:
        """Return the masses of the dark photon and of the second particle [GeV]."""
        self.check(parameters)
        light, heavy = (required(self.name, parameters, name) for name in ("mass", self.second))
        if not (light > 2 * MASS_ELECTRON and heavy > self.least(light) and heavy < self.most(light, sqrt_s)):
            raise InputError(f"process {self.name}: masses of {light} and {heavy} GeV are not possible")
        return light, heavy

    def least(self, mass: float) -> float:
        """Return the lowest second mass."""
        return 2 * mass

    def most(self, mass: float, sqrt_s: float) -> float:
        """Return the highest second mass."""
        return sqrt_s - mass

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return the candidates of events whose six tracks are found."""
        masses = self.masses(sqrt_s, parameters)
        decays = [decay(rng, parent, masses[0]) for parent in self.photons(rng, events, sqrt_s, masses)]
        tracks = np.concatenate([pair for pair, _ in decays])
        kept, measured = reconstruct(tracks, np.stack([own for _, own in decays]), rng)
        return self.rows(np.flatnonzero(kept), measured, sqrt_s)


class DarkHiggsSix(_ThreePairs):
    """Dark Higgsstrahlung with a dark Higgs boson that decays to dark photons."""

    name: ClassVar[str] = "dark_higgs_six"
    title: ClassVar[str] = "e⁺e⁻ → A′h′, h′ → A′A′"
    approximation: ClassVar[str] = (
        "production angle of the tree level, decays isotropic, zero widths, h′ → A′A′ alone; no radiation; "
        "particles are identified; hadrons are pions below 0.9 GeV and not seen above 1.2 GeV"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "m_hprime", *STRENGTHS)
    candidates: ClassVar[tuple[int, int]] = (3, 0)
    columns: ClassVar[dict[str, str]] = SIX_COLUMNS
    second: ClassVar[str] = "m_hprime"

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ(A′h′) [fb] with all decays of the dark photons; `coupling` is ε²α_D."""
        name, value = given_strength(self.name, parameters, STRENGTHS)
        if name == "cross_section":
            return value
        mass, m_hprime = self.masses(sqrt_s, parameters)
        return value * float(DarkHiggsstrahlung(m_hprime=m_hprime).production(mass, sqrt_s))

    def photons(self, rng: Generator, events: int, sqrt_s: float, masses: tuple[float, float]) -> Array:
        """Draw the dark photon of the production and those of the dark Higgs boson."""
        light, heavy = masses
        p = float(kinematics.two_body_momentum(sqrt_s, light, heavy))
        ratio = 8 * light**2 / (8 * light**2 + 4 * p**2)
        cosine = _angles(ratio).sample(rng, events)
        flight = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
        first, higgs = kinematics.two_body(np.full(events, sqrt_s), light, heavy, flight)
        pair = kinematics.two_body(np.full(events, heavy), light, light, kinematics.isotropic(rng, events))
        found = np.stack([first, *(kinematics.boost_with(k, higgs, heavy) for k in pair)])
        return kinematics.turn_to_beam(found)

    def rows(self, kept: NDArray[np.intp], tracks: Array, sqrt_s: float) -> Columns:
        """Return a candidate for each pair that may be the first dark photon, the true one in no place."""
        del sqrt_s
        pairs, masses = join(tracks)
        total = tracks.sum(axis=0)
        two = np.stack([kinematics.mass(total - pair) for pair in pairs], axis=1)
        values = {"m_pair": masses.mean(axis=0), "spread": np.ptp(masses, axis=0)}
        values |= {"m_six": kinematics.mass(total)}
        repeated = {name: np.repeat(column, 3) for name, column in values.items()} | {"m_two": two.ravel()}
        return as_columns(np.repeat(kept, 3), {name: repeated[name] for name in SIX_COLUMNS})


@cache
def _angles(ratio: float) -> InverseCDF:
    """Return the density r + (1 − r) sin²θ of a cosine."""
    return InverseCDF.of(lambda c: np.asarray(ratio + (1 - ratio) * (1 - c * c)), -1.0, 1.0, 1001)


class DarkoniumSix(_ThreePairs):
    """A bound state of dark fermions beside a photon."""

    name: ClassVar[str] = "darkonium_six"
    title: ClassVar[str] = "e⁺e⁻ → γΥ_D, Υ_D → A′A′A′"
    approximation: ClassVar[str] = (
        "photon with the density (1 + c²)/(1 − c²), flat phase space of dark photons, isotropic decays; "
        "particles are identified; hadrons are pions below 0.9 GeV and not seen above 1.2 GeV"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "m_upsilon", "cross_section")
    columns: ClassVar[dict[str, str]] = DARKONIUM_COLUMNS
    second: ClassVar[str] = "m_upsilon"

    def least(self, mass: float) -> float:
        """Return the lowest mass of the bound state."""
        return 3 * mass

    def most(self, mass: float, sqrt_s: float) -> float:
        """Return the highest mass of the bound state."""
        del mass
        return sqrt_s

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ(γΥ_D) [fb] with all decays of the dark photons."""
        self.masses(sqrt_s, parameters)
        return given_strength(self.name, parameters, ("cross_section",))[1]

    def photons(self, rng: Generator, events: int, sqrt_s: float, masses: tuple[float, float]) -> Array:
        """Draw the dark photons of the bound state."""
        light, heavy = masses
        cosine = _photon_angles().sample(rng, events)
        flight = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
        bound, _ = kinematics.two_body(np.full(events, sqrt_s), heavy, 0.0, flight)
        pair_mass = _pair_masses(light, heavy).sample(rng, events)
        p = kinematics.two_body_momentum(np.full(events, heavy), pair_mass, np.full(events, light))
        away = p * kinematics.isotropic(rng, events)
        single = np.concatenate([np.sqrt(p * p + light**2)[None], -away])
        pair = np.concatenate([np.sqrt(p * p + pair_mass**2)[None], away])
        halves = kinematics.two_body(pair_mass, light, light, kinematics.isotropic(rng, events))
        rest = [single, *(kinematics.boost_with(k, pair, pair_mass) for k in halves)]
        return kinematics.turn_to_beam(np.stack([kinematics.boost_with(k, bound, heavy) for k in rest]))

    def rows(self, kept: NDArray[np.intp], tracks: Array, sqrt_s: float) -> Columns:
        """Return one candidate an event."""
        _, masses = join(tracks)
        total = tracks.sum(axis=0)
        beams = kinematics.to_laboratory(np.array([[sqrt_s], [0.0], [0.0], [0.0]]))
        recoil = beams - total
        values = {"m_pair": masses.mean(axis=0), "spread": np.ptp(masses, axis=0)}
        values |= {"m_six": kinematics.mass(total), "m2_recoil": kinematics.minkowski(recoil, recoil)}
        return as_columns(kept, values)


@cache
def _photon_angles() -> InverseCDF:
    return InverseCDF.of(lambda c: np.asarray((1 + c * c) / (1 - c * c)), -STEEPEST, STEEPEST, 4001)


@cache
def _pair_masses(light: float, heavy: float) -> InverseCDF:
    """Return the phase space of the mass of two dark photons beside the third."""

    def density(m: Array) -> Array:
        outer = kinematics.two_body_momentum(heavy, m, light)
        return np.asarray(outer * kinematics.two_body_momentum(m, light, light))

    return InverseCDF.of(density, 2 * light, heavy - light, 2001)
