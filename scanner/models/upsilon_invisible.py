"""Υ(1S) → νν̄, the invisible decay that the standard model has."""

import math

from scanner.constants import ALPHA, FERMI_CONSTANT, MASS_UPSILON_1S, SIN2_THETA_W

ELECTRONS = 0.0238
"""Branching fraction of Υ(1S) → e⁺e⁻ (PDG 2024: 2.38 ± 0.11 %)."""


def neutrino_ratio() -> float:
    """Return Γ(Υ(1S) → νν̄)/Γ(e⁺e⁻) = 27G²M⁴/(64π²α²) (−1 + 4/3 sin²θ_W)².

    Source: L. Chang, O. Lebedev, J. Ng, hep-ph/9806487.

    Examples
    --------
    >>> f"{neutrino_ratio() * ELECTRONS:.2e}"
    '9.96e-06'
    """
    strength = 27 * FERMI_CONSTANT**2 * MASS_UPSILON_1S**4 / (64 * math.pi**2 * ALPHA**2)
    return strength * (-1 + 4 / 3 * SIN2_THETA_W) ** 2
