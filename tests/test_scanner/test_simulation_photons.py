"""Generated three-photon events: matrix element, conservation laws and peaks."""

import numpy as np
import pytest

from scanner.constants import MASS_ETA, MASS_ETA_PRIME, MASS_PION0, SQRT_S
from scanner.simulation import expected_events, generate_chunk, get, kinematics, photons, three_photons
from scanner.simulation.sampling import generator


def test_background_conserves_energy_and_momentum():
    momenta = three_photons.three_photon_events(generator("ggg", (1,)), 3000, SQRT_S)
    total = momenta.sum(axis=0)
    np.testing.assert_allclose(total[0], SQRT_S, atol=1e-9)
    np.testing.assert_allclose(total[1:], 0.0, atol=1e-9)
    for k in momenta:
        np.testing.assert_allclose(kinematics.minkowski(k, k), 0.0, atol=1e-9)
    assert momenta[:, 0].min() >= three_photons.LOWEST_X * SQRT_S / 2
    assert np.all(momenta[2, 0] <= momenta[:2, 0].min(axis=0))


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


@pytest.mark.parametrize(("meson", "q2_form_factor", "measured"), [(1, 0.229, 4.5), (2, 0.251, 5.4)])
def test_form_factors_of_mesons_give_their_measured_cross_sections(meson, q2_form_factor, measured):
    """BaBar states both for ηγ and η′γ (hep-ex/0605018), at 112 GeV²."""
    found = photons.meson_cross_section(q2_form_factor / 112, photons.MESONS[meson].mass, SQRT_S**2)
    assert found == pytest.approx(measured, rel=0.03)
    assert photons.MESONS[meson].cross_section == measured


def test_the_pion_is_between_the_asymptotic_form_factor_and_that_of_babar():
    """q²|F| → √2 f_π = 0.185 GeV, and 0.182 (q²/10)^0.25 in a fit by BaBar (0905.4778)."""
    low, high = (
        photons.meson_cross_section(q2 / SQRT_S**2, MASS_PION0, SQRT_S**2)
        for q2 in (0.185, 0.182 * (SQRT_S**2 / 10) ** 0.25)
    )
    assert low < photons.MESONS[0].cross_section < high


def test_mesons_peak_beside_a_photon_of_the_beam_energy():
    """Shares of the peaks are those of cross sections and branching fractions; a pion's photons merge."""
    columns = generate_chunk("gamma_mesons", 20_000, (6,), sqrt_s=SQRT_S)
    mass = columns["m_gg"][::3]
    eta = np.sum(np.abs(mass - MASS_ETA) < 0.05)
    heavy = np.sum(np.abs(mass - MASS_ETA_PRIME) < 0.06)
    expected = 5.4 * 0.02307 / (4.5 * 0.3936)
    assert heavy / eta == pytest.approx(expected, rel=4 / np.sqrt(heavy) + 0.3)
    assert np.median(mass[np.abs(mass - MASS_ETA) < 0.05]) == pytest.approx(MASS_ETA, abs=0.002)
    pions = np.sum(np.abs(mass - MASS_PION0) < 0.04)
    assert 0.05 < pions / eta / (3.587 * 0.98823 / (4.5 * 0.3936)) < 0.7
    assert np.median(columns["e_gamma"][::3]) == pytest.approx(SQRT_S / 2, rel=0.02)


def test_less_than_an_event_of_mesons_is_in_the_published_luminosity():
    produced = expected_events("gamma_mesons", sqrt_s=SQRT_S, luminosity=0.445)
    assert produced == pytest.approx(2.4, abs=0.1)
