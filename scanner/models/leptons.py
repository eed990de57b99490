"""Widths to charged leptons, by the spin of the parent."""

import math

import numpy as np

from scanner.constants import MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.models.base import Array

LEPTONS = {"e_e": MASS_ELECTRON, "mu_mu": MASS_MUON, "tau_tau": MASS_TAU}
"""Pairs of charged leptons and the mass of one [GeV]."""


def vector_width(m: Array, lepton: float) -> Array:
    """Return Γ = m/12π (1+2r)√(1−4r), r = m_l²/m², at unit vector coupling g [GeV]; 0 below threshold."""
    r = (lepton / m) ** 2
    return np.asarray(m / (12 * math.pi) * (1 + 2 * r) * np.sqrt(np.clip(1 - 4 * r, 0, None)))


def scalar_width(m: Array, lepton: float) -> Array:
    """Return Γ = m/8π (1−4r)^{3/2} at unit Yukawa coupling [GeV]; 0 below threshold."""
    r = (lepton / m) ** 2
    return np.asarray(m / (8 * math.pi) * np.clip(1 - 4 * r, 0, None) ** 1.5)


def pseudoscalar_width(m: Array, lepton: float) -> Array:
    """Return Γ = m/8π √(1−4r) at unit coupling i l̄γ₅l [GeV]; 0 below threshold."""
    r = (lepton / m) ** 2
    return np.asarray(m / (8 * math.pi) * np.sqrt(np.clip(1 - 4 * r, 0, None)))
