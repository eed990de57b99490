"""Fits and limits of windows beside iminuit with numba-stats, and pyhf, on one core.

500 windows of 100 bins, a Gaussian signal over three Chebyshev terms, 50 thousand events a window.

The array programs of numpy and jax, RooFit, and the sparse windows have files of their own.

What bounds them. A fit is a least-squares start and two Newton passes; each pass sums 14 products a
bin (a gradient of 4, a Hessian of 10) in vector registers. The loop with the division waits for the
processor to look far enough ahead, the loop of the Hessian for its floating-point units. A limit is a
fit with and one without signal, two Asimov fits whose curve gives all bands, and two or three profile
fits of the data. iminuit's time is its own calls of Python and its numerical second derivatives.
"""

from functools import cache, partial

import numpy as np
import pyhf
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL
from numba_stats import norm as norm_stats
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from scipy.stats import norm

from scanner.kernels.linear.cls import log_cls
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.stats import METHODS, Settings

pytestmark = [
    pytest.mark.benchmark_suite,
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning"),  # pyhf where q_A is 0
]

WINDOWS, BINS, TERMS = 500, 100, 3
WIDTH = 0.05
LEVEL = 0.95
FIT_GROUP = "fit of signal and background: 100 bins, 50 thousand events a window"
LIMIT_GROUP = "limit with bands: 100 bins, 50 thousand events a window"
EDGES = np.linspace(-1.0, 1.0, BINS + 1)


def problem(rate, windows=WINDOWS):
    rows = [np.diff(chebyshev.chebval(EDGES, chebyshev.chebint(row))) for row in np.eye(TERMS)]
    signal = np.diff(norm.cdf(EDGES / WIDTH))
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    rng = np.random.default_rng(17)
    counts = rng.poisson(rate * (1.0 - 0.5 * centres), (windows, BINS)).astype(float)
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), np.tile(rows, (windows, 1, 1)))


CHEBYSHEV_INTEGRALS = chebyshev.chebint(np.eye(TERMS).T)


def analyst_cost(counts):
    """Return numba-stats' and iminuit's cost as an analyst writes it, with bin integrals."""

    def scaled_cdf(x, s, c0, c1, c2):
        background = chebyshev.chebval(x, CHEBYSHEV_INTEGRALS @ np.array([c0, c1, c2]))
        return s * norm_stats.cdf(x, 0.0, WIDTH) + background

    return ExtendedBinnedNLL(counts, EDGES, scaled_cdf)


def minuit_fit(counts, fixed=None, tolerance=0.1):
    minuit = Minuit(analyst_cost(counts), s=0.0, c0=counts.sum() / 2.0, c1=0.0, c2=0.0)
    minuit.tol = tolerance
    minuit.errors = [50.0, 50.0, 50.0, 50.0]
    if fixed is not None:
        minuit.values["s"], minuit.fixed["s"] = fixed, True
    minuit.migrad()
    return minuit


def minuit_limit(counts):
    """Return the observed limit as an analyst sets it: a root of CLs with a fit at each point."""
    free, null = minuit_fit(counts), minuit_fit(counts, 0.0)
    asimov = expected(null)
    base = minuit_fit(asimov, 0.0).fval
    reference = free.fval if free.values["s"] > 0.0 else null.fval

    def excess(s):
        q = 0.0 if free.values["s"] > s else max(minuit_fit(counts, s).fval - reference, 0.0)
        a = np.sqrt(max(minuit_fit(asimov, s).fval - base, 1e-12))
        return log_cls(q, 0.0, a, 0.0)[0] - np.log(1.0 - LEVEL)

    error = free.errors["s"]
    start = max(free.values["s"], 0.0)
    return brentq(excess, start + 0.5 * error, start + 4.0 * error, rtol=1e-4)


def expected(minuit):
    s, c0, c1, c2 = minuit.values
    background = chebyshev.chebval(EDGES, CHEBYSHEV_INTEGRALS @ np.array([c0, c1, c2]))
    return np.diff(s * norm.cdf(EDGES / WIDTH) + background)


@pytest.fixture(autouse=True)
def pyhf_minimises_with_minuit():
    """pyhf's default minimiser misses these minima by some per cent of the limit."""
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", "minuit")
    yield
    pyhf.set_backend(backend, optimizer)


@cache
def pyhf_model():
    """Return pyhf's model: one sample a term, each with a free normalisation."""
    batch = problem(500.0, 1)
    rows = dict(zip(("mu", "c0", "c1", "c2"), (batch.signal[0], *batch.background[0]), strict=True))
    samples = [{"name": name, "data": row.tolist(), "modifiers": [free(name)]} for name, row in rows.items()]
    starts = {"mu": 1.0, "c0": 25_000.0, "c1": 0.0, "c2": 0.0}
    bounds = {name: [[-1e5, 1e5]] for name in starts} | {"mu": [[0.0, 5_000.0]]}
    parameters = [{"name": name, "inits": [starts[name]], "bounds": bounds[name]} for name in starts]
    specification = {"channels": [{"name": "window", "samples": samples}], "parameters": parameters}
    return pyhf.Model(specification, poi_name="mu", validate=False)


def free(name):
    return {"name": name, "type": "normfactor", "data": None}


def pyhf_fit(counts):
    return pyhf.infer.mle.fit(counts.tolist(), pyhf_model())


def pyhf_limit(counts):
    limits = pyhf.infer.intervals.upper_limits.upper_limit(counts.tolist(), pyhf_model(), level=1.0 - LEVEL)
    return float(limits[0])


def test_all_give_the_same_answers():
    batch = problem(500.0, windows=20)
    ours = fit(batch)
    assert {STATUS_MEANINGS[code] for code in ours.status} == {"ok"}
    limits = METHODS["asymptotic"](batch, Settings(LEVEL)).yield_limit
    for w in range(4):
        tight = minuit_fit(batch.counts[w], tolerance=1e-5)
        assert abs(tight.values["s"] - ours.yields[w]) < 1e-3 * ours.errors[w]
        loose = minuit_fit(batch.counts[w])
        assert abs(loose.values["s"] - ours.yields[w]) < 0.1 * ours.errors[w]
        assert minuit_limit(batch.counts[w]) == pytest.approx(limits[w], rel=1e-2)
    assert pyhf_limit(batch.counts[0]) == pytest.approx(limits[0], rel=1e-2)


FIT_BOUND = "three passes of 14 sums and a division a bin; then the copy of the window and 4×4 solves"
LIMIT_BOUND = "the fits with and without signal; then four or five profile fits of a pass each"


def one_by_one(work, batch):
    return [work(counts) for counts in batch.counts]


FITS = {
    "darkscan": (fit, WINDOWS, 30),
    "iminuit + numba-stats": (partial(one_by_one, minuit_fit), 5, 3),
    "pyhf": (partial(one_by_one, pyhf_fit), 2, 2),
}


@pytest.mark.parametrize("who", FITS)
def test_fit(race, who):
    work, windows, rounds = FITS[who]
    run = partial(work, problem(500.0, windows))
    race(FIT_GROUP, who, run, items=windows, unit="window", rounds=rounds, bound=FIT_BOUND)


LIMITS = {
    "darkscan": (lambda batch: METHODS["auto"](batch, Settings(LEVEL)), WINDOWS, 15),
    "iminuit + numba-stats, observed only": (partial(one_by_one, minuit_limit), 2, 2),
    "pyhf": (partial(one_by_one, pyhf_limit), 1, 1),
}


@pytest.mark.parametrize("who", LIMITS)
def test_limit(race, who):
    work, windows, rounds = LIMITS[who]
    run = partial(work, problem(500.0, windows))
    race(LIMIT_GROUP, who, run, items=windows, unit="window", rounds=rounds, bound=LIMIT_BOUND)
