"""The order of the background: what is chosen, how often wrongly, and limits that include the choice."""

from dataclasses import replace

import numpy as np
import pytest
from iminuit import Minuit
from numpy.polynomial import chebyshev
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from scanner import shapes
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings, envelope, order

BINS = 40
EDGES = np.linspace(-1.0, 1.0, BINS + 1)
TRUE = (1.0, -0.5, 0.2)
SETTINGS = Settings(0.9)


def spectra(windows, coefficients=TRUE, events=3000, *, terms=5, signal=0.0, seed=1):
    edges = np.tile(EDGES, (windows, 1))
    background = shapes.chebyshev_integrals(edges, terms)
    peak = shapes.signal_integrals("gaussian", edges, np.zeros(windows), np.full(windows, 0.08), {})
    weights = np.pad(coefficients, (0, terms - len(coefficients)))
    mean = events * np.einsum("k,wkb->wb", weights, background) + signal * peak
    return BinnedProblem(np.random.default_rng(seed).poisson(mean).astype(float), peak, background)


def shares(terms):
    return np.bincount(terms, minlength=6) / terms.size


@pytest.mark.parametrize("statistic", ["likelihood_ratio", "f"])
@pytest.mark.parametrize("coefficients", [(1.0,), (1.0, -0.5), TRUE, (1.0, 0.0, 0.3)])
def test_the_f_test_finds_the_true_order_and_leaves_it_as_often_as_stated(coefficients, statistic):
    """The last case has no linear term: only the order after the next improves on a constant."""
    found = shares(order.f_test(spectra(1500, coefficients), statistic=statistic))
    assert found[: len(coefficients)].sum() == 0.0
    assert 0.01 < found[len(coefficients) + 1 :].sum() < 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / 1500)


def test_the_false_positive_rate_of_one_comparison_is_the_level():
    """With one order left to try there is no sharing, and the rate is the level itself."""
    found = shares(order.f_test(spectra(4000, (1.0, -0.3), terms=3), level=0.1))
    assert found[3] == pytest.approx(0.1, abs=3.0 * np.sqrt(0.09 / 4000))


def test_a_signal_does_not_ask_for_a_higher_order():
    found = shares(order.f_test(spectra(500, signal=400.0)))
    assert found[3] > 0.93


def test_the_likelihood_ratio_is_that_of_wilks():
    problem = spectra(400, (1.0, -0.3), terms=3)
    low, high = (2.0 * fit(replace(problem, terms=np.full(400, k))).nll for k in (2, 3))
    p = stats.chi2.sf(low - high, 1)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.array_equal(order.f_test(problem, level=0.1) == 3, p < 0.1)


def test_windows_keep_to_their_own_highest_order():
    problem = spectra(60, (1.0, -0.5, 0.3))
    limited = replace(problem, terms=np.tile([1, 2, 5], 20))
    for choose in order.CHOICES.values():
        assert np.all(choose(limited) <= limited.terms)
        assert np.all(choose(limited)[::3] == 1)


@pytest.mark.parametrize("choose", order.CHOICES.values())
def test_a_choice_depends_on_the_window_alone(choose):
    problem = spectra(50)
    together = choose(problem)
    alone = [choose(problem.select(np.array([w])))[0] for w in range(50)]
    assert np.array_equal(together, alone)


def test_windows_without_a_fit_keep_their_terms():
    problem = spectra(4)
    empty = replace(problem, counts=np.zeros_like(problem.counts))
    for choose in order.CHOICES.values():
        assert np.array_equal(choose(empty), empty.terms)


def least_by_minuit(problem, w, terms, fixed=None):
    """2NLL above the saturated model by iminuit, from densities that this test integrates itself."""
    counts = problem.counts[w]
    design = np.array(
        [0.5 * np.diff(chebyshev.chebval(EDGES, chebyshev.chebint(np.eye(terms)[k]))) for k in range(terms)]
    )
    peak = np.diff(stats.norm.cdf(EDGES / 0.08))

    def twice(x):
        mean = np.maximum(x[1:] @ design + x[0] * peak, 1e-9)
        full = np.where(counts > 0, counts * np.log(np.maximum(counts, 1.0) / mean), 0.0)
        return 2.0 * float(np.sum(mean - counts + full))

    start = np.zeros(terms + 1)
    start[0], start[1] = fixed or 0.0, counts.sum()
    minuit = Minuit(twice, start)
    minuit.errordef, minuit.strategy, minuit.tol = 1.0, 2, 1e-3
    minuit.errors = np.full(terms + 1, 10.0)
    minuit.fixed[0] = fixed is not None
    minuit.migrad()
    minuit.migrad()
    return minuit.fval, minuit.values[0]


def envelope_by_minuit(problem, w, fixed=None):
    """Λ and its yield: every order refitted, plus one a term."""
    values = [least_by_minuit(problem, w, k, fixed) for k in range(1, problem.background.shape[1] + 1)]
    corrected = [(value + k, best) for k, (value, best) in enumerate(values, start=1)]
    return min(corrected)


@pytest.fixture(scope="module")
def problem():
    return spectra(5, terms=4, events=800, signal=20.0, seed=8)


def test_the_envelope_is_the_brute_force_one(problem):
    found = envelope.Envelope.of(problem)
    for w in range(problem.windows):
        value, best = envelope_by_minuit(problem, w)
        assert found.minimum[w] == pytest.approx(value, abs=2e-4)
        assert found.best[w] == pytest.approx(best, abs=0.02 * found.error[w])
    for s in (0.0, 15.0, 60.0):
        values = found.at(np.full(problem.windows, s))
        brute = [envelope_by_minuit(problem, w, s)[0] for w in range(problem.windows)]
        assert values == pytest.approx(brute, abs=2e-4)


def cls_by_minuit(problem, asimov, w, s):
    """CLs from the definitions, with every likelihood by iminuit."""

    def q(data):
        value, best = envelope_by_minuit(data, w)
        reference = envelope_by_minuit(data, w, 0.0)[0] if best < 0.0 else value
        return 0.0 if best > s else max(envelope_by_minuit(data, w, s)[0] - reference, 0.0)

    q_data, q_asimov = q(problem), q(asimov)
    a = np.sqrt(q_asimov)
    if q_data <= q_asimov:
        return stats.norm.sf(np.sqrt(q_data)) / stats.norm.cdf(a - np.sqrt(q_data))
    return stats.norm.sf(0.5 * (q_data / a + a)) / stats.norm.sf(0.5 * (q_data / a - a))


def test_the_limit_is_the_brute_force_one(problem):
    found = envelope.envelope_limits(problem, SETTINGS)["yield_limit"]
    asimov = envelope.asimov_problem(problem)
    for w in range(2):
        brute = brentq(
            lambda s, w=w: cls_by_minuit(problem, asimov, w, s) - 0.1,
            0.7 * found[w],
            1.3 * found[w],
            xtol=1e-3 * found[w],
        )
        assert found[w] == pytest.approx(brute, rel=2e-3)


def uncertain(problem, kappa=1.3):
    """Return the problem with a log-normal factor on its signal."""
    windows, terms, bins = problem.background.shape
    logs, nowhere = np.zeros((windows, 1, 1 + terms, 2)), np.empty(0, dtype=np.int64)
    logs[:, 0, 0] = [-np.log(kappa), np.log(kappa)]
    empty = np.zeros((windows, 0, 2, bins))
    return replace(problem, nuisances=Nuisances(("factor",), logs, empty, nowhere, nowhere, empty[:, :, 0]))


def profiled_by_scipy(of, s, kappa=1.3):
    """Return the least of Λ(s κ^α) + α² of one window, the likelihood with a factor on its signal."""
    found = minimize_scalar(
        lambda a: of.at(np.array([s * kappa**a]))[0] + a * a, bounds=(-3.0, 3.0), method="bounded"
    )
    return found.fun


@pytest.mark.parametrize("w", [0, 3])
def test_systematics_are_profiled_in_the_envelope(problem, w):
    plain = problem.select(np.array([w]))
    with_factor = uncertain(plain)
    found, data = envelope.envelope_limits(with_factor, SETTINGS), envelope.Envelope.of(plain)
    for s in (0.0, 15.0, 60.0):
        value = envelope.Envelope.of(with_factor).at(np.array([s]))
        assert value == pytest.approx(profiled_by_scipy(data, s), abs=1e-3)
    asimov, limit = envelope.Envelope.of(envelope.asimov_problem(plain)), found["yield_limit"][0]
    reference = data.at(np.zeros(1))[0] if data.best[0] < 0.0 else data.minimum[0]
    q_data, q_asimov = (
        profiled_by_scipy(of, limit) - value for of, value in ((data, reference), (asimov, asimov.minimum[0]))
    )
    cls = np.exp(envelope.log_cls(np.array([q_data]), np.array([q_asimov])))
    assert cls == pytest.approx(1.0 - SETTINGS.confidence_level, rel=2e-3)
    assert limit > envelope.envelope_limits(plain, SETTINGS)["yield_limit"][0]


def test_with_one_order_the_envelope_is_the_asymptotic_limit():
    """Nothing is chosen, so that yield, limits, bands and significance are those of q̃."""
    problem = spectra(40, (1.0,), terms=1, signal=30.0)
    plain = METHODS["asymptotic"](problem, SETTINGS)
    found = envelope.envelope_limits(problem, SETTINGS)
    for name, tolerance in (("yield_limit", 1e-5), ("expected", 1e-5), ("signal_yield", 1e-9)):
        assert found[name] == pytest.approx(getattr(plain, name), rel=tolerance), name
    assert found["z_local"] == pytest.approx(plain.z_local, abs=1e-5)
    assert found["signal_yield_error"] == pytest.approx(plain.signal_yield_error, rel=2e-3)


def test_the_choice_widens_limits_and_errors():
    """Wherever orders compete the envelope rises more slowly than the chosen order alone."""
    problem = spectra(200, events=1000)
    chosen = METHODS["asymptotic"](replace(problem, terms=order.discrete_profile(problem)), SETTINGS)
    found = envelope.envelope_limits(problem, SETTINGS)
    assert np.mean(found["signal_yield_error"] / chosen.signal_yield_error) > 1.02
    assert np.min(found["signal_yield_error"] / chosen.signal_yield_error) > 0.995
    assert np.isfinite(found["yield_limit"]).all()


@pytest.mark.slow
def test_the_envelope_covers():
    problem = spectra(3000, events=1500, signal=40.0, seed=3)
    found = envelope.envelope_limits(problem, SETTINGS)
    pulls = (found["signal_yield"] - 40.0) / found["signal_yield_error"]
    assert abs(pulls.mean()) < 0.15
    assert np.mean(found["yield_limit"] >= 40.0) > 0.9 - 3.0 * np.sqrt(0.09 / 3000)


def test_the_limits_of_a_window_depend_on_its_own_data_only():
    problem = spectra(30)
    together = envelope.envelope_limits(problem, SETTINGS)
    part = envelope.envelope_limits(problem.select(np.array([17, 3])), SETTINGS)
    for name, values in part.items():
        assert np.array_equal(values, together[name][[17, 3]]), name


def test_limits_of_other_methods_stay():
    problem = spectra(6, events=60)
    counted = METHODS["counting"](problem, SETTINGS)
    assert envelope.with_envelope(problem, SETTINGS, counted) is counted
