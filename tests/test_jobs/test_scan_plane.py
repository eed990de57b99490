"""A scan over the plane of two masses: counting windows, background from simulation or a sideband."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.likelihoods import open_cube_run, windows_at
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition, plots
from scanner.models import get
from scanner.stats import calculate
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

PLANE = """
name: plane
beam: {sqrt_s: 10.58 GeV}
luminosity: 8 fb^-1
columns: {m_mumu: GeV, m_recoil: GeV, p_t: GeV}
scan:
  m_aprime: {range: [4 GeV, 6 GeV], step: 2 resolution(m_mumu)}
  m_hprime: {range: [0.5 GeV, 4.5 GeV], step: 2 resolution(m_recoil), where: m_hprime < m_aprime - 1}
window:
  shape: ellipse
  axes: [m_mumu, m_recoil]
  half_width: 2 resolution
  tilt: {formula: 0.1 * m_hprime / m_aprime, source: default}
channels:
  mumu: {source: default, select: p_t > 0.05 * m_aprime}
signal:
  shape: counting
  source: default
  resolutions: {m_mumu: 60 MeV, m_recoil: {formula: 0.2 - 0.01 * m_hprime, unit: GeV}}
  efficiency: {formula: 0.1 + 0.01 * m_hprime}
background: {shape: counting, estimate: simulation, systematic: 10%, source: default}
systematics: {muons: {on: efficiency, size: 5%, source: default}}
method: {limit: bayesian}
model: dark_higgsstrahlung
"""
SIGNAL = (5.0, 2.0)


def rows(number, seed, signal=0):
    rng = np.random.default_rng(seed)
    values = {
        "m_mumu": np.append(rng.uniform(3.0, 7.0, number), rng.normal(SIGNAL[0], 0.03, signal)),
        "m_recoil": np.append(rng.uniform(0.0, 5.0, number), rng.normal(SIGNAL[1], 0.1, signal)),
        "p_t": np.append(rng.uniform(0.0, 2.0, number), np.full(signal, 1.0)),
    }
    return {name: column.astype(np.float32) for name, column in values.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("plane") / "events.zarr"
    columns = {"m_mumu": "GeV", "m_recoil": "GeV", "p_t": "GeV"}
    made = EventStore.create(path, columns, chunk_rows=1024, shard_rows=4096)
    made.append(Sample("data", "data", luminosity=8.0), [rows(5000, 1, 60)])
    # Two periods of one process, 16/fb in all, and another process of 20/fb by its cross section.
    made.append(Sample("a1", "simulation", "mu_mu_gamma", "one", luminosity=6.0), [rows(3000, 2)])
    made.append(Sample("a2", "simulation", "mu_mu_gamma", "two", luminosity=10.0), [rows(5000, 3)])
    made.append(Sample("b", "simulation", "tau_tau", cross_section=100.0, generated=2000), [rows(1000, 4)])
    made.append(Sample("other", "signal", "dark_higgs", luminosity=1.0), [rows(1000, 5)])
    return str(path)


@pytest.fixture(scope="module")
def cube(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / "cube.zarr"
    return scan(
        definition.parse(PLANE), store, str(path), executor=SerialExecutor(), options=Options("bayesian")
    )


def in_window(events, m_aprime, m_hprime):
    """Count as numpy does."""
    x, y, p = (np.asarray(events[name], np.float64) for name in ("m_mumu", "m_recoil", "p_t"))
    tilt = 0.1 * m_hprime / m_aprime
    dx, dy = x - m_aprime, y - m_hprime
    first = (dx * np.cos(tilt) + dy * np.sin(tilt)) / 0.12
    second = (dy * np.cos(tilt) - dx * np.sin(tilt)) / (2 * (0.2 - 0.01 * m_hprime))
    return int(((first**2 + second**2 <= 1.0) & (p > 0.05 * m_aprime)).sum())


@pytest.mark.parametrize("at", [SIGNAL, (4.0, 0.5), (4.4, 3.3)])
def test_a_window_counts_and_limits_as_a_single_experiment(cube, at):
    window = cube.limits.at(m_aprime=at[0], m_hprime=at[1])
    place = float(window["m_aprime"]), float(window["m_hprime"])
    data, one, two, other = (
        in_window(rows(*arguments), *place) for arguments in ((5000, 1, 60), (3000, 2), (5000, 3), (1000, 4))
    )
    scale, scale_other = 8.0 / 16.0, 8.0 / 20.0
    background = scale * (one + two) + scale_other * other
    error = np.sqrt(scale**2 * (one + two) + scale_other**2 * other + (0.1 * background) ** 2)
    assert int(window["n_observed"]) == data
    assert float(window["n_background"]) == pytest.approx(background)
    assert float(window["n_background_error"]) == pytest.approx(error)
    found = calculate(data, background, error, method="bayesian", confidence_level=0.9, efficiency_error=0.05)
    assert float(window["yield_limit"]) == pytest.approx(found.limit, rel=1e-6)
    assert window["yield_limit_expected"].to_numpy() == pytest.approx(found.expected, rel=1e-6)
    sigma = found.limit / (8.0 * (0.1 + 0.01 * place[1]))
    assert float(window["cross_section_limit"]) == pytest.approx(sigma, rel=1e-6)
    model = type(get("dark_higgsstrahlung"))(m_hprime=place[1])
    assert float(window["coupling_limit"]) == pytest.approx(
        sigma / model.production(place[0], 10.58), rel=1e-6
    )


def test_the_signal_is_the_largest_excess(cube):
    excess = cube.limits.largest_excess()
    assert excess.place["m_aprime"] == pytest.approx(SIGNAL[0], abs=0.12)
    assert excess.place["m_hprime"] == pytest.approx(SIGNAL[1], abs=0.36)
    assert excess.z_local > 4.0


def test_points_outside_of_the_scan_are_empty_and_say_so(cube):
    outside = (cube["m_hprime"] >= cube["m_aprime"] - 1).transpose("m_aprime", "m_hprime").to_numpy()
    assert 0 < outside.sum() < outside.size
    words = cube.limits.flags("status")
    assert (
        [words[value] == "outside_scan" for value in cube["status"].to_numpy().ravel()] == outside.ravel()
    ).all()
    for name in ("yield_limit", "coupling_limit", "z_local", "n_background", "efficiency"):
        assert (np.isnan(cube[name].transpose("m_aprime", "m_hprime", ...).to_numpy()) == outside).all()
    assert (cube["n_observed"].to_numpy()[outside] == 0).all()


def test_blocks_and_resumption_change_no_bit(cube, store, tmp_path):
    options = Options("bayesian", rows_a_block=777, windows_a_block=50)
    path = str(tmp_path / "again.zarr")
    again = scan(definition.parse(PLANE), store, path, executor=SerialExecutor(), options=options)
    assert cubes.digest(again) == cubes.digest(cube)


@pytest.fixture
def plane_file(tmp_path):
    path = tmp_path / "plane.yaml"
    sideband = (
        "estimate: sideband, sideband: {observable: m_mumu, exclude: 3 resolution, width: 8 resolution}"
    )
    path.write_text(PLANE.replace("estimate: simulation, systematic: 10%", sideband))
    return path


def test_the_command_line_scans_a_plane_and_answers(darkscan, plane_file, store, tmp_path):
    out = tmp_path / "sideband.zarr"
    report = darkscan("scan", plane_file, store, "-o", out, "--json")
    assert report.code == 0
    assert report.json["largest_excess"]["place"]["m_aprime"] == pytest.approx(SIGNAL[0], abs=0.12)
    assert 0 < report.json["scanned"] == report.json["status"]["ok"] < report.json["windows"]
    at = darkscan("query", out, "--at", "m_aprime=5.2,m_hprime=2.1", "--json").json
    values = at["values"]
    found = calculate(
        values["n_observed"],
        off=values["n_sideband"],
        tau=values["n_sideband"] / values["n_background"],
        method="bayesian",
        confidence_level=0.9,
        efficiency_error=0.05,
    )
    assert values["yield_limit"] == pytest.approx(found.limit, rel=1e-6)
    assert at["meanings"]["status"] == "ok"
    excess = darkscan("query", out, "--json").json["at"]
    assert excess["m_hprime"] == pytest.approx(SIGNAL[1], abs=0.36)


def test_the_plane_is_drawn_as_a_map(cube, darkscan, tmp_path):
    figure = plots.limit_plot(cube, "cross_section")
    drawn = [panel.collections[0] for panel in figure.axes[:2]]
    for mesh, name in zip(drawn, ("cross_section_limit", "z_local"), strict=True):
        values = cube[name].transpose("m_hprime", "m_aprime").to_numpy()
        assert np.array_equal(
            np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(values.shape), values, equal_nan=True
        )
    edges = drawn[0].get_coordinates()[0, :, 0]
    masses = cube["m_aprime"].to_numpy()
    assert (edges[:-1] < masses).all()
    assert (masses < edges[1:]).all()
    path = tmp_path / "cube.zarr"
    cubes.write(cube, str(path), overwrite=False)
    assert darkscan("plot", path, "-o", tmp_path / "plane.png").code == 0
    assert (tmp_path / "plane.png").stat().st_size > 10_000


def test_a_store_without_simulation_says_what_to_do(darkscan, plane_file, store, tmp_path):
    plane_file.write_text(PLANE)
    empty = tmp_path / "data.zarr"
    made = EventStore.create(empty, {"m_mumu": "GeV", "m_recoil": "GeV", "p_t": "GeV"})
    made.append(Sample("data", "data", luminosity=8.0), [rows(100, 1)])
    answer = darkscan("scan", plane_file, empty, "-o", tmp_path / "none.zarr")
    assert answer.code == 2
    assert "takes its background from simulation" in answer.err


LINE = """
name: line
beam: {sqrt_s: 10.58 GeV}
columns: {m_mumu: GeV, p_t: GeV}
scan: {m_x: {range: [3.5 GeV, 6.5 GeV], step: 1 resolution}}
window: {half_width: 2 resolution}
channels: {pair: {observable: m_mumu, source: default, select: p_t > 0.05 * m}}
signal: {shape: gaussian, resolution: 30 MeV, efficiency: 50%, source: default}
background:
  {shape: counting, estimate: sideband, source: default,
   sideband: {observable: m_mumu, exclude: 4 resolution, width: 10 resolution}}
method: {limit: auto}
"""


def test_intervals_of_one_mass_are_counted_as_well(store, darkscan, tmp_path):
    path = tmp_path / "line.zarr"
    options = Options("auto", windows_a_block=17)
    cube = scan(definition.parse(LINE), store, str(path), executor=SerialExecutor(), options=options)
    assert cube.limits.axis == "m_x"
    window = cube.limits.at(m_x=5.0)
    mass, events = float(window["m_x"]), rows(5000, 1, 60)
    x = events["m_mumu"].astype(np.float64)[events["p_t"].astype(np.float64) > 0.05 * mass]
    distance = np.abs(x - mass) / 0.03
    inside, beside = int((distance <= 2).sum()), int(((distance > 4) & (distance < 14)).sum())
    assert (int(window["n_observed"]), int(window["n_sideband"])) == (inside, beside)
    found = calculate(inside, off=beside, tau=5.0, method="cls", confidence_level=0.9)
    # 95.45% of a Gaussian are within two standard deviations.
    assert float(window["yield_limit"]) == pytest.approx(found.limit / 0.954500, rel=1e-5)
    assert cube.limits.largest_excess().mass == pytest.approx(5.0, abs=0.1)
    assert darkscan("plot", path, "-o", tmp_path / "line.png").code == 0
    assert darkscan("query", path, "--at", "m_x=5", "--json").json["values"]["n_observed"] == inside


# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_exported_counts_of_a_plane_are_fitted_by_pyhf(store, darkscan, pyhf_fit, tmp_path):
    path = tmp_path / "cube.zarr"
    search = definition.parse(PLANE.replace("step: 2", "step: 8"))
    cube = scan(search, store, str(path), executor=SerialExecutor(), options=Options("asymptotic"))
    scanned = np.isfinite(cube["yield_limit"]).to_numpy()
    answer = darkscan("export", path, "--format", "pyhf", "-o", tmp_path / "all")
    assert answer.code == 0, answer
    assert len(list((tmp_path / "all").iterdir())) == scanned.sum()
    at = {"m_aprime": 5.2, "m_hprime": 2.1}
    (window,) = windows_at(run := open_cube_run(str(path)), at)
    exported = pyhf_fit(tmp_path / "all", window.label(run))
    here = cube.sel(at, method="nearest")
    assert exported.best == pytest.approx(float(here["signal_yield"]), rel=1e-3)
    assert exported.cls(float(here["yield_limit"])) == pytest.approx(0.1, rel=0.01)
