"""Decays b → s with a light boson: B⁺ → K⁺X and B⁰ → K*⁰X, with their form factors."""

import math
from dataclasses import dataclass

import numpy as np

from scanner.constants import (
    FERMI_CONSTANT,
    HBAR,
    LIFETIME_B,
    LIFETIME_B0,
    MASS_B,
    MASS_B0,
    MASS_BOTTOM_QUARK,
    MASS_KAON,
    MASS_KSTAR0,
    MASS_STRANGE_QUARK,
    MASS_TOP,
    MASS_W,
    V_TB,
    V_TS,
    VACUUM_EXPECTATION,
)
from scanner.errors import InputError
from scanner.models.base import Array
from scanner.models.kinematics import momentum

LOOP = 3 * math.sqrt(2) * FERMI_CONSTANT * V_TS * V_TB / (16 * math.pi**2)
"""Common factor of the one-loop b → s amplitudes [GeV⁻²]."""


@dataclass(frozen=True)
class Parent:
    """A B meson and the kaon of its decay: masses [GeV], lifetime [s], and the spin of the kaon."""

    mass: float
    kaon: float
    lifetime: float
    spin: int

    def squared_element(self, m: Array) -> Array:
        """Return |⟨K|s̄b|B⟩|² [GeV²] for a boson of mass m; of a K*, summed over its spins."""
        if self.spin == 0:
            factor = (self.mass**2 - self.kaon**2) / (MASS_BOTTOM_QUARK - MASS_STRANGE_QUARK)
            return np.asarray((factor * f0(m**2)) ** 2)
        p = momentum(self.mass, self.kaon, m)
        return np.asarray((2 * self.mass * p * a0(m**2) / (MASS_BOTTOM_QUARK + MASS_STRANGE_QUARK)) ** 2)

    def fraction(self, m: Array, amplitude2: float) -> Array:
        """Return τ_B |amplitude|² |⟨K|s̄b|B⟩/2|² p/(8π m_B²)."""
        p = momentum(self.mass, self.kaon, m)
        width = amplitude2 * self.squared_element(m) / 4 * p / (8 * math.pi * self.mass**2)
        return np.asarray(self.lifetime / HBAR * width)


class Parents(dict[str, Parent]):
    """Decays by name."""

    def check(self, name: str) -> None:
        """Raise InputError for an unknown decay."""
        if name not in self:
            raise InputError(f"unknown decay {name!r}; there are {', '.join(self)}")

    def end(self, name: str) -> float:
        """Return the largest mass of the boson [GeV]."""
        return self[name].mass - self[name].kaon


PARENTS = Parents(
    {
        "B+ -> K+": Parent(MASS_B, MASS_KAON, LIFETIME_B, 0),
        "B0 -> K*0": Parent(MASS_B0, MASS_KSTAR0, LIFETIME_B0, 1),
    }
)
"""The decays that searches use."""


def f0(q2: Array) -> Array:
    """Return the scalar form factor of B → K (P. Ball, R. Zwicky, hep-ph/0406232)."""
    return np.asarray(0.330 / (1 - np.minimum(q2, MASS_B**2) / 37.46))


def a0(q2: Array) -> Array:
    """Return the form factor A₀ of B → K* (P. Ball, R. Zwicky, hep-ph/0412079)."""
    q2 = np.minimum(q2, (MASS_B0 - MASS_KSTAR0) ** 2)
    return np.asarray(1.364 / (1 - q2 / MASS_B0**2) - 0.990 / (1 - q2 / 36.78))


def scalar_fraction(parent: str, m: Array) -> Array:
    """Return B(B → K⁽*⁾S) at sin θ = 1, by the top loop (1809.01876, eqs. 6–8).

    Zero above the end of the decay.
    """
    amplitude = LOOP * MASS_TOP**2 * MASS_BOTTOM_QUARK / VACUUM_EXPECTATION
    return PARENTS[parent].fraction(m, amplitude**2)


def pseudoscalar_fraction(parent: str, m: Array) -> Array:
    """Return B(B → K⁽*⁾a) at a coupling g_aW of 1 GeV⁻¹, by the W loop (1611.09355, eqs. 5–8).

    The quark current gives (m_b ∓ m_s) of the scalar density, which cancels in the matrix element.
    """
    x = (MASS_TOP / MASS_W) ** 2
    loop = x * (1 + x * (math.log(x) - 1)) / (1 - x) ** 2
    coupling = LOOP * MASS_W**2 * loop
    found = PARENTS[parent]
    sign = 1 if found.spin else -1
    masses = MASS_BOTTOM_QUARK + sign * MASS_STRANGE_QUARK
    return found.fraction(m, (coupling * masses) ** 2)
