"""Toys against the ordinary fit: the same q̃_μ, whatever the counts, and nothing but their coordinates."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm, poisson

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.pseudo import BACKGROUND_STREAM, SIGNAL_STREAM, LinearWindow
from scanner.stats.sampling import poisson_toys

BINS = 60


def window(rate, terms=3, seed=1, signal_yield=0.0):
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    signal = np.diff(norm.cdf(edges / 0.1))
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) / 2 for row in np.eye(terms)]
    mean = rate * (1.0 - 0.4 * np.linspace(-1.0, 1.0, BINS)) + signal_yield * signal
    counts = np.random.default_rng([seed, terms]).poisson(mean).astype(float)
    counts[BINS // 2] += counts.sum() == 0.0
    return BinnedProblem(counts[None], signal[None], np.array(rows)[None], keys=np.array([77], np.uint64))


def ordinary_q(problem, counts, signal_yield):
    """Return q̃_μ (1007.1727, eq. 16) by the fits of data; windows without events are left NaN."""
    many = BinnedProblem(
        counts,
        np.tile(problem.signal, (len(counts), 1)),
        np.tile(problem.background, (len(counts), 1, 1)),
    )
    free, zero = fit(many), fit(many, np.zeros(len(counts)))
    fixed = fit(many, np.full(len(counts), signal_yield))
    reference = np.where(free.yields > 0.0, free.nll, zero.nll)
    q = np.where(free.yields > signal_yield, 0.0, np.maximum(2.0 * (fixed.nll - reference), 0.0))
    statuses = [free.status, zero.status, fixed.status]
    return np.where(np.all(np.isin(statuses, USABLE), axis=0), q, np.nan)


def truths(problem, signal_yield):
    """Return the expectations without and with signal, from the fits to the data."""
    found = []
    for value in (0.0, signal_yield):
        result = fit(problem, np.array([value]))
        total = result.background[0] @ problem.background[0] + value * problem.signal[0]
        found.append(np.maximum(total, 0.0))
    return found


@pytest.mark.parametrize("terms", [1, 3, 4])
@pytest.mark.parametrize("rate", [300.0, 30.0, 4.0, 1.0, 0.2, 0.05])
def test_q_of_every_toy_is_that_of_the_ordinary_fit(rate, terms):
    problem = window(rate, terms)
    toys = LinearWindow(problem, 0)
    for multiple in (0.5, 2.0):
        signal_yield = multiple * max(toys.spread, 1.5)
        sample = toys.sample(signal_yield, 150)
        null, alternative = truths(problem, signal_yield)
        for q, mean, stream in (
            (sample.background, null, BACKGROUND_STREAM),
            (sample.signal, alternative, SIGNAL_STREAM),
        ):
            counts = poisson_toys(mean, 77, 0, 150, stream=int(stream))
            expected = ordinary_q(problem, counts, signal_yield)
            known = counts.sum(axis=1) > 0.0
            assert np.array_equal(known, np.isfinite(expected))
            assert np.isfinite(q).all()
            assert np.abs(np.sqrt(q[known]) - np.sqrt(expected[known])).max() < 1e-5
        assert sample.observed == pytest.approx(
            ordinary_q(problem, problem.counts, signal_yield)[0], abs=1e-8, rel=1e-8
        )


HELD = [
    (0.017337665350655028, 1, 467736, 4.5, SIGNAL_STREAM),
    (0.024229554961927337, 1, 815033, 15.0, SIGNAL_STREAM),
    (0.025881689146602087, 1, 565348, 4.5, SIGNAL_STREAM),
    (0.09412752786341282, 3, 340114, 1.5, BACKGROUND_STREAM),
    (0.10278178329020983, 4, 380, 20.176550346454043, BACKGROUND_STREAM),
]
"""Windows with toys that two bins with nearly equal templates hold at zero, of which one must let go."""


@pytest.mark.parametrize(("rate", "terms", "seed", "signal_yield", "stream"), HELD)
def test_bins_that_are_held_are_empty(rate, terms, seed, signal_yield, stream):
    problem = window(rate, terms, seed)
    sample = LinearWindow(problem, 0).sample(signal_yield, 60)
    q = sample.signal if stream == SIGNAL_STREAM else sample.background
    mean = truths(problem, signal_yield)[int(stream == SIGNAL_STREAM)]
    expected = ordinary_q(problem, poisson_toys(mean, 77, 0, 60, stream=int(stream)), signal_yield)
    known = np.isfinite(expected)
    assert known.sum() > 20
    np.testing.assert_allclose(q[known], expected[known], atol=1e-8, rtol=1e-7)


def test_ratios_are_those_of_the_two_truths():
    problem, signal_yield = window(2.0), 6.0
    sample = LinearWindow(problem, 0).sample(signal_yield, 100)
    null, alternative = truths(problem, signal_yield)
    rows = (
        (sample.signal_log_ratio, alternative, SIGNAL_STREAM, np.full(100, True)),
        (sample.background_log_ratio, null, BACKGROUND_STREAM, sample.background > 0.0),
    )
    for ours, mean, stream, told in rows:
        counts = poisson_toys(mean, 77, 0, 100, stream=int(stream))
        theirs = poisson.logpmf(counts, alternative).sum(axis=1) - poisson.logpmf(counts, null).sum(axis=1)
        assert told.sum() > 40
        assert ours[told] == pytest.approx(theirs[told], abs=2e-5)  # each truth is fitted twice, to 5e-6 σ


@pytest.mark.parametrize("rate", [5.0, 0.5, 0.05])
def test_more_toys_begin_with_the_same_ones(rate):
    problem = window(rate)
    few, many = LinearWindow(problem, 0), LinearWindow(problem, 0)
    first = few.sample(10.0, 50)
    many.sample(3.0, 20)
    second = many.sample(10.0, 200)
    assert first.observed == second.observed
    assert np.array_equal(first.signal, second.signal[:50])
    assert np.array_equal(first.background, second.background[:50])


def test_excesses_follow_the_half_chi_square_of_many_events():
    _, q = LinearWindow(window(200.0), 0).excesses(20_000)
    assert np.mean(q == 0.0) == pytest.approx(0.5, abs=0.015)
    for z in (1.0, 2.0):
        tail = norm.sf(z)
        assert np.mean(q >= z * z) == pytest.approx(tail, abs=4.0 * np.sqrt(tail / 20_000))


def test_bins_without_expectation_change_nothing():
    problem = window(3.0)
    blank = np.zeros((1, 5))
    wider = BinnedProblem(
        np.hstack([problem.counts, blank]),
        np.hstack([problem.signal, blank]),
        np.concatenate([problem.background, np.zeros((1, 3, 5))], axis=2),
        keys=problem.keys,
    )
    plain, padded = LinearWindow(problem, 0).sample(8.0, 100), LinearWindow(wider, 0).sample(8.0, 100)
    assert np.array_equal(plain.signal, padded.signal)
    assert np.array_equal(plain.background, padded.background)


def test_events_where_none_are_possible_are_told():
    problem = BinnedProblem(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]]), np.array([[[1.0, 0.0]]]))
    assert LinearWindow(problem, 0).status not in USABLE
