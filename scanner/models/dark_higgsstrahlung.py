"""Dark Higgsstrahlung, e⁺e⁻ → A′* → A′h′."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import ALPHA, HBARC2
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.dark_photon import DarkPhoton
from scanner.models.kinematics import kallen


@dataclass(frozen=True)
class DarkHiggsstrahlung(CouplingModel):
    """Dark photon with a dark Higgs boson; the mass of the model is that of the dark photon.

    Parameters
    ----------
    m_hprime : array_like
        Mass of the dark Higgs boson [GeV], of a shape that broadcasts with the dark photon's.
    charge : float
        Dark charge of the Higgs boson; the cross section grows as its square.
    """

    m_hprime: ArrayLike = 0.0
    charge: float = 1.0

    name: ClassVar[str] = "dark_higgsstrahlung"
    title: ClassVar[str] = "dark Higgsstrahlung"
    coupling: ClassVar[str] = "ε²α_D"
    coupling_name: ClassVar[str] = "kinetic mixing squared times the dark fine-structure constant"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 1
    reference: ClassVar[str] = "B. Batell, M. Pospelov, A. Ritz, 0903.0363"
    final_states: ClassVar[tuple[str, ...]] = DarkPhoton.final_states

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass of the dark photon [GeV]."""
        return 2e-3, float(np.min(sqrt_s - np.asarray(self.m_hprime)))

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ [fb] at ε²α_D = 1 (0903.0363, eq. 16).

        σ = πα/3s (1−m_A²/s)⁻² √λ (λ + 12m_A²/s), λ = λ(1, m_A²/s, m_h²/s).

        Examples
        --------
        >>> round(1e-7 * float(DarkHiggsstrahlung(m_hprime=1.0).production(4.0, 10.58)), 2)
        7.43
        """
        mass, s = checked_mass(m), sqrt_s**2
        x, y = mass**2 / s, np.asarray(self.m_hprime, dtype=np.float64) ** 2 / s
        open_ = np.sqrt(x) + np.sqrt(y) < 1.0
        x, y = np.where(open_, x, 0.0), np.where(open_, y, 0.0)
        phase = kallen(1.0, x, y)
        sigma = math.pi * ALPHA / (3 * s) * np.sqrt(phase) * (phase + 12 * x) / (1 - x) ** 2 * HBARC2
        return np.asarray(np.where(open_, self.charge**2 * sigma, 0.0))

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return the partial widths of the dark photon [GeV] at ε = 1; they scale with ε², not with ε²α_D."""
        return DarkPhoton().widths(m)
