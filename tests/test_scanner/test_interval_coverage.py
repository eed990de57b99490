"""Coverage of Bayesian limits and of unified intervals at few and at many events."""

import numpy as np
import pytest
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import Settings
from scanner.stats.neyman import intervals_cover
from scanner.stats.posterior import credible_limits_cover


def experiments(background, signal_yield, count, seed):
    """Windows of 20 bins whose flat background holds `background` events per two resolutions."""
    edges = np.linspace(-5.0, 5.0, 21)
    signal = np.diff(norm.cdf(edges))
    expected = np.full(20, background / 4.0) + signal_yield * signal
    counts = np.random.default_rng(seed).poisson(expected, (count, 20)).astype(float)
    keys = np.arange(count, dtype=np.uint64) + np.uint64(1000 * seed)
    return BinnedProblem(counts, np.tile(signal, (count, 1)), np.ones((count, 1, 20)), keys=keys)


def check(covers, background, signal_yield, count, *, at_most=1.0):
    found = covers(experiments(background, signal_yield, count, 7), signal_yield, Settings(0.9, toys=500))
    assert not np.isnan(found).any()
    error = np.sqrt(0.09 / count)
    assert found.mean() > 0.9 - 3.0 * error
    assert found.mean() < at_most + 3.0 * error


@pytest.mark.parametrize(("background", "signal_yield"), [(0.3, 3.0), (3.0, 5.0), (100.0, 20.0)])
def test_bayesian_limits_cover(background, signal_yield):
    check(credible_limits_cover, background, signal_yield, 150)


@pytest.mark.parametrize(("background", "signal_yield"), [(1.0, 3.0), (10.0, 8.0)])
def test_unified_intervals_cover(background, signal_yield):
    check(intervals_cover, background, signal_yield, 100, at_most=0.96)


@pytest.mark.slow
@pytest.mark.parametrize("background", [0.1, 0.3, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("covers", [credible_limits_cover, intervals_cover])
def test_coverage_at_many_yields(covers, background):
    for scale in (0.5, 1.0, 2.0):
        check(covers, background, scale * (2.3 + 1.3 * np.sqrt(background)), 1000)
