"""Systematics in windows of few events: ties that global observables break, and limits that only grow."""

import numpy as np
import pyhf
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm, poisson

import scanner.query  # noqa: F401 - gives cubes the accessor `limits`
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHOD_MEANINGS, METHODS, Settings
from scanner.stats.coverage import limits_cover

NOWHERE = np.empty(0, dtype=np.int64)
SPECK = 1e-3


def one_bin(counts, background, size):
    """Counts over a known background, with an efficiency that is known to a factor 1 + size."""
    windows = len(counts)
    norms = np.zeros((windows, 1, 2, 2))
    norms[:, 0, 0] = -np.log1p(size), np.log1p(size)
    fixed = np.full((windows, 1, 1), background)
    nuisances = Nuisances(("efficiency",), norms, np.zeros((windows, 0, 2, 1)), NOWHERE, NOWHERE, fixed)
    return BinnedProblem(
        np.array(counts, dtype=float)[:, None],
        np.ones((windows, 1)),
        np.zeros((windows, 0, 1)),
        nuisances=nuisances,
        keys=np.arange(windows).astype(np.uint64),
    )


class Construction:
    """CLs of one count and one global observable, summed and integrated; nothing is thrown."""

    def __init__(self, n, size, background=SPECK):
        self.n, self.kappa, self.background = n, 1.0 + size, background
        self.grid = np.linspace(-5.0, 5.0, 401)

    def fixed(self, s, n, a):
        def of(alpha):
            mean = s * self.kappa**alpha + self.background
            return 2.0 * (mean - n * np.log(mean)) + (alpha - a) ** 2

        found = minimize_scalar(of, bounds=(-12.0, 8.0), method="bounded", options={"xatol": 1e-10})
        return found.fun, found.x

    def q(self, s, n, a):
        best = (n - self.background) / self.kappa**a
        if best > s:
            return 0.0
        mean = max(float(n), self.background)
        return max(self.fixed(s, n, a)[0] - 2.0 * (mean - n * np.log(mean)), 0.0)

    def cls(self, s):
        own, alpha = self.q(s, self.n, 0.0), self.fixed(s, self.n, 0.0)[1]
        p = np.zeros(2)
        for n in range(8):
            extreme = np.array([self.q(s, n, a) for a in self.grid]) >= own * (1.0 - 1e-9)
            truths = ((s * self.kappa**alpha + self.background, alpha), (self.background, 0.0))
            for i, (mean, centre) in enumerate(truths):
                weights = norm.pdf(self.grid - centre)
                p[i] += poisson.pmf(n, mean) * weights[extreme].sum() / weights.sum()
        return p[0] / p[1]


def no_event(size, alpha=0.1):
    """The limit from no event without background: 2Φ(α̂) exp(−s κ^α̂) is α."""
    kappa = 1.0 + size

    def value(s):
        best = brentq(lambda a: s * np.log(kappa) * kappa**a + a, -20.0, 0.0)
        return 2.0 * norm.cdf(best) * np.exp(-s * kappa**best) - alpha

    return brentq(value, 0.1, 10.0)


@pytest.mark.parametrize(("size", "known"), [(0.1, 2.169), (0.3, 2.088)])
def test_toys_from_no_event_are_below_those_without_a_systematic(size, known):
    assert no_event(size) == pytest.approx(known, abs=1e-3)
    found = METHODS["toys"](one_bin([0], SPECK, size), Settings(0.9, toys=4000))
    assert found.toys_failed[0] == 0
    assert found.yield_limit[0] == pytest.approx(known, abs=4.0 * found.yield_limit_error[0])
    assert found.yield_limit[0] < -np.log(0.1)


def test_toys_from_one_event_are_those_of_the_construction():
    exact = Construction(1, 0.1)
    found = METHODS["toys"](one_bin([1], SPECK, 0.1), Settings(0.9, toys=4000))
    error = 4.0 * found.yield_limit_error[0]
    assert error < 0.3
    assert exact.cls(found.yield_limit[0] - error) > 0.1 > exact.cls(found.yield_limit[0] + error)


def of_pyhf(s, count, seed):
    """Return CLs+b and CLb of pyhf's toys for no event, an efficiency known to 10%."""
    modifiers = [
        {"name": "mu", "type": "normfactor", "data": None},
        {"name": "efficiency", "type": "normsys", "data": {"lo": 1.0 / 1.1, "hi": 1.1}},
    ]
    samples = [
        {"name": "s", "data": [1.0], "modifiers": modifiers},
        {"name": "b", "data": [SPECK], "modifiers": []},
    ]
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[0.0, 40.0]]}]
    spec = {"channels": [{"name": "window", "samples": samples}], "parameters": parameters}
    model = pyhf.Model(spec, poi_name="mu", validate=False)
    calculator = pyhf.infer.calculators.ToyCalculator(
        [0.0, 0.0], model, ntoys=count, test_stat="qtilde", track_progress=False
    )
    np.random.seed(seed)  # noqa: NPY002  # pyhf draws from numpy's global state
    distributions = calculator.distributions(s)
    return [float(p) for p in calculator.pvalues(calculator.teststatistic(s), *distributions)[:2]]


def check_pyhf(count):
    s, best = 2.169, brentq(lambda a: 2.169 * np.log(1.1) * 1.1**a + a, -20.0, 0.0)
    known = norm.cdf(best) * np.exp(-s * 1.1**best), 0.5
    for theirs, p in zip(of_pyhf(s, count, 3), known, strict=True):
        assert theirs == pytest.approx(p, abs=4.0 * np.sqrt(p * (1.0 - p) / count))


def test_ties_are_broken_in_the_toys_of_pyhf():
    check_pyhf(60)


@pytest.mark.slow
def test_ties_are_broken_in_many_toys_of_pyhf():
    check_pyhf(3000)


WIDTH, BINS = 8.0, 32
EDGES = np.linspace(-WIDTH, WIDTH, BINS + 1)


def fitted(counts, size=0.0, shift=0.0):
    """Windows on a flat background that is fitted, with systematics of the efficiency and the mass."""
    windows, names = len(counts), ("efficiency", "mass")
    template, flat = np.diff(norm.cdf(EDGES)), np.full((windows, 1, BINS), 1.0 / BINS)
    ends = [np.diff(norm.cdf(EDGES - move)) - template for move in (-shift, shift)]
    norms = np.zeros((windows, 2, 2, 2))
    norms[:, 0, 0] = -np.log1p(size), np.log1p(size)
    nuisances = Nuisances(
        names,
        norms,
        np.tile(np.array(ends), (windows, 1, 1, 1)),
        np.array([1]),
        np.array([0]),
        np.zeros((windows, 0, BINS)),
    )
    keys = np.arange(windows).astype(np.uint64)
    signal = np.tile(template, (windows, 1))
    uncertain = nuisances if size > 0.0 else None
    return BinnedProblem(counts, signal, flat, nuisances=uncertain, keys=keys)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.floats(0.0, 3.0),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 1.0),
    st.floats(0.0, 0.4),
    st.sampled_from([0.9, 0.95]),
)
def test_no_systematic_strengthens_automatic_limits_of_few_events(events, seed, size, shift, level):
    counts = np.random.default_rng(seed).poisson(events / BINS, (8, BINS)).astype(float)
    counts[0] = 0.0
    known = METHODS["auto"](fitted(counts), Settings(level, toys=0))
    uncertain = METHODS["auto"](fitted(counts, size, shift), Settings(level, toys=0))
    assert {METHOD_MEANINGS[int(code)] for code in (*known.method, *uncertain.method)} == {"counting"}
    assert np.all(uncertain.yield_limit >= known.yield_limit * (1.0 - 1e-9))
    assert known.yield_limit[0] >= -np.log1p(-level)


def test_asymptotic_windows_without_an_event_are_counted():
    counts = np.zeros((2, BINS))
    counts[1, ::2] = 4.0
    for problem in (fitted(counts), fitted(counts, 0.1, 0.1)):
        found, counted = (METHODS[name](problem, Settings(0.9)) for name in ("asymptotic", "counting"))
        assert [METHOD_MEANINGS[int(code)] for code in found.method] == ["counting", "asymptotic"]
        assert STATUS_MEANINGS[int(found.status[0])] == "empty_window"
        assert found.yield_limit[0] == counted.yield_limit[0]
        assert np.isnan(limits_cover("asymptotic")(problem, 2.0, Settings(0.9))[0])


@pytest.mark.parametrize("background", [1e-6, 1e-4, 1e-3, 0.01, 0.1, 1.0])
def test_lower_ends_of_no_event_follow_the_efficiency(background):
    """Where s κ^α is −b nothing is expected, so that only α² is paid: the end is −b κ^z."""
    found = METHODS["minos"](one_bin([0], background, 0.1), Settings(0.9))
    end = -background * 1.1 ** norm.isf(0.05)
    assert found.yield_lower[0] == pytest.approx(end, rel=1e-3, abs=2e-5)
    assert end * (1.0 + 1e-4) < found.yield_lower[0] <= -background * (1.0 - 1e-6)
    assert np.all(np.isfinite(found.expected[0]))
    assert np.all(np.diff(found.expected[0]) > 0.0)


def test_cubes_name_the_windows_whose_ties_are_broken():
    codes = {word: code for code, word in METHOD_MEANINGS.items()}
    method = [codes[word] for word in ("toys", "toys", "feldman_cousins", "counting", "toys")]
    attributes = {"flag_values": list(METHOD_MEANINGS), "flag_meanings": " ".join(METHOD_MEANINGS.values())}
    cube = xr.Dataset(
        {"method": ("m", method, attributes), "n_background": ("m", [0.2, 5.0, 0.9, 0.1, np.nan])},
        attrs={"systematics": "luminosity"},
    )
    assert cube.limits.tied().to_numpy().tolist() == [True, False, True, False, True]
    cube.attrs["systematics"] = "none: limits are statistical only"
    assert not cube.limits.tied().any()


@pytest.mark.parametrize("size", [0.0, 0.3])
@pytest.mark.parametrize("events", [0.3, 3.0, 30.0, 300.0])
def test_counted_limits_are_above_the_yields_they_belong_to(events, size):
    """The sideband of a flat background holds that of the core, by the number of bins."""
    counts = np.random.default_rng(int(10 * events)).poisson(events / BINS, (200, BINS)).astype(float)
    counts[::2, BINS // 2 - 1 : BINS // 2 + 1] += np.round(0.2 * events)
    problem = fitted(counts, size, 0.1)
    found = METHODS["counting"](problem, Settings(0.9))
    core = problem.core_bins()
    inside, part = (counts * core).sum(axis=1), core.sum(axis=1) / BINS
    background = (counts.sum(axis=1) - inside) * part / (1.0 - part)
    above = (inside - background) / (problem.signal * core).sum(axis=1)
    np.testing.assert_allclose(found.counted_yield, above, rtol=1e-6, atol=1e-8 * (1.0 + events))
    assert np.all(found.yield_limit > found.counted_yield)
    mixed = METHODS["auto"](problem, Settings(0.9, toys=0))
    counted = [METHOD_MEANINGS[int(code)] == "counting" for code in mixed.method]
    assert np.array_equal(np.isfinite(mixed.counted_yield), counted)
