"""Lepton-flavour-violating τ → lα with an invisible boson."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import HBAR, LIFETIME_TAU, MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.errors import InputError
from scanner.models.base import Array, DecayModel, InvisibleModel, checked_mass

LEPTONS = {"e": MASS_ELECTRON, "mu": MASS_MUON}


@dataclass(frozen=True)
class TauAlpha(InvisibleModel, DecayModel):
    """Axion-like particle α in τ → lα; the coupling is 1/F.

    Parameters
    ----------
    lepton : str
        "e" or "mu"; its mass is neglected beside that of the τ in the width.
    """

    lepton: str = "mu"

    name: ClassVar[str] = "tau_alpha"
    title: ClassVar[str] = "invisible boson with lepton-flavour-violating couplings to τ"
    coupling: ClassVar[str] = "1/F"
    coupling_name: ClassVar[str] = "inverse scale of the lepton-flavour-violating coupling"
    unit: ClassVar[str] = "GeV^-1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "L. Calibbi et al., JHEP 09 (2021) 173, 2006.04795"

    def __post_init__(self) -> None:
        """Refuse a lepton that is not lighter than the τ."""
        if self.lepton not in LEPTONS:
            raise InputError(f"unknown lepton {self.lepton!r}; there are {', '.join(LEPTONS)}")

    def decay_range(self) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]."""
        return 1e-6, MASS_TAU - LEPTONS[self.lepton]

    def parent_fraction(self, m: ArrayLike) -> Array:
        """Return B(τ → lα) = τ_τ m_τ³/16π (1−m²/m_τ²)² at F = 1 GeV.

        Examples
        --------
        >>> f"{1e-14 * float(TauAlpha().parent_fraction(1e-6)):.1e}"
        '4.9e-04'
        """
        mass = checked_mass(m)
        phase_space = np.clip(1 - (mass / MASS_TAU) ** 2, 0, None) ** 2
        open_ = mass < MASS_TAU - LEPTONS[self.lepton]
        return np.asarray(
            np.where(open_, LIFETIME_TAU / HBAR * MASS_TAU**3 / (16 * math.pi) * phase_space, 0.0)
        )
