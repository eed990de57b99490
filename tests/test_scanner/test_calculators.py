"""Counting experiments with uncertain background and efficiency against quadrature, pyhf and sums."""

import math

import numpy as np
import pyhf
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import nbinom, norm, poisson

from scanner.errors import InputError
from scanner.stats import calculate
from scanner.stats.experiment import CountingData
from scanner.stats.feldman_cousins import Belt

BACKGROUNDS = {
    "lognormal": lambda z, b, error: b * (1.0 + error / b) ** z,
    "normal": lambda z, b, error: b + error * z,
}


def grid(shape, value, error, size=101):
    """Values and weights of Simpson's rule over a standard normal z, as far as the value is positive."""
    z = np.linspace(max(-6.7, -value / error) if shape == "normal" else -6.7, 6.7, size)
    weights = norm.pdf(z) * np.where(np.arange(size) % 2, 4.0, 2.0)
    weights[[0, -1]] *= 0.5
    return BACKGROUNDS[shape](z, value, error), weights / weights.sum()


def averaged(function, background, efficiency):
    """Average of a function of the efficiency and the background."""
    (b, b_weights), (e, e_weights) = grid(*background), grid(*efficiency)
    return e_weights @ function(e[:, None], b[None, :]) @ b_weights


CASES = [
    ("lognormal", 1.5, "lognormal", 0.3),
    ("normal", 0.7, "lognormal", 0.2),
    ("normal", 1.2, "normal", 0.12),
]


@pytest.mark.parametrize(("shape", "error", "efficiency_shape", "efficiency_error"), CASES)
@pytest.mark.parametrize("criterion", ["cls", "clsb"])
def test_hybrid_limits_against_quadrature(shape, error, efficiency_shape, efficiency_error, criterion):
    found = calculate(
        4,
        3.0,
        error,
        background_shape=shape,
        efficiency_error=efficiency_error,
        efficiency_shape=efficiency_shape,
        criterion=criterion,
    )
    densities = (shape, 3.0, error), (efficiency_shape, 1.0, efficiency_error)
    reached = averaged(lambda e, b: poisson.cdf(4, found.limit * e + b), *densities)
    none = averaged(lambda e, b: poisson.cdf(4, 0.0 * e + b), *densities)
    assert reached == pytest.approx(0.1 * (none if criterion == "cls" else 1.0), rel=1e-4)
    assert found.treatment == "background and efficiency averaged"


def test_limit_of_a_known_background_by_clsb_is_the_classical_one():
    limit = brentq(lambda s: poisson.cdf(3, s + 1.0) - 0.1, 0.0, 20.0)
    assert calculate(3, 1.0, criterion="clsb").limit == pytest.approx(limit, rel=1e-9)
    assert calculate(0, 4.0, criterion="clsb").limit == 0.0  # the count excludes every signal
    assert calculate(0, 4.0).limit == pytest.approx(-math.log(0.1))


def test_reference_limit_with_a_log_normal_efficiency():
    """s = 4.76 with κ = 1.2 over b = 1.47, no event: .67229 of the strength."""
    found = calculate(0, 1.47, efficiency_error=0.2, method="bayesian", confidence_level=0.95)
    assert found.limit / 4.76 == pytest.approx(0.67229, abs=6e-6)
    assert found.treatment == "efficiency marginalised"


@pytest.mark.parametrize(("shape", "error", "efficiency_shape", "efficiency_error"), CASES)
@pytest.mark.parametrize(
    ("prior", "power", "exponent"),
    [("flat in yield", 2.0, 0.0), ("1/sqrt(yield)", 2.0, -0.5), ("flat in coupling", 4.0, -0.75)],
)
def test_bayesian_limits_against_quadrature(
    shape, error, efficiency_shape, efficiency_error, prior, power, exponent
):
    uncertain = {"efficiency_error": efficiency_error, "efficiency_shape": efficiency_shape}
    options = {"method": "bayesian", "prior": prior, "power": power}
    found = calculate(4, 3.0, error, background_shape=shape, **uncertain, **options)
    densities = (shape, 3.0, error), (efficiency_shape, 1.0, efficiency_error)
    roots = np.linspace(0.0, 9.0, 61)  # of s; beyond, the likelihood is below 1e-9
    values = [averaged(lambda e, b, s=x * x: poisson.pmf(4, s * e + b), *densities) for x in roots]
    curve = np.polynomial.Chebyshev.fit(roots, values, 45)
    gamma = exponent + 1.0

    def share(limit):
        return quad(lambda u: curve(u ** (0.5 / gamma)), 0.0, limit**gamma, epsrel=1e-9, limit=200)[0]

    assert share(found.limit) / share(81.0) == pytest.approx(0.9, abs=2e-5)


def pyhf_model(shape, b, error, efficiency_error):
    """One bin with the same likelihood: exponential norms, and a symmetric, hence linear, shape."""
    kappa = 1.0 + error / b
    modifier = (
        {"name": "b", "type": "normsys", "data": {"hi": kappa, "lo": 1.0 / kappa}}
        if shape == "lognormal"
        else {"name": "b", "type": "histosys", "data": {"hi_data": [b + error], "lo_data": [b - error]}}
    )
    signal = [{"name": "mu", "type": "normfactor", "data": None}]
    if efficiency_error > 0.0:
        up = 1.0 + efficiency_error
        signal.append({"name": "e", "type": "normsys", "data": {"hi": up, "lo": 1.0 / up}})
    samples = [
        {"name": "signal", "data": [1.0], "modifiers": signal},
        {"name": "background", "data": [b], "modifiers": [modifier]},
    ]
    spec = {"channels": [{"name": "one", "samples": samples}]}
    codes = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}
    return pyhf.Model(spec, modifier_settings=codes, poi_name="mu", validate=False)


@pytest.mark.parametrize(
    ("n", "shape", "error", "efficiency_error"),
    [
        (55, "lognormal", 7.0, 0.1),
        (55, "normal", 7.0, 0.0),
        (40, "normal", 5.0, 0.15),
        (62, "lognormal", 3.0, 0),
    ],
)
def test_asymptotic_limits_are_those_of_pyhf(n, shape, error, efficiency_error):
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-6))
    model = pyhf_model(shape, 50.0, error, efficiency_error)
    data = [n, *model.config.auxdata]
    options = {"background_shape": shape, "efficiency_error": efficiency_error, "method": "asymptotic"}
    found = calculate(n, 50.0, error, **options)
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (0.0, 200.0)

    def cls(s):
        return pyhf.infer.hypotest(
            s, data, model, par_bounds=bounds, test_stat="qtilde", return_expected_set=True
        )

    assert float(cls(found.limit)[0]) == pytest.approx(0.1, rel=2e-4)
    # pyhf's other quantiles are at whole standard deviations.
    assert float(cls(found.expected[2])[1][2]) == pytest.approx(0.1, rel=5e-4)


def test_asymptotic_clsb_of_many_events_is_that_of_a_gaussian():
    found = calculate(1_000_100, 1e6, 1e3, background_shape="normal", method="asymptotic", criterion="clsb")
    sigma = math.hypot(1e3, 1e3)
    assert found.limit == pytest.approx(100.0 + sigma * norm.ppf(0.9), rel=2e-3)
    expected = [max(norm.ppf(q) + norm.ppf(0.9), 0.0) * sigma for q in (0.025, 0.16, 0.5, 0.84, 0.975)]
    assert found.expected == pytest.approx(expected, rel=2e-3, abs=1e-9)


def accepts(n, s, probabilities, best):
    """Whether the counts of larger ratio together are less probable than 90%."""
    ratio = probabilities(s) / best
    return probabilities(s)[ratio > ratio[n] * (1.0 + 1e-9)].sum() < 0.9


def check_ends(interval, n, probabilities, best):
    low, high = interval
    assert accepts(n, high - 1e-3, probabilities, best)
    assert not accepts(n, high + 1e-3, probabilities, best)
    if low > 0.0:
        assert accepts(n, low + 1e-3, probabilities, best)
        assert not accepts(n, low - 1e-3, probabilities, best)
    else:
        assert accepts(n, 0.0, probabilities, best)


@pytest.mark.parametrize(("n", "off", "tau"), [(6, 4, 2.0), (2, 9, 3.0), (20, 8, 1.0)])
def test_unified_intervals_with_a_sideband_against_brute_force(n, off, tau):
    k = np.arange(80)
    noise = nbinom.pmf(k, off + 1, tau / (1.0 + tau))  # off events, flat prior: Gamma(m + 1, 1/τ)

    def probabilities(s):
        return np.convolve(poisson.pmf(k, s), noise)[: k.size]

    best = np.max([probabilities(x * x) for x in np.linspace(0.0, 8.5, 2000)], axis=0)
    found = calculate(n, off=off, tau=tau, method="fc")
    check_ends((found.low, found.high), n, probabilities, best)


def test_unified_interval_of_an_uncertain_efficiency_against_brute_force():
    k, z = np.arange(90), norm.ppf((np.arange(400) + 0.5) / 400.0)

    def probabilities(s):
        return poisson.pmf(k[:, None], 2.0 + s * 1.2**z).mean(axis=1)

    best = np.max([probabilities(x * x) for x in np.linspace(0.0, 9.0, 700)], axis=0)
    found = calculate(7, 2.0, efficiency_error=0.2, method="fc")
    check_ends((found.low, found.high), 7, probabilities, best)


def test_largest_probabilities_are_those_of_a_search():
    data = CountingData(9, 3.0, 1.0, background_shape="lognormal", efficiency_error=0.2)
    belt = Belt.of([9], data.backgrounds(), data.efficiencies(), 0.9)
    for n in (0, 3, 6, 10, 14):
        found = minimize_scalar(
            lambda x, n=n: -belt.probabilities(x * x)[n], bounds=(0.0, 5.0), method="bounded"
        )
        assert belt.best[n] == pytest.approx(-found.fun, rel=1e-7)


def test_expected_counts_of_a_log_normal_background():
    data = CountingData(0, 20.0, 10.0, background_shape="lognormal")
    thrown = np.random.default_rng(1).poisson(20.0 * 1.5 ** np.random.default_rng(2).normal(size=400_000))
    assert data.expected_counts() == pytest.approx(
        np.quantile(thrown, (0.025, 0.16, 0.5, 0.84, 0.975)), abs=1.0
    )


@pytest.mark.parametrize("method", ["cls", "asymptotic", "bayesian", "fc"])
@pytest.mark.parametrize("shape", ["gamma", "lognormal", "normal"])
def test_a_small_error_of_any_kind_gives_the_known_limit(method, shape):
    known = calculate(5, 3.0, method=method)
    options = {"background_shape": shape, "efficiency_error": 1e-5, "method": method}
    found = calculate(5, 3.0, 1e-5, **options)
    assert found.limit == pytest.approx(known.limit, rel=1e-4 if method != "fc" else 0.03)  # fc: no envelope


def test_priors_of_many_events_are_those_of_a_gaussian():
    found = calculate(1_010_000, 1e6, method="bayesian", prior="1/sqrt(yield)")
    variance = 1.0 / (1.0 / 1.01e6 - 0.5 / 1e4**2)  # the prior's logarithm to second order
    expected = 1e4 - 0.5 * variance / 1e4 + norm.ppf(0.9) * math.sqrt(variance)
    assert found.limit == pytest.approx(expected, rel=5e-4)


def test_the_shortest_interval_holds_the_largest_densities():
    found = calculate(9, 3.0, method="bayesian", interval="shortest")
    low, high = found.low, found.high
    assert poisson.pmf(9, low + 3.0) == pytest.approx(poisson.pmf(9, high + 3.0), rel=1e-3)
    whole = quad(lambda s: poisson.pmf(9, s + 3.0), 0.0, 80.0)[0]
    assert quad(lambda s: poisson.pmf(9, s + 3.0), low, high)[0] / whole == pytest.approx(0.9, rel=1e-5)
    assert found.limit == calculate(9, 3.0, method="bayesian").limit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"efficiency_error": 0.3, "efficiency_shape": "normal"}, "reaches 0, where any yield"),
        ({"efficiency_shape": "gaussian"}, "unknown efficiency_shape"),
        ({"background_shape": "poisson"}, "unknown background_shape"),
        ({"efficiency_error": -0.1}, "efficiency_error is -0.1"),
        ({"criterion": "clsb", "method": "bayesian"}, "no criterion clsb"),
        ({"criterion": "p"}, "unknown criterion"),
        ({"prior": "1/sqrt(yield)"}, "no prior of the yield"),
        ({"prior": "flat", "method": "bayesian"}, "unknown prior"),
        ({"interval": "shortest"}, "no shortest interval"),
        ({"interval": "central", "method": "bayesian"}, "unknown interval"),
    ],
)
def test_what_no_calculator_does_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        calculate(3, 1.0, **options)
