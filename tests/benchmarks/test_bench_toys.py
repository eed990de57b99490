"""Toys beside numpy and iminuit, and toy limits of many windows, on one core.

Windows of 100 bins, a Gaussian signal over three Chebyshev terms. A toy is thrown, fitted without signal
and, where there is an excess, with it; the answer is q₀.

What bounds them. A third of a toy is its hundred Poisson numbers: one random word each, made for four
bins at a time, one look into a table that stays in the second-level cache, one comparison. The rest are
about ten passes over the bins that sum a gradient of four; each has one division a bin. Sparse toys are
fitted by three to four Newton steps over their occupied bins, of many short loops; where the background
touches zero, a step looks for the bins that hold it, one after the other.
"""

from functools import partial

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.stats import METHODS, Settings
from scanner.stats.pseudo import LinearWindow
from scanner.stats.sampling import poisson_toys

pytestmark = pytest.mark.benchmark_suite

BINS, TERMS, WIDTH = 100, 3, 0.05
EDGES = np.linspace(-1.0, 1.0, BINS + 1)
DENSE, SPARSE = 5.0, 0.5
"""Events a bin from which toys are fitted by gradients, and below which empty bins bound most fits."""
BOUNDS = {
    "dense": "Poisson numbers, then about ten gradient passes with one division a bin",
    "few": "Poisson numbers, finding the occupied bins, then three or four Newton steps over them a fit",
    "sparse": "the search for the empty bins that hold a Newton step, one small solve a bin",
}


def bound(rate):
    return BOUNDS["dense" if rate >= DENSE else "few" if rate >= SPARSE else "sparse"]


def problem(rate, windows=1):
    rows = [np.diff(chebyshev.chebval(EDGES, chebyshev.chebint(row))) for row in np.eye(TERMS)]
    signal = np.diff(norm.cdf(EDGES / WIDTH))
    counts = np.random.default_rng(17).poisson(mean(rate), (windows, BINS)).astype(float)
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), np.tile(rows, (windows, 1, 1)))


def mean(rate):
    return rate * (1.0 - 0.5 * 0.5 * (EDGES[1:] + EDGES[:-1]))


def our_toys(rate, count):
    return LinearWindow(problem(rate), 0).excesses(count)[1]


def ordinary_toys(rate, count, throw):
    """Return q₀ of toys that are thrown as an array and fitted as a batch of windows."""
    one = problem(rate)
    expected = fit(one, np.zeros(1)).background[0] @ one.background[0]
    many = BinnedProblem(
        throw(expected, count), np.tile(one.signal, (count, 1)), np.tile(one.background, (count, 1, 1))
    )
    free, null = fit(many), fit(many, np.zeros(count))
    return np.where(free.yields > 0.0, 2.0 * (null.nll - free.nll), 0.0)


def by_numpy(expected, count):
    return np.random.default_rng(3).poisson(expected, (count, BINS)).astype(float)


def by_key(expected, count):
    return poisson_toys(expected, 0, 0, count)


def test_toys_are_those_of_the_batched_fits():
    for rate in (500.0, 5.0, 0.5, 0.05):
        ours = our_toys(rate, 500)
        theirs = ordinary_toys(rate, 500, by_key)
        assert np.abs(np.sqrt(ours) - np.sqrt(np.maximum(theirs, 0.0))).max() < 1e-4


TOYS = {
    "darkscan": (our_toys, 10_000),
    "darkscan's fits of a batch, numpy's Poisson": (partial(ordinary_toys, throw=by_numpy), 2_000),
}


@pytest.mark.parametrize("rate", [500.0, 50.0, 5.0, 0.5, 0.05])
@pytest.mark.parametrize("who", TOYS)
def test_toy(race, who, rate):
    work, count = TOYS[who]
    race(
        f"toy: {rate} events a bin",
        who,
        partial(work, rate, count),
        items=count,
        unit="toy",
        bound=bound(rate),
    )


@pytest.mark.parametrize("rate", [1e5, 500.0, 0.5])
@pytest.mark.parametrize(("who", "throw"), [("darkscan", by_key), ("numpy", by_numpy)])
def test_throw(race, who, throw, rate):
    run = partial(throw, mean(rate), 5_000)
    race(
        f"Poisson numbers of mean {rate}", who, run, items=5_000 * BINS, unit="number", bound="table look-up"
    )


@pytest.mark.parametrize("rate", [500.0, 5.0, 0.5, 0.05])
def test_limit(race, rate):
    windows = 3
    run = partial(METHODS["toys"], problem(rate, windows), Settings(0.95, toys=10_000))
    group = f"toy limit with bands, 10⁴ toys: {rate} events a bin"
    race(
        group,
        "darkscan",
        run,
        items=windows,
        unit="window",
        rounds=2,
        bound="some 25 000 toys: eight yields, two hypotheses",
    )
