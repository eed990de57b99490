"""Readers: every format gives the same columns, lists become rows, and bad files are named."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import uproot

from storage.errors import StorageError
from storage.events import EventStore
from storage.readers import READERS, open_source
from storage.samples import Sample

N = 250
GENERATOR = np.random.default_rng(3)
TABLE = {
    "M": GENERATOR.normal(3.0, 1.0, N),
    "pt1": GENERATOR.exponential(1.0, N),
    "Event": np.arange(10**12, 10**12 + N),
    "good": GENERATOR.random(N) < 0.5,
}


def write_csv(path: Path) -> None:
    pacsv.write_csv(pa.table({**TABLE, "Type": ["G"] * N}), path)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.table({**TABLE, "Type": ["G"] * N}), path, row_group_size=90)


def write_npz(path: Path) -> None:
    np.savez(path, **TABLE, Type=np.array(["G"] * N))


def write_npz_compressed(path: Path) -> None:
    np.savez_compressed(path, **TABLE, Type=np.array(["G"] * N))


def write_npy(path: Path) -> None:
    array = np.empty(N, [(name, values.dtype) for name, values in TABLE.items()] + [("Type", "U1")])
    for name, values in TABLE.items():
        array[name] = values
    np.save(path, array)


def write_tree(path: Path) -> None:
    with uproot.recreate(path) as file:
        tree = file.mktree("events", {name: values.dtype for name, values in TABLE.items()})
        for start in range(0, N, 100):
            tree.extend({name: values[start : start + 100] for name, values in TABLE.items()})


def write_rntuple(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mkrntuple("events", {**TABLE, "Type": ak.Array(["G"] * N)})


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.csv": write_csv,
    "a.parquet": write_parquet,
    "a.npz": write_npz,
    "b.npz": write_npz_compressed,
    "a.npy": write_npy,
    "a.root": write_tree,
    "b.root": write_rntuple,
}


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    target = tmp_path / request.param
    WRITERS[request.param](target)
    return target


def collected(source: object) -> dict[str, np.ndarray]:
    blocks = list(source)  # type: ignore[call-overload]  # any iterable of batches
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def test_every_format_gives_the_same_columns(path: Path) -> None:
    source = open_source(path, batch_rows=64)
    assert set(source.names) == set(TABLE)
    for _ in range(2):  # a source can be read again
        columns = collected(source)
        for name, values in TABLE.items():
            np.testing.assert_array_equal(columns[name], values)
    assert max(len(batch["M"]) for batch in source) <= 64
    assert [batch.first_row for batch in source][:2] == [0, len(next(iter(source))["M"])]


def test_names_units_and_derived_columns(path: Path) -> None:
    source = open_source(
        path,
        {"m": "M", "pt": "pt1", "also": "M"},
        scale={"pt": 1e-3, "sum": 10.0},
        derived={"sum": lambda columns: columns["m"] + columns["pt"]},
        drop=["also"],
        batch_rows=100,
    )
    assert source.names == ("m", "pt", "sum")
    columns = collected(source)
    assert tuple(columns) == ("m", "pt", "sum")
    np.testing.assert_array_equal(columns["pt"], TABLE["pt1"] * 1e-3)
    np.testing.assert_array_equal(columns["sum"], (TABLE["M"] + TABLE["pt1"] * 1e-3) * 10.0)


def test_into_a_store_and_back(path: Path, tmp_path: Path) -> None:
    source = open_source(path, {"m": "M", "event": "Event"}, batch_rows=50)
    store = EventStore.create(str(tmp_path / "s"), {"m": "GeV", "event": ""}, chunk_rows=64, shard_rows=128)
    store.append(Sample(name="data", kind="data", sources=(source.origin(),)), source)
    np.testing.assert_array_equal(
        np.concatenate([part["event"].copy() for part in store.iterate(["event"])]), TABLE["Event"]
    )
    (record,) = EventStore.open(tmp_path / "s").samples[0].sources
    assert (record.name, len(record.sha256)) == (path.name, 64)


def test_missing_columns_name_the_nearest(path: Path) -> None:
    with pytest.raises(
        StorageError, match=rf"{path.name}: no column 'pt_1': did you mean pt1\? there are: Event, M"
    ):
        open_source(path, {"pt": "pt_1"})


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "a.root"])
def test_text_columns_are_skipped_unless_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    source = open_source(path)
    assert list(source.skipped) == ["Type"]
    with pytest.raises(StorageError, match=rf"{path.name}: column Type h.*; leave it out"):
        open_source(path, {"x": "Type"})


def test_truncated_files_are_named(path: Path) -> None:
    data = path.read_bytes()
    step = max(1, len(data) // 23)
    for length in range(step, len(data) - step, step):
        path.write_bytes(data[:length])
        if path.suffix != ".csv":
            with pytest.raises(StorageError, match=re.escape(str(path))):
                collected(open_source(path))
            continue
        # Text has no end mark: a cut at the end of a line or within its last field is a shorter file.
        with suppress(StorageError):
            assert len(collected(open_source(path))["M"]) < N


def test_empty_missing_and_foreign_files_are_named(path: Path) -> None:
    path.write_bytes(b"\x7fELF\0\0\0\0")
    with pytest.raises(StorageError, match=rf"{path.name}: begins with .*it is damaged or of another kind"):
        open_source(path)
    path.write_bytes(b"")
    with pytest.raises(StorageError, match="the file is empty"):
        open_source(path)
    path.unlink()
    with pytest.raises(StorageError, match=f"{path.name}: does not exist; check the path"):
        open_source(path)
    with pytest.raises(StorageError, match="is a directory; name the files"):
        open_source(path.parent)


def test_a_suffix_that_lies_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.root")
    with pytest.raises(StorageError, match=r"begins with b'PAR1.*no root file"):
        open_source(tmp_path / "a.root")
    write_parquet(tmp_path / "noext")
    assert open_source(tmp_path / "noext").table.form == "parquet"
    assert set(READERS) == {"root", "parquet", "npy", "npz", "csv"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"m": "M"}, "derived": {"m": np.sin}}, "column m is both read from"),
        ({"columns": {"m": "M"}, "scale": {"n": 2.0}}, "cannot scale or drop column n: there are: m"),
        ({"columns": {"m": "M"}, "drop": ["n"]}, "cannot scale or drop column n"),
        ({"batch_rows": 0}, "batch_rows = 0"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_csv(tmp_path / "a.csv")
    with pytest.raises(StorageError, match=message):
        open_source(tmp_path / "a.csv", **options)


def test_derived_columns_must_fit(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv")
    source = open_source(tmp_path / "a.csv", {"m": "M"}, derived={"x": lambda columns: columns["m"][:3]})
    with pytest.raises(StorageError, match=r"derived column x has shape \(3,\), not \(250,\)"):
        list(source)


# text


@pytest.mark.parametrize("mark", [",", ";", "\t", " ", "|"])
def test_delimiters_are_found(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.dat"
    path.write_text(f"# a{mark}b\n1{mark}2.5\n3{mark}4.5\n")
    columns = collected(open_source(path))
    assert {name: values.tolist() for name, values in columns.items()} == {"a": [1, 3], "b": [2.5, 4.5]}


def test_a_header_is_required_or_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2.5\n3,4.5\n")
    with pytest.raises(StorageError, match="holds numbers, no header; give the column names"):
        open_source(path)
    assert collected(open_source(path, header=["a", "b"]))["b"].tolist() == [2.5, 4.5]
    path.write_text("a,a\n1,2\n")
    with pytest.raises(StorageError, match="'a' twice"):
        open_source(path)


def test_a_late_fraction_makes_the_column_real(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = 600_000  # some blocks
    path.write_text("n,x\n" + "1,0\n" * lines + "1,0.5\n" + "1,0\n" * lines)
    columns = collected(open_source(path, {"x": "x", "n": "n"}))
    assert columns["x"].dtype == np.float64
    assert columns["n"].dtype == np.int64
    assert (columns["x"].size, columns["x"].sum()) == (2 * lines + 1, 0.5)


def test_bad_cells_give_column_and_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2.5\n3,oops\n")
    with pytest.raises(StorageError, match="column b holds string, no numbers"):
        open_source(path, {"b": "b"})
    path.write_text("a,b\n" + "1,2.5\n" * 10**6 + "1,oops\n")
    with pytest.raises(StorageError, match=rf"{path}: cannot be read as delimited text \(.*oops"):
        list(open_source(path))
    path.write_text("a,b\n1,2.5\n3\n")
    with pytest.raises(StorageError, match="Expected 2 columns, got 1"):
        open_source(path)


def test_empty_cells_do_not_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,event\n1.5,1\n,2\n")
    store = EventStore.create(str(tmp_path / "s"), {"a": "", "event": ""})
    with pytest.raises(StorageError, match=r"a.csv: column a, row 1: nan is not finite"):
        store.append(Sample(name="x", kind="data"), open_source(path))
    path.write_text("a,event\n1.5,1\n2.5,\n")
    with pytest.raises(StorageError, match=r"a.csv: column event, row 1: nan is not finite"):
        store.append(Sample(name="x", kind="data"), open_source(path))


# arrays


def test_plain_arrays_need_names(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6.0).reshape(3, 2))
    with pytest.raises(StorageError, match=r"shape \(3, 2\) of float64 is no table"):
        open_source(path)
    assert collected(open_source(path, header=["a", "b"]))["b"].tolist() == [1.0, 3.0, 5.0]


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object), b=np.arange(2.0))
    source = open_source(tmp_path / "a.npz")
    assert source.names == ("b",)
    with pytest.raises(StorageError, match="column a has type object"):
        open_source(tmp_path / "a.npz", {"a": "a"})


def test_unequal_columns_of_an_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(3.0), b=np.arange(2.0))
    with pytest.raises(StorageError, match=r"columns differ in length: .*'a': 3, 'b': 2"):
        list(open_source(tmp_path / "a.npz"))


def test_flipped_bytes_of_an_archive_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(300.0))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"a\.npz: cannot be read as NumPy archive"):
        list(open_source(path, batch_rows=100))


# ROOT


@pytest.fixture(params=["tree", "rntuple"])
def jagged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Entries with 0, 1, 2, 3, 0, ... candidates, a run number, and a list of another length."""
    counts = np.arange(100) % 4
    pt = ak.unflatten(np.arange(counts.sum(), dtype="f4"), counts)
    other = ak.unflatten(np.arange(100, dtype="f4"), np.ones(100, int))
    path = tmp_path / "j.root"
    with uproot.recreate(path) as file:
        if request.param == "tree":
            file.mktree(
                "t", {"pt": "var * float32", "eta": "var * float32", "n": "var * float32", "run": "int32"}
            )
            file["t"].extend({"pt": pt, "eta": -pt, "n": other, "run": np.arange(100, dtype="i4") + 7})
        else:
            file.mkrntuple("t", {"pt": pt, "eta": -pt, "n": other, "run": np.arange(100, dtype="i4") + 7})
    return path


def test_lists_become_a_row_a_candidate(jagged: Path) -> None:
    source = open_source(jagged, {"pt": "pt", "eta": "eta", "run": "run"}, batch_rows=30, first_event=1000)
    assert source.names == ("pt", "eta", "run", "event")
    columns = collected(source)
    entry = np.repeat(np.arange(100), np.arange(100) % 4)
    np.testing.assert_array_equal(columns["event"], entry + 1000)
    np.testing.assert_array_equal(columns["pt"], np.arange(entry.size))
    np.testing.assert_array_equal(columns["eta"], -columns["pt"])
    np.testing.assert_array_equal(columns["run"], entry + 7)
    starts = [batch.first_row for batch in source]
    assert starts == [0, *np.cumsum([len(batch["pt"]) for batch in source])[:-1].tolist()]


def test_an_event_branch_is_kept(jagged: Path) -> None:
    columns = collected(open_source(jagged, {"pt": "pt", "event": "run"}))
    np.testing.assert_array_equal(columns["event"], np.repeat(np.arange(100), np.arange(100) % 4) + 7)


def test_lists_of_different_lengths_are_refused(jagged: Path) -> None:
    with pytest.raises(StorageError, match=r"entry 0 has 0 values in pt but 1 in n"):
        list(open_source(jagged, {"pt": "pt", "n": "n"}))


def test_flat_columns_alone_are_not_exploded(jagged: Path) -> None:
    source = open_source(jagged, {"run": "run"})
    assert source.names == ("run",)
    np.testing.assert_array_equal(collected(source)["run"], np.arange(100) + 7)


def test_the_tree_must_be_named_among_several(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file.mktree("signal", {"m": "f8"}).extend({"m": np.ones(3)})
        file.mktree("background", {"m": "f8", "v": "3 * float64"}).extend(
            {"m": np.zeros(3), "v": np.zeros((3, 3))}
        )
    with pytest.raises(StorageError, match="2 trees, name the one to read: signal, background"):
        open_source(path)
    with pytest.raises(StorageError, match="no tree 'sginal': did you mean signal"):
        open_source(path, tree="sginal")
    assert collected(open_source(path, tree="signal"))["m"].tolist() == [1, 1, 1]
    with pytest.raises(StorageError, match=r"column v holds double\[3\], no numbers"):
        open_source(path, {"v": "v"}, tree="background")
    with uproot.recreate(path) as file:
        file["text"] = "nothing"
    with pytest.raises(StorageError, match=r"0 trees.*there is none"):
        open_source(path)


# memory

MEASURE = """
import resource, sys
from storage.readers import open_source
source = iter(open_source(sys.argv[1], batch_rows=2**14))
for _ in range(3):
    next(source)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(len(batch["a"]) for batch in source)
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
LARGE = 3_000_000


def large_csv(path: Path) -> None:
    block = pa.table({"a": GENERATOR.random(LARGE // 6), "b": GENERATOR.random(LARGE // 6)})
    with pacsv.CSVWriter(path, block.schema) as writer:
        for _ in range(6):
            writer.write(block)


def large_parquet(path: Path) -> None:
    table = pa.table({"a": GENERATOR.random(LARGE), "b": GENERATOR.random(LARGE)})
    pq.write_table(table, path, row_group_size=LARGE, compression="none")


def large_npz(path: Path) -> None:
    np.savez(path, a=GENERATOR.random(LARGE), b=GENERATOR.random(LARGE))


def large_root(path: Path) -> None:
    with uproot.recreate(path, compression=None) as file:
        tree = file.mktree("t", {"a": "f8", "b": "f8"})
        for _ in range(30):
            tree.extend({"a": GENERATOR.random(LARGE // 30), "b": GENERATOR.random(LARGE // 30)})


@pytest.mark.parametrize("write", [large_csv, large_parquet, large_npz, large_root])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / f"big.{write.__name__.removeprefix('large_')}"
    write(path)
    size = path.stat().st_size
    assert size > 45_000_000
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    rows, grown = map(int, run.stdout.split())
    assert rows + 3 * 2**14 >= LARGE - 2**18
    assert grown < size / 3
