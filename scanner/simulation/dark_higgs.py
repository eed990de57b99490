"""Dark Higgsstrahlung, e⁺e⁻ → A′h′ with A′ → μ⁺μ⁻ and a dark Higgs boson h′ that is not seen."""

import math
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_MUON
from scanner.errors import InputError
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.simulation import kinematics
from scanner.simulation.base import Columns, Parameters, Process, required
from scanner.simulation.dimuons import DIMUON_COLUMNS, candidates
from scanner.simulation.sampling import accept_reject
from scanner.simulation.signals import STRENGTHS, given_strength, mass_between

Array = NDArray[np.float64]


def decay_events(rng: Generator, events: int, m_aprime: float, m_hprime: float, sqrt_s: float) -> Array:
    """Draw the muons of e⁺e⁻ → A′h′, A′ → μ⁺μ⁻; returns (2, 4, N) [GeV] in the centre of mass.

    The current of the beams is transverse to them, so that with J its part in the rest frame of the A′,
    stretched by γ along the flight n, and muons along d with velocity β, the squared amplitude is
    Σ_J J² − β² (J·d)²: production ∝ 8m²/s + λ sin²θ (0903.0363) with all correlations of the decay.
    """
    p = float(kinematics.two_body_momentum(sqrt_s, m_aprime, m_hprime))
    gamma = math.hypot(p, m_aprime) / m_aprime
    beta2 = 1 - 4 * MASS_MUON**2 / m_aprime**2
    beam = kinematics.BEAM_AXIS[:, None]
    currents = kinematics.transverse(beam, np.zeros(1))

    def propose(n: int) -> tuple[Array, Array]:
        flight, decay = kinematics.isotropic(rng, n), kinematics.isotropic(rng, n)
        square = np.zeros(n)
        for current in currents:
            stretched = current + (gamma - 1) * np.sum(current * flight, axis=0) * flight
            along = np.sum(stretched * decay, axis=0)
            square += np.sum(stretched**2, axis=0) - beta2 * along**2
        return np.concatenate([flight, decay]), square / (1 + gamma**2) - rng.random(n)

    drawn = accept_reject(propose, events, efficiency=(4 + 2 * gamma**2) / (1 + gamma**2) / 4.5, width=6)
    flight, decay = drawn[:3], drawn[3:]
    parent = np.concatenate([np.full((1, events), math.hypot(p, m_aprime)), p * flight])
    muons = kinematics.two_body(m_aprime, MASS_MUON, MASS_MUON, decay)
    return np.stack([kinematics.boost_with(k, parent, m_aprime) for k in muons])


class DarkHiggsDimuon(Process):
    """The signal."""

    name: ClassVar[str] = "dark_higgs_dimuon"
    title: ClassVar[str] = "e⁺e⁻ → A′h′, A′ → μ⁺μ⁻, h′ invisible"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "tree level with all spin correlations, zero widths; no initial- or final-state radiation; detector "
        "parametrised, defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "m_hprime", *STRENGTHS)
    columns: ClassVar[dict[str, str]] = DIMUON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B(A′ → μ⁺μ⁻) [fb]: `cross_section`, or from `coupling`, which is ε²α_D."""
        self.check(parameters)
        name, value = given_strength(self.name, parameters, STRENGTHS)
        if name == "cross_section":
            return value
        mass, m_hprime = self._masses(sqrt_s, parameters)
        model = DarkHiggsstrahlung(m_hprime=m_hprime)
        return value * float(model.production(mass, sqrt_s) * model.branching_fraction(mass, "mu_mu"))

    def _masses(self, sqrt_s: float, parameters: Parameters) -> tuple[float, float]:
        m_hprime = required(self.name, parameters, "m_hprime")
        if m_hprime < 0.0:
            raise InputError(f"process {self.name}: m_hprime {m_hprime} GeV must not be negative")
        return mass_between(self.name, parameters, 2 * MASS_MUON, sqrt_s - m_hprime), m_hprime

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with two identified muons."""
        self.check(parameters)
        muons = decay_events(rng, events, *self._masses(sqrt_s, parameters), sqrt_s)
        return candidates(muons, np.empty((0, 4, events)), sqrt_s, rng)
