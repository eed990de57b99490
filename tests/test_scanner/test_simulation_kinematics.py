"""Four-vectors: boosts, decays and rotations keep what they must."""

import numpy as np
import pytest

from scanner.simulation import kinematics
from scanner.simulation.sampling import InverseCDF, generator


@pytest.fixture
def rng():
    return generator("kinematics", (4,))


def random_momenta(rng, mass, n=200):
    p = rng.normal(0, 3, (3, n))
    return np.concatenate([np.sqrt(np.sum(p * p, axis=0) + mass * mass)[None], p])


def test_boosts_keep_products_and_undo_each_other(rng):
    a, b = random_momenta(rng, 0.1), random_momenta(rng, 2.0)
    velocity = np.array([0.3, -0.5, 0.6])
    moved = kinematics.boost(a, velocity), kinematics.boost(b, velocity)
    np.testing.assert_allclose(
        kinematics.minkowski(*moved), kinematics.minkowski(a, b), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(kinematics.boost(moved[0], -velocity), a, atol=1e-12)
    np.testing.assert_allclose(kinematics.to_centre_of_mass(kinematics.to_laboratory(a)), a, atol=1e-12)


def test_boost_with_a_parent_equals_the_boost_by_its_velocity(rng):
    parent, p = random_momenta(rng, 0.7), random_momenta(rng, 0.1)
    expected = kinematics.boost(p, parent[1:] / parent[0])
    np.testing.assert_allclose(kinematics.boost_with(p, parent, 0.7), expected, rtol=1e-9, atol=1e-9)


def test_two_body_decay_keeps_energy_momentum_and_masses(rng):
    first, second = kinematics.two_body(3.0, 0.1, 1.5, kinematics.isotropic(rng, 100))
    np.testing.assert_allclose((first + second)[0], 3.0, rtol=1e-12)
    np.testing.assert_allclose((first + second)[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(kinematics.mass(first), 0.1, rtol=1e-9)
    np.testing.assert_allclose(kinematics.mass(second), 1.5, rtol=1e-12)


def test_transverse_vectors_make_a_right_handed_triad(rng):
    axis = np.concatenate([kinematics.isotropic(rng, 50), np.array([[0.0], [0.0], [-1.0]])], axis=1)
    first, second = kinematics.transverse(axis, rng.uniform(0, 6, 51))
    np.testing.assert_allclose(np.cross(first.T, second.T), axis.T, atol=1e-12)
    np.testing.assert_allclose(np.sum(first * first, axis=0), 1.0, rtol=1e-12)


def test_turning_to_the_beam_takes_z_to_the_electron():
    z = np.array([[2.0], [0.0], [0.0], [2.0]])
    turned = kinematics.turn_to_beam(z)
    np.testing.assert_allclose(turned[1:, 0] / 2, kinematics.BEAM_AXIS, rtol=1e-12)


def test_the_beams_meet_at_the_nominal_energy():
    electron = kinematics.ENERGY_ELECTRON * np.array([1.0, np.sin(0.0415), 0.0, np.cos(0.0415)])
    positron = kinematics.ENERGY_POSITRON * np.array([1.0, np.sin(0.0415), 0.0, -np.cos(0.0415)])
    total = (electron + positron)[:, None]
    assert kinematics.mass(total)[0] == pytest.approx(10.58, abs=1e-3)
    np.testing.assert_allclose(kinematics.to_centre_of_mass(total)[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(kinematics.VELOCITY, [0.0415, 0.0, 0.2725], atol=1e-4)
    speed = np.sqrt(np.sum(kinematics.VELOCITY**2))
    assert speed / np.sqrt(1 - speed**2) == pytest.approx(0.287, abs=1e-3)


def test_inverse_cdf_reproduces_moments_of_its_density(rng):
    sampler = InverseCDF.of(lambda x: x * x, 1.0, 2.0, 2001)
    assert sampler.integral == pytest.approx(7 / 3, rel=1e-6)
    x = sampler.sample(rng, 200_000)
    assert (x.min(), x.max()) == pytest.approx((1.0, 2.0), abs=1e-3)
    assert x.mean() == pytest.approx(3.75 / (7 / 3), abs=4 * 0.27 / np.sqrt(200_000))
