"""Unified intervals of windows against published tables, brute force and the Gaussian limit."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm, poisson

from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHOD_MEANINGS, METHODS, Settings
from scanner.stats.construction import last_crossings
from scanner.stats.on_off import best_signal, minus_two_log_likelihood, profiled_background


def test_counts_without_background_are_the_published_table():
    counts = np.array([[1.0], [3.0], [10.0]])
    problem = BinnedProblem(counts, np.ones((3, 1)), np.zeros((3, 0, 1)))
    limits = METHODS["feldman_cousins"](problem, Settings(0.9, toys=20_000))
    assert limits.yield_lower == pytest.approx([0.11, 1.10, 5.50], abs=0.04)
    assert limits.yield_limit == pytest.approx([4.36, 7.42, 16.50], abs=0.08)
    assert [METHOD_MEANINGS[code] for code in limits.method] == ["feldman_cousins"] * 3
    assert np.all(limits.toys > 0)
    assert np.all(limits.toys_failed == 0)


def ratio(s, n, m, tau):
    best = max(best_signal(n, m, tau), 0.0)
    return minus_two_log_likelihood(s, n, m, tau) - minus_two_log_likelihood(best, n, m, tau)


def acceptance(s, n, m, tau):
    """Sum P(n', m') of all outcomes that are at most as likely as the observed one."""
    b = profiled_background(s, n, m, tau)
    own = ratio(s, n, m, tau)
    on = np.arange(poisson.ppf(1e-5, s + b), poisson.isf(1e-5, s + b) + 1)
    off = np.arange(poisson.ppf(1e-5, tau * b), poisson.isf(1e-5, tau * b) + 1)
    less = np.array([[ratio(s, i, j, tau) >= own - 1e-9 for j in off] for i in on])
    return poisson.pmf(on, s + b) @ less @ poisson.pmf(off, tau * b)


def test_a_sideband_against_the_brute_force_construction():
    n, m, tau = 7, 8, 2.0
    problem = BinnedProblem(np.array([[n, m]], float), np.array([[1.0, 0.0]]), np.array([[[1.0, tau]]]))
    limits = METHODS["feldman_cousins"](problem, Settings(0.9, toys=10_000))
    scan = np.arange(limits.yield_limit[0] + 1.0, 2.0, -0.1)
    high = next(s for s in scan if acceptance(s, n, m, tau) > 0.1)
    assert limits.yield_limit[0] == pytest.approx(high, abs=0.25)
    assert (limits.yield_lower[0] == 0.0) == (acceptance(0.0, n, m, tau) > 0.1)


def gaussian_interval(x, level):
    """Both ends for a measurement x of unit error of a mean that is not negative."""

    def outside(mean):
        own = ordering(x, mean)
        if mean == 0.0:
            return norm.sf(np.sqrt(own))
        low = mean - np.sqrt(own)
        if low < 0.0:
            low = (mean * mean - own) / (2.0 * mean)
        return norm.cdf(low - mean) + norm.sf(np.sqrt(own))

    def ordering(y, mean):
        return (y - mean) ** 2 - (min(y, 0.0) ** 2)

    high = brentq(lambda mean: outside(mean) - (1.0 - level), max(x, 0.0) + 1e-6, max(x, 0.0) + 6.0)
    low = (
        0.0
        if x <= 0.0 or outside(0.0) > 1.0 - level
        else brentq(lambda mean: outside(mean) - (1.0 - level), 1e-9, x - 1e-6)
    )
    return low, high


@pytest.mark.parametrize("x", [-1.0, 0.5, 2.5])
def test_many_counts_are_the_gaussian_construction(x):
    b, tau = 1e5, 1.0
    sigma = np.sqrt(2.0 * b)
    n = np.round(b + x * sigma / 2.0)
    m = np.round(b - x * sigma / 2.0)
    problem = BinnedProblem(np.array([[n, m]]), np.array([[1.0, 0.0]]), np.array([[[1.0, tau]]]))
    limits = METHODS["feldman_cousins"](problem, Settings(0.9, toys=10_000))
    low, high = gaussian_interval((n - m) / sigma, 0.9)
    assert limits.yield_limit[0] / sigma == pytest.approx(high, abs=0.05)
    assert limits.yield_lower[0] / sigma == pytest.approx(low, abs=0.05)
    # Upper ends of background-only data: those of x at the quantiles of the normal distribution.
    for i, quantile in ((1, 0.16), (2, 0.5), (3, 0.84)):
        expected = gaussian_interval(norm.ppf(quantile), 0.9)[1]
        assert limits.expected[0, i] / sigma == pytest.approx(expected, abs=0.25)


def test_last_crossing_is_interpolated():
    yields, critical = np.array([1.0, 2.0, 3.0]), np.full(3, 4.0)
    ratios = np.array([[0.0, 1.0, 9.0], [9.0, 1.0, 16.0], [16.0, 25.0, 36.0], [0.0, 0.0, 1.0]])
    found = last_crossings(yields, ratios, critical)
    assert found[:3] == pytest.approx([2.5, 2.0 + 1.0 / 3.0, 0.5])
    assert np.isnan(found[3])
