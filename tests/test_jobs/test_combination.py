"""Searches for one coupling together: halves of one search are the whole, and other masses stay apart."""

import numpy as np
import pytest

from jobs.combining.combination import combination
from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.errors import InputError
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

LUMINOSITY = 60.0
ONE = f"""
extends: zp_mumu
range: [1.95 GeV, 2.05 GeV]
luminosity: {LUMINOSITY} fb^-1
"""
CUTS = 'n_muons >= 3, abs(m_4mu - sqrt_s) < 0.1, nn > 0.5, "sin(12.9898 * event) SIGN 0"'
CHANNEL = f"{{select: [{CUTS}], branching_fraction: 50%, source: user}}"
EVEN, ODD = CHANNEL.replace("SIGN", ">="), CHANNEL.replace("SIGN", "<")
TWO = f"{ONE}channels:\n  four_muons:\n  even: {EVEN}\n  odd: {ODD}\n"
HALVES = [
    f"{ONE}channels:\n  four_muons:\n  {name}: {text}\n" for name, text in (("even", EVEN), ("odd", ODD))
]
OPTIONS = Options(method="asymptotic")
SHARED = ("luminosity", "efficiency")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The scan of two channels together, of each of them alone, and of other masses."""
    folder, serial = tmp_path_factory.mktemp("combination"), SerialExecutor()
    store = str(folder / "events.zarr")
    generate(definition.parse(ONE), store, executor=serial, seed=3)
    wide = ONE.replace("1.95 GeV, 2.05", "2.0 GeV, 2.1")
    texts = {"two": TWO, "even": HALVES[0], "odd": HALVES[1], "wide": wide}
    for name, text in texts.items():
        scan(definition.parse(text), store, str(folder / name), executor=serial, options=OPTIONS)
    return {name: str(folder / name) for name in texts}, scan


def opened(places, name):
    return cubes.open(places[0][name])


def test_halves_of_one_search_together_are_its_channels(places, tmp_path):
    made = combination(
        [places[0]["even"], places[0]["odd"]], str(tmp_path / "both"), method="asymptotic", shared=SHARED
    )
    two = opened(places, "two")
    assert (made["searches"] == 2).all()
    for name in ("coupling_limit", "coupling_limit_expected", "z_local"):
        np.testing.assert_allclose(made[name], two[name], rtol=1e-6, atol=1e-7)
    # The yield is in events of both searches.
    np.testing.assert_allclose(made["signal_yield"], two["signal_yield"], rtol=1e-5, atol=1e-5)


def test_systematics_of_ones_own_are_not_shared(places, tmp_path):
    cubes = [places[0]["even"], places[0]["odd"]]
    together = combination(cubes, str(tmp_path / "a"), method="asymptotic", shared=SHARED)
    apart = combination(cubes, str(tmp_path / "b"), method="asymptotic")
    # Errors that are independent average out.
    assert bool((apart["coupling_limit"] < together["coupling_limit"]).all())


def test_masses_that_one_search_has_are_its_own(places, tmp_path):
    made = combination([places[0]["even"], places[0]["wide"]], str(tmp_path / "c"), method="asymptotic")
    mass, count = made["m_zprime"].to_numpy(), made["searches"].to_numpy()
    assert (count[mass < 1.99] == 1).all()
    assert (count[mass > 2.0] == 2).all()
    alone = opened(places, "even")
    below = mass < 1.99
    np.testing.assert_allclose(made["coupling_limit"][below], alone["coupling_limit"][below], rtol=1e-9)
    assert float(made["coupling_limit"][~below].mean()) < float(alone["coupling_limit"][~below].mean())


def test_the_command(places, darkscan, tmp_path):
    answer = darkscan("combine", places[0]["even"], places[0]["odd"], "-o", tmp_path / "d", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["searches"] == 2
    answer = darkscan("plot", tmp_path / "d", "-o", tmp_path / "d.png")
    assert answer.code == 0, answer.err


def test_what_cannot_be_combined_is_refused(places, tmp_path):
    with pytest.raises(InputError, match="two cubes or more"):
        combination([places[0]["even"]], str(tmp_path / "e"))
    with pytest.raises(InputError, match="take one of auto"):
        combination([places[0]["even"], places[0]["odd"]], str(tmp_path / "e"), method="minos")


LINE = """
name: lines
observable: mass
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
normalisation: luminosity
columns: {mass: GeV}
scan:
  m_x: {range: [1.9 GeV, 2.1 GeV], step: 1 resolution}
  ctau: {values: [0.1 cm, 1 cm, 10 cm]}
regions:
  low: {mass: [1.9 GeV, 2.0 GeV], reach: [1 GeV, 2.4 GeV], observable: mass, peak: m}
  high: {mass: [2.0 GeV, 2.1 GeV], reach: [1.6 GeV, 3 GeV], observable: mass, peak: m}
window: {half_width: 10 resolution, bins: 20}
signal:
  shape: gaussian
  resolution: 20 MeV
  efficiency: {formula: 0.2 / (1 + ctau)}
  source: user
background: {shape: chebyshev, order: 1, source: user}
channels: {only: {select: [], source: user}}
"""
PAIRS = """normalisation: {kind: pairs, pairs: 1e9, per_pair: 2, source: user}
model: {name: dark_scalar, final_state: mu_mu}"""
PLANE = """
name: plane
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
normalisation: luminosity
columns: {mode: "1", m_pair: GeV}
configurations: {product: {size: [1, 2]}}
scan: {m_x: {values: "0.5, 1, 1.45, 2.5 GeV"}}
window: {half_width: 2 resolution}
channels:
  a: {observable: m_pair, select: abs(mode) < 0.5, resolution: 10 MeV,
      efficiency: {formula: 0.2 * size}, source: user}
  b: {observable: m_pair, select: abs(mode - 1) < 0.5, resolution: 20 MeV, efficiency: 10%, source: user}
signal: {source: user}
background:
  shape: counting
  estimate: sideband
  source: user
  sideband: {observable: m_pair, exclude: 4 resolution, width: 10 resolution}
systematics: {tracks: {on: signal, size: 8%, source: user}}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Scans of a few events, of the same events twice at twice the luminosity, and of other lifetimes."""
    folder, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(6)
    events = {"mass": 1.0 + 2.0 * rng.beta(1.0, 2.0, 8000)}
    pairs = {"mode": np.repeat([0.0, 1.0], [900, 1500]), "m_pair": rng.uniform(0.4, 2.6, 2400)}
    lived = LINE.replace("normalisation: luminosity", PAIRS).replace(
        "[0.1 cm, 1 cm, 10 cm]", "{log: [1e-4 cm, 1e2 cm], points: 7}"
    )
    later = LINE.replace("[0.1 cm, 1 cm, 10 cm]", "[1 cm, 10 cm, 100 cm]")
    found = {}
    for name, text, columns, times in (
        ("line", LINE, events, 1), ("lines", LINE, events, 2), ("later", later, events, 1),
        ("plane", PLANE, pairs, 1), ("planes", PLANE, pairs, 2),
        ("lived", lived, events, 1), ("liveds", lived, events, 2),
    ):  # fmt: skip
        store, found[name] = str(folder / f"{name}.events"), str(folder / name)
        units = {column: "1" if column == "mode" else "GeV" for column in columns}
        made = EventStore.create(store, units, chunk_rows=1024, shard_rows=4096)
        rows = {column: np.tile(values, times) for column, values in columns.items()}
        made.append(Sample("data", "data", luminosity=10.0 * times), [rows])
        scan(definition.parse(text), store, found[name], executor=SerialExecutor(), options=OPTIONS)
    return found


@pytest.mark.parametrize("name", ["line", "plane"])
def test_a_search_with_itself_is_one_of_twice_the_luminosity(small, tmp_path, name):
    """In both regions, at every lifetime, in every configuration, fitted or counted in two channels."""
    names = {"method": "asymptotic", "of": "rate", "shared": ("efficiency",)}
    made = combination([small[name]] * 2, str(tmp_path / "both"), **names)
    twice = cubes.open(small[f"{name}s"])
    assert made["yield_limit"].dims == twice["yield_limit"].dims
    np.testing.assert_array_equal(made["region"], twice["region"])
    for variable in ("yield_limit", "cross_section_limit", "cross_section_limit_expected", "z_local"):
        np.testing.assert_allclose(made[variable], twice[variable], rtol=1e-6, atol=1e-6)


def test_lifetimes_of_one_search_are_its_own(small, tmp_path):
    names = {"method": "asymptotic", "of": "rate"}
    made = combination([small["line"], small["later"]], str(tmp_path / "both"), **names)
    assert made["searches"].isel(m_x=0).to_numpy().tolist() == [1, 2, 2]
    alone = cubes.open(small["line"]).isel(ctau=0)
    np.testing.assert_allclose(
        made["cross_section_limit"].isel(ctau=0), alone["cross_section_limit"], rtol=1e-9
    )
    with pytest.raises(InputError, match="different axes"):
        combination([small["line"], small["plane"]], str(tmp_path / "none"), of="rate")


def test_a_coupling_that_sets_the_lifetime_is_excluded_in_intervals(small, tmp_path):
    """With itself, without background in common, as one of twice the luminosity."""
    made = combination([small["lived"]] * 2, str(tmp_path / "both"), method="asymptotic")
    twice = cubes.open(small["liveds"])
    for name in ("coupling_low", "coupling_high", "coupling_low_expected", "coupling_low_open"):
        assert made[name].dims == twice[name].dims
        np.testing.assert_allclose(made[name], twice[name], rtol=1e-5)
    assert bool((made["coupling_low"].isel(interval=0) < made["coupling_high"].isel(interval=0)).all())


def test_one_configuration_of_several(small, tmp_path):
    names = {"method": "asymptotic", "of": "rate"}
    every = combination([small["plane"]] * 2, str(tmp_path / "every"), **names)
    second = str(every["configuration"].to_numpy()[1])
    one = combination([small["plane"]] * 2, str(tmp_path / "one"), configuration=second, **names)
    np.testing.assert_array_equal(
        one["cross_section_limit"], every["cross_section_limit"].sel(configuration=second)
    )
    with pytest.raises(InputError, match="has no configuration"):
        combination([small["plane"]] * 2, str(tmp_path / "none"), configuration="other", of="rate")
