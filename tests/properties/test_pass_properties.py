"""The compiled pass equals numpy: random expressions on hostile data, in any blocks and order."""

import operator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scanner.expressions import parse
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.histogram import Histogram, bin_table, cells_of, round_down, round_up
from scanner.reading.selection import Selection

COLUMNS = ("a", "b", "d", "n", "u")
CONSTANTS = (0.0, 0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 3.0, -0.3, -1.0, 1e-30, 16777217.0)
SIZES = (0, 1, 7, 2047, 2048, 2049, 4999)
# Each example is compiled, so examples are few and rich, and a failing one is shown unshrunk.
EXACT = settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
THOROUGH = settings(EXACT, max_examples=60)


@dataclass(frozen=True)
class Term:
    """An expression as text, and as a numpy function of a dictionary of float64 arrays."""

    text: str
    value: object


def make_columns(seed, size):
    """Rows of every type, with special values, constants and their neighbours sprinkled in."""
    rng = np.random.default_rng(seed)
    columns = {
        "a": rng.normal(0.5, 0.5, size).astype(np.float32),
        "b": rng.uniform(-1.0, 3.0, size).astype(np.float32),
        "d": rng.normal(0.5, 1.0, size),
        "n": rng.integers(-3, 4, size).astype(np.int32),
        "u": rng.integers(0, 3, size).astype(np.uint8),
    }
    for name in ("a", "b", "d"):
        kind = columns[name].dtype.type
        exact = [kind(c) for c in CONSTANTS]
        beside = [np.nextafter(v, kind(s * np.inf)) for v in exact for s in (-1, 1)]
        odd = [kind(v) for v in (np.nan, np.inf, -np.inf, -0.0, 3e38, -3e38, 1e-42)]
        chosen = rng.random(size) < 0.3
        columns[name][chosen] = rng.choice(np.array([*exact, *beside, *odd], dtype=kind), chosen.sum())
    return columns


def wide(columns):
    return {name: array.astype(np.float64) for name, array in columns.items()}


def minimum(x, y):
    return np.where(np.isnan(x) | (x < y), x, y)


def maximum(x, y):
    return np.where(np.isnan(x) | (x > y), x, y)


NUMBER_PAIRS = {
    "({} + {})": operator.add,
    "({} - {})": operator.sub,
    "({} * {})": operator.mul,
    "({} / {})": operator.truediv,
    "min({}, {})": minimum,
    "max({}, {})": maximum,
}
NUMBER_SINGLES = {
    "(-{})": operator.neg,
    "abs({})": np.abs,
    "sqrt({})": np.sqrt,
    "({})**2": lambda x: x * x,
    "({})**3": lambda x: (x * x) * x,
    "({})**-1": lambda x: 1.0 / x,
    "({})**0.5": np.sqrt,
}
INEXACT_SINGLES = {"exp({})": np.exp, "sin({})": np.sin, "log({})": np.log, "({})**1.5": lambda x: x**1.5}
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def leaf(names):
    return st.one_of(
        st.sampled_from(names).map(lambda n: Term(n, lambda env: env[n])),
        st.sampled_from(CONSTANTS).map(lambda c: Term(f"({c!r})", lambda _: np.float64(c))),
    )


def single(table, inner):
    def make(pair):
        form, x = pair
        return Term(form.format(x.text), lambda env: table[form](x.value(env)))

    return st.tuples(st.sampled_from(sorted(table)), inner).map(make)


def double(inner):
    def make(parts):
        form, x, y = parts
        return Term(form.format(x.text, y.text), lambda env: NUMBER_PAIRS[form](x.value(env), y.value(env)))

    return st.tuples(st.sampled_from(sorted(NUMBER_PAIRS)), inner, inner).map(make)


def numbers(names, inexact=False):
    """Numbers that contain a column or parameter, so that nothing is refused as constant."""
    singles = NUMBER_SINGLES | (INEXACT_SINGLES if inexact else {})
    named = st.sampled_from(names).map(lambda n: Term(n, lambda env: env[n]))

    def grow(inner):
        anchored = st.tuples(named, inner).map(
            lambda p: Term(f"({p[0].text} + {p[1].text})", lambda env: p[0].value(env) + p[1].value(env))
        )
        return st.one_of(double(st.one_of(inner, named)), single(singles, inner), anchored)

    return st.recursive(named, grow, max_leaves=5)


def comparison(names, inexact=False):
    number = numbers(names, inexact)
    named = st.sampled_from(names).map(lambda n: Term(n, lambda env: env[n]))

    def make(parts):
        first, second, o, x, y, z = parts
        if second:
            return Term(
                f"{x.text} {o} {y.text} {first} {z.text}",
                lambda env: (
                    COMPARISONS[o](x.value(env), y.value(env))
                    & COMPARISONS[first](y.value(env), z.value(env))
                ),
            )
        return Term(f"{x.text} {o} {y.text}", lambda env: COMPARISONS[o](x.value(env), y.value(env)))

    symbols = st.sampled_from(sorted(COMPARISONS))
    return st.tuples(
        symbols, st.booleans(), symbols, st.one_of(named, number), st.one_of(leaf(names), number),
        leaf(names),
    ).map(make)  # fmt: skip


def conditions(names, inexact=False):
    def grow(inner):
        both = st.tuples(inner, inner)
        return st.one_of(
            both.map(
                lambda p: Term(f"({p[0].text} and {p[1].text})", lambda e: p[0].value(e) & p[1].value(e))
            ),
            both.map(
                lambda p: Term(f"({p[0].text} or {p[1].text})", lambda e: p[0].value(e) | p[1].value(e))
            ),
            inner.map(lambda x: Term(f"not ({x.text})", lambda e: ~np.asarray(x.value(e), dtype=bool))),
            st.tuples(inner, inner, inner).map(
                lambda p: Term(
                    f"({p[0].text} if {p[1].text} else {p[2].text})",
                    lambda e: np.where(p[1].value(e), p[0].value(e), p[2].value(e)),
                )
            ),
        )

    return st.recursive(comparison(names, inexact), grow, max_leaves=3)


@st.composite
def axes(draw):
    low, span = draw(st.sampled_from([-1.0, 0.1, 0.25])), draw(st.sampled_from([0.3, 1.0, 2.7]))
    bins = draw(st.sampled_from([1, 2, 17, 1000]))
    kind = draw(st.sampled_from(["uniform", "random", "falling", "clustered", "beside"]))
    if kind == "uniform":
        return np.linspace(low, low + span, bins + 1)
    if kind == "falling":
        return low + span * np.geomspace(1e-4, 1.0, bins + 1)
    if kind == "beside":  # edges that are one float64 apart, and equal in float32
        return low + np.arange(bins + 1) * np.spacing(1.0) * draw(st.sampled_from([1, 3, 1e6]))
    values = np.random.default_rng(draw(st.integers(0, 99))).random(bins + 1)
    edges = np.unique(low + span * (values**9 if kind == "clustered" else values))
    return edges if edges.size > 1 else np.array([low, low + span])


def reference(columns, cuts, observable, edges, parameters=None):
    """The histogram of one configuration by plain numpy in float64."""
    env = {**wide(columns), **{name: np.float64(value) for name, value in (parameters or {}).items()}}
    rows = len(columns["a"])
    with np.errstate(all="ignore"):
        alive, flow = np.ones(rows, bool), [rows]
        for cut in cuts:
            alive &= np.broadcast_to(cut.value(env), rows)
            flow.append(int(alive.sum()))
        x = np.broadcast_to(observable.value(env), rows)[alive]
    finite = np.isfinite(x)
    bins = np.searchsorted(edges, x[finite], side="right") - 1
    inside = (bins >= 0) & (bins < edges.size - 1)
    counts = np.bincount(bins[inside], minlength=edges.size - 1)
    return counts, flow, int((~inside).sum()), int((~finite).sum())


def assert_configuration(histogram, c, expected):
    counts, flow, outside, not_finite = expected
    np.testing.assert_array_equal(histogram.counts[c], counts)
    np.testing.assert_array_equal(histogram.cutflow[c], flow)
    assert histogram.outside[c] == outside
    assert histogram.not_finite[c] == not_finite


def check_plain(cuts, observable, edges, seed):
    plan = ChannelPlan(tuple(cut.text for cut in cuts), observable.text, edges, COLUMNS)
    selection = Selection(plan)
    for size in SIZES:
        columns = make_columns(seed, size)
        expected = reference(columns, cuts, observable, edges)
        assert_configuration(selection.fill(columns), 0, expected)


def plain_cases(test):
    names = st.lists(conditions(COLUMNS, inexact=True), min_size=0, max_size=5)
    observables = st.one_of(
        st.sampled_from(COLUMNS).map(lambda n: Term(n, lambda e: e[n])), numbers(COLUMNS, True)
    )
    return given(names, observables, axes(), st.integers(0, 999))(test)


@EXACT
@plain_cases
def test_the_pass_equals_numpy(cuts, observable, edges, seed):
    check_plain(cuts, observable, edges, seed)


@pytest.mark.slow
@THOROUGH
@plain_cases
def test_the_pass_equals_numpy_at_length(cuts, observable, edges, seed):
    check_plain(cuts, observable, edges, seed)


def check_bits(terms, seed):
    """Compare every condition for every row: each is a bit of the observable."""
    bits = [f"({2**n} if {term.text} else 0)" for n, term in enumerate(terms)]
    edges = np.arange(2 ** len(terms) + 1) - 0.5
    selection = Selection(ChannelPlan((), " + ".join(bits), edges, COLUMNS))
    columns = make_columns(seed, 4999)
    with np.errstate(all="ignore"):
        values = [np.broadcast_to(term.value(wide(columns)), 4999) for term in terms]
    codes = sum(value.astype(np.int64) << n for n, value in enumerate(values))
    counts = selection.fill(columns).counts[0]
    np.testing.assert_array_equal(counts, np.bincount(codes, minlength=counts.size))


@EXACT
@given(st.lists(conditions(COLUMNS), min_size=10, max_size=10), st.integers(0, 999))
def test_every_condition_equals_numpy(terms, seed):
    check_bits(terms, seed)


@pytest.mark.parametrize("form", ["{} {} {}", "{2} {1} {0}", "abs({}) {} {}", "-{} {} {}"])
def test_a_comparison_with_a_constant_decides_as_in_float64(form):
    """Float32 columns are compared in float32, on values just beside constants that are not float32."""
    forms = {
        "{} {} {}": lambda o, x, c: o(x, c),
        "{2} {1} {0}": lambda o, x, c: o(c, x),
        "abs({}) {} {}": lambda o, x, c: o(np.abs(x), c),
        "-{} {} {}": lambda o, x, c: o(-x, c),
    }
    for constant in map(np.float64, CONSTANTS):
        terms = [
            Term(
                form.format("a", symbol, f"({float(constant)!r})"),
                lambda env, o=COMPARISONS[symbol], c=constant: forms[form](o, env["a"], c),
            )
            for symbol in sorted(COMPARISONS)
        ]
        check_bits(terms, seed=7)


def check_lanes(cuts, count, edges, seed):
    rng = np.random.default_rng(seed)
    parameters = tuple(
        {"p": float(rng.choice(CONSTANTS)), "q": float(rng.normal(0.5, 1.0))} for _ in range(count)
    )
    observable = Term("b", lambda env: env["b"])
    plan = ChannelPlan(tuple(c.text for c in cuts), "b", edges, COLUMNS, configurations=parameters)
    selection = Selection(plan)
    for size in SIZES:
        columns = make_columns(seed, size)
        histogram = selection.fill(columns)
        for c, own in enumerate(parameters):
            assert_configuration(histogram, c, reference(columns, cuts, observable, edges, own))


def lane_cases(test):
    cut = st.one_of(
        conditions(COLUMNS), conditions((*COLUMNS, "p", "q"), inexact=True), conditions(("p", "a"))
    )
    return given(
        st.lists(cut, min_size=1, max_size=4), st.sampled_from([2, 8, 9, 30]), axes(), st.integers(0, 999)
    )(test)


@EXACT
@lane_cases
def test_configurations_equal_numpy_one_by_one(cuts, count, edges, seed):
    check_lanes(cuts, count, edges, seed)


@pytest.mark.slow
@THOROUGH
@lane_cases
def test_configurations_equal_numpy_at_length(cuts, count, edges, seed):
    check_lanes(cuts, count, edges, seed)


def window_reference(columns, cuts, levels, edges, windows, parameters):
    """Brute force: every cut in every window, rows along one axis and windows along the other."""
    rows, count = len(columns["b"]), windows.first.size
    env = {name: array[:, None] for name, array in wide(columns).items()}
    env |= {name: np.float64(value) for name, value in parameters.items()}
    env |= {name: values[None, :] for name, values in windows.variables.items()}
    x = columns["b"].astype(np.float64)
    fine = np.searchsorted(edges, x, side="right") - 1
    held = (fine[:, None] >= windows.first) & (fine[:, None] < windows.last) & np.isfinite(x)[:, None]
    with np.errstate(all="ignore"):
        passes = [np.broadcast_to(cut.value(env), (rows, count)) for cut in cuts]
    flow, alive = [rows], np.ones((rows, count), bool)
    for cut, level in zip(passes, levels, strict=True):
        alive = alive & cut & (held if level == "window" else True)
        flow.append(int(alive.any(axis=1).sum()))
    counts = np.zeros((count, windows.bins), np.int64)
    for w in range(count):
        chosen = alive[:, w] & held[:, w]
        np.add.at(counts[w], (fine[chosen] - windows.first[w]) // windows.stride[w], 1)
    return counts, flow, held


@EXACT
@given(
    st.lists(
        st.one_of(conditions(COLUMNS), conditions((*COLUMNS, "m")), conditions(("m", "k", "p", "d"))),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 999),
)
def test_window_cuts_equal_brute_force(cuts, seed):
    rng = np.random.default_rng(seed)
    edges, count = np.sort(rng.uniform(-1.0, 2.0, 201)), 25
    stride = rng.integers(1, 5, count)
    first = np.sort(rng.integers(0, 200 - 10 * stride.max() + 1, count))
    windows = WindowTable(
        {"m": rng.normal(0.5, 0.5, count), "k": rng.choice(CONSTANTS, count)}, first, stride, 10
    )
    parameters = ({"p": 0.25}, {"p": 0.7})
    plan = ChannelPlan(
        tuple(c.text for c in cuts), "b", edges, COLUMNS, configurations=parameters, windows=windows
    )
    selection = Selection(plan)
    if not selection.by_window:
        return
    for size in (0, 5, 2050):
        columns = make_columns(seed, size)
        histogram = selection.fill(columns)
        for c, own in enumerate(parameters):
            counts, flow, _ = window_reference(columns, cuts, selection.depends, edges, windows, own)
            np.testing.assert_array_equal(histogram.counts[c], counts)
            np.testing.assert_array_equal(histogram.cutflow[c], flow)


@settings(max_examples=200, deadline=None)
@given(conditions((*COLUMNS, "p"), inexact=True), st.integers(0, 99))
def test_evaluate_equals_numpy(condition, seed):
    columns = make_columns(seed, 300)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(condition.value({**wide(columns), "p": np.float64(0.7)}), 300)
    got = np.broadcast_to(parse(condition.text).evaluate({**columns, "p": 0.7}), 300)
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=200, deadline=None)
@given(conditions((*COLUMNS, "p"), inexact=True))
def test_the_canonical_text_reads_back(condition):
    expression = parse(condition.text)
    again = parse(expression.text)
    assert again.tree == expression.tree
    assert again.text == expression.text


@settings(max_examples=300, deadline=None)
@given(axes(), st.booleans(), st.integers(0, 999))
def test_the_bin_table_equals_searchsorted(edges, narrow, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([
        edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf),
        rng.uniform(edges[0] - 1.0, edges[-1] + 1.0, 300), [1e30, -1e30, 3.4e38, -3.4e38, 0.0, -0.0, 1e-310],
    ])  # fmt: skip
    if narrow:
        values = values.astype(np.float32)
        values = np.concatenate(
            [values, np.nextafter(values, np.float32(9)), np.nextafter(values, np.float32(-9))]
        )
    table = bin_table(edges, 0, narrow)
    slots = table.start[cells_of(values, table.low, table.scale, table.cells)].astype(np.int64)
    for _ in range(table.steps):
        slots += values >= table.upper[slots]
    np.testing.assert_array_equal(slots, np.searchsorted(edges, values.astype(np.float64), side="right"))


@settings(max_examples=300)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False, width=32))
def test_rounded_constants_decide_as_the_exact_ones(constant, value):
    value = np.float32(value)
    up, down = round_up(constant), round_down(constant)
    exact = np.float64(value)
    assert (value < up) == (exact < constant)
    assert (value >= up) == (exact >= constant)
    assert (value <= down) == (exact <= constant)
    assert (value > down) == (exact > constant)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4999), max_size=6), st.randoms(use_true_random=False))
def test_blocks_and_order_do_not_change_a_count(cuts_at, random):
    columns = make_columns(5, 4999)
    selection = Selection(LANES_PLAN)
    ends = sorted({0, *cuts_at, 4999})
    parts = [selection.fill({name: array[i:j] for name, array in columns.items()}) for i, j in pairwise(ends)]
    random.shuffle(parts)
    merged = selection.empty()
    for part in parts:
        merged = merged + part
    assert merged.identical(selection.fill(columns))
    assert merged.rows == 4999
    assert Histogram.from_arrays(merged.arrays()).identical(merged)


LANES_PLAN = ChannelPlan(
    cuts=("a < 1.0", "d * a < p", "b > -0.9"),
    observable="b",
    edges=np.linspace(-1.0, 2.0, 301),
    columns=COLUMNS,
    configurations=tuple({"p": 0.1 * j} for j in range(11)),
)
