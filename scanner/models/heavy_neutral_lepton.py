"""A heavy neutral lepton that mixes with the tau neutrino alone: τ → πN, and the decays of N."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import (
    F_PION,
    FERMI_CONSTANT,
    HBAR,
    LIFETIME_TAU,
    MASS_ELECTRON,
    MASS_ETA,
    MASS_ETA_PRIME,
    MASS_MUON,
    MASS_OMEGA,
    MASS_PHI,
    MASS_PION,
    MASS_PION0,
    MASS_RHO,
    MASS_TAU,
    SIN2_THETA_W,
    V_UD,
)
from scanner.models.base import Array, DecayModel, checked_mass
from scanner.models.kinematics import kallen

PSEUDOSCALARS = {
    "nu_pi0": (MASS_PION0, F_PION),
    "nu_eta": (MASS_ETA, 0.0817),
    "nu_eta_prime": (MASS_ETA_PRIME, 0.0947),
}
"""Neutral mesons: mass and magnitude of the decay constant [GeV] (1805.08567, table 9)."""
VECTORS = {
    "nu_rho": (MASS_RHO, 0.162, 1 - 2 * SIN2_THETA_W),
    "nu_omega": (MASS_OMEGA, 0.153, 4 / 3 * SIN2_THETA_W),
    "nu_phi": (MASS_PHI, 0.234, 4 / 3 * SIN2_THETA_W - 1),
}
"""Vector mesons: mass [GeV], decay constant [GeV²], neutral-current factor κ (1805.08567, table 10)."""
_C1 = (1 - 4 * SIN2_THETA_W + 8 * SIN2_THETA_W**2) / 4
_C2 = SIN2_THETA_W * (2 * SIN2_THETA_W - 1) / 2


@dataclass(frozen=True)
class HeavyNeutralLepton(DecayModel):
    """Heavy neutral lepton N, produced in τ → πN.

    Parameters
    ----------
    majorana : bool
        Whether N is its own antiparticle; all its widths are twice those of a Dirac one.
    """

    majorana: bool = True

    name: ClassVar[str] = "heavy_neutral_lepton"
    title: ClassVar[str] = "heavy neutral lepton that mixes with the tau neutrino"
    coupling: ClassVar[str] = "|V_τN|²"
    coupling_name: ClassVar[str] = "squared mixing of the heavy neutral lepton with the tau neutrino"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 1
    largest: ClassVar[float] = 1.0
    reference: ClassVar[str] = "K. Bondarenko et al., JHEP 11 (2018) 032, 1805.08567"
    final_states: ClassVar[tuple[str, ...]] = (
        "nu_nu_nu",
        "nu_e_e",
        "nu_mu_mu",
        *PSEUDOSCALARS,
        *VECTORS,
    )

    def decay_range(self) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]; the latter is the end of τ → πN."""
        return 1e-3, MASS_TAU - MASS_PION

    def parent_fraction(self, m: ArrayLike) -> Array:
        """Return B(τ → πN) at |V_τN|² = 1 (1805.08567, eq. 2.19).

        Examples
        --------
        >>> f"{1e-3 * float(HeavyNeutralLepton().parent_fraction(1.0)):.1e}"
        '3.3e-05'
        """
        x2, y2 = (checked_mass(m) / MASS_TAU) ** 2, (MASS_PION / MASS_TAU) ** 2
        open_ = np.sqrt(x2) + MASS_PION / MASS_TAU < 1.0
        x2 = np.where(open_, x2, 0.0)
        shape = np.sqrt(kallen(1.0, x2, y2)) * ((1 - x2) ** 2 - y2 * (1 + x2))
        width = (FERMI_CONSTANT * F_PION * V_UD) ** 2 * MASS_TAU**3 / (16 * math.pi) * shape
        return np.asarray(np.where(open_, width * LIFETIME_TAU / HBAR, 0.0))

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return the partial widths [GeV] by the neutral current at |V_τN|² = 1 (1805.08567, section 3).

        Hadrons are the lightest mesons one by one, which undershoots by multi-meson states above 1 GeV.
        """
        mass = checked_mass(m)
        factor = 2.0 if self.majorana else 1.0
        point = FERMI_CONSTANT**2 * mass**5 / (192 * math.pi**3)
        widths = {
            "nu_nu_nu": point,
            "nu_e_e": point * _fermions(MASS_ELECTRON / mass),
            "nu_mu_mu": point * _fermions(MASS_MUON / mass),
        }
        widths |= {state: _pseudoscalar(mass, *meson) for state, meson in PSEUDOSCALARS.items()}
        widths |= {state: _vector(mass, *meson) for state, meson in VECTORS.items()}
        return {state: np.asarray(factor * width) for state, width in widths.items()}


def _fermions(x: Array) -> Array:
    """Return the phase space of N → ν f f̄, x = m_f/m_N, with C₁ and C₂ (1805.08567, eq. 3.4)."""
    open_ = x < 0.5
    x2 = np.where(open_, x, 0.1) ** 2
    root = np.sqrt(1 - 4 * x2)
    # (1−3x²−(1−x²)√) loses all digits at small x; this is the same by its conjugate.
    log = np.log(x2 * x2 * 4 * x2 / ((1 - 3 * x2 + (1 - x2) * root) * x2 * (1 + root)))
    first = (1 - 14 * x2 - 2 * x2**2 - 12 * x2**3) * root + 12 * x2**2 * (x2**2 - 1) * log
    second = x2 * (2 + 10 * x2 - 12 * x2**2) * root + 6 * x2**2 * (1 - 2 * x2 + 2 * x2**2) * log
    return np.asarray(np.where(open_, _C1 * first + 4 * _C2 * second, 0.0))


def _pseudoscalar(m: Array, meson: float, constant: float) -> Array:
    """Return Γ(N → νP) = G²f²m³/32π (1−x²)² (1805.08567, eq. 3.7)."""
    x2 = np.minimum(meson / m, 1.0) ** 2
    return np.asarray((FERMI_CONSTANT * constant) ** 2 * m**3 / (32 * math.pi) * (1 - x2) ** 2)


def _vector(m: Array, meson: float, constant: float, kappa: float) -> Array:
    """Return Γ(N → νV) = G²κ²g²m³/(32π m_V²) (1+2x²)(1−x²)² (1805.08567, eq. 3.9)."""
    x2 = np.minimum(meson / m, 1.0) ** 2
    strength = (FERMI_CONSTANT * kappa * constant / meson) ** 2
    return np.asarray(strength * m**3 / (32 * math.pi) * (1 + 2 * x2) * (1 - x2) ** 2)
