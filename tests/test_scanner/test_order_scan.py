"""Scans that choose the order of the background in every window."""

import numpy as np
import pytest

from scanner import definition, engine, runnable
from scanner.errors import InputError
from scanner.interpretation import Exposure
from scanner.limits import scan_block

DEFINITION = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: {order}
background: {{choose: {choose}}}
"""


def block(choose, order=4, method="asymptotic", part=slice(0, 60)):
    search = definition.parse(DEFINITION.format(choose=choose, order=order), where="small.yaml")
    grid = engine.grids(search)["all"]
    x = (grid.edges[1:] + grid.edges[:-1]) / 2.0
    mean = 2e5 * np.diff(grid.edges) * np.exp(-0.8 * x) * (1.0 + 0.6 * np.sin(3.0 * x))
    fine = np.random.default_rng(3).poisson(mean)
    counts = grid.counts(fine)[part]
    return scan_block(
        search, grid, counts, part, configuration=0, exposure=Exposure(1.0), method=method, identity="x"
    )


def test_a_stated_order_is_recorded():
    assert np.all(block("fixed", order=2)["background_order"] == 2)


@pytest.mark.parametrize("choose", ["f_test", "discrete_profile"])
def test_orders_follow_the_data_and_are_recorded(choose):
    found = block(choose)
    orders = found["background_order"]
    assert len(np.unique(orders)) > 1
    coefficients = found["background_coefficients"]
    assert np.array_equal(np.isfinite(coefficients).sum(axis=1), orders + 1)
    assert np.isfinite(found["yield_limit"]).all()


def test_limits_by_f_test_are_those_of_the_chosen_order():
    chosen = block("f_test")
    for k in np.unique(chosen["background_order"]):
        plain = block("fixed", order=int(k))
        same = chosen["background_order"] == k
        assert np.array_equal(chosen["yield_limit"][same], plain["yield_limit"][same])


def test_discrete_profiles_include_the_choice():
    """The error of the envelope is that of the chosen order at least, and usually more."""
    chosen = block("discrete_profile")
    for k in np.unique(chosen["background_order"]):
        plain = block("fixed", order=int(k))
        same = chosen["background_order"] == k
        ratio = (chosen["signal_yield_error"] / plain["signal_yield_error"])[same]
        assert np.all(ratio > 0.99)
        assert chosen["signal_yield"][same] == pytest.approx(plain["signal_yield"][same], rel=1e-6)


@pytest.mark.parametrize("choose", ["f_test", "discrete_profile"])
def test_a_choice_does_not_depend_on_the_block(choose):
    whole, part = block(choose), block(choose, part=slice(20, 33))
    for name, values in part.items():
        assert np.array_equal(values, whole[name][20:33], equal_nan=True), name


def test_a_choice_of_a_shape_without_orders_is_refused():
    text = DEFINITION.format(choose="f_test", order=1).replace("{choose", "{shape: exponential, choose")
    with pytest.raises(InputError, match="order of a background of shape 'exponential' by f_test"):
        runnable.check_runnable(definition.parse(text, where="small.yaml"))
