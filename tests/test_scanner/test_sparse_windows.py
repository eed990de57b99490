"""Windows of few events against SLSQP, which knows the positivity constraints as such."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.optimize import brentq, linprog, minimize
from scipy.stats import norm

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.stats import METHODS, Settings

BINS = 60
BOUNDARY = next(code for code, text in STATUS_MEANINGS.items() if text == "positivity_boundary")


def window_templates(terms):
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    signal = np.diff(norm.cdf(edges / 0.1))
    columns = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) / 2 for row in np.eye(terms)]
    return signal, np.array(columns).reshape(terms, BINS)


def problem(rate, terms, windows=12, seed=3):
    signal, background = window_templates(terms)
    centres = np.linspace(-1.0, 1.0, BINS)
    rng = np.random.default_rng([seed, terms, int(1000 * rate)])
    counts = rng.poisson(rate * (1.0 - 0.4 * centres), (windows, BINS)).astype(float)
    counts[counts.sum(axis=1) == 0.0, BINS // 3] = 1.0
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), np.tile(background, (windows, 1, 1)))


class Slsqp:
    """Minimum of −2 ln L above the saturated model over the feasible coefficients."""

    def __init__(self, counts, templates):
        self.counts, self.templates = counts, templates
        self.occupied = counts > 0.0
        self.saturated = np.sum(counts[self.occupied] * (np.log(counts[self.occupied]) - 1.0))
        weights = templates / max(counts.mean(), 1e-3)
        self.scale = np.sqrt(np.diag(np.linalg.inv(weights @ templates.T)))

    def minimum(self, fixed=None):
        """Return (−2 ln L, yield) with the signal, the last template, free or fixed."""
        free = self.templates if fixed is None else self.templates[:-1]
        offset = np.zeros(BINS) if fixed is None else fixed * self.templates[-1]
        scale = self.scale[: len(free)]
        design = (free * scale[:, None]).T

        def nll(x):
            nu = np.maximum((design @ x + offset)[self.occupied], 1e-12)
            n = self.counts[self.occupied]
            return (design @ x + offset).sum() - n @ np.log(nu)

        def gradient(x):
            nu = np.maximum(design @ x + offset, 1e-12)
            return design.T @ (1.0 - self.counts / nu)

        level = np.maximum(self.counts.mean() - 0.0 * offset, 1e-2)
        start, *_ = np.linalg.lstsq(design, np.full(BINS, level), rcond=None)
        positive = {"type": "ineq", "fun": lambda x: design @ x + offset, "jac": lambda x: design}
        options = {"maxiter": 2000, "ftol": 1e-15}
        found = minimize(nll, start, jac=gradient, constraints=[positive], method="SLSQP", options=options)
        return 2.0 * (found.fun + self.saturated), (found.x * scale)[-1]


def oracle(sparse, window):
    rows = np.vstack([sparse.background[window], sparse.signal[window]])
    return Slsqp(sparse.counts[window], rows)


@pytest.mark.parametrize("terms", [1, 3, 5])
@pytest.mark.parametrize("rate", [3.0, 1.0, 0.3, 0.1, 0.03])
def test_minimum_is_the_constrained_one(rate, terms):
    sparse = problem(rate, terms)
    result = fit(sparse, second_opinion=False)
    assert all(STATUS_MEANINGS[code] in ("ok", "positivity_boundary") for code in result.status)
    for w in range(sparse.windows):
        value, signal_yield = oracle(sparse, w).minimum()
        assert 2.0 * result.nll[w] == pytest.approx(value, abs=1e-9)
        assert result.yields[w] == pytest.approx(signal_yield, abs=2e-5)


@pytest.mark.parametrize("fixed", [-0.2, 0.0, 1.0, 7.5])
def test_minimum_at_a_fixed_yield(fixed):
    sparse = problem(0.3, 3)
    result = fit(sparse, np.full(sparse.windows, fixed), second_opinion=False)
    for w in range(sparse.windows):
        value, _ = oracle(sparse, w).minimum(fixed)
        assert 2.0 * result.nll[w] == pytest.approx(value, abs=1e-9)


def test_one_event_in_the_window():
    sparse = problem(1e-6, 3, windows=3)
    sparse.counts[:] = 0.0
    for w, b in enumerate((0, BINS // 2, BINS - 1)):
        sparse.counts[w, b] = 1.0
    result = fit(sparse)
    for w in range(3):
        value, signal_yield = oracle(sparse, w).minimum()
        assert 2.0 * result.nll[w] == pytest.approx(value, abs=1e-9)
        assert result.yields[w] == pytest.approx(signal_yield, abs=1e-4)
    assert np.all(result.status == BOUNDARY)


@pytest.mark.parametrize("events", [6.0, 1e3, 1e5, 1e7])
@pytest.mark.parametrize("terms", [1, 3, 5])
@pytest.mark.parametrize("place", [1, BINS // 2, BINS - 4])
def test_all_events_in_few_bins(events, terms, place):
    sparse = problem(1e-6, terms, windows=2)
    sparse.counts[:] = 0.0
    sparse.counts[0, place] = events
    sparse.counts[1, place - 1 : place + 2] = (1.0, events, 3.0)
    result = fit(sparse, second_opinion=False)
    assert np.all(result.status == BOUNDARY)
    for w in range(2):
        templates = np.vstack([sparse.background[w], sparse.signal[w]])
        expected = np.append(result.background[w], result.yields[w]) @ templates
        assert expected.min() > -1e-12 * max(events, 100.0)
        assert certified_gap(sparse.counts[w], templates, expected) < 1e-7 * max(1.0, 1e-4 * events)


def certified_gap(counts, templates, expected):
    """Return a bound of the NLL above its minimum: by convexity, the linear programme's largest fall."""
    slope = np.where(counts > 0.0, 1.0 - counts / np.maximum(expected, 1e-300), 1.0)
    scale = 1.0 / np.abs(templates).max(axis=1)
    rows = (templates * scale[:, None]).T
    box = 2.0 * np.abs(np.linalg.lstsq(rows, expected, rcond=None)[0]).max()
    found = linprog(rows.T @ slope, A_ub=-rows, b_ub=np.zeros(BINS), bounds=[(-box, box)] * len(scale))
    return slope @ expected - found.fun


def test_error_at_the_boundary_is_where_the_profile_rises_by_one():
    sparse = problem(0.1, 3)
    limits = METHODS["asymptotic"](sparse, Settings(0.9))
    touching = np.flatnonzero(limits.status == BOUNDARY)
    assert touching.size >= 5
    for w in touching:
        slsqp = oracle(sparse, w)
        above = limits.signal_yield[w] + limits.signal_yield_error[w]
        assert slsqp.minimum(above)[0] - slsqp.minimum()[0] == pytest.approx(1.0, abs=1e-6)


def q_tilde(slsqp, s):
    best, best_yield = slsqp.minimum()
    if best_yield > s:
        return 0.0
    reference = best if best_yield > 0.0 else slsqp.minimum(0.0)[0]
    return max(slsqp.minimum(s)[0] - reference, 0.0)


def log_cls(q, q_asimov):
    a = np.sqrt(q_asimov)
    if q <= q_asimov:
        return norm.logsf(np.sqrt(q)) - norm.logcdf(a - np.sqrt(q))
    return norm.logsf((q + q_asimov) / (2 * a)) - norm.logsf((q - q_asimov) / (2 * a))


@pytest.mark.parametrize(("rate", "terms"), [(3.0, 3), (0.5, 2), (0.1, 3)])
def test_limits_are_the_roots(rate, terms):
    sparse = problem(rate, terms, windows=3)
    limits = METHODS["asymptotic"](sparse, Settings(0.9))
    null = fit(sparse, np.zeros(sparse.windows), second_opinion=False)
    for w in range(sparse.windows):
        data = oracle(sparse, w)
        expected = np.maximum(null.background[w] @ sparse.background[w], 0.0)
        asimov = Slsqp(np.where(expected > 1e-7, expected, 0.0), data.templates)
        base = asimov.minimum(0.0)[0]

        def cls(s, data=data, asimov=asimov, base=base):
            return log_cls(q_tilde(data, s), asimov.minimum(s)[0] - base) - np.log(0.1)

        centre = limits.yield_limit[w]
        root = brentq(cls, 0.97 * centre, 1.03 * centre, xtol=1e-7 * centre)
        assert centre == pytest.approx(root, rel=1e-5)
        for quantile, value in zip(QUANTILES, limits.expected[w], strict=True):
            target = norm.ppf(1.0 - 0.1 * quantile) + norm.ppf(quantile)
            assert np.sqrt(asimov.minimum(value)[0] - base) == pytest.approx(target, rel=1e-5)
