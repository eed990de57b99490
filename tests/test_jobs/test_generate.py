"""The generation job: signals, periods, interruption, and the arguments that it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import generate as job
from jobs import generation
from jobs.executors import DaskExecutor, SerialExecutor, local_cluster
from jobs.generate import generate
from jobs.places import GENERATION
from scanner import definition
from scanner.errors import InputError
from storage.events import EventStore
from storage.locations import Location

SIGNAL = {"m_zprime": 3.0, "cross_section": 5.0}
LUMINOSITY = 5.0


@pytest.fixture(scope="module")
def search():
    return definition.load("zp_mumu")


@pytest.fixture
def many_chunks(monkeypatch):
    """Make chunks so small that a little data has many."""
    for module in (job, generation):
        monkeypatch.setattr(module, "EVENTS_A_CHUNK", 256)


def run(search, store, executor=None, **options):
    options = {"luminosity": LUMINOSITY, "signals": [SIGNAL]} | options
    return generate(search, str(store), executor=executor or SerialExecutor(), **options)


def column(store, name):
    opened = EventStore.open(store)
    return np.concatenate([opened.read(shard.index, [name])[name] for shard in opened.shards])


def test_backgrounds_and_signals_are_samples_of_one_period(search, tmp_path):
    report = run(search, tmp_path / "s.zarr", signals=[SIGNAL, SIGNAL | {"m_zprime": 5.0}])
    assert [sample["name"] for sample in report["samples"]] == ["four_muons", "signal", "signal_1"]
    store = EventStore.open(tmp_path / "s.zarr")
    assert {sample.kind for sample in store.samples} == {"pseudodata"}
    assert store.luminosity == report["luminosity"] == LUMINOSITY
    assert store.samples[2].parameters["mass"] == 5.0
    assert store.samples[1].generated == pytest.approx(25, abs=25)
    assert not list(tmp_path.glob("*.run"))


def test_the_seed_decides_everything(search, tmp_path):
    digests = [run(search, tmp_path / f"{n}.zarr", seed=seed)["digest"] for n, seed in enumerate((1, 1, 2))]
    assert digests[0] == digests[1] != digests[2]


def test_a_further_period_adds_luminosity_and_other_events(search, tmp_path):
    path = tmp_path / "s.zarr"
    first = run(search, path)
    rows = first["rows"]
    second = run(search, path, period="two")
    assert second["luminosity"] == 2 * LUMINOSITY
    assert second["samples"][0]["generated"] != first["samples"][0]["generated"]
    masses, events = column(path, "m_mumu"), column(path, "event")
    assert len(masses) == second["rows"] > rows
    assert np.isin(masses[rows:], masses[:rows]).mean() < 0.01  # float32 values meet by chance
    assert not np.isin(events[rows:], events[:rows]).any()
    assert EventStore.open(path).verify() == ()


@pytest.mark.parametrize(("period", "named"), [("", "the period without a name"), ("b", "the period 'b'")])
def test_a_period_comes_once(search, tmp_path, period, named):
    run(search, tmp_path / "s.zarr", period=period)
    before = EventStore.open(tmp_path / "s.zarr").digest
    with pytest.raises(InputError, match=f"holds rows of {named} already: name another --period"):
        run(search, tmp_path / "s.zarr", period=period)
    assert EventStore.open(tmp_path / "s.zarr").digest == before


@pytest.mark.parametrize("chunks", [0, 3, 7])
def test_an_interrupted_generation_goes_on_to_the_same_bits(search, tmp_path, many_chunks, chunks, stopping):
    whole = run(search, tmp_path / "whole.zarr")
    path = tmp_path / "s.zarr"
    with pytest.raises(stopping.Interrupted):
        run(search, path, stopping(chunks))
    assert EventStore.open(path, allow_empty=True).rows == 0
    assert run(search, path)["digest"] == whole["digest"]
    assert not Path(f"{path}.run").exists()


def test_an_interrupted_further_period_leaves_the_first_as_it_is(search, tmp_path, many_chunks, stopping):
    path = tmp_path / "s.zarr"
    first = run(search, path)
    with pytest.raises(stopping.Interrupted):
        run(search, path, stopping(2), period="two")
    assert EventStore.open(path).digest == first["digest"]
    assert EventStore.open(path).verify() == ()
    assert run(search, path, period="two")["luminosity"] == 2 * LUMINOSITY


def test_other_arguments_after_an_interruption_are_refused(search, tmp_path, many_chunks, stopping):
    path = tmp_path / "s.zarr"
    with pytest.raises(stopping.Interrupted):
        run(search, path, stopping(2))
    with pytest.raises(InputError, match="was interrupted: repeat it with its own arguments, or remove"):
        run(search, path, seed=2)
    run(search, path)


def test_an_interruption_after_the_commit_is_cleaned_up(search, tmp_path):
    path = tmp_path / "s.zarr"
    whole = run(search, path)
    place = Location(f"{path}.run")
    made = generation.plan_generation(search, str(path), LUMINOSITY, 1, [SIGNAL], "", 0)
    place.replace(GENERATION, made.to_json())
    assert run(search, path)["digest"] == whole["digest"]
    assert not Path(f"{path}.run").exists()


def test_a_damaged_plan_is_named(search, tmp_path):
    Location(f"{tmp_path / 's.zarr'}.run").replace(GENERATION, b"{}")
    with pytest.raises(InputError, match="the plan of an interrupted generation cannot be read"):
        run(search, tmp_path / "s.zarr")


def test_two_workers_write_the_same_bits(search, tmp_path):
    serial = run(search, tmp_path / "serial.zarr")
    with local_cluster(2) as client:
        dask = run(search, tmp_path / "dask.zarr", DaskExecutor(client))
        again = run(search, tmp_path / "dask.zarr", DaskExecutor(client), period="two")
    assert dask["digest"] == serial["digest"]
    assert again["luminosity"] == 2 * LUMINOSITY
    assert again["digest"] == run(search, tmp_path / "serial.zarr", period="two")["digest"]


def test_leftovers_of_an_interrupted_ingest_are_passed_over(search, tmp_path):
    path = tmp_path / "s.zarr"
    run(search, path)
    for name in EventStore.open(path).columns:
        Location(path).create(f"{name}/c/{len(EventStore.open(path).shards)}", b"left over")
    assert run(search, path, period="two")["luminosity"] == 2 * LUMINOSITY
    assert EventStore.open(path).verify() == ()


BAD = {
    "no luminosity": ({"luminosity": 0.0}, "luminosity 0 fb\\^-1: give a positive one"),
    "absurd luminosity": (
        {"luminosity": 1e30},
        "1e\\+30 fb\\^-1 has 3.48e\\+32 events, more than",
    ),
    "no cross section": ({"signals": [{"m_zprime": 3.0}]}, "a signal needs m_zprime and one of"),
    "no mass": ({"signals": [{"cross_section": 3.0}]}, "write --inject m_zprime=3,cross_section=5fb"),
    "two masses": ({"signals": [SIGNAL | {"m": 4.0}]}, "a signal needs m_zprime and one of"),
    "both": ({"signals": [SIGNAL | {"coupling": 0.1}]}, "one of cross_section and coupling"),
    "mass outside": ({"signals": [SIGNAL | {"m_zprime": 30.0}]}, "m_zprime = 30 is outside of the search"),
    "negative": ({"signals": [SIGNAL | {"cross_section": -5.0}]}, "must not be negative"),
    "unknown": ({"signals": [SIGNAL | {"colour": 1.0}]}, "has no parameter 'colour'; it has mass"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_leave_nothing_behind(search, tmp_path, case):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        run(search, tmp_path / "s.zarr", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_search_is_refused(search, tmp_path):
    run(search, tmp_path / "s.zarr")
    with pytest.raises(InputError, match=r"has other columns or units than these events: .*m_gg.*write"):
        run(definition.load("alp_gg"), tmp_path / "s.zarr", signals=[], period="two")


def test_a_search_without_simulation_or_luminosity_is_refused(search, tmp_path):
    with pytest.raises(InputError, match="names no processes under 'simulation'"):
        run(definition.load("bump_hunt"), tmp_path / "s.zarr", signals=[])
    with pytest.raises(InputError, match="states no luminosity: give --luminosity, such as 178/fb"):
        run(search.model_copy(update={"luminosity": None}), tmp_path / "s.zarr", luminosity=None)


def test_the_command_reads_units_and_refuses_wrong_ones(darkscan, refused, tmp_path):
    ask = ("generate", "zp_mumu", tmp_path / "s.zarr", "--luminosity", "2/fb")
    text = darkscan(*ask, "--inject", "m_zprime=3000MeV,cross_section=0.005pb").out
    assert text.endswith("rows at 2 fb^-1\n")
    assert "signal: " in text
    assert EventStore.open(tmp_path / "s.zarr").samples[1].parameters["mass"] == 3.0
    assert EventStore.open(tmp_path / "s.zarr").samples[1].cross_section == 5.0
    report = darkscan(*ask, "--period", "b", "--json").json
    assert report["luminosity"] == 4.0
    for signal, message in {
        "m_zprime=3fb,cross_section=5fb": "m_zprime=3fb: '3fb' is a cross section; an energy wants",
        "m_zprime=3,cross_section=5GeV": "cross_section=5GeV: '5GeV' is an energy; a cross section wants",
        "m_zprime=3,m_zprime=4": "gives m_zprime twice: give it once",
        "m_zprime": "'m_zprime' is no point: write name=value",
        "m_zprime=nan,cross_section=5fb": "'nan' is not a finite number",
    }.items():
        assert message in refused(*ask, "--period", "c", "--inject", signal)


@pytest.mark.parametrize(
    ("luminosity", "message"),
    [
        ("3", "'3' has no unit"),
        ("3GeV", "a luminosity wants"),
        ("-3/fb", "positive"),
        ("0/fb", "positive"),
    ],
)
def test_the_command_refuses_wrong_luminosities(refused, tmp_path, luminosity, message):
    assert message in refused("generate", "zp_mumu", tmp_path / "s.zarr", "--luminosity", luminosity)
    assert list(tmp_path.iterdir()) == []


def test_no_event_at_all_is_a_sample_that_a_scan_refuses(darkscan, refused, tmp_path):
    darkscan("generate", "zp_mumu", tmp_path / "s.zarr", "--luminosity", "1e-9/fb")
    message = refused("scan", "zp_mumu", tmp_path / "s.zarr", "-o", tmp_path / "cube.zarr")
    assert "holds zero rows of data" in message


def test_a_source_knows_its_chunks():
    source = generation.Source("s", "p", {}, 1.0, generation.EVENTS_A_CHUNK + 1)
    assert source.chunks == 2
    assert replace(source, events=0).chunks == 0
