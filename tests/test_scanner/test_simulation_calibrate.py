"""Tables of the built-in searches against a new measurement of the generator."""

import numpy as np
import pytest

from scanner import definition, shapes
from scanner.errors import InputError
from scanner.simulation import calibrate
from scanner.windows.axes import outer_points

EVENTS = 12_000
POINTS = [
    ("zp_mumu", "mu_mu_zprime", 0.25),
    ("zp_mumu", "mu_mu_zprime", 3.0),
    ("s_mumu", "mu_mu_scalar", 0.6),
    ("alp_gg", "alp_gamma", 0.5),
    ("alp_gg", "alp_gamma", 5.0),
    ("alp_gg", "alp_gamma", 8.0),
    ("b_ka", "b_kaon_alp", 0.3),
    ("b_ka", "b_kaon_alp", 3.0),
    ("y1s_inv", "dipion_invisible", 9.4604),
]


def place(search):
    """Return the parameters of the first configuration, at the first lifetime: prompt decays."""
    return {**search.configurations[0].parameters, **outer_points(search)[0]}


@pytest.mark.parametrize(("name", "process", "mass"), POINTS)
def test_tables_of_a_definition_are_what_the_generator_gives(name, process, mass):
    search = definition.load(name)
    masses = calibrate.true_masses(search, process, mass, EVENTS, seed=11)
    m, first = np.array([mass]), place(search)
    efficiency = float(search.signal.efficiency(m, **first)[0])
    error = np.sqrt(efficiency * (1 - efficiency) / EVENTS)
    assert abs(len(masses) / EVENTS - efficiency) < 4 * error + 0.005
    resolution = search.signal.resolution(m)
    extra = {key: function(m, **first) for key, function in search.signal.parameters.items()}
    for width in (1, 2, 4):
        edges = mass + np.array([[-width, width]]) * resolution
        inside = float(shapes.signal_integrals(search.signal.shape, edges, m, resolution, extra)[0, 0])
        measured = np.mean(np.abs(masses - mass) < width * resolution)
        assert measured == pytest.approx(inside, abs=0.025)


@pytest.mark.parametrize(("mass", "ctau"), [(0.4, 1.0), (1.0, 10.0), (4.0, 10.0)])
def test_fits_over_a_flat_background_find_decays_in_flight(mass, ctau):
    """By linear least squares of what is generated, as the fit of a large background sees it."""
    search, m = definition.load("b_ka"), np.array([mass])
    masses = calibrate.true_masses(search, "b_kaon_alp", mass, EVENTS, seed=12, parameters={"ctau": ctau})
    resolution = search.signal.resolution(m)
    extra = {key: function(m, ctau_a=ctau) for key, function in search.signal.parameters.items()}
    edges = mass + resolution * np.linspace(-20, 20, 101)
    peak = shapes.signal_integrals(search.signal.shape, edges[None], m, resolution, extra)[0]
    terms = np.column_stack([peak, np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, 100), 2)])
    found = np.histogram(masses, edges)[0] / EVENTS
    weights = np.linalg.pinv(terms)[0]
    error = np.sqrt(np.sum(weights**2 * found) / EVENTS)
    efficiency = float(search.signal.efficiency(m, ctau_a=ctau)[0])
    assert weights @ found == pytest.approx(efficiency, abs=3 * error + 0.02 * efficiency)
    assert error < 0.03 * efficiency


def test_fit_finds_the_shape_that_was_drawn():
    rng = np.random.default_rng(3)
    wide = rng.random(50_000) < 0.4
    masses = 2.0 + 0.01 * np.where(wide, 2.0, 1.0) * rng.standard_normal(50_000)
    resolution, parameters = calibrate.fit_peak("double_gaussian", masses, 2.0, 0.014, {"fraction": 0.4})
    assert resolution == pytest.approx(0.01, rel=0.03)
    assert parameters == {"fraction": 0.4, "ratio": pytest.approx(2.0, rel=0.03)}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "process", "mass"), POINTS)
def test_a_full_measurement_agrees(name, process, mass):
    search = definition.load(name)
    fixed = {"b_ka": {"n_low": 50.0, "n_high": 10.0}, "alp_gg": {"n": 10.0}}.get(name, {"fraction": 0.4})
    if mass > 6.85:
        fixed["alpha"] = -1.0
    result = calibrate.measure(search, process, mass, events=100_000, seed=5, fixed=fixed)
    m = np.array([mass])
    assert result.resolution == pytest.approx(float(search.signal.resolution(m)[0]), rel=0.04)
    assert (
        abs(result.efficiency - float(search.signal.efficiency(m, **place(search))[0]))
        < 4 * result.efficiency_error + 0.004
    )


def test_a_mass_without_a_region_is_refused():
    with pytest.raises(InputError, match=r"no region at 9\.9 GeV"):
        calibrate.true_masses(definition.load("alp_gg"), "alp_gamma", 9.9, 100, seed=1)
