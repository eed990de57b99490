"""Pairs of charged particles from decays in flight: B → K⁽*⁾S, S → ee, μμ, ππ or KK.

The four final states are numbered 0 to 3 in this order, and 4 is added for a K*⁰ in place of the K⁺.
"""

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import (
    HBAR,
    HBARC_CM,
    LIFETIME_B,
    LIFETIME_B0,
    MASS_B,
    MASS_B0,
    MASS_ELECTRON,
    MASS_KAON,
    MASS_KSTAR0,
    MASS_MUON,
    MASS_PION,
)
from scanner.errors import InputError
from scanner.simulation import b_mesons, detector, flight, kinematics
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, as_columns
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import decay_cross_section, mass_between

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAUGHTERS = (MASS_ELECTRON, MASS_MUON, MASS_PION, MASS_KAON)
"""Mass of either particle of the pair in the final states [GeV]."""
IDENTIFIED_FROM = (0.3, 0.7, 0.0, 0.0)
IDENTIFIED = (0.93, 0.95, 0.97, 0.90)
"""Momentum [GeV] from which each particle is identified, and how often; defaults."""
VERTEX_ERROR = 0.01
"""Error of the distance of a vertex from the beams [cm]; a default."""
CTAU_B, CTAU_B0 = LIFETIME_B * HBARC_CM / HBAR, LIFETIME_B0 * HBARC_CM / HBAR
"""Mean proper decay lengths of the B mesons [cm]."""
WIDTH_KSTAR0 = 0.0473
"""Width of the K*⁰ [GeV] (Particle Data Group)."""
KSTAR_WINDOW = 0.1
"""Half width of the selected masses of Kπ [GeV]; a default."""
DISPLACED_COLUMNS = {
    "mode": "1", "m_pair": "GeV", "m_reduced": "GeV", "m_pipi": "GeV", "m_bc": "GeV", "delta_e": "GeV",
    "r_vertex": "cm", "l_proper": "cm", "ctau": "cm", "ctau_least": "cm", "b_life": "1", "b_lives": "1",
}  # fmt: skip
"""Number of the final state; mass of the pair, the same without twice that of its particles, and as pions;
beam-constrained mass and energy difference; distance of the vertex from the beams; proper decay length and
the mean that was generated, or the largest and the least of means that are even in the logarithm; the same of
the B in units of its mean life, of which the least is 1; 0 for background."""


def identified(p: Array, final: int, rng: Generator) -> Flags:
    """Return which particles (4, N) of a final state are identified as what they are."""
    luck = rng.random(p.shape[1]) < IDENTIFIED[final]
    return np.asarray(luck & fast(p, final))


def fast(p: Array, final: int) -> Flags:
    """Return which particles (4, N) of a final state have the momentum to be identified."""
    return np.asarray(kinematics.momentum(p) > IDENTIFIED_FROM[final])


def flying_pair(
    rng: Generator, boson: Array, mass: float, ctau: float | Array, final: int
) -> tuple[Array, Array, Array]:
    """Draw the decay of bosons (4, N) in the laboratory.

    Returns
    -------
    pair, proper, vertex
        Momenta (2, 4, N), proper decay lengths (N,), and vertices (3, N) from where they start [cm].
    """
    proper, vertex = flight.vertices(boson, mass, ctau, rng)
    return pair_of(rng, boson, mass, final), proper, vertex


def pair_of(rng: Generator, boson: Array, mass: float, final: int) -> Array:
    """Draw isotropic decays of bosons (4, N) into pairs (2, 4, N)."""
    m = DAUGHTERS[final]
    decay = kinematics.two_body(mass, m, m, kinematics.isotropic(rng, boson.shape[1]))
    return np.stack([kinematics.boost_with(k, boson, mass) for k in decay])


def pair_found(pair: Array, vertex: Array, final: int, rng: Generator) -> Flags:
    """Return which pairs (2, 4, N) from vertices (3, N) are reconstructed and identified."""
    found = [flight.displaced_tracks_found(k, vertex, rng) & identified(k, final, rng) for k in pair]
    return np.asarray(found[0] & found[1])


def reduced(mass: Array, daughter: float) -> Array:
    """Return √(m² − 4m_d²), 0 below the threshold."""
    return np.asarray(np.sqrt(np.maximum(mass * mass - 4 * daughter * daughter, 0.0)))


def as_mass(pair: Array, daughter: float) -> Array:
    """Return the mass of pairs (2, 4, N) if its particles had the mass `daughter`."""
    total = pair.sum(axis=0)
    energy = sum(np.sqrt(np.sum(k[1:] ** 2, axis=0) + daughter**2) for k in pair)
    return np.asarray(np.sqrt(np.maximum(energy**2 - np.sum(total[1:] ** 2, axis=0), 0.0)))


def _kstar_masses(rng: Generator, events: int, highest: float) -> Array:
    """Draw masses of the K*⁰ from a Breit-Wigner shape, cut to the selected ones and below `highest`."""

    def line(m: Array) -> Array:
        return np.asarray(1 / ((m - MASS_KSTAR0) ** 2 + WIDTH_KSTAR0**2 / 4))

    low, high = MASS_KSTAR0 - KSTAR_WINDOW, min(MASS_KSTAR0 + KSTAR_WINDOW, highest)
    return InverseCDF.of(line, low, high, 1001).sample(rng, events)


def prompt_hadrons(
    rng: Generator, events: int, mass: float, star: bool, sqrt_s: float
) -> tuple[list[tuple[Array, float]], Array, Array]:
    """Draw B⁺ → K⁺S or B⁰ → K*⁰S, K*⁰ → K⁺π⁻.

    Returns
    -------
    hadrons, boson, way
        Momenta (4, N) and mass of each prompt hadron, momenta of S, and the way (3, N) of the B in one mean
        life [cm], in the laboratory.
    """
    parent_mass, parent_ctau = (MASS_B0, CTAU_B0) if star else (MASS_B, CTAU_B)
    parent = b_mesons.mesons(rng, events, sqrt_s, parent_mass)
    kaon_mass = _kstar_masses(rng, events, parent_mass - mass) if star else np.full(events, MASS_KAON)
    decay = kinematics.two_body(parent_mass, kaon_mass, mass, kinematics.isotropic(rng, events))
    kaon, boson = (kinematics.to_laboratory(kinematics.boost_with(k, parent, parent_mass)) for k in decay)
    flown = kinematics.to_laboratory(parent)[1:] / parent_mass * parent_ctau
    if not star:
        return [(kaon, MASS_KAON)], boson, flown
    pair = kinematics.two_body(kaon_mass, MASS_KAON, MASS_PION, kinematics.isotropic(rng, events))
    kaon, pion = (kinematics.boost_with(k, kaon, kaon_mass) for k in pair)
    return [(kaon, MASS_KAON), (pion, MASS_PION)], boson, flown


def scalar_decays(
    rng: Generator,
    events: int,
    mass: float,
    ctau: tuple[float, float],
    mode: int,
    sqrt_s: float,
    b_lives: float = 1.0,
) -> Columns:
    """Draw the signal of one final state, and return the candidate of each event that is found.

    Mean proper decay lengths lie between the two of `ctau` [cm], evenly in the logarithm, and those of the B
    between one and `b_lives` times its own.
    """
    star, final = divmod(mode, 4)
    hadrons, boson, one_life = prompt_hadrons(rng, events, mass, bool(star), sqrt_s)
    life = flight.lifetimes(rng, events, 1.0, b_lives) * rng.exponential(size=events)
    means = flight.lifetimes(rng, events, *ctau)
    pair, proper, flown = flying_pair(rng, boson, mass, means, final)
    vertex = one_life * life + flown
    kept = pair_found(pair, vertex, final, rng)
    for hadron, own in hadrons:
        kept &= detector.tracks_found(hadron, rng) & identified(hadron, 3 if own == MASS_KAON else 2, rng)
    seen = np.stack([detector.smear_tracks(k, DAUGHTERS[final], rng) for k in pair])
    total = seen.sum(axis=0) + np.sum([detector.smear_tracks(k, m, rng) for k, m in hadrons], axis=0)
    m_bc, delta_e = b_mesons.beam_constrained(total, sqrt_s)
    m_pair = kinematics.mass(seen.sum(axis=0))
    distance = np.abs(flight.radius(vertex) + VERTEX_ERROR * rng.standard_normal(events))
    values = {
        "mode": np.full(events, mode), "m_pair": m_pair, "m_reduced": reduced(m_pair, DAUGHTERS[final]),
        "m_pipi": as_mass(seen, MASS_PION), "m_bc": m_bc, "delta_e": delta_e, "r_vertex": distance,
        "l_proper": proper, "ctau": np.full(events, ctau[1]), "ctau_least": np.full(events, ctau[0]),
        "b_life": life, "b_lives": np.full(events, b_lives),
    }  # fmt: skip
    return as_columns(np.flatnonzero(kept), {name: value[kept] for name, value in values.items()})


class KaonScalar(Process):
    """The signal in the final state `mode`."""

    name: ClassVar[str] = "b_kaon_scalar"
    title: ClassVar[str] = "B → K⁽*⁾S, S → ee, μμ, ππ or KK in flight"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "isotropic decays of B mesons in flight to two bodies, a K*⁰ without polarisation; displaced tracks "
        "with the resolution of prompt ones and an efficiency by radius that is a default, as is "
        "identification; no wrong combinations"
    )
    parameters: ClassVar[tuple[str, ...]] = (
        "mass", "ctau", "ctau_least", "b_lives", "mode", "cross_section", "branching_fraction", "coupling",
    )  # fmt: skip
    columns: ClassVar[dict[str, str]] = DISPLACED_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] of the final state.

        Of `cross_section`, or of `branching_fraction` of B → K⁽*⁾S, S → this final state.
        """
        self.check(parameters)
        if "coupling" in parameters:
            raise InputError(f"process {self.name}: give branching_fraction, which holds the final state")
        parents = b_mesons.CROSS_SECTION * b_mesons.CHARGED
        return decay_cross_section(self.name, "dark_scalar", None, parents, sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event whose tracks are all found."""
        mass = mass_between(self.name, parameters, *self.mass_range(parameters, sqrt_s))
        ctau = flight.lifetime_range(self.name, parameters, 1.0)
        b_lives = float(parameters.get("b_lives", 1.0))
        if not b_lives >= 1.0:
            raise InputError(f"process {self.name}: b_lives = {b_lives:g} is not 1 or more")
        return scalar_decays(rng, events, mass, ctau, self._mode(parameters), sqrt_s, b_lives)

    def mass_range(self, parameters: Parameters, sqrt_s: float) -> tuple[float, float]:
        """Return the masses between the threshold of the pair and the end of the B decay."""
        del sqrt_s
        self.check(parameters)
        mode = self._mode(parameters)
        end = MASS_B0 - MASS_KSTAR0 + KSTAR_WINDOW if mode >= 4 else MASS_B - MASS_KAON
        return 2 * DAUGHTERS[mode % 4], end

    def _mode(self, parameters: Parameters) -> int:
        mode = float(parameters.get("mode", 1.0))
        if mode not in range(8):
            raise InputError(f"process {self.name}: mode = {mode:g} is not a whole number from 0 to 7")
        return int(mode)


COMBINATIONS = 20.0
"""Cross section of displaced pairs in all final states, within BC_RANGE and DE_RANGE [fb]; a default."""
SHARES = (0.10, 0.15, 0.20, 0.05, 0.10, 0.15, 0.20, 0.05)
"""Shares of the final states; defaults."""
KSHORT, KSHORT_MASS, KSHORT_WIDTH = 0.5, 0.497611, 0.003
"""Share of K_S among pairs of pions, its mass, and the width of its peak [GeV]; defaults but the mass."""
SCALE, RADIUS = 1.5, 1.0
"""Decay constants of the spectra of masses above threshold [GeV] and of distances [cm]; defaults."""
BC_RANGE, DE_RANGE, LEAST_RADIUS = (5.20, 5.29), 0.25, 0.05
"""Kept candidates: range of M_bc and half range of ΔE [GeV], least distance of the vertex [cm]."""


class DisplacedCombinations(FixedSize):
    """The background: displaced pairs of every kind."""

    name: ClassVar[str] = "displaced_combinations"
    title: ClassVar[str] = "displaced pairs with a K⁺ or K*⁰ in e⁺e⁻ → qq̄ and BB̄"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised spectra of every column; their size, 20 fb, the shares of final states and of K_S and "
        "all shapes are defaults"
    )
    columns: ClassVar[dict[str, str]] = DISPLACED_COLUMNS
    size: ClassVar[float] = COMBINATIONS
    """Cross section [fb] of the kept candidates."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        mode = np.searchsorted(np.cumsum(SHARES), rng.random(events) * sum(SHARES), side="right")
        mode = np.minimum(mode, len(SHARES) - 1)
        daughter = np.array(DAUGHTERS)[mode % 4]
        span = 4.7 - 2 * daughter
        m_pair = 2 * daughter - SCALE * np.log1p(rng.random(events) * np.expm1(-span / SCALE))
        short = (mode % 4 == 2) & (rng.random(events) < KSHORT)
        m_pair = np.where(short, KSHORT_MASS + KSHORT_WIDTH * rng.standard_normal(events), m_pair)
        # The masses as pions follow for two particles of equal momenta at rest.
        m_pipi = np.sqrt(np.maximum(m_pair**2 - 4 * daughter**2, 0.0) + 4 * MASS_PION**2)
        low, high = BC_RANGE
        values = {
            "mode": mode, "m_pair": m_pair,
            "m_reduced": np.sqrt(np.maximum(m_pair**2 - 4 * daughter**2, 0.0)), "m_pipi": m_pipi,
            "m_bc": high - (high - low) * (1 - rng.random(events)) ** 1.5,
            "delta_e": rng.uniform(-DE_RANGE, DE_RANGE, events),
            "r_vertex": LEAST_RADIUS + RADIUS * rng.exponential(size=events),
            "l_proper": np.zeros(events), "ctau": np.zeros(events), "ctau_least": np.zeros(events),
            "b_life": np.zeros(events), "b_lives": np.zeros(events),
        }  # fmt: skip
        return as_columns(np.arange(events), values)
