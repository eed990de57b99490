"""Bayesian limits of windows against brute-force quadrature and against the exact on/off calculator."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.integrate import cumulative_simpson, simpson
from scipy.stats import norm, poisson

from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHOD_MEANINGS, METHODS, Settings, calculate
from scanner.stats.bayesian import bayesian_limit
from scanner.stats.intervals import credible_intervals
from scanner.stats.posterior import RELATIVE_ERROR, band, credible, proposal_points

BINS = 24


def windows(rate, terms, count=3, seed=2):
    edges = np.linspace(-6.0, 6.0, BINS + 1)
    signal = np.diff(norm.cdf(edges))
    whole = [chebyshev.chebval(edges / 6.0, chebyshev.chebint(row)) for row in np.eye(terms)]
    columns = [np.diff(integral) * BINS / 2 for integral in whole]
    background = np.array(columns).reshape(terms, BINS)
    counts = np.random.default_rng([seed, terms, int(1000 * rate)]).poisson(rate, (count, BINS))
    return BinnedProblem(
        counts.astype(float), np.tile(signal, (count, 1)), np.tile(background, (count, 1, 1))
    )


def on_off(n, m, tau):
    return BinnedProblem(np.array([[n, m]], float), np.array([[1.0, 0.0]]), np.array([[[1.0, tau]]]))


def observed(problem, settings):
    return credible(problem, 0, problem.counts[:1], settings, RELATIVE_ERROR).limits[0]


def middles(size):
    return (np.arange(size) + 0.5) / size


def brute_force(problem, settings, top, grids):
    """Sum the posterior of window 0 over a grid of background coefficients and of u = s^γ."""
    power = {"flat in yield": 1.0, "1/sqrt(yield)": 0.5, "flat in coupling": 1.0 / settings.power}
    gamma = power[settings.prior]
    u = np.linspace(0.0, top**gamma, 61)
    counts, signal = problem.counts[0], problem.signal[0]
    mesh = np.stack([axis.ravel() for axis in np.meshgrid(*grids, indexing="ij")])
    background = mesh.T @ problem.background[0]
    background = background[np.all(background >= 0.0, axis=1)]
    logs = []
    for s in u ** (1.0 / gamma):
        nu = np.maximum(background + s * signal, 1e-300)
        logs.append(np.logaddexp.reduce(np.log(nu) @ counts - nu.sum(axis=1)))
    density = np.exp(np.array(logs) - np.max(logs))
    cumulative = cumulative_simpson(density, x=u, initial=0.0)
    return np.interp(settings.confidence_level, cumulative / cumulative[-1], u) ** (1.0 / gamma)


PRIORS = [("flat in yield", 2.0), ("1/sqrt(yield)", 2.0), ("flat in coupling", 4.0)]


@pytest.mark.parametrize(("prior", "power"), PRIORS)
@pytest.mark.parametrize(
    ("rate", "low", "high"),
    [(0.1, (0.0, -0.8), (0.8, 0.8)), (1.0, (0.0, -2.0), (2.5, 2.0)), (30.0, (24.0, -9.0), (36.0, 9.0))],
)
def test_two_terms_against_brute_force(rate, low, high, prior, power):
    problem, settings = windows(rate, 2), Settings(0.9, prior=prior, power=power)
    grids = (low[0] + (high[0] - low[0]) * middles(120), low[1] + (high[1] - low[1]) * middles(90))
    limit = observed(problem, settings)
    assert limit == pytest.approx(
        brute_force(problem, settings, 12.0 * max(limit / 4.0, 1.0), grids), rel=0.01
    )


@pytest.mark.parametrize("prior", ["flat in yield", "1/sqrt(yield)"])
def test_three_terms_against_brute_force(prior):
    problem, settings = windows(0.3, 3), Settings(0.9, prior=prior)
    grids = (1.5 * middles(44), 3.0 * middles(44) - 1.5, 3.0 * middles(44) - 1.5)
    assert observed(problem, settings) == pytest.approx(
        brute_force(problem, settings, 15.0, grids), rel=0.015
    )


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(
    ("n", "m", "tau"),
    [(0, 5, 5.0), (2, 1, 10 / 3), (2, 10, 5.0), (6, 11, 2.0), (3, 0, 20.0), (500, 600, 1.0)],
)
def test_one_bin_with_a_sideband_is_the_exact_calculator(n, m, tau, level):
    exact = calculate(n, off=m, tau=tau, method="bayesian", confidence_level=level).limit
    assert observed(on_off(n, m, tau), Settings(level)) == pytest.approx(exact, rel=0.005)


def test_stated_error_is_the_scatter_over_keys():
    base = on_off(6, 11, 2.0)
    exact = calculate(6, off=11, tau=2.0, method="bayesian").limit
    pulls = []
    for key in range(60):
        problem = BinnedProblem(base.counts, base.signal, base.background, keys=np.array([key], np.uint64))
        found = credible(problem, 0, problem.counts, Settings(0.9), 0.02)
        pulls.append((found.limits[0] - exact) / found.errors[0])
    assert np.std(pulls) < 1.6
    assert abs(np.mean(pulls)) < 0.6


def test_the_stated_error_of_an_observed_limit_is_in_the_result():
    limits = METHODS["bayesian"](windows(3.0, 2), Settings(0.9, toys=5))
    assert np.all(limits.yield_limit_error > 0.0)
    assert np.all(limits.yield_limit_error <= RELATIVE_ERROR * limits.yield_limit)


def on_off_posterior(n, m, tau):
    """ln p(s) of an on/off experiment, its background summed over by scipy."""
    b = np.linspace(1e-6, (m + 10.0 * np.sqrt(m + 1.0) + 20.0) / tau, 1001)
    s = np.linspace(0.0, n + 10.0 * np.sqrt(n + 1.0) + 10.0, 2001)
    weight = poisson.pmf(m, tau * b)
    return s, np.array([simpson(poisson.pmf(n, value + b) * weight, x=b) for value in s])


@pytest.mark.parametrize(("n", "m", "tau"), [(2, 6, 3.0), (12, 6, 3.0), (40, 20, 2.0)])
def test_shortest_interval_against_a_threshold_of_the_density(n, m, tau):
    """The shortest interval holds the yields of largest density."""
    s, density = on_off_posterior(n, m, tau)
    falling = np.sort(density)[::-1]
    threshold = falling[np.searchsorted(np.cumsum(falling), 0.9 * falling.sum())]
    inside = s[density >= threshold]
    found = credible_intervals(on_off(n, m, tau), Settings(0.9))
    step = s[1] - s[0]
    assert found.low[0] == pytest.approx(inside[0], abs=0.01 * inside[-1] + step)
    assert found.high[0] == pytest.approx(inside[-1], rel=0.01, abs=step)
    assert found.high_error[0] < 0.01 * found.high[0]
    assert (found.low[0] == 0.0) == (inside[0] == 0.0)


def test_empty_window_excludes_minus_log_alpha():
    limits = METHODS["bayesian"](windows(0.0, 3), Settings(0.95, toys=20))
    assert limits.yield_limit == pytest.approx(-np.log(0.05) / windows(0.0, 3).signal.sum(axis=1), rel=1e-6)
    assert [METHOD_MEANINGS[code] for code in limits.method] == ["bayesian"] * 3


def test_large_counts_are_the_truncated_gaussian():
    problem = windows(1e5, 2)
    limits = METHODS["bayesian"](problem, Settings(0.9, toys=20))
    z = limits.signal_yield / limits.signal_yield_error
    gaussian = limits.signal_yield + limits.signal_yield_error * norm.isf(0.1 * norm.cdf(z))
    assert limits.yield_limit == pytest.approx(gaussian, rel=0.01)


def test_expected_limits_are_those_of_the_sampled_on_off_experiments():
    """The band against the exact limits of toys of both counts, thrown by numpy."""
    n, m, tau = 9, 30, 3.0
    b = (n + m) / (1.0 + tau)
    rng = np.random.default_rng(3)
    pairs = [(rng.poisson(b), rng.poisson(tau * b)) for _ in range(200)]
    exact = [bayesian_limit(i, (j + 1.0) / tau, 0.9, spread=1.0 / tau) for i, j in pairs]
    expected = METHODS["bayesian"](on_off(n, m, tau), Settings(0.9)).expected[0]
    # 200 toys know their median to 1.25 σ/√200, and their 16% and 84% points to 1.5 σ/√200.
    sigma = 0.5 * (np.quantile(exact, 0.84) - np.quantile(exact, 0.16))
    for i, quantile in ((1, 0.16), (2, 0.5), (3, 0.84)):
        assert expected[i] == pytest.approx(np.quantile(exact, quantile), abs=0.4 * sigma)


def test_a_failed_toy_counts_as_the_largest_limit():
    assert band(np.array([1.0, 2.0, 3.0, np.nan])).tolist()[:3] == [1.0, 1.0, 2.0]
    assert np.isnan(band(np.array([1.0, 2.0, 3.0, np.nan]))[4])


def test_impossible_window_has_no_limit():
    counts = np.array([[1.0, 2.0]])
    problem = BinnedProblem(counts, np.array([[1.0, 0.0]]), np.array([[[1.0, 0.0]]]))
    limits = METHODS["bayesian"](problem, Settings(0.9, toys=5))
    assert np.isnan(limits.yield_limit[0])
    assert METHOD_MEANINGS[limits.method[0]] == "none"


def test_points_follow_from_the_key_and_have_the_scale_of_their_density():
    points, log_density = proposal_points(7, 256, 3)
    again, _ = proposal_points(7, 256, 3)
    assert np.array_equal(points, again)
    assert not np.array_equal(points, proposal_points(8, 256, 3)[0])
    assert points.reshape(-1, 3).var(axis=0) == pytest.approx(np.full(3, 5.0 / 3.0), rel=0.1)
    assert log_density.shape == (8, 256)
