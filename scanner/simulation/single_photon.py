"""A single photon: e⁺e⁻ → γX with an unseen X, and the backgrounds whose other particles are lost."""

import math
from dataclasses import replace
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, HBARC2
from scanner.decays import RADII
from scanner.errors import InputError
from scanner.models.dark_photon import DarkPhoton
from scanner.simulation import detector, flight, initial_state, kinematics
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.radiative_events import LOST_ELECTRONS, reaction
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import mass_between, signal_cross_section
from scanner.simulation.weighted import Reaction

Array = NDArray[np.float64]

SINGLE_COLUMNS = {
    "e_gamma": "GeV", "cos_theta": "1", "theta": "rad", "m2_x": "GeV^2", "theta_ahead": "rad",
    "theta_behind": "rad",
}  # fmt: skip
"""Photon in the centre of mass: energy and cosine against the electron; its polar angle in the laboratory;
squared mass against it, which may be negative; polar angle of a second photon if a third one went along the
electron's direction, or against it."""
LOWEST = 2.08
"""Least energy of a photon in the centre of mass that backgrounds are made for [GeV]."""
UNCONVERTED = math.exp(-7 / 9 * 16.1)
"""Probability that a photon passes 16.1 radiation lengths of crystal without converting, 4·10⁻⁶."""
MUON_DETECTOR = (20.0, 155.0)
"""Polar angles in the laboratory [degree] of the muon detector behind the crystals."""
UNVETOED = 0.1
"""Part of the photons that reach the muon detector and leave no veto there; a default."""
ESCAPES = (0.2, 0.01, 0.25, 0.04, 0.2, 0.01, 0.29)
"""Proposals of a lost photon ahead of, in and between the three parts of the calorimeter, and behind them."""
BARREL = (32.0, 129.0)
"""Polar angles in the laboratory [degree] in which the photon that is seen is produced."""


def candidates(photon: Array, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector for the only photon (4, N) of each event, given in the centre of mass."""
    lab = kinematics.to_laboratory(photon)
    found = detector.photons_found(lab, rng)
    measured = detector.smear_photons(lab, rng)[:, found]
    centre = kinematics.to_centre_of_mass(measured)
    return as_columns(
        np.flatnonzero(found),
        {
            "e_gamma": centre[0],
            "cos_theta": kinematics.BEAM_AXIS @ centre[1:] / centre[0],
            "theta": kinematics.polar_angle(measured),
            "m2_x": sqrt_s**2 - 2 * sqrt_s * centre[0],
            "theta_ahead": partner(centre, sqrt_s, 1.0),
            "theta_behind": partner(centre, sqrt_s, -1.0),
        },
    )


def partner(photon: Array, sqrt_s: float, sign: float) -> Array:
    """Return the polar angle [rad] of the second photon in γγγ whose third one goes along ±z.

    Parameters
    ----------
    photon
        The first one (4, N) in the centre of mass.
    sign
        1 for a third photon along the electron, −1 along the positron.
    """
    missing = -kinematics.turn_from_beam(photon)
    missing[0] += sqrt_s
    third = kinematics.minkowski(missing, missing) / (2 * (missing[0] - sign * missing[3]))
    missing[0] -= third
    missing[3] -= sign * third
    return kinematics.polar_angle(kinematics.to_laboratory(kinematics.turn_to_beam(missing)))


def escape(choice: Array, uniform: Array) -> tuple[Array, Array, Array]:
    """Draw the polar angle of the lost photon; returns it, its density and the probability of the loss."""
    parts = detector.CALORIMETER.theta
    edges = np.radians([0.0, *(angle for part in parts for angle in part), 180.0])
    bounds = np.cumsum(ESCAPES)
    part = np.minimum(np.searchsorted(bounds, choice, side="right"), len(ESCAPES) - 1)
    theta = edges[part] + (edges[part + 1] - edges[part]) * uniform
    density = np.array(ESCAPES)[part] / (edges[part + 1] - edges[part])
    behind = (theta > math.radians(MUON_DETECTOR[0])) & (theta < math.radians(MUON_DETECTOR[1]))
    passes = np.where(part % 2 == 1, UNCONVERTED, 1.0) * np.where(behind, UNVETOED, 1.0)
    return theta, density, passes


def _two_photons(uniform: Array, sqrt_s: float, angles: tuple[float, float]) -> tuple[Array, Array]:
    """Map points (7, n) to the photon that is seen and the one that is lost, (2, 4, n), with weights [fb].

    The one that is seen lies between polar angles in the laboratory [rad].
    """
    legs = initial_state.legs(uniform[:4], sqrt_s)
    s1 = np.maximum(sqrt_s**2 * legs.x[0] * legs.x[1], 1e-12)
    theta, density, passes = escape(uniform[4], uniform[5])
    direction = kinematics.direction(np.cos(theta), 2 * math.pi * uniform[6])
    there = np.concatenate([np.ones((1, len(theta))), direction])
    back = initial_state.boost_along_beam(
        kinematics.turn_from_beam(kinematics.to_centre_of_mass(there)), legs.x[::-1]
    )
    energy = np.sqrt(s1) / 2
    lost = back * energy / back[0]
    c = lost[3] / energy
    photons = np.stack([2 * energy * np.eye(4)[0][:, None] - lost, lost])
    photons = kinematics.turn_to_beam(np.stack([initial_state.boost_along_beam(k, legs.x) for k in photons]))
    angle = kinematics.polar_angle(kinematics.to_laboratory(photons[0]))
    seen = (photons[0, 0] > LOWEST) & (angle > angles[0]) & (angle < angles[1]) & (s1 > LOWEST**2)
    # dσ/dΩ for either photon as the one that is seen, and dΩ for the direction in the laboratory.
    sigma = ALPHA**2 / s1 * HBARC2 * (1 + c * c) / np.maximum(1 - c * c, 1e-12)
    solid = np.sin(theta) * 2 * math.pi / density / back[0] ** 2
    return photons, np.where(seen, legs.weight * sigma * solid * passes, 0.0)


@cache
def two_photons(angles: tuple[float, float]) -> Reaction:
    """Return e⁺e⁻ → γγ(γ) with one photon between polar angles [rad] and the other one lost."""
    return Reaction(
        f"gamma_gamma_lost/{angles}", 7, 2, lambda uniform, sqrt_s: _two_photons(uniform, sqrt_s, angles)
    )


class _Lost(Process):
    """A background of one photon between two polar angles, and its own cross section there."""

    role: ClassVar[str] = "background"
    parameters: ClassVar[tuple[str, ...]] = ("theta_low", "theta_high")
    columns: ClassVar[dict[str, str]] = SINGLE_COLUMNS
    photon: ClassVar[int]

    def reaction(self, angles: tuple[float, float]) -> Reaction:
        """Return the reaction with the photon between two polar angles in the laboratory [rad]."""
        raise NotImplementedError

    def _chosen(self, parameters: Parameters) -> Reaction:
        self.check(parameters)
        low = float(parameters.get("theta_low", math.radians(BARREL[0])))
        high = float(parameters.get("theta_high", math.radians(BARREL[1])))
        if not math.radians(BARREL[0]) <= low < high <= math.radians(BARREL[1]):
            raise InputError(
                f"process {self.name}: polar angles {low:.4g} to {high:.4g} rad are not a range within "
                f"{math.radians(BARREL[0]):.4g} to {math.radians(BARREL[1]):.4g}"
            )
        return self.reaction((low, high))

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] of events with the photon between the angles, all else lost."""
        return self._chosen(parameters).integral(sqrt_s).cross_section

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return the photon of every event in which it is found."""
        momenta = self._chosen(parameters).draw(rng, events, sqrt_s)
        return candidates(momenta[self.photon], sqrt_s, rng)


class GammaGammaLost(_Lost):
    """Two photons of which one escapes: low masses of what recoils against the other."""

    name: ClassVar[str] = "gamma_gamma_lost"
    title: ClassVar[str] = "e⁺e⁻ → γγ(γ), one photon seen"
    approximation: ClassVar[str] = (
        "tree level with radiation along the beams in the leading logarithm; a photon above 2.08 GeV in the "
        "barrel, or between stated polar angles, and the other one beyond the calorimeter, in its cracks, or "
        "unconverted in 16.1 radiation lengths; 10% of photons are not vetoed by the muon detector, a "
        "default; no cosmic rays"
    )
    photon: ClassVar[int] = 0

    def reaction(self, angles: tuple[float, float]) -> Reaction:
        """Return e⁺e⁻ → γγ(γ)."""
        return two_photons(angles)


class EEGammaLost(_Lost):
    """Radiative Bhabha events with both electrons in the beam pipe: high masses."""

    name: ClassVar[str] = "e_e_gamma_lost"
    title: ClassVar[str] = "e⁺e⁻ → e⁺e⁻γ, electrons lost"
    approximation: ClassVar[str] = (
        "tree level, the electrons' mass kept in the least momentum transfers and in radiation off them; a "
        "photon above 2.08 GeV in the barrel, or between the stated polar angles, both electrons beyond the "
        "calorimeter; no second photon"
    )
    photon: ClassVar[int] = 2

    def reaction(self, angles: tuple[float, float]) -> Reaction:
        """Return e⁺e⁻ → e⁺e⁻γ."""
        degrees = math.degrees(angles[0]), math.degrees(angles[1])
        return reaction("e_e", replace(LOST_ELECTRONS, photon=degrees))


class _Invisible(Process):
    """e⁺e⁻ → γX, X unseen and of zero width."""

    role: ClassVar[str] = "signal"
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling")
    columns: ClassVar[dict[str, str]] = SINGLE_COLUMNS
    model: ClassVar[str]
    final_state: ClassVar[str]

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] in the angles that the model states: as given, or from `coupling`."""
        self.check(parameters)
        return signal_cross_section(self.name, self.model, self.final_state, sqrt_s, parameters)

    def cosine(self, rng: Generator, events: int, mass: float, sqrt_s: float) -> Array:
        """Draw the photon's cosine in the centre of mass."""
        raise NotImplementedError

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return the photon of every event in which it is found."""
        self.check(parameters)
        mass = mass_between(self.name, parameters, 0.0, sqrt_s)
        cosine = self.cosine(rng, events, mass, sqrt_s)
        direction = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
        energy = np.full((1, events), (sqrt_s**2 - mass**2) / (2 * sqrt_s))
        photon = kinematics.turn_to_beam(np.concatenate([energy, energy * direction]))
        kept = np.flatnonzero(self.unseen(photon, mass, parameters, sqrt_s, rng))
        found = candidates(photon[:, kept], sqrt_s, rng)
        return {**found, "event": kept[found["event"]]}

    def unseen(
        self, photon: Array, mass: float, parameters: Parameters, sqrt_s: float, rng: Generator
    ) -> NDArray[np.bool_]:
        """Return whether X beside each photon (4, N) leaves the detector without a trace: always."""
        del mass, parameters, sqrt_s, rng
        return np.ones(photon.shape[1], dtype=np.bool_)


class GammaInvisible(_Invisible):
    """The dark photon that decays to dark matter."""

    name: ClassVar[str] = "gamma_aprime_invisible"
    title: ClassVar[str] = "e⁺e⁻ → γA′, A′ → invisible"
    approximation: ClassVar[str] = (
        "tree level within |cosθ*| < 0.9; no further radiation, zero width; detector parametrised by defaults"
    )
    model: ClassVar[str] = "invisible_dark_photon"
    final_state: ClassVar[str] = "invisible"

    def cosine(self, rng: Generator, events: int, mass: float, sqrt_s: float) -> Array:
        """Draw from [1 + c² + 4sm²/(s−m²)²]/(1 − c²) (0903.3941, eq. 4)."""
        return dark_photon_cosine(rng, events, mass, sqrt_s)


def dark_photon_cosine(
    rng: Generator, events: int, mass: float, sqrt_s: float, cos_max: float = DarkPhoton().cos_max
) -> Array:
    """Draw the photon's cosine in e⁺e⁻ → γA′ within |cosθ*| < cos_max, by default the model's."""
    bend = 4 * sqrt_s**2 * mass**2 / (sqrt_s**2 - mass**2) ** 2
    reach = math.atanh(cos_max)
    table = InverseCDF.of(lambda y: 1 + np.tanh(y) ** 2 + bend, -reach, reach, 1001)
    return np.tanh(table.sample(rng, events))


class GammaALPInvisible(_Invisible):
    """The axion-like particle that is not seen."""

    name: ClassVar[str] = "alp_gamma_invisible"
    title: ClassVar[str] = "e⁺e⁻ → γa, a unseen"
    approximation: ClassVar[str] = (
        "1+cos²θ of the photon; decays within 162 cm of the beams are seen, later ones are not; no further "
        "radiation; detector parametrised by defaults"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "ctau", "cross_section", "coupling")
    model: ClassVar[str] = "alp_photon"
    final_state: ClassVar[str] = "gamma_gamma"

    def cosine(self, rng: Generator, events: int, mass: float, sqrt_s: float) -> Array:
        """Draw from 1 + c²."""
        del mass, sqrt_s
        q = 4 * rng.random(events) - 2
        root = np.cbrt(q + np.sqrt(q * q + 1))
        return np.asarray(root - 1 / root)

    def unseen(
        self, photon: Array, mass: float, parameters: Parameters, sqrt_s: float, rng: Generator
    ) -> NDArray[np.bool_]:
        """Return which particles decay outside of the crystals: all without a mean length `ctau` [cm]."""
        ctau = parameters.get("ctau", math.inf)
        if not math.isfinite(ctau):
            return np.ones(photon.shape[1], dtype=np.bool_)
        _, vertex = flight.vertices(against(photon, sqrt_s), mass, ctau, rng)
        return np.asarray(flight.radius(vertex) > RADII["ecl"][1])


def against(photon: Array, sqrt_s: float) -> Array:
    """Return the momenta (4, N) in the laboratory of what recoils against photons in the centre of mass."""
    beams = np.zeros_like(photon)
    beams[0] = sqrt_s
    return kinematics.to_laboratory(beams - photon)
