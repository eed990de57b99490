"""B⁰ → Λψ with a ψ that is not seen, beside a B⁰ that is reconstructed whole: the mass that is missing.

The momentum of the Λ in the rest frame of its B is fixed by the mass of ψ. What else is in the calorimeter
tells the signal from decays with further neutral particles.
"""

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_B0
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.kinematics import two_body_momentum
from scanner.simulation.signals import given_strength, mass_between

Array = NDArray[np.float64]

MASS_LAMBDA = 1.115683
"""[GeV] (Particle Data Group, Review of Particle Physics, 2024)."""
MESONS = 1.110e6
"""B⁰ mesons an fb⁻¹: the Υ(4S) cross section of 1.110 nb, half of it to a pair of them."""
FOUND = 6e-4
"""Signals with a tag, Λ → pπ and nothing else in the tracker, of all; a default."""
MOMENTUM_ERROR, RELATIVE_ERROR = 0.008, 0.003
"""Resolution of the momentum of Λ in the rest frame of its B: a term of its own [GeV], and a relative one;
defaults."""
QUIET, NOISE = 0.5, 0.15
"""Share of signals without any further energy, and the mean of the rest [GeV]; defaults."""
COMBINATIONS = 0.35
"""Candidates of the background an fb⁻¹; a default."""
EXTRA_ENERGY = 0.7
"""Mean of each of the two exponentials that the further energy of the background is the sum of [GeV]."""
RANGE = (0.8, 4.15)
"""Missing masses that are kept [GeV]."""
COLUMNS = {"m_missing": "GeV", "e_ecl": "GeV"}


def missing_mass(momentum: Array) -> Array:
    """Return the mass against a Λ of some momentum in the rest frame of a B⁰ [GeV]."""
    energy = np.sqrt(momentum**2 + MASS_LAMBDA**2)
    return np.asarray(np.sqrt(np.maximum(MASS_B0**2 + MASS_LAMBDA**2 - 2 * MASS_B0 * energy, 0.0)))


class LambdaInvisible(Process):
    """The signal."""

    name: ClassVar[str] = "lambda_invisible"
    title: ClassVar[str] = "B⁰ → Λψ, ψ invisible"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "two-body kinematics in the rest frame of the B⁰ with a parametrised resolution; tag, selection and "
        "further energy are defaults, the same at all masses"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "branching_fraction")
    columns: ClassVar[dict[str, str]] = COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return `cross_section` [fb], or that of B⁰ mesons times `branching_fraction`, of what is found."""
        del sqrt_s
        self.check(parameters)
        name, value = given_strength(self.name, parameters, ("cross_section", "branching_fraction"))
        return FOUND * value * (1.0 if name == "cross_section" else MESONS)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event but those at the ends of RANGE."""
        del sqrt_s
        self.check(parameters)
        mass = mass_between(self.name, parameters, RANGE[0], MASS_B0 - MASS_LAMBDA)
        momentum = np.full(events, float(two_body_momentum(MASS_B0, MASS_LAMBDA, mass)))
        width = np.hypot(MOMENTUM_ERROR, RELATIVE_ERROR * momentum)
        measured = missing_mass(np.abs(rng.normal(momentum, width)))
        energy = rng.exponential(NOISE, events) * (rng.random(events) > QUIET)
        kept = np.flatnonzero((measured > RANGE[0]) & (measured < RANGE[1]))
        return as_columns(kept, {"m_missing": measured[kept], "e_ecl": energy[kept]})


class LambdaCombinations(Process):
    """The background: B decays with neutral particles that are missed, and continuum."""

    name: ClassVar[str] = "lambda_combinations"
    title: ClassVar[str] = "Λ beside a tag, with further energy"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised: flat in the missing mass, further energy as a sum of two exponentials; the number of "
        "candidates is a default"
    )
    columns: ClassVar[dict[str, str]] = COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] after selection."""
        del sqrt_s
        self.check(parameters)
        return COMBINATIONS

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        energy = rng.gamma(2.0, EXTRA_ENERGY, events)
        return as_columns(np.arange(events), {"m_missing": rng.uniform(*RANGE, events), "e_ecl": energy})
