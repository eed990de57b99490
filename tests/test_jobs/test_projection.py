"""Projections from the likelihoods of a run: today is the cube, and luminosity helps as it must."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.projection import expected_limits, project
from jobs.scan import scan
from scanner import definition
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.scenarios import at_scenario
from scanner.stats import Settings
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

LUMINOSITY = 10.0
BEAM = f"""
beam: {{sqrt_s: 10.58 GeV}}
luminosity: {LUMINOSITY} fb^-1
normalisation: luminosity
columns: {{mode: "1", mass: GeV}}
systematics:
  tracks: {{on: signal, size: 8%, scaling: 1/sqrt(L), floor: 1%, source: user}}
  shape: {{on: background, size: 2%, scaling: 1/sqrt(L), source: user}}
"""
CHANNELS = """
channels:
  a: {observable: mass, select: abs(mode) < 0.5, resolution: 20 MeV, efficiency: EFFICIENCY, source: user}
  b: {observable: mass, select: abs(mode - 1) < 0.5, resolution: 30 MeV, efficiency: 10%, source: user}
"""
FITTED = (
    f"name: fitted\n{BEAM}{CHANNELS.replace('EFFICIENCY', '{formula: 0.2 / (1 + ctau)}')}"
    """
scan: {m_x: {values: "1.7 GeV, 2 GeV, 2.3 GeV"}, ctau: {values: [0.1 cm, 10 cm]}}
window: {half_width: 10 resolution, bins: 20}
signal: {shape: gaussian, source: user}
background: {shape: chebyshev, order: 1, source: user}
"""
)
COUNTED = (
    f"name: counted\n{BEAM}{CHANNELS.replace('EFFICIENCY', '{formula: 0.1 * size}')}"
    """
configurations: {product: {size: [1, 2]}}
scan: {m_x: {values: "1.7, 2, 2.3 GeV"}}
window: {half_width: 2 resolution}
signal: {source: user}
background:
  shape: counting
  estimate: sideband
  source: user
  sideband: {observable: mass, exclude: 4 resolution, width: 10 resolution}
"""
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("projection"), np.random.default_rng(12)
    found = {}
    for name, text, rows in (("fitted", FITTED, 20_000), ("counted", COUNTED, 300)):
        store, found[name] = str(folder / f"{name}.events"), str(folder / name)
        made = EventStore.create(store, {"mode": "1", "mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
        events = {"mode": rng.integers(0, 2, rows).astype(float), "mass": 1.0 + 2.0 * rng.beta(1, 2, rows)}
        made.append(Sample("data", "data", luminosity=LUMINOSITY), [events])
        search = definition.parse(text)
        scan(search, store, found[name], executor=SerialExecutor(), options=Options(search.method.limit))
    found["published"] = str(folder / "published")
    search = definition.load("tau_3mu_counts")
    scan(search, "", found["published"], executor=SerialExecutor(), options=Options(search.method.limit))
    return found


@pytest.mark.parametrize("name", ["fitted", "counted", "published"])
def test_a_projection_to_today_is_what_the_cube_expects(places, name):
    cube = cubes.open(places[name])
    today = project(places[name], [cube.attrs["luminosity"]], "constant").isel(luminosity=0)
    rate = "branching_fraction_limit_expected" if name == "published" else "cross_section_limit_expected"
    assert today[rate].dims == cube[rate].dims
    for variable in ("yield_limit_expected", rate):
        np.testing.assert_allclose(today[variable], cube[variable], rtol=1e-6)


@pytest.mark.parametrize("name", ["fitted", "counted", "published"])
def test_scenarios_order_as_they_must(places, name):
    target = [100.0 * cubes.open(places[name]).attrs["luminosity"]]
    statistical, improving, constant = (
        project(places[name], target, scenario)["yield_limit_expected"].sel(quantile=0.5)
        for scenario in ("statistical", "improving", "constant")
    )
    assert bool((statistical <= improving * (1 + 1e-9)).all())
    assert bool((improving <= constant * (1 + 1e-9)).all())
    assert bool((statistical < constant).all())


def test_over_background_the_limit_falls_with_the_root_of_the_luminosity(places):
    limit = project(places["fitted"], [1e2 * LUMINOSITY, 1e4 * LUMINOSITY])["cross_section_limit_expected"]
    ratio = limit.isel(luminosity=1) / limit.isel(luminosity=0)
    np.testing.assert_allclose(ratio, 0.1, rtol=0.01)


def test_without_background_the_limit_falls_with_the_luminosity():
    signal, flat = np.array([[0.1, 0.8, 0.1]]), np.ones((1, 1, 3))
    empty = BinnedProblem(np.zeros((1, 3)), signal, flat, core=np.array([[False, True, False]]))
    for scale in (1.0, 50.0):
        found = expected_limits(empty, scale, Settings(0.9))
        np.testing.assert_allclose(found, -np.log(0.1) / 0.8, rtol=1e-6)


def test_systematics_shrink_to_their_floor():
    search = definition.parse(FITTED)
    mass, nowhere = np.array([2.0]), {"ctau": 1.0}
    for scenario, scale, tracks, shape in (
        ("constant", 100.0, 0.08, 0.02),
        ("improving", 4.0, 0.04, 0.01),
        ("improving", 1e4, 0.01, 0.0002),
    ):
        later = at_scenario(search, scale, scenario, counts_scaled=False).systematics
        assert later["tracks"].relative(mass, nowhere)[0] == pytest.approx(tracks)
        assert later["shape"].relative(mass, nowhere)[0] == pytest.approx(shape)
    assert not at_scenario(search, 4.0, "statistical", counts_scaled=False).systematics


def test_the_command(places, darkscan, refused, tmp_path):
    answer = darkscan("project", places["fitted"], "--luminosity", "1/ab", "--at", "m_x=2,ctau=10", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["median"]["yield_limit_expected"][0] > 0.0
    whole = darkscan("project", places["counted"], "--luminosity", "1/ab,5/ab", "-o", tmp_path / "reach")
    assert whole.code == 0, whole.err
    assert cubes.open(str(tmp_path / "reach")).sizes["configuration"] == 2
    second = str(cubes.open(places["counted"])["configuration"].to_numpy()[1])
    one = darkscan("project", places["counted"], "--luminosity", "1/ab", "--configuration", second, "--json")
    assert len(one.json["median"]["yield_limit_expected"]) == 1
    with pytest.raises(InputError, match="likelihoods of its run"):
        cubes.open(places["fitted"]).limits.project([100.0])
