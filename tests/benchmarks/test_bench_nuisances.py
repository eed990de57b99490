"""Fits and limits of windows with ten constrained nuisances beside iminuit and pyhf, on one core.

100 bins, a Gaussian signal and a fixed sample over three Chebyshev terms. Five nuisances scale signal and
fixed sample, five bend the fixed sample. iminuit minimises the same likelihood, written in numpy, at the
strategy of a second opinion; pyhf reads the exported workspace. Of a limit pyhf takes one value of CLs, at
darkscan's limit: a search takes about ten.
"""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pyhf
import pytest

from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.likelihoods.interchange import STRENGTH, pyhf_workspace
from scanner.likelihoods.minuit import fit_window
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings

pytestmark = [
    pytest.mark.benchmark_suite,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning"),
]

NUISANCES, TERMS, RATE, WINDOWS = 10, 3, 500.0, 100
SAMPLES = TERMS + 2
FIT_GROUP = "fit with 10 nuisances: 100 bins, 50 thousand events a window"
LIMIT_GROUP = "limit with 10 nuisances and bands: 100 bins, 50 thousand events a window"
BOUND = (
    "three passes with the Hessian's sums over bins and a solve of 14 parameters; then the copy of the window"
)
LIMIT_BOUND = "ten fits, each with a copy of the window and one to three passes"
LEVEL = 0.95


@pytest.fixture(scope="module")
def batch(windows):
    """Return windows whose background has a fixed sample of a tenth of its events."""
    plain = windows(RATE, WINDOWS)
    bins = plain.counts.shape[1]
    x = (np.arange(bins) + 0.5) / bins * 2.0 - 1.0
    fixed = 0.1 * RATE * np.exp(-x)
    logs = np.zeros((WINDOWS, NUISANCES, SAMPLES, 2))
    logs[:, :5, 0] = [-0.05, 0.04]
    logs[:, :5, -1] = [-0.03, 0.02]
    bent = np.array([0.1 / (k + 1) * fixed * np.sin((k + 1) * x) for k in range(5)])
    shape = np.stack([-1.2 * bent, bent], axis=1)
    nuisances = Nuisances(
        tuple(f"n{j}" for j in range(NUISANCES)),
        logs,
        np.tile(shape, (WINDOWS, 1, 1, 1)),
        np.arange(5, NUISANCES),
        np.full(5, SAMPLES - 1),
        np.tile(fixed, (WINDOWS, 1, 1)),
    )
    return replace(plain, nuisances=nuisances)


@pytest.fixture(autouse=True)
def _minuit_in_pyhf():
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(maxiter=100_000))
    yield
    pyhf.set_backend(backend, optimizer)


def by_minuit(batch, number):
    return [fit_window(batch, w) for w in range(number)]


def by_pyhf(batch, number):
    return [pyhf.infer.mle.fit(data, model) for model, data in (pyhf_model(batch, w) for w in range(number))]


@cache
def _models():
    return {}


def limits(batch, _):
    return METHODS["asymptotic"](batch, Settings(LEVEL))


def cls_by_pyhf(batch, number):
    """Return pyhf's CLs, observed and expected, at darkscan's limits."""
    found = limits(batch, number).yield_limit
    return [cls_at(batch, w, found[w]) for w in range(number)]


def cls_at(batch, w, signal_yield):
    data, model = pyhf_model(batch, w)[::-1]
    start, bounds = model.config.suggested_init(), model.config.suggested_bounds()
    start[model.config.poi_index] = signal_yield
    bounds[model.config.poi_index] = (0.0, 10.0 * signal_yield)
    options = {"init_pars": start, "par_bounds": bounds, "test_stat": "qtilde"}
    return pyhf.infer.hypotest(signal_yield, data, model, return_expected_set=True, **options)


def pyhf_model(batch, w):
    """Return pyhf's model of a window and its data, made once: building takes longer than a fit."""
    if w not in _models():
        workspace = pyhf.Workspace(pyhf_workspace(batch, w))
        codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
        model = workspace.model(modifier_settings=codes)
        _models()[w] = model, workspace.data(model)
    return _models()[w]


def test_all_give_the_same_answers(batch):
    ours = fit(batch)
    assert {STATUS_MEANINGS[code] for code in ours.status} == {"ok"}
    assert np.abs(ours.pulls).max() > 0.1
    for w, opinion in enumerate(by_minuit(batch, 3)):
        assert abs(opinion.signal_yield - ours.yields[w]) < 1e-2 * ours.errors[w]
    best = by_pyhf(batch, 1)[0]
    model, _ = pyhf_model(batch, 0)
    assert model.config.poi_name == STRENGTH
    assert abs(best[model.config.poi_index] - ours.yields[0]) < 0.1 * ours.errors[0]


def test_pyhf_finds_the_same_limit(batch):
    observed, bands = cls_by_pyhf(batch, 1)[0]
    found = limits(batch, 1)
    assert float(observed) == pytest.approx(1.0 - LEVEL, rel=3e-2)
    above = found.expected[0] > found.yield_limit[0]
    assert [float(value) > 1.0 - LEVEL for value in bands] == above.tolist()


FITS = {
    "darkscan": (lambda batch, _: fit(batch), WINDOWS, 20),
    "iminuit at strategy 2, the likelihood in numpy": (by_minuit, 3, 3),
    "pyhf": (by_pyhf, 1, 2),
}


@pytest.mark.parametrize("who", FITS)
def test_fit(race, batch, who):
    work, number, rounds = FITS[who]
    run = partial(work, batch, number)
    race(FIT_GROUP, who, run, items=number, unit="window", rounds=rounds, bound=BOUND)


LIMITS = {
    "darkscan": (limits, WINDOWS, 10),
    "pyhf, one value of CLs": (cls_by_pyhf, 1, 1),
}


@pytest.mark.parametrize("who", LIMITS)
def test_limit(race, batch, who):
    work, number, rounds = LIMITS[who]
    run = partial(work, batch, number)
    race(LIMIT_GROUP, who, run, items=number, unit="window", rounds=rounds, bound=LIMIT_BOUND)
