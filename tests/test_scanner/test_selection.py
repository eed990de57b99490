"""Channels: what cuts depend on, what is needed, what is refused, and what may be skipped."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from scanner.errors import InputError
from scanner.kernels import cache
from scanner.kernels.selection import generated
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.histogram import Histogram
from scanner.reading.selection import Selection

EDGES = np.linspace(0.0, 10.0, 101)
WINDOWS = WindowTable(
    variables={"m": np.array([2.0, 4.0, 6.0])},
    first=np.array([10, 30, 50]),
    stride=np.array([1, 1, 2]),
    bins=20,
)


def plan(*cuts, **changes):
    settings = {"observable": "mass", "edges": EDGES, "columns": ("mass", "pt", "angle", "charge")}
    return ChannelPlan(cuts=cuts, **(settings | changes))


def rows(size=3000, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "mass": rng.uniform(-1.0, 11.0, size).astype(np.float32),
        "pt": rng.exponential(1.0, size).astype(np.float32),
        "angle": rng.uniform(-3.0, 3.0, size),
        "charge": rng.integers(-1, 2, size).astype(np.int8),
    }


def test_dependence_is_found_for_each_cut():
    selection = Selection(
        plan(
            "pt > 0.1",
            "pt > threshold",
            "abs(angle) < m / 2 and pt > 1",
            "sqrt_s > 10",
            "pt > scaled",
            "threshold > 0.1 or m > 3",
            constants={"sqrt_s": 10.58},
            derived={"scaled": "angle * threshold"},
            configurations=({"threshold": 0.5}, {"threshold": 1.0}),
            windows=WINDOWS,
        )
    )
    assert selection.depends == ("columns", "configuration", "window", "columns", "configuration", "window")
    assert selection.by_window


def test_only_used_columns_are_needed():
    selection = Selection(plan("t > 1", derived={"t": "2 * u", "u": "pt + 1", "unused": "charge"}))
    assert selection.needed == ("mass", "pt")


def test_a_plan_without_cuts_fills_every_row():
    columns = rows()
    histogram = Selection(plan()).fill(columns)
    inside = (columns["mass"] >= 0.0) & (columns["mass"] < 10.0)
    assert histogram.counts.shape == (1, 100)
    assert histogram.counts.sum() == inside.sum()
    assert histogram.outside[0] == (~inside).sum()
    assert histogram.cutflow.tolist() == [[3000]]


def test_constant_and_derived_names_mean_their_values():
    columns = rows()
    histogram = Selection(plan("x < 0.3", constants={"sqrt_s": 10.58}, derived={"x": "mass / sqrt_s"})).fill(
        columns
    )
    assert histogram.cutflow[0, 1] == (columns["mass"].astype(np.float64) / 10.58 < 0.3).sum()


def test_a_registered_function_of_the_window_variable_is_tabulated():
    asked = []

    def least_pt(m):
        asked.append(np.size(m))
        return 0.1 * m

    selection = Selection(plan("pt > least_pt(m)", windows=WINDOWS, functions={"least_pt": least_pt}))
    columns = rows()
    histogram = selection.fill(columns)
    assert asked == [3]
    fine = np.searchsorted(EDGES, columns["mass"].astype(np.float64), side="right") - 1
    for w, (m, first, stride) in enumerate([(2.0, 10, 1), (4.0, 30, 1), (6.0, 50, 2)]):
        held = (fine >= first) & (fine < first + 20 * stride) & (columns["pt"] > np.float64(0.1 * m))
        expected = np.bincount((fine[held] - first) // stride, minlength=20)
        np.testing.assert_array_equal(histogram.counts[0, w], expected)


def test_a_registered_function_of_columns_is_evaluated_by_numpy():
    selection = Selection(plan("bend(pt, 2) < 1", functions={"bend": np.power}, arity={"bend": 2}))
    columns = rows()
    assert selection.fill(columns).cutflow[0, 1] == (columns["pt"].astype(np.float64) ** 2 < 1).sum()


def test_rows_in_no_window_are_outside_and_fail_the_window_cut():
    columns = {
        "mass": np.array([2.0, 2.0, 0.05, 11.0, np.nan, 2.0], dtype=np.float32),
        "pt": np.array([3.0, 1.0, 3.0, 3.0, 3.0, 0.0], dtype=np.float32),
    }
    histogram = Selection(plan("pt > 0.5", "pt > m", windows=WINDOWS)).fill(columns)
    assert histogram.counts.sum() == 1
    assert histogram.cutflow.tolist() == [[6, 5, 1]]
    assert histogram.outside.tolist() == [2]
    assert histogram.not_finite.tolist() == [1]


def test_column_types_give_the_same_counts():
    columns = rows()
    selection = Selection(plan("pt > 0.3", "charge != 0"))
    expected = selection.fill(columns)
    variants = {
        "big endian": {**columns, "pt": columns["pt"].astype(">f4")},
        "strided": {**columns, "pt": np.repeat(columns["pt"], 2)[::2]},
        "float64": {**columns, "mass": columns["mass"].astype(np.float64)},
        "int64": {**columns, "charge": columns["charge"].astype(np.int64)},
        "read-only": {**columns, "mass": np.broadcast_to(columns["mass"], 3000)},
    }
    for name, variant in variants.items():
        assert selection.fill(variant).identical(expected), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plan("pt"), "cut 1: `pt` is a number; a cut is a condition"),
        (lambda: plan("pt > 1", "p_t > 1"), "cut 2: .*unknown name `p_t`; known are .*did you mean `pt`"),
        (lambda: plan(observable="mass > 1"), "observable: `mass > 1` is a condition"),
        (lambda: plan(observable="m", windows=WINDOWS), "observable: `m` depends on the window"),
        (lambda: plan(observable="2 * 3"), "observable: `6` uses no column"),
        (lambda: plan(derived={"a": "b + 1", "b": "a + 1"}), "depends on itself: a → b → a"),
        (lambda: plan(derived={"pt": "mass"}), "`pt` is both a stored column and a derived column"),
        (lambda: plan(constants={"mass": 1.0}), "`mass` is both a stored column and a constant"),
        (lambda: plan("exp(pt / m) > 2", windows=WINDOWS), "bring the window variables to the other side"),
        (lambda: plan(edges=np.array([0.0, 0.0, 1.0])), "each larger than the one before"),
        (lambda: plan(edges=np.array([1.0])), "at least two numbers"),
        (lambda: plan(edges=np.array([0.0, np.nan])), "must be finite"),
        (lambda: plan(configurations=({"a": 1.0}, {"b": 1.0})), "differ in parameters: a, b"),
        (lambda: plan(configurations=()), "0 configurations"),
        (lambda: plan(*["pt > 1"] * 201), "201 cuts"),
        (
            lambda: plan(windows=WindowTable({}, np.array([50]), np.array([3]), 20)),
            "reaches beyond the 100 fine bins",
        ),
        (
            lambda: plan(windows=WindowTable({}, np.array([5, 4]), np.array([1, 1]), 20)),
            "must not decrease",
        ),
        (
            lambda: plan(windows=WindowTable({"m": np.ones(3)}, np.array([1]), np.array([1]), 20)),
            "different shapes",
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        Selection(make())


def test_derived_columns_that_double_without_end_are_refused():
    derived = {"d0": "pt"} | {f"d{n}": f"d{n - 1} + d{n - 1}" for n in range(1, 30)}
    with pytest.raises(InputError, match="has more than 5000 parts"):
        Selection(plan("d29 > 1", derived=derived))


def test_a_missing_column_is_named_with_the_nearest():
    columns = rows()
    columns["p_t"] = columns.pop("pt")
    with pytest.raises(
        InputError, match="`pt` is missing; there are angle, charge, mass, p_t; did you mean `p_t`"
    ):
        Selection(plan("pt > 1")).fill(columns)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.zeros(2999), "columns differ in length"),
        (np.zeros((3000, 2)), "2-dimensional"),
        (np.array(["a"] * 3000), "one dimension of numbers is due"),
        (np.zeros(3000, dtype=complex), "one dimension of numbers is due"),
    ],
)
def test_a_column_of_the_wrong_kind_is_refused(column, message):
    with pytest.raises(InputError, match=message):
        Selection(plan("pt > 1")).fill({**rows(), "pt": column})


def test_bounds_follow_from_the_cuts_on_columns():
    selection = Selection(
        plan(
            "0.2 < pt <= 3 and abs(angle) < limit",
            "pt < 2 or angle > 0",
            "mass > p",
            "charge == 1",
            constants={"limit": 1.5},
            configurations=({"p": 5.0}, {"p": 6.0}),
        )
    )
    assert selection.bounds == {"pt": (0.2, 3.0), "angle": (-1.5, 1.5), "charge": (1.0, 1.0)}


@pytest.mark.parametrize(
    "cuts",
    [
        ("pt > 1", "abs(angle) < 1"),
        ("pt < 2", "mass < 5"),
        ("abs(angle) > 2", "pt > 0"),
        ("not pt > 1", "mass < 5"),
        ("mass < p", "pt < 0.5"),
        ("-angle > 1", "charge == 1", "mass >= 4"),
        ("3 > pt > 1", "charge != 1"),
    ],
)
def test_a_skipped_shard_counts_as_if_it_were_read(cuts):
    """Every claim made from extremes equals a reading, on shards cut at each column's quantiles."""
    selection = Selection(plan(*cuts, configurations=({"p": 4.0}, {"p": 6.0})))
    columns, skipped = rows(20_000), 0
    for name in columns:
        order = np.argsort(columns[name], kind="stable")
        for part in np.array_split(order, 40):
            shard = {key: array[part] for key, array in columns.items()}
            low = {key: float(array.min()) for key, array in shard.items()}
            high = {key: float(array.max()) for key, array in shard.items()}
            claim = selection.skip(part.size, low, high, finite=True)
            if claim is not None:
                skipped += 1
                assert claim.identical(selection.fill(shard))
    assert (skipped > 0) == ("not" not in cuts[0] and "p" not in cuts[0].split())


def test_a_shard_that_may_hold_nan_is_skipped_by_its_first_cut_only():
    selection = Selection(plan("pt < 2", "mass < 5"))
    extremes = {"pt": 0.0, "mass": 6.0}, {"pt": 1.0, "mass": 7.0}
    assert selection.skip(10, *extremes) is None
    assert isinstance(selection.skip(10, *extremes, finite=True), Histogram)
    low, high = {"pt": 3.0, "mass": 0.0}, {"pt": 4.0, "mass": 1.0}
    assert selection.skip(10, low, high).cutflow.tolist() == [[10, 0, 0]]
    shard = {"pt": np.array([3.0, np.nan, 4.0]), "mass": np.array([0.0, 1.0, np.nan])}
    assert selection.fill(shard).identical(selection.skip(3, low, high))


def test_extremes_that_are_missing_or_nan_skip_nothing():
    selection = Selection(plan("pt > 5"))
    assert selection.skip(10, {}, {}) is None
    assert selection.skip(10, {"pt": np.nan}, {"pt": np.nan}) is None


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_compiled_code_is_kept_where_the_user_says(variable, tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert tmp_path in cache.directory().parents


@pytest.fixture
def changed_newton(place, monkeypatch):
    """Kernels whose sources are the true ones but for `newton`."""
    shutil.copytree(Path(cache.__file__).parent, place / "kernels")
    with (place / "kernels" / "linear" / "newton.py").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(cache, "__file__", str(place / "kernels" / "cache.py"))
    cache.sources_digest.cache_clear()
    yield
    cache.sources_digest.cache_clear()


def folders(*names):
    return [cache.directory(f"scanner.kernels.{name}") for name in names]


def test_kernels_that_need_a_changed_source_have_another_directory(place, request):
    needing = ("linear.newton", "linear.window", "linear.cls")
    others = ("algebra", "selection.fill", "toys.random")
    cache.sources_digest.cache_clear()
    before = folders(*needing), folders(*others)
    request.getfixturevalue("changed_newton")
    after = folders(*needing), folders(*others)
    assert not set(before[0]) & set(after[0])
    assert before[1] == after[1]


def test_the_digest_covers_all_kernels_that_a_module_imports(place):
    """Against what Python itself has imported: the modules that define what a module's names stand for."""
    for name in ("linear.cls", "linear.hypotheses", "counting.feldman_cousins", "toys.poisson"):
        module = importlib.import_module(f"scanner.kernels.{name}")
        origins = {str(getattr(value, "__module__", "")) for value in vars(module).values()}
        needed = {origin for origin in origins if origin.startswith("scanner.kernels")}
        assert len(needed) > 1
        assert needed <= cache.needed_sources(module.__name__).keys()


def test_a_generated_source_is_private_and_restored_when_changed(place):
    path = generated.keep("a.py", "x = 1\n")
    assert path is not None
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("x = 2\n")
    assert generated.keep("a.py", "x = 1\n") == path
    assert path.read_text() == "x = 1\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.py"]


def test_a_directory_that_others_may_write_is_not_used(place):
    folder = cache.directory()
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert generated.keep("a.py", "x = 1\n") is None
    folder.rmdir()
    (place / "target").mkdir(mode=0o700)
    folder.symlink_to(place / "target")
    assert generated.keep("a.py", "x = 1\n") is None


def test_without_a_place_to_keep_code_the_pass_still_runs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    generated.load.cache_clear()
    try:
        histogram = Selection(plan("pt > 0.25 and charge > 0")).fill(rows())
    finally:
        generated.load.cache_clear()
    assert histogram.rows == 3000
