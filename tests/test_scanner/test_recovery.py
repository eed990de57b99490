"""Every rung of the ladder of fits, reached by counts and templates alone, and the record of attempts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.minuit import fit_window
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import Settings
from scanner.stats.asymptotic import asymptotic_limits
from scanner.stats.recovery import (
    ATTEMPT_MEANINGS,
    IMINUIT,
    INTERIOR,
    NEWTON,
    RESCALED,
    orthonormal_terms,
    recover,
    rungs,
)

SETTINGS = Settings(0.9)


def powers(low, high, terms, bins=100):
    """Bin integrals of 1, m, m², … for masses from `low` to `high`."""
    edges = np.linspace(low, high, bins + 1)
    return np.array([np.diff(edges ** (k + 1)) / (k + 1) for k in range(terms)])


def chebyshevs(terms, bins=100):
    edges = np.linspace(-1.0, 1.0, bins + 1)
    return np.array([np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)])


def problem(background, rate, slope=0.5, windows=20, seed=1):
    bins = background.shape[1]
    signal = np.diff(norm.cdf(np.linspace(-20.0, 20.0, bins + 1)))
    mean = rate * np.exp(-slope * np.linspace(0.0, 1.0, bins))
    counts = np.random.default_rng(seed).poisson(mean, (windows, bins)).astype(float)
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), np.tile(background, (windows, 1, 1)))


def limits_of(batch):
    return asymptotic_limits(batch, SETTINGS)


def recovered(batch):
    return recover(batch, limits_of(batch), limits_of)


def statuses(limits):
    return {STATUS_MEANINGS[code] for code in limits.status}


def test_many_events_need_newton_alone():
    found = recovered(problem(chebyshevs(3), 500.0))
    assert set(found.attempts) == {NEWTON}
    assert set(rungs(found)) == {NEWTON}


def test_empty_bins_that_stop_newton_need_the_interior_point():
    found = recovered(problem(chebyshevs(4), 0.1))
    chosen = np.array([STATUS_MEANINGS[code] == "positivity_boundary" for code in found.status])
    assert chosen.sum() > 10
    assert set(rungs(found)[chosen]) == {INTERIOR}
    assert set(found.attempts[chosen]) == {NEWTON | INTERIOR}


def test_powers_of_a_mass_far_from_zero_need_orthonormal_terms():
    """1, m, m², m³ between 10.0 and 10.2 GeV are the same to 14 digits, and span what Chebyshevs do."""
    batch = problem(powers(10.0, 10.2, 4), 500.0)
    assert statuses(limits_of(batch)) == {"terms_not_separable"}
    found = recovered(batch)
    assert statuses(found) == {"ok"}
    assert set(rungs(found)) == {RESCALED}
    assert np.all(found.attempts & NEWTON)
    known = limits_of(problem(chebyshevs(4), 500.0))
    assert found.signal_yield == pytest.approx(known.signal_yield, rel=1e-5, abs=1e-5)
    assert found.signal_yield_error == pytest.approx(known.signal_yield_error, rel=1e-6)
    assert found.yield_limit == pytest.approx(known.yield_limit, rel=1e-5)
    assert found.expected == pytest.approx(known.expected, rel=1e-5)
    assert found.fit_quality == pytest.approx(known.fit_quality, rel=1e-5)


def test_coefficients_come_back_in_the_original_terms():
    """They give the background of the fit with Chebyshevs, as far as their cancellation allows."""
    batch, known = problem(powers(10.0, 10.2, 4), 500.0), problem(chebyshevs(4), 500.0)
    found = recovered(batch).background_coefficients
    background = np.einsum("wk,wkb->wb", found, batch.background)
    expected = np.einsum("wk,wkb->wb", limits_of(known).background_coefficients, known.background)
    assert background == pytest.approx(expected, rel=1e-4)


def test_orthonormal_terms_span_the_same_backgrounds():
    batch = problem(powers(1.0, 1.4, 5), 30.0)
    terms, triangles = orthonormal_terms(batch)
    assert np.einsum("wjb,wjk->wkb", terms, triangles) == pytest.approx(batch.background, rel=1e-9)
    weights = 1.0 / np.maximum(batch.counts, 1.0)
    gram = np.einsum("wjb,wb,wkb->wjk", terms, weights, terms)
    assert gram == pytest.approx(np.tile(np.eye(5), (batch.windows, 1, 1)), abs=1e-12)


def test_where_both_minimisers_fail_iminuit_finds_the_minimum():
    """Powers up to the seventh on a steep spectrum with empty bins: iminuit first, then orthonormal terms.

    In such powers iminuit, too, is off by a part of an error; orthonormal terms are not.
    """
    batch = problem(powers(100.0, 300.0, 8), 348.0, slope=10.0, windows=200)
    first = limits_of(batch)
    asked = np.flatnonzero(first.attempts & IMINUIT)
    answered = asked[first.status[asked] == 3]
    assert answered.size >= 5
    assert {STATUS_MEANINGS[code] for code in first.status[answered]} == {"second_opinion"}
    assert set(rungs(first)[answered]) == {IMINUIT}
    found = recover(batch, first, limits_of)
    assert set(rungs(found)[asked]) == {RESCALED}
    assert np.all(found.attempts[asked] & (IMINUIT | RESCALED) == IMINUIT | RESCALED)
    assert np.isfinite(found.yield_limit[asked]).all()
    better = problem(chebyshevs(8), 348.0, slope=10.0, windows=200)
    for w in answered[:3]:
        opinion = fit_window(better, int(w))
        assert found.signal_yield[w] == pytest.approx(opinion.signal_yield, abs=0.02 * opinion.error)
        assert first.signal_yield[w] == pytest.approx(opinion.signal_yield, abs=0.2 * opinion.error)


def test_terms_that_are_the_same_stay_a_failure_with_a_record():
    same = np.vstack([chebyshevs(2), chebyshevs(2)[1]])
    found = recovered(problem(same, 100.0))
    assert statuses(found) == {"terms_not_separable"}
    assert set(rungs(found)) == {0}
    assert np.all(found.attempts & RESCALED)
    assert np.isnan(found.yield_limit).all()


def test_windows_that_need_no_help_keep_their_bits():
    good, bad = problem(chebyshevs(4), 500.0), problem(powers(10.0, 10.2, 4), 500.0)
    mixed = BinnedProblem(
        np.concatenate([good.counts, bad.counts]),
        np.concatenate([good.signal, bad.signal]),
        np.concatenate([good.background, bad.background]),
    )
    found, alone = recovered(mixed), recovered(good)
    for name in ("yield_limit", "signal_yield", "background_coefficients", "attempts", "method"):
        assert np.array_equal(getattr(found, name)[:20], getattr(alone, name))
    assert np.array_equal(found.yield_limit[20:], recovered(bad).yield_limit)


def with_efficiency(batch, sample=0):
    """The same windows with an uncertainty of 10% on a sample: the signal, or a background term."""
    terms = batch.background.shape[1]
    norm = np.zeros((batch.windows, 1, 1 + terms, 2))
    norm[:, 0, sample] = [-0.1, 0.1]
    none, bins = np.empty(0, dtype=np.int64), batch.counts.shape[1]
    empty = np.empty((batch.windows, 0, 2, bins))
    known = np.empty((batch.windows, 0, bins))
    return replace(batch, nuisances=Nuisances(("efficiency",), norm, empty, none, none, known))


def test_nuisances_of_the_signal_do_not_mind_other_terms():
    batch = with_efficiency(problem(powers(10.0, 10.2, 4), 500.0, windows=5))
    assert statuses(limits_of(batch)) == {"terms_not_separable"}
    found = recovered(batch)
    known = limits_of(with_efficiency(problem(chebyshevs(4), 500.0, windows=5)))
    assert set(rungs(found)) == {RESCALED}
    assert found.yield_limit == pytest.approx(known.yield_limit, rel=1e-5)


def test_nuisances_of_a_term_keep_the_terms_as_they_are():
    batch = with_efficiency(problem(powers(10.0, 10.2, 4), 500.0, windows=5), sample=2)
    found = recovered(batch)
    assert not np.any(found.attempts & RESCALED)
    assert np.isnan(found.yield_limit).all()


def test_an_empty_window_was_not_tried():
    found = recovered(problem(chebyshevs(2), 1e-12))
    assert statuses(found) == {"empty_window"}
    assert set(found.attempts) == set(rungs(found)) == {0}
    assert ATTEMPT_MEANINGS[NEWTON] == "newton"
