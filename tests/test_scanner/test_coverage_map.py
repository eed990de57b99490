"""Maps of coverage: toys and the automatic choice cover, and asymptotic limits of few events do not."""

import numpy as np
import pytest
from scipy.stats import beta

from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHODS, Settings
from scanner.stats.coverage import SHAPES, automatic_cover, case, coverage_map, limits_cover, toys_cover

LEVEL = 0.9


def upper_end(covered, told):
    """Return the one-sided Clopper–Pearson upper end of a coverage at 99.9%."""
    return beta.ppf(0.999, covered + 1.0, np.maximum(told - covered, 1e-9))


def assert_covers(cells, shortfall=0.0):
    assert np.all(cells.missing == 0)
    told = np.broadcast_to(cells.experiments, cells.covered.transpose(..., "limit_method").shape)
    ends = upper_end(cells.covered.transpose(..., "limit_method").values, told)
    assert np.all(ends >= LEVEL - shortfall), cells.coverage.values


def test_asymptotic_limits_of_few_events_do_not_cover():
    made = coverage_map(["asymptotic"], Settings(LEVEL), experiments=1500, backgrounds=[0.1], multiples=[1.7])
    told = 1500 - made.missing.values
    assert np.all(upper_end(made.covered.values, told) < LEVEL - 0.01)
    enough = coverage_map(["asymptotic"], Settings(LEVEL), experiments=1500, backgrounds=[10.0, 100.0])
    assert_covers(enough, shortfall=0.01)


def test_counting_covers_everywhere():
    assert_covers(coverage_map(["counting"], Settings(LEVEL), experiments=800))


def test_toys_and_the_automatic_choice_cover():
    settings = Settings(LEVEL, toys=200)
    axes = {"backgrounds": [0.1, 3.0], "shapes": ["linear"], "multiples": [1.0, 1.7]}
    for method in ("toys", "auto"):
        assert_covers(coverage_map([method], settings, experiments=120, **axes))


def test_the_axes_carry_the_truth():
    made = coverage_map(["counting"], Settings(LEVEL), experiments=5, backgrounds=[0.0, 4.0])
    assert made.coverage.dims == ("limit_method", "shape", "background", "multiple")
    assert list(made["shape"].values) == list(SHAPES)
    assert made.signal_yield.sel(background=0.0, multiple=1.0) == pytest.approx(np.log(10.0))
    assert made.signal_yield.sel(background=4.0, multiple=1.0) == pytest.approx(
        np.log(10.0) + 2.0 * 1.28155, rel=1e-5
    )
    again = coverage_map(["counting"], Settings(LEVEL), experiments=5, backgrounds=[4.0])
    assert again.covered.equals(made.covered.sel(background=[4.0]))


@pytest.mark.parametrize("shape", SHAPES)
def test_backgrounds_are_as_effective_as_they_say(shape):
    made = case(shape, 7.0)
    assert 1.0 / np.sum(made.signal**2 / made.expectation) == pytest.approx(7.0)
    assert np.all(made.expectation > 0.0)
    one = np.ones(1)
    exact = BinnedProblem(made.expectation[None], made.signal[None], made.terms[None], made.core[None] > 0)
    fitted = METHODS["asymptotic"](exact, Settings(LEVEL))
    assert fitted.signal_yield == pytest.approx(0.0 * one, abs=1e-6)
    assert fitted.effective_background == pytest.approx(7.0 * one, rel=1e-6)


@pytest.mark.parametrize(("method", "quick"), [("toys", toys_cover), ("auto", automatic_cover)])
def test_the_quick_tests_are_those_of_the_limits(method, quick):
    """CLs at a yield is above 1 − CL where the limit is above the yield, but for the toys' fluctuations."""
    settings = Settings(LEVEL, toys=400)
    problem = case("linear", 4.0).problem(4.0, 12, 5)
    limits = METHODS[method](problem, settings)
    for signal_yield in (2.0, 5.0, 8.0):
        ours, theirs = (
            quick(problem, signal_yield, settings),
            limits_cover(method)(problem, signal_yield, settings),
        )
        clear = np.abs(limits.yield_limit - signal_yield) > 3.0 * np.nan_to_num(limits.yield_limit_error)
        assert clear.sum() >= 5
        assert np.array_equal(ours[clear], theirs[clear])


@pytest.mark.slow
def test_the_whole_map():
    settings = Settings(LEVEL, toys=1000)
    made = coverage_map(["asymptotic", "counting", "toys", "auto"], settings, experiments=300)
    assert_covers(made.sel(limit_method=["counting", "toys"]))
    assert_covers(made.sel(limit_method=["auto"]), shortfall=0.01)
