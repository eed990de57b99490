"""Inelastic dark matter: a dark photon that couples to two states χ₁ and χ₂, with a dark Higgs boson."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import ALPHA, HBARC_CM, MASS_ELECTRON
from scanner.errors import InputError
from scanner.models.base import Array, CouplingModel, checked_mass
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.dark_scalar import DarkScalar

HPRIME, CHI2 = "ctau_hprime", "ctau_chi2"
"""Axes of the lifetimes of h′ and χ₂."""


@dataclass(frozen=True)
class InelasticDarkMatter(CouplingModel):
    """Dark Higgs boson h′ with a dark photon, e⁺e⁻ → A′h′, A′ → χ₁χ₂, χ₂ → χ₁e⁺e⁻.

    The mass of the model is that of h′, which decays through its mixing angle θ with the Higgs boson.
    The coupling of the production is ε.

    Parameters
    ----------
    m_chi1 : float
        Mass of χ₁ [GeV].
    ratio : float
        m_A′/m_χ₁; above 2 + splitting, so that A′ → χ₁χ₂ is open.
    splitting : float
        (m_χ₂ − m_χ₁)/m_χ₁.
    alpha_d : float
        Dark fine-structure constant.
    sin_theta : float
        Mixing of h′ with the Higgs boson, which sets its lifetime.
    """

    m_chi1: float = 1.0
    ratio: float = 3.0
    splitting: float = 0.4
    alpha_d: float = 0.5
    sin_theta: float = 1e-4

    name: ClassVar[str] = "idm_dark_higgs"
    title: ClassVar[str] = "inelastic dark matter with a dark Higgs boson"
    coupling: ClassVar[str] = "ε"
    coupling_name: ClassVar[str] = "kinetic mixing of the dark photon"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    largest: ClassVar[float] = 1.0
    reference: ClassVar[str] = "M. Duerr et al., JHEP 04 (2021) 146, 2012.08595"
    final_states: ClassVar[tuple[str, ...]] = DarkScalar.final_states

    def __post_init__(self) -> None:
        """Refuse angles above 1, and parameters for which A′ → χ₁χ₂ or χ₂ → χ₁e⁺e⁻ is closed."""
        if not (self.m_chi1 > 0.0 and self.alpha_d > 0.0 and self.sin_theta > 0.0):
            raise InputError(
                f"m_chi1 {self.m_chi1} GeV, alpha_d {self.alpha_d} and sin_theta {self.sin_theta}: "
                "all must be positive"
            )
        if self.sin_theta > 1.0:
            raise InputError(f"sin_theta {self.sin_theta}: a sine is at most 1")
        if not self.splitting * self.m_chi1 > 2 * MASS_ELECTRON:
            raise InputError(f"splitting {self.splitting}: no room for two electrons; take a larger one")
        if not self.ratio > 2 + self.splitting:
            raise InputError(f"ratio {self.ratio}: A′ → χ₁χ₂ is closed; take more than {2 + self.splitting}")

    @property
    def m_aprime(self) -> float:
        """Mass of the dark photon [GeV]."""
        return self.ratio * self.m_chi1

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass of h′ [GeV]."""
        return 1.1e-3, sqrt_s - self.m_aprime

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → A′h′) [fb] at ε = 1; every A′ decays to χ₁χ₂."""
        model = DarkHiggsstrahlung(m_hprime=checked_mass(m))
        return self.alpha_d * model.production(np.full(np.shape(m), self.m_aprime), sqrt_s)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return the partial widths of h′ [GeV] at sin θ = 1."""
        return DarkScalar().widths(m)

    def flights(self, m: ArrayLike) -> dict[str, tuple[Array, int]]:
        """Return cτ of h′, which ε does not change, and of χ₂ at ε = 1, which falls as ε² [cm]."""
        mass = checked_mass(m)
        chi2 = np.full(mass.shape, self.chi2_decay_length())
        return {HPRIME: (self.decay_length(mass) / self.sin_theta**2, 0), CHI2: (chi2, 2)}

    def chi2_decay_length(self) -> float:
        """Return cτ of χ₂ [cm] at ε = 1, by Γ = 4αα_DΔ⁵/(15π m_A⁴) for Δ far below the masses.

        Source: E. Izaguirre, G. Krnjaic, B. Shuve, 1508.03050, eq. 4, with massless electrons.

        Examples
        --------
        >>> round(1e6 * InelasticDarkMatter(1.0, 3.0, 0.4, 0.5).chi2_decay_length(), 2)
        0.5
        """
        gap = self.splitting * self.m_chi1
        width = 4 * ALPHA * self.alpha_d * gap**5 / (15 * math.pi * self.m_aprime**4)
        return HBARC_CM / width


@dataclass(frozen=True)
class InelasticMixing(InelasticDarkMatter):
    """The same at a given ε: the mixing angle is the coupling, which sets the lifetime of h′ and no rate.

    Parameters
    ----------
    epsilon : float
        Kinetic mixing, which sets the rate and the lifetime of χ₂.
    """

    epsilon: float = 1e-3

    name: ClassVar[str] = "idm_mixing"
    title: ClassVar[str] = "dark Higgs boson beside inelastic dark matter, by its mixing"
    coupling: ClassVar[str] = "sin θ"
    coupling_name: ClassVar[str] = "mixing angle of the dark Higgs boson with the Higgs boson"
    power: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse what the model with the coupling ε refuses, and an ε that is not from 0 to 1."""
        super().__post_init__()
        if not 0.0 < self.epsilon <= self.largest:
            raise InputError(f"epsilon {self.epsilon}: it must be positive, and at most {self.largest:g}")

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return σ(e⁺e⁻ → A′h′) [fb] at ε, whatever the mixing angle."""
        return self.epsilon**2 * super().production(m, sqrt_s)

    def decay_length(self, m: ArrayLike) -> Array:
        """Return cτ of h′ [cm] at sin θ = 1; it falls as sin²θ."""
        return DarkScalar().decay_length(m)

    def flights(self, m: ArrayLike) -> dict[str, tuple[Array, int]]:
        """Return cτ of h′ at sin θ = 1, which falls as sin²θ, and of χ₂, which it does not change [cm]."""
        mass = checked_mass(m)
        chi2 = np.full(mass.shape, self.chi2_decay_length() / self.epsilon**2)
        return {HPRIME: (self.decay_length(mass), 2), CHI2: (chi2, 0)}
