"""Particles that fly before they decay: where they decay, and what the detector finds of it.

Lengths are in cm. The efficiency of displaced tracks is a default in the manner of Belle II, not a
measurement.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.simulation import detector, kinematics
from scanner.simulation.base import Parameters

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

CALORIMETER_RADIUS, CALORIMETER_ENDS = 125.0, (-102.0, 196.0)
"""Inner radius of the barrel, and z of the endcaps (Belle II, Technical Design Report, 1011.0352)."""
TRACKED_RADII = (0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 80.0)
TRACKED_SHARE = (1.0, 0.98, 0.85, 0.65, 0.40, 0.10, 0.0)
"""Efficiency of a track from a decay at these radii, relative to a prompt one; a default."""


def lifetime_range(process: str, parameters: Parameters, default: float) -> tuple[float, float]:
    """Return the least and the largest mean proper decay length [cm], `ctau_least` and `ctau`.

    Raises
    ------
    InputError
        If they are negative or reversed, or the least is given and not above 0.
    """
    ctau = float(parameters.get("ctau", default))
    least = float(parameters.get("ctau_least", ctau))
    if ctau < 0:
        raise InputError(f"process {process}: ctau = {ctau} cm must not be negative")
    if "ctau_least" in parameters and not 0 < least <= ctau:
        raise InputError(f"process {process}: ctau_least = {least} cm is not between 0 and ctau = {ctau} cm")
    return least, ctau


def lifetimes(rng: Generator, events: int, least: float, most: float) -> Array:
    """Draw mean proper decay lengths (N,) evenly in the logarithm; no random numbers for a single one."""
    if least == most:
        return np.full(events, most)
    return np.asarray(least * (most / least) ** rng.random(events))


def vertices(p: Array, mass: float, ctau: float | Array, rng: Generator) -> tuple[Array, Array]:
    """Draw where particles from the origin decay.

    Parameters
    ----------
    p
        Four-momenta (4, N) in the laboratory [GeV].
    ctau
        Mean proper decay length [cm], (N,) or one for all; 0 is a prompt decay.

    Returns
    -------
    proper, vertex
        Proper decay lengths (N,) and positions (3, N) in the laboratory.
    """
    proper = np.asarray(ctau * rng.exponential(size=p.shape[1]))
    return proper, np.asarray(p[1:] / mass * proper)


def radius(vertex: Array) -> Array:
    """Return the distances from the z axis."""
    return np.asarray(np.hypot(vertex[0], vertex[1]))


def displaced_tracks_found(p: Array, vertex: Array, rng: Generator) -> Flags:
    """Return which charged particles (4, N) from vertices (3, N) are reconstructed."""
    share = np.interp(radius(vertex), TRACKED_RADII, TRACKED_SHARE)
    return np.asarray(detector.tracks_found(p, rng) & (rng.random(p.shape[1]) < share))


def calorimeter_entry(vertex: Array, flight: Array) -> Array:
    """Return where straight lines from vertices (3, N) along `flight` (3, N) reach the crystals.

    NaN for vertices that are not inside of the calorimeter.
    """
    a = flight[0] ** 2 + flight[1] ** 2
    b = vertex[0] * flight[0] + vertex[1] * flight[1]
    c = vertex[0] ** 2 + vertex[1] ** 2 - CALORIMETER_RADIUS**2
    back, front = CALORIMETER_ENDS
    inside = (c < 0) & (vertex[2] > back) & (vertex[2] < front)
    with np.errstate(divide="ignore", invalid="ignore"):
        barrel = (np.sqrt(b * b - a * c) - b) / a
        end = (np.where(flight[2] > 0, front, back) - vertex[2]) / flight[2]
    return np.where(inside, vertex + flight * np.fmin(barrel, end), np.nan)


def seen_from_origin(p: Array, vertex: Array) -> Array:
    """Return photons (4, N) from vertices (3, N) as they seem to come from the origin.

    The energy stays, the direction is that of the place where the photon enters the calorimeter; NaN
    where it is produced beyond.
    """
    entry = calorimeter_entry(vertex, p[1:] / p[0])
    return np.concatenate([p[:1], p[0] * entry / np.sqrt(np.sum(entry**2, axis=0))])


def displacement_angle(p: Array, vertex: Array) -> Array:
    """Return the angles [rad] between momenta (4, N) and the lines from the origin to vertices (3, N)."""
    dot = np.sum(p[1:] * vertex, axis=0)
    length = kinematics.momentum(p) * np.sqrt(np.sum(vertex**2, axis=0))
    return np.asarray(np.arccos(np.clip(dot / np.maximum(length, 1e-30), -1.0, 1.0)))
