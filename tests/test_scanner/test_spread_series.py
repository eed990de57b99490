"""The series that stands for the Asimov fits of windows with nuisances, against those fits."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.asymptotic import constrained_hypotheses, gaussian_limits
from scanner.stats.constrained_limits import bands
from scanner.stats.profiling import crossing

TARGETS = gaussian_limits(0.95)


def problem(rate, uncertain=0.05, windows=6, bins=40):
    """Return windows with a fixed sample whose shape and size are uncertain, as is the signal's size."""
    edges = np.linspace(-1.0, 1.0, bins + 1)
    x = 0.5 * (edges[1:] + edges[:-1])
    signal, fixed = np.diff(norm.cdf(edges / 0.1)), 0.2 * rate * np.exp(-x)
    norms = np.zeros((windows, 2, 3, 2))
    norms[:, 0, 0], norms[:, 0, 2] = [-uncertain, 0.7 * uncertain], [-uncertain, 0.5 * uncertain]
    bent = 0.2 * fixed * np.sin(3.0 * x)
    nuisances = Nuisances(
        ("size", "shape"),
        norms,
        np.tile(np.stack([-1.3 * bent, bent]), (windows, 1, 1, 1)),
        np.array([1]),
        np.array([2]),
        np.tile(fixed, (windows, 1, 1)),
    )
    counts = np.random.default_rng(4).poisson(rate + fixed, (windows, bins)).astype(float)
    flat = np.full((windows, 1, bins), 1.0 / bins)
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), flat, nuisances=nuisances)


@pytest.mark.parametrize(("rate", "uncertain"), [(0.5, 0.05), (20.0, 0.05), (500.0, 0.05), (20.0, 0.2)])
def test_bands_and_roots_are_those_of_the_fits(rate, uncertain):
    batch = problem(rate, uncertain)
    _, pair = constrained_hypotheses(batch)
    background, yields = bands(batch, pair, TARGETS, pair.found)
    assert background.series.holds.all() == (uncertain < 0.1)
    for i, target in enumerate(TARGETS):
        size, above = np.full(batch.windows, target), np.ones(batch.windows)
        found = crossing(background.profile, 0.0 * above, above, size, yields[:, i], pair.found)
        assert yields[:, i] == pytest.approx(found, rel=1e-6)
    for share in (0.4, 0.7, 1.0):
        at = share * yields[:, -1]
        q, slope, found = background.evaluate(at, pair.found)
        fitted, fitted_slope, _ = background.profile.evaluate(at, pair.found)
        assert found.all()
        assert q == pytest.approx(fitted, rel=1e-5)
        assert slope == pytest.approx(fitted_slope, rel=2e-5)


def test_beyond_its_reach_and_where_it_does_not_hold_fits_are_asked():
    batch = problem(50.0)
    _, pair = constrained_hypotheses(batch)
    background, yields = bands(batch, pair, TARGETS, pair.found)
    at = 2.0 * yields[:, -1]
    assert np.all(at > background.series.reach)
    none = replace(background, series=replace(background.series, holds=np.zeros(batch.windows, np.bool_)))
    for asked in (background, none):
        q, slope, found = asked.evaluate(at, pair.found)
        assert found.all()
        assert q == pytest.approx(background.profile.evaluate(at, pair.found)[0], rel=1e-9)
        assert np.all(slope > 0.0)
