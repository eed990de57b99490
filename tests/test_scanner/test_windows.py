"""Windows: steps of the resolution, whole runs of fine bins, inside the region."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import InputError
from scanner.windows import grid as windows


def constant(value):
    return lambda m: np.full(np.shape(m), value)


def identity(m):
    return np.asarray(m, dtype=float)


def build(**changes):
    arguments = {
        "low": 1.0,
        "high": 3.0,
        "resolution": constant(0.01),
        "peak": identity,
        "half_width": constant(20.0),
        "bins": 100,
    } | changes
    return windows.build("all", arguments.pop("low"), arguments.pop("high"), **arguments)


def test_steps_are_half_a_resolution_and_both_ends_are_on_the_grid():
    grid = build()
    assert grid.mass[0] == 1.0
    assert grid.mass[-1] == 3.0
    np.testing.assert_allclose(np.diff(grid.mass), 0.005, rtol=1e-9)
    assert len(grid) == 401


def test_steps_follow_a_resolution_that_changes():
    grid = build(resolution=lambda m: 0.002 + 0.01 * m)
    middle = 0.5 * (grid.mass[1:] + grid.mass[:-1])
    np.testing.assert_allclose(np.diff(grid.mass) / (0.002 + 0.01 * middle), 0.5, rtol=0.01)
    assert np.all(np.diff(grid.mass) / (0.002 + 0.01 * middle) < 0.501)


def test_a_window_is_centred_and_spans_forty_resolutions():
    grid = build()
    window = len(grid) // 2
    edges = grid.edges_mass[grid.edge_indices()[window]]
    assert len(edges) == 101
    np.testing.assert_allclose(
        [edges[0], edges[-1]], [grid.mass[window] - 0.2, grid.mass[window] + 0.2], atol=1e-3
    )


def test_windows_at_the_ends_are_shifted_and_never_leave_the_region():
    grid = build()
    indices = grid.edge_indices()
    assert indices.min() == 0
    assert indices.max() == len(grid.edges_mass) - 1
    assert np.all(np.diff(indices, axis=1) > 0)


def test_a_window_wider_than_the_region_takes_all_of_it():
    grid = build(low=0.90, high=1.13, resolution=constant(0.012))
    indices = grid.edge_indices()
    assert np.all(indices[:, 0] == indices[0, 0])
    fine = 0.23 / (len(grid.edges_mass) - 1)
    assert grid.edges_mass[indices[0, -1]] - grid.edges_mass[indices[0, 0]] > 0.23 - 4.01 * fine


def test_counts_equal_a_histogram_of_the_events():
    grid = build(resolution=lambda m: 0.01 * m)
    events = np.random.default_rng(1).uniform(1.0, 3.0, 10_000)
    fine = np.histogram(events, grid.edges_mass)[0]
    counts = grid.counts(fine)
    for window in (0, 57, len(grid) - 1):
        expected = np.histogram(events, grid.edges_mass[grid.edge_indices()[window]])[0]
        inner = slice(0, -1)  # numpy closes its last bin
        np.testing.assert_array_equal(counts[window, inner], expected[inner])


def test_a_block_of_windows_is_the_same_as_those_windows_of_all():
    grid = build()
    fine = np.random.default_rng(2).poisson(3.0, len(grid.edges_mass) - 1)
    np.testing.assert_array_equal(grid.counts(fine, slice(10, 20)), grid.counts(fine)[10:20])


def test_half_widths_may_vary_with_the_mass():
    grid = build(half_width=lambda m: np.where(m < 2.0, 10.0, 20.0))
    width = np.diff(grid.edges_mass[grid.edge_indices()[:, [0, -1]]], axis=1)[:, 0]
    np.testing.assert_allclose(width[100], 0.2, rtol=0.01)
    np.testing.assert_allclose(width[300], 0.4, rtol=0.01)


def test_explicit_masses_are_kept():
    masses = np.array([1.2, 1.2345, 2.5])
    grid = build(values=masses)
    np.testing.assert_array_equal(grid.mass, masses)


def test_the_observable_axis_is_the_peak_of_the_masses():
    grid = build(peak=lambda m: m**2)
    np.testing.assert_allclose(grid.edges, grid.edges_mass**2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": constant(0.0)}, "the resolution is 0 GeV at 1 GeV"),
        ({"resolution": constant(np.nan)}, "the resolution is nan GeV"),
        ({"resolution": constant(1e-9)}, "steps: check the resolution's unit"),
        ({"peak": lambda m: -m}, "does not rise with the mass at 1 GeV"),
    ],
)
def test_bad_input_is_explained(changes, message):
    with pytest.raises(InputError, match=message):
        build(**changes)


@given(
    sigma=st.floats(1e-3, 0.1),
    width=st.floats(1.0, 60.0),
    bins=st.integers(10, 200),
    step=st.sampled_from([0.25, 0.5, 1.0, 0.3]),
)
def test_every_window_lies_on_the_axis(sigma, width, bins, step):
    grid = build(resolution=constant(sigma), half_width=constant(width), bins=bins, step=step)
    indices = grid.edge_indices()
    assert indices.min() >= 0
    assert indices.max() <= len(grid.edges_mass) - 1
    assert np.all(np.diff(grid.mass) > 0)
    assert np.all(np.diff(grid.mass) <= step * sigma * (1 + 1e-9))
