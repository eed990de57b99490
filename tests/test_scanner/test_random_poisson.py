"""Poisson toys against scipy: draw by draw, in the tails, and in distribution."""

import numpy as np
import pytest
from scipy.special import gammaincc, ndtr
from scipy.stats import chisquare, poisson

from scanner.errors import InputError
from scanner.kernels.toys import poisson as kernel
from scanner.kernels.toys.random import random_words
from scanner.stats.sampling import normal_numbers, poisson_toys

TABULATED = [1e-9, 1e-3, 0.01, 0.3, 1.0, 2.5, 10.0, 47.3, 100.0, 513.7, 3000.0, 8191.9]


def uniforms(key, toy, bins, stream=0):
    words = np.empty(bins + bins % 2, np.uint64)
    random_words(np.uint64(key), np.uint64(stream), np.uint64(toy), words)
    return (words[:bins] >> np.uint64(11)).astype(float) * 2.0**-53


@pytest.mark.parametrize("mean", TABULATED)
def test_every_draw_is_the_inverse_of_the_cumulative_distribution(mean):
    bins, toys = 501, 20
    counts = poisson_toys(np.full(bins, mean), key=11, first=5, count=toys)
    u = np.array([uniforms(11, 5 + t, bins) for t in range(toys)])
    assert np.array_equal(counts, np.maximum(poisson.ppf(u, mean), 0.0))


@pytest.mark.parametrize("mean", TABULATED)
def test_both_tails_of_the_tables(mean):
    plan, _, thresholds, _, _ = kernel.tabulate(np.array([mean]))
    counts = int(plan[kernel.FIRST, 0]) + np.arange(thresholds.size)
    below, above = poisson.cdf(counts, mean), poisson.sf(counts, mean)
    lower, upper = below * 2.0**64 > 1e4, above * 2.0**64 > 1e4
    ours = thresholds.astype(float) / 2.0**64
    ours_above = (np.uint64(2**64 - 1) - thresholds).astype(float) / 2.0**64
    assert ours[lower] == pytest.approx(below[lower], rel=1e-3 if mean < 1.0 else 1e-4)
    assert ours_above[upper] == pytest.approx(above[upper], rel=1e-4)
    assert poisson.cdf(counts[0] - 1, mean) < 1e-19
    assert poisson.sf(counts[-1], mean) < 1e-19


@pytest.mark.parametrize("mean", [1.01 * kernel.LARGE, 1e5, 1e6, 1e8])
def test_expansion_above_the_tables(mean):
    """x with P(N < x) = Φ(w), by the incomplete Gamma function.

    scipy's own is off by 1e-6 between 4.5 and 5.4 σ above a shape of 1e7, and right on both sides.
    """
    w = np.linspace(-6.0, 6.0 if mean < 1e7 else 4.4, 241)
    root, s = np.sqrt(mean), w * w
    x = mean + root * w + (2 + s) / 6 - w * (2 + s) / (72 * root) + (-16 + s * (7 + 3 * s)) / (810 * mean)
    assert gammaincc(x, mean) == pytest.approx(ndtr(w), abs=1e-8)
    ours = np.array([kernel._expand(mean, value) for value in w])
    assert np.array_equal(ours, np.floor(x))


@pytest.mark.parametrize("mean", [*TABULATED[1:], 9000.0, 1e6, 1e9])
def test_distribution(mean):
    counts = poisson_toys(np.full(100, mean), key=2, first=0, count=2000).ravel()
    edges = np.unique(poisson.ppf(np.linspace(0.0, 1.0, 41)[1:-1], mean))
    expected = np.diff(np.concatenate([[0.0], poisson.cdf(edges, mean), [1.0]])) * counts.size
    observed = np.bincount(np.searchsorted(edges, counts), minlength=edges.size + 1)
    if np.sum(expected > 5.0) > 1:
        assert chisquare(observed[expected > 5.0], expected[expected > 5.0], sum_check=False).pvalue > 1e-4
    assert counts.mean() == pytest.approx(mean, abs=5.0 * np.sqrt(mean / counts.size))


def test_a_toy_can_be_thrown_again_alone():
    mean = np.geomspace(1e-3, 1e5, 33)
    toys = poisson_toys(mean, key=2**64 - 1, first=0, count=50)
    assert np.array_equal(poisson_toys(mean, key=2**64 - 1, first=49, count=1)[0], toys[49])
    assert np.array_equal(poisson_toys(mean[:20], key=2**64 - 1, first=0, count=50)[:, :10], toys[:, :10])
    assert not np.array_equal(poisson_toys(mean, key=2**64 - 1, first=0, count=50, stream=1), toys)


def test_counts_rise_with_the_mean():
    base = np.geomspace(1e-2, 2e4, 200)
    before = poisson_toys(base, key=5, first=0, count=200)
    for factor in (1.001, 1.1, 3.0):
        after = poisson_toys(base * factor, key=5, first=0, count=200)
        assert np.all(after >= before)
        before = after


def test_no_events_of_no_expectation():
    assert np.all(poisson_toys(np.zeros(7), key=1, first=0, count=1000) == 0.0)


@pytest.mark.parametrize("bad", [[-1.0], [np.nan], [np.inf], [1e13], [[1.0]]])
def test_bad_expectations_are_refused(bad):
    with pytest.raises(InputError, match="expectations"):
        poisson_toys(np.array(bad), key=1, first=0, count=1)


def test_normal_numbers_follow_from_key_stream_and_toy():
    numbers = normal_numbers(3, 4, 9)
    assert np.array_equal(normal_numbers(3, 4, 5), numbers[:5])
    assert not np.any(normal_numbers(3, 5, 9) == numbers)
    assert not np.any(normal_numbers(3, 4, 9, stream=1) == numbers)
