"""Toys of windows with nuisances: against the toys without, against pyhf's, and their own distributions."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest

from scanner.kernels.constrained.batch import NLL
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.constrained import fit_constrained
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHOD_MEANINGS, METHODS, Settings
from scanner.stats.constrained_pseudo import ConstrainedWindow
from scanner.stats.constrained_ratios import free_fits
from scanner.stats.pseudo import LinearWindow
from scanner.stats.toy_values import ordered, tail
from scanner.stats.toys import pseudo_experiments

SIGNAL = np.array([1.0, 3.0, 1.0]) / 5.0
BACKGROUND = np.array([8.0, 7.0, 6.0])
COUNTS = np.array([9.0, 8.0, 4.0])


def one_window(size=0.2, statistics=0.0, counts=COUNTS):
    """A fixed background whose normalisation is known to `size`, and its templates to `statistics`."""
    none = np.zeros(0, dtype=np.int64)
    norm = np.zeros((1, 1, 2, 2))
    norm[0, 0, 1] = np.log1p(-size), np.log1p(size)
    nuisances = Nuisances(
        ("scale",),
        norm,
        np.zeros((1, 0, 2, 3)),
        none,
        none,
        BACKGROUND[None, None],
        statistics=np.full((1, 3), statistics),
        uncertain=np.array([False, True]),
    )
    keys = np.array([11], np.uint64)
    return BinnedProblem(counts[None], SIGNAL[None], np.zeros((1, 0, 3)), nuisances=nuisances, keys=keys)


def test_nuisances_without_effect_change_no_toy():
    problem = one_window(size=0.0)
    plain = replace(problem.nuisances, names=(), norm=np.zeros((1, 0, 2, 2)), observed=np.zeros((1, 0)))
    linear = pseudo_experiments(replace(problem, nuisances=plain), 0)
    constrained = pseudo_experiments(problem, 0)
    assert isinstance(linear, LinearWindow)
    assert isinstance(constrained, ConstrainedWindow)
    ours, theirs = constrained.sample(5.0, 60), linear.sample(5.0, 60)
    assert ours.observed == pytest.approx(theirs.observed, abs=1e-6)
    for name in ("signal", "background"):
        assert np.sqrt(getattr(ours, name)) == pytest.approx(np.sqrt(getattr(theirs, name)), abs=1e-4)
    assert ours.signal_log_ratio == pytest.approx(theirs.signal_log_ratio, abs=1e-4)
    assert constrained.excesses(60)[1] == pytest.approx(linear.excesses(60)[1], abs=1e-4)


def test_global_observables_are_thrown_around_the_conditional_values():
    window = ConstrainedWindow(one_window(statistics=0.1), 0)
    truth = window._truth(window._fit_data(6.0))
    assert truth.centres[0] != 0.0
    toys = window.throw(truth, 1, 0, 4000)
    pulls = (
        toys.nuisances.observed[:, 0] - truth.centres[0],
        *(toys.nuisances.measured - truth.centres[1:]).T,
    )
    for pull, spread in zip(pulls, truth.spreads, strict=True):
        assert pull.mean() == pytest.approx(0.0, abs=4.0 * spread / np.sqrt(4000))
        assert pull.std() == pytest.approx(spread, rel=4.0 / np.sqrt(8000))
    assert toys.counts.mean(axis=0) == pytest.approx(truth.counts, abs=4.0 * np.sqrt(10.0 / 4000))


def test_a_constraint_weakens_the_limit():
    settings = Settings(0.9, toys=1000)
    known, free = (METHODS["toys"](one_window(size), settings) for size in (0.001, 0.4))
    assert [METHOD_MEANINGS[int(found.method[0])] for found in (known, free)] == ["toys", "toys"]
    assert known.toys_failed[0] == free.toys_failed[0] == 0
    assert free.yield_limit[0] > known.yield_limit[0] + 3.0 * known.yield_limit_error[0]
    assert np.all(free.expected[0, 1:] > known.expected[0, 1:])


def test_many_events_give_the_asymptotic_limits():
    problem = one_window(0.05)
    many = replace(
        problem,
        counts=np.array([[905.0, 812.0, 688.0]]),
        nuisances=replace(problem.nuisances, fixed=100.0 * problem.nuisances.fixed),
    )
    toys, asymptotic = (METHODS[name](many, Settings(0.9, toys=4000)) for name in ("toys", "asymptotic"))
    assert abs(toys.yield_limit[0] - asymptotic.yield_limit[0]) < 4.0 * toys.yield_limit_error[0]
    assert toys.yield_limit_error[0] < 0.05 * toys.yield_limit[0]
    assert toys.expected[0] == pytest.approx(asymptotic.expected[0], rel=0.08)


def test_toys_are_those_of_pyhf():
    signal_yield, count = 8.0, 200
    samples = [
        {
            "name": "s",
            "data": SIGNAL.tolist(),
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {
            "name": "b",
            "data": BACKGROUND.tolist(),
            "modifiers": [{"name": "scale", "type": "normsys", "data": {"lo": 0.8, "hi": 1.2}}],
        },
    ]
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[0.0, 60.0]]}]
    spec = {"channels": [{"name": "window", "samples": samples}], "parameters": parameters}
    model = pyhf.Model(spec, poi_name="mu", validate=False)
    calculator = pyhf.infer.calculators.ToyCalculator(
        [*COUNTS, 0.0], model, ntoys=count, test_stat="qtilde", track_progress=False
    )
    np.random.seed(5)  # noqa: NPY002  # pyhf draws from numpy's global state
    sample = ConstrainedWindow(one_window(0.2), 0).sample(signal_yield, 4000)
    q = float(calculator.teststatistic(signal_yield))
    assert sample.observed == pytest.approx(q, rel=1e-3, abs=1e-3)
    for theirs, ours in zip(
        calculator.distributions(signal_yield), (sample.signal, sample.background), strict=True
    ):
        for cut in (q, 0.5, 2.0):
            p, own = float(theirs.pvalue(cut)), tail(ordered(ours), np.array([cut]))[0][0]
            assert own == pytest.approx(p, abs=4.0 * np.sqrt(max(p * (1.0 - p), 0.01) / count))


def test_best_fits_are_those_of_free_yields():
    """The slope at no signal tells where the best yield is negative, and needs no fit."""
    toys = ConstrainedWindow(one_window(0.3), 0)
    thrown = toys.throw(toys._truth(toys._fit_data(2.0)), 1, 0, 200)
    fits, free = free_fits(thrown), fit_constrained(thrown, np.full(200, np.nan))
    assert 40 < np.count_nonzero(free.yields < 0.0) < 160
    assert fits.yields == pytest.approx(np.maximum(free.yields, 0.0), abs=1e-3)
    null = fit_constrained(thrown, np.zeros(200)).numbers[:, NLL]
    best = np.where(free.yields > 0.0, free.numbers[:, NLL], null)
    assert fits.best == pytest.approx(best, abs=1e-6)


def test_toys_of_a_deficit_are_weighted_by_their_probability():
    """The mean of a ratio of densities is 1; toys of the best fit reach the data, others hardly."""
    deficit = ConstrainedWindow(one_window(0.05, counts=np.array([9.0, 0.0, 4.0])), 0)
    sample = deficit.sample(4.0, 2000)
    assert sample.guide.size == 2000
    mixture = np.exp(sample.guidance[1])  # of toys without signal: L_g/L_0 averages to 1
    assert mixture.mean() == pytest.approx(1.0, abs=5.0 * mixture.std() / np.sqrt(2000))
    reached = [np.mean(q >= sample.observed) for q in (sample.guide, sample.background)]
    assert reached[0] > 0.3 > 5.0 * reached[1]
