"""Searches in decays of B mesons, taus and the Υ, from the generator to the limit cube."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition, simulation
from scanner.errors import InputError
from scanner.models import MODELS
from storage.events import EventStore

SERIAL = SerialExecutor()


def run(search, folder, **options):
    """Generate and scan, and return the cube."""
    store = str(folder / "events.zarr")
    generate(search, store, executor=SERIAL, seed=3, **options)
    return scan(search, store, str(folder / "limits.zarr"), executor=SERIAL)


def test_y1s_inv_finds_an_injected_signal_over_peaking_background(tmp_path):
    fraction = 1e-3
    signal = {"m": 9.4604, "branching_fraction": fraction}
    cube = run(definition.load("y1s_inv"), tmp_path, signals=[signal])
    (efficiency,), (found,), (error,) = (
        cube[name].values for name in ("efficiency", "signal_yield", "signal_yield_error")
    )
    expected = fraction * 91.4e6 * 0.0437 * efficiency
    assert found == pytest.approx(expected, abs=3 * error)
    assert error < expected / 10
    assert int(cube["n_observed"][0]) == pytest.approx(17281 + 806 + expected, abs=900)


@pytest.fixture(scope="module")
def alp(tmp_path_factory):
    """The cube of b_ka around 2 GeV, with a signal there that flies 1 cm."""
    text = "extends: b_ka\nscan: {m_alp: {values: '0.3, 0.8, 1.9, 2, 2.1, 4 GeV'}}\nluminosity: 100 fb^-1\n"
    signal = {"m": 2.0, "branching_fraction": 5e-6, "ctau": 1.0}
    folder = tmp_path_factory.mktemp("alp")
    return run(definition.parse(text, where="b_ka.yaml"), folder, signals=[signal])


def test_b_ka_finds_an_injected_signal_in_flight_at_its_lifetime(alp):
    at = alp.sel(m_alp=2.0, ctau_a=1.0)
    expected = 5e-6 * 100 * 1.11e6 * float(at["efficiency"])
    assert float(at["signal_yield"]) == pytest.approx(expected, abs=3 * float(at["signal_yield_error"]))
    best = alp["z_local"].sel(m_alp=2.0)
    assert best.idxmax("ctau_a") == 1.0
    assert float(best.max()) > 5


def test_a_coupling_to_w_bosons_is_excluded_in_the_islands_of_a_dense_scan(alp):
    """None below the first root, where decays are too late, and all up to where B → Ka is all there is."""
    model, ctau = MODELS["alp_w"], alp["ctau_a"].to_numpy()
    coupling = np.geomspace(1e-8, 1.0, 200_001)
    for mass in alp["m_alp"].to_numpy():
        at = alp.sel(m_alp=mass)
        logs = np.log(at["branching_fraction_limit"].to_numpy())
        length, reach = float(model.decay_length(mass)), float(model.production(mass, 10.58))
        x, rate = length / coupling**2, reach * coupling**2
        late = np.interp(np.log(x), np.log(ctau[1:]), logs[1:])
        log_limit = np.where(x < ctau[1], np.interp(x, ctau[:2], logs[:2]), late)
        excluded = (np.log(rate) > log_limit) & (x <= ctau[-1]) & (rate <= 1.0)
        edges = np.flatnonzero(np.diff(np.pad(excluded.astype(int), 1)))
        dense = np.stack([coupling[edges[::2]], coupling[edges[1::2] - 1]], axis=1)
        found = np.stack([at["coupling_low"], at["coupling_high"]], axis=1)
        found = found[np.isfinite(found[:, 0])]
        np.testing.assert_allclose(found, dense, rtol=2e-4)
        assert found[-1, 1] == pytest.approx(reach**-0.5, rel=1e-9)
        assert length / found[0, 0] ** 2 < ctau[-1]
    assert not alp["coupling_low_open"].any()
    assert not alp["coupling_high_open"].any()


LLP = """
extends: b_ks_llp
scan:
  m_s: {values: "0.992, 1, 1.01, 1.5 GeV"}
  ctau_s: {values: "0.001, 0.01, 0.1, 1, 100 cm"}
simulation:
  - {process: displaced_combinations}
  - {process: b_kaon_scalar, role: signal}
  - process: b_kaon_scalar
    role: efficiency
    events: 8000
    masses: 0.9, 0.9876, 1.5 GeV
    parameters: {ctau_least: 0.0005 cm, ctau: 1000 cm, b_lives: 2}
"""


@pytest.fixture(scope="module")
def llp(tmp_path_factory):
    """The cube of b_ks_llp at four masses, with a signal of pairs of pions at 1 GeV, and its store."""
    signal = {"m_s": 1.0, "branching_fraction": 1e-6, "mode": 2.0, "ctau": 1.0}
    folder = tmp_path_factory.mktemp("llp")
    cube = run(definition.parse(LLP, where="llp.yaml"), folder, signals=[signal])
    return cube, EventStore.open(str(folder / "events.zarr"))


def test_b_ks_llp_finds_pairs_of_pions_at_their_lifetime(llp):
    cube, _ = llp
    near = cube.sel(m_s=1.0, method="nearest").sel(ctau_s=1.0)
    assert float(near["z_local"]) > 5.0
    search = definition.load("b_ks_llp")
    fraction = float(search.channels["kplus_pipi"].branching_fraction(float(near["m_s"])))
    efficiency = float(near["channel_efficiency"].sel(channel="kplus_pipi")) / fraction
    assert float(near["n_observed"]) > 0.7 * 1e-6 * 189 * 1.11e6 * efficiency
    assert set(cube["channel"].values) == set(search.channels)


def test_signals_of_b_ks_llp_are_made_where_their_channels_are_open(llp):
    _, store = llp
    made = [sample.parameters for sample in store.samples if sample.kind == "signal"]
    lowest = {mode: min(p["mass"] for p in made if p["mode"] == mode) for mode in range(8)}
    assert [lowest[mode] for mode in range(8)] == 2 * [0.9, 0.9, 0.9, 0.9876]
    assert len(made) == 2 * (3 * 3 + 2)


def test_efficiencies_of_b_ks_llp_have_errors(llp):
    cube, _ = llp
    at = cube.sel(m_s=1.0, method="nearest")
    share = (at["efficiency_error"] / at["efficiency"]).sel(ctau_s=[0.1, 1, 100])
    assert ((share > 0.005) & (share < 0.08)).all()


def test_b_ks_llp_excludes_islands(llp):
    """A larger mixing makes more scalars, until they decay before the vertex is displaced."""
    at, mass, model = llp[0].sel(m_s=1.5), 1.5, MODELS["dark_scalar"]
    low, high = (float(at[name].isel(interval=0)) for name in ("coupling_low", "coupling_high"))
    assert 1e-4 < low < high < 1.0
    lifetime, log = model.decay_length(mass) / high**2, np.log(at["branching_fraction_limit"])
    assert 0.001 < lifetime < 0.1
    limit = np.exp(np.interp(np.log(lifetime), np.log(at["ctau_s"]), log))
    assert high**2 * model.production(mass, 10.58) == pytest.approx(limit, rel=1e-3)


def test_a_scan_of_lifetimes_without_signals_says_how_to_get_them(tmp_path):
    search = definition.parse(LLP.partition("  - process")[0], where="llp.yaml")
    with pytest.raises(InputError, match="kind signal --parameter mass=1 --parameter mode=0 --generated"):
        run(search, tmp_path)


@pytest.fixture(scope="module")
def neutrinos(tmp_path_factory):
    """A scan of published counts whose efficiencies are those of weighted signals."""
    folder = tmp_path_factory.mktemp("hnl")
    text = """
extends: hnl_tau
scan:
  m_n: {values: "1, 1.2 GeV"}
method: {limit: auto, toys: 400}
"""
    search = few(definition.parse(text, where="hnl.yaml"), 20_000, (1.0, 1.2))
    return run(search, folder)


def few(search, events, masses):
    """Return a search whose efficiencies are those of fewer signals."""
    made = tuple(
        p.model_copy(update={"events": events, "masses": masses}) if p.role == "efficiency" else p
        for p in search.simulation
    )
    return definition.from_json(search.changed(simulation=made).canonical)


def test_published_counts_are_the_data_of_decays_that_are_weighted(neutrinos):
    cube = neutrinos
    assert cube.attrs["data_kind"] == "published counts"
    assert cube["branching_fraction_limit"].dims == ("ctau_n", "m_n")
    assert (cube["n_observed"] == 1).all()
    seen = cube["efficiency"].to_numpy() > 0.0
    assert seen[3:].all()
    rate = cube["branching_fraction_limit"] * cube["efficiency"] * 2 * 836e6
    np.testing.assert_allclose(rate.to_numpy()[seen], cube["yield_limit"].to_numpy()[seen], rtol=1e-9)


def test_weighted_efficiencies_are_those_of_signals_of_each_lifetime(neutrinos):
    cube = neutrinos
    for ctau in (1.0, 10.0, 100.0, 1000.0):
        events = simulation.generate_chunk(
            "tau_heavy_neutrino", 40_000, (5, int(ctau)), sqrt_s=10.58, parameters={"mass": 1.0, "ctau": ctau}
        )
        far, pions = events["r_vertex"] > 15, events["m_pipi"]
        found = np.count_nonzero(far & ((pions > 0.52) | (pions < 0.42))) / 40_000
        ours = float(cube["efficiency"].sel(m_n=1.0).sel(ctau_n=ctau, method="nearest"))
        assert ours == pytest.approx(found, abs=5 * np.sqrt(found / 40_000) + 0.06 * found)


def test_the_mixing_is_excluded_in_an_island_whose_ends_are_those_of_its_rate(neutrinos):
    cube = neutrinos
    model = MODELS["heavy_neutral_lepton"]
    for mass in (1.0, 1.2):
        at = cube.sel(m_n=mass)
        low, high = (at[name].to_numpy() for name in ("coupling_low", "coupling_high"))
        assert low.shape == (1,)
        assert 1e-5 < low[0] < high[0] < 0.5
        assert high[0] / low[0] > 3
        assert not at["coupling_low_open"].any()
        assert not at["coupling_high_open"].any()
        reach = model.production(mass, 10.58) * model.branching_fraction(mass, "nu_mu_mu")
        mixing = np.geomspace(1e-6, 1.0, 20_001)
        ctau = model.decay_length(mass) / mixing
        logs = np.log(at["branching_fraction_limit"])
        with np.errstate(invalid="ignore"):
            limit = np.exp(np.interp(np.log(ctau), np.log(at["ctau_n"]), logs))
        excluded = mixing[(reach * mixing > limit) & (ctau > 0.1) & (ctau < 1e5)]
        np.testing.assert_allclose([low[0], high[0]], excluded[[0, -1]], rtol=2e-3)
        assert np.all(np.diff(np.log(excluded)) < 1e-3)  # one island
