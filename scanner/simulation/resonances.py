"""Narrow vector mesons beside a photon off the beams, e⁺e⁻ → γV, V → e⁺e⁻ or μ⁺μ⁻.

A meson of zero width is made with

    σ = 12π² Γ_ee B_ll/(M s) W(s, x),   x = 1 − M²/s,
    W = α/(πx) [(2 − 2x + x²) ln((1 + C)/(1 − C)) − x² C]   for photons within |cosθ*| < C

(M. Benayoun et al., Mod. Phys. Lett. A 14, 2605 (1999), hep-ph/9910523, eqs. 1, 2). That is a dark photon of
its mass whose mixing gives it the same Γ_ee = ε²αM/3, and so are its angles.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, MASS_OMEGA, MASS_PHI, MASS_UPSILON_1S
from scanner.models.dark_photon import DarkPhoton
from scanner.simulation.base import Columns, Parameters, Process
from scanner.simulation.single_photon import dark_photon_cosine
from scanner.simulation.visible_photon import PAIR_COLUMNS, candidates, signal_events

Array = NDArray[np.float64]

COS_MAX = 0.975
"""Largest |cosθ*| of the photons: none beyond reaches a crystal."""
SOFTEST = 0.2
"""Least energy of the photon in the centre of mass [GeV], as in the pairs that are not resonant."""
WIDTHS = 10.0
"""Full widths of a meson to which its Breit-Wigner density reaches; all of it is within."""


@dataclass(frozen=True)
class Meson:
    """A vector meson: mass, width and width to electrons [GeV], branching fractions to leptons."""

    title: str
    mass: float
    width: float
    to_electrons: float
    shares: dict[str, float]

    def cross_section(self, lepton: str, sqrt_s: float, cos_max: float = COS_MAX) -> float:
        """Return σ(e⁺e⁻ → γV) B(V → l⁺l⁻) [fb] with the photon within |cosθ*| < cos_max; 0 if it is soft."""
        if sqrt_s**2 - self.mass**2 < 2 * sqrt_s * SOFTEST:
            return 0.0
        mixing2 = 3 * self.to_electrons / (ALPHA * self.mass)
        return mixing2 * float(DarkPhoton(cos_max).production(self.mass, sqrt_s)) * self.shares[lepton]

    def masses(self, rng: Generator, events: int) -> Array:
        """Draw masses [GeV] from the Breit-Wigner density of constant width."""
        end = math.atan(2 * WIDTHS)
        return self.mass + self.width / 2 * np.tan(end * rng.uniform(-1, 1, events))


MESONS = (
    Meson("ω", MASS_OMEGA, 8.68e-3, 0.642e-6, {"e_e": 7.39e-5, "mu_mu": 7.4e-5}),
    Meson("φ", MASS_PHI, 4.249e-3, 1.266e-6, {"e_e": 2.979e-4, "mu_mu": 2.85e-4}),
    Meson("J/ψ", 3.0969, 92.6e-6, 5.53e-6, {"e_e": 5.971e-2, "mu_mu": 5.961e-2}),
    Meson("ψ(2S)", 3.6861, 293e-6, 2.33e-6, {"e_e": 7.94e-3, "mu_mu": 8.0e-3}),
    Meson("Υ(1S)", MASS_UPSILON_1S, 54.02e-6, 1.340e-6, {"e_e": 2.39e-2, "mu_mu": 2.48e-2}),
    Meson("Υ(2S)", 10.0234, 31.98e-6, 0.612e-6, {"e_e": 1.91e-2, "mu_mu": 1.93e-2}),
    Meson("Υ(3S)", 10.3551, 20.32e-6, 0.443e-6, {"e_e": 2.18e-2, "mu_mu": 2.18e-2}),
)
"""Source: Particle Data Group, Review of Particle Physics (2024); Γ_ee of ω and φ from their shares."""


class _Resonances(Process):
    """e⁺e⁻ → γV, V → l⁺l⁻ for all mesons of the table."""

    role: ClassVar[str] = "background"
    columns: ClassVar[dict[str, str]] = PAIR_COLUMNS
    approximation: ClassVar[str] = (
        "ω, φ, J/ψ, ψ(2S) and Υ(1S, 2S, 3S) with a photon off the beams at leading order, measured widths "
        "(Particle Data Group), Breit-Wigner masses; no interference with other pairs, no ρ, no radiation "
        "off the leptons; detector parametrised by defaults"
    )
    lepton: ClassVar[str]

    def sizes(self, sqrt_s: float) -> Array:
        """Return the cross section [fb] by way of each meson."""
        return np.array([meson.cross_section(self.lepton, sqrt_s) for meson in MESONS])

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] with the photon within |cosθ*| < 0.975."""
        self.check(parameters)
        return float(self.sizes(sqrt_s).sum())

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return a candidate for every event with two tracks and a photon."""
        self.check(parameters)
        return candidates(self.drawn(rng, events, sqrt_s), self.lepton, rng)

    def drawn(self, rng: Generator, events: int, sqrt_s: float) -> Array:
        """Draw l⁻, l⁺, γ (3, 4, N) in the centre of mass."""
        sizes = self.sizes(sqrt_s)
        kinds = rng.choice(len(MESONS), size=events, p=sizes / sizes.sum())
        momenta = np.empty((3, 4, events))
        for kind, meson in enumerate(MESONS):
            where = np.flatnonzero(kinds == kind)
            cosine = dark_photon_cosine(rng, len(where), meson.mass, sqrt_s, COS_MAX)
            mass = meson.masses(rng, len(where))
            momenta[:, :, where] = signal_events(rng, cosine, mass, self.lepton, sqrt_s)
        return momenta


class EEResonances(_Resonances):
    """Mesons that decay to electrons."""

    name: ClassVar[str] = "e_e_resonances"
    title: ClassVar[str] = "e⁺e⁻ → γV, V → e⁺e⁻"
    lepton: ClassVar[str] = "e_e"


class MuMuResonances(_Resonances):
    """Mesons that decay to muons."""

    name: ClassVar[str] = "mu_mu_resonances"
    title: ClassVar[str] = "e⁺e⁻ → γV, V → μ⁺μ⁻"
    lepton: ClassVar[str] = "mu_mu"
