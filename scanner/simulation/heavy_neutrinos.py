"""τ → πN with a heavy neutral lepton that flies before it decays, N → νμμ."""

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_MUON, MASS_PION, MASS_TAU
from scanner.simulation import detector, displaced, flight, kinematics, tau_pairs
from scanner.simulation.base import Columns, Parameters, Process, as_columns
from scanner.simulation.phase_space import pair_masses
from scanner.simulation.signals import decay_cross_section, mass_between

Array = NDArray[np.float64]

MUONS = 1
"""Number of the final state of two muons in `displaced.DAUGHTERS`."""
HEAVY_NEUTRINO_COLUMNS = {
    "m_mumu": "GeV", "m_pipi": "GeV", "r_vertex": "cm", "l_proper": "cm", "ctau": "cm", "ctau_least": "cm",
}  # fmt: skip
"""Mass of the pair, and as pions; distance of its vertex from the beams; proper decay length, and the mean
that was generated, or the largest and the least of means that are even in the logarithm."""


class TauHeavyNeutrino(Process):
    """The signal; the other τ decays to anything."""

    name: ClassVar[str] = "tau_heavy_neutrino"
    title: ClassVar[str] = "e⁺e⁻ → τ⁺τ⁻, τ → πN, N → νμμ in flight"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = (
        "isotropic decays, that of N by phase space; nothing is asked of the other τ; displaced tracks with "
        "the resolution of prompt ones and an efficiency by radius that is a default, as is identification"
    )
    parameters: ClassVar[tuple[str, ...]] = (
        "mass", "ctau", "ctau_least", "cross_section", "branching_fraction", "coupling",
    )  # fmt: skip
    columns: ClassVar[dict[str, str]] = HEAVY_NEUTRINO_COLUMNS

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return σ×B [fb] of `cross_section`, `branching_fraction` or `coupling` |V_τN|²."""
        self.check(parameters)
        parents = 2 * tau_pairs.CROSS_SECTION
        return decay_cross_section(self.name, "heavy_neutral_lepton", "nu_mu_mu", parents, sqrt_s, parameters)

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate for every event with a pion and two muons."""
        mass = mass_between(self.name, parameters, *self.mass_range(parameters, sqrt_s))
        least, most = flight.lifetime_range(self.name, parameters, 10.0)
        tau, _ = tau_pairs.pairs(rng, events, sqrt_s)
        decay = kinematics.two_body(MASS_TAU, MASS_PION, mass, kinematics.isotropic(rng, events))
        pion, heavy = (kinematics.to_laboratory(kinematics.boost_with(k, tau, MASS_TAU)) for k in decay)
        means = flight.lifetimes(rng, events, least, most)
        proper, vertex = flight.vertices(heavy, mass, means, rng)
        muons = _muons(rng, heavy, mass)
        kept = displaced.pair_found(muons, vertex, MUONS, rng) & detector.tracks_found(pion, rng)
        seen = np.stack([detector.smear_tracks(k, MASS_MUON, rng) for k in muons])
        error = displaced.VERTEX_ERROR * rng.standard_normal(events)
        values = {
            "m_mumu": kinematics.mass(seen.sum(axis=0)), "m_pipi": displaced.as_mass(seen, MASS_PION),
            "r_vertex": np.abs(flight.radius(vertex) + error), "l_proper": proper,
            "ctau": np.full(events, most), "ctau_least": np.full(events, least),
        }  # fmt: skip
        return as_columns(np.flatnonzero(kept), {name: value[kept] for name, value in values.items()})

    def mass_range(self, parameters: Parameters, sqrt_s: float) -> tuple[float, float]:
        """Return the masses between the threshold of two muons and the end of the τ decay."""
        del sqrt_s
        self.check(parameters)
        return 2 * MASS_MUON, MASS_TAU - MASS_PION


def _muons(rng: Generator, heavy: Array, mass: float) -> Array:
    """Draw the muons (2, 4, N) of N → νμμ in the laboratory, by phase space."""
    events = heavy.shape[1]
    pair_mass = pair_masses(rng, np.full(events, mass), (MASS_MUON, MASS_MUON, 0.0))
    pair, _ = kinematics.two_body(mass, pair_mass, 0.0, kinematics.isotropic(rng, events))
    decay = kinematics.two_body(pair_mass, MASS_MUON, MASS_MUON, kinematics.isotropic(rng, events))
    flown = kinematics.boost_with(pair, heavy, mass)
    return np.stack([kinematics.boost_with(k, flown, pair_mass) for k in decay])
