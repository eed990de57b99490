"""The Z′ of gauged L_μ − L_τ: vector couplings to μ, τ and their neutrinos, none to electrons."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import MASS_MUON, MASS_TAU
from scanner.models.anomalous_moment import vector_contribution
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.cross_sections import mu_mu_x
from scanner.models.leptons import vector_width
from scanner.models.radiation import threshold


class ZPrimeLMuLTau(CouplingModel):
    """Z′ of L_μ − L_τ, e⁺e⁻ → μ⁺μ⁻Z′.

    Kinetic mixing with the photon, which loops induce, is neglected.
    """

    name: ClassVar[str] = "zprime_lmu_ltau"
    title: ClassVar[str] = "Z′ of L_μ − L_τ"
    coupling: ClassVar[str] = "g′"
    coupling_name: ClassVar[str] = "gauge coupling of L_μ − L_τ"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "X.-G. He et al., Phys. Rev. D 43, R22 (1991); B. Shuve, I. Yavin, 1403.2727"
    final_states: ClassVar[tuple[str, ...]] = ("mu_mu", "tau_tau", "invisible")

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: from the table's end to the threshold."""
        return 1e-3, threshold(sqrt_s)

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → μ⁺μ⁻Z′) [fb] at g′ = 1, tree level (`scanner.models.radiation`)."""
        return mu_mu_x("vector", m, sqrt_s)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_ll = m/12π (1+2r)√(1−4r) and Γ_νν = m/24π for each of two flavours [GeV]."""
        mass = checked_mass(m)
        return {
            "mu_mu": vector_width(mass, MASS_MUON),
            "tau_tau": vector_width(mass, MASS_TAU),
            "invisible": np.asarray(2 * mass / (24 * math.pi)),
        }

    def anomalous_moment(self, m: ArrayLike) -> Array:
        """Return the contribution to (g−2)_μ/2 at g′ = 1; it scales with g′²."""
        return vector_contribution(checked_mass(m))
