"""The ingest job: every format through the command line, with names, units and derived columns."""

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from storage.events import EventStore

ROWS = 500
RNG = np.random.default_rng(7)
COLUMNS = {
    "M": RNG.uniform(1.0, 3.0, ROWS),
    "px": RNG.normal(0.0, 1.0, ROWS),
    "charge": RNG.integers(-1, 2, ROWS),
}


def write_csv(path, columns):
    lines = zip(*(values.tolist() for values in columns.values()), strict=True)
    text = "\n".join(",".join(map(repr, line)) for line in lines)
    path.write_text(",".join(columns) + "\n" + text + "\n")


def write_parquet(path, columns):
    pq.write_table(pa.table(columns), path)


def write_npz(path, columns):
    np.savez(path, **columns)


def write_tree(path, columns):
    with uproot.recreate(path) as file:
        file.mktree("events", {name: values.dtype for name, values in columns.items()})
        file["events"].extend(columns)


def write_ntuple(path, columns):
    with uproot.recreate(path) as file:
        file.mkrntuple("events", columns)


FORMATS = {
    "csv": (".csv", write_csv),
    "parquet": (".parquet", write_parquet),
    "npz": (".npz", write_npz),
    "tree": (".root", write_tree),
    "rntuple": (".root", write_ntuple),
}


@pytest.fixture(params=FORMATS)
def file(request, tmp_path):
    suffix, write = FORMATS[request.param]
    write(tmp_path / f"events{suffix}", COLUMNS)
    return tmp_path / f"events{suffix}"


@pytest.fixture
def csv(tmp_path):
    write_csv(tmp_path / "events.csv", COLUMNS)
    return tmp_path / "events.csv"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.zarr"


def contents(path):
    store = EventStore.open(path)
    assert store.verify() == ()
    blocks = [store.read(shard.index) for shard in store.shards]
    return {name: np.concatenate([block[name] for block in blocks]) for name in store.columns}


def test_every_format_gives_the_same_columns(darkscan, file, path):
    answer = darkscan("ingest", file, path, "--luminosity", "10/fb")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"{path}: 500 rows of M, charge, px\n"
    found = contents(path)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(found[name], values.astype(found[name].dtype))
    assert found["charge"].dtype.kind == "i"
    store = EventStore.open(path)
    assert (store.luminosity, store.samples[0].sources[0].name) == (10.0, file.name)


@pytest.mark.parametrize("write", [write_tree, write_ntuple])
def test_lists_become_rows_with_their_event(darkscan, path, tmp_path, write):
    lists = ak.Array([[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]])
    weights = np.arange(4.0)
    with uproot.recreate(tmp_path / "lists.root") as file:
        if write is write_tree:
            file["events"] = {"M": lists, "w": weights}
        else:
            file.mkrntuple("events", {"M": lists, "w": weights})
    darkscan("ingest", tmp_path / "lists.root", path, "--columns", "M,w")
    found = contents(path)
    assert found["M"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert found["event"].tolist() == [0, 0, 2, 3, 3, 3]
    assert found["w"].tolist() == [0.0, 0.0, 2.0, 3.0, 3.0, 3.0]


def test_events_of_several_files_of_lists_stay_apart(darkscan, path, tmp_path):
    for name in "ab":
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file["events"] = {"M": ak.Array([[1.0, 2.0], [3.0]]), "of": np.full(2, ord(name))}
    assert darkscan("ingest", tmp_path / "a.root", tmp_path / "b.root", path).code == 0
    assert contents(path)["event"].tolist() == [0, 0, 1, 2, 2, 3]


def test_columns_units_and_derivations(darkscan, csv, path):
    options = ["--columns", "mass=M,px", "--unit", "mass=MeV", "--derive", "heavy=mass > 0.002"]
    answer = darkscan("ingest", csv, path, *options, "--derive", "twice=2*mass", "--json").json
    assert answer["columns"] == {"heavy": "", "mass": "GeV", "px": "", "twice": ""}
    found = contents(path)
    mass = COLUMNS["M"] * 1e-3
    np.testing.assert_array_equal(found["mass"], mass.astype(np.float32))
    np.testing.assert_array_equal(found["twice"], (2.0 * mass).astype(np.float32))
    np.testing.assert_array_equal(found["heavy"], mass > 0.002)


def test_files_of_several_formats_join(darkscan, path, tmp_path):
    files = []
    for number, (suffix, write) in enumerate(FORMATS.values()):
        files.append(tmp_path / f"{number}{suffix}")
        write(files[-1], COLUMNS)
    assert darkscan("ingest", *files, path, "--columns", "M", "--json").json["rows"] == ROWS * len(FORMATS)
    np.testing.assert_array_equal(contents(path)["M"], np.tile(COLUMNS["M"], 5).astype(np.float32))


def test_a_period_appends_its_luminosity(darkscan, refused, csv, path, tmp_path):
    darkscan("ingest", csv, path, "--luminosity", "10/fb", "--period", "2019")
    write_csv(tmp_path / "more.csv", {name: values[:100] for name, values in COLUMNS.items()})
    more = ["ingest", tmp_path / "more.csv", path, "--luminosity", "5/fb"]
    answer = darkscan(*more, "--period", "2020", "--json").json
    assert (answer["rows"], answer["luminosity"]) == (600, 15.0)
    before = EventStore.open(path).digest
    assert "is in the store already, its rows would count twice" in refused(*more, "--period", "2020")
    assert EventStore.open(path).digest == before


def test_what_is_left_out_or_comes_twice_is_said(darkscan, path, tmp_path):
    (tmp_path / "a.csv").write_text("M,name\n1.5,x\n2.5,y\n")
    answer = darkscan("ingest", tmp_path / "a.csv", tmp_path / "a.csv", path, "--json")
    assert [note.partition(" (")[0] for note in answer.json["notes"]] == [
        "column name is left out: it holds string, no numbers",
        "a.csv was ingested before: its rows count twice",
    ]
    assert answer.err.count("note: ") == 2
    assert (
        darkscan("ingest", tmp_path / "a.csv", path, "--columns", "M", "--period", "b").err.count("note") == 1
    )


def test_a_url_of_a_store_is_kept(darkscan, csv):
    url = "memory://test-ingest/store"
    assert darkscan("ingest", csv, url, "--json").json["store"] == url
    assert EventStore.open(url).rows == ROWS


BAD = {
    "no store": (["{csv}"], "give the source files and then the store: darkscan ingest FILES... STORE"),
    "a file for a store": (["{csv}", "{csv}"], "is a file: the last argument is the event store to write"),
    "an unknown scheme": (["{csv}", "ftp://a/b"], "unknown scheme 'ftp'; allowed are file, s3, memory"),
    "missing column": (["{csv}", "{s}", "--columns", "m=MM"], "events.csv: no column 'MM': did you mean M?"),
    "column twice": (["{csv}", "{s}", "--columns", "m=M,m=px"], "--columns gives m twice: give it once"),
    "empty column": (["{csv}", "{s}", "--columns", "M,"], "--columns 'M,' has an empty item"),
    "odd name": (["{csv}", "{s}", "--columns", "a b=M"], "column 'a b': names are letters, digits and _"),
    "unknown unit": (["{csv}", "{s}", "--unit", "M=kg"], "--unit M=kg: '1 kg': unknown unit 'kg'"),
    "no unit": (["{csv}", "{s}", "--unit", "M"], "--unit 'M': write name=value, such as --unit mass=MeV"),
    "unit twice": (["{csv}", "{s}", "--unit", "M=MeV", "--unit", "M=GeV"], "--unit gives M twice"),
    "unit of nothing": (
        ["{csv}", "{s}", "--unit", "X=MeV"],
        "--unit X: there is no such column; there are M",
    ),
    "derived twice": (["{csv}", "{s}", "--derive", "x=M", "--derive", "x=px"], "--derive gives x twice"),
    "derived over": (["{csv}", "{s}", "--derive", "M=px"], "column M is both read from"),
    "unknown name": (["{csv}", "{s}", "--derive", "x=zz+1"], "--derive x: no column 'zz'; there are M, px"),
    "no expression": (["{csv}", "{s}", "--derive", "x"], "--derive 'x': write name=value"),
    "derived NaN": (["{csv}", "{s}", "--derive", "x=sqrt(px)"], "events.csv: column x, row "),
    "luminosity 0": (["{csv}", "{s}", "--luminosity", "0/fb"], "luminosity = 0.0, but it must be positive"),
    "bare luminosity": (["{csv}", "{s}", "--luminosity", "10"], "'10' has no unit"),
    "unknown kind": (["{csv}", "{s}", "--kind", "toy"], "unknown kind 'toy'; allowed are data, pseudodata"),
    "no name": (["{csv}", "{s}", "--sample", ""], "a sample needs a name"),
    "unknown policy": (["{csv}", "{s}", "--non-finite", "drop"], "'drop'; allowed are stop, keep"),
    "a tree of a CSV": (["{csv}", "{s}", "--tree", "t"], "--tree t is for ROOT files, and"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_leave_no_store(refused, csv, path, case):
    arguments, message = BAD[case]
    assert message in refused("ingest", *(text.format(csv=csv, s=path) for text in arguments))
    assert not path.exists()


def test_files_with_different_columns_are_refused(refused, csv, path, tmp_path):
    write_csv(tmp_path / "b.csv", {"M": COLUMNS["M"], "q": COLUMNS["px"]})
    message = refused("ingest", csv, tmp_path / "b.csv", path)
    assert "differ in the columns charge, px, q: choose common ones by --columns" in message


def test_a_tree_among_several_is_named(darkscan, refused, path, tmp_path):
    with uproot.recreate(tmp_path / "two.root") as file:
        for name in ("first", "second"):
            file[name] = {"M": COLUMNS["M"]}
    ask = ("ingest", tmp_path / "two.root", path)
    assert "2 trees, name the one to read: first, second" in refused(*ask)
    assert "no tree 'third': there are: first, second" in refused(*ask, "--tree", "third")
    assert darkscan(*ask, "--tree", "second").code == 0


def test_other_columns_or_units_than_before_are_refused(darkscan, refused, csv, path):
    darkscan("ingest", csv, path, "--unit", "M=GeV")
    before = EventStore.open(path).digest
    remedy = "use --columns, --derive and --unit as before"
    assert f"other columns or units than the files: M; {remedy}" in refused(
        "ingest", csv, path, "--period", "b"
    )
    assert EventStore.open(path).digest == before
