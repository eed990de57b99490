"""Generated three-photon events: matrix element, conservation laws and peaks."""

import numpy as np
import pytest

from scanner.constants import SQRT_S
from scanner.simulation import expected_events, generate_chunk, get, kinematics, three_photons
from scanner.simulation.sampling import generator


def test_background_conserves_energy_and_momentum():
    photons = three_photons.three_photon_events(generator("ggg", (1,)), 3000, SQRT_S)
    total = photons.sum(axis=0)
    np.testing.assert_allclose(total[0], SQRT_S, atol=1e-9)
    np.testing.assert_allclose(total[1:], 0.0, atol=1e-9)
    for k in photons:
        np.testing.assert_allclose(kinematics.minkowski(k, k), 0.0, atol=1e-9)
    assert photons[:, 0].min() >= three_photons.LOWEST_X * SQRT_S / 2
    assert np.all(photons[2, 0] <= photons[:2, 0].min(axis=0))


def test_shipped_cross_section_and_bound_hold():
    sigma, error, highest = three_photons.integrate(np.random.default_rng(8), 1_000_000)
    assert error / sigma < 2e-3
    assert abs(sigma - three_photons.SIGMA_S) < 4 * error
    assert 0.8 * three_photons.HIGHEST < highest < three_photons.HIGHEST


def test_generated_energies_follow_the_weights():
    trial = three_photons.trial(np.random.default_rng(4).random((5, 400_000)))
    expected = np.average(trial.photons[2, 0], weights=trial.weight) * SQRT_S / 2
    soft = three_photons.three_photon_events(generator("ggg", (2,)), 40_000, SQRT_S)[2, 0]
    assert abs(soft.mean() - expected) < 5 * soft.std() / np.sqrt(40_000)


def test_cross_section_scales_with_the_energy():
    at_4s, above = (get("gamma_gamma_gamma").cross_section(e, {}) for e in (10.58, 2 * 10.58))
    assert at_4s == pytest.approx(4 * above)
    assert at_4s == pytest.approx(111.4e3, rel=1e-3)
    contamination = expected_events("e_e_gamma_gamma", sqrt_s=SQRT_S, luminosity=1.0)
    assert contamination == pytest.approx(0.03 * at_4s)


def true_pairs(mass, events=20_000):
    columns = generate_chunk("alp_gamma", events, (3,), sqrt_s=SQRT_S, parameters={"mass": mass})
    return {name: values[::3] for name, values in columns.items()}


@pytest.mark.parametrize(("mass", "width"), [(0.2, 11), (1, 15), (2, 24), (4, 42), (6, 63)])
def test_upper_half_of_the_diphoton_peak(mass, width):
    """The side without the tail is as wide as the resolution computed elsewhere."""
    m = true_pairs(mass)["m_gg"]
    assert 1e3 * (np.quantile(m[m > mass], 0.6827) - mass) == pytest.approx(width, rel=0.2)
    assert abs(np.median(m) - mass) < 0.35e-3 * width


@pytest.mark.parametrize(("mass", "width"), [(6.85, 70), (8, 44), (9, 26)])
def test_lower_half_of_the_recoil_peak(mass, width):
    m = true_pairs(mass)["m_recoil"]
    assert 1e3 * (mass - np.quantile(m[m < mass], 1 - 0.6827)) == pytest.approx(width, rel=0.2)
    assert abs(np.median(m) - mass) < 0.35e-3 * width


def test_energies_fall_and_the_recoil_photon_is_monochromatic():
    columns = true_pairs(3.0)
    assert np.all(columns["e1"] >= columns["e2"])
    assert np.all(columns["e2"] >= columns["e3"])
    expected = (SQRT_S**2 - 9.0) / (2 * SQRT_S)
    assert np.median(columns["e_gamma"]) == pytest.approx(expected, rel=0.01)
    total = columns["e1"] + columns["e2"] + columns["e3"]
    assert np.median(total) == pytest.approx(SQRT_S, rel=0.01)


def test_photon_of_the_signal_has_1_plus_cos2():
    from scanner.simulation.photons import signal_photons

    photons = signal_photons(generator("alp", (1,)), 40_000, 2.0, SQRT_S)
    np.testing.assert_allclose(photons.sum(axis=0)[0], SQRT_S, atol=1e-9)
    gamma = photons[2]
    cosine = kinematics.BEAM_AXIS @ gamma[1:] / gamma[0]
    assert np.mean(cosine**2) == pytest.approx(0.4, abs=0.006)
    assert np.mean(cosine) == pytest.approx(0.0, abs=0.013)
