"""The pass from memory against numpy, on one core, with equal answers first."""

import numpy as np
import pytest

from scanner import definition, engine
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.selection import Selection

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
BOUND = "memory bandwidth for the cuts, then about 1 ns a row for bin look-up and count"


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(1)
    return {f"x{j}": rng.random(ROWS, dtype=np.float32) for j in range(8)}


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


def by_darkscan(x):
    return Selection(ChannelPlan(CUTS, "x0", EDGES, tuple(x))).fill(x).counts[0]


def by_reading(x):
    return [column.max() for column in x.values()]


PASSES = {
    "darkscan": by_darkscan,
    "numpy + bincount": by_bincount,
    "np.histogram": by_histogram,
    "reading alone": by_reading,
}


def test_the_answers_are_equal(columns):
    np.testing.assert_array_equal(by_darkscan(columns), by_histogram(columns))


@pytest.mark.parametrize("who", PASSES)
def test_pass(race, columns, who):
    work = PASSES[who]
    race("pass: 8 columns, 10 cuts", who, lambda: work(columns), items=ROWS, unit="row", bound=BOUND)


AXES = {
    "falling axis, 5000 bins": np.geomspace(0.1, 1.0, 5001),
    "resolution axis, 20000 bins": np.concatenate([[0.0], np.cumsum(np.linspace(1, 10, 20_000)) / 110_000.0]),
}


@pytest.mark.parametrize("axis", AXES)
def test_pass_on_irregular_axes(race, columns, axis):
    selection = Selection(ChannelPlan(CUTS, "x0**2", AXES[axis], tuple(columns)))
    bound = "as above; the histogram leaves the first cache"
    race(f"pass: {axis}", "darkscan", lambda: selection.fill(columns), items=ROWS, unit="row", bound=bound)


@pytest.fixture
def configurations(request, columns):
    rows = ROWS // 10
    part = {name: column[:rows] for name, column in columns.items()}
    sets = tuple({"p": 0.03 * j, "q": 1.0 - 0.01 * j} for j in range(request.param))
    return part, sets


def all_at_once(part, sets):
    cuts = (*CUTS[:8], "x6 * x1 > p", "x5 < q")
    return Selection(ChannelPlan(cuts, "x0", EDGES, tuple(part), configurations=sets)).fill(part)


def one_by_one(part, sets):
    base = numpy_mask(part)
    product = part["x6"].astype(np.float64) * part["x1"]
    for own in sets:
        mask = base & (product > own["p"]) & (part["x5"] < own["q"])
        np.bincount((part["x0"][mask] * np.float32(2000)).astype(np.int32), minlength=2000)


@pytest.mark.parametrize("configurations", [8, 30], indirect=True)
@pytest.mark.parametrize(("who", "work"), [("darkscan", all_at_once), ("numpy + bincount", one_by_one)])
def test_configurations(race, configurations, who, work):
    part, sets = configurations
    group = f"pass: {len(sets)} configurations at once"
    bound = "the cutflow of each configuration, counted row by row"
    race(group, who, lambda: work(part, sets), items=ROWS // 10, unit="row", rounds=3, bound=bound)


def test_window_cuts(race, columns):
    rows, count = ROWS // 50, 500
    part = {name: column[:rows] for name, column in columns.items()}
    windows = WindowTable({"m": np.linspace(0.1, 0.9, count)}, np.arange(count) * 6, np.full(count, 1), 100)
    edges = np.linspace(0.0, 1.0, 3101)
    plan = ChannelPlan((*CUTS[:9], "x1 * x2 < m"), "x0", edges, tuple(columns), windows=windows)
    selection = Selection(plan)
    group, bound = "pass: a cut that depends on the window", "17 windows hold a row, each asked by itself"
    race(group, "darkscan", lambda: selection.fill(part), items=rows, unit="row", rounds=3, bound=bound)


def test_configurations_of_the_catalogue(race):
    """Three channels of 634 windows with sidebands in 32 configurations, whose cuts none of them changes."""
    search, rows, rng = definition.load("idm_dark_higgs"), ROWS // 5, np.random.default_rng(3)
    part = {name: rng.exponential(0.3, rows).astype(np.float32) for name in ("r_vertex_1", "r_vertex_2")}
    part |= {f"pointing_angle_{n}": rng.exponential(0.1, rows).astype(np.float32) for n in (1, 2)}
    part["mode"] = rng.integers(0, 3, rows).astype(np.float32)
    part["m_pair_1"] = rng.uniform(0.28, 3.0, rows).astype(np.float32)
    selections = engine.selections(search, tuple(search.columns)).values()
    group, bound = "pass: idm_dark_higgs", "one row in 27 is counted, in some 80 windows and sidebands"
    race(
        group, "darkscan", lambda: [one.fill(part) for one in selections], items=rows, unit="row", rounds=3,
        bound=bound,
    )  # fmt: skip
    assert len(search.configurations) == 32
