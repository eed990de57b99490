"""Strong systematics of the signal's shape: toys against a construction of their own, and asymptotic limits.

Without signal the shape is not measured, so that a fit moves the peak onto the next upward fluctuation: a
small search elsewhere, which the formulas of one fixed Asimov data set do not know.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from scanner.kernels.constrained.batch import NLL
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.constrained import fit_constrained
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings

BINS, LEVEL = 12, 0.9
EDGES = np.linspace(-3.0, 3.0, BINS + 1)
GRID = np.linspace(-5.0, 5.0, 81)
BACKGROUND = np.full(BINS, 20.0)
DATA = np.random.default_rng(8).poisson(BACKGROUND).astype(float)


def template(mass, width):
    return np.diff(norm.cdf((EDGES - mass) / width))


ENDS = {
    "mass": (template(-0.6, 0.6), template(0.6, 0.6)),
    "resolution": (template(0.0, 0.36), template(0.0, 0.84)),
}
NOMINAL = template(0.0, 0.6)


def problem(kind):
    nowhere = np.zeros(1, dtype=np.int64)
    shape = np.array([[[end - NOMINAL for end in ENDS[kind]]]]).reshape(1, 1, 2, BINS)
    fixed = BACKGROUND[None, None]
    nuisances = Nuisances((kind,), np.zeros((1, 1, 2, 2)), shape, nowhere, nowhere, fixed)
    keys = np.array([5], np.uint64)
    return BinnedProblem(DATA[None], NOMINAL[None], np.zeros((1, 0, BINS)), nuisances=nuisances, keys=keys)


def shapes(kind, grid=GRID):
    """The signal on the grid of the nuisance: piecewise linear beyond ±1, a polynomial between (code 4p)."""
    up, down = ENDS[kind][1] - NOMINAL, NOMINAL - ENDS[kind][0]
    x = grid[:, None]
    inside = x * (0.5 * (up + down) + x * 0.0625 * (up - down) * (15.0 + x**2 * (-10.0 + 3.0 * x**2)))
    return NOMINAL + np.where(x > 1.0, x * up, np.where(x < -1.0, x * down, inside))


def deviance(counts, mean):
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(mean > 0.0, np.log(np.where(mean > 0.0, mean, 1.0)), -np.inf)
        return 2.0 * np.sum(mean - np.where(counts > 0.0, counts * logs, 0.0), axis=-1)


def lowest(values):
    """The minima over the grid, by parabolas through the three lowest points around."""
    at = np.clip(np.argmin(values, axis=1), 1, GRID.size - 2)
    rows = np.arange(len(values))
    left, middle, right = (values[rows, at + step] for step in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / np.where(bend > 0.0, bend, np.inf)
    return middle - 0.25 * (left - right) * shift, GRID[at] + shift * (GRID[1] - GRID[0])


def profiles(kind, counts, observed, signal_yield):
    """Minima of −2 ln L over the nuisance at a yield, and over both; and the best nuisance at the yield."""
    templates = shapes(kind)
    penalty = (GRID - observed[:, None]) ** 2
    n = counts[:, None, :]
    fixed, alpha = lowest(deviance(n, BACKGROUND + signal_yield * templates) + penalty)
    s = np.zeros((len(counts), GRID.size))
    top = 1.0 / np.maximum(-np.min(templates / BACKGROUND, axis=1), 1e-12)
    for _ in range(25):
        mean = BACKGROUND + s[..., None] * templates
        slope = np.sum(templates * (1.0 - n / mean), axis=-1)
        curve = np.sum(n * (templates / mean) ** 2, axis=-1)
        s = np.clip(s - slope / np.maximum(curve, 1e-12), 0.0, np.minimum(0.5 * (s + top), 300.0))
    free, _ = lowest(deviance(n, BACKGROUND + s[..., None] * templates) + penalty)
    best = s[
        np.arange(len(s)), np.argmin(deviance(n, BACKGROUND + s[..., None] * templates) + penalty, axis=1)
    ]
    q = np.where(best > signal_yield, 0.0, np.maximum(fixed - free, 0.0))
    return q, alpha


def brute_cls(kind, signal_yield, count, seed):
    """CLs of toys of numpy, and its relative error."""
    rng = np.random.default_rng(seed)
    own, alpha = profiles(kind, DATA[None], np.zeros(1), signal_yield)
    signal = np.array([np.interp(alpha[0], GRID, column) for column in shapes(kind).T])
    tails = []
    for mean, centre in ((BACKGROUND + signal_yield * signal, alpha[0]), (BACKGROUND, 0.0)):
        q = [
            profiles(
                kind, rng.poisson(mean, (200, BINS)).astype(float), rng.normal(centre, 1.0, 200), signal_yield
            )[0]
            for _ in range(count // 200)
        ]
        tails.append(np.mean(np.concatenate(q) >= own[0] * (1.0 - 1e-6)))
    return tails[0] / tails[1], np.sqrt(sum((1.0 - p) / (p * count) for p in tails))


def check(kind, count):
    found = METHODS["toys"](problem(kind), Settings(LEVEL, toys=2000))
    limit, error = found.yield_limit[0], found.yield_limit_error[0]
    cls, relative = brute_cls(kind, limit, count, 7)
    slope = np.log(brute_cls(kind, 1.1 * limit, count, 7)[0] / cls) / (0.1 * limit)
    assert found.toys_failed[0] == 0
    assert slope < 0.0
    assert np.log(cls / (1.0 - LEVEL)) == pytest.approx(0.0, abs=4.0 * np.hypot(relative, slope * error))
    return limit, METHODS["asymptotic"](problem(kind), Settings(LEVEL)).yield_limit[0], cls, relative, slope


@pytest.mark.parametrize("kind", ["mass", "resolution"])
def test_asymptotic_limits_are_roots_of_the_formula(kind):
    """By symmetry the mass starts on a saddle: a signal on either side fits a flat spectrum better."""
    limit = METHODS["asymptotic"](problem(kind), Settings(LEVEL)).yield_limit[0]
    q, a = (np.sqrt(profiles(kind, counts[None], np.zeros(1), limit)[0][0]) for counts in (DATA, BACKGROUND))
    x, y = (q, q - a) if q <= a else (0.5 * (q * q / a + a), 0.5 * (q * q / a - a))
    assert norm.sf(x) / norm.sf(y) == pytest.approx(1.0 - LEVEL, rel=0.02)


@pytest.mark.parametrize("kind", ["mass", "resolution"])
def test_toys_are_those_of_another_construction(kind):
    check(kind, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mass", "resolution"])
def test_many_toys_are_those_of_another_construction(kind):
    check(kind, 20_000)


THIN, YIELD, MANY = np.full(BINS, 0.05), 3.0, 400
FINE = np.linspace(-6.0, 6.0, 6001)


@pytest.mark.parametrize("kind", ["mass", "resolution"])
def test_fits_over_hardly_any_background_are_minima_of_a_scan(kind):
    """Beyond ±1 the signal is negative in bins that the background does not fill: fits end at bounds."""
    rng, data = np.random.default_rng(3), problem(kind)
    observed = rng.normal(0.0, 1.0, (MANY, 1))
    counts = rng.poisson(THIN + YIELD * NOMINAL, (MANY, BINS)).astype(float)
    toys = data.select(np.zeros(MANY, dtype=np.int64))
    fixed = np.tile(THIN, (MANY, 1, 1))
    toys = replace(toys, counts=counts, nuisances=replace(toys.nuisances, observed=observed, fixed=fixed))
    found = fit_constrained(toys, np.full(MANY, YIELD))
    assert found.found.all()
    mean = THIN + YIELD * shapes(kind, FINE)
    scan = np.array([deviance(n, np.where(mean < -1e-12, np.nan, mean)) for n in counts])
    scan += (FINE - observed) ** 2 - deviance(counts, counts)[:, None]
    above = 2.0 * found.numbers[:, NLL] - np.nanmin(scan, axis=1)
    assert above.min() > -0.02  # as far as the scan is from the bound that it steps over
    assert np.mean(above < 1e-3) > 0.97  # and a few are in another minimum


def test_few_toys_fail_over_hardly_any_background():
    """Nothing is seen, and where hardly anything is expected the median is no more than that of one event."""
    both = [problem(kind).nuisances.shape for kind in ENDS]
    nuisances = replace(
        problem("mass").nuisances,
        names=tuple(ENDS),
        norm=np.zeros((1, 2, 2, 2)),
        observed=np.zeros((1, 2)),
        shape=np.concatenate(both, axis=1),
        shape_nuisance=np.arange(2),
        shape_sample=np.zeros(2, dtype=np.int64),
        fixed=THIN[None, None],
    )
    empty = replace(problem("mass"), counts=np.zeros((1, BINS)), nuisances=nuisances)
    found = METHODS["toys"](empty, Settings(LEVEL, toys=300))
    assert found.toys_failed[0] <= 0.005 * found.toys[0]
    assert 2.0 < found.yield_limit[0] < 2.6
    assert 2.0 < found.expected[0, 2] < 3.9
