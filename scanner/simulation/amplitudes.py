"""Spin amplitudes of γ* → μ⁺μ⁻X for the orientation of the event and the decay of X.

Two-component notation, chiral basis: a four-vector a becomes the matrices a·σ and a·σ̄, a spinor the
pair of its left and right half. Arrays have the shape (chirality 2, row 2, column 2, N). The sum over
all spins and polarisations equals `scanner.models.radiation`, which bounds the weights here.
"""

import numpy as np
from numpy.typing import NDArray

from scanner.constants import MASS_MUON

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


def _sigma(p: Array, sign: int) -> Complex:
    """Return p·σ (sign −1) or p·σ̄ (sign +1), shape (2, 2, N)."""
    z, minus = sign * p[3], sign * (p[1] - 1j * p[2])
    return np.stack([np.stack([p[0] + z, minus]), np.stack([minus.conj(), p[0] - z])])


def _root(p: Array, sign: int) -> Complex:
    """Return the square root of p·σ or p·σ̄ of an on-shell muon."""
    result = _sigma(p, sign)
    result[0, 0] += MASS_MUON
    result[1, 1] += MASS_MUON
    return np.asarray(result / np.sqrt(2 * (p[0] + MASS_MUON)))


def _product(a: Complex, b: Complex) -> Complex:
    """Return the matrix product of (2, 2, N) arrays."""
    return np.asarray(a[:, :1] * b[:1] + a[:, 1:] * b[1:])


class _Slash:
    """A four-vector contracted with the gamma matrices, applied from either side."""

    def __init__(self, p: Array) -> None:
        self.sigma, self.sigma_bar = _sigma(p, -1), _sigma(p, +1)

    def after(self, row: Complex) -> Complex:
        """Return row · p̸."""
        return np.stack([_product(row[1], self.sigma_bar), _product(row[0], self.sigma)])

    def before(self, column: Complex) -> Complex:
        """Return p̸ · column."""
        return np.stack([_product(self.sigma, column[1]), _product(self.sigma_bar, column[0])])


def _square(row1: Complex, column1: Complex, row2: Complex, column2: Complex) -> Array:
    """Return the sum over spins of |row1·column1 + row2·column2|²."""
    total = _product(row1[0], column1[0]) + _product(row1[1], column1[1])
    total += _product(row2[0], column2[0]) + _product(row2[1], column2[1])
    return np.asarray(np.sum(total.real**2 + total.imag**2, axis=(0, 1)))


def weight(
    k1: Array, k2: Array, p: Array, photon: list[Array], emission: list[tuple[Array, Array]] | None
) -> Array:
    """Squared amplitude for given polarisations, summed over the muons' spins, shape (N,).

    Parameters
    ----------
    k1, k2, p
        Four-momenta (4, N) of μ⁻, μ⁺ and X in the rest frame of the virtual photon [GeV].
    photon
        Real polarisation vectors (4, N) of the virtual photon, summed over.
    emission
        Real polarisation vectors (4, N) of a vector X, each with its weight (N,) in the sum; None for
        a scalar X.
    """
    q1, q2 = _Slash(k1 + p), _Slash(k2 + p)
    d1, d2 = (_virtuality(k, p) for k in (k1, k2))
    bra = np.stack([_root(k1, +1), _root(k1, -1)])
    ket = np.stack([_root(k2, -1), -_root(k2, +1)])
    currents = [_Slash(e) for e in photon]
    after = [current.before(ket) for current in currents]
    before = [current.after(bra) for current in currents]
    total = np.zeros(k1.shape[1])
    for vertex, size in _vertices(emission):
        row, column = (bra, ket) if vertex is None else (vertex.after(bra), vertex.before(ket))
        row = (q1.after(row) + MASS_MUON * row) / d1
        column = (MASS_MUON * column - q2.before(column)) / d2
        for j in range(len(photon)):
            total += size * _square(row, after[j], before[j], column)
    return total


def _virtuality(k: Array, p: Array) -> Array:
    total = k + p
    return np.asarray(total[0] ** 2 - np.sum(total[1:] ** 2, axis=0) - MASS_MUON**2)


def _vertices(emission: list[tuple[Array, Array]] | None) -> list[tuple[_Slash | None, Array | float]]:
    if emission is None:
        return [(None, 1.0)]
    return [(_Slash(e), w) for e, w in emission]
