"""Efficiencies along a lifetime from one simulated signal, reweighted in the pass."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.errors import InputError
from storage.events import EventStore
from storage.samples import Sample

SEARCH = """
name: displaced
beam: {sqrt_s: 10.58 GeV}
luminosity: 100 fb^-1
normalisation: {kind: pairs, pairs: 1e13, per_pair: 2, source: user}
columns: {mass: GeV, t: cm, t0: cm, boost: "1"}
scan:
  m_s: {range: [1 GeV, 1.2 GeV], step: 2 resolution}
  ctau: {values: [0.2 cm, 1 cm, 3 cm]}
channels:
  near: {observable: mass, select: [t * boost > 0.2, t * boost < 2], source: user}
  far: {observable: mass, select: [t * boost > 2, t * boost < 60], source: user}
signal: {shape: gaussian, resolution: 10 MeV, efficiency: {constant: 50%, source: user}, source: user}
background: {shape: linear, order: 0}
window: {half_width: 5 resolution, bins: 20}
decays: {s: {displacement: t, generated_ctau: t0, axis: ctau}}
method: {limit: asymptotic}
model: {name: dark_scalar, final_state: mu_mu}
"""
GENERATED, EVENTS = 2.0, 60_000
CTAU = np.array([0.2, 1.0, 3.0])


def flown(rng, mass, events, ctau):
    return {
        "mass": rng.normal(mass, 0.01, events).astype(np.float32),
        "t": rng.exponential(ctau, events).astype(np.float32),
        "t0": np.full(events, ctau, np.float32),
        "boost": np.full(events, 2.0, np.float32),
    }


def make(path, masses=(1.0, 1.2)):
    rng = np.random.default_rng(8)
    units = {"mass": "GeV", "t": "cm", "t0": "cm", "boost": ""}
    store = EventStore.create(path, units, chunk_rows=1024, shard_rows=4096)
    data = flown(rng, 1.1, 3000, 3.0)
    data["mass"] = rng.uniform(0.9, 1.3, 3000).astype(np.float32)
    store.append(Sample("data", "data"), [data])
    for number, mass in enumerate(masses):
        sample = Sample(f"signal_{number}", "signal", generated=EVENTS, parameters={"mass": mass})
        store.append(sample, [flown(rng, mass, EVENTS, GENERATED)])
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make(tmp_path_factory.mktemp("reweighted") / "events.zarr")


def run(place, folder, text=SEARCH, **options):
    search = definition.parse(text)
    return scan(
        search,
        place,
        str(folder / "cube"),
        executor=SerialExecutor(),
        options=Options("asymptotic", **options),
    )


@pytest.fixture(scope="module")
def cube(place, tmp_path_factory):
    return run(place, tmp_path_factory.mktemp("cube"))


def test_efficiencies_are_those_of_every_lifetime(cube):
    near, far = (
        0.5 * (np.exp(-low / (2.0 * CTAU)) - np.exp(-high / (2.0 * CTAU)))
        for low, high in ((0.2, 2), (2, 60))
    )
    found = cube["channel_efficiency"].sel(m_s=1.0)
    for channel, exact in (("near", near), ("far", far)):
        # Σw² of a lifetime below twice the generated one: 1/s(2−s) of the unweighted.
        share = np.minimum(CTAU / GENERATED, 1.9)
        error = 0.5 / np.sqrt(EVENTS * share * (2.0 - share))
        difference = found.sel(channel=channel).to_numpy() - exact
        assert (np.abs(difference) < 5.0 * error).all()
    np.testing.assert_allclose(cube["efficiency"], cube["channel_efficiency"].sum("channel"))


def test_events_of_signals_are_no_data(cube):
    assert int(cube["cutflow_near"][0, 0]) == 3000
    assert cube["yield_limit"].dims == ("ctau", "m_s")
    assert bool(np.isfinite(cube["coupling_low"]).any())


def test_the_cube_is_the_same_for_any_blocks(cube, place, tmp_path):
    again = run(place, tmp_path, rows_a_block=7777, windows_a_block=5)
    for name in cube.data_vars:
        np.testing.assert_array_equal(again[name], cube[name], str(name))


def test_masses_that_were_not_simulated_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"from 1 to 1\.1 GeV"):
        run(make(tmp_path / "events.zarr", masses=(1.0, 1.1)), tmp_path)
    with pytest.raises(InputError, match="holds no simulated signal"):
        run(make(tmp_path / "without.zarr", masses=()), tmp_path)


def test_a_decay_without_a_lifetime_is_refused(place, tmp_path):
    with pytest.raises(InputError, match="names no axis"):
        run(place, tmp_path, SEARCH.replace(", axis: ctau", ""))
