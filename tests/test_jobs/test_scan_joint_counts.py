"""A scan that counts events in three channels with one signal, and many configurations in one pass."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import poisson

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.stats.counted import Counted
from scanner.stats.joint_counts import JointCounts, joint_limits
from scanner.stats.settings import Settings
from storage.events import EventStore
from storage.samples import Sample

SEARCH = """
name: three
beam: {sqrt_s: 10.58 GeV}
luminosity: 50 fb^-1
columns: {mode: "1", m_pair: GeV, angle: rad}
configurations:
  product: {least: [0.1, 0.2], size: [1, 2]}
scan: {m_x: {values: "0.5, 1, 1.45, 2.5 GeV"}}
window: {half_width: 2 resolution}
channels:
  a: {observable: m_pair, select: [abs(mode) < 0.5, angle > least], resolution: 10 MeV,
      efficiency: {formula: 0.2 * size}, source: user}
  b: {observable: m_pair, select: [abs(mode - 1) < 0.5, angle > 0.1], resolution: 20 MeV,
      vetoes: [{range: [0.85 GeV, 0.95 GeV], observable: m_pair, source: user}],
      efficiency: 10%, branching_fraction: 50%, source: user}
  c: {observable: m_pair, select: abs(mode - 2) < 0.5, resolution: 5 MeV,
      vetoes: [{range: [1.4 GeV, 1.5 GeV], observable: m_pair, source: user}],
      efficiency: {formula: 0.1 * m_x}, source: user}
signal: {source: user}
background:
  shape: counting
  estimate: sideband
  source: user
  sideband: {observable: m_pair, exclude: 4 resolution, width: 10 resolution}
systematics: {tracks: {on: signal, size: 8%, source: user}}
"""
RNG = np.random.default_rng(19)
ROWS = 900
EVENTS = {
    "mode": np.repeat([0.0, 1.0, 2.0], [300, 500, 100]),
    "m_pair": RNG.uniform(0.4, 2.6, ROWS),
    "angle": RNG.uniform(0.0, 0.5, ROWS),
}
SIGMA, RATES = {"a": 0.010, "b": 0.020, "c": 0.005}, {"b": 0.05}
CONTAINED = 0.954499736103642


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("three") / "events.zarr"
    made = EventStore.create(
        path, {"mode": "1", "m_pair": "GeV", "angle": "rad"}, chunk_rows=128, shard_rows=512
    )
    made.append(Sample("data", "data", luminosity=50.0), [EVENTS])
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cube") / "cube.zarr")


@pytest.fixture(scope="module")
def cube(store, place):
    return scan(definition.parse(SEARCH), store, place, executor=SerialExecutor())


def counted(name, m, least):
    """Count as numpy does: window, sideband, and the ratio of their widths."""
    number, sigma = "abc".index(name), SIGMA[name]
    kept = (EVENTS["mode"] == number) & (EVENTS["angle"] > {"a": least, "b": 0.1, "c": -1.0}[name])
    low, high = {"a": (9.0, 9.0), "b": (0.85, 0.95), "c": (1.4, 1.5)}[name]
    x = EVENTS["m_pair"][kept]
    x = x[(x < low) | (x > high)]
    ends = np.clip([m - 14 * sigma, m - 4 * sigma, m + 4 * sigma, m + 14 * sigma], 0.5, 2.5)
    beside = ((x >= ends[0]) & (x < ends[1])) | ((x >= ends[2]) & (x < ends[3]))
    length = ends[1] - ends[0] + ends[3] - ends[2]
    length -= sum(max(0.0, min(b, high) - max(a, low)) for a, b in (ends[:2], ends[2:]))
    return int((abs(x - m) <= 2 * sigma).sum()), int(beside.sum()), length / (4 * sigma)


@pytest.mark.parametrize("m", [0.5, 1.0, 1.45, 2.5])
@pytest.mark.parametrize(("number", "least", "size"), [(0, 0.1, 1), (1, 0.1, 2), (2, 0.2, 1)])
def test_a_window_is_the_set_of_its_counts(cube, m, number, least, size):
    window = cube.isel(configuration=number).sel(m_x=m)
    assert (float(window["least"]), float(window["size"])) == (least, size)
    rates = {"a": 0.2 * size, "b": 0.05, "c": 0.0 if m == 1.45 else 0.1 * m}
    found = {name: counted(name, m, least) for name in "abc"}
    on = [name for name in "abc" if rates[name] > 0.0]
    assert int(window["n_observed"]) == sum(found[name][0] for name in on)
    assert int(window["n_sideband"]) == sum(found[name][1] for name in on)
    assert window["channel_efficiency"].to_numpy() == pytest.approx(list(rates.values()))
    channels = [
        Counted(np.array([n]), *(np.array([x]) for x in (off / tau, 0.0, off, tau, 0.08)))
        for n, off, tau in (found[name] for name in on)
    ]
    total = sum(rates.values())
    shares = np.array([[CONTAINED * rates[name] / total for name in on]])
    joint = JointCounts(channels, shares, np.array([0.08]), np.zeros(1, np.uint64))
    expected = joint_limits(joint, Settings(0.9), "auto")
    assert float(window["yield_limit"]) == pytest.approx(expected.yield_limit[0], rel=1e-6)
    assert window["yield_limit_expected"].to_numpy() == pytest.approx(expected.expected[0], rel=1e-6)
    assert float(window["p_local"]) == pytest.approx(expected.p_local[0], rel=1e-6)
    sigma = expected.yield_limit[0] / (50.0 * total)
    assert float(window["cross_section_limit"]) == pytest.approx(sigma, rel=1e-6)
    assert np.isnan(window["channel_yield_limit"].sel(channel="c")) == (m == 1.45)


def test_together_channels_limit_more_than_any_of_them_would_in_the_median(cube):
    best = cube["channel_yield_limit"].min("channel")
    assert float((cube["yield_limit"] / best).median()) < 1.0


def test_the_cube_is_the_same_for_any_blocks(cube, store, tmp_path):
    again = scan(
        definition.parse(SEARCH), store, str(tmp_path / "again.zarr"), executor=SerialExecutor(),
        options=Options(rows_a_block=300, windows_a_block=1),
    )  # fmt: skip
    for name in cube.data_vars:
        np.testing.assert_array_equal(again[name], cube[name], str(name))


@pytest.mark.parametrize("many", [1, 32])
def test_configurations_cost_no_reading(store, tmp_path, monkeypatch, many):
    """The rows that are read, and how often, do not depend on the number of configurations."""
    read = EventStore.read
    seen = []

    def counting(self, shard, names, start, stop):
        seen.append((shard, tuple(names), start, stop))
        return read(self, shard, names, start, stop)

    monkeypatch.setattr(EventStore, "read", counting)
    values = ", ".join(str(0.01 * (1 + number)) for number in range(many))
    text = SEARCH.replace("{least: [0.1, 0.2], size: [1, 2]}", f"{{least: [{values}], size: [1]}}")
    text = text.replace('values: "0.5, 1, 1.45, 2.5 GeV"', 'values: "1 GeV"')
    cube = scan(
        definition.parse(text), store, str(tmp_path / "cube.zarr"), executor=SerialExecutor(),
        options=Options(rows_a_block=300),
    )  # fmt: skip
    assert cube.sizes.get("configuration", 1) == many
    assert sum(stop - start for _, _, start, stop in seen) == ROWS
    assert len(set(seen)) == len(seen)
    assert {names for _, names, _, _ in seen} == {("angle", "m_pair", "mode")}


# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_exported_counts_have_the_maximum_of_scipy(place, cube, darkscan, pyhf_fit, tmp_path):
    m = 1.0
    answer = darkscan("export", place, "--format", "pyhf", "-o", tmp_path, "--at", f"m_x={m}")
    assert answer.code == 0, answer
    assert len(list(tmp_path.iterdir())) == cube.sizes["configuration"]
    rates = {"a": 0.2, "b": 0.05, "c": 0.1 * m}
    found = [counted(name, m, 0.1) for name in "abc"]
    parts = [CONTAINED * rate / sum(rates.values()) for rate in rates.values()]

    def deviance(x):
        return sum(
            -poisson.logpmf(n, max(x[0] * part + b, 1e-9)) - poisson.logpmf(off, tau * b)
            for (n, off, tau), part, b in zip(found, parts, x[1:], strict=True)
        )

    best = minimize(deviance, [1.0, 3.0, 3.0, 3.0], method="Nelder-Mead", tol=1e-9).x[0]
    (file,) = tmp_path.glob(f"{cube['configuration'].values[0]}-*")
    assert pyhf_fit(tmp_path, file.stem).best == pytest.approx(best, abs=1e-2)
