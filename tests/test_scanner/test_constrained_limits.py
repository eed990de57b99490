"""Limits, significances and intervals of windows with nuisances, against iminuit and the linear engine."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.constrained import asimov, fit_constrained
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.minuit import fit_window
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings
from scanner.stats.asymptotic import constrained_hypotheses, fit_hypotheses, gaussian_limits
from scanner.stats.constrained_limits import cls_values, limits

ONE_SIGMA = float(1.0 - 2.0 * norm.sf(1.0))


def problem(rate, windows=4, bins=30, signal_yield=0.0, delta=0.0, effects=True, seed=1):
    edges = np.linspace(-1.0, 1.0, bins + 1)
    x = 0.5 * (edges[1:] + edges[:-1])
    signal = np.diff(norm.cdf(edges / 0.15))
    rows = np.array([np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(2)])
    peak = np.diff(norm.cdf((edges - 0.05) / 0.15)) - signal
    fixed = 0.3 * rate * np.exp(-x)
    rng = np.random.default_rng([seed, int(1000 * rate), bins])
    counts = rng.poisson(rate * (1.0 - 0.3 * x) + effects * fixed + signal_yield * signal, (windows, bins))
    norms = np.zeros((windows, 3, 4, 2))
    norms[:, 0, 0], norms[:, 1, 3] = [-0.12, 0.1], [-0.2, 0.15]
    nuisances = Nuisances(
        ("efficiency", "size", "scale"),
        norms,
        np.tile(np.stack([-peak, peak]), (windows, 1, 1, 1)),
        np.array([2]),
        np.array([0]),
        np.tile(fixed, (windows, 1, 1)),
        statistics=np.full((windows, bins), delta),
        uncertain=np.arange(4) == 3,
    )
    tile = np.tile(rows, (windows, 1, 1))
    return BinnedProblem(
        counts.astype(float), np.tile(signal, (windows, 1)), tile, nuisances=nuisances if effects else None
    )


@pytest.mark.parametrize("rate", [0.5, 5.0, 300.0])
def test_without_effects_limits_are_those_of_the_linear_engine(rate):
    batch = problem(rate, windows=20, effects=False)
    plain = METHODS["asymptotic"](batch, Settings(0.9))
    fits, pair = constrained_hypotheses(batch)
    linear = fit_hypotheses(batch)
    assert fits.status.tolist() == linear.status.tolist()
    assert fits.rows[:, [0, 2, 3, 4, 5, 6, 7]] == pytest.approx(
        linear.rows[:, [0, 2, 3, 4, 5, 6, 7]], rel=1e-4
    )
    found = limits(batch, pair, gaussian_limits(0.9), 0.1, "cls", pair.found)
    both = np.isfinite(plain.yield_limit)
    assert both.sum() >= 18
    assert np.isfinite(found[both]).all()
    assert found[both, 0] == pytest.approx(plain.yield_limit[both], rel=1e-5)
    assert found[both, 1:] == pytest.approx(plain.expected[both], rel=1e-5)


def rise(batch, w, signal_yield, best):
    return 2.0 * (fit_window(batch, w, signal_yield).nll - best)


@pytest.mark.parametrize(("rate", "delta"), [(40.0, 0.0), (8.0, 0.2)])
@pytest.mark.parametrize("signal_yield", [30.0, -10.0])
def test_limits_and_significance_by_iminuit(rate, delta, signal_yield):
    batch = problem(rate, windows=1, signal_yield=signal_yield, delta=delta)
    found = METHODS["asymptotic"](batch, Settings(0.95))
    free, null = fit_window(batch, 0), fit_window(batch, 0, 0.0)
    z = np.sqrt(2.0 * max(null.nll - free.nll, 0.0)) if free.signal_yield > 0.0 else 0.0
    assert found.z_local[0] == pytest.approx(z, abs=2e-4)
    assert found.signal_yield_error[0] == pytest.approx(free.error, rel=1e-2)
    truth = fit_constrained(batch, np.zeros(1))
    data = asimov(batch, truth)
    assert data.nuisances.observed[0] == pytest.approx(null.pulls, abs=2e-3)
    at_zero = fit_window(data, 0).nll
    edges = found.expected[0]
    for target, edge in zip(gaussian_limits(0.95), edges, strict=True):
        assert np.sqrt(rise(data, 0, edge, at_zero)) == pytest.approx(target, abs=2e-3)
    best = free.nll if free.signal_yield > 0.0 else null.nll
    q, q_asimov = rise(batch, 0, found.yield_limit[0], best), rise(data, 0, found.yield_limit[0], at_zero)
    a = np.sqrt(q_asimov)
    x, y = (np.sqrt(q), np.sqrt(q) - a) if q <= q_asimov else (0.5 * (q / a + a), 0.5 * (q / a - a))
    assert norm.sf(x) / norm.sf(y) == pytest.approx(0.05, rel=2e-3)
    clsb = METHODS["asymptotic"](batch, Settings(0.95, criterion="clsb"))
    assert clsb.yield_limit[0] < found.yield_limit[0]
    if clsb.yield_limit[0] > 0.0:
        root = np.sqrt(rise(batch, 0, clsb.yield_limit[0], free.nll))
        assert root == pytest.approx(norm.isf(0.05), abs=0.01 if free.signal_yield > 0.0 else 0.3)


def test_by_clsb_deep_deficits_exclude_every_yield():
    batch = problem(100.0, windows=1, effects=False)
    hole = replace(batch, counts=batch.counts - np.round(0.6 * batch.counts * (batch.signal > 0.02)))
    found = METHODS["asymptotic"](hole, Settings(0.9, criterion="clsb"))
    assert found.yield_limit[0] == 0.0
    assert found.expected[0, 0] == 0.0
    assert METHODS["asymptotic"](hole, Settings(0.9)).yield_limit[0] > 0.0


@pytest.mark.parametrize("criterion", ["cls", "clsb"])
def test_gaussian_limits_of_both_criteria(criterion):
    """A dense window is a Gaussian measurement."""
    batch = problem(1e6, windows=3, effects=False)
    found = METHODS["asymptotic"](batch, Settings(0.9, criterion=criterion))
    z = found.signal_yield / found.signal_yield_error
    beyond = 0.1 * norm.cdf(z) if criterion == "cls" else 0.1
    expected = np.maximum(found.signal_yield + found.signal_yield_error * norm.isf(beyond), 0.0)
    assert found.yield_limit == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("effects", [True, False])
def test_minos_intervals_end_where_minuit_rises_by_one(effects):
    batch = problem(20.0, windows=2, signal_yield=25.0, delta=0.1, effects=effects)
    found = METHODS["minos"](batch, Settings(ONE_SIGMA))
    for w in range(2):
        best = fit_window(batch, w).nll
        for end in (found.yield_lower[w], found.yield_limit[w]):
            assert rise(batch, w, end, best) == pytest.approx(1.0, abs=2e-3)
    assert np.all(found.yield_lower < found.signal_yield)
    ninety = METHODS["minos"](batch, Settings(0.9))
    assert np.all(ninety.yield_limit > found.yield_limit)


def test_expected_ends_of_minos_intervals_are_gaussian_in_a_dense_window():
    batch = problem(1e6, windows=1, effects=False)
    found = METHODS["minos"](batch, Settings(0.9))
    scores = norm.ppf(0.95) + norm.ppf([0.025, 0.16, 0.5, 0.84, 0.975])
    assert found.expected[0] == pytest.approx(found.signal_yield_error[0] * scores, rel=2e-3)


def test_cls_values_are_alpha_at_the_limits():
    batch = problem(20.0, windows=5, delta=0.1)
    found = METHODS["asymptotic"](batch, Settings(0.9))
    assert cls_values(batch, found.yield_limit)[:, 0] == pytest.approx(0.1, rel=1e-5)
    for i in range(5):
        assert cls_values(batch, found.expected[:, i])[:, 1 + i] == pytest.approx(0.1, rel=1e-4)


def test_a_known_counting_experiment():
    """One bin with a background known to 10%, against the closed form with a profiled nuisance."""
    effects = Nuisances(
        ("size",),
        np.array([[[[0.0, 0.0], [-0.1, 0.1]]]]),
        np.zeros((1, 0, 2, 1)),
        np.empty(0, int),
        np.empty(0, int),
        np.full((1, 1, 1), 20.0),
    )
    one = BinnedProblem(np.full((1, 1), 26.0), np.ones((1, 1)), np.empty((1, 0, 1)), nuisances=effects)

    def nll(s, alpha):
        expected = s + 20.0 * np.exp(0.1 * alpha)
        return expected - 26.0 * np.log(expected) + 0.5 * alpha**2

    def slope(alpha):
        size = 20.0 * np.exp(0.1 * alpha)
        return 0.1 * size * (1.0 - 26.0 / size) + alpha

    alpha = brentq(slope, 0.0, 5.0)
    z = np.sqrt(2.0 * (nll(0.0, alpha) - nll(6.0, 0.0)))
    found = METHODS["asymptotic"](one, Settings(0.9))
    assert found.signal_yield[0] == pytest.approx(6.0, rel=1e-5)
    assert found.z_local[0] == pytest.approx(z, rel=1e-4)


def test_bits_do_not_depend_on_company():
    batch = problem(3.0, windows=11, delta=0.3)
    order = np.random.default_rng(3).permutation(11)
    for method in ("asymptotic", "minos"):
        together = METHODS[method](batch, Settings(0.9))
        apart = [METHODS[method](batch.select(np.array([w])), Settings(0.9)) for w in order[:4]]
        shuffled = METHODS[method](batch.select(order), Settings(0.9))
        for name in ("yield_limit", "expected", "yield_lower", "signal_yield_error", "p_local", "status"):
            values = getattr(together, name)
            assert np.array_equal(getattr(shuffled, name), values[order], equal_nan=True)
            alone = np.concatenate([getattr(one, name) for one in apart])
            assert np.array_equal(alone, values[order[:4]], equal_nan=True)


@pytest.mark.parametrize("rate", [0.02, 0.2, 2.0])
def test_sparse_windows_have_limits(rate):
    batch = problem(rate, windows=60, delta=0.2)
    found = METHODS["asymptotic"](batch, Settings(0.9))
    usable = np.array([STATUS_MEANINGS[code] in ("ok", "positivity_boundary") for code in found.status])
    assert usable.sum() >= 55
    assert np.isfinite(found.yield_limit[usable]).mean() > 0.95
    limited = np.isfinite(found.yield_limit)
    assert np.all(found.yield_limit[limited] > np.maximum(found.signal_yield[limited], 0.0))
    assert np.all(np.diff(found.expected[limited], axis=1) >= 0.0)
