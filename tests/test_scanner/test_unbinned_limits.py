"""Limits, significances and intervals of unbinned windows against fine bins and iminuit."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedUnbinnedNLL
from numba_stats import norm as norm_stats

from scanner import shapes
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.asymptotic import asymptotic_limits
from scanner.stats.unbinned import asymptotic_unbinned, minos_unbinned

BINS = 20_000
"""Bins of a 500th of the resolution: rounding events to them moves a yield by some 1e-3 σ."""


def sample(events, signal, seed):
    rng = np.random.default_rng([seed, events])
    background = 2.0 * (1.0 - np.sqrt(1.0 - 0.91 * rng.uniform(size=events))) / 0.7 - 1.0
    return np.sort(np.concatenate([background, rng.normal(0.0, 0.05, signal)]))


def problem(x, terms=2):
    one = np.ones(1)
    return UnbinnedProblem(x, [0], [len(x)], -one, one, 0.0 * one, 0.05 * one, [terms])


def binned(x, terms=2):
    edges = np.linspace(-1.0, 1.0, BINS + 1)[None]
    counts, _ = np.histogram(x, edges[0])
    signal = shapes.signal_integrals("gaussian", edges, np.zeros(1), np.array([0.05]), {})
    return BinnedProblem(counts[None].astype(float), signal, shapes.chebyshev_integrals(edges, terms))


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("events", "signal"), [(200, 0), (1_000, 30), (10_000, 0), (10_000, 250)])
def test_limits_are_those_of_fine_bins(events, signal, level):
    x = sample(events, signal, 5)
    exact, fine = (
        asymptotic_unbinned(problem(x), Settings(level)),
        asymptotic_limits(binned(x), Settings(level)),
    )
    sigma = exact.signal_yield_error[0]
    assert METHOD_MEANINGS[exact.method[0]] == "asymptotic"
    assert exact.yield_limit[0] == pytest.approx(fine.yield_limit[0], abs=3e-3 * sigma)
    assert exact.expected[0] == pytest.approx(fine.expected[0], abs=1e-3 * sigma)
    assert exact.z_local[0] == pytest.approx(fine.z_local[0], abs=4e-3)
    assert exact.effective_background[0] == pytest.approx(fine.effective_background[0], rel=1e-3)


def test_an_empty_window_has_the_limit_of_counting_nothing():
    limits = asymptotic_unbinned(problem(np.empty(0)), Settings(0.95))
    assert STATUS_MEANINGS[limits.status[0]] == "empty_window"
    assert METHOD_MEANINGS[limits.method[0]] == "counting"
    assert limits.yield_limit[0] == pytest.approx(2.9957, abs=1e-4)
    assert limits.expected[0] == pytest.approx(np.full(5, 2.9957), abs=1e-4)


@pytest.mark.parametrize(("events", "signal"), [(60, 15), (2_000, 80)])
def test_intervals_are_those_of_minos(events, signal):
    x = sample(events, signal, 2)
    limits = minos_unbinned(problem(x), Settings(0.6826894921370859))

    def density(x, s, c, d):
        return s + c, s * norm_stats.pdf(x, 0.0, 0.05) + 0.5 * (c + d * x)

    minuit = Minuit(ExtendedUnbinnedNLL(x, density), s=signal, c=float(events), d=-0.5 * events)
    minuit.tol, minuit.strategy = 1e-4, 2
    minuit.migrad()
    minuit.minos("s")
    found, best = minuit.merrors["s"], minuit.values["s"]
    sigma = minuit.errors["s"]
    assert METHOD_MEANINGS[limits.method[0]] == "minos"
    assert limits.yield_limit[0] == pytest.approx(best + found.upper, abs=3e-3 * sigma)
    assert limits.yield_lower[0] == pytest.approx(best + found.lower, abs=3e-3 * sigma)
    top = minuit.fval
    minuit.values["s"], minuit.fixed["s"] = 0.0, True
    minuit.migrad()
    assert limits.z_local[0] == pytest.approx(np.sqrt(minuit.fval - top), abs=1e-3)


def test_sparse_windows_have_limits_on_the_positivity_boundary_too():
    for seed in range(10):
        limits = asymptotic_unbinned(problem(sample(6, 0, seed)), Settings(0.95))
        fine = asymptotic_limits(binned(sample(6, 0, seed)), Settings(0.95))
        assert limits.yield_limit[0] == pytest.approx(fine.yield_limit[0], rel=0.02)
