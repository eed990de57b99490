"""Cross sections, widths and branching fractions against independently computed numbers."""

import math

import numpy as np
import pytest

from scanner.constants import MASS_MUON, MASS_TAU, SQRT_S
from scanner.models import MODELS
from scanner.simulation import conversions, expected_events, kinematics, three_photons
from scanner.simulation.four_muons import radiated_mass_spectrum

ZPRIME, SCALAR, ALP = (MODELS[n] for n in ("zprime_lmu_ltau", "muonphilic_scalar", "alp_photon"))


@pytest.mark.parametrize(
    ("model", "mass", "expected", "digits"),
    [(ZPRIME, 1.0, 9.96e4, 0.005e4), (ZPRIME, 5.0, 2025.0, 0.5), (SCALAR, 1.0, 1.343e4, 0.0005e4)],
)
def test_cross_section_of_x_with_muons(model, mass, expected, digits):
    assert model.production(mass, SQRT_S) == pytest.approx(expected, abs=digits)


def test_alp_cross_section():
    assert 1e-6 * ALP.production(1.0, SQRT_S) * 1e-3 == pytest.approx(0.1152, abs=5e-5)


def test_branching_fractions_of_the_zprime_at_4_gev():
    fractions = [ZPRIME.branching_fraction(4.0, f) for f in ("mu_mu", "tau_tau", "invisible")]
    assert fractions == pytest.approx([0.3788, 0.2425, 0.3788], abs=5e-5)


def test_coupling_that_explains_the_muon_moment():
    assert math.sqrt(251e-11 / ZPRIME.anomalous_moment(1.0)) == pytest.approx(5.4e-3, abs=5e-5)


def test_light_limits_of_the_muon_moment():
    assert ZPRIME.anomalous_moment(1e-4) == pytest.approx(1 / (8 * math.pi**2), rel=1e-2)
    assert SCALAR.anomalous_moment(1e-4) == pytest.approx(3 / (16 * math.pi**2), rel=1e-2)


def test_heavy_limit_of_the_zprime_moment():
    m = 50.0
    assert ZPRIME.anomalous_moment(m) == pytest.approx(MASS_MUON**2 / (12 * math.pi**2 * m**2), rel=1e-2)


def test_widths():
    massless = 4.0 / (12 * math.pi)
    widths = ZPRIME.widths(4.0)
    assert widths["invisible"] == pytest.approx(massless)
    assert widths["mu_mu"] == pytest.approx(massless, rel=1e-4)
    r = (MASS_TAU / 4.0) ** 2
    assert widths["tau_tau"] == pytest.approx(massless * (1 + 2 * r) * math.sqrt(1 - 4 * r))
    assert SCALAR.widths(9.0)["mu_mu"] == pytest.approx(9.0 / (8 * math.pi), rel=1e-2)
    assert ALP.width(2.0) == pytest.approx(8.0 / (64 * math.pi))


def test_boost_of_the_centre_of_mass():
    np.testing.assert_allclose(kinematics.VELOCITY, [0.0415, 0.0, 0.2725], atol=6e-5)
    v2 = float(kinematics.VELOCITY @ kinematics.VELOCITY)
    assert math.sqrt(v2 / (1 - v2)) == pytest.approx(0.287, abs=6e-4)


def test_four_muon_production_is_of_order_200_fb():
    radiated, converted = radiated_mass_spectrum(SQRT_S).integral, conversions.cross_section(SQRT_S)
    assert (radiated, converted) == pytest.approx((51.1, 296.6), abs=0.1)
    total = expected_events("four_muons", sqrt_s=SQRT_S, luminosity=1.0)
    assert total == pytest.approx(radiated + converted)
    assert 100 < total < 400


def test_two_photons_of_which_one_is_real_are_the_dark_photon_formula():
    # dσ/dcosθ = (2πα²/s)(1−m²/s)[1+c²+4sm²/(s−m²)²]/(1−c²) over |c| < 0.9, m = 2: 5.10 fb at ε = 1e-3.
    y = np.linspace(0, 1, 20_001)
    density, cosine = conversions.pair_density(2.0, 1e-5, y, SQRT_S)
    inside = np.abs(cosine) < 0.9
    total = np.trapezoid(density[inside], y[inside])
    assert 1e-6 * total == pytest.approx(5.10, abs=0.02)


def test_three_photons_in_the_barrel():
    # Twice this, 28.5 pb, is what a symmetry factor of 1/3 in place of 1/3! would give. The matrix
    # element is checked by explicit traces in test_models_traces.py.
    trial = three_photons.trial(np.random.default_rng(5).random((5, 1_000_000)))
    lab = [kinematics.to_laboratory(k) * SQRT_S / 2 for k in trial.photons]
    inside = np.ones(trial.weight.shape, dtype=bool)
    for k in lab:
        theta = np.degrees(kinematics.polar_angle(k))
        inside &= (theta > 37.3) & (theta < 123.7) & (k[0] > 0.65)
    sigma = trial.weight * inside / SQRT_S**2 / 1e3
    error = sigma.std() / math.sqrt(len(sigma))
    assert error < 0.06
    assert abs(sigma.mean() - 14.27) < 4 * error
