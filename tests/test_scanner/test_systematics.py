"""Systematics of a definition as nuisances of its windows, down to the templates."""

import numpy as np
import pytest

from scanner import definition, engine
from scanner.errors import InputError
from scanner.limits import window_problem
from scanner.shapes import signal_integrals
from scanner.windows.systematics import in_limits

HUNT = """
extends: bump_hunt
name: small
observable: mass
range: [2.6 GeV, 3.6 GeV]
resolution: 10 MeV
efficiency: 50%
luminosity: 10 fb^-1
order: 2
"""
ALL = """
systematics:
  luminosity: {on: luminosity, size: 1%, source: user}
  efficiency: {on: efficiency, kind: normal, size: {table: {m: "2, 4 GeV", value: "4, 8 %"}}, source: user}
  resolution: {on: resolution, size: 10%, source: user}
  scale: {on: mass, kind: normal, size: 0.1%, source: user}
  spurious: {on: yield, size: 12 events, source: user}
  shape: {on: background, kind: normal, size: 3%, source: user}
"""
PEAK = "background: {peaks: {jpsi: {at: 3.0969 GeV, expected: 400, error: 10%, source: user}}}\n"
W = 4


def smooth(edges):
    """Return the expected background between edges [GeV]."""
    return 2e4 * np.diff(np.exp(-edges / 1.3)) / -0.13


def windows(text, part=slice(70, 70 + W), seed=3, include="everything"):
    search = definition.parse(text, where="small.yaml")
    grid = engine.grids(search)["all"]
    fine = np.random.default_rng(seed).poisson(smooth(grid.edges))
    counts = grid.counts(fine, part)
    problem, _ = window_problem(search, grid, counts, part, configuration=0, include=include)
    return search, grid, problem


def peak(grid, part, mass, resolution):
    return signal_integrals("gaussian", grid.edges_mass[grid.edge_indices(part)], mass, resolution, {})


def effect(nuisances, name, sample):
    """Return the logarithms of factors (W, 2) and changes (W, 2, B) of a nuisance on a sample."""
    j = nuisances.names.index(name)
    pairs = np.flatnonzero((nuisances.shape_nuisance == j) & (nuisances.shape_sample == sample))
    return nuisances.norm[:, j, sample], nuisances.shape[:, pairs].sum(axis=1)


def test_factors_on_the_signal():
    _, grid, problem = windows(HUNT + ALL)
    factors, changes = effect(problem.nuisances, "luminosity", 0)
    np.testing.assert_allclose(factors, [[-np.log(1.01), np.log(1.01)]] * W, rtol=1e-12)
    assert not changes.any()
    factors, changes = effect(problem.nuisances, "efficiency", 0)
    size = 0.04 + 0.02 * (grid.mass[70 : 70 + W, None] - 2.0)
    np.testing.assert_allclose(changes[:, 1], size * problem.signal, rtol=1e-12)
    np.testing.assert_array_equal(changes[:, 0], -changes[:, 1])
    assert not factors.any()


def test_the_shape_of_the_signal_moves_and_widens():
    _, grid, problem = windows(HUNT + ALL)
    part = slice(70, 70 + W)
    mass, sigma = grid.mass[part], grid.resolution[part]
    _, changes = effect(problem.nuisances, "resolution", 0)
    for place, factor in ((0, 1.0 / 1.1), (1, 1.1)):
        expected = peak(grid, part, mass, factor * sigma) - problem.signal
        np.testing.assert_allclose(changes[:, place], expected, atol=1e-15)
    _, changes = effect(problem.nuisances, "scale", 0)
    for place, factor in ((0, 0.999), (1, 1.001)):
        expected = peak(grid, part, factor * mass, sigma) - problem.signal
        np.testing.assert_allclose(changes[:, place], expected, atol=1e-15)
        assert np.abs(expected).max() > 0.01


def test_a_spurious_signal_is_background_that_looks_like_signal():
    _, grid, problem = windows(HUNT + ALL)
    nuisances = problem.nuisances
    last = 1 + problem.background.shape[1]
    assert nuisances.fixed.shape[1] == 1
    assert not nuisances.fixed.any()
    _, changes = effect(nuisances, "spurious", last)
    np.testing.assert_allclose(changes[:, 1], 12.0 * problem.signal, rtol=1e-12)
    np.testing.assert_array_equal(changes[:, 0], -changes[:, 1])
    _, changes = effect(nuisances, "shape", last)
    mass = grid.mass[70 : 70 + W, None]
    under = smooth(mass + np.array([-0.02, 0.02]))[:, 0]
    np.testing.assert_allclose(changes[:, 1].sum(axis=1), 0.03 * under, rtol=0.1)


def test_a_lognormal_error_of_the_background_is_lopsided():
    _, _, problem = windows(HUNT + "systematics: {shape: {on: background, size: 50%, source: user}}\n")
    _, changes = effect(problem.nuisances, "shape", 4)
    np.testing.assert_allclose(changes[:, 0], -changes[:, 1] / 1.5, rtol=1e-12)


def test_a_known_peak_of_stated_yield_is_a_fixed_sample():
    _, _, problem = windows(HUNT + PEAK)
    nuisances = problem.nuisances
    assert problem.background.shape[1] == 3
    assert nuisances.names == ("peak_jpsi",)
    factors, _ = effect(nuisances, "peak_jpsi", 4)
    np.testing.assert_allclose(factors, [[-np.log(1.1), np.log(1.1)]] * W, rtol=1e-12)
    events = nuisances.fixed[:, 0].sum(axis=1)
    assert events.min() > 0.0
    assert events.max() <= 400.0


def test_systematics_of_one_group_are_one_nuisance():
    text = "systematics: {a: {on: efficiency, size: 3%, group: both, source: user}, "
    text += "b: {on: signal, size: 4%, group: both, source: user}, "
    text += (
        "c: {on: resolution, size: 4%, group: both, source: user}, d: {on: signal, size: 5%, source: user}}\n"
    )
    _, _, problem = windows(HUNT + text)
    assert problem.nuisances.names == ("both", "d")
    factors, changes = effect(problem.nuisances, "both", 0)
    np.testing.assert_allclose(factors[:, 1], np.log(1.03 * 1.04), rtol=1e-12)
    assert changes.any()


def test_what_enters_the_limit():
    search = definition.parse(HUNT + ALL, where="small.yaml")
    assert [t.name for t in in_limits(search)] == sorted(search.systematics)
    yields = HUNT.replace("luminosity: 10 fb^-1\n", "") + ALL
    left = [t.name for t in in_limits(definition.parse(yields, where="small.yaml"))]
    assert left == ["resolution", "scale", "shape", "spurious"]
    out = ALL.replace("size: 12 events,", "size: 12 events, in_limit: false,")
    assert "spurious" not in [t.name for t in in_limits(definition.parse(HUNT + out, where="small.yaml"))]
    assert windows(HUNT)[2].nuisances is None


def test_a_significance_needs_no_factors_on_the_signal():
    _, _, problem = windows(HUNT + ALL, include="significance")
    assert "luminosity" not in problem.nuisances.names
    assert {"resolution", "spurious"} <= set(problem.nuisances.names)
    only = HUNT + "systematics: {luminosity: {on: luminosity, size: 1%, source: user}}\n"
    assert windows(only, include="significance")[2].nuisances is None


def test_nuisances_depend_on_their_own_window_alone():
    whole = windows(HUNT + ALL, slice(20, 140))[2].nuisances
    part = windows(HUNT + ALL, slice(60, 63))[2].nuisances
    for name in ("norm", "shape", "fixed", "observed"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[40:43])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{on: yield, kind: lognormal, size: 3 events, source: user}", "kind: normal"),
        ("{on: signal, size: 3 events, source: user}", "goes with 'on: yield'"),
        ("{on: yield, size: -3 events, source: user}", "it must be positive"),
        ("{on: yield, size: 3 GeV, source: user}", "3 GeV"),
        ("{on: mas, size: 3%, source: user}", "did you mean 'mass'"),
        ("{on: signal, size: 3%, in_limit: maybe, source: user}", "in_limit"),
    ],
)
def test_slips_are_found(line, message):
    with pytest.raises(InputError, match=message):
        definition.parse(HUNT + f"systematics: {{a: {line}}}\n", where="small.yaml")


def test_sizes_in_events_by_mass_survive_the_canonical_text():
    size = '{table: {m: "2, 4 GeV", value: "10, 20 events"}}'
    text = f"systematics: {{a: {{on: yield, size: {size}, source: user}}}}\n"
    search = definition.parse(HUNT + text, where="small.yaml")
    again = definition.from_json(search.canonical)
    assert again.canonical == search.canonical
    assert again.systematics["a"].events(3.0) == pytest.approx(15.0)
    assert again.systematics["a"].relative(3.0, {}) == 0.0
