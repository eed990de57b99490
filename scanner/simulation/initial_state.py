"""Initial-state radiation along the beams, to all orders in the leading logarithm.

Each beam keeps the fraction x of its energy with the exponentiated electron structure function

    D(x) = (β/2) (1 + 3β/8) z^{β/2 − 1} − (β/4)(2 − z),   z = 1 − x,   β = (2α/π)(ln(s/m_e²) − 1),

of E. Kuraev, V. Fadin, Sov. J. Nucl. Phys. 41, 466 (1985), see O. Nicrosini, L. Trentadue, Phys. Lett.
B 196, 551 (1987). The photons go exactly along the beams: what they carry is lost.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import ALPHA, MASS_ELECTRON, MASS_MUON, MASS_TAU

Array = NDArray[np.float64]

SOFT_SHARE, HARDEST = 0.7, 0.01
"""Share of proposals of a leg that follow the soft peak; scale of 1/x for the others."""
VIRTUAL = 1 + ALPHA / math.pi * (math.pi**2 / 3 - 0.5)
"""Correction of a cross section by virtual and soft photons that the structure functions leave."""


def exponent(sqrt_s: float) -> float:
    """Return (2α/π)(ln(s/m_e²) − 1), the exponent of soft radiation from both beams."""
    return 2 * ALPHA / math.pi * (math.log(sqrt_s**2 / MASS_ELECTRON**2) - 1)


def structure_function(z: Array, sqrt_s: float) -> Array:
    """Return D at the lost fractions z of a beam's energy."""
    half = exponent(sqrt_s) / 2
    return np.asarray(half * (1 + 0.75 * half) * z ** (half - 1) - half / 2 * (2 - z))


@dataclass(frozen=True)
class Legs:
    """Energy fractions x (2, N) that the beams keep, and the weight of the draw (N,)."""

    x: Array
    weight: Array


def legs(uniform: Array, sqrt_s: float) -> Legs:
    """Map points (4, N) of the unit cube to the radiation of both beams; the weight's mean is ∫DD = 1."""
    half = exponent(sqrt_s) / 2
    x, weight = np.empty((2, uniform.shape[1])), np.full(uniform.shape[1], VIRTUAL)
    for leg in range(2):
        choice, u = uniform[2 * leg], uniform[2 * leg + 1]
        span = math.log((1 + HARDEST) / HARDEST)
        soft = np.maximum(u, 1e-12) ** (1 / half)
        hard = np.clip(1 + HARDEST - HARDEST * np.exp(span * u), 1e-15, 1.0)
        z = np.maximum(np.where(choice < SOFT_SHARE, soft, hard), 1e-280)
        density = SOFT_SHARE * half * z ** (half - 1) + (1 - SOFT_SHARE) / ((1 - z + HARDEST) * span)
        weight *= np.maximum(structure_function(z, sqrt_s), 0) / density
        x[leg] = 1 - z
    return Legs(x, weight)


def vacuum_polarisation(s: Array) -> Array:
    """Return |1/(1 − Δα)|² at s [GeV²]: leptons at leading order, hadrons by a logarithm.

    The hadronic part is 0.00165 + 0.0030 ln(1 + s), in the manner of H. Burkhardt, B. Pietrzyk, Phys.
    Lett. B 356, 398 (1995); resonances are left out.
    """
    shift = 0.00165 + 0.0030 * np.log1p(s)
    for mass in (MASS_ELECTRON, MASS_MUON, MASS_TAU):
        shift = shift + ALPHA / (3 * math.pi) * np.maximum(np.log(s / mass**2) - 5 / 3, 0)
    return np.asarray(1 / (1 - shift) ** 2)


def boost_along_beam(p: Array, x: Array) -> Array:
    """Boost p (4, N) with z along the electron from the frame of the beams' remains to the centre of mass."""
    ratio = np.sqrt(x[0] / x[1])
    plus, minus = (p[0] + p[3]) * ratio, (p[0] - p[3]) / ratio
    return np.stack([(plus + minus) / 2, p[1], p[2], (plus - minus) / 2])
