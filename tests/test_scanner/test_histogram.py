"""Histograms merge exactly, and the bin table holds what it promises."""

import numpy as np
import pytest

from scanner.errors import InputError
from scanner.reading.histogram import MAX_CELLS, Histogram, bin_table, check_edges, round_down, round_up


def histogram(seed=0, bins=5):
    rng = np.random.default_rng(seed)
    return Histogram(
        counts=rng.integers(0, 2**40, (2, bins)),
        cutflow=rng.integers(0, 2**40, (2, 4)),
        outside=rng.integers(0, 9, 2),
        not_finite=rng.integers(0, 9, 2),
    )


def test_merging_adds_every_count():
    a, b = histogram(1), histogram(2)
    merged = a + b
    for name, array in merged.arrays().items():
        np.testing.assert_array_equal(array, getattr(a, name) + getattr(b, name))
    assert merged.identical(b + a)
    assert (a + a.zeros_like()).identical(a)
    assert not merged.identical(a)


def test_histograms_of_different_selections_do_not_merge():
    with pytest.raises(InputError, match=r"counts \(2, 5\) and \(2, 6\)"):
        histogram() + histogram(bins=6)


def test_arrays_read_back():
    made = histogram()
    assert Histogram.from_arrays(made.arrays()).identical(made)


def test_a_uniform_axis_has_one_edge_a_cell():
    for bins in (1, 100, 20_000):
        table = bin_table(np.linspace(0.1, 11.3, bins + 1), 3, narrow=False)
        assert table.steps == 1
        assert table.cells <= bins + 2


def test_an_axis_with_very_uneven_bins_keeps_its_table_small():
    edges = np.concatenate([[0.0, 1e-12, 2e-12], np.linspace(0.5, 1.0, 50)])
    table = bin_table(edges, 0, narrow=False)
    assert table.cells <= MAX_CELLS
    assert table.steps == 3


@pytest.mark.parametrize(
    "edges", [[1.0], [[0.0, 1.0]], [1.0, 0.0], [0.0, 0.0], [0.0, np.nan], [0.0, np.inf], [0.0, 1e31]]
)
def test_edges_that_make_no_axis_are_refused(edges):
    with pytest.raises(InputError, match="bin edges must be"):
        check_edges(np.array(edges))


@pytest.mark.parametrize("value", [0.1, -0.1, 1e39, -1e39, 1e-50, -1e-50, np.inf, -np.inf, 0.5, 16777217.0])
def test_rounding_brackets_the_value(value):
    up, down = float(round_up(value)), float(round_down(value))
    with np.errstate(over="ignore"):
        below = float(np.nextafter(np.float32(up), np.float32(-np.inf)))
        above = float(np.nextafter(np.float32(down), np.float32(np.inf)))
    assert down <= value <= up
    assert up == value or below < value
    assert down == value or above > value
