"""Searches for one coupling together: halves of one search are the whole, and other masses stay apart."""

import numpy as np
import pytest

from jobs.combination import combination
from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.errors import InputError

LUMINOSITY = 60.0
ONE = f"""
extends: zp_mumu
range: [1.95 GeV, 2.05 GeV]
luminosity: {LUMINOSITY} fb^-1
"""
CUTS = 'n_muons >= 3, abs(m_4mu - sqrt_s) < 0.1, nn > 0.5, "sin(12.9898 * event) SIGN 0"'
CHANNEL = f"{{select: [{CUTS}], branching_fraction: 50%, source: user}}"
EVEN, ODD = CHANNEL.replace("SIGN", ">="), CHANNEL.replace("SIGN", "<")
TWO = f"{ONE}channels:\n  four_muons:\n  even: {EVEN}\n  odd: {ODD}\n"
HALVES = [
    f"{ONE}channels:\n  four_muons:\n  {name}: {text}\n" for name, text in (("even", EVEN), ("odd", ODD))
]
OPTIONS = Options(method="asymptotic")
SHARED = ("luminosity", "efficiency")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The scan of two channels together, of each of them alone, and of other masses."""
    folder, serial = tmp_path_factory.mktemp("combination"), SerialExecutor()
    store = str(folder / "events.zarr")
    generate(definition.parse(ONE), store, executor=serial, seed=3)
    wide = ONE.replace("1.95 GeV, 2.05", "2.0 GeV, 2.1")
    texts = {"two": TWO, "even": HALVES[0], "odd": HALVES[1], "wide": wide}
    for name, text in texts.items():
        scan(definition.parse(text), store, str(folder / name), executor=serial, options=OPTIONS)
    return {name: str(folder / name) for name in texts}, scan


def opened(places, name):
    from storage import cubes

    return cubes.open(places[0][name])


def test_halves_of_one_search_together_are_its_channels(places, tmp_path):
    made = combination(
        [places[0]["even"], places[0]["odd"]], str(tmp_path / "both"), method="asymptotic", shared=SHARED
    )
    two = opened(places, "two")
    assert (made["searches"] == 2).all()
    for name in ("coupling_limit", "coupling_limit_expected", "z_local"):
        np.testing.assert_allclose(made[name], two[name], rtol=1e-6, atol=1e-7)
    # The yield is in events of the first search, which has half of the signal.
    np.testing.assert_allclose(2 * made["signal_yield"], two["signal_yield"], rtol=1e-5, atol=1e-5)


def test_systematics_of_ones_own_are_not_shared(places, tmp_path):
    cubes = [places[0]["even"], places[0]["odd"]]
    together = combination(cubes, str(tmp_path / "a"), method="asymptotic", shared=SHARED)
    apart = combination(cubes, str(tmp_path / "b"), method="asymptotic")
    # Errors that are independent average out.
    assert bool((apart["coupling_limit"] < together["coupling_limit"]).all())


def test_masses_that_one_search_has_are_its_own(places, tmp_path):
    made = combination([places[0]["even"], places[0]["wide"]], str(tmp_path / "c"), method="asymptotic")
    mass, count = made["m_zprime"].to_numpy(), made["searches"].to_numpy()
    assert (count[mass < 1.99] == 1).all()
    assert (count[mass > 2.0] == 2).all()
    alone = opened(places, "even")
    below = mass < 1.99
    np.testing.assert_allclose(made["coupling_limit"][below], alone["coupling_limit"][below], rtol=1e-9)
    assert float(made["coupling_limit"][~below].mean()) < float(alone["coupling_limit"][~below].mean())


def test_the_command(places, darkscan, tmp_path):
    answer = darkscan("combine", places[0]["even"], places[0]["odd"], "-o", tmp_path / "d", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["searches"] == 2
    answer = darkscan("plot", tmp_path / "d", "-o", tmp_path / "d.png")
    assert answer.code == 0, answer.err


def test_what_cannot_be_combined_is_refused(places, tmp_path):
    with pytest.raises(InputError, match="two cubes or more"):
        combination([places[0]["even"]], str(tmp_path / "e"))
    with pytest.raises(InputError, match="take one of auto"):
        combination([places[0]["even"], places[0]["odd"]], str(tmp_path / "e"), method="minos")
