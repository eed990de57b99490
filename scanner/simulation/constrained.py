"""Least-squares fit of measured momenta to the known energy and mass of their parent.

The measurements (momentum, θ, φ) of each particle move by as little as possible in units of their
errors until the sum has the stated energy in the centre of mass and the stated mass (P. Avery, CBX
91-72; Gauss-Newton with the constraints linearised anew in each step).
"""

import numpy as np
from numpy.typing import NDArray

from scanner.simulation import detector, kinematics
from scanner.simulation.detector import Spectrometer

Array = NDArray[np.float64]

STEPS = 4


def errors(p: Array, mass: float, detectors: Spectrometer) -> Array:
    """Return the errors of (momentum [GeV], θ, φ [rad]) of tracks of this mass, or photons for 0, (3, N)."""
    size, theta = kinematics.momentum(p), kinematics.polar_angle(p)
    if mass == 0.0:
        angle = detectors.calorimeter.direction_error(size)
        resolution = detector.energy_resolution(size, detectors.calorimeter)
        return np.stack([resolution, angle, angle / np.sin(theta)])
    tracking = detectors.tracking
    beta, transverse = size / p[0], np.hypot(p[1], p[2])
    relative = np.hypot(tracking.curvature * transverse, tracking.scattering / beta)
    direction = np.full_like(size, tracking.angle)
    return np.stack([size * relative, direction, direction])


def fit(
    measured: Array,
    masses: tuple[float, ...],
    energy: float,
    parent_mass: float,
    detectors: Spectrometer = detector.BELLE_II,
) -> Array:
    """Return fitted momenta.

    Parameters
    ----------
    measured
        Four-momenta (P particles, 4, N) in the laboratory [GeV].
    masses
        Mass of each particle [GeV].
    energy
        Energy of the sum in the centre of mass [GeV].
    parent_mass
        Mass of the sum [GeV].
    detectors
        Whose resolutions are the errors.
    """
    start = np.concatenate([_angles(p) for p in measured])
    variance = np.concatenate([errors(p, m, detectors) for p, m in zip(measured, masses, strict=True)]) ** 2
    y = start
    for _ in range(STEPS):
        value, slope = _constraints(y, masses, energy, parent_mass)
        value = value + np.einsum("cin,in->cn", slope, start - y)
        weighted = slope * variance
        matrix = np.einsum("cin,din->cdn", weighted, slope)
        y = start - np.einsum("cin,cn->in", weighted, _solve(matrix, value))
    return np.stack([_vector(y[3 * i : 3 * i + 3], m) for i, m in enumerate(masses)])


def _angles(p: Array) -> Array:
    return np.stack([kinematics.momentum(p), kinematics.polar_angle(p), np.arctan2(p[2], p[1])])


def _vector(y: Array, mass: float) -> Array:
    size, theta, phi = y
    axis = kinematics.direction(np.cos(theta), phi)
    return np.concatenate([np.sqrt(size**2 + mass * mass)[None], size * axis])


def _solve(matrix: Array, value: Array) -> Array:
    """Solve the 2 × 2 systems (2, 2, N) x = (2, N)."""
    (a, b), (_, d) = matrix
    determinant = a * d - b * b
    return np.asarray(np.stack([d * value[0] - b * value[1], a * value[1] - b * value[0]]) / determinant)


def _constraints(
    y: Array, masses: tuple[float, ...], energy: float, parent_mass: float
) -> tuple[Array, Array]:
    """Return the violation of energy [GeV] and squared mass [GeV²] (2, N), and their slopes (2, 3P, N)."""
    particles = [_vector(y[3 * i : 3 * i + 3], m) for i, m in enumerate(masses)]
    total = np.sum(particles, axis=0)
    frame = kinematics.to_laboratory(np.array([[1.0], [0.0], [0.0], [0.0]]))
    value = np.stack(
        [
            kinematics.minkowski(frame, total) - energy,
            kinematics.minkowski(total, total) - parent_mass**2,
        ]
    )
    slopes = [
        [kinematics.minkowski(frame, change), 2 * kinematics.minkowski(total, change)]
        for i, p in enumerate(particles)
        for change in _derivatives(y[3 * i : 3 * i + 3], p)
    ]
    return value, np.array(slopes).transpose(1, 0, 2)


def _derivatives(y: Array, p: Array) -> tuple[Array, Array, Array]:
    """Return the derivatives (4, N) of a four-momentum by momentum, θ and φ."""
    size, theta, phi = y
    nothing = np.zeros_like(size)
    axis = kinematics.direction(np.cos(theta), phi)
    along_theta = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)])
    by_size = np.concatenate([(size / p[0])[None], axis])
    by_theta = np.concatenate([nothing[None], size * along_theta])
    return by_size, by_theta, np.stack([nothing, -p[2], p[1], nothing])
