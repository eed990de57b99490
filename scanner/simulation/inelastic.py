"""Inelastic dark matter with a dark Higgs boson: e⁺e⁻ → A′h′, A′ → χ₁χ₂, χ₂ → χ₁ee, h′ → μμ, ππ or KK.

The pair of h′ points back to the beams, that of χ₂ does not.
"""

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON
from scanner.errors import InputError
from scanner.simulation import detector, displaced, flight, kinematics
from scanner.simulation.base import Columns, FixedSize, Parameters, StatedSize, as_columns
from scanner.simulation.phase_space import pair_masses
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import mass_between

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

FOUR_TRACK_COLUMNS = {
    "mode": "1", "m_pair_1": "GeV", "m_pair_2": "GeV", "r_vertex_1": "cm", "r_vertex_2": "cm",
    "pointing_angle_1": "rad", "pointing_angle_2": "rad", "l_proper_1": "cm", "l_proper_2": "cm",
    "ctau_1": "cm", "ctau_2": "cm", "ctau_least_1": "cm", "ctau_least_2": "cm",
}  # fmt: skip
"""Final state of h′ (0 to 2 for μμ, ππ, KK); of its pair (1) and that of χ₂ (2): mass, distance of the
vertex from the beams, angle between momentum and vertex, proper decay length, and the generated mean, or
the largest and the least of means that are even in the logarithm."""
FINALS = (1, 2, 3)
"""Numbers of the final states of h′ in `displaced.DAUGHTERS`."""
ELECTRONS = 0
SLOWEST = 1e-9
"""Transverse momentum over mass that a flight is taken to have at least."""


def higgsstrahlung(rng: Generator, events: int, m_aprime: float, m_hprime: float, sqrt_s: float) -> Array:
    """Draw e⁺e⁻ → A′h′ with dN/dcosθ ∝ λ sin²θ + 8m_A²/s (0903.0363).

    Returns (2, 4, N) in the centre of mass. λ is that of the squared masses in units of s.
    """
    a, h = (m_aprime / sqrt_s) ** 2, (m_hprime / sqrt_s) ** 2
    kallen = 1 + a * a + h * h - 2 * (a + h + a * h)

    def density(c: Array) -> Array:
        return kallen * (1 - c * c) + 8 * a

    cosine = InverseCDF.of(density, -1.0, 1.0, 2001).sample(rng, events)
    axis = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    return kinematics.turn_to_beam(np.stack(kinematics.two_body(sqrt_s, m_aprime, m_hprime, axis)))


def dark_electrons(rng: Generator, aprime: Array, masses: tuple[float, float, float]) -> tuple[Array, Array]:
    """Draw A′ → χ₁χ₂, χ₂ → χ₁e⁺e⁻ by phase space, masses of A′, χ₁ and χ₂ [GeV].

    Returns
    -------
    chi2, electrons
        Momenta (4, N) of χ₂ and (2, 4, N) of its electrons in the frame of `aprime`.
    """
    m_aprime, m_chi1, m_chi2 = masses
    events = aprime.shape[1]
    _, chi2 = kinematics.two_body(m_aprime, m_chi1, m_chi2, kinematics.isotropic(rng, events))
    chi2 = kinematics.boost_with(chi2, aprime, m_aprime)
    pair_mass = pair_masses(rng, np.full(events, m_chi2), (MASS_ELECTRON, MASS_ELECTRON, m_chi1))
    pair, _ = kinematics.two_body(m_chi2, pair_mass, m_chi1, kinematics.isotropic(rng, events))
    pair = kinematics.boost_with(pair, chi2, m_chi2)
    decay = kinematics.two_body(pair_mass, MASS_ELECTRON, MASS_ELECTRON, kinematics.isotropic(rng, events))
    return chi2, np.stack([kinematics.boost_with(k, pair, pair_mass) for k in decay])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of charged particles from decays in flight, in the laboratory.

    Attributes
    ----------
    momenta : (2, 4, N) float
        [GeV].
    vertex : (3, N) float
        [cm].
    proper, least, most : (N,) float
        Proper decay lengths, and the ends of the means that they were drawn with [cm].
    """

    momenta: Array
    vertex: Array
    proper: Array
    least: Array
    most: Array

    def __getitem__(self, kept: Flags) -> "Pairs":
        """Return some of them."""
        return Pairs(*(getattr(self, field.name)[..., kept] for field in fields(self)))

    def found(self, final: int, rng: Generator) -> Flags:
        """Return which are reconstructed and identified."""
        return displaced.pair_found(self.momenta, self.vertex, final, rng)

    def measured(self, rng: Generator, daughter: float, number: int) -> dict[str, Array]:
        """Return the columns of the pair of a number."""
        seen = np.sum([detector.smear_tracks(k, daughter, rng) for k in self.momenta], axis=0)
        vertex = self.vertex + displaced.VERTEX_ERROR * rng.standard_normal(self.vertex.shape)
        values = {
            "m_pair": kinematics.mass(seen), "r_vertex": flight.radius(vertex),
            "pointing_angle": flight.displacement_angle(seen, vertex), "l_proper": self.proper,
            "ctau": self.most, "ctau_least": self.least,
        }  # fmt: skip
        return {f"{name}_{number}": value for name, value in values.items()}


def flown(rng: Generator, parent: Array, mass: float, pair: Array, means: tuple[Array, Array]) -> Pairs:
    """Draw where parents (4, N) in the laboratory decay into pairs, with means evenly in the logarithm."""
    least, most = means
    ctau = least if least is most else least * (most / least) ** rng.random(len(most))
    proper, vertex = flight.vertices(parent, mass, ctau, rng)
    return Pairs(pair, vertex, proper, least, most)


class InelasticDarkHiggs(StatedSize):
    """The signal in the final state `mode` of h′."""

    name: ClassVar[str] = "inelastic_dark_higgs"
    title: ClassVar[str] = "e⁺e⁻ → A′h′, A′ → χ₁χ₂, χ₂ → χ₁ee and h′ → μμ, ππ or KK in flight"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "exact angle of production, isotropic decays and phase space of χ₂; no initial-state radiation, no "
        "trigger; displaced tracks with the resolution of prompt ones and an efficiency by radius that is a "
        "default, as is identification"
    )
    parameters: ClassVar[tuple[str, ...]] = (
        "mass", "m_chi1", "ratio", "splitting", "ctau_1", "ctau_2", "radius_least", "radius", "mode",
        "cross_section",
    )  # fmt: skip
    columns: ClassVar[dict[str, str]] = FOUR_TRACK_COLUMNS

    def _masses(self, parameters: Parameters) -> tuple[float, float, float]:
        """Return the masses of A′, χ₁ and χ₂ [GeV]."""
        m_chi1 = float(parameters.get("m_chi1", 1.0))
        ratio, splitting = float(parameters.get("ratio", 3.0)), float(parameters.get("splitting", 0.4))
        if not (m_chi1 > 0 and ratio > 2 + splitting and splitting * m_chi1 > 2 * MASS_ELECTRON):
            raise InputError(
                f"process {self.name}: m_chi1 = {m_chi1}, ratio = {ratio}, splitting = {splitting}: "
                "A′ → χ₁χ₂ or χ₂ → χ₁ee is closed"
            )
        return ratio * m_chi1, m_chi1, (1 + splitting) * m_chi1

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with both pairs.

        With `radius_least` and `radius` [cm], decays are drawn where they may be seen: for each particle the
        mean proper decay length is even in the logarithm between those of mean flights to these distances
        from the beams. Weights of other lifetimes (`scanner.decays`) hold for any two radii.
        """
        low, high = self.mass_range(parameters, sqrt_s)
        mass = mass_between(self.name, parameters, low, high)
        masses, final = self._masses(parameters), FINALS[self._mode(parameters)]
        aprime, hprime = higgsstrahlung(rng, events, masses[0], mass, sqrt_s)
        chi2, electrons = dark_electrons(rng, aprime, masses)
        electrons = np.stack([kinematics.to_laboratory(k) for k in electrons])
        event = np.flatnonzero(np.all([displaced.fast(k, ELECTRONS) for k in electrons], axis=0))
        parent, electrons = kinematics.to_laboratory(chi2[:, event]), electrons[..., event]
        second = flown(rng, parent, masses[2], electrons, self._means(parameters, parent, masses[2], 2))
        kept = second.found(ELECTRONS, rng)
        event, second = event[kept], second[kept]
        parent = kinematics.to_laboratory(hprime[:, event])
        pair = displaced.pair_of(rng, parent, mass, final)
        first = flown(rng, parent, mass, pair, self._means(parameters, parent, mass, 1))
        both = first.found(final, rng)
        values = {"mode": np.full(int(both.sum()), FINALS.index(final))}
        values |= first[both].measured(rng, displaced.DAUGHTERS[final], 1)
        values |= second[both].measured(rng, MASS_ELECTRON, 2)
        ordered = {name: values[name] for name in FOUR_TRACK_COLUMNS}
        return as_columns(event[both], ordered)

    def mass_range(self, parameters: Parameters, sqrt_s: float) -> tuple[float, float]:
        """Return the masses between the threshold of the pair and what A′ leaves of the energy."""
        self.check(parameters)
        return 2 * displaced.DAUGHTERS[FINALS[self._mode(parameters)]], sqrt_s - self._masses(parameters)[0]

    def _mode(self, parameters: Parameters) -> int:
        mode = float(parameters.get("mode", 0.0))
        if mode not in range(len(FINALS)):
            raise InputError(f"process {self.name}: mode = {mode:g} is not 0, 1 or 2")
        return int(mode)

    def _means(self, parameters: Parameters, p: Array, mass: float, number: int) -> tuple[Array, Array]:
        """Return the least and the largest mean proper decay length [cm] of particles (4, N), (N,) each."""
        if "radius" not in parameters:
            ctau = float(parameters.get(f"ctau_{number}", 1.0))
            if ctau < 0:
                raise InputError(f"process {self.name}: ctau = {ctau} cm must not be negative")
            same = np.full(p.shape[1], ctau)
            return same, same
        least, most = (float(parameters.get(name, 0.0)) for name in ("radius_least", "radius"))
        if not 0 < least < most:
            raise InputError(
                f"process {self.name}: radius_least = {least} cm is not between 0 and radius = {most} cm"
            )
        boost = np.maximum(np.hypot(p[1], p[2]) / mass, SLOWEST)
        return least / boost, most / boost


EVENTS, LUMINOSITY = 9.0, 365.0
"""Events that the experiment saw, and its luminosity [fb⁻¹] (2505.09705)."""
PIONS = 8.0 / 9.0
"""Share of pairs of pions among them; the rest are muons."""
KSHORT = 0.5
"""Share of K_S among pairs of pions; a default."""


class FourTracks(FixedSize):
    """The background: two displaced pairs that look like a signal."""

    name: ClassVar[str] = "displaced_four_tracks"
    title: ClassVar[str] = "two displaced pairs in e⁺e⁻ → qq̄ and beam background"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised and already selected: flat in the mass of the pointing pair, with a default share of "
        "K_S; as many events as the experiment saw, 9 of which 8 are pairs of pions"
    )
    columns: ClassVar[dict[str, str]] = FOUR_TRACK_COLUMNS
    size: ClassVar[float] = EVENTS / LUMINOSITY
    """Cross section [fb] of what is seen."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        pions = rng.random(events) < PIONS
        low = np.where(pions, 2 * displaced.DAUGHTERS[2], 2 * displaced.DAUGHTERS[1])
        flat = low + (3.0 - low) * rng.random(events)
        short = pions & (rng.random(events) < KSHORT)
        peak = displaced.KSHORT_MASS + displaced.KSHORT_WIDTH * rng.standard_normal(events)
        nothing = np.zeros(events)
        values = {
            "mode": np.where(pions, 1.0, 0.0), "m_pair_1": np.where(short, peak, flat),
            "m_pair_2": 0.5 * rng.random(events), "r_vertex_1": 0.2 + rng.exponential(size=events),
            "r_vertex_2": 0.2 + 5 * rng.exponential(size=events),
            "pointing_angle_1": 0.02 * rng.random(events),
            "pointing_angle_2": 0.1 + 0.5 * rng.random(events), "l_proper_1": nothing, "l_proper_2": nothing,
            "ctau_1": nothing, "ctau_2": nothing, "ctau_least_1": nothing, "ctau_least_2": nothing,
        }  # fmt: skip
        return as_columns(np.arange(events), values)
