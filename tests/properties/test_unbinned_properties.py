"""Unbinned fits and limits of every shape against iminuit on densities of numba-stats and scipy."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL, ExtendedUnbinnedNLL
from numba_stats import argus, bernstein, crystalball, crystalball_ex, norm, truncexpon, voigt
from numpy.polynomial import chebyshev
from scipy.integrate import quad
from scipy.stats import johnsonsu
from scipy.stats import norm as gauss

from scanner import shapes
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.unbinned import UnbinnedProblem, fit_unbinned
from scanner.stats import Settings
from scanner.stats.unbinned import asymptotic_unbinned

LOW, HIGH = 2.0, 3.0
GRID = np.linspace(LOW, HIGH, 2_001)


def johnson(x, m, s, gamma, delta):
    mean, variance = johnsonsu.stats(gamma, delta)
    scale = s / np.sqrt(variance)
    return johnsonsu.pdf(x, gamma, delta, loc=m - mean * scale, scale=scale)


SIGNALS = {
    "gaussian": (lambda x, m, s: norm.pdf(x, m, s), {}),
    "double_gaussian": (
        lambda x, m, s, f, r: (1.0 - f) * norm.pdf(x, m, s) + f * norm.pdf(x, m, r * s),
        {"fraction": (0.1, 0.5), "ratio": (1.5, 3.0)},
    ),
    "crystal_ball": (
        lambda x, m, s, a, n: crystalball.pdf(x, a, n, m, s),
        {"alpha": (0.7, 2.5), "n": (1.5, 8.0)},
    ),
    "double_crystal_ball": (
        lambda x, m, s, a, n, b, k: crystalball_ex.pdf(x, a, n, s, b, k, s, m),
        {"alpha_low": (0.7, 2.5), "n_low": (1.5, 8.0), "alpha_high": (0.7, 2.5), "n_high": (1.5, 8.0)},
    ),
    "voigt": (lambda x, m, s, w: voigt.pdf(x, 0.5 * w * s, m, s), {"width": (0.1, 2.0)}),
    "johnson": (johnson, {"gamma": (-1.0, 1.0), "delta": (1.0, 3.0)}),
}
"""Densities of others at x, mass and resolution; ranges of the further parameters in their order."""


def chebyshev_rows(x, terms):
    return chebyshev.chebvander(2.0 * x - 5.0, terms - 1).T / (HIGH - LOW)


def bernstein_rows(x, terms):
    """Return the terms of unit integral."""
    return terms * np.array([bernstein.density(x, row, LOW, HIGH) for row in np.eye(terms)])


def normalised(function, first=LOW):
    area = quad(function, first, HIGH, epsabs=0.0, epsrel=1e-11)[0]
    return lambda x: np.where(x > first, function(np.maximum(x, first)) / area, 0.0)


def argus_row(x, curvature):
    parameters = np.sqrt(2.0 * curvature), 3.05, 0.5
    within = np.diff(argus.cdf(np.array([LOW, HIGH]), *parameters))
    return argus.pdf(x, *parameters)[None] / within


BACKGROUNDS = {
    "chebyshev": (chebyshev_rows, {}, {}),
    "linear": (chebyshev_rows, {}, {}),
    "bernstein": (bernstein_rows, {}, {}),
    "exponential": (
        lambda x, _, slope: truncexpon.pdf(x, LOW, HIGH, LOW, 0.5 / slope)[None],
        {"slope": (0.2, 1.5)},
        {},
    ),
    "power_law": (lambda x, _, p: normalised(lambda y: y**-p)(x)[None], {"exponent": (0.5, 4.0)}, {}),
    "argus": (lambda x, _, c: argus_row(x, c), {"curvature": (0.5, 4.0)}, {"endpoint": 3.05, "power": 0.5}),
    "threshold": (
        lambda x, _, p, slope: normalised(lambda y: (y - 1.9) ** p * np.exp(-slope * (2.0 * y - 5.0)))(x)[
            None
        ],
        {"power": (0.3, 1.5), "slope": (0.2, 1.0)},
        {"threshold": 1.9},
    ),
    "threshold_polynomial": (
        lambda x, terms: normalised(lambda y: (y - 1.9) ** 0.5)(x) * chebyshev_rows(x, terms),
        {},
        {"threshold": 1.9, "power": 0.5},
    ),
}
"""Rows of densities of others, ranges of non-linear parameters, constants."""


def test_every_shape_is_here():
    assert SIGNALS.keys() == shapes.SIGNALS.keys()
    assert BACKGROUNDS.keys() == shapes.BACKGROUNDS.keys()


@st.composite
def models(draw):
    """Return names, parameters, terms, mass and resolution, and rows of densities at any points."""
    name, other = draw(st.sampled_from(sorted(SIGNALS))), draw(st.sampled_from(sorted(BACKGROUNDS)))
    signal, ranges = SIGNALS[name]
    rows, bends, constants = BACKGROUNDS[other]
    extra = {key: draw(st.floats(*ends)) for key, ends in ranges.items()}
    bent = {key: draw(st.floats(*ends)) for key, ends in bends.items()}
    terms = draw(st.integers(1, 3)) if shapes.BACKGROUNDS[other].polynomial else 1
    mass, resolution = draw(st.floats(2.2, 2.8)), draw(st.floats(0.02, 0.06))

    def densities(x):
        background = rows(x, terms, *bent.values())
        return np.vstack([background, signal(x, mass, resolution, *extra.values())])

    facts = {"signal": name, "background": other, "parameters": extra}
    return facts, bent | constants, terms, mass, resolution, densities


def thrown(densities, terms, events, seed):
    """Throw events of a sloped background and a signal by inverting the cumulative function."""
    rng = np.random.default_rng(seed)
    rows = densities(GRID)
    falling = rows[0] * (1.6 - 0.6 * (GRID - LOW))
    total = falling / np.trapezoid(falling, GRID) + 0.08 * rows[-1]
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (total[1:] + total[:-1]))])
    return np.sort(np.interp(rng.uniform(size=events), cumulative / cumulative[-1], GRID))


def problem(model, x):
    facts, bent, terms, mass, resolution, _ = model
    arrays = [np.array([value]) for value in (LOW, HIGH, mass, resolution)]
    columns = {name: np.array([value]) for name, value in facts["parameters"].items()}
    return UnbinnedProblem(
        x, [0], [len(x)], *arrays, [terms], signal=facts["signal"], background=facts["background"],
        parameters=columns, background_parameters={n: np.array([v]) for n, v in bent.items()},
    )  # fmt: skip


NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
PIECES = np.linspace(LOW, HIGH, 801)


def areas(densities):
    """Integrate the rows over the window by Gauss–Legendre rules, which leave its ends out."""
    half = 0.5 * np.diff(PIECES)[:, None]
    x = (PIECES[:-1, None] + half + half * NODES).ravel()
    return densities(x) @ (half * WEIGHTS).ravel()


def minuit_of(x, rows, integrals, start, fixed=None):
    def density(_, theta):
        return theta @ integrals, theta @ rows

    minuit = Minuit(ExtendedUnbinnedNLL(x, density), start)
    minuit.tol, minuit.strategy = 1e-6, 1
    minuit.errors = np.sqrt(np.abs(start)) + 1.0
    if fixed is not None:
        minuit.values[len(start) - 1], minuit.fixed[len(start) - 1] = fixed, True
    minuit.migrad()
    return minuit


def compare_fit(model, events, seed):
    _, _, terms, _, _, densities = model
    x = thrown(densities, terms, events, seed)
    found = fit_unbinned(problem(model, x))
    assume(STATUS_MEANINGS[found.status[0]] == "ok")  # iminuit knows no positivity between the events
    rows, integrals = densities(x), areas(densities)
    theta = np.array([*found.background[0, :terms], found.yields[0]])
    minuit = minuit_of(x, rows, integrals, theta * 1.02)
    weighted = rows / (np.array(minuit.values) @ rows)
    error = np.sqrt(np.linalg.inv(weighted @ weighted.T)[-1, -1])
    assert found.yields[0] == pytest.approx(minuit.values[terms], abs=3e-3 * error)
    assert found.errors[0] == pytest.approx(error, rel=1e-3)
    assert 2.0 * found.nll[0] == pytest.approx(minuit.fval, abs=2e-4)
    return minuit.valid


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(200, 1_500), st.integers(0, 2**32 - 1))
def test_yields_and_errors_of_random_models_are_those_of_minuit(model, events, seed):
    compare_fit(model, events, seed)


@pytest.mark.slow
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(50, 5_000), st.integers(0, 2**32 - 1))
def test_yields_and_errors_of_many_random_models_are_those_of_minuit(model, events, seed):
    compare_fit(model, events, seed)


CELLS = 1_000


def asimov_cost(densities, theta):
    """Return the binned cost of the expectation of θ without signal, and its null minimum is θ itself."""
    edges = np.linspace(LOW, HIGH, CELLS + 1)
    rows = densities(0.5 * (edges[1:] + edges[:-1])) * (edges[1] - edges[0])
    cumulative = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    return ExtendedBinnedNLL(theta[:-1] @ rows[:-1], edges, lambda _, par: par @ cumulative)


def profiled(cost, start, fixed):
    minuit = Minuit(cost, start)
    minuit.tol, minuit.strategy = 1e-6, 1
    minuit.errors = np.sqrt(np.abs(start)) + 1.0
    minuit.values[len(start) - 1], minuit.fixed[len(start) - 1] = fixed, True
    minuit.migrad()
    return minuit


def cls_of_minuit(model, x, limit, theta, null):
    """Return CLs at a yield from fits by iminuit alone (arXiv:1007.1727, eqs. 59, 65 and 66).

    Models are left out where a fit ends at a density that is negative between the events.
    """
    *_, densities = model
    rows, integrals, grid = densities(x), areas(densities), densities(GRID)
    cost = asimov_cost(densities, null)
    free, nothing = minuit_of(x, rows, integrals, theta), minuit_of(x, rows, integrals, null, 0.0)
    there = minuit_of(x, rows, integrals, theta, limit)
    expected, truth = profiled(cost, null, limit), profiled(cost, null, 0.0)
    for minuit in (free, nothing, there, expected, truth):
        assume(minuit.valid and (np.array(minuit.values) @ grid).min() > 0.0)
    reference = free if free.values[len(theta) - 1] > 0.0 else nothing
    q, q_asimov = there.fval - reference.fval, expected.fval - truth.fval
    a = np.sqrt(q_asimov)
    if q <= q_asimov:
        return gauss.sf(np.sqrt(q)) / gauss.sf(np.sqrt(q) - a)
    return gauss.sf(0.5 * (q / a + a)) / gauss.sf(0.5 * (q / a - a))


def compare_limit(model, events, seed, level):
    _, _, terms, _, _, densities = model
    x = thrown(densities, terms, events, seed)
    limits = asymptotic_unbinned(problem(model, x), Settings(level))
    found = fit_unbinned(problem(model, x))
    assume(STATUS_MEANINGS[limits.status[0]] == "ok")
    theta = np.array([*found.background[0, :terms], found.yields[0]])
    null = np.array([*limits.background_coefficients[0, :terms], 0.0])
    cls = cls_of_minuit(model, x, limits.yield_limit[0], theta, null)
    assert cls == pytest.approx(1.0 - level, rel=5e-3)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(300, 1_500), st.integers(0, 2**32 - 1), st.sampled_from([0.9, 0.95]))
def test_cls_of_minuit_at_the_limit_is_the_level(model, events, seed, level):
    compare_limit(model, events, seed, level)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(100, 4_000), st.integers(0, 2**32 - 1), st.sampled_from([0.9, 0.95]))
def test_cls_of_minuit_at_many_limits_is_the_level(model, events, seed, level):
    compare_limit(model, events, seed, level)
