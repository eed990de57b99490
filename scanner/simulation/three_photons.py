"""Phase space and matrix element of e⁺e⁻ → γγγ, sampled within the detector's reach.

Spin-averaged matrix element, exact at tree level for massless electrons (F. Berends, R. Kleiss, Nucl.
Phys. B 186, 22 (1981); the tests compute the traces anew): with K_i = p·k_i and K′_i = p′·k_i,

    |M|² = e⁶ s Σ_i K_i K′_i (K_i² + K′_i²) / Π_i K_i K′_i.

Energies are in units of the beam energy, x = 2E/√s, so that one table serves every √s.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import E_CHARGE, HBARC2
from scanner.simulation import kinematics
from scanner.simulation.sampling import accept_reject

Array = NDArray[np.float64]

LOWEST_X = 0.08
"""Least photon energy in the centre of mass over the beam energy: 0.42 GeV at 10.58 GeV."""
POLAR = (12.0, 155.5)
"""Polar angles in the laboratory [degree] in which all photons are produced, just beyond the crystals."""
RAPIDITY = math.atanh(math.cos(math.radians(13.0)))
"""Bound of artanh(cosθ) in the centre of mass; contains POLAR."""
SIGMA_S = 1.24690e7
"""σ s within these cuts [fb GeV²], from `integrate` with 2·10⁷ points; statistical error 0.02%."""
HIGHEST = 6.3e7
"""Bound of the weight of `trial`, 5% above the largest of 2·10⁷ weights."""
EFFICIENCY = 0.2


def matrix_element(k: Array, axis: Array, sqrt_s: float) -> Array:
    """Return the spin-averaged |M|² [GeV⁻²] of photons k (3 photons, 4, N) in the centre of mass.

    Parameters
    ----------
    axis
        Direction of the electron, shape (3,).
    """
    half = sqrt_s / 2
    along = axis[0] * k[:, 1] + axis[1] * k[:, 2] + axis[2] * k[:, 3]
    near, far = half * (k[:, 0] - along), half * (k[:, 0] + along)
    product = near * far
    total = np.sum(product * (near**2 + far**2), axis=0)
    return np.asarray(E_CHARGE**6 * sqrt_s**2 * total / np.prod(product, axis=0))


@dataclass(frozen=True)
class Trial:
    """Proposed photons in units of the beam energy, and the weight: σ s as its mean [fb GeV²]."""

    photons: Array
    weight: Array


def trial(uniform: Array) -> Trial:
    """Map the unit cube (5, n) to events whose third photon is the softest.

    ln x₃, the rapidities of photons 3 and 1 and their azimuths are uniform; photon 2 balances. The
    phase space is d³k₃/(2π)³2E₃ × E₁² dΩ₁/(8π² M₁₂²).
    """
    span = math.log(2 / 3 / LOWEST_X)
    x3 = LOWEST_X * np.exp(span * uniform[0])
    c3, c1 = np.tanh(RAPIDITY * (2 * uniform[1] - 1)), np.tanh(RAPIDITY * (2 * uniform[2] - 1))
    d3 = kinematics.direction(c3, 2 * math.pi * uniform[3])
    d1 = kinematics.direction(c1, 2 * math.pi * uniform[4])
    pair2 = 4 * (1 - x3)
    x1 = pair2 / (2 * (2 - x3 + x3 * np.sum(d1 * d3, axis=0)))
    k1, k3 = (np.concatenate([x[None], x * d]) for x, d in ((x1, d1), (x3, d3)))
    k2 = np.concatenate([(2 - x1 - x3)[None], -k1[1:] - k3[1:]])
    photons = kinematics.turn_to_beam(np.stack([k1, k2, k3]))
    inside = (k2[0] > x3) & (x1 > x3) & _in_reach(photons)
    # In units of the beam energy √s is 2; |M|² scales as 1/E², the phase space as E².
    element = matrix_element(photons, kinematics.BEAM_AXIS, 2.0)
    measure = x3**2 * span * (1 - c3**2) * (2 * RAPIDITY) * 2 * math.pi / (2 * (2 * math.pi) ** 3)
    # Photons 1 and 2 share the names: half of the proposals come from the rapidity of either.
    along2 = photons[1, 1:].T @ kinematics.BEAM_AXIS
    jacobian = 2 / (1 / (x1**2 * (1 - c1**2)) + 1 / (k2[0] ** 2 - along2**2))
    measure *= jacobian / (8 * math.pi**2 * pair2) * (2 * RAPIDITY) * 2 * math.pi
    # σ = 1/2s × 1/2 (exchange of the two harder photons) × ∫; s σ here has s = 4.
    return Trial(photons, np.where(inside, HBARC2 / 4 * element * measure, 0.0))


def _in_reach(photons: Array) -> NDArray[np.bool_]:
    inside = np.ones(photons.shape[2], dtype=np.bool_)
    for k in photons:
        theta = np.degrees(kinematics.polar_angle(kinematics.to_laboratory(k)))
        inside &= (theta > POLAR[0]) & (theta < POLAR[1])
    return inside


def integrate(rng: Generator, points: int) -> tuple[float, float, float]:
    """Return σ s [fb GeV²] within the cuts of this module, its error, and the largest weight."""
    total = square = highest = 0.0
    for start in range(0, points, 100_000):
        w = trial(rng.random((5, min(100_000, points - start)))).weight
        total, square = total + float(w.sum()), square + float(np.sum(w * w))
        highest = max(highest, float(w.max()))
    mean = total / points
    return mean, math.sqrt((square / points - mean * mean) / points), highest


def cross_section(sqrt_s: float) -> float:
    """Return σ(e⁺e⁻ → γγγ) [fb] with all photons in POLAR and above LOWEST_X."""
    return SIGMA_S / sqrt_s**2


def three_photon_events(rng: Generator, events: int, sqrt_s: float) -> Array:
    """Draw events; returns four-momenta (3 photons, 4, N) [GeV] in the centre of mass, softest last."""

    def propose(n: int) -> tuple[Array, Array]:
        drawn = trial(rng.random((5, n)))
        return drawn.photons.reshape(12, n), drawn.weight - HIGHEST * rng.random(n)

    drawn = accept_reject(propose, events, efficiency=EFFICIENCY, width=12)
    return drawn.reshape(3, 4, events) * (sqrt_s / 2)
