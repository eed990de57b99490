"""The look-elsewhere effect over a plane: the Euler characteristic (Vitells, Gross, arXiv:1105.4355).

Above a high level u the set A_u where the significance exceeds √u is empty or one spot, so that its mean
Euler characteristic is the probability of a spot. For Gaussian fluctuations over a region M of the plane

    E[φ(A_u)] = φ(M) ½ P(χ²₁ > u) + e^{−u/2} (N₁ + √u N₂)

with two constants, which toys at two low levels determine (eqs. 11 and 14; ½ since only an excess counts).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from scanner.errors import InputError
from scanner.stats.look_elsewhere import GlobalP

Floats = NDArray[np.float64]

LEVELS = (0.5, 2.0)
"""Levels of z² at which toys are looked at."""


def euler_characteristic(inside: ArrayLike) -> NDArray[np.int64]:
    """Return the Euler characteristic of sets of points of a grid: vertices − edges + faces.

    Points are vertices, neighbours along a row or a column share an edge, four around a square a face: the
    number of connected pieces minus that of holes.

    Parameters
    ----------
    inside : (..., Y, X) bool
        Points of the set.

    Examples
    --------
    >>> int(euler_characteristic([[1, 1, 1], [1, 0, 1], [1, 1, 1]]))
    0
    """
    points = np.asarray(inside, dtype=np.bool_)
    down, right = points[..., 1:, :] & points[..., :-1, :], points[..., :, 1:] & points[..., :, :-1]
    faces = right[..., 1:, :] & right[..., :-1, :]
    vertices, edges, squares = (part.sum(axis=(-2, -1), dtype=np.int64) for part in (points, down, faces))
    across = right.sum(axis=(-2, -1), dtype=np.int64)
    number: NDArray[np.int64] = vertices - edges - across + squares
    return number


@dataclass(frozen=True)
class EulerModel:
    """The mean Euler characteristic of excursion sets as a function of the level.

    Attributes
    ----------
    region : int
        Euler characteristic of the region itself: 1, less 1 for each hole.
    n1, n2 : float
        The constants N₁ and N₂.
    covariance : (2, 2) float
        Their covariance, from the spread of the toys.
    """

    region: int
    n1: float
    n2: float
    covariance: Floats

    def mean(self, level: float) -> float:
        """Return E[φ(A_u)]."""
        return self.region * float(ndtr(-math.sqrt(level))) + float(_terms(level) @ (self.n1, self.n2))

    def error(self, level: float) -> float:
        """Return the error of the mean that the toys leave."""
        terms = _terms(level)
        return math.sqrt(float(terms @ self.covariance @ terms))

    def p_global(self, z: float) -> GlobalP:
        """Return the global p-value of a local significance z, which must be well above 2."""
        mean, error = self.mean(z * z), self.error(z * z)
        return GlobalP(*(min(1.0, max(0.0, p)) for p in (mean, mean - error, mean + error)))


def fit_euler(
    z: Floats, *, looked_at: NDArray[np.bool_] | None = None, levels: tuple[float, float] = LEVELS
) -> EulerModel:
    """Determine N₁ and N₂ from significance maps of toys.

    Parameters
    ----------
    z : (N, Y, X) float
        Maps of N ≥ 2 toys; z below 0 or a deficit lies below every level.
    looked_at : (Y, X) bool, optional
        The region, without what the search leaves out. Default all.
    levels : two floats
        Different levels of z², above 0.

    Raises
    ------
    InputError
        With fewer than two toys, or levels that are equal or not above 0.
    """
    low, high = levels
    if len(z) < 2 or low == high or min(levels) <= 0.0:
        raise InputError(
            f"{len(z)} toys at levels {low:g} and {high:g}: give two toys or more, and two levels above 0"
        )
    region = np.ones(z.shape[1:], dtype=np.bool_) if looked_at is None else looked_at
    hole_free = int(euler_characteristic(region))
    numbers = np.stack([euler_characteristic((z >= math.sqrt(u)) & region) for u in levels])
    start = np.array([hole_free * ndtr(-math.sqrt(u)) for u in levels])
    solve = np.linalg.inv(np.stack([_terms(u) for u in levels]))
    n1, n2 = solve @ (numbers.mean(axis=1) - start)
    covariance = solve @ (np.cov(numbers) / numbers.shape[1]) @ solve.T
    return EulerModel(hole_free, float(n1), float(n2), covariance)


def _terms(level: float) -> Floats:
    fall = math.exp(-0.5 * level)
    return np.array([fall, math.sqrt(level) * fall])
