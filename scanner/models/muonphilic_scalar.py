"""A scalar that couples to muons alone, as g_S S μ̄μ."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import ALPHA, MASS_MUON
from scanner.models.anomalous_moment import scalar_contribution
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.cross_sections import mu_mu_x
from scanner.models.leptons import scalar_width
from scanner.models.radiation import threshold


def _loop(m: Array) -> Array:
    """Amplitude |F| of S → γγ through a muon loop below 2m_μ, as for the Higgs boson."""
    t = 4 * (MASS_MUON / m) ** 2
    return np.asarray(2 * t * (1 + (1 - t) * np.arcsin(1 / np.sqrt(np.maximum(t, 1.0))) ** 2))


class MuonphilicScalar(CouplingModel):
    """Muonphilic scalar S, e⁺e⁻ → μ⁺μ⁻S.

    Above 2m_μ it decays to μ⁺μ⁻ alone: there is no coupling to τ, and the γγ decay through the muon
    loop, 0.5% at 0.212 GeV and below 2e-4 from 0.22 GeV, is left out. Below 2m_μ only γγ remains.
    """

    name: ClassVar[str] = "muonphilic_scalar"
    title: ClassVar[str] = "muonphilic dark scalar"
    coupling: ClassVar[str] = "g_S"
    coupling_name: ClassVar[str] = "Yukawa coupling of the scalar to muons"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "P. Harris, P. Schuster, J. Zupan, 2207.08990; Belle II, 2403.02841"
    final_states: ClassVar[tuple[str, ...]] = ("mu_mu", "gamma_gamma")

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: from the table's end to the threshold."""
        return 1e-3, threshold(sqrt_s)

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → μ⁺μ⁻S) [fb] at g_S = 1, tree level (`scanner.models.radiation`)."""
        return mu_mu_x("scalar", m, sqrt_s)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_μμ = m/8π (1−4r)^{3/2} and, below threshold, Γ_γγ = α²m³|F|²/(256π³m_μ²) [GeV]."""
        mass = checked_mass(m)
        below = mass <= 2 * MASS_MUON
        loop = ALPHA**2 * mass**3 / (256 * math.pi**3 * MASS_MUON**2) * _loop(mass) ** 2
        return {
            "mu_mu": scalar_width(mass, MASS_MUON),
            "gamma_gamma": np.asarray(np.where(below, loop, 0.0)),
        }

    def anomalous_moment(self, m: ArrayLike) -> Array:
        """Return the contribution to (g−2)_μ/2 at g_S = 1; it scales with g_S²."""
        return scalar_contribution(checked_mass(m))
