"""Excluded intervals of a coupling against closed forms and scipy's root finder."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import lambertw

from scanner.couplings import excluded_intervals
from scanner.errors import InputError

GRID = np.geomspace(1e-6, 1e2, 161)


def bounds(intervals):
    return intervals[~np.isnan(intervals)].tolist()


def test_a_prompt_decay_excludes_all_above_the_root():
    found = excluded_intervals(lambda _, g: 1e4 * g**2, [1.0, 9.0], GRID)
    np.testing.assert_allclose(found[:, 0], [[1e-2, GRID[-1]], [3e-2, GRID[-1]]], rtol=1e-12)
    assert np.isnan(found[:, 1]).all()


def test_a_lifetime_gives_an_island_at_the_branches_of_lambert():
    """N = A x e^(−x) with x = g² falls below the limit at the two real branches of Lambert's W."""
    found = excluded_intervals(lambda _, g: 100 * g**2 * np.exp(-(g**2)), [3.0], GRID)
    ends = [np.sqrt(-lambertw(-0.03, branch).real) for branch in (0, -1)]
    np.testing.assert_allclose(found[0, 0], ends, rtol=1e-12)


def test_two_islands_are_both_found():
    def two(_, g):
        return np.exp(-(np.log10(g) ** 2)) + np.exp(-((np.log10(g) + 4) ** 2))

    found = excluded_intervals(two, [0.5], GRID)
    for low, high in found[0]:
        for end in (low, high):
            root = brentq(lambda g: float(two(0, g)) - 0.5, end * 0.9, end * 1.1, xtol=1e-18)
            assert end == pytest.approx(root, rel=1e-12)
    with pytest.raises(InputError, match="2 intervals of the coupling are excluded in a window, room for 1"):
        excluded_intervals(two, [0.5], GRID, intervals=1)


def test_windows_are_independent_and_nothing_is_excluded_without_a_limit():
    def rows(window, g):
        return np.array([10.0, 20.0, 30.0, 40.0])[window] * g

    found = excluded_intervals(rows, [1.0, np.nan, np.inf, 1.0], GRID)
    np.testing.assert_allclose(found[[0, 3], 0, 0], [0.1, 0.025], rtol=1e-12)
    assert np.isnan(found[1:3]).all()


@pytest.mark.parametrize("grid", [[1.0], [0.0, 1.0], [2.0, 1.0], [[1.0, 2.0]]])
def test_a_bad_grid_is_refused(grid):
    with pytest.raises(InputError, match="rising list"):
        excluded_intervals(lambda _, g: g, [1.0], grid)


def test_a_yield_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="finite and not negative"):
        excluded_intervals(lambda _, g: g * np.nan, [1.0], GRID)
