"""Four muons: the signals e⁺e⁻ → μ⁺μ⁻X, X → μ⁺μ⁻ and their standard-model background."""

import math
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import ALPHA, MASS_MUON
from scanner.models import radiation
from scanner.models.cross_sections import mu_mu_x
from scanner.simulation import conversions, detector, kinematics, network
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.radiated import radiated_events
from scanner.simulation.sampling import InverseCDF
from scanner.simulation.signals import mass_between, signal_cross_section

Array = NDArray[np.float64]

PAIRS = ((0, 1), (0, 3), (2, 1), (2, 3))
"""Opposite-sign pairs of the muons (μ⁻, μ⁺, μ⁻ of X, μ⁺ of X); the last one is X."""
MUONS_IN_SKIM = 2
FOUR_MUON_COLUMNS = {
    "m_mumu": "GeV", "m_other": "GeV", "m_recoil": "GeV", "m_4mu": "GeV", "n_muons": "1", "nn": "1",
}  # fmt: skip
"""Mass of the pair, of the other pair, against the pair, of all four; identified muons; classifier."""


def candidates(muons: Array, sqrt_s: float, rng: Generator, *, signal: bool) -> Columns:
    """Simulate the detector and build the four opposite-sign pairs of every accepted event.

    An event needs four tracks, and two identified muons: a search asks for more by `n_muons`.

    Parameters
    ----------
    muons
        Four-momenta (4 muons, 4, N) in the centre of mass, as `radiated_events` gives them.
    signal
        Whether the last two muons come from the new particle; decides the classifier's output alone.
    """
    lab = np.concatenate([kinematics.to_laboratory(k) for k in muons], axis=1)
    shape = (4, muons.shape[2])
    found = np.all(detector.tracks_found(lab, rng).reshape(shape), axis=0)
    identified = np.sum(detector.muons_identified(lab, rng).reshape(shape), axis=0)
    measured = detector.smear_tracks(lab, MASS_MUON, rng).reshape(4, *shape)
    kept = found & (identified >= MUONS_IN_SKIM)
    return _pairs(measured[:, :, kept], np.flatnonzero(kept), identified[kept], sqrt_s, rng, signal)


def _pairs(
    p: Array,
    event: NDArray[np.intp],
    identified: NDArray[np.intp],
    sqrt_s: float,
    rng: Generator,
    signal: bool,
) -> Columns:
    """Build the rows from measured momenta p (E x y z, muon, N); four rows an event, in PAIRS' order."""
    n = p.shape[2]
    total = kinematics.mass(p.sum(axis=1))
    beams = kinematics.to_laboratory(np.array([[sqrt_s], [0.0], [0.0], [0.0]]))
    pairs = [p[:, i] + p[:, j] for i, j in PAIRS]
    is_signal = np.zeros((n, 4), dtype=np.bool_)
    is_signal[:, 3] = signal
    return as_columns(
        np.repeat(event, 4),
        {
            "m_mumu": np.stack([kinematics.mass(q) for q in pairs], axis=1).ravel(),
            "m_other": np.stack([kinematics.mass(q) for q in pairs[::-1]], axis=1).ravel(),
            "m_recoil": np.stack([kinematics.mass(beams - q) for q in pairs], axis=1).ravel(),
            "m_4mu": np.repeat(total, 4),
            "n_muons": np.repeat(identified, 4),
            "nn": network.output(is_signal, rng).ravel(),
        },
    )


class _Signal(Process):
    """e⁺e⁻ → μ⁺μ⁻X, X → μ⁺μ⁻ for a new particle X of zero width."""

    role: ClassVar[str] = "signal"
    parameters: ClassVar[tuple[str, ...]] = ("mass", "cross_section", "coupling")
    candidates: ClassVar[tuple[int, int]] = (4, 3)
    columns: ClassVar[dict[str, str]] = FOUR_MUON_COLUMNS
    kind: ClassVar[str]
    model: ClassVar[str]

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B(X → μ⁺μ⁻) [fb]: as given by `cross_section`, or from `coupling` by the model."""
        self.check(parameters)
        return signal_cross_section(self.name, self.model, "mu_mu", sqrt_s, parameters)

    def _mass(self, sqrt_s: float, parameters: Parameters) -> float:
        return mass_between(self.name, parameters, 2 * MASS_MUON, radiation.threshold(sqrt_s))

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return four candidates for every event with four tracks and two identified muons."""
        mass = np.full(events, self._mass(sqrt_s, parameters))
        return candidates(radiated_events(rng, self.kind, mass, sqrt_s), sqrt_s, rng, signal=True)


class MuMuZPrime(_Signal):
    """The vector signal."""

    name: ClassVar[str] = "mu_mu_zprime"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻Z′, Z′ → μ⁺μ⁻"
    approximation: ClassVar[str] = (
        "tree level with all spin correlations; no initial-state radiation, no interference between "
        "equal muons, zero width; detector and classifier are parametrised defaults"
    )
    kind: ClassVar[str] = "vector"
    model: ClassVar[str] = "zprime_lmu_ltau"


class MuMuScalar(_Signal):
    """The scalar signal."""

    name: ClassVar[str] = "mu_mu_scalar"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻S, S → μ⁺μ⁻"
    approximation: ClassVar[str] = MuMuZPrime.approximation
    kind: ClassVar[str] = "scalar"
    model: ClassVar[str] = "muonphilic_scalar"


@cache
def radiated_mass_spectrum(sqrt_s: float) -> InverseCDF:
    """Return dσ/d ln m [fb] of e⁺e⁻ → μ⁺μ⁻γ*, γ* → μ⁺μ⁻ with the virtual photon's mass m."""

    def density(log_mass: Array) -> Array:
        sigma = mu_mu_x("vector", np.exp(log_mass), sqrt_s)
        return np.asarray(conversions.conversion_density(log_mass) * 4 * math.pi * ALPHA * sigma)

    low, high = math.log(2 * MASS_MUON), math.log(radiation.threshold(sqrt_s) * (1 - 1e-6))
    return InverseCDF.of(density, low, high, 2001)


class FourMuons(Process):
    """The standard-model background: a virtual photon off a muon or two off the beams, turned into muons."""

    name: ClassVar[str] = "four_muons"
    title: ClassVar[str] = "e⁺e⁻ → μ⁺μ⁻μ⁺μ⁻"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "leading logarithm in the virtual photons' masses: radiation off the muons with the matrix element "
        "of the vector signal, and two conversions off the beams; no interference, no further radiation; "
        "detector and classifier are parametrised defaults"
    )
    candidates: ClassVar[tuple[int, int]] = (4, 3)
    columns: ClassVar[dict[str, str]] = FOUR_MUON_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the total cross section [fb], radiation plus conversions."""
        self.check(parameters)
        return radiated_mass_spectrum(sqrt_s).integral + conversions.cross_section(sqrt_s)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return four candidates for every event with four tracks and two identified muons."""
        level = rng.random(events) * self.cross_section(sqrt_s, parameters)
        radiated = level < radiated_mass_spectrum(sqrt_s).integral
        n = int(np.count_nonzero(radiated))
        mass = np.exp(radiated_mass_spectrum(sqrt_s).sample(rng, n))
        muons = np.empty((4, 4, events))
        muons[:, :, radiated] = radiated_events(rng, "vector", mass, sqrt_s)
        muons[:, :, ~radiated] = conversions.conversion_events(rng, events - n, sqrt_s)
        return candidates(muons, sqrt_s, rng, signal=False)
