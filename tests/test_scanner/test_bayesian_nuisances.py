"""Bayesian limits of windows with constrained nuisances against brute-force quadrature and calculators."""

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson
from scipy.stats import norm, poisson

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.expectation import norm_factor, shape_change
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHOD_MEANINGS, METHODS, Settings, calculate
from scanner.stats.posterior import RELATIVE_ERROR, credible

NONE = np.empty(0, np.int64)


def observed(problem, settings):
    found = credible(problem, 0, problem.counts[:1], settings, RELATIVE_ERROR)
    assert found.errors[0] <= RELATIVE_ERROR * found.limits[0]
    return found.limits[0]


def one_bin(n, background, *, signal_up=1.0, background_up=1.0, spread=0.0):
    """A bin with a fixed background; log-normal signal and background, or a normal background."""
    logs = np.log([[1.0 / signal_up, signal_up], [1.0 / background_up, background_up]])
    norms = np.zeros((1, 2, 2, 2))
    norms[0, 0, 0], norms[0, 1, 1] = logs
    shape = np.array([[[[-spread], [spread]]]])
    fixed = np.array([[[background]]])
    nuisances = Nuisances(("e", "b"), norms, shape, np.array([1]), np.array([1]), fixed)
    return BinnedProblem(np.array([[n]], float), np.ones((1, 1)), np.zeros((1, 0, 1)), nuisances=nuisances)


@pytest.mark.parametrize("prior", ["flat in yield", "1/sqrt(yield)"])
@pytest.mark.parametrize(("n", "background", "error"), [(0, 1.47, 0.4), (5, 3.0, 1.2), (40, 30.0, 5.0)])
def test_a_normal_background_is_the_calculator(n, background, error, prior):
    options = {"background_shape": "normal", "method": "bayesian", "prior": prior}
    exact = calculate(n, background, error, **options).limit
    assert observed(one_bin(n, background, spread=error), Settings(0.9, prior=prior)) == pytest.approx(
        exact, rel=0.01
    )


def by_quadrature(problem, top, level):
    """Sum over two nuisances of a window without free coefficients, by the formulas of HistFactory."""
    effects, alpha = problem.nuisances, np.linspace(-6.0, 6.0, 49)
    s = np.linspace(0.0, top, 151)
    density = np.zeros(s.size)
    for a in alpha:
        for b in alpha:
            factors = norm_factor(effects.norm[0, 0], a) * norm_factor(effects.norm[0, 1], b)
            fixed = factors[1] * (effects.fixed[0, 0] + shape_change(effects.shape[0, 0], b))
            nu = s[:, None] * factors[0] * problem.signal[0] + fixed
            if np.all(fixed >= 0.0):
                density += norm.pdf(a) * norm.pdf(b) * np.prod(poisson.pmf(problem.counts[0], nu), axis=1)
    cumulative = cumulative_simpson(density, x=s, initial=0.0)
    return np.interp(level, cumulative / cumulative[-1], s)


@pytest.mark.parametrize("n", [0, 4])
def test_log_normal_effects_against_quadrature(n):
    problem = one_bin(n, 2.0, signal_up=1.3, background_up=1.6)
    assert observed(problem, Settings(0.9)) == pytest.approx(by_quadrature(problem, 40.0, 0.9), rel=0.01)


def test_shapes_of_several_bins_against_quadrature():
    counts = np.array([[3.0, 5.0, 9.0, 4.0]])
    norms, shape = np.zeros((1, 2, 2, 2)), np.array([[[[0.5, 0.2, -0.6, -0.4], [-0.4, -0.1, 0.8, 0.5]]]])
    norms[0, 0, 0] = np.log([0.85, 1.2])
    norms[0, 0, 1] = np.log([1.1, 0.9])
    fixed = np.array([[[3.0, 4.0, 4.0, 3.0]]])
    nuisances = Nuisances(("e", "b"), norms, shape, np.array([1]), np.array([1]), fixed)
    signal = np.array([[0.1, 0.3, 0.4, 0.2]])
    problem = BinnedProblem(counts, signal, np.zeros((1, 0, 4)), nuisances=nuisances)
    assert observed(problem, Settings(0.9)) == pytest.approx(by_quadrature(problem, 60.0, 0.9), rel=0.01)


def sideband(n, m, tau, counts=1, *, up=1.0, statistics=0.0):
    """An off region that measures a free background, with an uncertain signal."""
    norms = np.zeros((counts, 1, 2, 2))
    norms[:, 0, 0] = np.log([1.0 / up, up])
    none = np.zeros((counts, 0, 2, 2))
    flags = np.array([True, False])
    delta = np.tile([statistics, 0.0], (counts, 1))
    nuisances = Nuisances(
        ("e",), norms, none, NONE, NONE, np.zeros((counts, 0, 2)), statistics=delta, uncertain=flags
    )
    arrays = np.array([n, m], float), np.array([1.0, 0.0]), np.array([[1.0, tau]])
    rows = [np.tile(array, (counts, *[1] * array.ndim)) for array in arrays]
    return BinnedProblem(*rows, nuisances=nuisances)


@pytest.mark.parametrize(("n", "m", "tau"), [(2, 6, 3.0), (6, 0, 2.0), (30, 40, 2.0), (400, 700, 2.0)])
def test_no_effect_leaves_the_exact_on_off_limit(n, m, tau):
    exact = calculate(n, off=m, tau=tau, method="bayesian").limit
    assert observed(sideband(n, m, tau), Settings(0.9)) == pytest.approx(exact, rel=0.01)


def averaged(n, m, tau, weights, scales, level=0.9):
    """The limit of an on/off experiment whose signal is scaled by some factors of given weights."""
    s, b = np.linspace(0.0, 12.0 * (n - m / tau + 3.0 * np.sqrt(n + 1.0) + 3.0) / 4.0, 801), None
    b = np.linspace(0.0, (m + 9.0 * np.sqrt(m + 1.0) + 12.0) / tau, 1501)
    weight = poisson.pmf(m, tau * b)
    fine = np.linspace(0.0, s[-1] * scales.max(), 4001)
    curve = np.array([poisson.pmf(n, value + b) @ weight for value in fine])
    density = sum(w * np.interp(s * scale, fine, curve) for w, scale in zip(weights, scales, strict=True))
    cumulative = cumulative_simpson(density, x=s, initial=0.0)
    return np.interp(level, cumulative / cumulative[-1], s)


def test_template_statistics_of_the_signal_against_quadrature():
    beta = np.linspace(0.4, 1.6, 241)
    expected = averaged(30, 40, 2.0, norm.pdf(beta, 1.0, 0.15), beta)
    assert observed(sideband(30, 40, 2.0, statistics=0.15), Settings(0.9)) == pytest.approx(
        expected, rel=0.01
    )


def test_an_uncertain_signal_over_a_free_background_against_quadrature():
    alpha = np.linspace(-5.0, 5.0, 201)
    logs = np.log([[1.0 / 1.2, 1.2]])
    scales = np.array([norm_factor(logs, a)[0] for a in alpha])
    expected = averaged(30, 40, 2.0, norm.pdf(alpha), scales)
    assert observed(sideband(30, 40, 2.0, up=1.2), Settings(0.9)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("method", "toys"), [("bayesian", 8), ("feldman_cousins", 200)])
def test_a_method_takes_nuisances_and_windows_are_independent(method, toys):
    both = sideband(30, 40, 2.0, 2, up=1.2, statistics=0.1)
    settings = Settings(0.9, toys=toys)
    together = METHODS[method](both, settings)
    assert [METHOD_MEANINGS[code] for code in together.method] == [method] * 2
    assert np.all(np.diff(together.expected, axis=1) >= 0.0)
    assert np.all(together.toys_failed == 0)
    for w in range(2):
        alone = METHODS[method](both.select(np.array([w])), settings)
        for name in ("yield_limit", "yield_lower", "yield_limit_error", "expected", "toys"):
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[w], equal_nan=True), name


def spurious(n, m, tau, events, counts=1):
    """An off region that measures a free background, and a spurious signal of ± `events` in the on region."""
    norms, shape = np.zeros((counts, 1, 3, 2)), np.zeros((counts, 1, 2, 2))
    shape[:, 0, :, 0] = -events, events
    effect = (np.array([0]), np.array([2]), np.zeros((counts, 1, 2)))
    nuisances = Nuisances(("spurious",), norms, shape, *effect)
    arrays = np.array([n, m], float), np.array([1.0, 0.0]), np.array([[1.0, tau]])
    rows = [np.tile(array, (counts, *[1] * array.ndim)) for array in arrays]
    return BinnedProblem(*rows, nuisances=nuisances)


@pytest.mark.parametrize(("n", "m", "events"), [(3, 6, 1.0), (3, 6, 8.0), (0, 4, 5.0), (40, 80, 15.0)])
def test_a_spurious_signal_cannot_make_the_background_negative(n, m, events):
    tau = 2.0
    alpha, b = np.linspace(-6.0, 6.0, 241), np.linspace(0.0, (m + 9.0 * np.sqrt(m + 1.0) + 12.0) / tau, 241)
    on = b[:, None] + events * alpha
    weight = np.where(on >= 0.0, poisson.pmf(m, tau * b)[:, None] * norm.pdf(alpha), 0.0)
    s = np.linspace(0.0, 6.0 * np.sqrt(n + events**2 + 9.0) + 10.0, 121)
    density = np.array([np.sum(weight * poisson.pmf(n, value + np.maximum(on, 0.0))) for value in s])
    cumulative = cumulative_simpson(density, x=s, initial=0.0)
    expected = np.interp(0.9, cumulative / cumulative[-1], s)
    problem = spurious(n, m, tau, events)
    found = credible(problem, 0, problem.counts, Settings(0.9), RELATIVE_ERROR)
    assert found.errors[0] < 0.01 * expected
    assert abs(found.limits[0] - expected) < 3.0 * found.errors[0] + 0.005 * expected


def test_toys_of_any_global_observable_have_limits():
    """Also where the measured spurious signal exceeds the background, and in a window without events."""
    for n, m in ((2, 4), (0, 0)):
        limits = METHODS["bayesian"](spurious(n, m, 2.0, 5.0), Settings(0.9, toys=40))
        assert np.isfinite(limits.yield_limit[0])
        assert np.isfinite(limits.expected[0]).all()
        assert limits.toys_failed[0] == 0
