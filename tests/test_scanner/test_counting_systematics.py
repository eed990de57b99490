"""Exact limits at low counts whose efficiency and background are uncertain."""

import numpy as np
import pytest
from scipy.stats import nbinom, poisson
from scipy.stats import norm as gaussian

from scanner.kernels.counting.efficiency import averaged_limit
from scanner.kernels.counting.exact import counting_limit
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.shapes import chebyshev_integrals, signal_integrals
from scanner.stats.counting import NODES, WEIGHTS, core_uncertainties, known_events

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
