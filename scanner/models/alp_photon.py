"""An axion-like particle that couples to photons, −(g/4) a F F̃."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import ALPHA, HBARC2
from scanner.models.base import Array, CouplingModel, checked_mass


class ALPPhoton(CouplingModel):
    """Axion-like particle, e⁺e⁻ → γa by ALP-strahlung; the angular distribution is 1+cos²θ."""

    name: ClassVar[str] = "alp_photon"
    title: ClassVar[str] = "axion-like particle coupled to photons"
    coupling: ClassVar[str] = "g_aγγ"
    coupling_name: ClassVar[str] = "coupling of the axion-like particle to photons"
    unit: ClassVar[str] = "GeV^-1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "M. Dolan et al., JHEP 12 (2017) 094, 1709.00009"
    final_states: ClassVar[tuple[str, ...]] = ("gamma_gamma",)

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]; the formulas hold for any mass below √s."""
        return 1e-3, sqrt_s

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ = α/24 (1−m²/s)³ [fb] at g = 1/GeV, over all angles.

        Examples
        --------
        >>> round(1e-6 * float(ALPPhoton().production(1.0, 10.58)), 1)
        115.2
        """
        mass = checked_mass(m)
        phase_space = np.clip(1 - (mass / sqrt_s) ** 2, 0, None) ** 3
        return np.asarray(ALPHA / 24 * phase_space * HBARC2)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ(a → γγ) = m³/64π [GeV] at g = 1/GeV."""
        return {"gamma_gamma": np.asarray(checked_mass(m) ** 3 / (64 * math.pi))}
