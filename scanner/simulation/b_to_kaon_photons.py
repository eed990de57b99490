"""B⁺ → K⁺a, a → γγ: the signal, B decays with known mesons in place of a, and the continuum.

Signal and known mesons are four-vectors through the detector and a fit to mass and energy of the B. The
continuum, and wrong combinations in B decays, are spectra of such a detector and fit on particles of PYTHIA.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_B, MASS_ETA, MASS_ETA_PRIME, MASS_KAON, MASS_PION0
from scanner.errors import InputError
from scanner.simulation import b_mesons, constrained, detector, flight, kinematics, network
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, StatedSize, as_columns
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import decay_cross_section, mass_between
from scanner.simulation.tabulated import table

Array = NDArray[np.float64]

KAON_PHOTON_COLUMNS = {"m_gg": "GeV", "m_bc": "GeV", "delta_e": "GeV", "nn": "1"}
"""Fitted mass of the photons; beam-constrained mass and energy difference before the fit; classifier."""
SOFTEST = 0.05
"""Least measured energy of a photon [GeV]."""
MASS_ETA_C = 2.9841
"""Mass of the η_c [GeV] (Particle Data Group, Review of Particle Physics, 2024)."""


def candidates(kaon: Array, photons: Array, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector and fit the candidate of each event that is found.

    Parameters
    ----------
    kaon
        Four-momenta (4, N) in the laboratory.
    photons
        Four-momenta (2, 4, N) in the laboratory as seen from the origin; NaN where there is none.
    """
    tracking, calorimeter = detector.BABAR.tracking, detector.BABAR.calorimeter
    seen = np.all(np.isfinite(photons), axis=(0, 1))
    photons = np.where(seen, photons, np.array([1.0, 1.0, 0.0, 0.0])[:, None])
    kept = seen & detector.tracks_found(kaon, rng, tracking)
    for k in photons:
        kept &= detector.photons_found(k, rng, calorimeter)
    smeared = [detector.smear_photons(k, rng, calorimeter) for k in photons]
    measured = np.stack([detector.smear_tracks(kaon, MASS_KAON, rng, tracking), *smeared])
    kept &= np.all(measured[1:, 0] > SOFTEST, axis=0)
    kept &= detector.photons_apart(measured[1], measured[2], rng, calorimeter)
    found = measured[:, :, kept]
    m_bc, delta_e = b_mesons.beam_constrained(found.sum(axis=0), sqrt_s)
    fitted = constrained.fit(found, (MASS_KAON, 0.0, 0.0), sqrt_s / 2, MASS_B, detector.BABAR)
    n = found.shape[2]
    nn = network.output(np.ones(n, dtype=np.bool_), rng)
    values = {"m_gg": kinematics.mass(fitted[1] + fitted[2]), "m_bc": m_bc, "delta_e": delta_e, "nn": nn}
    sound = np.all(np.isfinite(list(values.values())), axis=0)
    return as_columns(np.flatnonzero(kept)[sound], {name: v[sound] for name, v in values.items()})


def decays(rng: Generator, events: int, mass: float, ctau: float, sqrt_s: float) -> Columns:
    """Draw B⁺ → K⁺a, a → γγ at mass [GeV] and proper decay length [cm], and return the candidates."""
    kaon, boson = b_mesons.to_kaon(rng, events, mass, sqrt_s)
    _, vertex = flight.vertices(boson, mass, ctau, rng)
    pair = kinematics.two_body(mass, 0.0, 0.0, kinematics.isotropic(rng, events))
    photons = [kinematics.boost_with(k, boson, mass) for k in pair]
    if ctau > 0:
        photons = [flight.seen_from_origin(k, vertex) for k in photons]
    return candidates(kaon, np.stack(photons), sqrt_s, rng)


class KaonALP(Process):
    """The signal; the particle has no width, and decays in flight where `ctau` [cm] is given."""

    name: ClassVar[str] = "b_kaon_alp"
    title: ClassVar[str] = "B⁺ → K⁺a, a → γγ"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "two-body decays of B mesons from Υ(4S) at a fixed √s; photons of a displaced decay are measured "
        "as if from the origin; one candidate an event, no wrong combinations; resolutions of BaBar, beams "
        "of SuperKEKB; classifier and efficiencies are parametrised defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = (
        "mass", "ctau", "cross_section", "branching_fraction", "coupling",
    )  # fmt: skip
    columns: ClassVar[dict[str, str]] = KAON_PHOTON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] of `cross_section`, `branching_fraction` or `coupling` [GeV⁻¹]."""
        self.check(parameters)
        parents = b_mesons.CROSS_SECTION * b_mesons.CHARGED
        return decay_cross_section(self.name, "alp_w", "gamma_gamma", parents, sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with a kaon and two clusters."""
        self.check(parameters)
        mass = mass_between(self.name, parameters, 0.0, MASS_B - MASS_KAON)
        ctau = float(parameters.get("ctau", 0.0))
        if ctau < 0:
            raise InputError(f"process {self.name}: ctau = {ctau} cm must not be negative")
        return decays(rng, events, mass, ctau, sqrt_s)


@dataclass(frozen=True)
class Meson:
    """A known meson in place of a: mass [GeV], and B(B⁺ → K⁺ meson) B(meson → γγ)."""

    mass: float
    fraction: float


MESONS = {
    "pi0": Meson(MASS_PION0, 1.29e-5 * 0.9882),
    "eta": Meson(MASS_ETA, 2.4e-6 * 0.3936),
    "eta_prime": Meson(MASS_ETA_PRIME, 7.04e-5 * 0.02307),
    "eta_c": Meson(MASS_ETA_C, 1.10e-3 * 1.68e-4),
}
"""Particle Data Group, Review of Particle Physics (2024); the η_c's own width is neglected."""


class KaonMesons(FixedSize):
    """The peaking background: B⁺ → K⁺π⁰, K⁺η, K⁺η′ and K⁺η_c with two photons."""

    name: ClassVar[str] = "b_kaon_mesons"
    title: ClassVar[str] = "B⁺ → K⁺ with π⁰, η, η′ or η_c → γγ"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "measured branching fractions, kinematics and detector as for the signal; no widths"
    )
    columns: ClassVar[dict[str, str]] = KAON_PHOTON_COLUMNS
    size: ClassVar[float] = (
        b_mesons.CROSS_SECTION * b_mesons.CHARGED * sum(m.fraction for m in MESONS.values())
    )
    """Cross section [fb] of all four, 16.8 fb."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event that is found; the mesons follow one another."""
        self.check(parameters)
        share = np.array([meson.fraction for meson in MESONS.values()])
        numbers = rng.multinomial(events, share / share.sum())
        parts, start = [], 0
        for meson, number in zip(MESONS.values(), numbers, strict=True):
            part = decays(rng, int(number), meson.mass, 0.0, sqrt_s)
            part["event"] = part["event"] + start
            parts.append(part)
            start += int(number)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


COMBINATIONS = table("kaon_photons")
"""Spectra of combinations, from true particles of PYTHIA in the detector."""
BC_RANGE, DE_RANGE = (5.26, 5.29), 0.15
"""Range of M_bc and half range of ΔE [GeV]."""


def argus(m: Array, curvature: float) -> Array:
    """Return the ARGUS shape of M_bc [GeV], not normalised."""
    z = np.maximum(1 - (m / BC_RANGE[1]) ** 2, 0.0)
    return np.asarray(m * np.sqrt(z) * np.exp(-curvature * z))


class KaonPhotonCombinations(StatedSize):
    """The smooth background, with peaks of mesons that are no product of a B decay to two bodies."""

    name: ClassVar[str] = "kaon_photon_combinations"
    title: ClassVar[str] = "K⁺γγ combinations in e⁺e⁻ → qq̄ and BB̄"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "size before the classifier and spectra computed with PYTHIA 8.317 in this detector; columns "
        "independent of each other; no misidentified kaons, clusters of neutral hadrons or beam background; "
        "the classifier's rejection, the same at all masses, is a default"
    )
    parameters: ClassVar[tuple[str, ...]] = ("cross_section",)
    columns: ClassVar[dict[str, str]] = KAON_PHOTON_COLUMNS
    size: ClassVar[float | None] = float(COMBINATIONS["cross_section"]["value"])

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        mass = InverseCDF.through(COMBINATIONS["mass"]["values"], COMBINATIONS["density"])
        m_gg = mass.sample(rng, events)
        pions = rng.random(events) < COMBINATIONS["pi0_share"]
        width = COMBINATIONS["pi0_resolution"]["value"]
        m_gg[pions] = MASS_PION0 + width * rng.standard_normal(np.count_nonzero(pions))
        slope, curvature = COMBINATIONS["delta_e_slope"], COMBINATIONS["argus_curvature"]
        bc = InverseCDF.of(lambda m: argus(m, curvature), *BC_RANGE, 2001)
        de = InverseCDF.of(lambda x: 1 + slope * x / DE_RANGE, -DE_RANGE, DE_RANGE, 2)
        return as_columns(
            np.arange(events),
            {
                "m_gg": m_gg,
                "m_bc": bc.sample(rng, events),
                "delta_e": de.sample(rng, events),
                "nn": network.output(np.zeros(events, dtype=np.bool_), rng),
            },
        )
