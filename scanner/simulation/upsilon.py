"""Υ(3S) → π⁺π⁻Υ(1S) with an Υ(1S) that is not seen: the mass against the pions.

The Υ(3S) is much narrower than the spread of the beam energies, so that its mass, and not √s, is what
the pions recoil against.
"""

from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_PION, MASS_UPSILON_1S
from scanner.errors import InputError
from scanner.simulation import detector, kinematics, network
from scanner.simulation.base import Columns, FixedSize, Parameters, Process, as_columns
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import DECAY_STRENGTHS, given_strength

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MASS_UPSILON_3S = 10.3551
"""Mass of the Υ(3S) [GeV] (Particle Data Group, Review of Particle Physics, 2024)."""
LUMINOSITY = 21.0
"""Luminosity that stands for 91.4·10⁶ Υ(3S) [fb⁻¹]: a default, of 4.35 nb on the resonance."""
CROSS_SECTION = 91.4e6 / LUMINOSITY
"""σ(e⁺e⁻ → Υ(3S)) [fb]."""
DIPION_FRACTION = 0.0437
"""B(Υ(3S) → π⁺π⁻Υ(1S)) (Particle Data Group)."""
SIGNAL_KEPT, COMBINATIONS_KEPT, CUT = 0.849, 0.007, 0.3
"""Fractions with a classifier output above the cut."""
PEAKING_EVENTS, SMOOTH_EVENTS = 486.0 + 272.0 + 48.0, 17281.0
"""Background at LUMINOSITY above the cut: leptonic decays out of acceptance, and combinations."""
RANGE = (9.44, 9.485)
"""Recoil masses that are kept [GeV]."""
SLOPE = 0.1
"""Relative rise of the combinations from the middle of RANGE to its end; a default."""
DIPION_COLUMNS = {"m_recoil": "GeV", "m_pipi": "GeV", "bdt": "1"}
"""Mass against the pions, mass of the pions, and the classifier's output."""


@cache
def _dipion_masses(mass: float) -> InverseCDF:
    """Return the phase space of the mass of the pions against a particle of this mass."""

    def density(m: Array) -> Array:
        outer = kinematics.two_body_momentum(MASS_UPSILON_3S, m, mass)
        return np.asarray(outer * kinematics.two_body_momentum(m, MASS_PION, MASS_PION))

    return InverseCDF.of(density, 2 * MASS_PION, MASS_UPSILON_3S - mass, 2001)


def dipions(rng: Generator, events: int, mass: float = MASS_UPSILON_1S) -> Array:
    """Draw the pions of Υ(3S) → π⁺π⁻X; returns (2, 4, N) [GeV] in the laboratory."""
    pair_mass = _dipion_masses(mass).sample(rng, events)
    flight = kinematics.isotropic(rng, events)
    p = kinematics.two_body_momentum(MASS_UPSILON_3S, pair_mass, mass)
    pair = np.concatenate([np.sqrt(p * p + pair_mass**2)[None], p * flight])
    pions = kinematics.two_body(pair_mass, MASS_PION, MASS_PION, kinematics.isotropic(rng, events))
    return np.stack([kinematics.to_laboratory(kinematics.boost_with(k, pair, pair_mass)) for k in pions])


def reconstruct(pions: Array, rng: Generator) -> tuple[Flags, Array, Array]:
    """Simulate the detector; returns which events are kept, and their recoil and dipion masses [GeV]."""
    tracking = detector.BABAR.tracking
    found = np.logical_and.reduce([detector.tracks_found(k, rng, tracking) for k in pions])
    measured = np.sum([detector.smear_tracks(k, MASS_PION, rng, tracking) for k in pions], axis=0)
    start = kinematics.to_laboratory(np.array([[MASS_UPSILON_3S], [0.0], [0.0], [0.0]]))
    recoil = kinematics.mass(start - measured)
    kept = found & (recoil > RANGE[0]) & (recoil < RANGE[1])
    return kept, recoil[kept], kinematics.mass(measured)[kept]


def _rows(event: NDArray[np.intp], recoil: Array, pair: Array, fraction: float, rng: Generator) -> Columns:
    bdt = network.output_above(fraction, CUT, len(event), rng)
    return as_columns(event, {"m_recoil": recoil, "m_pipi": pair, "bdt": bdt})


class DipionInvisible(Process):
    """The signal, with an invisible particle of any mass in place of the Υ(1S)."""

    name: ClassVar[str] = "dipion_invisible"
    title: ClassVar[str] = "Υ(3S) → π⁺π⁻Υ(1S), Υ(1S) → invisible"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "phase space of the three bodies, without the two humps of the measured dipion mass; tracking of "
        "BaBar, beams of SuperKEKB; no trigger; the classifier keeps 84.9%"
    )
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "branching_fraction")
    columns: ClassVar[dict[str, str]] = DIPION_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return `cross_section` [fb], or that of the dipions times `branching_fraction`."""
        del sqrt_s
        self.check(parameters)
        name, value = given_strength(self.name, parameters, DECAY_STRENGTHS[:2])
        return value * (1.0 if name == "cross_section" else CROSS_SECTION * DIPION_FRACTION)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with two tracks."""
        del sqrt_s
        self.check(parameters)
        mass = float(parameters.get("mass", MASS_UPSILON_1S))
        if not 9.0 < mass < MASS_UPSILON_3S - 2 * MASS_PION:
            raise InputError(f"process {self.name}: mass {mass} GeV is not between 9 and 10.07 GeV")
        kept, recoil, pair = reconstruct(dipions(rng, events, mass), rng)
        return _rows(np.flatnonzero(kept), recoil, pair, SIGNAL_KEPT, rng)


class DipionLeptons(FixedSize):
    """The peaking background; its events are those that are found."""

    name: ClassVar[str] = "dipion_leptons"
    title: ClassVar[str] = "Υ(3S) → π⁺π⁻Υ(1S), Υ(1S) → leptons out of acceptance"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "shape of the signal; the number of events, 486 + 272 + 48 above the cut, is the experiment's"
    )
    columns: ClassVar[dict[str, str]] = DIPION_COLUMNS
    size: ClassVar[float] = PEAKING_EVENTS / SIGNAL_KEPT / LUMINOSITY
    """Cross section [fb] after selection, before the cut on the classifier."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        found = [np.empty((2, 0))]
        while sum(part.shape[1] for part in found) < events:
            _, recoil, pair = reconstruct(dipions(rng, 2 * events + 64), rng)
            found.append(np.stack([recoil, pair]))
        recoil, pair = np.concatenate(found, axis=1)[:, :events]
        return _rows(np.arange(events), recoil, pair, SIGNAL_KEPT, rng)


class DipionCombinations(FixedSize):
    """The non-peaking background."""

    name: ClassVar[str] = "dipion_combinations"
    title: ClassVar[str] = "other pairs of pions"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised: a straight line in the recoil mass with a default slope; the number of events, 17281 "
        "above the cut, and the cut's rejection of 99.3% are the experiment's"
    )
    columns: ClassVar[dict[str, str]] = DIPION_COLUMNS
    size: ClassVar[float] = SMOOTH_EVENTS / COMBINATIONS_KEPT / LUMINOSITY
    """Cross section [fb] after selection, before the cut on the classifier."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        del sqrt_s
        self.check(parameters)
        u = rng.random(events)
        # Inverse of the distribution function of 1 + SLOPE x on [−1, 1].
        x = (np.sqrt((1 - SLOPE) ** 2 + 4 * SLOPE * u) - 1) / SLOPE
        low, high = RANGE
        recoil = (low + high) / 2 + (high - low) / 2 * x
        pair = 2 * MASS_PION + (MASS_UPSILON_3S - recoil - 2 * MASS_PION) * np.sqrt(rng.random(events))
        return _rows(np.arange(events), recoil, pair, COMBINATIONS_KEPT, rng)
