"""A scalar that couples to leptons in proportion to their masses."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import VACUUM_EXPECTATION
from scanner.errors import InputError
from scanner.models import radiation
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.leptons import LEPTONS, scalar_width


@dataclass(frozen=True)
class LeptophilicScalar(CouplingModel):
    """Leptophilic scalar φ_L with g_l = ξ m_l/v, radiated off a pair of leptons, e⁺e⁻ → l⁺l⁻φ_L.

    Parameters
    ----------
    radiator : str
        "tau_tau" or "mu_mu".
    """

    radiator: str = "tau_tau"

    name: ClassVar[str] = "leptophilic_scalar"
    title: ClassVar[str] = "leptophilic scalar"
    coupling: ClassVar[str] = "ξ"
    coupling_name: ClassVar[str] = "coupling of the scalar to leptons over that of the Higgs boson"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "B. Batell, N. Lange, D. McKeen, M. Pospelov, A. Ritz, 1606.04943"
    final_states: ClassVar[tuple[str, ...]] = tuple(LEPTONS)

    def __post_init__(self) -> None:
        """Refuse what does not radiate it at a visible rate."""
        if self.radiator not in ("tau_tau", "mu_mu"):
            raise InputError(f"radiator {self.radiator!r}: take tau_tau or mu_mu")

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: a pair of electrons, and the threshold."""
        return 1.1e-3, radiation.threshold(sqrt_s, LEPTONS[self.radiator])

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → l⁺l⁻φ_L) [fb] at ξ = 1, tree level (`scanner.models.radiation`)."""
        lepton = LEPTONS[self.radiator]
        unit = radiation.cross_section("scalar", checked_mass(m), sqrt_s, lepton=lepton)
        return np.asarray((lepton / VACUUM_EXPECTATION) ** 2 * unit)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_ll = (m_l/v)² m/8π (1−4r)^{3/2} [GeV] at ξ = 1; decays to photons are left out."""
        mass = checked_mass(m)
        return {
            pair: (lepton / VACUUM_EXPECTATION) ** 2 * scalar_width(mass, lepton)
            for pair, lepton in LEPTONS.items()
        }
