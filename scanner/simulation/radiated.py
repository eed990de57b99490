"""Events of e⁺e⁻ → γ* → μ⁺μ⁻X, X → μ⁺μ⁻, sampled from the tree-level matrix element.

The Dalitz plane follows `scanner.models.radiation`, the orientation against the beams and the decay of
a vector X the full spin amplitude of `scanner.simulation.amplitudes`, each by acceptance and
rejection. No initial-state radiation and no interference between equal muons.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_MUON
from scanner.models import radiation
from scanner.simulation import kinematics
from scanner.simulation.amplitudes import weight

Array = NDArray[np.float64]

U2 = MASS_MUON**2
MARGIN = 1.05
"""Safety factor on the tabulated maximum of the Dalitz density."""


@dataclass(frozen=True)
class DalitzPoint:
    """A point of the Dalitz plane: D₁ and D₂ [GeV²] and the density in the sampling variables."""

    d1: Array
    d2: Array
    density: Array


def dalitz_point(
    kind: str, mass: Array, sqrt_s: float, z: Array, u: Array, lepton: float = MASS_MUON
) -> DalitzPoint:
    """Map the unit square (z, u) to the Dalitz plane, flat where the propagators peak.

    The coordinate z is the logarithm of D₁+D₂ and u the artanh of their asymmetry, each from 0 to 1
    between its kinematic bounds.
    """
    s, m2, u2 = sqrt_s**2, mass * mass, lepton**2
    low, high = 2 * mass * sqrt_s, s + m2 - 4 * u2
    span = np.log(high / low)
    total = low * np.exp(span * z)
    beta = np.sqrt(np.maximum(1 - 4 * u2 / (s + m2 - total), 0))
    reach = np.arctanh(beta * np.sqrt(np.maximum((total - low) * (total + low), 0)) / total)
    a = np.tanh(reach * (2 * u - 1))
    d1, d2 = total / 2 * (1 + a), total / 2 * (1 - a)
    w = radiation.MATRIX_ELEMENTS[kind](d1, d2, s, m2, u2)
    return DalitzPoint(d1, d2, w * total**2 * (1 - a * a) * reach * span)


@cache
def _maxima(kind: str, sqrt_s: float, lepton: float) -> tuple[Array, Array]:
    """Tabulate the maximum of the Dalitz density against the mass."""
    top = radiation.threshold(sqrt_s, lepton)
    masses = np.concatenate([np.geomspace(1e-3, top / 2, 120), top - np.geomspace(top / 2, 1e-3, 80)[1:]])
    z, u = np.meshgrid(np.linspace(1e-6, 1 - 1e-6, 201), np.linspace(0, 1, 101))
    peaks = [float(dalitz_point(kind, np.array(m), sqrt_s, z, u, lepton).density.max()) for m in masses]
    return np.log(masses), np.log(peaks)


def density_bound(kind: str, mass: Array, sqrt_s: float, lepton: float = MASS_MUON) -> Array:
    """Return an upper bound of the density of `dalitz_point` at each mass [GeV]."""
    nodes, peaks = _maxima(kind, sqrt_s, lepton)
    return np.asarray(MARGIN * np.exp(np.interp(np.log(mass), nodes, peaks)))


def _draw_dalitz(
    rng: Generator, kind: str, mass: Array, sqrt_s: float, lepton: float = MASS_MUON
) -> tuple[Array, Array]:
    """Draw D₁ and D₂ for each mass; rejected entries are drawn again."""
    d = np.empty((2, len(mass)))
    pending = np.arange(len(mass))
    bound = density_bound(kind, mass, sqrt_s, lepton)
    while len(pending):
        z, u, level = rng.random((3, len(pending)))
        point = dalitz_point(kind, mass[pending], sqrt_s, z, u, lepton)
        kept = point.density > level * bound[pending]
        d[:, pending[kept]] = point.d1[kept], point.d2[kept]
        pending = pending[~kept]
    return d[0], d[1]


def _momenta(
    mass: Array, sqrt_s: float, d1: Array, d2: Array, lepton: float = MASS_MUON
) -> tuple[Array, Array, Array]:
    """Return k₁, k₂ and p (4, N) in the centre of mass, X along z and the muons in the xz plane."""
    s, m2 = sqrt_s**2, mass * mass
    e1, e2 = (s - d2) / (2 * sqrt_s), (s - d1) / (2 * sqrt_s)
    ex = (d1 + d2) / (2 * sqrt_s)
    q1, qx = np.sqrt(np.maximum(e1**2 - lepton**2, 0)), np.sqrt(np.maximum(ex**2 - m2, 0))
    along = np.clip((2 * e1 * ex + m2 - d1) / 2, -q1 * qx, q1 * qx) / np.maximum(qx, 1e-300)
    across = np.sqrt(np.maximum(q1**2 - along**2, 0))
    zero = np.zeros_like(e1)
    k1 = np.stack([e1, across, zero, along])
    k2 = np.stack([e2, -across, zero, -along - qx])
    return k1, k2, np.stack([ex, zero, zero, qx])


def _decay_vectors(p: Array, mass: Array, axis: Array) -> list[tuple[Array, Array]]:
    """Return polarisations of X and their weights for a decay into muons along `axis` in its frame.

    The sum over the muons' spins gives δ_ab − β² d_a d_b (β their velocity, d their direction).
    """
    beta2 = np.maximum(1 - 4 * U2 / mass**2, 0)
    one = np.ones_like(mass)
    first, second = kinematics.transverse(axis, np.zeros_like(mass))
    triad = ((axis, 1 - beta2), (first, one), (second, one))
    rest = [(np.concatenate([np.zeros_like(mass)[None], e]), w) for e, w in triad]
    return [(kinematics.boost_with(e, p, mass), w) for e, w in rest]


def _orient(rng: Generator, kind: str, mass: Array, sqrt_s: float, d1: Array, d2: Array) -> Array:
    """Draw the beam direction and, for a vector, the decay direction; returns cosθ, φ, cosθ′, φ′."""
    angles = np.empty((4, len(mass)))
    pending = np.arange(len(mass))
    bound = radiation.MATRIX_ELEMENTS[kind](d1, d2, sqrt_s**2, mass**2, U2)
    k1, k2, p = _momenta(mass, sqrt_s, d1, d2)
    while len(pending):
        n = len(pending)
        trial = rng.uniform(-1, 1, (4, n)) * np.array([[1], [math.pi], [1], [math.pi]])
        triad = kinematics.transverse(kinematics.direction(trial[0], trial[1]), np.zeros(n))
        photon = [np.concatenate([np.zeros((1, n)), e]) for e in triad]
        decay = kinematics.direction(trial[2], trial[3])
        emission = _decay_vectors(p[:, pending], mass[pending], decay) if kind == "vector" else None
        value = weight(k1[:, pending], k2[:, pending], p[:, pending], photon, emission)
        kept = value > rng.random(n) * bound[pending]
        angles[:, pending[kept]] = trial[:, kept]
        pending = pending[~kept]
    return angles


def radiated_events(rng: Generator, kind: str, mass: Array, sqrt_s: float) -> Array:
    """Draw one event for each mass of X.

    Parameters
    ----------
    kind
        "vector" or "scalar".
    mass
        Mass of X [GeV], shape (N,), above 2m_μ and below √s − 2m_μ.
    sqrt_s
        Centre-of-mass energy [GeV].

    Returns
    -------
    Array
        Four-momenta (4 muons, 4, N) [GeV] in the centre of mass: μ⁻, μ⁺ of the radiating pair, then
        μ⁻, μ⁺ of X.
    """
    d1, d2 = _draw_dalitz(rng, kind, mass, sqrt_s)
    angles = _orient(rng, kind, mass, sqrt_s, d1, d2)
    k1, k2, p = _momenta(mass, sqrt_s, d1, d2)
    first, second = kinematics.two_body(
        mass, MASS_MUON, MASS_MUON, kinematics.direction(angles[2], angles[3])
    )
    muons = (k1, k2, kinematics.boost_with(first, p, mass), kinematics.boost_with(second, p, mass))
    axis = kinematics.direction(angles[0], angles[1])
    source = (axis, *kinematics.transverse(axis, rng.uniform(0, 2 * math.pi, len(mass))))
    return np.stack([kinematics.turn(k, source, kinematics.beam_triad()) for k in muons])


def emitted(rng: Generator, kind: str, mass: Array, sqrt_s: float, lepton: float) -> Array:
    """Draw e⁺e⁻ → l⁺l⁻X for each mass of X with leptons of any mass, turned evenly to all directions.

    Returns
    -------
    Array
        Four-momenta (3, 4, N) [GeV] of l⁻, l⁺ and X in the centre of mass.
    """
    d1, d2 = _draw_dalitz(rng, kind, mass, sqrt_s, lepton)
    axis = kinematics.isotropic(rng, len(mass))
    target = (axis, *kinematics.transverse(axis, rng.uniform(0, 2 * math.pi, len(mass))))
    zero, one = np.zeros_like(mass), np.ones_like(mass)
    source = (np.stack([zero, zero, one]), np.stack([one, zero, zero]), np.stack([zero, one, zero]))
    return np.stack([kinematics.turn(k, source, target) for k in _momenta(mass, sqrt_s, d1, d2, lepton)])
