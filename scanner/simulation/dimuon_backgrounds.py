"""Backgrounds of two muons and missing energy: μμ with radiation off the beams, ττ, and two-photon μμ."""

import math
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.simulation import kinematics, radiated_pairs
from scanner.simulation.base import Columns, Parameters, Process
from scanner.simulation.dimuons import DIMUON_COLUMNS, LOWEST_MASS, candidates
from scanner.simulation.sampling import InverseCDF

Array = NDArray[np.float64]

LEAST_RADIATED = 0.1
"""Energy of photons off the beams [GeV] from which μμ events are made: less leaves no missing mass."""
TAU_CROSS_SECTION = 0.919e6
"""e⁺e⁻ → τ⁺τ⁻ [fb] at the Υ(4S) (S. Banerjee, B. Pietrzyk, J. M. Roney, Z. Was, 0706.3235)."""
TAU_TO_MUON = 0.1739
"""Branching fraction of τ → μνν (PDG)."""


class _Background(Process):
    """What the backgrounds share."""

    role: ClassVar[str] = "background"
    columns: ClassVar[dict[str, str]] = DIMUON_COLUMNS

    def _draw(self, rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
        """Return muons (2, 4, N) and photons (P, 4, N) in the centre of mass."""
        raise NotImplementedError

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with two identified muons."""
        self.check(parameters)
        muons, photons = self._draw(rng, events, sqrt_s)
        return candidates(muons, photons, sqrt_s, rng)


class RadiatedDimuon(_Background):
    """Muon pairs with photons along the beams, or not found."""

    name: ClassVar[str] = "radiated_dimuon"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻γ(γ) by radiation off the beams"
    approximation: ClassVar[str] = (
        "leading logarithm: one photon off each beam with collinear angles; no radiation off the muons, no "
        "interference; detector parametrised, defaults"
    )

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] above 1.5 GeV of pair mass with 0.1 GeV in photons."""
        self.check(parameters)
        return radiated_pairs.cross_section(sqrt_s, MASS_MUON, LOWEST_MASS, LEAST_RADIATED)

    def _draw(self, rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
        return radiated_pairs.pairs(rng, events, sqrt_s, MASS_MUON, lowest=LOWEST_MASS, energy=LEAST_RADIATED)


class TauPairDimuon(_Background):
    """Pairs of τ leptons that both decay to muons."""

    name: ClassVar[str] = "tau_pair_dimuon"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, both τ → μνν"
    approximation: ClassVar[str] = (
        "radiation off the beams in the leading logarithm, Michel decays of unpolarised τ leptons without "
        "spin correlation; total cross section 0.919 nb; detector parametrised, defaults"
    )

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ(ττ) B(τ → μνν)² [fb]."""
        self.check(parameters)
        del sqrt_s
        return TAU_CROSS_SECTION * TAU_TO_MUON**2

    def _draw(self, rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
        taus, photons = radiated_pairs.pairs(rng, events, sqrt_s, MASS_TAU, lowest=2 * MASS_TAU, energy=0.0)
        return np.stack([_michel(rng, tau) for tau in taus]), photons


@cache
def _michel_energies() -> InverseCDF:
    """Return the density x²(3 − 2x) of the muon's energy in units of half the τ mass, muon massless."""
    return InverseCDF.of(lambda x: np.asarray(x**2 * (3 - 2 * x)), 2 * MASS_MUON / MASS_TAU, 1.0, 1001)


def _michel(rng: Generator, tau: Array) -> Array:
    """Draw the muon of τ → μνν of τ leptons (4, N)."""
    energy = _michel_energies().sample(rng, tau.shape[1]) * MASS_TAU / 2
    p = np.sqrt(np.maximum(energy**2 - MASS_MUON**2, 0.0)) * kinematics.isotropic(rng, tau.shape[1])
    return kinematics.boost_with(np.concatenate([energy[None], p]), tau, MASS_TAU)


class TwoPhotonDimuon(_Background):
    """Muon pairs of two photons off the beams, whose electrons stay in the beam pipe."""

    name: ClassVar[str] = "two_photon_dimuon"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻μ⁺μ⁻ by two photons"
    approximation: ClassVar[str] = (
        "equivalent photons with their transverse momenta, on shell in γγ → μ⁺μ⁻; electrons are never seen; "
        "detector parametrised, defaults"
    )

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] above 1.5 GeV of pair mass."""
        self.check(parameters)
        return two_photon_spectrum(sqrt_s).integral

    def _draw(self, rng: Generator, events: int, sqrt_s: float) -> tuple[Array, Array]:
        mass = np.exp(two_photon_spectrum(sqrt_s).sample(rng, events))
        x = _fractions(rng, mass, sqrt_s)
        pair = _photon_pair(rng, x, mass, sqrt_s)
        decay = kinematics.direction(_decay_cosine(rng, mass), rng.uniform(0, 2 * math.pi, events))
        muons = kinematics.two_body(mass, MASS_MUON, MASS_MUON, decay)
        found = np.stack([kinematics.boost_with(k, pair, mass) for k in muons])
        return kinematics.turn_to_beam(found), np.empty((0, 4, events))


def virtualities(x: Array, mass: Array) -> tuple[Array, Array]:
    """Return the least and the largest Q² [GeV²] of photons that take the fraction x, for a pair mass."""
    return MASS_ELECTRON**2 * x**2 / (1 - x), np.asarray(mass**2 / 4 + MASS_MUON**2)


def photon_number(x: Array, mass: Array) -> Array:
    """Return the number of equivalent photons per unit of x (V. Budnev et al., Phys. Rep. 15, 181 (1975)).

    n = (α/2πx)[(1 + (1−x)²) ln(Q²max/Q²min) − 2(1−x)(1 − Q²min/Q²max)], Q²max = m²/4 + m_μ².
    """
    low, high = virtualities(x, mass)
    there = low < high
    low = np.where(there, low, high)
    bracket = (1 + (1 - x) ** 2) * np.log(high / low) - 2 * (1 - x) * (1 - low / high)
    return np.where(there, ALPHA / (2 * math.pi * x) * bracket, 0.0)


def fusion_cross_section(mass: Array) -> Array:
    """Return σ(γγ → μ⁺μ⁻) [fb] at a mass [GeV] (Budnev et al., eq. E.1 for real photons)."""
    r = 4 * MASS_MUON**2 / mass**2
    beta = np.sqrt(np.maximum(1 - r, 0.0))
    reach = np.log((1 + beta) / np.sqrt(r)) * 2
    bracket = (1 + r - r**2 / 2) * reach - (1 + r) * beta
    return np.asarray(4 * math.pi * ALPHA**2 / mass**2 * bracket * HBARC2)


NODES = 400
"""Rapidities at which the luminosity of photons is summed."""


def _luminosity(mass: Array, sqrt_s: float) -> Array:
    """Return dL/d ln m² of photon pairs at masses (M,): ∫ n(x) n(τ/x) τ/x dx over rapidities."""
    tau = (mass / sqrt_s) ** 2
    u = (np.arange(NODES) + 0.5) / NODES
    log_x = np.log(tau)[:, None] * u
    x, other = np.exp(log_x), np.exp(np.log(tau)[:, None] - log_x)
    product = photon_number(x, mass[:, None]) * photon_number(other, mass[:, None]) * x * other
    return np.asarray(np.sum(product, axis=1) * -np.log(tau) / NODES)


@cache
def two_photon_spectrum(sqrt_s: float, lowest: float = LOWEST_MASS) -> InverseCDF:
    """Return dσ/d ln m [fb] of e⁺e⁻ → e⁺e⁻μ⁺μ⁻ above a mass."""

    def density(log_mass: Array) -> Array:
        mass = np.exp(log_mass)
        return np.asarray(2 * _luminosity(mass, sqrt_s) * fusion_cross_section(mass))

    return InverseCDF.of(density, math.log(lowest), math.log(sqrt_s * 0.999), 401)


def _fractions(rng: Generator, mass: Array, sqrt_s: float) -> Array:
    """Draw the energy fractions (2, N) of both photons by acceptance in the pair's rapidity."""
    log_tau = 2 * np.log(mass / sqrt_s)
    x, pending = np.empty((2, len(mass))), np.arange(len(mass))
    while len(pending):
        m, span = mass[pending], log_tau[pending]
        first = np.exp(span * rng.random(len(pending)))
        second = np.exp(span) / first
        middle = np.exp(span / 2)
        value = photon_number(first, m) * photon_number(second, m)
        # The product is largest where both photons are equal.
        kept = value > 1.02 * photon_number(middle, m) ** 2 * rng.random(len(pending))
        x[:, pending[kept]] = first[kept], second[kept]
        pending = pending[~kept]
    return x


def _photon_pair(rng: Generator, x: Array, mass: Array, sqrt_s: float) -> Array:
    """Return the pair's momentum (4, N): photons with transverse momenta Q²(1 − x), log-flat in Q²."""
    kick = np.zeros((2, len(mass)))
    for fraction in x:
        low, high = virtualities(fraction, mass)
        low = np.minimum(low, high)
        q2 = low * (high / low) ** rng.random(len(mass))
        phi = rng.uniform(0, 2 * math.pi, len(mass))
        kick += np.sqrt(np.maximum((q2 - low) * (1 - fraction), 0.0)) * np.stack([np.cos(phi), np.sin(phi)])
    along = (x[0] - x[1]) * sqrt_s / 2
    energy = np.sqrt(mass**2 + along**2 + np.sum(kick**2, axis=0))
    return np.stack([energy, kick[0], kick[1], along])


def _decay_cosine(rng: Generator, mass: Array) -> Array:
    """Draw cosθ of γγ → μ⁺μ⁻ for real photons: [1 + 2β²(1−β²)(1−c²) − β⁴c⁴]/(1−β²c²)².

    The coordinate is the artanh of β c, in which the poles are flat.
    """
    beta = np.sqrt(1 - 4 * MASS_MUON**2 / mass**2)
    reach = np.arctanh(beta)
    cosine, pending = np.empty_like(mass), np.arange(len(mass))
    while len(pending):
        b = beta[pending]
        slope = np.tanh(reach[pending] * rng.uniform(-1, 1, len(pending)))
        square = (slope / b) ** 2
        value = 1 + 2 * b**2 * (1 - b**2) * (1 - square) - b**4 * square**2
        kept = value / (1 - slope**2) > 2.0 * rng.random(len(pending))
        cosine[pending[kept]] = slope[kept] / b[kept]
        pending = pending[~kept]
    return cosine
