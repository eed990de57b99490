"""Background shapes against scipy, numba-stats, numerical integration and likelihoods by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba_stats import bernstein, truncexpon
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import argus

from scanner import shapes
from scanner.errors import InputError

CONSTANTS = {
    "argus": {"endpoint": 5.3, "power": 0.5},
    "threshold": {"threshold": 2.0},
    "threshold_polynomial": {"threshold": 2.0, "power": 0.5},
}
LOW, HIGH = 2.5, 5.0
EDGES = np.linspace(LOW, HIGH, 26)[None, :]


def one(parameters):
    return {name: np.array([value]) for name, value in parameters.items()}


def integrals(shape, parameters, terms=1, edges=EDGES, **options):
    found = shapes.background_integrals(shape, edges, one(parameters), np.array([terms]), **options)
    return found[0]


def test_chebyshev_integrals_equal_quadrature():
    edges = np.array([[1.0, 1.3, 2.0, 3.5, 5.0]])
    found = shapes.chebyshev_integrals(edges, 5)
    for k in range(5):
        basis = np.polynomial.Chebyshev.basis(k, domain=[1.0, 5.0])
        for b in range(4):
            expected = quad(basis, edges[0, b], edges[0, b + 1])[0] / 4.0
            assert found[0, k, b] == pytest.approx(expected, abs=1e-13)
    assert found[0, 0].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("degree", [0, 1, 4, 9])
def test_bernstein_equals_numba_stats(degree):
    found = integrals("bernstein", {}, degree + 1)
    for k in range(degree + 1):
        beta = np.zeros(degree + 1)
        beta[k] = degree + 1
        expected = np.diff(bernstein.integral(EDGES[0], beta, LOW, HIGH)) / (HIGH - LOW)
        np.testing.assert_allclose(found[k], expected, atol=1e-12)
        density = shapes.background_density("bernstein", EDGES[0], LOW, HIGH, {}, degree + 1)[k]
        np.testing.assert_allclose(
            density, bernstein.density(EDGES[0], beta, LOW, HIGH) / (HIGH - LOW), atol=1e-12
        )
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)


def test_bernstein_windows_have_the_basis_of_their_own_degree():
    edges = np.repeat(EDGES, 3, axis=0)
    found = shapes.background_integrals("bernstein", edges, {}, np.array([2, 4, 2]))
    np.testing.assert_array_equal(found[0, :2], integrals("bernstein", {}, 2))
    np.testing.assert_array_equal(found[1], integrals("bernstein", {}, 4))
    assert not found[2, 2:].any()


@pytest.mark.parametrize("kappa", [-3.0, 1e-9, 1e-5, 0.02, 2.0, 20.0])
def test_exponential_equals_numba_stats_and_quadrature(kappa):
    edges = np.linspace(-1.0, 1.0, 21)[None, :]
    found = integrals("exponential", {"slope": kappa}, edges=edges, derivatives=True)
    scale = quad(lambda x: np.exp(-kappa * x), -1, 1)[0]
    if kappa > 0.01:
        expected = np.diff(truncexpon.cdf(edges[0], -1.0, 1.0, -1.0, 1.0 / kappa))
        np.testing.assert_allclose(found[0], expected, rtol=1e-9, atol=1e-15)
    for b in (0, 7, 19):
        moment = quad(lambda x: x * np.exp(-kappa * x), edges[0, b], edges[0, b + 1], epsabs=1e-15)[0] / scale
        assert -found[1, b] == pytest.approx(moment, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("chi", [0.5, 1.0, 3.0])
def test_argus_equals_scipy_up_to_the_endpoint(chi):
    endpoint = 5.3
    edges = np.array([[4.0, 4.5, 5.0, 5.25, 5.3, 5.4]])
    cdf = argus(chi, scale=endpoint).cdf(edges[0])
    expected = np.diff(cdf) / (cdf[-1] - cdf[0])
    parameters = {"curvature": 0.5 * chi**2, "endpoint": endpoint, "power": 0.5}
    np.testing.assert_allclose(
        integrals("argus", parameters, edges=edges)[0], expected, rtol=1e-9, atol=1e-16
    )
    x = np.array([4.1, 5.0, 5.29, 5.31])
    density = shapes.background_density("argus", x, 4.0, 5.4, parameters, 1)[0]
    np.testing.assert_allclose(
        density, argus(chi, scale=endpoint).pdf(x) / (cdf[-1] - cdf[0]), rtol=1e-9, atol=1e-16
    )


@pytest.mark.parametrize("power", [-0.4, 0.1, 0.5, 1.0, 3.3])
def test_threshold_equals_quadrature_also_where_it_rises(power):
    edges = np.array([[1.8, 2.1, 2.2, 2.7, 4.0]])
    parameters = {"threshold": 2.0, "power": power, "slope": 0.7}

    def density(x):
        u = 2.0 * (x - 1.8) / 2.2 - 1.0
        return np.exp(-0.7 * u)

    def piece(low, high):
        return (
            quad(density, low, high, weight="alg", wvar=(power, 0.0))[0]
            if low == 2.0
            else quad(lambda x: density(x) * (x - 2.0) ** power, low, high, epsabs=1e-14)[0]
        )

    expected = np.array([piece(max(a, 2.0), b) for a, b in zip(edges[0, :-1], edges[0, 1:], strict=True)])
    expected[0] = piece(2.0, 2.1)
    found = integrals("threshold", parameters, edges=edges)[0]
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=3e-6)


def test_threshold_polynomial_is_the_polynomial_times_the_rise():
    parameters = {"threshold": 2.0, "power": 0.5}
    found = integrals("threshold_polynomial", parameters, 3)
    scale = quad(lambda x: np.sqrt(x - 2.0), LOW, HIGH)[0]
    for k in range(3):
        basis = np.polynomial.Chebyshev.basis(k, domain=[LOW, HIGH])
        expected = (
            quad(lambda x, basis=basis: basis(x) * np.sqrt(x - 2.0), EDGES[0, 3], EDGES[0, 4])[0] / scale
        )
        assert found[k, 3] == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_a_window_below_its_threshold_expects_nothing():
    assert not integrals("threshold", {"threshold": 6.0, "power": 1.0, "slope": 0.0}).any()


RANGES = {
    "slope": st.floats(-10.0, 10.0),
    "exponent": st.floats(-20.0, 20.0),
    "curvature": st.floats(-20.0, 20.0),
    "power": st.floats(0.0, 5.0),
}


@pytest.mark.parametrize("name", shapes.BACKGROUNDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bin_integrals_are_those_of_the_density_and_derivatives_are_differences(name, data):
    shape = shapes.BACKGROUNDS[name]
    values = {p: data.draw(RANGES[p], p) for p in shape.parameters}
    parameters = {**CONSTANTS.get(name, {}), **values}
    terms = data.draw(st.integers(1, 6), "terms") if shape.polynomial else 1
    linearised = bool(shape.parameters)
    found = integrals(name, parameters, terms, derivatives=linearised)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(EDGES[0])
    x = 0.5 * (EDGES[0, 1:] + EDGES[0, :-1])[:, None] + half[:, None] * nodes
    density = shapes.background_density(name, x, LOW, HIGH, parameters, terms)
    np.testing.assert_allclose(found[:terms], (density @ weights) * half, rtol=1e-7, atol=1e-10)
    norm = float(shapes.background_norm(name, LOW, HIGH, parameters))
    for number, p in enumerate(shape.parameters):
        step = 1e-4
        moved = [{**parameters, p: values[p] + side * step} for side in (-1.0, 1.0)]
        low, high = (integrals(name, m)[0] * float(shapes.background_norm(name, LOW, HIGH, m)) for m in moved)
        np.testing.assert_allclose(
            found[terms + number], (high - low) / (2.0 * step) / norm, rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("name", [name for name, shape in shapes.BACKGROUNDS.items() if shape.parameters])
@pytest.mark.parametrize("events", [40, 4000])
def test_starts_are_the_maximum_of_the_likelihood(name, events):
    rng = np.random.default_rng(5)
    counts = rng.multinomial(events, np.linspace(3.0, 1.0, 25) / 50.0)[None, :].astype(float)
    constants = CONSTANTS.get(name, {})
    start = shapes.background_start(name, EDGES, counts, one(constants))
    names = shapes.BACKGROUNDS[name].parameters
    assert tuple(start) == names

    def nll(x):
        share = integrals(name, {**constants, **dict(zip(names, x, strict=True))})[0]
        return -float(counts[0] @ np.log(share))

    found = np.array([start[p][0] for p in names])
    best = minimize(nll, np.zeros(len(names)), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    assert nll(found) <= best.fun + 1e-7
    np.testing.assert_allclose(found, best.x, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kappa", [-5.0, 0.0, 0.3, 4.0])
def test_exponential_slope_is_recovered_from_expected_counts(kappa):
    counts = 1e6 * integrals("exponential", {"slope": kappa})
    start = shapes.background_start("exponential", EDGES, counts, {})
    assert start["slope"][0] == pytest.approx(kappa, abs=1e-8)


@pytest.mark.parametrize("name", [name for name, shape in shapes.BACKGROUNDS.items() if shape.parameters])
def test_starts_of_sparse_windows_are_finite_and_their_own(name):
    counts = np.zeros((27, 25))
    counts[np.arange(25), np.arange(25)] = 1.0
    counts[25] = 1.0
    constants = {key: np.full(27, value) for key, value in CONSTANTS.get(name, {}).items()}
    edges = np.repeat(EDGES, 27, axis=0)
    start = shapes.background_start(name, edges, counts, constants)
    for p, values in start.items():
        low, high = shapes.BACKGROUNDS[name].bounds[p]
        assert np.all((values >= low) & (values <= high))
        assert values[26] == 0.0
    some = [3, 25]
    part = shapes.background_start(
        name, edges[some], counts[some], {k: v[some] for k, v in constants.items()}
    )
    for p, values in part.items():
        np.testing.assert_array_equal(values, start[p][some])


def test_shapes_without_non_linear_parameters_have_no_start():
    assert shapes.background_start("chebyshev", EDGES, np.ones((1, 25)), {}) == {}


def test_unknown_shape_and_missing_parameter_are_explained():
    with pytest.raises(InputError, match=r"unknown background shape 'box': take one of chebyshev"):
        integrals("box", {})
    with pytest.raises(InputError, match=r"'argus' wants the parameter 'endpoint'"):
        integrals("argus", {"curvature": 1.0})
