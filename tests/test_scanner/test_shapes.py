"""Signal shapes against numba-stats, scipy, numerical integration and identities."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba_stats import crystalball, crystalball_ex, norm
from scipy.integrate import quad
from scipy.special import voigt_profile
from scipy.stats import cauchy, johnsonsu

from scanner import shapes
from scanner.errors import InputError

EDGES = np.linspace(0.5, 1.5, 41)[None, :]
MASS = np.array([1.02])
SIGMA = np.array([0.03])
EXAMPLES = {
    "gaussian": {},
    "double_gaussian": {"fraction": 0.3, "ratio": 2.0},
    "crystal_ball": {"alpha": 1.2, "n": 3.0},
    "double_crystal_ball": {"alpha_low": 1.2, "n_low": 3.0, "alpha_high": 2.0, "n_high": 1.5},
    "voigt": {"width": 0.8},
    "johnson": {"gamma": -0.7, "delta": 1.3},
}


def columns(parameters):
    return {name: np.array([value]) for name, value in parameters.items()}


def integrals(shape, **parameters):
    return shapes.signal_integrals(shape, EDGES, MASS, SIGMA, columns(parameters))[0]


def test_every_shape_has_an_example():
    assert EXAMPLES.keys() == shapes.SIGNALS.keys()
    assert {name: tuple(found) for name, found in EXAMPLES.items()} == {
        name: shape.parameters for name, shape in shapes.SIGNALS.items()
    }


def test_gaussian_equals_numba_stats():
    expected = np.diff(norm.cdf(EDGES[0], MASS[0], SIGMA[0]))
    np.testing.assert_allclose(integrals("gaussian"), expected, atol=1e-14)


@pytest.mark.parametrize(("alpha", "n"), [(1.0, 2.5), (0.5, 10.0), (2.0, 1.5), (3.0, 5.0)])
def test_crystal_ball_equals_numba_stats(alpha, n):
    expected = np.diff(crystalball.cdf(EDGES[0], alpha, n, MASS[0], SIGMA[0]))
    np.testing.assert_allclose(integrals("crystal_ball", alpha=alpha, n=n), expected, atol=1e-12)
    x = np.linspace(0.8, 1.2, 31)
    density = shapes.signal_density("crystal_ball", x, MASS, SIGMA, columns({"alpha": alpha, "n": n}))
    np.testing.assert_allclose(density, crystalball.pdf(x, alpha, n, MASS[0], SIGMA[0]), rtol=1e-12)
    mirrored = shapes.signal_density("crystal_ball", x, MASS, SIGMA, columns({"alpha": -alpha, "n": n}))
    np.testing.assert_allclose(
        mirrored, crystalball.pdf(2 * MASS[0] - x, alpha, n, MASS[0], SIGMA[0]), rtol=1e-9
    )


@pytest.mark.parametrize("tails", [(1.0, 2.5, 2.0, 4.0), (0.4, 12.0, 0.9, 1.3), (3.0, 1.1, 0.2, 30.0)])
def test_double_crystal_ball_equals_numba_stats(tails):
    low, n_low, high, n_high = tails
    parameters = {"alpha_low": low, "n_low": n_low, "alpha_high": high, "n_high": n_high}
    mass, sigma = MASS[0], SIGMA[0]
    theirs = (low, n_low, sigma, high, n_high, sigma, mass)
    expected = np.diff(crystalball_ex.cdf(EDGES[0], *theirs))
    np.testing.assert_allclose(integrals("double_crystal_ball", **parameters), expected, atol=1e-12)
    x = np.linspace(0.8, 1.3, 31)
    density = shapes.signal_density("double_crystal_ball", x, mass, sigma, parameters)
    np.testing.assert_allclose(density, crystalball_ex.pdf(x, *theirs), rtol=1e-11)


@pytest.mark.parametrize("width", [1e-9, 0.01, 1.0, 15.0, 300.0])
def test_voigt_equals_the_integral_of_scipys_profile(width):
    cdf = shapes.SIGNALS["voigt"].cumulative
    parameters = {"width": np.array(width)}
    z = np.array([-60.0, -9.9, -3.0, 0.0, 0.7, 9.0, 9.9, 10.1, 40.0])
    value = cdf(z, parameters)
    for left, right, low, high in zip(value[:-1], value[1:], z[:-1], z[1:], strict=True):
        pieces = np.linspace(low, high, 41)
        expected = sum(
            quad(voigt_profile, a, b, (1.0, width / 2), epsabs=1e-15, epsrel=1e-12)[0]
            for a, b in itertools.pairwise(pieces)
        )
        assert right - left == pytest.approx(expected, rel=1e-9, abs=3e-13)
    np.testing.assert_allclose(value + cdf(-z, parameters), 1.0, atol=1e-13)
    assert shapes.signal_density("voigt", 1.3, 1.0, 0.2, parameters) == pytest.approx(
        voigt_profile(0.3, 0.2, 0.2 * width / 2), rel=1e-12
    )


def test_voigt_goes_over_into_its_two_parts():
    z = np.linspace(-9.0, 9.0, 181)
    cdf = shapes.SIGNALS["voigt"].cumulative
    np.testing.assert_allclose(cdf(z, {"width": np.array(0.0)}), norm.cdf(z, 0.0, 1.0), atol=1e-13)
    wide = cdf(1e6 * z, {"width": np.array(2e6)})
    np.testing.assert_allclose(wide, cauchy.cdf(z), atol=1e-11)


@pytest.mark.parametrize(("gamma", "delta"), [(0.0, 1.0), (-0.7, 1.3), (3.0, 2.5), (1.0, 20.0)])
def test_johnson_equals_scipy_at_mean_zero_and_variance_one(gamma, delta):
    mean, variance = johnsonsu.stats(gamma, delta)
    scale = 1.0 / np.sqrt(variance)
    theirs = johnsonsu(gamma, delta, loc=-mean * scale, scale=scale)
    z = np.linspace(-6.0, 6.0, 61)
    parameters = columns({"gamma": gamma, "delta": delta})
    shape = shapes.SIGNALS["johnson"]
    np.testing.assert_allclose(shape.cumulative(z, parameters), theirs.cdf(z), atol=1e-12)
    np.testing.assert_allclose(shape.density(z, parameters), theirs.pdf(z), rtol=1e-9, atol=1e-14)


def test_double_gaussian_is_the_sum_of_two():
    expected = 0.8 * np.diff(norm.cdf(EDGES[0], MASS[0], SIGMA[0]))
    expected += 0.2 * np.diff(norm.cdf(EDGES[0], MASS[0], 2.5 * SIGMA[0]))
    np.testing.assert_allclose(integrals("double_gaussian", fraction=0.2, ratio=2.5), expected, atol=1e-13)


positive = st.floats(0.1, 5.0)
power = st.floats(1.05, 50.0)
RANGES = {
    "gaussian": {},
    "double_gaussian": {"fraction": st.floats(0.0, 1.0), "ratio": st.floats(0.2, 20.0)},
    "crystal_ball": {"alpha": positive | st.floats(-5.0, -0.1), "n": power},
    "double_crystal_ball": {"alpha_low": positive, "n_low": power, "alpha_high": positive, "n_high": power},
    "voigt": {"width": st.floats(0.0, 100.0)},
    "johnson": {"gamma": st.floats(-3.0, 3.0), "delta": st.floats(0.9, 20.0)},
}


@pytest.mark.parametrize("name", shapes.SIGNALS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_cumulative_function_is_the_integral_of_the_density(name, data):
    parameters = columns({key: data.draw(values, key) for key, values in RANGES[name].items()})
    shape = shapes.SIGNALS[name]
    low = data.draw(st.floats(-30.0, 29.0), "low")
    edges = low + np.linspace(0.0, 1.0, 65)
    nodes, weights = np.polynomial.legendre.leggauss(10)
    half = 0.5 * np.diff(edges)
    x = 0.5 * (edges[1:] + edges[:-1]) + half * nodes[:, None]
    density = shape.density(x, parameters)
    assert np.all(density >= 0.0)
    total = float((weights @ density) @ half)
    got = float(shape.cumulative(edges[-1:], parameters)[0] - shape.cumulative(edges[:1], parameters)[0])
    assert got == pytest.approx(total, rel=2e-5, abs=1e-8)


@pytest.mark.parametrize("name", shapes.SIGNALS)
def test_windows_of_a_batch_do_not_see_each_other(name):
    parameters = {key: np.array([value, value * 1.1, value]) for key, value in EXAMPLES[name].items()}
    edges = np.repeat(EDGES, 3, axis=0)
    batch = shapes.signal_integrals(name, edges, np.repeat(MASS, 3), np.repeat(SIGMA, 3), parameters)
    alone = integrals(name, **EXAMPLES[name])
    np.testing.assert_array_equal(batch[0], alone)
    np.testing.assert_array_equal(batch[2], alone)
    assert 0.3 < alone.sum() <= 1.0 + 1e-12


def test_unknown_shape_and_missing_parameter_are_explained():
    with pytest.raises(InputError, match=r"unknown signal shape 'box': take one of gaussian"):
        shapes.signal_integrals("box", EDGES, MASS, SIGMA, {})
    with pytest.raises(InputError, match=r"wants the parameter 'alpha': add it under signal.parameters"):
        shapes.signal_integrals("crystal_ball", EDGES, MASS, SIGMA, {})
