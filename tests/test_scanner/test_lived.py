"""Signal rows weighted to other lifetimes, against rows that were generated with them."""

import numpy as np
import pytest

from scanner import definition
from scanner.errors import InputError
from scanner.reading.channel import ChannelPlan
from scanner.reading.lived import UNIT, Flight, LivedSelection
from scanner.windows.lived import Lived, lifetimes, lived_search

COLUMNS = ("t", "t0", "boost")
PLAN = ChannelPlan(
    ("t * boost > 0.2", "t * boost < 60"), "boost", np.array([0.0, 10.0]), COLUMNS, {"flight": "t * boost"}
)
FLIGHT = Flight("t", "t0")
EVENTS = 200_000


def rows(ctau, seed):
    rng = np.random.default_rng(seed)
    t = rng.exponential(ctau, EVENTS)
    return {
        "t": t.astype(np.float32),
        "t0": np.full(EVENTS, ctau, np.float32),
        "boost": rng.uniform(1.0, 4.0, EVENTS),
    }


@pytest.mark.parametrize("generated", [3.0, 30.0])
def test_weights_give_the_efficiency_of_other_lifetimes(generated):
    wanted = np.array([0.1, 1.0, 3.0, 5.0]) if generated == 3.0 else np.array([1.0, 10.0, 30.0, 50.0])
    sums = LivedSelection(PLAN, [FLIGHT]).sums(rows(generated, 1), {0: [wanted]})
    for ctau, found in zip(wanted, sums[0, 0] / UNIT / EVENTS, strict=True):
        # ∫ dβγ/3 [exp(−0.2/βγcτ) − exp(−60/βγcτ)] over 1 < βγ < 4
        boost = np.linspace(1.0, 4.0, 30_001)
        exact = np.trapezoid(np.exp(-0.2 / (boost * ctau)) - np.exp(-60.0 / (boost * ctau)), boost) / 3.0
        # Σw² is finite below twice the generated lifetime: its expectation bounds the error.
        share = ctau / generated
        spread = 1.0 / np.sqrt(share * (2.0 - share)) if share < 2.0 else np.inf
        assert found == pytest.approx(exact, abs=5.0 * spread / np.sqrt(EVENTS))


def test_two_flights_multiply():
    columns = rows(3.0, 2)
    one = LivedSelection(PLAN, [FLIGHT]).sums(columns, {0: [np.array([2.0])]})
    both = LivedSelection(PLAN, [FLIGHT, FLIGHT]).sums(columns, {0: [np.array([2.0]), np.array([3.0])]})
    np.testing.assert_array_equal(one, both)  # a weight to the generated lifetime is 1


def test_sums_are_the_same_in_any_parts():
    columns, selection = rows(3.0, 3), LivedSelection(PLAN, [FLIGHT])
    wanted = {0: [np.array([0.5, 4.0])]}
    whole = selection.sums(columns, wanted)
    parts = [
        selection.sums({n: v[a : a + 999] for n, v in columns.items()}, wanted) for a in range(0, EVENTS, 999)
    ]
    np.testing.assert_array_equal(np.sum(parts[::-1], axis=0), whole)


def test_the_columns_of_decays_are_read_too():
    plan = ChannelPlan(("boost > 1",), "boost", np.array([0.0, 10.0]), COLUMNS, {"proper": "t * 1"})
    assert LivedSelection(plan, [Flight("proper", "3.0")]).needed == ("boost", "t")


LIVED = """
name: lived
beam: {sqrt_s: 10.58 GeV}
columns: {mass: GeV, t: cm, t0: cm, boost: "1", found: "1"}
scan:
  m_s: {values: [0.5 GeV, 1 GeV, 2 GeV]}
  ctau: {values: [1 cm, 4 cm]}
channels: {one: {observable: mass}, two: {observable: mass, efficiency: {constant: 50%, source: user}}}
signal: {resolution: 5 MeV, source: user}
decays: {s: {displacement: t, generated_ctau: t0, axis: ctau}}
"""
OPEN = '{source: user, interpolation: linear, table: {m_s: "0.5, 1, 2 GeV", value: [0, 0, 1]}}'


def lived_definition():
    return definition.parse(LIVED)


def lived(mass, sums, squares=None, generated=1000):
    return Lived(mass, generated, np.array([sums, squares or sums]) * UNIT)


def test_efficiencies_are_interpolated_between_simulated_masses():
    search = lived_definition()
    assert [values.tolist() for values in lifetimes(search, 0)] == [[1.0, 4.0]]
    signals = [lived(2.0, [300, 500]), lived(0.5, [100, 200])]
    found = lived_search(search, {"one": signals, "two": signals}, 0, 1)
    one, two = (found.channels[name].efficiency for name in ("one", "two"))
    np.testing.assert_allclose(one(np.array([0.5, 1.25, 2.0])), [0.2, 0.35, 0.5])
    np.testing.assert_allclose(two(np.array([0.5, 1.25, 2.0])), [0.1, 0.175, 0.25])
    assert one.source == "computed"


def test_a_lifetime_that_is_not_scanned_is_constant():
    other = "b: {displacement: t, generated_ctau: t0, ctau: {constant: 1.5, source: user}}"
    search = definition.parse(LIVED.replace("axis: ctau}}", "axis: ctau}, " + other + "}"))
    found = dict(zip(search.decays, lifetimes(search, 0), strict=True))
    assert {name: values.tolist() for name, values in found.items()} == {"s": [1.0, 4.0], "b": [1.5, 1.5]}


def test_of_two_signals_of_one_mass_the_one_that_tells_more_is_taken():
    near, far = lived(2.0, [300, 900], [300, 9000]), lived(2.0, [200, 400], [2000, 400])
    for point, expected in ((0, 0.3), (1, 0.4)):
        signals = [lived(0.5, [100, 200]), near, far]
        found = lived_search(lived_definition(), {"one": signals, "two": signals}, 0, point)
        assert found.channels["one"].efficiency(2.0) == pytest.approx(expected)


def test_errors_are_binomial_without_weights():
    found = lived(1.0, [250, 0])
    np.testing.assert_allclose(found.error, [np.sqrt(0.25 * 0.75 / 1000), 0.0])


def test_a_channel_needs_signals_where_it_has_a_branching_fraction():
    text = LIVED.replace("one: {observable: mass}", f"one: {{observable: mass, branching_fraction: {OPEN}}}")
    search, signals = definition.parse(text), [lived(0.5, [100, 200]), lived(2.0, [100, 200])]
    found = lived_search(search, {"one": [*signals[1:], lived(0.9, [50, 50])], "two": signals}, 0, 0)
    assert found.channels["one"].efficiency(0.9) == pytest.approx(0.05)
    with pytest.raises(InputError, match=r"from 1\.00\d* to 2 GeV and channel 'one'"):
        lived_search(search, {"one": [lived(1.2, [50, 50]), *signals[1:]], "two": signals}, 0, 0)


def test_the_efficiency_of_a_single_channel_is_that_of_the_search():
    text = LIVED.replace(", two: {observable: mass, efficiency: {constant: 50%, source: user}}", "")
    signals = [lived(0.5, [100, 200]), lived(2.0, [300, 400])]
    found = lived_search(definition.parse(text), {"one": signals}, 0, 1)
    assert found.signal.efficiency(np.array([2.0])) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ([lived(0.5, [100, 200]), lived(1.0, [100, 200])], "from 0.5 to 1 GeV"),
        ([], "at no mass"),
        ([lived(0.5, [100, 200]), lived(2.0, [100, 200], [100, 16_000])], "5.0 effective rows"),
    ],
)
def test_signals_that_do_not_tell_the_efficiency_are_refused(signals, message):
    with pytest.raises(InputError, match=message):
        lived_search(lived_definition(), {"one": signals, "two": signals}, 0, 1)


@pytest.mark.parametrize(
    ("part", "alone", "beside"), [(0.005, True, True), (0.02, False, True), (0.04, False, False)]
)
def test_few_rows_are_enough_where_the_efficiency_is_small(part, alone, beside):
    """Below 1% of the largest one along a lifetime, and 3% along two: five effective rows in two channels."""
    second = LIVED.replace("ctau}}", "ctau}, r: {displacement: t, generated_ctau: t0, axis: ctau}}")
    few = 500 * part
    signals = [lived(mass, [500, few], [500, few**2 / 2.5]) for mass in (0.5, 2.0)]
    for text, accepted in ((LIVED, alone), (second, beside)):
        search = definition.parse(text)
        if accepted:
            lived_search(search, {"one": signals, "two": signals}, 0, 1)
            continue
        with pytest.raises(InputError, match=r"the efficiency at ctau = 4 from 5\.0 effective rows"):
            lived_search(search, {"one": signals, "two": signals}, 0, 1)


def test_a_row_of_enormous_weight_is_refused():
    columns = {"t": np.array([60.0]), "t0": np.array([0.5]), "boost": np.array([1.0])}
    plan = ChannelPlan((), "boost", np.array([0.0, 10.0]), COLUMNS)
    with pytest.raises(InputError, match="generate the signal with a longer one"):
        LivedSelection(plan, [FLIGHT]).sums(columns, {0: [np.array([5.0])]})
