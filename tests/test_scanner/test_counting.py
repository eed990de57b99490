"""Exact counting against scipy, and counting in windows."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import nbinom, norm, poisson

from scanner.constants import QUANTILES
from scanner.errors import InputError
from scanner.kernels.counting.exact import (
    background_tail,
    count_quantiles,
    counting_limit,
    log_counting_cls,
    one_sided_z,
)
from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import (
    METHOD_MEANINGS,
    METHODS,
    STATUS_MEANINGS,
    Settings,
    auto,
    calculate,
    expected_limits,
)
from scanner.stats.auto import COUNTED, KNOWN_THRESHOLD, THRESHOLD
from scanner.stats.feldman_cousins import feldman_cousins_interval

POINTS = [
    (n, b, spread, s)
    for n in (0, 1, 3, 17, 120)
    for b in (0.0, 1e-3, 0.7, 4.0, 90.0)
    for spread in (0.0, 1e-6, 0.3, 5.0)
    for s in (1e-3, 1.0, 8.0, 150.0)
]


def background_pmf(j, b, spread):
    if b == 0.0:
        return np.where(j == 0, 1.0, 0.0)
    return poisson.pmf(j, b) if spread == 0.0 else nbinom.pmf(j, b / spread, 1.0 / (1.0 + spread))


@pytest.mark.parametrize(("n", "b", "spread", "s"), POINTS)
def test_cls_is_the_ratio_of_sums(n, b, spread, s):
    j = np.arange(n + 1)
    weights = background_pmf(j, b, spread)
    if weights.sum() < 1e-250:
        pytest.skip("scipy underflows")
    cls = weights @ poisson.cdf(n - j, s) / weights.sum()
    slope = -(weights @ poisson.pmf(n - j, s)) / weights.sum()
    found, found_slope = log_counting_cls(n, b, spread, s)
    tolerance = 1e-10 if spread == 0.0 or spread > 0.01 else 1e-7  # scipy's nbinom near Poisson
    assert found == pytest.approx(np.log(cls), rel=tolerance, abs=tolerance)
    assert found_slope == pytest.approx(slope / cls, rel=1e2 * tolerance)


def test_spread_zero_is_the_known_background():
    assert counting_limit(7, 3.0, 1e-12, np.log(0.1)) == pytest.approx(
        counting_limit(7, 3.0, 0.0, np.log(0.1)), rel=1e-10
    )


@pytest.mark.parametrize("b", [0.0, 0.1, 12.0])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_no_event(b, spread):
    assert counting_limit(0, b, spread, np.log(0.1)) == -np.log(0.1)


@pytest.mark.parametrize("n", [900, 5_000, 100_000])
def test_many_events(n):
    limit = counting_limit(n, float(n), 0.0, np.log(0.05))
    cls = poisson.cdf(n, n + limit) / poisson.cdf(n, n)
    assert cls == pytest.approx(0.05, rel=1e-7)


def test_far_more_events_than_background():
    limit = counting_limit(800, 0.5, 0.0, np.log(0.1))
    assert poisson.cdf(800, 0.5 + limit) / poisson.cdf(800, 0.5) == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("b", [0.02, 3.0, 40.0, 2000.0])
def test_quantiles_and_tails(b, spread):
    dist = poisson(b) if spread == 0.0 else nbinom(b / spread, 1.0 / (1.0 + spread))
    counts = np.empty(5)
    count_quantiles(b, spread, np.array(QUANTILES), counts)
    assert counts.tolist() == dist.ppf(QUANTILES).tolist()
    for n in (1, 2, int(b) + 1, int(b + 8 * np.sqrt(b * (1 + spread))) + 3):
        assert background_tail(n, b, spread) == pytest.approx(dist.sf(n - 1), rel=1e-10)


def test_significance_is_one_sided():
    assert one_sided_z(norm.sf(4.2)) == pytest.approx(4.2, rel=1e-12)
    assert one_sided_z(0.9) == 0.0
    assert one_sided_z(0.0) == np.inf


BINS = 80


def windows(rate, count=40, signal_yield=0.0, seed=5):
    edges = np.linspace(-10.0, 10.0, BINS + 1)
    signal = np.diff(norm.cdf(edges))
    x = edges / 10.0
    terms = [np.diff(chebyshev.chebval(x, chebyshev.chebint(row))) / 2 for row in np.eye(2)]
    core = (edges[:-1] >= -2.0 - 1e-9) & (edges[1:] <= 2.0 + 1e-9)
    rng = np.random.default_rng([seed, int(1000 * rate)])
    counts = rng.poisson(rate + signal_yield * signal, (count, BINS)).astype(float)
    return BinnedProblem(
        counts,
        np.tile(signal, (count, 1)),
        np.tile(np.array(terms), (count, 1, 1)),
        np.tile(core, (count, 1)),
    )


def test_counting_window_is_the_counting_experiment():
    problem = windows(0.5)
    limits = METHODS["counting"](problem, Settings(0.9))
    core = problem.core_bins()
    efficiency = (problem.signal * core).sum(axis=1)
    n = (problem.counts * core).sum(axis=1).astype(int)
    beside = (problem.counts * ~core).sum(axis=1)
    assert limits.n_background == pytest.approx(beside * 0.25, rel=0.15)
    for w in range(problem.windows):
        loose = counting_limit(int(n[w]), limits.n_background[w], 5.0, np.log(0.1)) / efficiency[w]
        known = counting_limit(int(n[w]), limits.n_background[w], 0.0, np.log(0.1)) / efficiency[w]
        assert min(known, loose) - 1e-9 <= limits.yield_limit[w] <= max(known, loose) + 1e-9
        if n[w] == 0:
            assert limits.yield_limit[w] == pytest.approx(-np.log(0.1) / efficiency[w], rel=1e-14)
    assert np.all(np.diff(limits.expected, axis=1) >= 0.0)
    assert np.all((limits.z_local == 0.0) == (limits.p_local >= 0.5))


def test_background_variance_is_at_least_that_of_the_sideband_count():
    """One flat term and a core of a quarter of the sideband: an on/off experiment of τ = 4."""
    problem = windows(2.0)
    flat = BinnedProblem(
        problem.counts, problem.signal, np.ascontiguousarray(problem.background[:, :1]), problem.core
    )
    limits = METHODS["counting"](flat, Settings(0.9))
    core = flat.core_bins()
    n, m = (flat.counts * core).sum(axis=1), (flat.counts * ~core).sum(axis=1)
    efficiency = (flat.signal * core).sum(axis=1)
    for w in range(flat.windows):
        on_off = calculate(int(n[w]), m[w] / 4.0, np.sqrt(m[w]) / 4.0)
        assert limits.yield_limit[w] * efficiency[w] == pytest.approx(on_off.limit, rel=1e-6)
        assert limits.expected[w] * efficiency[w] == pytest.approx(on_off.expected, rel=1e-6)


def test_empty_window_has_a_limit():
    problem = windows(0.0, count=2)
    for method in ("auto", "counting"):
        limits = METHODS[method](problem, Settings(0.95))
        efficiency = (problem.signal * problem.core_bins()).sum(axis=1)
        assert limits.yield_limit == pytest.approx(-np.log(0.05) / efficiency, rel=1e-14)
        assert [STATUS_MEANINGS[code] for code in limits.status] == ["empty_window"] * 2
        assert np.isnan(limits.signal_yield).all()
        assert limits.p_local.tolist() == [1.0, 1.0]
        assert limits.z_local.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_core_that_is_everything_or_nothing_gives_no_counting_limit(everywhere):
    problem = windows(5.0, count=2)
    odd = BinnedProblem(
        problem.counts, problem.signal, problem.background, np.full_like(problem.core, everywhere)
    )
    limits = METHODS["counting"](odd, Settings(0.9))
    assert np.isnan(limits.yield_limit).all()
    assert np.isnan(limits.expected).all()
    assert np.isnan(limits.p_local).all()
    assert [METHOD_MEANINGS[code] for code in limits.method] == ["none", "none"]


def test_an_event_over_an_empty_sideband_is_no_certain_signal():
    """No event beside the core leaves the background unknown: P(n | on/off, m = 0) = (1+τ)⁻ⁿ."""
    problem = windows(0.0, count=1)
    problem.counts[0, BINS // 2] = 3.0
    limits = METHODS["counting"](problem, Settings(0.9))
    assert limits.p_local[0] == pytest.approx(5.0**-3, rel=1e-9)
    assert limits.z_local[0] == pytest.approx(norm.isf(5.0**-3), rel=1e-9)


def test_core_without_a_mask_is_the_central_signal():
    problem = windows(1.0, count=1)
    bare = BinnedProblem(problem.counts, problem.signal, problem.background)
    core = bare.core_bins()[0]
    assert 0.95 <= problem.signal[0, core].sum() < 0.97
    assert np.array_equal(core, core[::-1])


def test_auto_switches_where_it_says():
    seen = set()
    for rate in (0.05, 0.2, 1.0, 7.0):
        limits = METHODS["auto"](windows(rate, count=12), Settings(0.9, toys=200))
        names = np.array([METHOD_MEANINGS[code] for code in limits.method])
        above = limits.effective_background >= THRESHOLD
        few = ~above & (limits.effective_background >= COUNTED)
        assert np.array_equal(names == "asymptotic", above)
        assert np.array_equal(names == "toys", few)
        assert np.array_equal(limits.toys > 0, few)
        seen |= set(names)
    assert seen == {"counting", "toys", "asymptotic"}


def test_known_backgrounds_are_asymptotic_later():
    """The counts of one bin are as discrete as a test statistic can be."""
    thresholds = auto.thresholds(windows(1.0, count=1)), auto.thresholds(known(windows(1.0, count=1)))
    assert [float(t[0]) for t in thresholds] == [THRESHOLD, KNOWN_THRESHOLD]


def known(problem):
    return BinnedProblem(problem.counts, problem.signal, problem.background[:, :0], problem.core)


def test_auto_gives_the_limits_of_its_methods():
    settings, seen = Settings(0.9, toys=200), set()
    for rate in (0.05, 1.2):
        problem = windows(rate, count=10)
        chosen_by = METHODS["auto"](problem, settings)
        for name in ("asymptotic", "toys", "counting"):
            chosen = np.array([METHOD_MEANINGS[code] == name for code in chosen_by.method])
            other = METHODS[name](problem, settings)
            for values in ("yield_limit", "expected", "p_local"):
                ours, theirs = getattr(chosen_by, values)[chosen], getattr(other, values)[chosen]
                assert np.array_equal(ours, theirs)
            seen |= {name} if chosen.any() else set()
    assert seen == {"asymptotic", "toys", "counting"}


@pytest.mark.parametrize("rate", [0.04, 200.0])
def test_projection_expects_what_the_limit_expects(rate):
    problem = windows(rate, count=3)
    expectation = np.full_like(problem.counts, rate)
    asimov = BinnedProblem(expectation, problem.signal, problem.background, problem.core)
    plain = expected_limits(expectation, problem, 0.9)
    assert np.array_equal(plain, METHODS["auto"](asimov, Settings(0.9)).expected)


@pytest.mark.parametrize("rate", [0.5, 200.0])
def test_projection_is_weaker_with_a_systematic(rate):
    problem = windows(rate, count=3)
    expectation = np.full_like(problem.counts, rate)
    plain = expected_limits(expectation, problem, 0.9)
    wide = expected_limits(expectation, problem, 0.9, systematic=np.full(3, 3.0))
    assert np.all(wide[:, 1:] > plain[:, 1:])


def test_projection_adds_a_systematic_in_quadrature():
    problem = windows(1e4, count=1)
    expectation = np.full_like(problem.counts, 1e4)
    plain = expected_limits(expectation, problem, 0.9)
    wide = expected_limits(expectation, problem, 0.9, systematic=np.array([200.0]))
    median = norm.ppf(1.0 - 0.05)
    assert wide[0, 2] == pytest.approx(np.hypot(plain[0, 2], 200.0 * median), rel=2e-3)


def test_projection_improves_with_the_root_of_the_luminosity():
    problem = windows(1e4, count=1)
    expectation = np.full_like(problem.counts, 1e4)
    today = expected_limits(expectation, problem, 0.9)
    later = expected_limits(100.0 * expectation, problem, 0.9)
    assert later / today == pytest.approx(np.full((1, 5), 10.0), rel=5e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observed": -1, "background": 1.0}, "observed is -1"),
        ({"observed": 1, "background": float("nan")}, "background is nan"),
        ({"observed": 1}, "either by its number or by an off region"),
        ({"observed": 1, "background": 1.0, "off": 3, "tau": 2.0}, "either by its number"),
        ({"observed": 1, "off": 3}, "needs both"),
        ({"observed": 1, "off": 3, "tau": 0.0}, "tau is 0"),
        ({"observed": 1, "off": 3, "tau": 2.0, "background_error": 1.0}, "belongs to a background number"),
        ({"observed": 1, "background": 0.0, "background_error": 1.0}, "cannot have an error"),
        ({"observed": 1, "background": 1.0, "method": "toys"}, "take one of cls, asymptotic, bayesian, fc"),
        ({"observed": 1, "background": 1.0, "confidence_level": 90.0}, "confidence level 90"),
    ],
)
def test_what_is_no_experiment_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        calculate(**arguments)


@pytest.mark.parametrize("method", ["cls", "asymptotic", "bayesian", "fc"])
@pytest.mark.parametrize(
    "background", [{"background": 2.0}, {"background": 2.0, "background_error": 0.8}, {"off": 6, "tau": 3.0}]
)
def test_every_calculator_takes_every_background(method, background):
    found = calculate(4, method=method, **background)
    assert 0.0 <= found.low < found.high == found.limit
    assert len(found.expected) == 5
    assert np.all(np.diff(found.expected) >= 0.0)


def test_closed_form_and_quadrature_agree_on_an_uncertain_background():
    for error in (0.3, 1.0, 2.5):
        exact = calculate(5, 3.0, error, method="cls").limit
        assert calculate(5, 3.0, error, method="bayesian").limit == pytest.approx(exact, rel=1e-9)


def test_an_off_region_without_events():
    for method in ("cls", "asymptotic", "bayesian", "fc"):
        assert np.isfinite(calculate(2, off=0, tau=5.0, method=method).limit)


def test_uncertain_feldman_cousins_tends_to_the_known_one():
    known = feldman_cousins_interval(4, 2.0, 0.9, monotonic=False)
    nearly = feldman_cousins_interval(4, 2.0, 0.9, spread=1e-7)
    assert nearly == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_limits_of_a_window_have_the_same_bits_in_any_company(method):
    settings = Settings(0.9, toys=300)
    count = 1 if method in ("bayesian", "feldman_cousins", "toys") else 6
    parts = [windows(rate, count=count) for rate in (200.0, 0.0, 7.0, 0.05, 1.0)]
    mixed = BinnedProblem(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("counts", "signal", "background")
        ),
        core=np.concatenate([part.core_bins() for part in parts]),
    )
    together = METHODS[method](mixed, settings)
    order = np.random.default_rng(1).permutation(mixed.windows)
    shuffled = METHODS[method](mixed.select(order), settings)
    alone = [METHODS[method](mixed.select(np.array([w])), settings) for w in range(mixed.windows)]
    for name in together.__dataclass_fields__:
        values = getattr(together, name)
        assert np.array_equal(getattr(shuffled, name), values[order], equal_nan=True), name
        single = np.concatenate([getattr(limits, name) for limits in alone])
        assert np.array_equal(single, values, equal_nan=True), name


def test_limit_of_a_large_signal():
    """Far above background the limit is that of a Gaussian measurement, ŝ + 1.28 of its error."""
    limits = METHODS["asymptotic"](windows(50.0, count=20, signal_yield=40_000.0), Settings(0.9))
    distance = (limits.yield_limit - limits.signal_yield) / limits.signal_yield_error
    assert distance == pytest.approx(np.full(20, norm.ppf(0.9)), rel=5e-3)
    assert np.all(limits.z_local > 100.0)
