"""Three photons: e⁺e⁻ → γa, a → γγ, and its background e⁺e⁻ → γγγ."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2, MASS_ETA, MASS_ETA_PRIME, MASS_PION0, SQRT_S
from scanner.simulation import detector, kinematics, three_photons
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.signals import mass_between, signal_cross_section

Array = NDArray[np.float64]

PHOTON_COLUMNS = {
    "e1": "GeV", "e2": "GeV", "e3": "GeV", "theta_1": "rad", "theta_2": "rad", "theta_3": "rad",
    "m_3g": "GeV", "m_gg": "GeV", "m_recoil": "GeV", "e_gamma": "GeV",
}  # fmt: skip
"""Energies in the centre of mass, falling, and polar angles in the laboratory in the same order; masses
of the three, of the pair, and against the third photon; energy of the third photon in the centre of mass."""
SOFTEST = 0.25
"""Least measured energy of a photon candidate in the centre of mass [GeV]."""
E_E_SHARE = 0.03
"""Contamination by e⁺e⁻γ(γ) with both tracks lost, relative to γγγ; a default."""


def candidates(photons: Array, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector and make the three pairs of every event with three separate clusters.

    Parameters
    ----------
    photons
        Four-momenta (3 photons, 4, N) in the centre of mass; the last one is the recoil of the first
        candidate.
    """
    lab = np.concatenate([kinematics.to_laboratory(k) for k in photons], axis=1)
    shape = (3, photons.shape[2])
    kept = np.all(detector.photons_found(lab, rng).reshape(shape), axis=0)
    measured = detector.smear_photons(lab, rng).reshape(4, *shape)
    centre = np.stack([kinematics.to_centre_of_mass(measured[:, i]) for i in range(3)], axis=1)
    kept &= np.all(centre[0] > SOFTEST, axis=0)
    for i in range(3):
        kept &= detector.photons_apart(measured[:, i], measured[:, (i + 1) % 3], rng)
    return _rows(measured[:, :, kept], centre[:, :, kept], np.flatnonzero(kept), sqrt_s)


def _rows(lab: Array, centre: Array, event: NDArray[np.intp], sqrt_s: float) -> Columns:
    """Build the rows from measured momenta (E x y z, photon, N); the recoil is photon 3, 1, 2 in turn."""
    order = np.argsort(-centre[0], axis=0, kind="stable")
    energy = np.take_along_axis(centre[0], order, axis=0)
    theta = np.stack([kinematics.polar_angle(lab[:, i]) for i in range(3)])
    theta = np.take_along_axis(theta, order, axis=0)
    recoil = (2, 0, 1)
    pair = [kinematics.mass(lab.sum(axis=1) - lab[:, i]) for i in recoil]
    against = [np.sqrt(np.maximum(sqrt_s**2 - 2 * sqrt_s * centre[0, i], 0)) for i in recoil]
    return as_columns(
        np.repeat(event, 3),
        {
            **{f"e{i + 1}": np.repeat(energy[i], 3) for i in range(3)},
            **{f"theta_{i + 1}": np.repeat(theta[i], 3) for i in range(3)},
            "m_3g": np.repeat(kinematics.mass(lab.sum(axis=1)), 3),
            "m_gg": np.stack(pair, axis=1).ravel(),
            "m_recoil": np.stack(against, axis=1).ravel(),
            "e_gamma": np.stack([centre[0, i] for i in recoil], axis=1).ravel(),
        },
    )


class GammaGammaGamma(Process):
    """The dominant background."""

    name: ClassVar[str] = "gamma_gamma_gamma"
    title: ClassVar[str] = "e⁺e⁻ → γγγ"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "tree level with exact matrix element, photons above 4% of √s and within 12° to 155.5° in the "
        "laboratory; no fourth photon; detector parametrised by defaults"
    )
    candidates: ClassVar[tuple[int, int]] = (3, 0)
    columns: ClassVar[dict[str, str]] = PHOTON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] within the generator's cuts, 111 pb at 10.58 GeV."""
        self.check(parameters)
        return three_photons.cross_section(sqrt_s)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return three candidates for every event with three clusters."""
        self.check(parameters)
        return candidates(three_photons.three_photon_events(rng, events, sqrt_s), sqrt_s, rng)


class EEGammaGamma(GammaGammaGamma):
    """Radiative Bhabha events whose tracks are lost: the shape of γγγ at a fixed share of its rate."""

    name: ClassVar[str] = "e_e_gamma_gamma"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻γ(γ), tracks lost"
    approximation: ClassVar[str] = (
        "parametrised: the spectrum of γγγ at 3% of its cross section, both defaults; not a calculation"
    )

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the assumed cross section [fb] within the generator's cuts of γγγ."""
        return E_E_SHARE * super().cross_section(sqrt_s, parameters)


def signal_photons(rng: Generator, events: int, mass: float, sqrt_s: float) -> Array:
    """Draw e⁺e⁻ → γa, a → γγ; returns four-momenta (3, 4, N) in the centre of mass, the recoil last."""
    # Inverse of the distribution function (4 + 3c + c³)/8 of 1+c².
    q = 4 * rng.random(events) - 2
    root = np.cbrt(q + np.sqrt(q * q + 1))
    flight = kinematics.direction(root - 1 / root, rng.uniform(0, 2 * math.pi, events))
    alp, gamma = kinematics.two_body(sqrt_s, mass, 0.0, flight)
    decay = kinematics.two_body(mass, 0.0, 0.0, kinematics.isotropic(rng, events))
    photons = [*(kinematics.boost_with(k, alp, mass) for k in decay), gamma]
    return kinematics.turn_to_beam(np.stack(photons))


VACUUM_POLARISATION = 1.075
"""What vacuum polarisation adds at 10.58 GeV (hep-ex/0605018)."""


def meson_cross_section(form_factor: float, mass: float, s: float) -> float:
    """Return σ(e⁺e⁻ → γP) [fb] = (2π²α³/3) (1 − m²/s)³ |F(s)|² of a form factor [GeV⁻¹] (hep-ex/0605018)."""
    phase_space = (1 - mass**2 / s) ** 3
    born = 2 * math.pi**2 * ALPHA**3 / 3 * phase_space * form_factor**2 * HBARC2
    return VACUUM_POLARISATION * born


def pion_form_factor(q2: float) -> float:
    """Return |F| [GeV⁻¹] of γ*γ → π⁰ as Belle fits it up to 40 GeV² (1205.3249): 0.209/(Q² + 2.2)."""
    return 0.209 / (q2 + 2.2)


@dataclass(frozen=True)
class Meson:
    """A pseudoscalar meson: mass [GeV], σ(e⁺e⁻ → γP) at 10.58 GeV [fb], branching fraction to photons."""

    mass: float
    cross_section: float
    to_photons: float


MESONS = (
    Meson(MASS_PION0, meson_cross_section(pion_form_factor(SQRT_S**2), MASS_PION0, SQRT_S**2), 0.98823),
    Meson(MASS_ETA, 4.5, 0.3936),
    Meson(MASS_ETA_PRIME, 5.4, 0.02307),
)
"""π⁰, η and η′: cross sections of the latter two as measured by BaBar (hep-ex/0605018), the first from the
form factor of spacelike photons; branching fractions of the Particle Data Group (2024)."""


class GammaMesons(Process):
    """Light mesons beside a photon, which peak like a signal."""

    name: ClassVar[str] = "gamma_mesons"
    title: ClassVar[str] = "e⁺e⁻ → γP, P = π⁰, η, η′ → γγ"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "1+cos²θ of the photon, isotropic decay; ηγ and η′γ at the cross sections that BaBar measured, 4.5 "
        "and 5.4 fb, π⁰γ at 3.6 fb with Belle's form factor of spacelike photons, at all energies; no "
        "initial-state radiation; detector parametrised by defaults"
    )
    candidates: ClassVar[tuple[int, int]] = (3, 0)
    columns: ClassVar[dict[str, str]] = PHOTON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the sum of σ×B(P → γγ) [fb]."""
        del sqrt_s
        self.check(parameters)
        return sum(meson.cross_section * meson.to_photons for meson in MESONS)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return three candidates, the true pair first, for every event with three clusters."""
        self.check(parameters)
        sizes = np.array([meson.cross_section * meson.to_photons for meson in MESONS])
        kinds = rng.choice(len(MESONS), size=events, p=sizes / sizes.sum())
        photons = np.empty((3, 4, events))
        for kind, meson in enumerate(MESONS):
            where = np.flatnonzero(kinds == kind)
            photons[:, :, where] = signal_photons(rng, len(where), meson.mass, sqrt_s)
        return candidates(photons, sqrt_s, rng)


class ALPGamma(Process):
    """The signal; the particle has no width and decays at once."""

    name: ClassVar[str] = "alp_gamma"
    title: ClassVar[str] = "e⁺e⁻ → γa, a → γγ"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "1+cos²θ of the photon, isotropic prompt decay; no initial-state radiation, zero width; detector "
        "parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling")
    candidates: ClassVar[tuple[int, int]] = (3, 0)
    columns: ClassVar[dict[str, str]] = PHOTON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B(a → γγ) [fb]: as given by `cross_section`, or from `coupling` [GeV⁻¹]."""
        self.check(parameters)
        return signal_cross_section(self.name, "alp_photon", "gamma_gamma", sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return three candidates, the true pair first, for every event with three clusters."""
        self.check(parameters)
        mass = mass_between(self.name, parameters, 0.0, sqrt_s)
        return candidates(signal_photons(rng, events, mass, sqrt_s), sqrt_s, rng)
