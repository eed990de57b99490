"""Shapes against numba-stats, numerical integration and identities."""

import numpy as np
import pytest
from numba_stats import crystalball, norm, truncexpon
from scipy.integrate import quad

from scanner import shapes
from scanner.errors import InputError

EDGES = np.linspace(0.5, 1.5, 41)[None, :]
MASS = np.array([1.02])
SIGMA = np.array([0.03])


def test_gaussian_equals_numba_stats():
    integrals = shapes.signal_integrals("gaussian", EDGES, MASS, SIGMA, {})
    expected = np.diff(norm.cdf(EDGES[0], MASS[0], SIGMA[0]))
    np.testing.assert_allclose(integrals[0], expected, atol=1e-14)


@pytest.mark.parametrize(("alpha", "n"), [(1.0, 2.5), (0.5, 10.0), (2.0, 1.5), (3.0, 5.0)])
def test_crystal_ball_equals_numba_stats(alpha, n):
    parameters = {"alpha": np.array([alpha]), "n": np.array([n])}
    integrals = shapes.signal_integrals("crystal_ball", EDGES, MASS, SIGMA, parameters)
    expected = np.diff(crystalball.cdf(EDGES[0], alpha, n, MASS[0], SIGMA[0]))
    np.testing.assert_allclose(integrals[0], expected, atol=1e-12)


def test_double_gaussian_is_the_sum_of_two():
    parameters = {"fraction": np.array([0.2]), "ratio": np.array([2.5])}
    integrals = shapes.signal_integrals("double_gaussian", EDGES, MASS, SIGMA, parameters)
    expected = 0.8 * np.diff(norm.cdf(EDGES[0], MASS[0], SIGMA[0]))
    expected += 0.2 * np.diff(norm.cdf(EDGES[0], MASS[0], 2.5 * SIGMA[0]))
    np.testing.assert_allclose(integrals[0], expected, atol=1e-13)


def test_chebyshev_integrals_equal_quadrature():
    edges = np.array([[1.0, 1.3, 2.0, 3.5, 5.0]])
    integrals = shapes.chebyshev_integrals(edges, 5)
    for k in range(5):
        basis = np.polynomial.Chebyshev.basis(k, domain=[1.0, 5.0])
        for b in range(4):
            expected = quad(basis, edges[0, b], edges[0, b + 1])[0] / 4.0
            assert integrals[0, k, b] == pytest.approx(expected, abs=1e-13)
    assert integrals[0, 0].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("kappa", [-3.0, 1e-9, 1e-5, 0.02, 2.0, 20.0])
def test_exponential_integrals_equal_numba_stats_and_quadrature(kappa):
    edges = np.linspace(-1.0, 1.0, 21)[None, :]
    integrals = shapes.exponential_integrals(edges, np.array([kappa]))
    scale = quad(lambda x: np.exp(-kappa * x), -1, 1)[0]
    if kappa > 0.01:
        expected = np.diff(truncexpon.cdf(edges[0], -1.0, 1.0, -1.0, 1.0 / kappa))
        np.testing.assert_allclose(integrals[0, 0], expected, rtol=1e-9, atol=1e-15)
    for b in (0, 7, 19):
        moment = quad(lambda x: x * np.exp(-kappa * x), edges[0, b], edges[0, b + 1], epsabs=1e-15)[0] / scale
        assert integrals[0, 1, b] == pytest.approx(moment, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kappa", [-5.0, 0.0, 0.3, 4.0])
def test_exponential_slope_is_recovered_from_expected_counts(kappa):
    edges = np.linspace(2.0, 4.0, 4001)[None, :]
    counts = 1e6 * shapes.exponential_integrals(edges, np.array([kappa]))[:, 0]
    assert shapes.exponential_slope(edges, counts)[0] == pytest.approx(kappa, abs=2e-4)


def test_a_window_without_events_has_a_flat_exponential():
    assert shapes.exponential_slope(EDGES, np.zeros((1, 40)))[0] == pytest.approx(0.0, abs=1e-9)


def test_unknown_shape_and_missing_parameter_are_explained():
    with pytest.raises(InputError, match=r"unknown signal shape 'box': take one of gaussian"):
        shapes.signal_integrals("box", EDGES, MASS, SIGMA, {})
    with pytest.raises(InputError, match=r"wants the parameter 'alpha': add it under signal.parameters"):
        shapes.signal_integrals("crystal_ball", EDGES, MASS, SIGMA, {})
