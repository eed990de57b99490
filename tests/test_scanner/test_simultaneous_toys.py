"""Toys and posteriors of unbinned windows against brute force in numpy, and closed forms."""

import math

import numpy as np
import pytest

from scanner.errors import InputError
from scanner.likelihoods.simultaneous import SignalNuisances, SimultaneousProblem
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.simultaneous_posterior import bayesian_simultaneous
from scanner.stats.simultaneous_toys import toys_simultaneous

SIGMA = 0.05
WITHIN = math.erf(1.0 / (SIGMA * math.sqrt(2.0)))
FEW = [0.02, -0.7, 0.4]
GRID = np.linspace(0.0, 25.0, 501)


def problem(events, shares, logs=None):
    one, channels = np.ones(1), []
    for x in events:
        x = np.sort(np.asarray(x, float))
        channels.append(
            UnbinnedProblem(x, [0], [x.size], -one, one, 0.0 * one, SIGMA * one, [1], keys=np.array([5]))
        )
    nuisances = None
    if logs is not None:
        sizes = np.array(logs, float)[None]
        names = tuple(f"n{j}" for j in range(sizes.shape[1]))
        nuisances = SignalNuisances(names, sizes, 0.0 * sizes, np.zeros((*sizes.shape, 2)))
    return SimultaneousProblem(tuple(channels), np.array([shares], float), nuisances)


def curves(x, share=1.0):
    """Return the NLL (T, S) on GRID of toys (T, n), NaN for no event, by bisection for the background.

    For a yield s the best flat background is the root of Σ 1/(2 s f S(x_i) + c) = 1, or 0.
    """
    peak = np.exp(-0.5 * (x / SIGMA) ** 2) * 2.0 / (SIGMA * math.sqrt(2.0 * math.pi))
    signal = share * GRID[None, :, None] * peak[:, None, :]
    there = np.isfinite(x)[:, None, :]
    low, high = np.zeros(signal.shape[:2]), there.sum(axis=2) + np.zeros(signal.shape[:2])
    for _ in range(32):
        c = 0.5 * (low + high)
        with np.errstate(divide="ignore"):
            slope = np.where(there, 1.0 / (np.nan_to_num(signal) + c[..., None]), 0.0).sum(axis=2)
        low, high = np.where(slope > 1.0, c, low), np.where(slope > 1.0, high, c)
    with np.errstate(divide="ignore"):
        logs = np.where(there, np.log(0.5 * (np.nan_to_num(signal) + high[..., None])), 0.0)
    return share * GRID * WITHIN + high - logs.sum(axis=2)


def thrown(rng, background, signal, toys=1500):
    """Return toys (T, n) from continuous densities."""
    counts = rng.poisson(background, toys), rng.poisson(signal * WITHIN, toys)
    x = np.full((toys, int((counts[0] + counts[1]).max())), np.nan)
    for t, (b, s) in enumerate(zip(*counts, strict=True)):
        x[t, :b] = rng.uniform(-1.0, 1.0, b)
        x[t, b : b + s] = rng.normal(0.0, SIGMA, s)
    return x


def best_background(x, at):
    c = np.linspace(0.0, 2.0 * len(x), 200_001)[1:]
    peak = np.exp(-0.5 * (np.asarray(x) / SIGMA) ** 2) / (SIGMA * math.sqrt(2.0 * math.pi))
    return float(c[np.argmin(c - sum(np.log(at * p + 0.5 * c) for p in peak))])


def test_cls_of_toys_is_that_of_brute_force():
    limits = toys_simultaneous(problem([FEW], [1.0]), Settings(0.9, toys=4000))
    assert METHOD_MEANINGS[limits.method[0]] == "toys"
    assert limits.toys_failed[0] == 0
    at = int(np.argmin(np.abs(GRID - limits.yield_limit[0])))
    limit, rng = float(GRID[at]), np.random.default_rng(4)

    def tests(x):
        nll = curves(x)
        best = np.argmin(nll, axis=1)
        return np.where(best >= at, 0.0, 2.0 * (nll[:, at] - nll.min(axis=1)))

    observed = tests(np.array([FEW]))[0] - 1e-3
    signal = tests(thrown(rng, best_background(FEW, limit), limit))
    background = tests(thrown(rng, best_background(FEW, 0.0), 0.0))
    cls = np.mean(signal >= observed) / np.mean(background >= observed)
    # d ln CLs/ds is about −0.5: a step of the grid is 1%, 1500 toys at 10% are 8%, the limit's own error 5%
    assert cls == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("prior", ["flat in yield", "1/sqrt(yield)"])
def test_posteriors_are_those_of_brute_force(prior):
    limits = bayesian_simultaneous(problem([FEW], [1.0]), Settings(0.9, toys=20, prior=prior))
    fine = np.linspace(0.0, math.sqrt(GRID[-1]), 20_001)  # s = t², ds/√s = 2 dt
    nll = np.interp(fine**2, GRID, curves(np.array([FEW]))[0])
    density = np.exp(nll.min() - nll) * (fine if prior == "flat in yield" else 1.0)
    mass = np.cumsum(0.5 * (density[1:] + density[:-1]))
    wanted = fine[1 + np.searchsorted(mass, 0.9 * mass[-1])] ** 2
    assert METHOD_MEANINGS[limits.method[0]] == "bayesian"
    assert limits.toys_failed[0] == 0
    assert limits.yield_limit[0] == pytest.approx(wanted, rel=3e-3)


@pytest.mark.parametrize("logs", [None, [[0.1, 0.0], [0.05, 0.05]]])
def test_nothing_seen_has_the_limit_of_counting_nothing(logs):
    """With nuisances e^(−s κ(α)) e^(−α²/2) is integrated over them, and over s."""
    nothing = problem([[], []], [0.4, 0.6], logs)
    found = bayesian_simultaneous(nothing, Settings(0.9, toys=10))
    limit, error = found.yield_limit[0], found.yield_limit_error[0]
    if logs is None:
        assert error == 0.0
        assert limit == pytest.approx(-math.log(0.1) / WITHIN, rel=1e-6)
        toys = toys_simultaneous(nothing, Settings(0.9, toys=400))
        assert toys.yield_limit[0] == pytest.approx(-math.log(0.1) / WITHIN, rel=1e-9)
        return
    alpha = np.linspace(-6.0, 6.0, 241)
    first, second = np.meshgrid(alpha, alpha, indexing="ij")
    kappa = (0.4 * np.exp(0.1 * first) + 0.6) * np.exp(0.05 * second) * WITHIN
    weight = np.exp(-0.5 * (first**2 + second**2))
    low, high = 0.0, 20.0
    for _ in range(50):  # the posterior beyond s is ∫ e^(−s κ)/κ
        middle = 0.5 * (low + high)
        share = np.sum(weight * np.exp(-middle * kappa) / kappa) / np.sum(weight / kappa)
        low, high = (middle, high) if share > 0.1 else (low, middle)
    assert error < 0.006 * limit
    assert limit == pytest.approx(low, abs=4.0 * error + 1e-4)


def test_toys_follow_from_the_key_alone():
    first = toys_simultaneous(problem([FEW, [0.3]], [0.5, 0.5]), Settings(0.9, toys=300))
    again = toys_simultaneous(problem([FEW, [0.3]], [0.5, 0.5]), Settings(0.9, toys=300))
    assert first.yield_limit[0] == again.yield_limit[0]
    np.testing.assert_array_equal(first.expected, again.expected)


def test_toys_without_a_number_are_refused():
    with pytest.raises(InputError, match="needs toys"):
        toys_simultaneous(problem([FEW], [1.0]), Settings(0.9, toys=0))
