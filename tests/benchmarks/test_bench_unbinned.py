"""Unbinned fits and limits beside numpy and iminuit with numba-stats, on one core.

Windows of ten thousand events, a Gaussian signal over three Chebyshev terms.

What bounds them. Densities of all events are evaluated once a fit, by an exponential that vectorises;
the events are then counted in cells for a start that is a fraction of σ away, and two or three Newton
steps follow, each one loop of 14 sums and one division an event. iminuit's time is its calls of the
density, some hundred, over all events; numpy's the passes over arrays that leave the cache.
"""

from functools import partial

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedUnbinnedNLL
from numba_stats import norm as norm_stats
from numpy.polynomial import chebyshev

from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.unbinned import UnbinnedProblem, fit_unbinned
from scanner.stats import Settings
from scanner.stats.unbinned import asymptotic_unbinned

pytestmark = pytest.mark.benchmark_suite

EVENTS, TERMS, WINDOWS = 10_000, 3, 20
WIDTH = 0.05
FIT_GROUP = "unbinned fit of signal and background: 10 thousand events a window"
LIMIT_GROUP = "unbinned limit with bands: 10 thousand events a window"
BOUND = "14 sums and one division an event of each Newton step; the densities of all events once"


def problem(windows):
    rng = np.random.default_rng(23)
    # 1 − 0.35 (u + 1) from its cumulative function
    uniform = rng.uniform(size=(windows, EVENTS))
    events = np.sort(2.0 * (1.0 - np.sqrt(1.0 - 0.91 * uniform)) / 0.7 - 1.0, axis=1)
    shift = 4.0 * np.arange(windows)
    ends = EVENTS * np.arange(windows + 1)
    return UnbinnedProblem(
        (events + shift[:, None]).ravel(), ends[:-1], ends[1:], shift - 1.0, shift + 1.0, shift,
        np.full(windows, WIDTH), np.full(windows, TERMS),
    )  # fmt: skip


def windows_of(batch):
    """Return the events of each window about its middle, (W, N)."""
    return batch.events.reshape(batch.windows, EVENTS) - batch.mass[:, None]


INTEGRALS = np.array([1.0, 0.0, -1.0 / 3.0, 1.0])


def numpy_newton(batch):
    """Return yields and errors by Newton's method from no signal, over arrays of each window."""
    found = []
    for x in windows_of(batch):
        rows = np.vstack([0.5 * chebyshev.chebvander(x, TERMS - 1).T, norm_stats.pdf(x, 0.0, WIDTH)])
        theta = np.array([float(EVENTS), 0.0, 0.0, 0.0])
        for _ in range(7):
            weighted = rows / (theta @ rows)
            hessian = weighted @ weighted.T
            step = np.linalg.solve(hessian, INTEGRALS - weighted.sum(axis=1))
            change = (step @ rows) / (theta @ rows)
            theta = theta - step * min(1.0, 0.7 / change.max())  # the density stays positive
        found.append((theta[-1], np.sqrt(np.linalg.inv(hessian)[-1, -1])))
    return np.array(found).T


def minuit_fit(x, tolerance=0.1):
    def density(x, s, c0, c1, c2):
        background = 0.5 * chebyshev.chebval(x, [c0, c1, c2])
        return s + c0 - c2 / 3.0, s * norm_stats.pdf(x, 0.0, WIDTH) + background

    minuit = Minuit(ExtendedUnbinnedNLL(x, density), s=0.0, c0=float(x.size), c1=0.0, c2=0.0)
    minuit.tol = tolerance
    minuit.errors = [50.0, 50.0, 50.0, 50.0]
    minuit.migrad()
    return minuit


def minuit_fits(batch):
    return [minuit_fit(x) for x in windows_of(batch)]


def test_unbinned_fits_give_the_same_answers():
    batch = problem(3)
    ours = fit_unbinned(batch)
    yields, errors = numpy_newton(batch)
    assert {STATUS_MEANINGS[code] for code in ours.status} == {"ok"}
    assert np.all(np.abs(yields - ours.yields) < 1e-4 * ours.errors)
    assert errors == pytest.approx(ours.errors, rel=1e-4)
    for w, x in enumerate(windows_of(batch)):
        assert abs(minuit_fit(x, 1e-5).values["s"] - ours.yields[w]) < 1e-3 * ours.errors[w]
        assert abs(minuit_fit(x).values["s"] - ours.yields[w]) < 0.1 * ours.errors[w]


FITS = {
    "darkscan": (fit_unbinned, WINDOWS, 30),
    "numpy, Newton": (numpy_newton, WINDOWS, 5),
    "iminuit + numba-stats": (minuit_fits, 2, 3),
}


@pytest.mark.parametrize("who", FITS)
def test_unbinned_fit(race, who):
    work, windows, rounds = FITS[who]
    run = partial(work, problem(windows))
    race(FIT_GROUP, who, run, items=windows, unit="window", rounds=rounds, bound=BOUND)


def test_unbinned_limit(race):
    run = partial(asymptotic_unbinned, problem(WINDOWS), Settings(0.95))
    race(LIMIT_GROUP, "darkscan", run, items=WINDOWS, unit="window", rounds=15, bound=BOUND)
