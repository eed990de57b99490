"""Totals of e⁺e⁻ → γγ(γ) and e⁺e⁻(γ) from the generator's parts, against those of full generators.

The numbers are those of The Belle II Physics Book (1808.10567, table 10): 4.99 nb of γγ(γ) with both photons
from 10° to 170° in the centre of mass, 3.30 nb with both above 0.5 GeV in the calorimeter; 300 nb of
e⁺e⁻(γ) from 10° to 170°. Those of μμ(γ), ττ(γ), eeμμ and μμγ are in `test_simulation_single_photon.py`,
`test_simulation_recoil.py` and `test_simulation_radiative.py`. Of νν, eeee and qq̄ the generator has no
process with a total of its own.
"""

import math

import numpy as np
import pytest

from scanner.constants import ALPHA, HBARC2, SQRT_S
from scanner.simulation import detector, initial_state, kinematics

EVENTS = 400_000
REACH = 6.0
"""Largest artanh of the cosine between photons and beams; beyond it nothing is in either acceptance."""


@pytest.fixture(scope="module")
def photons():
    """Both photons (2, 4, N) with z along the electron, and weights [nb], with radiation off the beams."""
    uniform = np.random.default_rng(3).random((6, EVENTS))
    legs = initial_state.legs(uniform[:4], SQRT_S)
    square = SQRT_S**2 * legs.x[0] * legs.x[1]
    some = square > 1.0
    square, x = np.where(some, square, SQRT_S**2), np.where(some, legs.x, 1.0)
    c = np.tanh(REACH * (2 * uniform[4] - 1))
    born = math.pi * ALPHA**2 / square * HBARC2 * (1 + c * c) * 2 * REACH  # two identical photons
    flight, energy = kinematics.direction(c, 2 * math.pi * uniform[5]), np.sqrt(square)[None] / 2
    pair = [np.concatenate([energy, sign * energy * flight]) for sign in (1, -1)]
    found = np.stack([initial_state.boost_along_beam(k, x) for k in pair])
    return found, np.where(some, legs.weight * born, 0.0) / 1e6


def inside(angles, low, high):
    return np.all((np.degrees(angles) > low) & (np.degrees(angles) < high), axis=0)


def laboratory(photons):
    return np.stack([kinematics.to_laboratory(kinematics.turn_to_beam(k)) for k in photons])


def mean(weight, kept):
    kept_weight = weight * kept
    return kept_weight.mean(), kept_weight.std() / math.sqrt(EVENTS)


def test_two_photons_from_ten_degrees(photons):
    momenta, weight = photons
    angles = np.stack([kinematics.polar_angle(k) for k in momenta])
    total, error = mean(weight, inside(angles, 10, 170) & np.all(momenta[:, 0] > 0.15, axis=0))
    assert error < 0.02
    assert total == pytest.approx(4.99, abs=3 * error + 0.03)


def test_two_photons_in_the_calorimeter(photons):
    """From the front end of the crystals to the back; the cracks between its parts take 4% of the pairs."""
    momenta, weight = photons
    lab = laboratory(momenta)
    angles, hard = np.stack([kinematics.polar_angle(k) for k in lab]), np.all(lab[:, 0] > 0.5, axis=0)
    parts = detector.CALORIMETER.theta
    total, error = mean(weight, hard & inside(angles, parts[0][0], parts[-1][1]))
    assert total == pytest.approx(3.30, abs=3 * error + 0.02)
    crystal = [[(np.degrees(a) > low) & (np.degrees(a) < high) for low, high in parts] for a in angles]
    within, _ = mean(weight, hard & np.all(np.any(crystal, axis=1), axis=0))
    assert within / total == pytest.approx(0.96, abs=0.01)


def test_bhabha_scattering_from_ten_degrees():
    """The Born cross section, which radiation leaves within a few percent."""
    c = np.linspace(math.cos(math.radians(170)), math.cos(math.radians(10)), 400_001)
    density = math.pi * ALPHA**2 / (2 * SQRT_S**2) * ((3 + c * c) / (1 - c)) ** 2 * HBARC2 / 1e6
    assert np.trapezoid(density, c) == pytest.approx(300, rel=0.1)
