"""The goodness of fit by toys: uniform where the model is true, small where it is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import Settings
from scanner.stats.asymptotic import asymptotic_limits
from scanner.stats.goodness import MOST_TOYS, goodness_of_fit


def problem(rate, windows=300, slope=1.0, bump=0.0, seed=3, bins=60):
    x = np.linspace(-1.0, 1.0, bins)
    signal = np.diff(stats.norm.cdf(np.linspace(-1.0, 1.0, bins + 1) / 0.05))
    mean = rate * (1.0 - 0.5 * slope * x) + bump * (np.abs(x - 0.6) < 0.1)
    rng = np.random.default_rng([seed, int(1e3 * rate)])
    return BinnedProblem(
        rng.poisson(mean, (windows, bins)).astype(float),
        np.tile(signal, (windows, 1)),
        np.tile(np.vstack([np.ones(bins), x]), (windows, 1, 1)),
        keys=rng.integers(0, 2**63, windows).astype(np.uint64),
    )


def qualities(batch):
    asymptotic = asymptotic_limits(batch, Settings(0.9)).fit_quality
    return asymptotic, *goodness_of_fit(batch, asymptotic)


@pytest.mark.parametrize("rate", [1.5, 4.0])
def test_true_models_have_uniform_p_values_at_low_counts(rate):
    """Those of the χ² distribution are too small."""
    asymptotic, found, toys = qualities(problem(rate, windows=400))
    assert np.all(toys >= 5)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert stats.kstest(asymptotic, "uniform").pvalue < 1e-6


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_small_p_values_of_true_models_are_as_frequent_as_they_say_in_nearly_empty_windows(rate):
    """Of all p-values that holds from an event a bin on; below, the fit takes up too much of the data."""
    asymptotic, found, _ = qualities(problem(rate, windows=1000))
    for level in (0.02, 0.1):
        assert stats.binomtest(int(np.sum(found <= level)), found.size, level).pvalue > 1e-3
    assert np.mean(asymptotic <= 0.1) < 0.02


def test_true_models_have_uniform_p_values_at_high_counts_without_toys():
    asymptotic, found, toys = qualities(problem(200.0))
    assert not toys.any()
    assert np.array_equal(asymptotic, found)
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_wrong_model_has_small_p_values():
    _, found, toys = qualities(problem(1.0, windows=100, bump=5.0))
    assert np.median(found) < 0.01
    assert toys.max() == MOST_TOYS
    assert found.min() < 1.0 / (MOST_TOYS + 1)


def test_throwing_stops_after_five_toys_that_are_as_far():
    _, found, toys = qualities(problem(1.0, windows=100))
    stopped = toys < MOST_TOYS
    assert stopped.sum() > 80
    assert np.all((found <= 5.0 / toys) & (found >= 5.0 / (toys + 1)) | ~stopped)
    assert toys.mean() < 50


def test_a_window_gives_the_same_bits_in_any_company():
    batch = problem(1.0, windows=30)
    _, found, toys = qualities(batch)
    order = np.random.default_rng(0).permutation(30)[:11]
    _, few, few_toys = qualities(batch.select(order))
    assert np.array_equal(few, found[order])
    assert np.array_equal(few_toys, toys[order])


def with_nuisance(batch, fixed=0.0):
    """The same windows with an uncertain efficiency, and a sample of known size."""
    norm = np.zeros((batch.windows, 1, 4, 2))
    norm[:, 0, 0] = [-0.1, 0.1]
    none = np.empty(0, dtype=np.int64)
    bins = batch.counts.shape[1]
    shape = np.empty((batch.windows, 0, 2, bins))
    known = np.full((batch.windows, 1, bins), fixed)
    return replace(batch, nuisances=Nuisances(("efficiency",), norm, shape, none, none, known))


def test_nuisances_of_the_signal_stay_at_their_nominal_values():
    batch = problem(1.0, windows=20)
    asymptotic, found, toys = qualities(batch)
    again, same_toys = goodness_of_fit(with_nuisance(batch), asymptotic)
    assert np.array_equal(again, found)
    assert np.array_equal(same_toys, toys)


def test_samples_of_known_size_leave_the_asymptotic_values():
    batch = problem(1.0, windows=20)
    asymptotic = qualities(batch)[0]
    found, toys = goodness_of_fit(with_nuisance(batch, fixed=0.1), asymptotic)
    assert np.array_equal(found, asymptotic)
    assert not toys.any()


def test_windows_without_a_fit_have_none():
    batch = problem(1.0, windows=2)
    empty = BinnedProblem(0.0 * batch.counts, batch.signal, batch.background)
    _, found, toys = qualities(empty)
    assert np.isnan(found).all()
    assert not toys.any()
