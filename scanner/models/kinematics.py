"""Two-body kinematics."""

import numpy as np
from numpy.typing import ArrayLike

from scanner.models.base import Array


def kallen(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    """Return λ(a, b, c) = a² + b² + c² − 2(ab + bc + ca)."""
    a, b, c = (np.asarray(v, dtype=np.float64) for v in (a, b, c))
    return np.asarray(a * a + b * b + c * c - 2 * (a * b + b * c + c * a))


def momentum(parent: ArrayLike, one: ArrayLike, other: ArrayLike) -> Array:
    """Return the momentum [GeV] of the two daughters at rest of their parent; 0 where it is closed.

    Parameters
    ----------
    parent, one, other : array_like
        Masses [GeV].
    """
    parent, one, other = (np.asarray(v, dtype=np.float64) for v in (parent, one, other))
    square = np.where(parent > one + other, kallen(parent**2, one**2, other**2), 0.0)
    return np.asarray(np.sqrt(np.clip(square, 0, None)) / (2 * parent))
