"""Batched fits against iminuit, their statuses, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.errors import InputError
from scanner.kernels.linear.window import NOT_CONVERGED
from scanner.likelihoods import fit as fitting
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS, expectation, fit
from scanner.likelihoods.minuit import fit_window


def templates(bins, terms, width=0.05, shape="chebyshev"):
    edges = np.linspace(-1.0, 1.0, bins + 1)
    signal = np.diff(norm.cdf(edges / width))
    if shape == "exponential":
        rows = [np.diff(np.exp(-(k + 0.5) * edges)) for k in range(terms)]
    else:
        rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)]
    return signal, np.array(rows).reshape(terms, bins)


def problem(rate, terms=3, bins=100, windows=10, signal_yield=0.0, seed=1, **shape):
    signal, background = templates(bins, terms, **shape)
    centres = np.linspace(-1.0, 1.0, bins)
    rng = np.random.default_rng([seed, int(1000 * rate), terms, bins])
    mean = rate * (1.0 - 0.5 * centres) + signal_yield * signal
    return BinnedProblem(
        rng.poisson(mean, (windows, bins)).astype(float),
        np.tile(signal, (windows, 1)),
        np.tile(background, (windows, 1, 1)),
    )


KINDS = {
    "dense": {"rate": 500.0},
    "signal": {"rate": 500.0, "signal_yield": 400.0},
    "huge": {"rate": 1e6},
    "medium": {"rate": 20.0},
    "few a bin": {"rate": 3.0},
    "one term": {"rate": 50.0, "terms": 1},
    "seven terms": {"rate": 200.0, "terms": 7},
    "exponentials": {"rate": 100.0, "terms": 2, "shape": "exponential"},
    "narrow": {"rate": 50.0, "width": 0.008},
    "wide": {"rate": 50.0, "width": 0.25},
    "many bins": {"rate": 30.0, "bins": 2000, "windows": 3},
    "odd bins": {"rate": 30.0, "bins": 37},
    "five bins": {"rate": 300.0, "bins": 5, "width": 0.3, "terms": 2},
    "large signal": {"rate": 4.0, "signal_yield": 2000.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_window_agrees_with_iminuit(kind):
    batch = problem(**KINDS[kind])
    result = fit(batch, second_opinion=False)
    for w in range(batch.windows):
        assert STATUS_MEANINGS[result.status[w]] == "ok"
        opinion = fit_window(batch, w)
        assert opinion.valid
        assert abs(result.yields[w] - opinion.signal_yield) < 1e-4 * result.errors[w]
        assert result.errors[w] == pytest.approx(opinion.error, rel=2e-3)
        assert result.nll[w] == pytest.approx(opinion.nll, abs=1e-7 * max(1.0, np.abs(opinion.nll)))


def test_sparse_windows_agree_with_iminuit_away_from_the_boundary():
    batch = problem(0.6, bins=60, windows=60)
    result = fit(batch, second_opinion=False)
    inner = np.flatnonzero([STATUS_MEANINGS[code] == "ok" for code in result.status])
    assert inner.size > 30
    for w in inner:
        opinion = fit_window(batch, int(w))
        assert opinion.valid
        assert abs(result.yields[w] - opinion.signal_yield) < 1e-4 * result.errors[w]


@pytest.mark.parametrize("fixed", [-30.0, 0.0, 55.0])
def test_fixed_yields_agree_with_iminuit(fixed):
    batch = problem(30.0, windows=4)
    result = fit(batch, np.full(4, fixed), second_opinion=False)
    assert np.all(result.yields == fixed)
    assert np.all(result.errors == 0.0)
    for w in range(4):
        opinion = fit_window(batch, w, fixed)
        assert result.nll[w] == pytest.approx(opinion.nll, abs=1e-7)


def test_some_yields_may_be_fixed_and_others_free():
    batch = problem(30.0, windows=3)
    mixed = fit(batch, np.array([np.nan, 5.0, np.nan]))
    free = fit(batch)
    assert mixed.yields[[0, 2]].tolist() == free.yields[[0, 2]].tolist()
    assert mixed.yields[1] == 5.0


def test_error_is_the_curvature_of_the_profile():
    batch = problem(200.0, windows=3)
    result = fit(batch)
    step = 0.05 * result.errors
    rise = [fit(batch, result.yields + sign * step).nll - result.nll for sign in (-1.0, 1.0)]
    curvature = (rise[0] + rise[1]) / step**2
    assert 1.0 / np.sqrt(curvature) == pytest.approx(result.errors, rel=1e-3)


def test_unbiased_yield_and_honest_error():
    batch = problem(100.0, windows=1500, signal_yield=60.0)
    result = fit(batch)
    pull = (result.yields - 60.0 * batch.signal.sum(axis=1)) / result.errors
    assert pull.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(1500))
    assert pull.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(3000))


def test_windows_with_different_numbers_of_terms():
    batch = problem(80.0, terms=5, windows=6)
    terms = np.array([1, 2, 3, 4, 5, 0])
    mixed = fit(BinnedProblem(batch.counts, batch.signal, batch.background, terms=terms))
    for w, used in enumerate(terms[:5]):
        background = np.ascontiguousarray(batch.background[w : w + 1, :used])
        alone = fit(BinnedProblem(batch.counts[w : w + 1], batch.signal[w : w + 1], background))
        assert mixed.yields[w] == pytest.approx(alone.yields[0], rel=1e-9)
        assert np.isnan(mixed.background[w, used:]).all()
        assert np.isfinite(mixed.background[w, :used]).all()


def test_a_window_gives_the_same_bits_in_any_company():
    batch = problem(2.0, windows=40)
    dense = problem(400.0, windows=40)
    mixed = BinnedProblem(
        np.concatenate([batch.counts, dense.counts]),
        np.concatenate([batch.signal, dense.signal]),
        np.concatenate([batch.background, dense.background]),
    )
    together = fit(mixed)
    order = np.random.default_rng(0).permutation(80)
    shuffled = fit(mixed.select(order))
    alone = [fit(mixed.select(np.array([w]))) for w in range(80)]
    for name in ("yields", "errors", "background", "nll", "edm", "status"):
        values = getattr(together, name)
        assert np.array_equal(getattr(shuffled, name), values[order], equal_nan=True)
        assert np.array_equal(np.concatenate([getattr(a, name) for a in alone]), values, equal_nan=True)


def status(batch):
    return [STATUS_MEANINGS[code] for code in fit(batch).status]


def test_empty_window():
    batch = problem(10.0, windows=2)
    batch.counts[1] = 0.0
    result = fit(batch)
    assert status(batch) == ["ok", "empty_window"]
    assert np.isnan(result.yields[1])
    assert np.isnan(result.errors[1])
    assert np.isfinite(result.yields[0])


def test_signal_that_is_a_background_term():
    batch = problem(10.0, windows=2)
    batch.background[0, 2] = 3.0 * batch.signal[0]
    assert status(batch) == ["terms_not_separable", "ok"]


def test_events_where_nothing_is_expected():
    batch = problem(10.0, windows=2)
    batch.signal[0, 4] = 0.0
    batch.background[0, :, 4] = 0.0
    batch.counts[0, 4] = 1.0
    assert status(batch) == ["events_where_none_are_possible", "ok"]


def test_bins_where_nothing_is_expected_and_nothing_is_seen_are_left_out():
    batch = problem(10.0, windows=1)
    batch.signal[0, 90:] = 0.0
    batch.background[0, :, 90:] = 0.0
    batch.counts[0, 90:] = 0.0
    short = BinnedProblem(batch.counts[:, :90], batch.signal[:, :90], batch.background[:, :, :90])
    assert fit(batch).yields[0] == fit(short).yields[0]
    assert fit(batch).nll[0] == fit(short).nll[0]


def test_weighted_counts_are_fitted():
    batch = problem(40.0, windows=3)
    doubled = BinnedProblem(0.37 * batch.counts, batch.signal, batch.background)
    assert fit(doubled).yields == pytest.approx(0.37 * fit(batch).yields, rel=1e-5)


def test_expectation_of_a_fit():
    batch = problem(40.0, windows=3)
    expected = expectation(batch, fit(batch))
    assert expected.sum(axis=1) == pytest.approx(batch.counts.sum(axis=1), rel=1e-7)


def test_second_opinion_is_asked_and_recorded():
    batch = problem(40.0, windows=3)
    good = fit(batch)
    lost = np.array([0, NOT_CONVERGED, 0], dtype=np.uint8)
    yields = np.where(lost == 0, good.yields, np.nan)
    kept = {name: getattr(good, name).copy() for name in ("errors", "background", "nll", "edm", "attempts")}
    doubtful = replace(good, yields=yields, status=lost, **kept)
    mended = fitting._ask_minuit(batch, np.full(3, np.nan), doubtful)
    assert [STATUS_MEANINGS[code] for code in mended.status] == ["ok", "second_opinion", "ok"]
    assert mended.yields == pytest.approx(good.yields, abs=1e-4 * good.errors.min())
    assert mended.background == pytest.approx(good.background, rel=1e-4)
    assert mended.attempts.tolist() == [1, 2, 1]


BAD = {
    "counts is negative in 1 of 2 windows, first in window 1": {"counts": -1.0},
    "counts is not finite in 1 of 2 windows, first in window 1": {"counts": np.nan},
    "signal is not finite": {"signal": np.inf},
    "background is not finite": {"background": np.nan},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_values_are_refused(message):
    batch = problem(5.0, windows=2)
    arrays = {"counts": batch.counts, "signal": batch.signal, "background": batch.background}
    ((name, value),) = BAD[message].items()
    arrays[name] = arrays[name].copy()
    arrays[name][1, ..., 7] = value
    with pytest.raises(InputError, match=message):
        BinnedProblem(**arrays)


def test_bad_shapes_are_refused():
    batch = problem(5.0, windows=2)
    with pytest.raises(InputError, match="signal has the shape"):
        BinnedProblem(batch.counts, batch.signal[:, :-1], batch.background)
    with pytest.raises(InputError, match="background has 2 dimensions, expected 3"):
        BinnedProblem(batch.counts, batch.signal, batch.background[:, 0])
    with pytest.raises(InputError, match="background has the shape"):
        BinnedProblem(batch.counts, batch.signal, batch.background[:, :, :-1])
    with pytest.raises(InputError, match="core has the shape"):
        BinnedProblem(batch.counts, batch.signal, batch.background, core=np.ones((2, 3), bool))
    with pytest.raises(InputError, match="terms is outside 0 … 3"):
        BinnedProblem(batch.counts, batch.signal, batch.background, terms=np.array([3, 4]))
    with pytest.raises(InputError, match="signal is zero in every bin"):
        BinnedProblem(batch.counts, 0.0 * batch.signal, batch.background)


def test_arrays_of_other_types_and_layouts_are_brought_in_order():
    batch = problem(5.0, windows=2)
    other = BinnedProblem(
        np.asfortranarray(batch.counts.astype(np.int32)),
        batch.signal[::-1][::-1],
        np.asfortranarray(batch.background),
    )
    assert np.array_equal(fit(other).yields, fit(batch).yields)
