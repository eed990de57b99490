"""The parametrised detector: acceptance, resolution, tails and identification."""

import numpy as np
import pytest
from scipy.stats import kstest

from scanner.constants import MASS_MUON
from scanner.shapes import crystal_ball_cdf
from scanner.simulation import detector, kinematics
from scanner.simulation.sampling import generator

N = 40_000


@pytest.fixture
def rng():
    return generator("detector", (7,))


def particle(p, degrees, mass=MASS_MUON, n=N):
    theta = np.radians(degrees)
    one = np.ones(n)
    return np.stack([np.hypot(p, mass) * one, p * np.sin(theta) * one, 0 * one, p * np.cos(theta) * one])


@pytest.mark.parametrize(("degrees", "inside"), [(16.9, 0), (17.1, 1), (90, 1), (149.9, 1), (150.1, 0)])
def test_drift_chamber_acceptance(rng, degrees, inside):
    found = detector.tracks_found(particle(1.0, degrees), rng).mean()
    assert found == pytest.approx(inside * detector.TRACKING.efficiency, abs=0.003)


def test_tracks_need_transverse_momentum(rng):
    assert not detector.tracks_found(particle(0.2, 20.0), rng).any()


@pytest.mark.parametrize(("p", "degrees"), [(0.3, 60), (2.0, 90), (5.0, 30)])
def test_track_resolution(rng, p, degrees):
    true = particle(p, degrees)
    measured = detector.smear_tracks(true, MASS_MUON, rng)
    pt = np.hypot(measured[1], measured[2])
    transverse, beta = p * np.sin(np.radians(degrees)), p / np.hypot(p, MASS_MUON)
    expected = np.hypot(0.0011 * transverse, 0.0025 / beta)
    assert np.std(pt / transverse) == pytest.approx(expected, rel=0.02)
    assert np.mean(pt / transverse) == pytest.approx(1.0, abs=4 * expected / np.sqrt(N))
    assert np.std(kinematics.polar_angle(measured)) == pytest.approx(1e-3, rel=0.02)
    np.testing.assert_allclose(kinematics.mass(measured), MASS_MUON, atol=1e-6)


@pytest.mark.parametrize(("p", "efficiency"), [(0.69, 0.0), (0.71, 0.95)])
def test_muons_are_identified_above_their_threshold(rng, p, efficiency):
    assert detector.muons_identified(particle(p, 60), rng).mean() == pytest.approx(efficiency, abs=0.005)


@pytest.mark.parametrize(
    ("degrees", "inside"),
    [(12.3, 0), (12.5, 1), (31.8, 0), (32.3, 1), (128.6, 1), (129.5, 0), (131, 1), (155.2, 0)],
)
def test_crystals_and_their_gaps(rng, degrees, inside):
    found = detector.photons_found(particle(1.0, degrees, mass=0.0), rng).mean()
    assert found == pytest.approx(inside * detector.CALORIMETER.efficiency, abs=0.005)


def test_energy_resolution():
    energy = np.array([0.1, 1.0, 5.0])
    expected = [e * np.sqrt((0.00066 / e) ** 2 + (0.0081 / e**0.25) ** 2 + 0.0134**2) for e in energy]
    np.testing.assert_allclose(detector.energy_resolution(energy), expected, rtol=1e-12)
    assert detector.energy_resolution(np.array([1e-200])) == pytest.approx(0.00066, rel=1e-12)


@pytest.mark.parametrize(("start", "power"), [(1.0, 10.0), (0.7, 3.0), (2.0, 5.0)])
def test_energy_deviates_follow_the_crystal_ball(rng, start, power):
    x = detector.crystal_ball_deviate(rng, N, start, power)
    parameters = {"alpha": np.array(start), "n": np.array(power)}
    assert kstest(x, lambda z: crystal_ball_cdf(z, parameters)).pvalue > 1e-3


def test_photons_keep_direction_on_average_and_stay_massless(rng):
    true = particle(2.0, 70, mass=0.0)
    measured = detector.smear_photons(true, rng)
    np.testing.assert_allclose(kinematics.mass(measured), 0.0, atol=1e-6)
    assert np.std(kinematics.polar_angle(measured)) == pytest.approx(detector.CALORIMETER.angle, rel=0.02)
    assert kinematics.polar_angle(measured).mean() == pytest.approx(np.radians(70), abs=1e-4)


@pytest.mark.parametrize(("angle", "share"), [(0.01, 0.0155), (0.08, 0.632), (0.5, 1.0)])
def test_close_photons_merge(rng, angle, share):
    first, second = particle(2.0, 60, mass=0.0), particle(1.0, 60 + np.degrees(angle), mass=0.0)
    assert detector.photons_apart(first, second, rng).mean() == pytest.approx(share, abs=0.01)


def test_negative_alpha_mirrors_the_crystal_ball():
    z, n = np.linspace(-8, 8, 33), np.array(5.0)
    low = crystal_ball_cdf(z, {"alpha": np.array(1.2), "n": n})
    high = crystal_ball_cdf(z, {"alpha": np.array(-1.2), "n": n})
    np.testing.assert_allclose(high, 1 - low[::-1], atol=1e-14)
    assert low[0] > 100 * high[0]
