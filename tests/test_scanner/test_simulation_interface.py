"""What every process of the embedded generator keeps: columns, determinism by key, refusals."""

import numpy as np
import pytest

from scanner.constants import SQRT_S
from scanner.errors import InputError
from scanner.simulation import BLOCK, PROCESSES, expected_events, generate_chunk, get

SIGNAL = {"mass": 3.0, "cross_section": 2.0}
MASSES = {
    "dipion_invisible": 9.4604,
    "lambda_invisible": 1.0,
    "tau_alpha": 1.0,
    "tau_heavy_neutrino": 1.0,
    "mu_mu_zprime_tautau": 6.0,
    "mu_mu_scalar_tautau": 6.0,
    "mu_mu_alp_tautau": 6.0,
}
"""Masses of signals that 3 GeV does not suit, or where two in a hundred candidates have the same float."""
RARE = {"tau_pions_as_muons": 30_000}
"""Events of processes of which hardly one in a thousand is seen."""
SECOND = {
    "dark_higgs_dimuon": {"m_hprime": 1.0},
    "dark_higgs_six": {"m_hprime": 6.5},
    "darkonium_six": {"m_upsilon": 9.5},
}
"""Second masses."""
EVERY = pytest.mark.parametrize("name", PROCESSES)


def parameters(name):
    if get(name).role != "signal":
        return {}
    return SIGNAL | {"mass": MASSES.get(name, 3.0)} | SECOND.get(name, {})


def chunk(name, events=None, key=(1, 0)):
    events = RARE.get(name, 300) if events is None else events
    return generate_chunk(name, events, key, sqrt_s=SQRT_S, parameters=parameters(name))


@EVERY
def test_columns_are_those_declared(name):
    columns = chunk(name)
    assert list(columns) == ["event", *get(name).columns]
    assert columns["event"].dtype == np.int64
    assert {columns[c].dtype for c in get(name).columns} == {np.dtype(np.float32)}
    assert {len(values) for values in columns.values()} == {len(columns["event"])}
    assert all(np.all(np.isfinite(values)) for values in columns.values())
    assert get(name).approximation


@EVERY
def test_events_are_numbered_and_have_their_candidates_together(name):
    event = chunk(name)["event"]
    assert len(event) > 0
    assert event.min() >= 0
    assert event.max() < RARE.get(name, 300)
    assert np.all(np.diff(event) >= 0)
    _, rows = np.unique(event, return_counts=True)
    assert np.all(rows == get(name).candidates[0])


@EVERY
def test_a_chunk_is_a_function_of_its_key(name):
    first, again, other = chunk(name), chunk(name), chunk(name, key=(1, 1))
    for column in first:
        assert first[column].tobytes() == again[column].tobytes()
    assert rows(name, first).isdisjoint(rows(name, other))


def rows(name, columns):
    """Candidates as tuples of all columns: single ones coincide by chance in a narrow range."""
    return set(zip(*(columns[c].tolist() for c in get(name).columns), strict=True))


@EVERY
def test_no_events_give_empty_columns(name):
    columns = chunk(name, events=0)
    assert list(columns) == ["event", *get(name).columns]
    assert all(len(values) == 0 for values in columns.values())


@EVERY
def test_expected_events_are_luminosity_times_cross_section(name):
    sigma = get(name).cross_section(SQRT_S, parameters(name))
    assert sigma > 0
    expected = expected_events(name, sqrt_s=SQRT_S, luminosity=7.0, parameters=parameters(name))
    assert expected == pytest.approx(7 * sigma)


def test_event_numbers_go_on_beyond_a_block():
    event = chunk("peak", events=BLOCK + 10)["event"]
    assert np.array_equal(event, np.arange(BLOCK + 10))


def test_processes_of_one_key_do_not_share_random_numbers():
    vector, scalar = (chunk(name)["nn"][:4] for name in ("mu_mu_zprime", "mu_mu_scalar"))
    assert not np.isin(vector, scalar).any()


def test_coupling_in_place_of_a_cross_section():
    by_coupling = expected_events(
        "mu_mu_zprime", sqrt_s=SQRT_S, luminosity=1.0, parameters={"mass": 1.0, "coupling": 0.01}
    )
    assert by_coupling == pytest.approx(9.956e4 * 1e-4 * 0.4996, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("no_such", {}, "no process 'no_such' in the generator; there are alp_gamma, "),
        ("four_muons", {"mass": 1.0}, "four_muons has no parameter 'mass'; it has none"),
        ("mu_mu_zprime", {}, "needs the parameter 'mass'"),
        ("mu_mu_zprime", {"mass": 0.2}, "mass 0.2 GeV is not between 0.211317 and 10.3687 GeV"),
        ("alp_gamma", {"mass": 11.0}, "mass 11.0 GeV is not between"),
        ("alp_gamma", {"mass": float("nan")}, "mass = nan is not a finite number"),
        ("peak", {"mass": 2.0, "resolution": -1.0}, "resolution = -1.0 must be positive"),
        ("falling_spectrum", {"low": 3.0, "high": 2.0}, "low < high"),
    ],
)
def test_bad_requests_are_refused(name, given, message):
    with pytest.raises(InputError, match=message):
        generate_chunk(name, 10, (1,), sqrt_s=SQRT_S, parameters=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mass": 1.0}, "either cross_section"),
        ({"mass": 1.0, "cross_section": 1.0, "coupling": 1.0}, "either cross_section"),
        ({"mass": 1.0, "cross_section": -1.0}, "must not be negative"),
    ],
)
def test_a_signal_needs_one_strength(given, message):
    with pytest.raises(InputError, match=message):
        expected_events("mu_mu_scalar", sqrt_s=SQRT_S, luminosity=1.0, parameters=given)


def test_negative_numbers_are_refused():
    with pytest.raises(InputError, match="must not be negative"):
        generate_chunk("four_muons", -1, (1,), sqrt_s=SQRT_S)
    with pytest.raises(InputError, match="must not be negative"):
        generate_chunk("four_muons", 1, (-1,), sqrt_s=SQRT_S)
    with pytest.raises(InputError, match="not a positive number"):
        expected_events("four_muons", sqrt_s=SQRT_S, luminosity=0.0)
