"""What holds for every fit and every limit."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.constants import QUANTILES
from scanner.kernels.counting.exact import background_tail, count_quantiles, counting_limit, log_counting_cls
from scanner.kernels.linear.window import BOUNDARY, OK
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import expectation, fit
from scanner.stats import METHODS, Settings

BINS = 24
counts = arrays(float, (1, BINS), elements=st.integers(0, 6).map(float) | st.just(0.0))
means = st.floats(0.0, 60.0)
spreads = st.just(0.0) | st.floats(1e-6, 5.0)


def problem(values, terms=2, factors=(1.0, 1.0)):
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    signal = np.diff(norm.cdf(edges / 0.15))
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)]
    return BinnedProblem(values, factors[0] * signal[None], factors[1] * np.array(rows)[None])


def nll(values, expected):
    occupied = values > 0.0
    n, nu = values[occupied], expected[occupied]
    return np.sum(expected - values) - n @ np.log(nu / n)


@given(counts, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_no_feasible_point_is_below_the_minimum(values, terms, seed):
    assume(values.sum() > 0.0)
    batch = problem(values, terms)
    result = fit(batch, second_opinion=False)
    assert result.status[0] in (OK, BOUNDARY)
    at_minimum = expectation(batch, result)[0]
    assert at_minimum.min() > -1e-9
    assert abs(nll(values[0], np.maximum(at_minimum, 1e-15)) - result.nll[0]) < 1e-8
    rng = np.random.default_rng(seed)
    templates = np.vstack([batch.background[0], batch.signal[0]])
    for size in (1e-3, 0.1, 1.0):
        other = (
            at_minimum
            + size * values.mean() * (rng.normal(size=terms + 1) / templates.max(axis=1)) @ templates
        )
        if other.min() > 0.0:
            assert nll(values[0], other) >= result.nll[0] - 1e-9


@given(counts, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_units_of_the_templates_do_not_matter(values, signal_factor, background_factor):
    assume(values.sum() > 0.0)
    plain = fit(problem(values), second_opinion=False)
    scaled = fit(problem(values, factors=(signal_factor, background_factor)), second_opinion=False)
    assert scaled.status[0] == plain.status[0]
    assert abs(scaled.nll[0] - plain.nll[0]) < 1e-8
    assert np.isclose(scaled.yields[0] * signal_factor, plain.yields[0], rtol=1e-4, atol=1e-4)


@given(counts)
def test_a_reflected_window_has_the_reflected_fit(values):
    assume(values.sum() > 0.0)
    plain, reflected = fit(problem(values)), fit(problem(values[:, ::-1]))
    assert np.isclose(plain.yields[0], reflected.yields[0], rtol=1e-5, atol=1e-5)
    assert abs(plain.nll[0] - reflected.nll[0]) < 1e-9


@given(counts, st.sampled_from(["auto", "asymptotic", "counting"]))
def test_limits_are_above_the_fit_and_bands_rise(values, method):
    assume(values.sum() > 0.0)
    limits = METHODS[method](problem(values), Settings(0.9, toys=100))
    assert np.isfinite(limits.yield_limit).all()
    assert limits.yield_limit[0] > 0.0
    assert np.all(np.diff(limits.expected[0]) >= 0.0)
    if method == "asymptotic":
        assert limits.yield_limit[0] > limits.signal_yield[0]
        assert METHODS[method](problem(values), Settings(0.95)).yield_limit[0] > limits.yield_limit[0]


@given(st.integers(0, 80), means, spreads)
def test_the_counting_limit_is_the_root(n, background, spread):
    limit = counting_limit(n, background, spread, np.log(0.1))
    value, slope = log_counting_cls(n, background, spread, limit)
    assert np.isclose(value, np.log(0.1), atol=1e-9)
    assert slope < 0.0
    assert limit >= -np.log(0.1) * (1.0 - 1e-12)


@given(st.integers(0, 80), means, spreads)
def test_counting_limits_rise_with_events_and_fall_with_background(n, background, spread):
    limit = counting_limit(n, background, spread, np.log(0.1))
    assert counting_limit(n + 1, background, spread, np.log(0.1)) > limit
    assert counting_limit(n, background + 1.0, spread, np.log(0.1)) <= limit * (1.0 + 1e-9)


@given(means, spreads)
def test_quantiles_and_tails_belong_together(background, spread):
    numbers = np.empty(5)
    count_quantiles(background, spread, np.array(QUANTILES), numbers)
    for quantile, n in zip(QUANTILES, numbers, strict=True):
        assert 1.0 - background_tail(int(n) + 1, background, spread) >= quantile - 1e-9
        if n > 0:
            assert 1.0 - background_tail(int(n), background, spread) <= quantile + 1e-9
