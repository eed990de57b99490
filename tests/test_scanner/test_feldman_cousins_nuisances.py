"""Unified intervals with constrained nuisances against brute-force constructions."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm, poisson

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.constrained_construction import ConstrainedConstruction

BACKGROUND, ERROR = 12.0, 3.0


def one_bin(n, key=0):
    """n events over a background of 12 ± 3, normal."""
    norms = np.zeros((1, 1, 2, 2))
    shape = np.array([[[[-ERROR], [ERROR]]]])
    fixed = np.array([[[BACKGROUND]]])
    nuisances = Nuisances(("b",), norms, shape, np.array([0]), np.array([1]), fixed)
    counts = np.array([[float(n)]])
    return BinnedProblem(
        counts, np.ones((1, 1)), np.zeros((1, 0, 1)), nuisances=nuisances, keys=np.array([key], np.uint64)
    )


def deviance(s, n, a):
    """−2 ln L(s), the background profiled by scipy; and the best nuisance."""

    def of(z):
        mean = s + BACKGROUND + ERROR * z
        return 2.0 * (mean - n * np.log(mean)) + (z - a) ** 2

    found = minimize_scalar(of, bounds=(-3.9, 8.0), method="bounded", options={"xatol": 1e-9})
    return found.fun, found.x


def ratio(s, n, a):
    best = max(n - BACKGROUND - ERROR * a, 0.0)
    return deviance(s, n, a)[0] - deviance(best, n, a)[0]


def acceptance(s, n):
    """P(ratio at least the observed one | s), summed over counts and integrated over the measurement."""
    own, z = ratio(s, n, 0.0), deviance(s, n, 0.0)[1]
    mean = s + BACKGROUND + ERROR * z
    shifts = norm.ppf((np.arange(60) + 0.5) / 60.0)
    total = 0.0
    for k in range(int(poisson.ppf(1e-4, mean)), int(poisson.isf(1e-4, mean)) + 1):
        less = np.mean([ratio(s, k, z + shift) >= own for shift in shifts])
        total += poisson.pmf(k, mean) * less
    return total


def test_ratios_are_those_of_scipy():
    sets = [one_bin(n) for n in (5, 12, 25)]
    for one, n in zip(sets, (5, 12, 25), strict=True):
        found, best = ConstrainedConstruction(one, 0.9, 100).ratios(one, np.array([0.0, 4.0, 15.0]))
        assert found[0] == pytest.approx([ratio(s, n, 0.0) for s in (0.0, 4.0, 15.0)], abs=1e-5)
        assert best[0] == pytest.approx(max(n - BACKGROUND, 0.0), abs=1e-4)


@pytest.mark.parametrize("n", [12, 24])
def test_interval_against_the_brute_force_construction(n):
    construction = ConstrainedConstruction(one_bin(n), 0.9, 4000)
    low, high = construction.interval()
    width = high - low
    assert acceptance(high - 0.06 * width, n) > 0.1 > acceptance(high + 0.06 * width, n)
    if low > 0.0:
        assert acceptance(low + 0.06 * width, n) > 0.1 > acceptance(max(low - 0.06 * width, 0.0), n)
    else:
        assert acceptance(0.0, n) > 0.09
    assert construction.failed == 0


def test_counts_and_global_observables_of_toys_are_independent():
    construction = ConstrainedConstruction(one_bin(12), 0.9, 100)
    toys = construction.throw(construction.expectation(3.0), 0, 4000)
    observed = toys.nuisances.observed[:, 0]
    assert abs(np.corrcoef(toys.counts[:, 0], observed)[0, 1]) < 0.06
    assert observed.std() == pytest.approx(1.0, abs=0.05)
    again = construction.throw(construction.expectation(3.0), 100, 1)
    assert np.array_equal(again.counts[0], toys.counts[100])
    assert np.array_equal(again.nuisances.observed[0], toys.nuisances.observed[100])
