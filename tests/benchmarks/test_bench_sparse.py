"""Fits and limits of sparse windows, down to a hundredth of an event a bin, beside scipy's SLSQP.

Most bins are empty there, and the minimum often lies where the expectation of some of them is zero: the
yield is then as negative as positivity allows. SLSQP knows that constraint; Minuit and pyhf do not. It
works in rotated coefficients of unit least-squares covariance, from an even start.
"""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

from scanner.kernels.linear.cls import log_cls
from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.stats import METHODS, Settings

pytestmark = pytest.mark.benchmark_suite

RATES = [5.0, 0.5, 0.05, 0.01]
LEVEL = 0.95
CHECKED = 40
FLOOR = 1e-12
FIT_BOUND = "empty bins: an interior-point fit of some fifteen passes where the boundary is touched"
LIMIT_BOUND = "of counting, the sums over counts; else interior-point fits"


def slsqp(counts, templates, offset):
    """Return the least −2 ln L, up to a constant of the counts, and its expectation."""
    level = max(counts.mean(), 1e-3)
    covariance = np.linalg.inv(templates @ templates.T / level)
    design = (np.linalg.cholesky(covariance).T @ templates).T
    occupied = counts > 0.0

    def nll(x):
        nu = design @ x + offset
        return nu.sum() - counts[occupied] @ np.log(np.maximum(nu[occupied], FLOOR))

    def gradient(x):
        return design.T @ (1.0 - counts / np.maximum(design @ x + offset, FLOOR))

    start = np.linalg.lstsq(design, np.full(counts.size, level), rcond=None)[0]
    positive = {"type": "ineq", "fun": lambda x: design @ x + offset, "jac": lambda _: design}
    options = {"maxiter": 1000, "ftol": 1e-14}
    found = minimize(nll, start, jac=gradient, constraints=[positive], method="SLSQP", options=options)
    return 2.0 * found.fun, design @ found.x + offset


def free_fit(batch, w, counts):
    return slsqp(counts, np.vstack([batch.background[w], batch.signal[w]]), 0.0)


def fixed_fit(batch, w, counts, s):
    return slsqp(counts, batch.background[w], s * batch.signal[w])


def twice_nll(counts, nu):
    occupied = counts > 0.0
    return 2.0 * (nu.sum() - counts[occupied] @ np.log(nu[occupied]))


def occupied_windows(batch):
    return np.flatnonzero(batch.counts.sum(axis=1) > 0.0)


@pytest.mark.parametrize("rate", RATES)
def test_sparse_fits_are_the_constrained_minima(rate, windows):
    batch = windows(rate)
    ours = fit(batch)
    empty = batch.counts.sum(axis=1) == 0.0
    named = np.array([STATUS_MEANINGS[code] for code in ours.status])
    assert np.array_equal(named == "empty_window", empty)
    assert set(named[~empty]) <= {"ok", "positivity_boundary"}
    assert rate == 5.0 or np.sum(named == "positivity_boundary") > 50
    for w in occupied_windows(batch)[:CHECKED]:
        counts = batch.counts[w]
        nu = ours.background[w] @ batch.background[w] + ours.yields[w] * batch.signal[w]
        assert np.all(nu > -1e-9)
        theirs, _ = free_fit(batch, w, counts)
        assert twice_nll(counts, nu) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_sparse_limits_are_roots_of_cls(rate, windows):
    batch = windows(rate)
    limits = METHODS["asymptotic"](batch, Settings(LEVEL))
    for w in occupied_windows(batch)[:5]:
        counts, s = batch.counts[w], limits.yield_limit[w]
        null, asimov = fixed_fit(batch, w, counts, 0.0)
        asimov = np.where(asimov > 1e-7, asimov, 0.0)
        best = free_fit(batch, w, counts)[0] if limits.signal_yield[w] > 0.0 else null
        q = fixed_fit(batch, w, counts, s)[0] - best
        q_asimov = fixed_fit(batch, w, asimov, s)[0] - twice_nll(asimov, asimov)
        found, _ = log_cls(q, 0.0, np.sqrt(q_asimov), 0.0)
        assert found == pytest.approx(np.log1p(-LEVEL), abs=2e-4)


@pytest.mark.parametrize("rate", RATES)
def test_sparse_fit(race, windows, rate):
    batch = windows(rate)
    group = f"fit of signal and background: {rate} events a bin"
    race(group, "darkscan", partial(fit, batch), items=500, unit="window", rounds=10, bound=FIT_BOUND)


@pytest.mark.parametrize("rate", RATES)
def test_sparse_fit_by_slsqp(race, windows, rate):
    batch = windows(rate)
    some = occupied_windows(batch)[:10]

    def run():
        return [free_fit(batch, w, batch.counts[w]) for w in some]

    group = f"fit of signal and background: {rate} events a bin"
    race(group, "scipy, SLSQP", run, items=len(some), unit="window", rounds=3, bound=FIT_BOUND)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("method", ["auto", "asymptotic", "counting"])
def test_sparse_limit(race, windows, rate, method):
    run = partial(METHODS[method], windows(rate), Settings(LEVEL, toys=0))
    who = "darkscan" if method == "auto" else method
    race(f"limit with bands: {rate} events a bin", who, run, items=500, unit="window", bound=LIMIT_BOUND)
