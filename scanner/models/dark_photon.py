"""The dark photon: a vector that mixes kinetically with the photon."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import ALPHA, HBARC2
from scanner.errors import InputError
from scanner.models.base import Array, CouplingModel, InvisibleModel, checked_mass
from scanner.models.hadrons import r_ratio
from scanner.models.leptons import LEPTONS, vector_width


@dataclass(frozen=True)
class DarkPhoton(CouplingModel):
    """Dark photon A′ with an initial-state photon, e⁺e⁻ → γA′.

    Parameters
    ----------
    cos_max : float
        Largest |cos θ*| of the photon; the cross section diverges along the beams.
    """

    cos_max: float = 0.9

    name: ClassVar[str] = "dark_photon"
    title: ClassVar[str] = "dark photon"
    coupling: ClassVar[str] = "ε"
    coupling_name: ClassVar[str] = "kinetic mixing of the dark photon"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = (
        "R. Essig, P. Schuster, N. Toro, 0903.3941; B. Batell, M. Pospelov, A. Ritz, 0903.0363"
    )
    final_states: ClassVar[tuple[str, ...]] = ("e_e", "mu_mu", "tau_tau", "hadrons")

    def __post_init__(self) -> None:
        """Refuse an acceptance that is empty or reaches the beams."""
        if not 0.0 < self.cos_max < 1.0:
            raise InputError(f"cos_max {self.cos_max}: a number between 0 and 1 is needed")

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: a pair of electrons must be open, and the photon hard."""
        return 2e-3, sqrt_s

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ [fb] at ε = 1 for |cos θ*| < cos_max.

        It is the integral of dσ/dcos θ = 2πα²/s (1−m²/s) [1 + cos²θ + 4sm²/(s−m²)²] / (1 − cos²θ)
        (0903.3941, eq. 4).

        Examples
        --------
        >>> round(1e-6 * float(DarkPhoton(cos_max=0.9).production(2.0, 10.58)), 2)
        5.1
        """
        mass, s, c = checked_mass(m), sqrt_s**2, self.cos_max
        below = mass < sqrt_s
        gap = np.where(below, s - mass**2, s)
        log = math.log((1 + c) / (1 - c))
        angles = (1 + 2 * s * mass**2 / gap**2) * log - c
        return np.asarray(np.where(below, 4 * math.pi * ALPHA**2 * gap / s**2 * angles * HBARC2, 0.0))

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_ll = αm/3 (1+2r)√(1−4r) and Γ_had = R(m²) αm/3 [GeV], at ε = 1."""
        mass = checked_mass(m)
        charge2 = 4 * math.pi * ALPHA
        widths = {pair: charge2 * vector_width(mass, lepton) for pair, lepton in LEPTONS.items()}
        return widths | {"hadrons": np.asarray(ALPHA * mass / 3 * r_ratio(mass))}


@dataclass(frozen=True)
class InvisibleDarkPhoton(InvisibleModel, DarkPhoton):
    """Dark photon that decays to dark matter alone, e⁺e⁻ → γA′."""

    name: ClassVar[str] = "invisible_dark_photon"
    title: ClassVar[str] = "dark photon, decaying to dark matter"
    final_states: ClassVar[tuple[str, ...]] = InvisibleModel.final_states
