"""Pairs of B mesons at the Υ(4S), and their decays B → K X."""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_B, MASS_KAON
from scanner.errors import InputError
from scanner.simulation import kinematics

Array = NDArray[np.float64]

CROSS_SECTION = 1.110e6
"""σ(e⁺e⁻ → Υ(4S)) [fb] (1808.10567, table 10); every Υ(4S) is taken as a pair of B mesons."""
CHARGED, NEUTRAL = 1.0, 1.0
"""B⁺ and B⁻, and B⁰ and B̄⁰, in a pair of B mesons: two mesons, and half of the pairs of either kind."""
ENERGY_SPREAD = 0.005
"""Standard deviation of √s from event to event [GeV]; a default. Analyses know the nominal √s only."""
LEAST_EXCESS = 1e-4
"""√s above the threshold below which no pairs are made [GeV]."""


def mesons(rng: Generator, events: int, sqrt_s: float, mass: float = MASS_B) -> Array:
    """Draw B mesons of Υ(4S) → BB̄, dN/dcosθ ∝ sin²θ; returns (4, N) [GeV] in the centre of mass.

    Raises
    ------
    InputError
        Below the threshold.
    """
    if not sqrt_s / 2 > mass:
        raise InputError(f"√s = {sqrt_s} GeV is below the threshold of two B mesons, {2 * mass:.5g} GeV")
    # The median of three uniform numbers has the density (3/4)(1 − c²) on [−1, 1].
    cosine = np.median(rng.uniform(-1, 1, (3, events)), axis=0)
    axis = kinematics.direction(cosine, rng.uniform(0, 2 * math.pi, events))
    true = sqrt_s + ENERGY_SPREAD * rng.standard_normal(events)
    energy = np.maximum(true, 2 * mass + LEAST_EXCESS) / 2
    p = np.concatenate([energy[None], np.sqrt(energy**2 - mass**2) * axis])
    return kinematics.turn_to_beam(p)


def to_kaon(rng: Generator, events: int, mass: float, sqrt_s: float) -> tuple[Array, Array]:
    """Draw B⁺ → K⁺X; returns the kaon and X of mass `mass` [GeV], (4, N) each, in the laboratory."""
    parent = mesons(rng, events, sqrt_s)
    decay = kinematics.two_body(MASS_B, MASS_KAON, mass, kinematics.isotropic(rng, events))
    kaon, boson = (kinematics.boost_with(k, parent, MASS_B) for k in decay)
    return kinematics.to_laboratory(kaon), kinematics.to_laboratory(boson)


def beam_constrained(candidate: Array, sqrt_s: float) -> tuple[Array, Array]:
    """Return M_bc = √(s/4 − p*²) and ΔE = E* − √s/2 of candidates (4, N) in the laboratory [GeV]."""
    centre = kinematics.to_centre_of_mass(candidate)
    square = sqrt_s**2 / 4 - np.sum(centre[1:] ** 2, axis=0)
    return np.sqrt(np.maximum(square, 0.0)), np.asarray(centre[0] - sqrt_s / 2)
