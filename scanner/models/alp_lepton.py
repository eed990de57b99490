"""An axion-like particle that couples to all charged leptons alike, (C/2Λ) ∂_μa l̄γ^μγ₅l."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.constants import ALPHA
from scanner.errors import InputError
from scanner.models import radiation
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.leptons import LEPTONS, pseudoscalar_width


@dataclass(frozen=True)
class ALPLepton(CouplingModel):
    """Axion-like particle a radiated off a pair of leptons, e⁺e⁻ → l⁺l⁻a.

    On the mass shell of the leptons the derivative coupling is a Yukawa coupling i g a l̄γ₅l with
    g = C m_l/Λ. Neither quarks nor gauge bosons couple: a → γγ goes by loops of the leptons.

    Parameters
    ----------
    radiator : str
        "mu_mu" or "tau_tau".
    """

    radiator: str = "mu_mu"

    name: ClassVar[str] = "alp_lepton"
    title: ClassVar[str] = "axion-like particle coupled to leptons"
    coupling: ClassVar[str] = "C_ll/Λ"
    coupling_name: ClassVar[str] = "coupling of the axion-like particle to leptons"
    unit: ClassVar[str] = "GeV^-1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "M. Bauer, M. Neubert, A. Thamm, JHEP 12 (2017) 044, 1708.00443"
    final_states: ClassVar[tuple[str, ...]] = (*LEPTONS, "gamma_gamma")

    def __post_init__(self) -> None:
        """Refuse what does not radiate it at a visible rate."""
        if self.radiator not in ("tau_tau", "mu_mu"):
            raise InputError(f"radiator {self.radiator!r}: take mu_mu or tau_tau")

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: a pair of electrons, and the threshold."""
        return 1.1e-3, radiation.threshold(sqrt_s, LEPTONS[self.radiator])

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → l⁺l⁻a) [fb] at C/Λ = 1/GeV, tree level (`scanner.models.radiation`)."""
        lepton = LEPTONS[self.radiator]
        unit = radiation.cross_section("pseudoscalar", checked_mass(m), sqrt_s, lepton=lepton)
        return np.asarray(lepton**2 * unit)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_ll = m m_l²/8π √(1−4r) and Γ_γγ = α²m³/64π³ |Σ B₁|² [GeV] at C/Λ = 1/GeV.

        Source: 1708.00443, eqs. 13 to 17.
        """
        mass = checked_mass(m)
        found = {pair: lepton**2 * pseudoscalar_width(mass, lepton) for pair, lepton in LEPTONS.items()}
        loops = sum((loop(mass, lepton) for lepton in LEPTONS.values()), np.zeros(mass.shape, complex))
        return found | {
            "gamma_gamma": np.asarray(ALPHA**2 * mass**3 / (64 * math.pi**3) * np.abs(loops) ** 2)
        }


def loop(m: Array, lepton: float) -> NDArray[np.complex128]:
    """Return B₁(τ) = 1 − τ f(τ)², τ = 4m_l²/m², of the loop of a lepton in a → γγ (1708.00443, eq. 15)."""
    t = 4 * (lepton / m) ** 2
    above = np.arcsin(1 / np.sqrt(np.maximum(t, 1.0)))
    root = np.sqrt(np.clip(1 - t, 0.0, None))
    # (1+√)/(1−√) by its conjugate, which keeps its digits for light leptons.
    below = math.pi / 2 + 0.5j * np.log((1 + root) ** 2 / np.minimum(t, 1.0))
    return np.asarray(1 - t * np.where(t < 1.0, below, above) ** 2)
