"""Counting windows: their grid, their pass against brute force, their backgrounds and limits."""

from dataclasses import replace

import numpy as np
import pytest

from scanner import definition, engine, runnable
from scanner.errors import InputError
from scanner.reading.channel import ChannelPlan
from scanner.reading.plane import PlaneTable
from scanner.reading.selection import Selection
from scanner.stats import calculate
from scanner.stats.counted import COUNTED_METHODS, Counted, counted_limits
from scanner.stats.settings import Settings
from scanner.windows.backgrounds import Simulated, from_sideband, from_simulation
from scanner.windows.counted import containment

ROWS = 4000
RNG = np.random.default_rng(11)
COLUMNS = {
    "x": RNG.uniform(0.0, 10.0, ROWS).astype(np.float32),
    "y": RNG.uniform(-1.0, 6.0, ROWS),
    "cut": RNG.random(ROWS).astype(np.float32),
}
COLUMNS["y"][:3] = np.nan, np.inf, -np.inf
CUTS = ("cut > 0.2", "y < 0.6 * x + limit")


def windows(dimensions, elliptic, framed):
    rng = np.random.default_rng(5)
    count = 150
    centre = np.stack([rng.uniform(1.0, 9.0, count), rng.uniform(0.0, 5.0, count)], axis=1)[:, :dimensions]
    half = rng.uniform(0.1, 0.7, (count, 2))[:, :dimensions]
    tilt = rng.uniform(-1.0, 1.0, count) if elliptic else np.zeros(count)
    table = PlaneTable(
        {"limit": rng.uniform(-1.0, 2.0, count)},
        ("x", "y")[:dimensions],
        rng.random(count) < 0.8,
        elliptic,
        centre,
        half,
        tilt,
        framed,
        np.zeros((count, 4)),
    )
    if framed < 0:
        return table
    near, far = table.extent[:, framed] * 1.2, table.extent[:, framed] * 2.5
    mid = centre[:, framed]
    return replace(table, bands=np.stack([mid - far, mid - near, mid + near, mid + far], axis=1))


def brute_force(table):
    """Count as numpy does, one window at a time."""
    points = np.stack([COLUMNS[name].astype(np.float64) for name in table.observables], axis=1)
    kept = COLUMNS["cut"].astype(np.float64) > 0.2
    y, x = COLUMNS["y"], COLUMNS["x"].astype(np.float64)
    counts, somewhere, held = np.zeros(table.shape, int), np.zeros(ROWS, bool), np.zeros(ROWS, bool)
    for w in np.flatnonzero(table.inside):
        d = points - table.centre[w]
        if table.elliptic:
            c, s = np.cos(table.tilt[w]), np.sin(table.tilt[w])
            p = (d[:, 0] * c + d[:, 1] * s) / table.half[w, 0]
            q = (d[:, 1] * c - d[:, 0] * s) / table.half[w, 1]
            inside = p * p + q * q <= 1.0
        else:
            inside = (np.abs(d) <= table.half[w]).all(axis=1)
        passed = kept & (y < 0.6 * x + table.variables["limit"][w])
        counts[w, 0] = (inside & passed).sum()
        somewhere |= inside & passed
        held |= inside & kept
        if table.framed < 0:
            continue
        u = points[:, table.framed]
        others = [axis for axis in range(points.shape[1]) if axis != table.framed]
        across = (np.abs(d[:, others]) <= table.extent[w, others]).all(axis=1)
        for side, (low, high) in enumerate(table.bands[w].reshape(2, 2)):
            counts[w, 1 + side] = ((low <= u) & (u < high) & across & passed & ~inside).sum()
    return counts, [ROWS, kept.sum(), somewhere.sum()], (kept & ~held).sum()


@pytest.mark.parametrize(
    ("dimensions", "elliptic", "framed"), [(2, True, 0), (2, False, 1), (1, False, 0), (2, True, -1)]
)
def test_the_pass_is_brute_force(dimensions, elliptic, framed):
    table = windows(dimensions, elliptic, framed)
    plan = ChannelPlan(CUTS, "x", engine.EVERYWHERE, tuple(COLUMNS), windows=table)
    selection = Selection(plan)
    with np.errstate(invalid="ignore"):
        counts, flow, missed = brute_force(table)
    found = selection.fill(COLUMNS)
    assert counts[:, 0].sum() > 1000
    assert (found.counts[0] == counts).all()
    assert found.cutflow[0].tolist() == flow
    assert found.outside[0] + found.not_finite[0] == missed
    assert (found.not_finite[0] > 0) == (dimensions == 2)
    parts = [{name: values[a : a + 700] for name, values in COLUMNS.items()} for a in range(0, ROWS, 700)]
    total = selection.empty()
    for part in reversed(parts):
        total = total + selection.fill(part)
    assert total.identical(found)


def test_configurations_that_no_cut_names_are_counted_once():
    """They are what each would be alone, and those that a cut names are not."""
    table, sets = windows(2, True, 0), tuple({"q": 0.1 * number, "r": 1.0} for number in range(5))
    alone = Selection(ChannelPlan(CUTS, "x", engine.EVERYWHERE, tuple(COLUMNS), windows=table)).fill(COLUMNS)
    same = Selection(
        ChannelPlan(CUTS, "x", engine.EVERYWHERE, tuple(COLUMNS), configurations=sets, windows=table)
    )
    found = same.fill(COLUMNS)
    assert found.counts.shape == (5, *alone.counts.shape[1:])
    for name, values in found.arrays().items():
        assert all((values[number] == alone.arrays()[name][0]).all() for number in range(5))
    assert (same.empty() + found).identical(found)
    cuts = (*CUTS, "y > 4 * q")
    other = Selection(
        ChannelPlan(cuts, "x", engine.EVERYWHERE, tuple(COLUMNS), configurations=sets, windows=table)
    )
    counts = other.fill(COLUMNS).counts[:, :, 0].sum(axis=1)
    assert (np.diff(counts) < 0).all()


PLANE = """
name: plane
beam: {sqrt_s: 10.58 GeV}
luminosity: 8 fb^-1
columns: {m_mumu: GeV, m_recoil: GeV}
scan:
  m_aprime: {range: [4 GeV, 6 GeV], step: 1 resolution(m_mumu)}
  m_hprime: {range: [0.5 GeV, 5.5 GeV], step: 2 resolution(m_recoil), where: m_hprime < m_aprime}
window:
  {shape: ellipse, axes: [m_mumu, m_recoil], half_width: 2 resolution,
   tilt: {constant: 0.3, source: default}}
channels: {mumu: {}}
signal:
  shape: counting
  source: default
  resolutions: {m_mumu: {formula: 0.01 * m_aprime, unit: GeV}, m_recoil: 100 MeV}
  efficiency: {formula: 0.1 + 0.01 * m_hprime}
background:
  shape: counting
  estimate: sideband
  sideband: {observable: m_mumu, exclude: 8 resolution, width: 5 resolution}
method: {limit: bayesian}
"""


def test_the_grid_is_a_product_in_steps_of_resolutions():
    (grid,) = engine.counting_grids(definition.parse(PLANE)).values()
    first, second = grid.axes.values()
    # ∫dm/0.01m from 4 to 6 GeV is 100 ln 1.5 = 40.5 resolutions.
    assert first == pytest.approx(4.0 * 1.5 ** (np.arange(42) / 41), rel=1e-6)
    assert second == pytest.approx(np.linspace(0.5, 5.5, 26))
    points = grid.points()
    assert (grid.inside == (points["m_hprime"] < points["m_aprime"])).all()
    assert 0 < grid.inside.sum() < len(grid) == 42 * 26
    assert grid.half == pytest.approx(np.stack([0.02 * points["m_aprime"], np.full(len(grid), 0.2)], axis=1))


def test_an_axis_takes_the_smallest_resolution_over_the_other():
    text = PLANE.replace("m_recoil: 100 MeV", "m_recoil: {formula: 0.5 / m_aprime, unit: GeV}")
    (grid,) = engine.counting_grids(definition.parse(text)).values()
    assert len(grid.axes["m_hprime"]) == 1 + np.ceil(5.0 / (2 * 0.5 / 6.0))


@pytest.mark.parametrize("shape", ["ellipse", "box"])
@pytest.mark.parametrize("observable", ["m_mumu", "m_recoil"])
def test_a_flat_background_is_found_from_its_sideband(shape, observable):
    text = PLANE.replace("shape: ellipse", f"shape: {shape}").replace(
        "observable: m_mumu", f"observable: {observable}"
    )
    if shape == "box":
        text = text.replace(",\n   tilt: {constant: 0.3, source: default}", "")
    search = definition.parse(text)
    ((name, grid),) = engine.counting_grids(search).items()
    rng = np.random.default_rng(2)
    columns = {"m_mumu": rng.uniform(3.0, 7.0, 400_000), "m_recoil": rng.uniform(-1.0, 7.0, 400_000)}
    counts = engine.selections(search, tuple(columns))[name].fill(columns).counts[0]
    chosen = grid.inside & (grid.ratio > 0.5)
    # Windows overlap: the sums, each of some thousand different rows, are known to a few percent.
    inside, beside = counts[chosen, 0].sum(), (counts[chosen, 1:].sum(axis=1) / grid.ratio[chosen]).sum()
    assert inside / beside == pytest.approx(1.0, abs=0.02)


def test_sidebands_end_where_the_scan_does():
    (grid,) = engine.counting_grids(definition.parse(PLANE)).values()
    assert grid.bands.min() == 4.0
    assert grid.bands.max() == 6.0
    first, last = grid.points()["m_aprime"] == 4.0, grid.points()["m_aprime"] == 6.0
    assert (grid.bands[first, 0] == grid.bands[first, 1]).all()
    assert (grid.bands[last, 2] == grid.bands[last, 3]).all()
    with pytest.raises(InputError, match="begins within its window"):
        engine.counting_grids(definition.parse(PLANE.replace("exclude: 8", "exclude: 2")))


def test_simulated_samples_add_up_with_their_errors():
    one = Simulated("a", np.array([4, 0, 0]), 0.5)
    two = Simulated("b", np.array([9, 1, 0]), 2.0)
    found = from_simulation([one, two], 3)
    assert found.number.tolist() == [20.0, 2.0, 0.0]
    assert found.error**2 == pytest.approx([0.25 * 4 + 4 * 9, 4.0, 0.0])
    # Without a row the less luminous sample is an off region of no event.
    assert found.off.tolist() == [-1.0, -1.0, 0.0]
    assert found.tau[2] == 0.5
    wider = found.with_error(0.1 * found.number)
    assert wider.error == pytest.approx(np.hypot(found.error, [2.0, 0.2, 0.0]))
    assert wider.off[2] == 0.0


def test_a_sideband_without_room_is_no_estimate():
    found = from_sideband(np.array([8, 0, 3]), np.array([4.0, 2.0, 0.0]))
    assert found.number[:2].tolist() == [2.0, 0.0]
    assert found.missing.tolist() == [False, False, True]
    # As numbers with errors, off regions keep what they leave of the background.
    wider = found.with_error(np.array([0.5, 0.0, 0.0]))
    assert wider.number[0] == 9.0 / 4.0
    assert wider.error[0] == pytest.approx(np.hypot(3.0 / 4.0, 0.5))
    assert wider.off.tolist() == [-1.0, 0.0, -1.0]


EXPERIMENTS = Counted(
    np.array([0, 3, 3, 3, 12, 0, 6, 3]),
    np.array([0.5, 1.0, 1.0, 1.0, 7.0, 0.0, 0.0, 1.0]),
    np.array([0.0, 0.0, 0.4, 0.4, 2.0, 0.0, 0.0, 0.4]),
    np.array([-1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 11.0, -1.0]),
    np.array([0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 2.0, 0.0]),
    np.array([0.0, 0.0, 0.0, 0.1, 0.15, 0.1, 0.0, 0.0]),
)
CALCULATOR = {"auto": "cls", "counting": "cls", "feldman_cousins": "fc"}


@pytest.mark.parametrize("method", COUNTED_METHODS)
def test_limits_are_those_of_single_experiments(method):
    found = counted_limits(EXPERIMENTS, Settings(0.9), method)
    for number in range(len(EXPERIMENTS.observed)):
        n, b, error, off, tau, efficiency = EXPERIMENTS.table()[number]
        known = {"background": b, "background_error": error} if off < 0 else {"off": int(off), "tau": tau}
        name = CALCULATOR.get(method, method)
        one = calculate(int(n), method=name, confidence_level=0.9, efficiency_error=efficiency, **known)
        # Averages over 32 Gauss–Hermite nodes here, over 100 × 100 nodes there.
        assert found.yield_limit[number] == pytest.approx(one.limit, rel=1e-6)
        assert found.expected[number] == pytest.approx(one.expected, rel=1e-6)
        assert found.yield_lower[number] == pytest.approx(one.low)


def test_equal_experiments_have_equal_limits_whatever_the_batch():
    whole = counted_limits(EXPERIMENTS, Settings(0.9), "bayesian")
    assert whole.yield_limit[2] == whole.yield_limit[7]
    alone = counted_limits(Counted.from_table(EXPERIMENTS.table()[4:5]), Settings(0.9), "bayesian")
    assert (alone.expected[0] == whole.expected[4]).all()


def test_the_significance_of_an_off_region_is_that_of_the_papers():
    # Cousins, Linnemann, Tucker, arXiv:physics/0702156, table 1: (4, 5, 5) and (50, 55, 2).
    counted = Counted(
        np.array([4, 50]), np.zeros(2), np.zeros(2), np.array([5.0, 55.0]), np.array([5.0, 2.0]), np.zeros(2)
    )
    found = counted_limits(counted, Settings(0.9), "counting")
    assert found.z_local == pytest.approx([1.66, 2.93], abs=0.005)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("limit: bayesian", "limit: toys", "counted limits by toys"),
        ("shape: counting\n  source", "shape: voigt\n  width: 1 MeV\n  source", "two observables"),
        ("channels: {mumu: {}}", "channels: {a: {}, b: {background: {order: 1}}}", "of another estimate"),
        ("channels: {mumu: {}}\n",
         "channels: {a: {}, b: {}}\nsystematics: {s: {on: signal, size: 1%, channels: [a], source: user}}\n",
         "'s' of some of several counting channels"),
        ("estimate: sideband\n  sideband: {observable: m_mumu, exclude: 8 resolution, width: 5 resolution}",
         "estimate: given", "by 'given'"),
        ("method:", "systematics: {s: {on: mass, size: 1%, source: default}}\nmethod:", "systematic on mass"),
        ("background:\n  shape: counting", "background:\n  shape: linear", "windows of shape ellipse"),
    ],
)  # fmt: skip
def test_what_counting_windows_are_not_asked_for_is_refused(old, new, message):
    assert old in PLANE
    with pytest.raises(InputError, match=message):
        runnable.check_runnable(definition.parse(PLANE.replace(old, new)))


def test_the_plane_of_a_definition_runs():
    runnable.check_runnable(definition.parse(PLANE))
    with pytest.raises(InputError, match="counts events in windows"):
        engine.grids(definition.parse(PLANE))


@pytest.mark.parametrize(
    ("window", "axes"),
    [("{shape: ellipse, axes: [x, y], half_width: 2 resolution}", 2),
     ("{shape: box, axes: [x, y], half_width: 1.5 resolution}", 2),
     ("{half_width: 2 resolution}", 1)],
)  # fmt: skip
def test_a_window_contains_its_part_of_a_gaussian(window, axes):
    second = "\n  m_b: {range: [1 GeV, 3 GeV], step: 9 resolution(y)}" if axes == 2 else ""
    sideband = "estimate: sideband, sideband: {observable: x, exclude: 4 resolution}"
    search = definition.parse(
        "name: one\nbeam: {sqrt_s: 10.58 GeV}\ncolumns: {x: GeV, y: GeV}\n"
        f"scan:\n  m_a: {{range: [1 GeV, 3 GeV], step: 9 resolution(x)}}{second}\n"
        f"window: {window}\nchannels: {{a: {{observable: x}}}}\nbackground: {{shape: counting, {sideband}}}\n"
        "signal: {shape: gaussian, source: default, resolution: 50 MeV,\n"
        "  resolutions: {x: 50 MeV, y: 80 MeV}}\n"
    )
    runnable.check_runnable(search)
    ((name, grid),) = engine.counting_grids(search).items()
    rng = np.random.default_rng(6)
    middle = len(grid) // 2
    mass = [values[middle] for values in grid.points().values()]
    columns = {"x": rng.normal(mass[0], 0.05, 200_000), "y": rng.normal(mass[-1], 0.08, 200_000)}
    counts = engine.selections(search, ("x", "y"))[name].fill(columns).counts[0]
    part = containment(search, grid, slice(0, len(grid)), {})
    assert counts[middle, 0] / 200_000 == pytest.approx(part[middle], abs=4 * np.sqrt(0.25 / 200_000))
