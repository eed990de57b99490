"""Four-vectors as arrays (4, N) of E, x, y, z [GeV], and the frames of the B factory.

The centre of mass moves in the laboratory with the velocity that beams of 7.004 and 4.002 GeV with a
crossing of 83 mrad give it; the z axis halves the angle between the beams. Another √s is taken as
other beam energies in the same ratio, so the velocity stays.
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

ENERGY_ELECTRON, ENERGY_POSITRON, CROSSING = 7.004, 4.002, 0.083
"""Beam energies [GeV] and full crossing angle [rad]."""


def minkowski(a: Array, b: Array) -> Array:
    """Return the products a·b, shape (N,)."""
    return np.asarray(a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3])


def mass(p: Array) -> Array:
    """Return the invariant masses; rounding below zero is cut off."""
    return np.asarray(np.sqrt(np.maximum(minkowski(p, p), 0.0)))


def momentum(p: Array) -> Array:
    """Return the magnitudes of the three-momenta."""
    return np.asarray(np.sqrt(p[1] ** 2 + p[2] ** 2 + p[3] ** 2))


def polar_angle(p: Array) -> Array:
    """Return the polar angles against the z axis [rad]."""
    return np.asarray(np.arctan2(np.hypot(p[1], p[2]), p[3]))


def boost(p: Array, velocity: Array) -> Array:
    """Boost p (4, N) from a frame that moves with `velocity`, shape (3,) or (3, N), in units of c."""
    v = velocity[:, None] if velocity.ndim == 1 else velocity
    v2 = np.sum(v * v, axis=0)
    gamma = 1 / np.sqrt(1 - v2)
    along = v[0] * p[1] + v[1] * p[2] + v[2] * p[3]
    factor = gamma * p[0] + gamma**2 / (gamma + 1) * along
    result = np.empty_like(p)
    result[0] = gamma * (p[0] + along)
    result[1:] = p[1:] + v * factor
    return result


def boost_with(p: Array, parent: Array, parent_mass: Array | float) -> Array:
    """Boost p (4, N) from the rest frame of `parent` (4, N) of known mass.

    The mass is asked for because E² − p² loses digits for a fast light parent.
    """
    along = parent[1] * p[1] + parent[2] * p[2] + parent[3] * p[3]
    result = np.empty_like(p)
    result[0] = (parent[0] * p[0] + along) / parent_mass
    result[1:] = p[1:] + parent[1:] * ((p[0] + result[0]) / (parent[0] + parent_mass))
    return result


def two_body_momentum(total: Array | float, m1: Array | float, m2: Array | float) -> Array:
    """Return the momentum of the decay of mass `total` into m1 and m2 in its rest frame [GeV]."""
    t, a, b = np.asarray(total), np.asarray(m1), np.asarray(m2)
    square = (t - a - b) * (t + a + b) * (t - a + b) * (t + a - b)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)) / (2 * t))


def two_body(
    total: Array | float, m1: Array | float, m2: Array | float, direction: Array
) -> tuple[Array, Array]:
    """Return the decay products in the rest frame, the first one along `direction` (3, N)."""
    p = two_body_momentum(total, m1, m2) * direction
    square = np.sum(p * p, axis=0)
    first = np.concatenate([np.sqrt(square + m1 * m1)[None], p])
    second = np.concatenate([np.sqrt(square + m2 * m2)[None], -p])
    return first, second


def direction(cos_theta: Array, phi: Array) -> Array:
    """Return unit vectors (3, N)."""
    sin_theta = np.sqrt(np.maximum(1 - cos_theta**2, 0.0))
    return np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta])


def isotropic(rng: Generator, events: int) -> Array:
    """Return isotropic unit vectors (3, N)."""
    return direction(rng.uniform(-1, 1, events), rng.uniform(0, 2 * math.pi, events))


def transverse(axis: Array, roll: Array) -> tuple[Array, Array]:
    """Return two unit vectors (3, N) that make a right-handed triad with `axis`, turned by `roll`."""
    flat = np.hypot(axis[0], axis[1])
    safe = np.where(flat > 0, flat, 1.0)
    c = np.where(flat > 0, axis[0] / safe, 1.0)
    s = np.where(flat > 0, axis[1] / safe, 0.0)
    theta = np.stack([axis[2] * c, axis[2] * s, -flat])
    phi = np.stack([-s, c, np.zeros_like(s)])
    cr, sr = np.cos(roll), np.sin(roll)
    return cr * theta + sr * phi, cr * phi - sr * theta


def turn(p: Array, source: tuple[Array, Array, Array], target: tuple[Array, Array, Array]) -> Array:
    """Rotate p (4, N) so that each vector of the triad `source` goes to its partner in `target`."""
    result = np.zeros_like(p)
    result[0] = p[0]
    for old, new in zip(source, target, strict=True):
        result[1:] += new * np.sum(p[1:] * old, axis=0)
    return result


def _beams() -> tuple[Array, Array]:
    """Return velocity of the centre of mass in the laboratory and direction of the electron in it."""
    half = CROSSING / 2
    electron = ENERGY_ELECTRON * np.array([1, math.sin(half), 0, math.cos(half)])
    positron = ENERGY_POSITRON * np.array([1, math.sin(half), 0, -math.cos(half)])
    total = electron + positron
    velocity = total[1:] / total[0]
    inside = boost(electron[:, None], -velocity)[1:, 0]
    return np.asarray(velocity), np.asarray(inside / np.sqrt(inside @ inside))


VELOCITY, BEAM_AXIS = _beams()
"""Velocity of the centre of mass in the laboratory; direction of the electron in the centre of mass."""


def beam_triad() -> tuple[Array, Array, Array]:
    """Return the beam axis and two transverse directions, each (3, 1), in the centre of mass."""
    axis = BEAM_AXIS[:, None]
    return (axis, *transverse(axis, np.zeros(1)))


def turn_to_beam(p: Array) -> Array:
    """Rotate momenta (..., 4, N) whose z axis is the electron's direction into the centre of mass."""
    first, second = transverse(BEAM_AXIS[:, None], np.zeros(1))
    result = np.empty_like(p)
    result[..., 0, :] = p[..., 0, :]
    for i in range(3):
        parts = first[i] * p[..., 1, :] + second[i] * p[..., 2, :] + BEAM_AXIS[i] * p[..., 3, :]
        result[..., i + 1, :] = parts
    return result


def turn_from_beam(p: Array) -> Array:
    """Undo `turn_to_beam` for momenta (4, N)."""
    first, second = transverse(BEAM_AXIS[:, None], np.zeros(1))
    axes = (first[:, 0], second[:, 0], BEAM_AXIS)
    return np.stack([p[0], *(axis @ p[1:] for axis in axes)])


def to_laboratory(p: Array) -> Array:
    """Boost p (4, N) from the centre of mass to the laboratory."""
    return boost(p, VELOCITY)


def to_centre_of_mass(p: Array) -> Array:
    """Boost p (4, N) from the laboratory to the centre of mass."""
    return boost(p, -VELOCITY)
