"""The candidates that are kept are the rows that the compiled pass counts."""

import numpy as np
import pytest

from scanner.errors import InputError
from scanner.reading.candidates import Candidates
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.selection import Selection

EDGES = np.linspace(-0.7, 3.1, 101)


def columns(rows, seed, kind):
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 1.5, rows).astype(kind)
    x[rng.integers(0, rows, 5)] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    x[rng.integers(0, rows, 20)] = rng.choice(EDGES, 20)  # values on edges belong to the bin above
    return {"x": x, "y": rng.uniform(size=rows).astype(kind)}


def selection(**others):
    plan = {"cuts": ("y > 0.2 and y < t", "sqrt(y) < 0.9"), "observable": "x", "edges": EDGES}
    plan |= {"columns": ("x", "y"), "configurations": ({"t": 0.7}, {"t": 0.9})}
    return Selection(ChannelPlan(**(plan | others)))


@pytest.mark.parametrize(("kind", "observable"), [(np.float32, "x"), (np.float64, "x * t + y**2")])
def test_candidates_fill_the_same_histogram(kind, observable):
    chosen = selection(observable=observable)
    data = columns(50_000, 7, kind)
    counts = chosen.fill(data).counts
    kept = chosen.candidates(data)
    assert len(kept) == counts.sum() > 10_000
    for values, row in zip(kept.values, counts, strict=True):
        assert np.array_equal(np.diff(np.searchsorted(np.sort(values), EDGES)), row)


def test_merged_candidates_are_in_one_order():
    chosen, data = selection(), columns(5_000, 3, np.float32)
    whole = chosen.candidates(data).in_order()
    pieces = [{name: x[i::3] for name, x in data.items()} for i in range(3)]
    a, b, c = (chosen.candidates(piece) for piece in pieces)
    for merged in (a + b + c, c + (a + b)):
        for mine, all_of_them in zip(merged.in_order().values, whole.values, strict=True):
            assert mine.tobytes() == all_of_them.tobytes()


def test_cuts_by_window_keep_no_candidates():
    windows = WindowTable({"m": np.array([1.0])}, np.array([0]), np.array([1]), 100)
    chosen = selection(cuts=("y < m",), windows=windows)
    with pytest.raises(InputError, match="do not depend on the window"):
        chosen.candidates(columns(100, 1, np.float32))
    assert len(Candidates((np.empty(0),))) == 0
