"""Unbinned fits against iminuit with numba-stats' cost, fine bins, scipy's densities, and SLSQP."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedUnbinnedNLL
from numba_stats import norm as norm_stats
from numpy.polynomial import chebyshev
from scipy.optimize import minimize
from scipy.stats import norm

from scanner import shapes
from scanner.errors import InputError
from scanner.kernels.unbinned.exponential import exponential
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.likelihoods.unbinned import UnbinnedProblem, fit_unbinned

LOW, HIGH, MASS, WIDTH = 0.8, 1.4, 1.07, 0.02


def sample(events, signal, seed):
    rng = np.random.default_rng([seed, events])
    # The density falls as 1 − 0.7 v over the window, v from 0 to 1, and is nowhere near zero.
    background = LOW + (HIGH - LOW) * (1.0 - np.sqrt(1.0 - 0.91 * rng.uniform(size=events))) / 0.7
    peak = rng.normal(MASS, WIDTH, signal)
    return np.sort(np.concatenate([background, peak[(peak > LOW) & (peak < HIGH)]]))


def problem(samples, terms, **others):
    ends = np.cumsum([0, *map(len, samples)])
    count = len(samples)
    # Windows of one region overlap; here each has events of its own, moved apart so that they stay sorted.
    shift = 10.0 * np.arange(count)
    full = {"first": ends[:-1], "last": ends[1:], "low": LOW + shift, "high": HIGH + shift}
    full |= {"mass": MASS + shift, "resolution": np.full(count, WIDTH), "terms": np.full(count, terms)}
    events = np.concatenate([x + 10.0 * i for i, x in enumerate(samples)])
    return UnbinnedProblem(events, **(full | others))


def minuit_fit(x, terms, start):
    def density(x, par):
        u = 2.0 * (x - LOW) / (HIGH - LOW) - 1.0
        background = chebyshev.chebval(u, par[1:]) / (HIGH - LOW)
        within = norm.cdf(HIGH, MASS, WIDTH) - norm.cdf(LOW, MASS, WIDTH)
        total = par[0] * within + sum(par[1 + k] / (1.0 - k * k) for k in range(0, terms, 2))
        return total, par[0] * norm_stats.pdf(x, MASS, WIDTH) + background

    minuit = Minuit(ExtendedUnbinnedNLL(x, density), start)
    minuit.strategy, minuit.tol = 2, 1e-5
    minuit.migrad()
    return minuit


def error_at(x, terms, values):
    """Return the error from the exact second derivatives of the density's logarithm.

    Differences of the NLL of ten thousand events leave Minuit's own Hessian off by some 0.3%.
    """
    u = 2.0 * (x - LOW) / (HIGH - LOW) - 1.0
    rows = [norm.pdf(x, MASS, WIDTH), *(chebyshev.chebvander(u, terms - 1).T / (HIGH - LOW))]
    weighted = np.array(rows) / (np.asarray(values) @ np.array(rows))
    return np.sqrt(np.linalg.inv(weighted @ weighted.T)[0, 0])


@pytest.mark.parametrize(
    ("events", "signal", "terms"), [(40, 8, 1), (300, 30, 2), (2_000, 60, 3), (10_000, 200, 4)]
)
def test_yield_and_error_are_those_of_minuit(events, signal, terms):
    samples = [sample(events, signal, seed) for seed in range(3)]
    result = fit_unbinned(problem(samples, terms))
    assert all(STATUS_MEANINGS[code] == "ok" for code in result.status)
    for w, x in enumerate(samples):
        start = np.array([result.yields[w] * 0.9, *(result.background[w] * 1.02)])
        minuit = minuit_fit(x, terms, start)
        assert result.yields[w] == pytest.approx(minuit.values[0], abs=2e-4 * minuit.errors[0])
        assert result.errors[w] == pytest.approx(error_at(x, terms, minuit.values), rel=1e-5)
        assert result.errors[w] == pytest.approx(minuit.errors[0], rel=1e-2)
        assert result.nll[w] == pytest.approx(minuit.fval / 2.0, abs=1e-6)


def binned(x, terms, bins):
    edges = np.linspace(LOW, HIGH, bins + 1)[None]
    counts, _ = np.histogram(x, edges[0])
    signal = shapes.signal_integrals("gaussian", edges, np.array([MASS]), np.array([WIDTH]), {})
    return BinnedProblem(counts[None].astype(float), signal, shapes.chebyshev_integrals(edges, terms))


@pytest.mark.parametrize("events", [30, 1_000, 10_000])
def test_fine_bins_approach_the_unbinned_fit(events):
    x = sample(events, events // 20, 7)
    exact = fit_unbinned(problem([x], 3))
    away = [
        abs(fit(binned(x, 3, bins)).yields[0] - exact.yields[0]) / exact.errors[0] for bins in (60, 12_000)
    ]
    assert away[1] < 2e-3
    assert away[1] < away[0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("events", [2, 3, 5, 12])
def test_few_events_have_the_constrained_minimum(events, seed):
    x = sample(events, 0, seed)
    result = fit_unbinned(problem([x], 2))
    assert STATUS_MEANINGS[result.status[0]] in ("ok", "positivity_boundary")
    points = np.concatenate([np.linspace(LOW, HIGH, 481), [MASS], x])

    def rows(points):
        u = 2.0 * (points - LOW) / (HIGH - LOW) - 1.0
        flat = np.full(points.size, 1.0) / (HIGH - LOW)
        return np.array([norm.pdf(points, MASS, WIDTH), flat, u * flat])

    design, events_design = rows(points), rows(x)
    integrals = np.array([1.0, 1.0, 0.0])

    def nll(theta):
        return integrals @ theta - np.log(np.maximum(theta @ events_design, 1e-12)).sum()

    def gradient(theta):
        return integrals - (events_design / np.maximum(theta @ events_design, 1e-12)).sum(axis=1)

    positive = {"type": "ineq", "fun": lambda t: t @ design, "jac": lambda t: design.T}
    start = np.array([0.1, events, 0.0])
    found = minimize(
        nll,
        start,
        jac=gradient,
        constraints=[positive],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert result.nll[0] == pytest.approx(found.fun, abs=2e-3)
    assert result.nll[0] <= found.fun + 2e-3


def test_an_empty_window_says_so():
    result = fit_unbinned(problem([np.empty(0), sample(100, 5, 1)], 2))
    assert STATUS_MEANINGS[result.status[0]] == "empty_window"
    assert np.isnan(result.yields[0])
    assert STATUS_MEANINGS[result.status[1]] == "ok"


def test_a_window_knows_nothing_of_the_others():
    samples = [sample(n, 5, 3) for n in (50, 1_000, 7)]
    together = fit_unbinned(problem(samples, 2))
    for w in range(3):
        alone = fit_unbinned(problem(samples, 2).select(np.array([w])))
        assert alone.yields[0] == together.yields[w]
        assert alone.nll[0] == together.nll[w]


@pytest.mark.parametrize(
    ("signal", "parameters"),
    [
        ("gaussian", {}),
        ("double_gaussian", {"fraction": np.array([0.3]), "ratio": np.array([2.5])}),
        ("crystal_ball", {"alpha": np.array([1.4]), "n": np.array([3.0])}),
        ("crystal_ball", {"alpha": np.array([-1.1]), "n": np.array([5.0])}),
    ],
)
def test_densities_of_the_kernels_are_those_of_the_table_of_shapes(signal, parameters):
    x = sample(3_000, 150, 11)
    others = {"signal": signal, "parameters": parameters}
    fast = fit_unbinned(problem([x], 3, **others))
    bernstein = fit_unbinned(problem([x], 3, background="bernstein", **others))
    assert fast.yields[0] == pytest.approx(bernstein.yields[0], abs=1e-5 * fast.errors[0])
    assert fast.errors[0] == pytest.approx(bernstein.errors[0], rel=1e-6)
    assert fast.nll[0] == pytest.approx(bernstein.nll[0], abs=1e-7)


def test_exponential_is_good_to_the_last_bits():
    x = np.concatenate([np.linspace(-700.0, 700.0, 2_001), np.linspace(-1.0, 1.0, 501)])
    assert [exponential(float(v)) for v in x] == pytest.approx(np.exp(x), rel=5e-16)


def test_events_outside_of_their_window_are_refused():
    with pytest.raises(InputError, match="window 0 is not sound"):
        problem([np.array([LOW - 0.1, 1.0])], 1)
    with pytest.raises(InputError, match="sorted"):
        problem([np.array([1.1, 1.0])], 1)
