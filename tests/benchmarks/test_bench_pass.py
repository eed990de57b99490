"""The pass against numpy, from memory, and what bounds it.

Run by `make bench`. Rates are million rows a second on one core; the wall is the rate at which the
same columns can be read at all.
"""

import time

import numpy as np
import pytest

from scanner.selection import ChannelPlan, Selection, WindowTable

pytestmark = pytest.mark.benchmark_suite

ROWS = 20_000_000
CUTS = (
    "x0 > 0.05",
    "x1 < 0.97",
    "abs(x2) < 0.97",
    "x3 > 0.03",
    "x4 < 0.97",
    "x5 > 0.03",
    "x6 < 0.97",
    "0.03 < x7 < 0.97",
    "x6 > 0.03",
    "x5 < 0.99",
)
EDGES = np.linspace(0.0, 1.0, 2001)


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(1)
    return {f"x{j}": rng.random(ROWS, dtype=np.float32) for j in range(8)}


def best_time(work, times=3):
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def rate(work, rows=ROWS):
    return rows / best_time(work) / 1e6


def numpy_mask(x):
    mask = (x["x0"] > 0.05) & (x["x1"] < 0.97) & (np.abs(x["x2"]) < 0.97) & (x["x3"] > 0.03)
    mask &= (x["x4"] < 0.97) & (x["x5"] > 0.03) & (x["x6"] < 0.97)
    mask &= (x["x7"] > 0.03) & (x["x7"] < 0.97) & (x["x6"] > 0.03) & (x["x5"] < 0.99)
    return mask


def by_bincount(x):
    """The fastest plain numpy: valid on uniform edges only, and not exact at them."""
    return np.bincount((x["x0"][numpy_mask(x)] * np.float32(2000)).astype(np.int32), minlength=2000)


def by_histogram(x):
    return np.histogram(x["x0"][numpy_mask(x)], EDGES)[0]


def test_bench_one_configuration(columns, benchmark):
    selection = Selection(ChannelPlan(CUTS, "x0", EDGES, tuple(columns)))
    exact = selection.fill(columns)
    np.testing.assert_array_equal(exact.counts[0], by_histogram(columns))
    benchmark.pedantic(selection.fill, args=(columns,), rounds=5)
    ours = ROWS / benchmark.stats.stats.min / 1e6
    wall = rate(lambda: [column.max() for column in columns.values()])
    peers = {
        "numpy + bincount": rate(lambda: by_bincount(columns)),
        "np.histogram": rate(lambda: by_histogram(columns)),
    }
    benchmark.extra_info.update({"million rows/s": ours, "read wall": wall, **peers})
    print(f"\npass, 8 columns, 10 cuts: {ours:.0f} million rows/s; reading alone {wall:.0f}")
    for name, value in peers.items():
        print(f"  {name}: {value:.0f}, ratio {ours / value:.1f}")
    assert ours > max(peers.values())


@pytest.mark.parametrize("axis", ["falling", "resolution"])
def test_bench_irregular_axis(columns, benchmark, axis):
    steps = np.linspace(1.0, 10.0, 20_000)
    resolution = np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])
    edges = np.geomspace(0.1, 1.0, 5001) if axis == "falling" else resolution
    selection = Selection(ChannelPlan(CUTS, "x0**2", edges, tuple(columns)))
    selection.fill(columns)
    benchmark.pedantic(selection.fill, args=(columns,), rounds=3)
    ours = ROWS / benchmark.stats.stats.min / 1e6
    print(f"\n{axis} axis of x0**2, {edges.size - 1} bins: {ours:.0f} million rows/s")


@pytest.mark.parametrize("count", [8, 30])
def test_bench_configurations(columns, benchmark, count):
    rows = ROWS // 10
    part = {name: column[:rows] for name, column in columns.items()}
    configurations = tuple({"p": 0.03 * j, "q": 1.0 - 0.01 * j} for j in range(count))
    cuts = (*CUTS[:8], "x6 * x1 > p", "x5 < q")
    selection = Selection(ChannelPlan(cuts, "x0", EDGES, tuple(columns), configurations=configurations))
    selection.fill(part)
    benchmark.pedantic(selection.fill, args=(part,), rounds=3)
    ours = rows / benchmark.stats.stats.min / 1e6
    base = numpy_mask(part)

    def one_by_one():
        product = part["x6"].astype(np.float64) * part["x1"]
        for own in configurations:
            mask = base & (product > own["p"]) & (part["x5"] < own["q"])
            np.bincount((part["x0"][mask] * np.float32(2000)).astype(np.int32), minlength=2000)

    peer = rate(one_by_one, rows)
    print(f"\n{count} configurations: {ours:.1f} million rows/s")
    print(f"  numpy + bincount: {peer:.1f}, ratio {ours / peer:.1f}")
    assert ours > peer


def test_bench_window_cuts(columns, benchmark):
    rows, count = ROWS // 50, 500
    part = {name: column[:rows] for name, column in columns.items()}
    windows = WindowTable({"m": np.linspace(0.1, 0.9, count)}, np.arange(count) * 6, np.full(count, 1), 100)
    edges = np.linspace(0.0, 1.0, 3101)
    selection = Selection(
        ChannelPlan((*CUTS[:9], "x1 * x2 < m"), "x0", edges, tuple(columns), windows=windows)
    )
    selection.fill(part)
    benchmark.pedantic(selection.fill, args=(part,), rounds=3)
    print(
        f"\na cut in 500 windows, 17 hold a row: {rows / benchmark.stats.stats.min / 1e6:.1f} million rows/s"
    )
