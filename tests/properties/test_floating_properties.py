"""Fits and limits with floating mass, width and slope against iminuit on random models."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL, NormalConstraint
from numba_stats import norm, truncexpon
from scipy.stats import norm as gauss

from scanner import shapes
from scanner.likelihoods.amounts import Amounts
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.floating import FloatingProblem, FloatingTemplates, TemplateSlopes, fit_floating
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import Settings
from scanner.stats.floating import floating_limits

LOW, HIGH, BINS = 2.0, 3.0, 60
EDGES = np.linspace(LOW, HIGH, BINS + 1)
MASS, WIDTH = 2.45, 0.04
STEP = 1e-5


def signal(mass, width):
    edges = np.tile(EDGES, (len(mass), 1))
    return shapes.signal_integrals("gaussian", edges, mass, width, {})


def exponential(slope):
    edges, one = np.tile(EDGES, (len(slope), 1)), np.ones(len(slope), dtype=np.int64)
    return shapes.background_integrals("exponential", edges, {"slope": slope}, one, derivatives=True)


def templates(parameters):
    """Return templates at mass, width and slope, (W, 3)."""
    mass, width, slope = parameters.T
    return FloatingTemplates(signal(mass, width), exponential(slope)[:, :1].copy())


def derivatives(parameters):
    mass, width, slope = parameters.T
    background = np.zeros((len(mass), 3, 1, BINS))
    background[:, 2, 0] = exponential(slope)[:, 1]
    bent = np.zeros((len(mass), 3, BINS))
    bent[:, 0] = (signal(mass + STEP, width) - signal(mass - STEP, width)) / (2.0 * STEP)
    bent[:, 1] = (signal(mass, width + STEP) - signal(mass, width - STEP)) / (2.0 * STEP)
    return TemplateSlopes(bent, background)


LATTICE = ((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.5, 1.0), ())
BOUNDS = np.array([[MASS - 0.03, MASS + 0.03], [0.6 * WIDTH, 1.5 * WIDTH], [-5.0, 5.0]])


def problem(counts):
    windows = len(counts)
    low, high = (np.tile(ends, (windows, 1)) for ends in BOUNDS.T)
    start = np.tile([MASS, WIDTH, 0.1], (windows, 1))
    core = np.tile(np.abs(0.5 * (EDGES[1:] + EDGES[:-1]) - MASS) < 0.08, (windows, 1))
    one = np.ones(windows, dtype=np.int64)
    return FloatingProblem(counts, templates, derivatives, start, low, high, one, core, LATTICE)


def expected(s, c, mass, width, slope):
    cumulative = s * norm.cdf(EDGES, mass, width) + c * truncexpon.cdf(EDGES, LOW, HIGH, LOW, 0.5 / slope)
    return np.diff(cumulative)


def minuit_of(counts, start, fixed=None):
    def scaled(x, s, c, mass, width, slope):
        background = truncexpon.cdf(x, LOW, HIGH, LOW, 0.5 / slope)
        return s * norm.cdf(x, mass, width) + c * background

    minuit = Minuit(ExtendedBinnedNLL(counts, EDGES, scaled), *start)
    minuit.limits["mass"], minuit.limits["width"] = BOUNDS[:2]
    minuit.limits["slope"] = (1e-3, 5.0)
    minuit.tol, minuit.strategy = 1e-6, 2
    if fixed is not None:
        minuit.values["s"], minuit.fixed["s"] = fixed, True
        minuit.fixed["mass", "width"] = fixed == 0.0
    minuit.migrad(ncall=20_000)
    return minuit


cases = st.tuples(
    st.floats(500.0, 2e4),
    st.floats(4.0, 12.0),
    st.floats(MASS - 0.015, MASS + 0.015),
    st.floats(0.8 * WIDTH, 1.25 * WIDTH),
    st.floats(0.3, 1.5),
    st.integers(0, 2**32 - 1),
)
"""Background, significance, mass, width, slope, seed: a peak that tells its own mass and width."""


def thrown(case):
    background, significance, mass, width, slope, seed = case
    under = background * 4.0 * WIDTH
    truth = expected(significance * np.sqrt(under), background, mass, width, slope)
    return np.random.default_rng(seed).poisson(truth).astype(float)


def compare_fit(case):
    counts = thrown(case)
    found = fit_floating(problem(counts[None]))
    assert STATUS_MEANINGS[found.linear.status[0]] == "ok"
    s, c = found.linear.yields[0], found.linear.background[0, 0]
    minuit = minuit_of(counts, [s * 1.02, c, *case[2:5]])
    assume(minuit.valid)
    assert 2.0 * found.linear.nll[0] <= minuit.fval + 1e-5
    inside = np.all((found.parameters > BOUNDS[:, 0] + 1e-4) & (found.parameters < BOUNDS[:, 1] - 1e-4))
    if inside and minuit.fval - 2.0 * found.linear.nll[0] < 1e-4:
        errors = np.array(minuit.errors)
        assert abs(s - minuit.values["s"]) < 5e-3 * errors[0]
        assert np.all(np.abs(found.parameters[0] - np.array(minuit.values)[2:]) < 5e-3 * errors[2:])


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_floating_fits_of_random_models_are_those_of_minuit(case):
    compare_fit(case)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_floating_fits_of_many_random_models_are_those_of_minuit(case):
    compare_fit(case)


def compare_limit(case, level=0.95):
    counts = thrown(case)
    floating = problem(counts[None])
    binned = BinnedProblem(counts[None], signal(np.array([MASS]), np.array([WIDTH])), floating.at(
        templates(floating.start)).background)  # fmt: skip
    limits, free, null = floating_limits(floating, binned, Settings(level), "asymptotic")
    s, c = free.linear.yields[0], free.linear.background[0, 0]
    start = [s, c, *free.parameters[0]]
    best = minuit_of(counts, start)
    zero = minuit_of(counts, start, 0.0)
    limit = limits.yield_limit[0]
    asimov = null.expectation[0]
    there = minuit_of(counts, [limit, *start[1:]], limit)
    b = null.linear.background[0, 0]
    trials = [
        minuit_of(asimov, [limit, b, mass, width, null.parameters[0, 2]], limit)
        for mass in (MASS - 0.025, MASS, MASS + 0.025)
        for width in (0.65 * WIDTH, WIDTH, 1.45 * WIDTH)
    ]
    a = np.sqrt(min(minuit.fval for minuit in trials))
    assume(best.valid and zero.valid and there.valid)
    assert limits.z_local[0] == pytest.approx(np.sqrt(zero.fval - best.fval), abs=5e-3)
    root = np.sqrt(there.fval - best.fval)
    cls = gauss.sf(root) / gauss.sf(root - a) if root <= a else gauss.sf((root**2 / a + a) / 2) / gauss.sf(
        (root**2 / a - a) / 2)  # fmt: skip
    assert cls == pytest.approx(1.0 - level, rel=0.02)
    best.minos("s")
    half = 0.5 * (best.merrors["s"].upper - best.merrors["s"].lower)
    if best.merrors["s"].is_valid:
        assert limits.signal_yield_error[0] == pytest.approx(half, rel=0.01)


@settings(max_examples=2, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_cls_of_minuit_at_floating_limits_is_the_level(case):
    compare_limit(case)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_cls_of_minuit_at_many_floating_limits_is_the_level(case):
    compare_limit(case)


KAPPA, EVENTS = 1.2, 60.0
"""Factor on the signal, and spurious signal, at one standard deviation."""


def uncertain(counts):
    """Return the problem with a log-normal factor on the signal and a spurious signal."""
    norm_logs, shape = np.zeros((1, 2, 3, 2)), np.zeros((1, 1, 2, BINS))
    norm_logs[0, 0, 0] = [-np.log(KAPPA), np.log(KAPPA)]
    at = signal(np.array([MASS]), np.array([WIDTH]))
    shape[0, 0] = np.array([-EVENTS, EVENTS])[:, None] * at
    where, fixed = (np.array([1]), np.array([2])), np.zeros((1, 1, BINS))
    return replace(
        problem(counts[None]),
        amounts=Amounts.of(Nuisances(("factor", "spurious"), norm_logs, shape, *where, fixed), at),
    )


def minuit_of_uncertain(counts, start, held=None, means=(0.0, 0.0)):
    def scaled(x, s, c, mass, width, slope, a, b):
        background = truncexpon.cdf(x, LOW, HIGH, LOW, 0.5 / slope)
        return (s * KAPPA**a + EVENTS * b) * norm.cdf(x, mass, width) + c * background

    cost = ExtendedBinnedNLL(counts, EDGES, scaled) + NormalConstraint(["a", "b"], means, [1.0, 1.0])
    minuit = Minuit(cost, **dict(zip(("s", "c", "mass", "width", "slope", "a", "b"), start, strict=True)))
    minuit.limits["mass"], minuit.limits["width"] = BOUNDS[:2]
    minuit.limits["slope"] = (1e-3, 5.0)
    minuit.tol, minuit.strategy = 1e-6, 2
    if held is not None:
        minuit.values["s"], minuit.fixed["s"] = held, True
    minuit.migrad(ncall=20_000)
    return minuit


@pytest.mark.parametrize("size", [3.0, 8.0])
def test_nuisances_are_profiled_as_by_minuit(size):
    counts = thrown((4e3, size, MASS + 0.01, 1.1 * WIDTH, 0.8, 5))
    floating = uncertain(counts)
    free = fit_floating(floating)
    start = [free.linear.yields[0], free.linear.background[0, 0], *free.parameters[0], 0.0, 0.0]
    best = minuit_of_uncertain(counts, start, start[0])
    assert 2.0 * free.linear.nll[0] == pytest.approx(best.fval, abs=1e-3)
    for s in (0.0, 0.5 * start[0], 1.5 * start[0], 2.5 * start[0]):
        found = fit_floating(floating, np.array([s]), free.parameters)
        theirs = minuit_of_uncertain(counts, [s, *start[1:]], s)
        assert 2.0 * found.linear.nll[0] == pytest.approx(theirs.fval, abs=2e-3)
        assert found.linear.pulls[0] == pytest.approx([theirs.values["a"], theirs.values["b"]], abs=2e-2)


def test_limits_with_nuisances_are_those_of_minuit():
    counts = thrown((4e3, 3.0, MASS, WIDTH, 0.8, 6))
    floating = uncertain(counts)
    binned = floating.at(templates(floating.start))
    limits, free, null = floating_limits(floating, binned, Settings(0.9), "asymptotic")
    limit, pulls = limits.yield_limit[0], null.linear.pulls[0]
    start = [free.linear.background[0, 0], *free.parameters[0], 0.0, 0.0]
    data = [minuit_of_uncertain(counts, [s, *start], s).fval for s in (free.linear.yields[0], limit)]
    lattice = [
        (m, w) for m in (MASS - 0.025, MASS, MASS + 0.025) for w in (0.65 * WIDTH, WIDTH, 1.45 * WIDTH)
    ]
    asimov = [
        minuit_of_uncertain(
            null.expectation[0], [s, start[0], mass, width, start[3], 0.0, 0.0], s, pulls
        ).fval
        for s in (0.0, limit)
        for mass, width in lattice
    ]
    root, a = np.sqrt(data[1] - data[0]), np.sqrt(min(asimov[len(lattice) :]) - min(asimov[: len(lattice)]))
    assert root < a
    assert gauss.sf(root) / gauss.sf(root - a) == pytest.approx(0.1, rel=0.02)
    without = floating_limits(problem(counts[None]), binned, Settings(0.9), "asymptotic")[0]
    assert limit > 1.2 * without.yield_limit[0]
