"""The event store: what goes in comes out, appends are all or nothing, and nothing bad passes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.columns import Batch
from storage.errors import ConflictError, StorageError
from storage.events import EventStore
from storage.manifest import Shard
from storage.samples import Sample, SourceFile

COLUMNS = {"m": "GeV", "event": "", "flag": ""}
DATA = Sample(name="data", kind="data", period="one", luminosity=10.0, sqrt_s=10.58)
SIZES = {"chunk_rows": 8, "shard_rows": 32}


def rows(count: int, start: int = 0) -> dict[str, np.ndarray]:
    number = np.arange(start, start + count)
    return {"m": number * 0.5, "event": number, "flag": number % 2 == 0}


def batches(total: int, size: int) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, total, size):
        yield rows(min(size, total - start), start)


def made(path: Path | str, total: int = 100, size: int = 30, sample: Sample = DATA) -> EventStore:
    store = EventStore.create(str(path), COLUMNS, **SIZES)
    store.append(sample, batches(total, size))
    return store


def everything(store: EventStore, name: str) -> np.ndarray:
    return np.concatenate([store.read(shard.index, [name])[name] for shard in store.shards])


def test_columns_come_back_with_unit_type_and_origin(tmp_path: Path) -> None:
    made(tmp_path / "s")
    store = EventStore.open(tmp_path / "s")
    assert store.rows == 100
    assert [shard.rows for shard in store.shards] == [32, 32, 32, 4]
    types = {name: (info.unit, info.dtype) for name, info in store.columns.items()}
    assert types == {"m": ("GeV", "float32"), "event": ("", "int64"), "flag": ("", "uint8")}
    assert store.samples == (DATA,)
    assert store.luminosity == 10.0
    for name, values in rows(100).items():
        np.testing.assert_array_equal(everything(store, name), values.astype(store.columns[name].dtype))
    assert store.shards[1].minimum == {"m": 16.0, "event": 32, "flag": 0}
    assert store.shards[1].maximum == {"m": 31.5, "event": 63, "flag": 1}
    assert store.verify() == ()
    assert store.leftovers() == ()


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
    st.integers(1, 50),
    st.integers(0, 31),
    st.integers(0, 32),
)
def test_any_batches_any_blocks_any_ranges(sizes: list[int], block: int, start: int, length: int) -> None:
    store = EventStore.create(f"memory://any/{np.random.default_rng().integers(2**62)}", COLUMNS, **SIZES)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    store.append(DATA, [rows(size, offset) for size, offset in zip(sizes, offsets, strict=False)])
    expected = np.arange(sum(sizes))
    np.testing.assert_array_equal(everything(store, "event"), expected)
    blocks = [part["event"].copy() for part in store.iterate(["event"], rows=block)]
    assert max(map(len, blocks)) <= block
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    first = store.shards[0].rows
    stop = min(first, start + length)
    start = min(start, stop)
    np.testing.assert_array_equal(store.read(0, ["event"], start, stop)["event"], expected[start:stop])


@pytest.mark.parametrize("pipeline", ["direct", "zarrs", "zarr"])
def test_every_pipeline_reads_the_same(
    tmp_path: Path, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "s")
    monkeypatch.setenv("DARKSCAN_PIPELINE", pipeline)
    store = EventStore.open(tmp_path / "s")
    assert store.pipeline == pipeline
    np.testing.assert_array_equal(everything(store, "event"), np.arange(100))
    np.testing.assert_array_equal(store.read(2, ["event"], 3, 21)["event"], np.arange(67, 85))


def test_an_unknown_pipeline_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "s")
    with pytest.raises(StorageError, match="unknown pipeline 'fast'; allowed are direct, zarrs, zarr"):
        EventStore.open(tmp_path / "s", pipeline="fast").read(0)


def test_digest_depends_on_content_only(tmp_path: Path) -> None:
    store = made(tmp_path / "a", size=30)
    sourced = replace(DATA, sources=(SourceFile("a.csv", "00"),))
    assert made(tmp_path / "b" / "c", size=7, sample=sourced).digest == store.digest
    digests = {
        store.digest,
        made(tmp_path / "d", total=99).digest,
        made(tmp_path / "e", sample=replace(DATA, luminosity=11.0)).digest,
    }
    other = EventStore.create(str(tmp_path / "f"), {**COLUMNS, "m": "MeV"}, **SIZES)
    other.append(DATA, batches(100, 30))
    assert len(digests | {other.digest}) == 4


def test_appending_a_luminosity_block(tmp_path: Path) -> None:
    store = made(tmp_path / "s")
    old = EventStore.open(tmp_path / "s")
    block = Sample(name="data", kind="data", period="two", luminosity=5.5)
    added = store.append(block, [rows(10, 100)])
    assert [(shard.index, shard.sample, shard.rows) for shard in added] == [(4, 1, 10)]
    np.testing.assert_array_equal(everything(store, "event"), np.arange(110))
    assert store.luminosity == 15.5
    np.testing.assert_array_equal(everything(old, "event"), np.arange(100))
    old.reload()
    assert old.digest == store.digest
    assert store.verify() == ()


def test_a_sample_cannot_count_twice(tmp_path: Path) -> None:
    store = made(tmp_path / "s")
    with pytest.raises(StorageError, match=r"sample data \(one\) is in the store already"):
        store.append(DATA, [rows(1)])
    assert EventStore.open(tmp_path / "s").rows == 100


def test_samples_of_one_period_share_its_luminosity(tmp_path: Path) -> None:
    store = made(tmp_path / "s")
    store.append(Sample(name="photons", kind="pseudodata", period="one", luminosity=10.0), [rows(1)])
    store.append(Sample(name="mc", kind="simulation", period="one", luminosity=99.0), [rows(1)])
    assert store.luminosity == 10.0
    with pytest.raises(StorageError, match=r"luminosity 11.0 /fb, but period 'one' has 10.0 /fb"):
        store.append(Sample(name="more", kind="data", period="one", luminosity=11.0), [rows(1)])
    store.append(Sample(name="more", kind="data", period="unknown"), [rows(1)])
    assert store.luminosity is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mc"}, "unknown kind 'mc'; allowed are data, pseudodata, simulation, signal"),
        ({"name": ""}, "needs a name"),
        ({"luminosity": -1.0}, r"luminosity = -1.0, but it must be positive"),
        ({"sqrt_s": float("nan")}, "sqrt_s = nan"),
        ({"generated": -5}, "generated = -5"),
        ({"parameters": {"ctau": float("inf")}}, "parameters have no JSON form"),
    ],
)
def test_bad_samples_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StorageError, match=message):
        replace(DATA, **changes)


def test_parallel_writers_and_one_commit(tmp_path: Path) -> None:
    EventStore.create(str(tmp_path / "s"), COLUMNS, **SIZES)
    records = []
    for index, (start, count) in reversed(list(enumerate([(0, 32), (32, 32), (64, 32), (96, 4)]))):
        writer = EventStore.open(tmp_path / "s", allow_empty=True)
        for _ in range(2):  # a task may run twice
            record = writer.write_shard(index, rows(count, start))
        records.append(Shard.from_dict(json.loads(json.dumps(record.as_dict()))))
    with pytest.raises(StorageError, match="nothing has been committed"):
        EventStore.open(tmp_path / "s")
    store = EventStore.open(tmp_path / "s", allow_empty=True)
    store.commit([DATA], records)
    assert store.digest == made(tmp_path / "other").digest
    assert EventStore.open(tmp_path / "s").verify() == ()
    with pytest.raises(StorageError, match="shard 1 is committed already"):
        store.write_shard(1, rows(3))


def test_two_writers_of_one_shard_are_noticed(tmp_path: Path) -> None:
    store = EventStore.create(str(tmp_path / "s"), COLUMNS, **SIZES)
    store.write_shard(0, rows(5))
    with pytest.raises(ConflictError, match="two writers share a shard"):
        store.write_shard(0, rows(5, 1))
    store.remove_leftovers()
    store.write_shard(0, rows(5, 1))


def test_commit_checks_what_it_is_told(tmp_path: Path) -> None:
    store = EventStore.create(str(tmp_path / "s"), COLUMNS, **SIZES)
    record = store.write_shard(0, rows(5))
    other = store.write_shard(1, {**rows(5), "flag": np.arange(5)})
    with pytest.raises(StorageError, match="shard 1: column flag is int64, not uint8"):
        store.commit([DATA], [record, other])
    with pytest.raises(StorageError, match="sample number 0, there are 0"):
        store.commit([], [record])
    with pytest.raises(StorageError, match="shard 0 is committed already"):
        store.commit([DATA], [record, record])
    (tmp_path / "s" / "m" / "c" / "0").unlink()
    with pytest.raises(StorageError, match="column m of shard 0 is missing"):
        store.commit([DATA], [record])


def test_two_appenders_both_succeed(tmp_path: Path) -> None:
    first = made(tmp_path / "s")
    second = EventStore.open(tmp_path / "s")

    def interleaved() -> Iterator[dict[str, np.ndarray]]:
        yield rows(32, 200)
        second.append(Sample(name="b", kind="simulation"), [rows(40, 500)])
        yield rows(32, 232)

    added = first.append(Sample(name="a", kind="simulation"), interleaved())
    assert [shard.sample for shard in added] == [2, 2]
    store = EventStore.open(tmp_path / "s")
    assert [sample.name for sample in store.samples] == ["data", "b", "a"]
    expected = np.concatenate([np.arange(100), np.arange(500, 540), np.arange(200, 264)])
    np.testing.assert_array_equal(everything(store, "event"), expected)
    assert store.verify() == ()


def test_shards_are_skipped_by_their_range(tmp_path: Path) -> None:
    store = made(tmp_path / "s")
    assert store.overlapping({"m": (16.0, 31.5)}) == (1,)
    assert store.overlapping({"m": (15.5, 16.0)}) == (0, 1)
    assert store.overlapping({"m": (0.0, 100.0), "event": (64, 64)}) == (2,)
    assert store.overlapping({"m": (50.0, 99.0)}) == ()
    assert [len(part["event"]) for part in store.iterate(["event"], shards=[3, 1])] == [4, 32]
    with pytest.raises(StorageError, match="no column mm: did you mean m"):
        store.overlapping({"mm": (0, 1)})
    store.append(
        Sample(name="x", kind="signal"), [{**rows(2), "m": np.array([1, np.inf])}], non_finite="keep"
    )
    assert store.overlapping({"m": (50.0, 99.0)}) == (4,)


@pytest.mark.parametrize(("bad", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_non_finite_values_stop_or_are_counted(tmp_path: Path, bad: float, text: str) -> None:
    store = made(tmp_path / "s")
    block = rows(20, 100)
    block["m"][[7, 9]] = bad
    sample = Sample(name="x", kind="simulation")
    with pytest.raises(
        StorageError, match=rf"f.csv: column m, row 1007: {text} is not finite.*\(and 1 more below\)"
    ):
        store.append(sample, [Batch(block, "f.csv", 1000)])
    assert EventStore.open(tmp_path / "s").rows == 100
    store.append(sample, [block], non_finite="keep")
    assert store.non_finite() == {"m": 2, "event": 0, "flag": 0}
    assert store.shards[-1].minimum["m"] == 50.0
    np.testing.assert_array_equal(store.read(store.shards[-1].index, ["m"])["m"], block["m"].astype("f4"))
    assert store.verify() == ()
    with pytest.raises(StorageError, match="non_finite = 'drop'; allowed are stop, keep"):
        store.append(Sample(name="y", kind="simulation"), [block], non_finite="drop")


def test_only_nan(tmp_path: Path) -> None:
    store = EventStore.create(str(tmp_path / "s"), {"m": ""})
    store.append(DATA, [{"m": np.full(3, np.nan)}], non_finite="keep")
    shard = EventStore.open(tmp_path / "s").shards[0]
    assert (shard.minimum["m"], shard.maximum["m"], shard.non_finite["m"]) == (None, None, 3)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("m", np.array([1.0, 1e300]), "row 1: 1e.300 does not fit float32; ask for float64"),
        ("m", np.array([1, 2**24 + 1]), "row 1: 16777217 does not fit float32"),
        ("event", np.array([1.0, 1.5]), "row 1: 1.5 is no int64; ask for float64"),
        ("event", np.array([0, 2**63], "u8"), "row 1: 9223372036854775808 is no int64"),
        ("event", np.array([1e18, 1.0]), "row 0: 1e.18 is no int64"),
        ("flag", np.array([1, 300]), "row 1: 300 is no uint8"),
        ("flag", np.array([0, -1]), "row 1: -1 is no uint8"),
        ("m", np.array(["a", "b"]), "are no numbers"),
    ],
)
def test_no_value_is_changed_unnoticed(tmp_path: Path, column: str, values: np.ndarray, message: str) -> None:
    store = made(tmp_path / "s")
    with pytest.raises(StorageError, match=rf"column {column}.*{message}"):
        store.append(Sample(name="x", kind="signal"), [{**rows(2), column: values}])
    assert store.rows == 100


def test_float64_and_small_integers_on_demand(tmp_path: Path) -> None:
    store = EventStore.create(
        str(tmp_path / "s"), {"m": "", "n": "", "run": ""}, dtypes={"m": "float64"}, **SIZES
    )
    value = 1.0 + 1e-12
    store.append(DATA, [{"m": np.array([value]), "n": np.array([5], "i2"), "run": np.array([7], "i4")}])
    assert store.read(0)["m"][0] == value
    assert {name: info.dtype for name, info in store.columns.items()} == {
        "m": "float64",
        "n": "int16",
        "run": "int64",
    }


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"m": np.zeros(2), "event": np.zeros(2)}, "column flag is missing: there are: event, m"),
        ({**rows(2), "x": np.zeros(2)}, "column x is not in the store: there are: event, flag, m"),
        ({**rows(2), "m": np.zeros(3)}, "of equal length"),
        ({name: values.reshape(1, 2) for name, values in rows(2).items()}, "one-dimensional"),
    ],
)
def test_unfit_batches_are_refused(tmp_path: Path, batch: dict[str, np.ndarray], message: str) -> None:
    store = made(tmp_path / "s")
    with pytest.raises(StorageError, match=message):
        store.append(Sample(name="x", kind="signal"), [batch])


def test_zero_rows(tmp_path: Path) -> None:
    store = EventStore.create(str(tmp_path / "s"), COLUMNS, **SIZES)
    with pytest.raises(StorageError, match=r"sample data \(one\): zero rows"):
        store.append(DATA, [])
    with pytest.raises(StorageError, match="zero rows"):
        store.append(DATA, [rows(0), rows(0)])
    store.append(DATA, [rows(0)], allow_empty=True)
    opened = EventStore.open(tmp_path / "s")
    assert (opened.rows, opened.samples, opened.verify()) == (0, (DATA,), ())
    assert list(opened.iterate()) == []


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {}, "at least one column"),
        ({"a b": ""}, {}, "column 'a b': names are letters, digits and _"),
        ({"../m": ""}, {}, "names are letters"),
        ({"m": ""}, {"dtypes": {"n": "float64"}}, "unknown column n"),
        ({"m": ""}, {"dtypes": {"m": "object"}}, "dtype 'object'; allowed are float32"),
        ({"m": ""}, {"chunk_rows": 3, "shard_rows": 4}, "do not divide"),
    ],
)
def test_unfit_layouts_are_refused(
    tmp_path: Path, columns: dict[str, str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(StorageError, match=message):
        EventStore.create(str(tmp_path / "s"), columns, **options)
    assert not (tmp_path / "s").exists()


def test_places_that_hold_other_things_are_refused(tmp_path: Path) -> None:
    made(tmp_path / "s")
    with pytest.raises(StorageError, match="holds an event store"):
        EventStore.create(str(tmp_path / "s"), COLUMNS, **SIZES)
    (tmp_path / "other").mkdir()
    with pytest.raises(StorageError, match="is no event store, it does not exist or is empty"):
        EventStore.open(tmp_path / "other")
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="not empty and no event store"):
        EventStore.create(str(tmp_path / "other"), COLUMNS)
    with pytest.raises(StorageError, match="is no event store, it holds other things"):
        EventStore.open(tmp_path / "other")
    with pytest.raises(StorageError, match="no shard 9 among 4"):
        EventStore.open(tmp_path / "s").read(9)
    with pytest.raises(StorageError, match="rows 0 to 50 of shard 3, which has 4 rows"):
        EventStore.open(tmp_path / "s").read(3, stop=50)


STREAM = """
import resource, sys
import numpy as np
from storage.events import EventStore
from storage.samples import Sample
store = EventStore.create(sys.argv[1], {"a": "", "b": ""}, chunk_rows=2**16, shard_rows=2**19)
block = {"a": np.random.default_rng(1).random(2**17), "b": np.zeros(2**17)}
store.append(Sample(name="first", kind="data"), [block] * 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.append(Sample(name="second", kind="data", period="two"), (block for _ in range(160)))
for columns in store.iterate(rows=2**16):
    pass
print(store.rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_memory_does_not_grow_with_the_sample(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", STREAM, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    stored, grown = map(int, run.stdout.split())
    assert stored == 168 * 2**17
    assert grown < 2 * 4 * 2**19 * 5  # of 168 MB that were stored, five shards' worth
