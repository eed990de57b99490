"""One-loop contributions to the anomalous magnetic moment of the muon.

Source: J. Leveille, Nucl. Phys. B 137, 63 (1978); F. Jegerlehner, A. Nyffeler, 0902.3360.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad

from scanner.constants import MASS_MUON
from scanner.models.base import Array


def _integrate(integrand: Callable[[float, float], float], m: ArrayLike) -> Array:
    ratios = (np.asarray(m, dtype=np.float64) / MASS_MUON) ** 2
    values = [quad(integrand, 0.0, 1.0, args=(r,), epsrel=1e-8, limit=200)[0] for r in ratios.flat]
    return np.array(values).reshape(ratios.shape)


def vector_contribution(m: ArrayLike) -> Array:
    """Δa = 1/4π² ∫ x²(1−x)/(x²+(1−x)m²/m_μ²) dx at unit vector coupling, of the shape of m [GeV]."""
    return np.asarray(_integrate(lambda x, r: x * x * (1 - x) / (x * x + (1 - x) * r), m) / (4 * math.pi**2))


def scalar_contribution(m: ArrayLike) -> Array:
    """Δa = 1/8π² ∫ (1−x)²(1+x)/((1−x)²+x m²/m_μ²) dx at unit scalar coupling, of the shape of m [GeV]."""
    return np.asarray(
        _integrate(lambda x, r: (1 - x) ** 2 * (1 + x) / ((1 - x) ** 2 + x * r), m) / (8 * math.pi**2)
    )
