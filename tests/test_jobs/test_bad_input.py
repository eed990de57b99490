"""Bad input on the command line: each kind gives its message, and nothing is lost."""

import ast
import json
import shutil
from math import log
from pathlib import Path

import numpy as np
import pytest

from scanner import definition, engine
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

HUNT = "extends: bump_hunt\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\n"
EXPRESSIONS = Path(__file__).parents[1] / "test_scanner" / "test_expressions.py"


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def cube(tmp_path):
    return tmp_path / "cube.zarr"


# -- definitions ------------------------------------------------------------------------------------------

DEFINITIONS = {
    "unknown key": (HUNT + "resolutoin: 3 MeV\n", ":5:1: resolutoin: unknown key 'resolutoin'; did you mean"),
    "duplicate key": (
        HUNT + "resolution: 3 MeV\n",
        ":5:1: the key 'resolution' stands twice; it is first on",
    ),
    "wrong unit": (HUNT.replace("20 MeV", "20 fb"), ":4:13: signal.resolution.constant: '20 fb' is a cross"),
    "no unit": (HUNT.replace("20 MeV", "20"), "20 has no unit: write a number with its unit, such as"),
    "mixed units": (HUNT.replace("3 GeV", "3 fb"), ":3:8: scan.m.range: ['1 GeV', '3 fb'] mixes the units"),
    "no YAML": ("a: [", "not valid YAML"),
    "nothing": ("", "a definition is a mapping of keys to values; this file holds none"),
    "binary": (b"\x89HDF\xff\xfe", "is not UTF-8 text"),
    "an absurd size": (HUNT.replace("20 MeV", "1e-9 MeV"), "steps: check the resolution's unit"),
    "an undeclared column": (HUNT + "select: pt > 1\n", "is declared under `columns`, such as"),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_bad_definition_names_place_and_remedy(refused, write, store, cube, case):
    text, message = DEFINITIONS[case]
    path = write("search.yaml", text)
    printed = refused("scan", path, store, "-o", cube)
    assert message in printed
    assert not Path(f"{cube}.run").exists()


HOSTILE = [
    "__import__('os').system('true') > 0",
    "mass.__class__ == 1",
    "(lambda: 1)() > 0",
    "[x for x in mass] > 0",
    "10 ** 10 ** 10 > mass",
    "mass if mass else exec('1')",
    "'a' * 999999999 > mass",
    "f'{mass}' > 1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_expression_runs_nowhere(refused, write, store, cube, tmp_path, text):
    path = write("search.yaml", HUNT + f"select: [{json.dumps(text)}]\n")
    for message in (
        refused("scan", path, store, "-o", cube),
        refused("searches", "validate", path),
        refused("ingest", write("a.csv", "mass\n1.5\n"), tmp_path / "s.zarr", "--derive", f"x={text}"),
    ):
        assert "cannot use this expression (column " in message
    assert not (tmp_path / "s.zarr").exists()


def test_forty_kinds_of_hostile_expressions_are_tested():
    (table,) = (
        node.value
        for node in ast.parse(EXPRESSIONS.read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HOSTILE"
    )
    assert len(table.keys) >= 40


# -- events against definition ----------------------------------------------------------------------------


def test_a_missing_column_is_named_with_the_remedy(refused, write, store, cube):
    path = write("search.yaml", HUNT.replace("observable: mass", "observable: maas"))
    message = refused("scan", path, store, "-o", cube)
    assert f"does not fit store {store}" in message
    assert "unknown name `maas`; known are " in message
    assert "did you mean `mass`?" in message
    assert "`ingest --columns NAME=OLD`" in message
    assert not Path(f"{cube}.run").exists()


def test_a_column_in_another_unit_is_refused(darkscan, refused, write, definition_file, tmp_path, cube):
    darkscan("ingest", write("a.csv", "mass\n1.5\n"), tmp_path / "s.zarr", "--unit", "mass=cm")
    message = refused("scan", definition_file, tmp_path / "s.zarr", "-o", cube)
    assert "column 'mass' is in cm in the store and in GeV in search 'small'" in message
    assert "ingest again with --unit mass=UNIT" in message


# -- numbers that are not finite --------------------------------------------------------------------------


def with_holes():
    values = np.random.default_rng(3).uniform(1.0, 3.0, 3000)
    values[[17, 1200]], values[2000] = np.nan, np.inf
    return values


def test_nan_and_infinity_stop_by_default(refused, tmp_path):
    np.savez(tmp_path / "holes.npz", mass=with_holes())
    message = refused("ingest", tmp_path / "holes.npz", tmp_path / "s.zarr")
    where = f"{tmp_path / 'holes.npz'}: column mass, row 17: nan is not finite"
    assert f"{where}; correct it, or keep and count such values (--non-finite keep) (and 2 more" in message
    assert not (tmp_path / "s.zarr").exists()


def test_kept_nan_and_infinity_are_counted_in_store_and_cube(darkscan, definition_file, tmp_path, cube):
    np.savez(tmp_path / "holes.npz", mass=with_holes(), other=np.ones(3000))
    answer = darkscan("ingest", tmp_path / "holes.npz", tmp_path / "s.zarr", "--non-finite", "keep", "--json")
    assert answer.json["non_finite"] == {"mass": 3}
    assert EventStore.open(tmp_path / "s.zarr").non_finite() == {"mass": 3, "other": 0}
    darkscan("scan", definition_file, tmp_path / "s.zarr", "-o", cube)
    attributes = cubes.open(str(cube)).attrs
    assert json.loads(attributes["non_finite_in_store"]) == {"mass": 3}
    assert attributes["candidates_not_finite_all"] == 3
    assert "candidates_outside_all" in attributes


# -- files ------------------------------------------------------------------------------------------------


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def root(path):
    import uproot

    with uproot.recreate(path) as file:
        file.mktree("events", {"mass": "f8"})
        file["events"].extend({"mass": np.linspace(1.0, 3.0, 20_000)})
    return path


def parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"mass": np.linspace(1.0, 3.0, 20_000)}), path)
    return path


def npz(path):
    np.savez(path, mass=np.linspace(1.0, 3.0, 20_000))
    return path


@pytest.mark.parametrize(
    ("make", "name", "form"),
    [(root, "a.root", "ROOT"), (parquet, "a.parquet", "Parquet"), (npz, "a.npz", "NumPy archive")],
)
def test_a_truncated_file_is_named(refused, tmp_path, make, name, form):
    path = halved(make(tmp_path / name))
    message = refused("ingest", path, tmp_path / "s.zarr")
    assert f"{path}: cannot be read as {form}" in message
    assert "compare its size and checksum with the original and copy it again" in message
    assert not (tmp_path / "s.zarr").exists()


FOREIGN = {
    "a program": ("a.root", b"\x7fELF" + bytes(100), "no root file; it is damaged or of another kind"),
    "bytes": ("a.dat", bytes(range(256)), "Known are root, parquet, npy, npz, csv"),
    "a wrong suffix": ("a.parquet", b"mass\n1.5\n", "no parquet file"),
    "nothing": ("a.csv", b"", "the file is empty; copy it again"),
    "zero rows": ("a.csv", b"mass\n", "zero rows, so there is nothing to ingest"),
    "no header": ("a.csv", b"1,2\n3,4\n", "the first line '1,2' holds numbers, no header"),
    "a name twice": ("a.csv", b"mass,mass\n1,2\n", "the header has 'mass' twice"),
    "a short row": ("a.csv", b"mass,x\n1,2\n3\n", "Expected 2 columns, got 1"),
    "a hole": ("a.csv", b"mass,x\n1,2\n,4\n", "column mass, row 1: nan is not finite"),
    "text": ("a.csv", b"mass\nheavy\n", "no numeric column"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_file_is_named_and_leaves_no_store(refused, write, tmp_path, case):
    name, content, message = FOREIGN[case]
    printed = refused("ingest", write(name, content), tmp_path / "s.zarr")
    assert str(tmp_path / name) in printed
    assert message in printed
    assert not (tmp_path / "s.zarr").exists()


def test_a_bad_second_file_leaves_the_store_as_it_was(darkscan, refused, write, tmp_path):
    good, bad = write("a.csv", "mass\n1.5\n2.5\n"), write("b.csv", "mass\n1.5\nnan\n")
    assert "b.csv: column mass, row 1" in refused("ingest", good, bad, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()
    darkscan("ingest", good, tmp_path / "s.zarr")
    before = sorted(path for path in (tmp_path / "s.zarr").rglob("*") if path.name.isdigit())
    refused("ingest", bad, tmp_path / "s.zarr", "--period", "b")
    assert EventStore.open(tmp_path / "s.zarr").rows == 2
    assert EventStore.open(tmp_path / "s.zarr").verify() == ()
    assert sorted(path for path in (tmp_path / "s.zarr").rglob("*") if path.name.isdigit()) == before


def test_missing_files_and_folders_are_named(refused, tmp_path):
    assert "nowhere.csv: does not exist; check the path" in refused(
        "ingest", tmp_path / "nowhere.csv", tmp_path / "s.zarr"
    )
    assert "is a directory; name the files" in refused("ingest", tmp_path, tmp_path / "s.zarr")


# -- damage -----------------------------------------------------------------------------------------------

SHARD = "mass/c/3"
BLOCKS = ("--rows-a-block", 4096, "--windows-a-block", 50)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, Path.unlink, halved], ids=["flipped", "missing", "truncated"])
def test_a_damaged_chunk_stops_the_scan_and_its_repair_lets_it_go_on(
    darkscan, refused, definition_file, store, tmp_path, damage
):
    whole = darkscan("scan", definition_file, store, "-o", tmp_path / "whole.zarr", "--json").json["digest"]
    path, cube = Path(store) / SHARD, tmp_path / "cube.zarr"
    shutil.copy(path, tmp_path / "kept")
    damage(path)
    start = ("scan", definition_file, store, "-o", cube)
    message = refused(*start, *BLOCKS)
    assert str(path) in message
    assert "column mass of shard 3" in message
    assert "`darkscan verify`" in message
    found = darkscan("verify", store, "--json")
    assert found.code == 2
    assert any(str(path) in problem for problem in found.json["problems"])
    status = darkscan("status", cube, "--json")
    assert status.code == 3
    assert (status.json["done"], status.json["complete"]) == (3, False)
    assert refused(*start, "--resume") == message
    shutil.copy(tmp_path / "kept", path)
    assert darkscan(*start, "--resume", "--json").json["digest"] == whole
    assert darkscan("status", cube).code == 0


def test_a_store_that_changed_is_not_mixed_in(darkscan, refused, definition_file, store, tmp_path):
    start = ("scan", definition_file, store, "-o", tmp_path / "cube.zarr")
    flip(Path(store) / SHARD)
    refused(*start, *BLOCKS)
    shutil.rmtree(store)
    made = EventStore.create(store, {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    made.append(Sample("data", "data"), [{"mass": np.linspace(1.0, 3.0, 30_300)}])
    assert "is of another definition, store, method or seed: --overwrite it" in refused(*start, "--resume")
    assert darkscan(*start, "--overwrite").code == 0


def test_a_flipped_byte_of_a_manifest_is_found(refused, store):
    flip(Path(store) / "manifest.json")
    assert "manifest.json" in refused("verify", store)


def test_a_flipped_byte_of_a_cube_is_found_everywhere(darkscan, refused, definition_file, store, cube):
    start = ("scan", definition_file, store, "-o", cube)
    first = darkscan(*start, "--json").json["digest"]
    path = next(path for path in sorted(cube.rglob("*")) if path.is_file() and "yield_limit/c" in str(path))
    flip(path)
    found = darkscan("verify", cube)
    assert found.code == 2
    assert f"{path}: is damaged; restore it or run the scan with --resume to assemble it anew" in found.out
    for command in (["query"], ["plot", "-o", cube.parent / "a.png"], ["project", "--luminosity", "1/ab"]):
        assert f"{path}: is damaged" in refused(command[0], cube, *command[1:])
    assert darkscan(*start, "--resume", "--json").json["digest"] == first
    assert darkscan("verify", cube).out == f"{cube}: sound\n"


# -- little data ------------------------------------------------------------------------------------------


def test_windows_without_events_say_so_and_exclude_minus_log_alpha(darkscan, definition_file, tmp_path, cube):
    store = EventStore.create(tmp_path / "s.zarr", {"mass": "GeV"})
    store.append(Sample("data", "data"), [{"mass": np.linspace(1.0, 1.2, 500)}])
    answer = darkscan("scan", definition_file, tmp_path / "s.zarr", "-o", cube, "--json").json
    assert answer["status"]["empty_window"] > 0
    found = darkscan("query", cube, "--at", "m=2.5", "--json").json
    assert found["values"]["n_observed"] == 0
    assert found["meanings"] == {"status": "empty_window", "method": "counting"}
    search = definition.load(definition_file)
    (grid,) = engine.grids(search).values()
    window = int(np.argmin(np.abs(grid.mass - 2.5)))
    model = engine.window_model(search, grid, slice(window, window + 1), {}, {})
    efficiency = model.signal[model.core].sum()
    assert efficiency == pytest.approx(0.954, abs=0.01)
    assert found["values"]["yield_limit"] == pytest.approx(-log(0.1) / efficiency, rel=1e-9)
    assert found["values"]["p_local"] == 1.0


@pytest.mark.parametrize(
    ("method", "used"), [("minos", "none"), ("asymptotic", "counting"), ("auto", "counting")]
)
def test_a_store_without_any_significance_is_scanned_all_the_same(
    darkscan, write, tmp_path, cube, method, used
):
    path = write("a.csv", "mass\n10.0\n11.0\n")
    darkscan("ingest", path, tmp_path / "s.zarr")
    ask = ("scan", write("search.yaml", HUNT), tmp_path / "s.zarr", "-o", cube, "--method", method)
    answer = darkscan(*ask, "--json")
    assert answer.code == 0
    assert answer.json["largest_excess"] is None
    assert set(answer.json["status"]) == {"empty_window"}
    assert "no window has a significance" in darkscan(*ask, "--overwrite").out
    found = darkscan("query", cube, "--json").json
    assert (found["values"]["yield_limit"] is None) == (used == "none")
    assert found["meanings"]["method"] == used


def test_a_store_whose_writing_was_interrupted_is_refused(refused, definition_file, tmp_path, cube):
    EventStore.create(tmp_path / "s.zarr", {"mass": "GeV"})
    for command in (["plan", definition_file], ["scan", "-o", cube, definition_file], ["verify"]):
        assert "nothing has been committed, its writing was interrupted" in refused(
            *command, tmp_path / "s.zarr"
        )


def test_simulation_alone_is_no_data(refused, definition_file, tmp_path, cube):
    store = EventStore.create(tmp_path / "s.zarr", {"mass": "GeV"})
    store.append(Sample("mc", "simulation"), [{"mass": np.array([1.5])}])
    assert "holds no data: ingest files with --kind data" in refused(
        "scan", definition_file, tmp_path / "s.zarr", "-o", cube
    )
