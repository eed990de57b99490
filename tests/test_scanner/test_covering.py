"""The map of coverages that is kept: whole, made by this code, and what the guide says of it."""

import numpy as np
import pytest
from scipy.stats import beta, fisher_exact

from scanner.guide import covering
from scanner.guide.counting import LEVEL
from scanner.guide.covering import EXPERIMENTS, TITLES, Point
from scanner.stats import METHODS, auto
from scanner.stats.coverage import BACKGROUNDS, SHAPES

FEW = [b for b in BACKGROUNDS if b < auto.COUNTED]
MANY = [b for b in BACKGROUNDS if b > 2.0 * auto.THRESHOLD]
ALMOST = 3
"""Experiments whose limit another processor may find on the other side of the truth, in ten thousand."""


def chosen(method, backgrounds=BACKGROUNDS):
    return [p for p in covering.points() if p.limit_method == method and p.background in backgrounds]


def shortfalls(points, allowed=0.0):
    """Return the points whose coverage is below the level for sure: one in ten thousand is not by chance."""
    return [
        point
        for point in points
        if beta.ppf(1.0 - 1e-4, point.covered + 1, point.experiments - point.missing - point.covered + 1e-9)
        < LEVEL - allowed
    ]


def test_the_map_is_whole():
    places = {(p.limit_method, p.shape, p.background, p.multiple) for p in covering.points()}
    each = sum(len(covering.multiples(method)) for method in TITLES)
    assert len(places) == len(covering.points()) == len(SHAPES) * len(BACKGROUNDS) * each
    assert {p.limit_method for p in covering.points()} == set(TITLES) <= set(METHODS)
    assert all(p.experiments == EXPERIMENTS[p.limit_method] for p in covering.points())
    assert all(0 <= p.covered <= p.experiments - p.missing for p in covering.points())


@pytest.mark.parametrize("method", ["counting", "toys", "bayesian", "feldman_cousins"])
def test_limits_that_are_exact_cover(method):
    assert not shortfalls(chosen(method))
    assert not any(point.missing for point in chosen(method))


def test_asymptotic_limits_fail_where_events_are_few_and_the_automatic_choice_has_switched():
    assert len(shortfalls(chosen("asymptotic", FEW), allowed=0.02)) >= 2 * len(SHAPES)
    assert not shortfalls(chosen("asymptotic", MANY), allowed=0.01)
    assert not shortfalls(chosen("auto"), allowed=0.01)
    for backgrounds, method in ((FEW, "counting"), (MANY, "asymptotic")):
        other = {(p.shape, p.background, p.multiple): p.covered for p in chosen(method, backgrounds)}
        for point in chosen("auto", backgrounds):
            there = other[point.shape, point.background, point.multiple]
            assert abs(point.covered - there) <= ALMOST


@pytest.mark.parametrize("method", ["asymptotic", "counting", "auto"])
def test_the_map_is_that_of_this_code(method):
    """The same experiments, of one background and yield: results differ by rounding only."""
    made = covering.make(method, EXPERIMENTS[method], backgrounds=(3.0,), yields=(1.0,))
    kept = [point for point in chosen(method, [3.0]) if point.multiple == 1.0]
    for new, old in zip(made, kept, strict=True):
        assert abs(new.covered - old.covered) <= ALMOST
        assert abs(new.missing - old.missing) <= ALMOST


def agree(new: Point, old: Point) -> float:
    """Return the p-value that two points are of one coverage."""
    rows = [[p.covered, p.experiments - p.missing - p.covered] for p in (new, old)]
    return float(fisher_exact(rows).pvalue)


def test_other_experiments_give_the_same_map():
    for method, experiments, background in (
        ("toys", 60, 10.0), ("bayesian", 200, 1.0), ("feldman_cousins", 60, 3.0)
    ):  # fmt: skip
        made = covering.make(method, experiments, 1, backgrounds=(background,), yields=(1.0,))
        kept = [point for point in chosen(method, [background]) if point.multiple == 1.0]
        assert all(agree(new, old) > 1e-4 for new, old in zip(made, kept, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("method", TITLES)
def test_the_whole_map_is_found_again(method):
    made = covering.make(method, EXPERIMENTS[method] // 4, 2)
    values = [agree(new, old) for new, old in zip(made, chosen(method), strict=True)]
    assert min(values) > 1e-3 / len(values)


def test_the_lowest_coverage_is_that_of_the_table():
    found = covering.worst("asymptotic")
    for b, coverage, error in zip(BACKGROUNDS, found.coverage, found.error, strict=True):
        least = min(point.coverage for point in chosen("asymptotic", [b]))
        assert coverage == least
        assert error == pytest.approx(np.sqrt(least * (1.0 - least) / EXPERIMENTS["asymptotic"]), rel=0.1)
