"""Asymptotic limits against pyhf and against roots found with iminuit's fits."""

import numpy as np
import pyhf
import pytest
from numpy.polynomial import chebyshev
from scipy.interpolate import BSpline
from scipy.optimize import brentq
from scipy.stats import norm

from scanner.constants import QUANTILES
from scanner.kernels.linear.cls import log_cls
from scanner.kernels.special import log_normal_tail, normal_hazard, normal_quantile
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.minuit import fit_window
from scanner.stats import METHOD_MEANINGS, METHODS, Settings
from scanner.stats.asymptotic import gaussian_limits


def problem(rate, bins=100, terms=3, windows=6, signal_yield=0.0, seed=11, positive=False):
    edges = np.linspace(-1.0, 1.0, bins + 1)
    signal = np.diff(norm.cdf(edges / 0.05))
    background = positive_terms(edges, terms) if positive else chebyshev_terms(edges, terms)
    centres = 0.5 * (edges[1:] + edges[:-1])
    rng = np.random.default_rng([seed, int(1000 * rate), bins])
    counts = rng.poisson(rate * (1.0 - 0.5 * centres) + signal_yield * signal, (windows, bins)).astype(float)
    tile = (windows, 1)
    return BinnedProblem(counts, np.tile(signal, tile), np.tile(background, (windows, 1, 1)))


def chebyshev_terms(edges, terms):
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)]
    return np.array(rows)


def positive_terms(edges, terms):
    """Bernstein polynomials as bin integrals: templates that pyhf takes."""
    knots = np.repeat([-1.0, 1.0], terms)
    pieces = [BSpline(knots, row, terms - 1).antiderivative() for row in np.eye(terms)]
    return np.array([np.diff(piece(edges)) for piece in pieces])


def pyhf_model(window):
    normalise = {
        f"b{k}": {"name": f"b{k}", "data": row.tolist()} for k, row in enumerate(window.background[0])
    }
    samples = [
        {
            "name": "signal",
            "data": window.signal[0].tolist(),
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        }
    ]
    for name, row in normalise.items():
        free = {"name": name, "type": "normfactor", "data": None}
        samples.append({"name": name, "data": row["data"], "modifiers": [free]})
    total = window.counts.sum()
    parameters = [{"name": name, "bounds": [[0.0, 10.0 * total]], "inits": [total]} for name in normalise]
    parameters.append({"name": "mu", "bounds": [[0.0, 10.0 * np.sqrt(total) + 50.0]], "inits": [1.0]})
    specification = {"channels": [{"name": "window", "samples": samples}], "parameters": parameters}
    return pyhf.Model(specification, poi_name="mu")


@pytest.fixture
def tight_pyhf():
    backend, optimizer = pyhf.get_backend()
    minuit = pyhf.optimize.minuit_optimizer(tolerance=1e-5, strategy=2, maxiter=100_000)
    pyhf.set_backend("numpy", minuit)
    yield
    pyhf.set_backend(backend, optimizer)


@pytest.mark.usefixtures("tight_pyhf")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(("rate", "signal_yield"), [(500.0, 0.0), (20.0, 0.0), (20.0, 60.0)])
def test_cls_of_pyhf_at_our_limits(rate, signal_yield):
    """pyhf's CLs at our observed limit is α, and its expected CLs at our bands bracket the same."""
    window = problem(rate, bins=30, windows=1, signal_yield=signal_yield, positive=True)
    limits = METHODS["asymptotic"](window, Settings(0.95))
    model = pyhf_model(window)
    data = window.counts[0].tolist()

    def cls(mu):
        observed, expected = pyhf.infer.hypotest(
            mu, data, model, test_stat="qtilde", return_expected_set=True
        )
        return float(observed), [float(value) for value in expected]

    root = brentq(lambda mu: np.log(cls(mu)[0] / 0.05), *limits.yield_limit[0] * np.array([0.99, 1.01]))
    assert limits.yield_limit[0] == pytest.approx(root, rel=1e-4)
    median = brentq(lambda mu: np.log(cls(mu)[1][2] / 0.05), *limits.expected[0, 2] * np.array([0.99, 1.01]))
    assert limits.expected[0, 2] == pytest.approx(median, rel=1e-4)


def minuit_nll(window, counts, fixed=None):
    one = BinnedProblem(counts[None], window.signal[:1], window.background[:1])
    opinion = fit_window(one, 0, fixed)
    assert opinion.valid
    return opinion


@pytest.mark.parametrize(
    ("rate", "signal_yield", "terms"), [(500.0, 0.0, 3), (500.0, 300.0, 5), (8.0, 0.0, 3), (8.0, 40.0, 1)]
)
def test_limits_are_roots_of_cls_with_iminuit_fits(rate, signal_yield, terms):
    window = problem(rate, bins=60, terms=terms, windows=1, signal_yield=signal_yield)
    limits = METHODS["asymptotic"](window, Settings(0.9))
    data = window.counts[0]
    null = minuit_nll(window, data, 0.0)
    asimov = null.background @ window.background[0]
    free = minuit_nll(window, data)
    reference = free.nll if free.signal_yield > 0.0 else null.nll

    def root_q_asimov(s):
        return np.sqrt(2.0 * (minuit_nll(window, asimov, s).nll - minuit_nll(window, asimov, 0.0).nll))

    def excess(s):
        q = 0.0 if free.signal_yield > s else 2.0 * (minuit_nll(window, data, s).nll - reference)
        return log_cls(max(q, 0.0), 0.0, root_q_asimov(s), 0.0)[0] - np.log(0.1)

    centre = limits.yield_limit[0]
    assert centre == pytest.approx(brentq(excess, 0.98 * centre, 1.02 * centre, rtol=1e-9), rel=2e-6)
    for target, value in zip(gaussian_limits(0.9), limits.expected[0], strict=True):
        assert root_q_asimov(value) == pytest.approx(target, rel=2e-6)


def test_significance_is_the_root_of_the_likelihood_ratio():
    window = problem(100.0, windows=8, signal_yield=90.0)
    limits = METHODS["asymptotic"](window, Settings(0.9))
    free, null = fit(window), fit(window, np.zeros(8))
    q0 = np.where(free.yields > 0.0, 2.0 * (null.nll - free.nll), 0.0)
    assert limits.z_local == pytest.approx(np.sqrt(q0), rel=1e-7, abs=1e-6)
    assert limits.p_local == pytest.approx(norm.sf(limits.z_local), rel=1e-12)
    assert limits.signal_yield == pytest.approx(free.yields, rel=1e-12)
    assert limits.signal_yield_error == pytest.approx(free.errors, rel=1e-12)
    assert limits.background_coefficients == pytest.approx(null.background, rel=1e-6)


def test_deficit_has_no_significance():
    window = problem(100.0, windows=40)
    limits = METHODS["asymptotic"](window, Settings(0.9))
    deficit = limits.signal_yield <= 0.0
    assert deficit.any()
    assert np.all(limits.z_local[deficit] == 0.0)
    assert np.all(limits.p_local[deficit] == 0.5)
    assert np.all(limits.yield_limit[deficit] > 0.0)


def test_bands_rise_and_bracket():
    limits = METHODS["asymptotic"](problem(50.0, windows=200), Settings(0.9))
    assert np.all(np.diff(limits.expected, axis=1) > 0.0)
    below = (limits.yield_limit[:, None] < limits.expected).mean(axis=0)
    assert below == pytest.approx(np.array(QUANTILES), abs=0.12)


def test_goodness_of_fit_is_uniform():
    quality = METHODS["asymptotic"](problem(200.0, windows=400), Settings(0.9)).fit_quality
    assert np.all((quality >= 0.0) & (quality <= 1.0))
    deciles = np.histogram(quality, 10, (0.0, 1.0))[0]
    assert np.all(np.abs(deciles - 40) < 5 * np.sqrt(36.0))


def test_goodness_of_fit_notices_a_wrong_shape():
    window = problem(300.0, terms=1, windows=4)
    window.counts[:] *= np.linspace(0.2, 1.8, 100)
    assert np.all(METHODS["asymptotic"](window, Settings(0.9)).fit_quality < 1e-10)


def test_every_window_has_a_method():
    limits = METHODS["asymptotic"](problem(5.0), Settings(0.9))
    assert {METHOD_MEANINGS[code] for code in limits.method} == {"asymptotic"}


@pytest.mark.parametrize("x", [-30.0, -3.0, 0.0, 2.5, 11.9, 12.1, 40.0, 300.0])
def test_normal_tail(x):
    assert log_normal_tail(x) == pytest.approx(norm.logsf(x), rel=1e-12, abs=1e-15)
    hazard = np.exp(norm.logpdf(x) - norm.logsf(x))
    assert normal_hazard(x) == pytest.approx(hazard, rel=1e-10)


@pytest.mark.parametrize("p", [1e-300, 1e-30, 1e-3, 0.3, 0.5, 0.8, 1.0 - 1e-12])
def test_normal_quantile(p):
    assert normal_quantile(p) == pytest.approx(norm.ppf(p), rel=1e-12, abs=1e-14)
