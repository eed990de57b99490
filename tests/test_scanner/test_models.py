"""The interface that every coupling model keeps, and the table of cross sections."""

import numpy as np
import pytest

from scanner.constants import MASS_MUON, MASS_TAU, SQRT_S
from scanner.errors import InputError
from scanner.models import MODELS, cross_sections, get, radiation

EVERY = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


FALLING = pytest.mark.parametrize(
    "model",
    [
        MODELS[n]
        for n in (
            "zprime_lmu_ltau",
            "muonphilic_scalar",
            "alp_photon",
            "leptophilic_scalar",
            "alp_lepton",
            "tau_alpha",
        )
    ],
)


@EVERY
def test_branching_fractions_add_up_to_one(model):
    m = np.geomspace(0.05, 9.0, 40)
    total = sum(model.branching_fraction(m, state) for state in model.final_states)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


@EVERY
def test_cross_section_is_positive_below_and_zero_above_the_threshold(model):
    low, high = model.mass_range(SQRT_S)
    assert np.all(model.production(np.linspace(low, high, 30)[:-1], SQRT_S) > 0)
    assert model.production(high + 0.01, SQRT_S) == 0
    assert model.production([[1.0, 2.0]], SQRT_S).shape == (1, 2)


@FALLING
def test_production_falls_with_the_mass(model):
    low, high = model.mass_range(SQRT_S)
    m = np.linspace(max(low, 0.25), high, 60)
    assert np.all(np.diff(model.production(m, SQRT_S)) < 0)


@EVERY
def test_coupling_limit_undoes_the_cross_section(model):
    if model.power == 0:
        with pytest.raises(InputError, match="does not depend on its coupling"):
            model.coupling_limit(1.0, 1.0, SQRT_S)
        return
    m, state = np.array([0.5, 1.1]), model.final_states[0]
    coupling = np.array([0.01, 0.2])
    sigma = model.production(m, SQRT_S) * coupling**model.power
    np.testing.assert_allclose(model.coupling_limit(sigma, m, SQRT_S), coupling)
    seen = sigma * model.branching_fraction(m, state)
    np.testing.assert_allclose(model.coupling_limit(seen, m, SQRT_S, state), coupling)


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if m.power], ids=[n for n, m in MODELS.items() if m.power]
)
def test_closed_production_excludes_nothing_and_nan_stays(model):
    limits = model.coupling_limit([1.0, np.nan], [SQRT_S + 1, SQRT_S + 1], SQRT_S)
    assert limits[0] == np.inf
    assert np.isnan(limits[1])


@EVERY
def test_bad_requests_are_refused(model):
    with pytest.raises(InputError, match="no final state 'nothing'; it has"):
        model.branching_fraction(1.0, "nothing")
    for mass in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="positive finite mass"):
            model.production([1.0, mass], SQRT_S)


def test_unknown_model_names_those_that_exist():
    with pytest.raises(InputError, match="'dark_foton'; there are alp_lepton, alp_photon"):
        get("dark_foton")


def test_decays_open_at_their_thresholds():
    zprime, scalar = MODELS["zprime_lmu_ltau"], MODELS["muonphilic_scalar"]
    for state, lepton in (("mu_mu", MASS_MUON), ("tau_tau", MASS_TAU)):
        below, above = zprime.branching_fraction([2 * lepton - 1e-6, 2 * lepton + 1e-6], state)
        assert below == 0 < above
    assert scalar.branching_fraction([0.21, 0.22], "mu_mu").tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["vector", "scalar"])
def test_shipped_table_is_what_its_function_makes(kind):
    table = cross_sections.tabulate(points=cross_sections.POINTS)
    shipped = cross_sections.shipped()
    assert shipped["constants"] == table["constants"]
    np.testing.assert_allclose(shipped["mass"]["values"], table["mass"]["values"], rtol=1e-12)
    np.testing.assert_allclose(shipped["cross_section"][kind], table["cross_section"][kind], rtol=1e-9)


@pytest.mark.parametrize("kind", ["vector", "scalar"])
def test_interpolation_is_good_to_1e_5(kind):
    m = np.concatenate([np.geomspace(1.1e-3, 1.0, 25), np.linspace(1.0, 10.365, 40)])
    exact = radiation.cross_section(kind, m, SQRT_S)
    np.testing.assert_allclose(cross_sections.mu_mu_x(kind, m, SQRT_S), exact, rtol=1e-5)


def test_another_energy_is_integrated():
    sigma = cross_sections.mu_mu_x("vector", 1.0, 10.0)
    assert sigma == pytest.approx(float(radiation.cross_section("vector", 1.0, 10.0)))
    assert sigma != pytest.approx(float(cross_sections.mu_mu_x("vector", 1.0, SQRT_S)), rel=1e-2)


def test_quadrature_has_converged():
    m = np.array([0.01, 0.3, 3.0, 10.0])
    for kind in radiation.MATRIX_ELEMENTS:
        fine = radiation.cross_section(kind, m, SQRT_S, nodes=96)
        np.testing.assert_allclose(radiation.cross_section(kind, m, SQRT_S), fine, rtol=1e-8)
