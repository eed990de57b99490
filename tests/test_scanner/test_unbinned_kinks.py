"""Spurious signals in unbinned channels without events, whose NLL has a kink there: against brute force."""

import math

import numpy as np
import pytest

from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.simultaneous import SignalNuisances, SimultaneousProblem
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.simultaneous import minos_simultaneous
from scanner.stats.simultaneous_posterior import bayesian_simultaneous

SIGMA = 0.05
WITHIN = math.erf(1.0 / (SIGMA * math.sqrt(2.0)))
PEAK = 1.0 / (SIGMA * math.sqrt(2.0 * math.pi))
ONE_SIGMA = Settings(0.6826894921370859)


def problem(events, shares, added, logs=None, background="bernstein"):
    """Return one window of channels with a flat background; `added` and `logs` are (J, C)."""
    one, channels = np.ones(1), []
    for x in events:
        x = np.sort(np.asarray(x, float))
        channels.append(
            UnbinnedProblem(
                x, [0], [x.size], -one, one, 0.0 * one, SIGMA * one, [1], background=background, keys=[5]
            )
        )
    added = np.array(added, float)[None]
    logs = np.zeros_like(added) if logs is None else np.array(logs, float)[None]
    names = tuple(f"n{j}" for j in range(added.shape[1]))
    both = np.stack([-added, added], axis=-1)
    effects = SignalNuisances(names, logs, 0.0 * logs, both)
    return SimultaneousProblem(tuple(channels), np.array([shares], float), effects)


def least(x, signal):
    """Return the least NLL of a channel over its flat background c, for signals of any shape, by bisection.

    The density s S(x) + c/2 is nowhere negative, which for s < 0 is decided at the mass.
    """
    signal, x = np.asarray(signal, float), np.asarray(x, float)
    floor = np.maximum(-2.0 * PEAK * signal, 0.0)
    if x.size == 0:
        return signal * WITHIN + floor
    peak = PEAK * np.exp(-0.5 * (x / SIGMA) ** 2)
    there = signal[..., None] * peak
    low, high = floor, floor + x.size + 1.0
    for _ in range(45):
        c = 0.5 * (low + high)
        with np.errstate(divide="ignore"):
            rising = np.sum(1.0 / (2.0 * there + c[..., None]), axis=-1) < 1.0
        low, high = np.where(rising, low, c), np.where(rising, c, high)
    return signal * WITHIN + high - np.log(there + 0.5 * high[..., None]).sum(axis=-1)


ALPHA = np.linspace(-6.0, 6.0, 601)


def curve(events, shares, added, yields, logs=0.0):
    """Return the NLL (S, A) at yields and values ALPHA of one nuisance."""
    total = 0.5 * ALPHA**2 + np.zeros((len(yields), 1))
    for x, share, more in zip(events, shares, np.ravel(added), strict=True):
        total = total + least(x, share * np.exp(logs * ALPHA) * np.asarray(yields)[:, None] + more * ALPHA)
    return total


def profile(events, shares, added, yields):
    """Return the least NLL over one nuisance, in which it is convex, by trisection."""
    yields = np.asarray(yields, float)

    def nll(alpha):
        signals = [share * yields + more * alpha for share, more in zip(shares, np.ravel(added), strict=True)]
        return 0.5 * alpha**2 + sum(least(x, signal) for x, signal in zip(events, signals, strict=True))

    low, high = np.full(yields.shape, -8.0), np.full(yields.shape, 8.0)
    for _ in range(50):
        a, b = low + (high - low) / 3.0, high - (high - low) / 3.0
        left = nll(a) < nll(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    return nll(0.5 * (low + high))


CASES = [
    ([[0.5], []], [0.4, 0.6], [[1.0, 1.5]]),
    ([[0.02, -0.6, 0.7], []], [0.5, 0.5], [[3.0, -2.0]]),
    ([[0.0, 0.3], [], []], [0.3, 0.3, 0.4], [[2.0, 0.5, 0.0]]),
    ([[0.03, 0.4, -0.8, 0.9], [], [0.1]], [0.5, 0.2, 0.3], [[0.0, 4.0, 1.0]]),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_fits_and_intervals_are_those_of_brute_force(case):
    events, shares, added = CASES[case]
    limits = minos_simultaneous(problem(events, shares, added), ONE_SIGMA)
    assert STATUS_MEANINGS[limits.status[0]] in ("ok", "positivity_boundary")
    yields = np.linspace(-4.0, 14.0, 91)
    lowest = profile(events, shares, added, yields).min()
    at_best = profile(events, shares, added, limits.signal_yield)[0]
    assert at_best < lowest + 1e-5
    ends = profile(events, shares, added, [limits.yield_lower[0], limits.yield_limit[0], 0.0])
    np.testing.assert_allclose(2.0 * (ends[:2] - at_best), 1.0, atol=1e-3)
    z = math.sqrt(max(2.0 * (ends[2] - at_best), 0.0)) if limits.signal_yield[0] > 0.0 else 0.0
    assert limits.z_local[0] == pytest.approx(z, abs=1e-3)


@pytest.mark.parametrize("prior", ["flat in yield", "1/sqrt(yield)"])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_posteriors_integrate_over_the_nuisance(case, prior):
    events, shares, added = CASES[case]
    settings = Settings(0.9, toys=0, prior=prior)
    limits = bayesian_simultaneous(problem(events, shares, added, 0.3 * np.ones_like(added)), settings)
    assert METHOD_MEANINGS[limits.method[0]] == "bayesian"
    t = np.linspace(0.0, math.sqrt(60.0), 481)  # s = t², ds/√s = 2 dt
    likelihood = np.exp(-curve(events, shares, added, t * t, 0.3)).sum(axis=1)
    density = likelihood * (t if prior == "flat in yield" else 1.0)
    mass = np.append(0.0, np.cumsum(0.5 * (density[1:] + density[:-1])))
    wanted = float(np.interp(0.9 * mass[-1], mass, t)) ** 2
    error = limits.yield_limit_error[0]
    assert error < 0.006 * wanted
    assert limits.yield_limit[0] == pytest.approx(wanted, abs=4.0 * error + 1e-3 * wanted)
