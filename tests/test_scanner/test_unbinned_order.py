"""Unbinned limits that include the choice of the background's order, against a brute-force envelope."""

from dataclasses import replace

import numpy as np
import pytest
from iminuit import Minuit
from numba_stats import norm
from numpy.polynomial import chebyshev
from scipy import stats
from scipy.optimize import brentq

from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.simultaneous import asymptotic_simultaneous
from scanner.stats.unbinned import asymptotic_unbinned
from scanner.stats.unbinned_envelope import (
    unbinned_envelope,
    unbinned_envelope_limits,
    with_unbinned_envelope,
)

SIGMA, ORDERS, SETTINGS = 0.08, 3, Settings(0.9)
CELLS = np.linspace(-1.0, 1.0, 201)
"""Ends of the cells of an eighth of the resolution, as grids have them."""
MIDDLES, CELL = 0.5 * (CELLS[1:] + CELLS[:-1]), 0.01
WITHIN = np.diff(norm.cdf(np.array([-1.0, 1.0]), 0.0, SIGMA))[0]


def sample(seed, background=250, signal=12):
    """Return events of a falling, slightly bent background with a peak at 0."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, 4 * background)
    bent = rng.uniform(size=x.size) < (1.0 - 0.4 * x + 0.15 * (2.0 * x * x - 1.0)) / 1.6
    return np.sort(np.concatenate([x[bent][:background], rng.normal(0.0, SIGMA, signal)]))


SAMPLES = [sample(seed) for seed in range(4)]


def candidates(samples, orders=ORDERS, pieces=None):
    """Return windows side by side, with 1, 2, … terms."""
    ends, shift = np.cumsum([0, *map(len, samples)]), 4.0 * np.arange(len(samples))
    events = np.concatenate([x + at for x, at in zip(samples, shift, strict=True)])
    cut = {} if pieces is None else {"pieces": shift[:, None, None] + np.array(pieces)}
    one = np.ones(len(samples))
    problem = UnbinnedProblem(
        events, ends[:-1], ends[1:], shift - 1.0, shift + 1.0, shift, SIGMA * one, one.astype(int), **cut
    )
    return [
        SimultaneousProblem((replace(problem, terms=np.full(one.size, k)),), one[:, None])
        for k in range(1, orders + 1)
    ]


def of_events(x):
    """Return 2NLL of events as a function of the yield and the coefficients."""
    return lambda p: 2.0 * (integral(p) - np.log(np.maximum(density(p, x), 1e-300)).sum())


def of_cells(weights):
    """Return 2NLL of an Asimov data set in cells."""

    def twice(p):
        expected = np.maximum(density(p, MIDDLES), 1e-300)
        return 2.0 * float(np.sum(expected * CELL - weights * np.log(expected)))

    return twice


def density(p, x):
    return p[0] * norm.pdf(x, 0.0, SIGMA) + 0.5 * chebyshev.chebval(x, p[1:])


def integral(p):
    ends = chebyshev.chebval([-1.0, 1.0], chebyshev.chebint(p[1:]))
    return p[0] * WITHIN + 0.5 * (ends[1] - ends[0])


def brute(twice, events, fixed=None):
    """Return Λ, its yield and its coefficients, every order by iminuit."""
    found = []
    for terms in range(1, ORDERS + 1):
        start = np.zeros(terms + 1)
        start[0], start[1] = fixed or 0.0, events
        minuit = Minuit(twice, start)
        minuit.errordef, minuit.strategy, minuit.tol = 1.0, 2, 1e-4
        minuit.errors = np.full(terms + 1, 5.0)
        minuit.fixed[0] = fixed is not None
        minuit.migrad()
        minuit.migrad()
        found.append((minuit.fval + terms, np.array(minuit.values)))
    return min(found, key=lambda pair: pair[0])


def test_the_envelope_is_the_brute_force_one():
    found = unbinned_envelope(candidates(SAMPLES))
    for w, x in enumerate(SAMPLES):
        value, best = brute(of_events(x), x.size)
        assert found.minimum[w] == pytest.approx(value, abs=2e-4)
        assert found.best[w] == pytest.approx(best[0], abs=0.02 * found.error[w])
    for s in (0.0, 15.0, 40.0):
        values = [brute(of_events(x), x.size, s)[0] for x in SAMPLES]
        assert found.at(np.full(len(SAMPLES), s)) == pytest.approx(values, abs=2e-4)


def q_tilde(twice, events, s):
    value, best = brute(twice, events)
    reference = brute(twice, events, 0.0)[0] if best[0] < 0.0 else value
    return 0.0 if best[0] > s else max(brute(twice, events, s)[0] - reference, 0.0)


@pytest.mark.parametrize("w", [0, 1])
def test_the_limit_is_the_brute_force_one(w):
    """CLs from its definition, of the events and of the density of the best order without signal."""
    found, x = unbinned_envelope_limits(candidates(SAMPLES), SETTINGS)["yield_limit"][w], SAMPLES[w]
    asimov = of_cells(density(brute(of_events(x), x.size, 0.0)[1], MIDDLES) * CELL)

    def cls(s):
        q, a = q_tilde(of_events(x), x.size, s), np.sqrt(q_tilde(asimov, x.size, s))
        if q <= a * a:
            return stats.norm.sf(np.sqrt(q)) / stats.norm.cdf(a - np.sqrt(q))
        return stats.norm.sf(0.5 * (q / a + a)) / stats.norm.sf(0.5 * (q / a - a))

    limit = brentq(lambda s: cls(s) - 0.1, 0.7 * found, 1.3 * found, xtol=1e-3 * found)
    assert found == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("pieces", [None, [[-1.0, -0.5], [-0.3, 1.0]]])
def test_with_one_order_the_envelope_is_the_asymptotic_limit(pieces):
    """In whole windows and in those that a veto cuts."""
    windows = candidates(SAMPLES, 1, pieces)
    found = unbinned_envelope_limits(windows, SETTINGS)
    if pieces is None:
        plain = asymptotic_unbinned(windows[0].channels[0], SETTINGS)
    else:
        plain = asymptotic_simultaneous(windows[0], SETTINGS)
    for name, tolerance in (("yield_limit", 1e-5), ("expected", 1e-5), ("signal_yield", 1e-5)):
        assert found[name] == pytest.approx(getattr(plain, name), rel=tolerance), name
    assert found["z_local"] == pytest.approx(plain.z_local, abs=1e-4)
    assert found["signal_yield_error"] == pytest.approx(plain.signal_yield_error, rel=0.02)


def test_limits_of_a_window_depend_on_its_own_events_only():
    windows, chosen = candidates(SAMPLES), np.array([3, 1])
    together = unbinned_envelope_limits(windows, SETTINGS)
    part = unbinned_envelope_limits([window.select(chosen) for window in windows], SETTINGS)
    for name, values in part.items():
        assert np.array_equal(values, together[name][chosen]), name


def test_windows_that_have_no_asymptotic_limit_keep_theirs():
    windows = candidates([SAMPLES[0], np.empty(0)])
    plain = asymptotic_simultaneous(windows[-1], SETTINGS)
    found = with_unbinned_envelope(windows, SETTINGS, plain)
    assert [METHOD_MEANINGS[code] for code in found.method] == ["asymptotic", "counting"]
    assert found.yield_limit[1] == plain.yield_limit[1]
    assert found.yield_limit[0] != plain.yield_limit[0]
