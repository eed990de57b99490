"""Exact limits at low counts whose efficiency and background are uncertain."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import nbinom, poisson
from scipy.stats import norm as gaussian

from scanner.kernels.counting.efficiency import averaged_limit
from scanner.kernels.counting.exact import counting_limit
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.nuisances import Nuisances
from scanner.shapes import chebyshev_integrals, signal_integrals
from scanner.stats import METHODS, Settings
from scanner.stats.counting import NODES, WEIGHTS, core_uncertainties, known_events
from scanner.stats.limits import COUNTING, TOYS

ALPHA = 0.1


def limit(n, background, spread, error):
    factors = np.exp(np.log1p(error) * NODES)
    return averaged_limit(n, background, spread, np.log(ALPHA), factors, WEIGHTS)


def cls_of(n, background, sigma, error, signal):
    """Sum over background counts, whose mean has a Gamma distribution, and average over (1+δ)^z on a grid."""
    z = np.linspace(-8.0, 8.0, 1601)
    weights = gaussian.pdf(z) / gaussian.pdf(z).sum()
    j = np.arange(n + 1)
    spread = sigma**2 / background
    counts = nbinom.pmf(j, background / spread, 1.0 / (1.0 + spread)) if sigma else poisson.pmf(j, background)
    below = poisson.cdf(n - j[:, None], signal * (1.0 + error) ** z)
    return (counts @ below @ weights) / counts.sum()


@pytest.mark.parametrize("error", [0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("n", "background", "sigma"), [(0, 1.0, 0.5), (4, 2.0, 0.0), (12, 8.0, 2.0), (60, 50.0, 8.0)]
)
def test_the_average_over_the_efficiency_by_brute_force(n, background, sigma, error):
    found = limit(n, background, sigma**2 / background, error)
    assert cls_of(n, background, sigma, error, found) == pytest.approx(ALPHA, rel=1e-6)


def test_no_error_leaves_the_exact_limit():
    assert limit(4, 2.0, 0.3, 0.0) == pytest.approx(counting_limit(4, 2.0, 0.3, np.log(ALPHA)), rel=1e-9)


def problem():
    edges = np.linspace(-10.0, 10.0, 41)[None]
    signal = signal_integrals("gaussian", edges, np.zeros(1), np.ones(1), {})
    wide = signal_integrals("gaussian", edges, np.zeros(1), np.full(1, 1.25), {}) - signal
    background = chebyshev_integrals(edges, 2)
    norm = np.zeros((1, 4, 4, 2))
    norm[0, 0, 0] = -np.log(1.03), np.log(1.03)
    norm[0, 1, 0] = -np.log(1.04), np.log(1.04)
    shape = np.stack([[-wide[0], wide[0]], [-2.0 * signal[0], 2.0 * signal[0]]])[None]
    names = ("luminosity", "efficiency", "resolution", "spurious")
    nuisances = Nuisances(names, norm, shape, np.array([2, 3]), np.array([0, 3]), np.zeros((1, 1, 40)))
    core = np.abs(edges[:, 1:] + edges[:, :-1]) < 4.0
    return BinnedProblem(np.ones((1, 40)), signal, background, core, nuisances=nuisances)


def test_what_nuisances_do_to_the_core():
    case = problem()
    spread, extra = core_uncertainties(case)
    inside = gaussian.cdf(2.0) - gaussian.cdf(-2.0)
    wider = gaussian.cdf(1.6) - gaussian.cdf(-1.6)
    bend = 0.5 * np.log(wider / (2.0 * inside - wider))
    assert spread[0] == pytest.approx(np.sqrt(np.log(1.03) ** 2 + np.log(1.04) ** 2 + bend**2), rel=1e-6)
    assert extra[0] == pytest.approx(2.0, rel=1e-9)
    assert not known_events(case).any()


EDGES = np.linspace(-10.0, 10.0, 41)[None]
CORE = np.abs(EDGES[:, 1:] + EDGES[:, :-1]) < 4.0
SIGNAL = signal_integrals("gaussian", EDGES, np.zeros(1), np.ones(1), {})
SETTINGS = Settings(0.9, toys=0)


def with_peak(counts, events, at, error, terms):
    """A window over a flat background with a known peak, whose yield is log-normal."""
    peak = events * signal_integrals("gaussian", EDGES, np.full(1, at), np.ones(1), {})
    norm = np.zeros((1, 1, 3, 2))
    norm[0, 0, 2] = -np.log1p(error), np.log1p(error)
    nowhere = np.empty(0, dtype=np.int64)
    nuisances = Nuisances(("peak",), norm, np.zeros((1, 0, 2, 40)), nowhere, nowhere, peak[:, None])
    flat = np.ones((1, 1, 40))
    return BinnedProblem(counts[None], SIGNAL, flat, CORE, np.array([terms]), nuisances)


def spread_of_events(places):
    counts = np.zeros(40)
    counts[places] = 1.0
    return counts


@pytest.mark.parametrize("terms", [0, 1])
@pytest.mark.parametrize("at", [0.0, 2.0])
def test_nothing_seen_over_a_known_peak_excludes_as_much_as_nothing_seen(terms, at):
    found = METHODS["auto"](with_peak(np.zeros(40), 3.0, at, 0.2, terms), SETTINGS)
    assert found.method[0] == COUNTING
    assert found.yield_limit[0] == pytest.approx(np.log(10.0) / SIGNAL[CORE].sum(), rel=1e-9)


@pytest.mark.parametrize("at", [0.0, 1.5, 3.0])
def test_a_known_peak_is_part_of_the_background_that_is_counted_over(at):
    """The flat background is the root of the likelihood's slope in the bins beside the core."""
    error, counts = 0.3, spread_of_events([1, 5, 11, 19, 21, 30, 38])
    case = with_peak(counts, 4.0, at, error, 1)
    peak, beside = case.nuisances.fixed[0, 0], ~CORE[0]

    def level(scale):
        return brentq(lambda c: np.sum(1.0 - counts[beside] / (c + scale * peak[beside])), 1e-9, 10.0)

    def under(scale):
        return CORE.sum() * level(scale) + scale * peak[CORE[0]].sum()

    mean = level(1.0) + peak[beside]
    alone = CORE.sum() ** 2 * level(1.0) / beside.sum()
    variance = max(CORE.sum() ** 2 / np.sum(counts[beside] / mean**2), alone)
    variance += (0.5 * (under(1.0 + error) - under(1.0 / (1.0 + error)))) ** 2
    found = METHODS["auto"](case, SETTINGS)
    n, efficiency = int(counts[CORE[0]].sum()), SIGNAL[CORE].sum()
    assert found.method[0] == COUNTING
    assert found.n_background[0] == pytest.approx(under(1.0), rel=1e-7)
    signal = found.yield_limit[0] * efficiency
    assert cls_of(n, under(1.0), np.sqrt(variance), 0.0, signal) == pytest.approx(ALPHA, rel=1e-5)


def test_statistics_of_a_known_sample_widen_what_is_counted_over():
    case = with_peak(spread_of_events([19, 20]), 4.0, 0.0, 0.0, 0)
    case.nuisances.statistics[:] = 0.5
    sigma = 0.5 * np.sqrt(np.sum(case.nuisances.fixed[0, 0][CORE[0]] ** 2))
    mean = case.nuisances.fixed[0, 0][CORE[0]].sum()
    signal = METHODS["auto"](case, SETTINGS).yield_limit[0] * SIGNAL[CORE].sum()
    assert cls_of(2, mean, sigma, 0.0, signal) == pytest.approx(ALPHA, rel=1e-5)


def test_statistics_of_a_fitted_template_widen_what_is_counted_over():
    """Of a flat template from as many rows a bin, δ times what the fit without signal has in each bin."""
    case = with_peak(spread_of_events([1, 5, 11, *range(17, 23), 30, 38]), 0.0, 0.0, 0.0, 1)
    certain = METHODS["auto"](case, SETTINGS)
    nuisances = replace(
        case.nuisances, statistics=np.where(CORE, 0.5, 0.0), uncertain=np.array([False, True, False])
    )
    case = replace(case, nuisances=nuisances)
    level, inside = fit(case, np.zeros(1)).background[0, 0], SIGNAL[CORE].sum()
    _, extra = core_uncertainties(case)
    assert extra[0] * inside == pytest.approx(0.5 * level * np.sqrt(CORE.sum()), rel=1e-9)
    found, mean, beside = METHODS["auto"](case, SETTINGS), certain.n_background[0], 5.0
    assert found.method[0] == COUNTING
    sigma = np.hypot(mean / np.sqrt(beside), extra[0] * inside)
    assert cls_of(6, mean, sigma, 0.0, found.yield_limit[0] * inside) == pytest.approx(ALPHA, rel=1e-5)
    assert found.z_local[0] < certain.z_local[0]


def test_a_window_that_cannot_be_counted_has_toys():
    """A free peak that is all in the core is not told by the bins beside it."""
    inside = np.zeros((1, 40))
    inside[0, 22] = 1.0
    counts = spread_of_events([1, 5, 11, 19, 20, 22, 30, 38])
    case = BinnedProblem(counts[None], SIGNAL, np.stack([np.ones((1, 40)), inside], axis=1), CORE)
    found = METHODS["auto"](case, SETTINGS)
    assert found.method[0] == TOYS
    assert found.toys[0] > 0
    assert np.log(10.0) < found.yield_limit[0] < 8.0
