"""Unbinned windows whose signal bends and whose background has known peaks: against iminuit and fine bins."""

import math

import numpy as np
import pytest
from iminuit import Minuit
from numba_stats import norm
from numpy.polynomial import chebyshev

from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.simultaneous import SignalNuisances, SimultaneousProblem
from scanner.likelihoods.tabulated import Densities
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import Settings
from scanner.stats.simultaneous import minos_simultaneous

SIGMA = 0.1
ONE_SIGMA = Settings(0.6826894921370859)
SCALES = ((0.0, 1.25), (0.04, 1.0))
"""Shift and factor of the width at +1 of the nuisances of the shape; −shift and 1/factor at −1."""
PEAK, PEAK_WIDTH, PEAK_EVENTS, PEAK_ERROR = 0.3, 0.08, 20.0, 0.3


def signals(function, x):
    """Return S and then L and U of every nuisance of the shape, by a function of x, position and width."""
    rows = [function(x, 0.0, SIGMA)]
    for shift, factor in SCALES:
        rows += [function(x, -shift, SIGMA / factor) - rows[0], function(x, shift, SIGMA * factor) - rows[0]]
    return rows


def held(function, x):
    """Return what a channel holds: S, D and E of every nuisance of the shape, the known peak."""
    s, *changes = signals(function, x)
    rows = [s]
    for low, high in zip(changes[::2], changes[1::2], strict=True):
        rows += [0.5 * (high - low), high + low]
    return np.array([*rows, PEAK_EVENTS * function(x, PEAK, PEAK_WIDTH)])


def area(_, position, width):
    low, high = norm.cdf(np.array([-1.0, 1.0]), position, width)
    return np.array([high - low])


def channel(x, terms):
    """Return a channel over [−1, 1] from tables."""
    x, one = np.sort(np.asarray(x, float)), np.ones(1)
    flat = chebyshev.chebint(np.eye(terms), axis=1)
    smooth = 0.5 * np.array([chebyshev.chebval(1.0, row) - chebyshev.chebval(-1.0, row) for row in flat])
    integrals = np.concatenate([smooth, held(area, None)[:, 0]])[None]

    def at(_, points):
        return np.vstack([0.5 * chebyshev.chebvander(points, terms - 1).T, held(norm.pdf, points)])

    densities = Densities(integrals, at, held=6)
    return UnbinnedProblem(
        x, [0], [x.size], -one, one, 0.0 * one, SIGMA * one, [terms], densities=densities, keys=[7]
    )


def nuisances(channels):
    """Return nuisances of resolution, mass, peak, efficiency and spurious signal."""
    shape = (1, 5, channels)
    logs, factors, added, known = (
        np.zeros(shape),
        np.zeros(shape),
        np.zeros((*shape, 2)),
        np.zeros((*shape, 1)),
    )
    logs[0, 3], factors[0, 3, 0], known[0, 2] = 0.1, 0.05, math.log(1.0 + PEAK_ERROR)
    added[0, 4, 0] = -3.0, 3.0
    names = ("resolution", "mass", "peak", "efficiency", "spurious")
    return SignalNuisances(names, logs, factors, added, bends=(0, 1), known=known)


def even(x):
    if abs(x) >= 1.0:
        return 0.5 * abs(x)
    return (3.0 * x**6 - 10.0 * x**4 + 15.0 * x**2) / 16.0


class Independent:
    """The joint likelihood from scratch, for iminuit."""

    def __init__(self, events, shares, terms):
        self.events, self.shares, self.terms = events, shares, terms

    def _density(self, function, x, values, c, own):
        s, alpha = values[0], values[1:6]
        nominal, *changes = signals(function, x)
        scale = s * self.shares[c] * np.exp(0.1 * alpha[3])
        signal = scale * (1.0 + (0.05 * alpha[3] if c == 0 else 0.0)) * nominal
        for m, (low, high) in enumerate(zip(changes[::2], changes[1::2], strict=True)):
            signal = signal + scale * (0.5 * alpha[m] * (high - low) + even(alpha[m]) * (high + low))
        signal = signal + (3.0 * alpha[4] if c == 0 else 0.0) * nominal
        peak = PEAK_EVENTS * (1.0 + PEAK_ERROR) ** alpha[2] * function(x, PEAK, PEAK_WIDTH)
        return signal + peak + own

    def __call__(self, values):
        rest = values[6:]
        total = 0.5 * np.sum(np.square(values[1:6]))
        for c, (x, terms) in enumerate(zip(self.events, self.terms, strict=True)):
            own, rest = rest[:terms], rest[terms:]
            primitive = chebyshev.chebint(own)
            flat = 0.5 * (chebyshev.chebval(1.0, primitive) - chebyshev.chebval(-1.0, primitive))
            total += self._density(area, None, values, c, flat)[0]
            density = self._density(norm.pdf, x, values, c, 0.5 * chebyshev.chebval(x, own))
            if density.min() <= 0.0:
                return 1e6
            total -= np.log(density).sum()
        return total

    def minimise(self, fixed=None):
        """Return the best yield, its error and the NLL, at a fixed yield if one is given."""
        start = [5.0 if fixed is None else fixed, *np.zeros(5)]
        for x, terms in zip(self.events, self.terms, strict=True):
            start += [len(x), *np.zeros(terms - 1)]
        minuit = Minuit(self, np.array(start))
        minuit.errordef, minuit.tol, minuit.strategy, minuit.print_level = 0.5, 1e-5, 2, 0
        minuit.fixed["x0"] = fixed is not None
        minuit.migrad()
        if fixed is None:
            minuit.hesse()
        return minuit.values["x0"], minuit.errors["x0"], minuit.fval


def random_model(seed, channels):
    rng = np.random.default_rng(seed)
    events = []
    for c in range(channels):
        x = rng.uniform(-1.0, 1.0, rng.poisson(150.0))
        peak, signal = (
            rng.normal(PEAK, PEAK_WIDTH, 22),
            rng.normal(0.02, 1.2 * SIGMA, rng.poisson(15 + 20 * c)),
        )
        events.append(np.sort(np.clip(np.concatenate([x, peak, signal]), -0.999, 0.999)))
    return events, rng.dirichlet(3.0 * np.ones(channels)), rng.integers(1, 4, channels)


def problem(events, shares, terms):
    channels = tuple(channel(x, int(n)) for x, n in zip(events, terms, strict=True))
    return SimultaneousProblem(channels, np.array([shares]), nuisances(len(channels)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fits_and_intervals_are_those_of_minuit(seed, channels):
    model = random_model(seed, channels)
    limits = minos_simultaneous(problem(*model), ONE_SIGMA)
    assert STATUS_MEANINGS[limits.status[0]] == "ok"
    other = Independent(*model)
    best, error, lowest = other.minimise()
    assert limits.signal_yield[0] == pytest.approx(best, abs=2e-3 * error)
    assert limits.signal_yield_error[0] == pytest.approx(error, rel=5e-3)
    for end in (limits.yield_lower[0], limits.yield_limit[0]):
        assert 2.0 * (other.minimise(end)[2] - lowest) == pytest.approx(1.0, abs=2e-3)
    q = max(2.0 * (other.minimise(0.0)[2] - lowest), 0.0) if best > 0.0 else 0.0
    assert limits.z_local[0] == pytest.approx(math.sqrt(q), abs=2e-3)
