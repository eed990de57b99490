"""Searches in decays of B mesons, taus and the Υ, from the generator to the limit cube."""

import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition

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


def test_b_ka_finds_an_injected_signal_in_the_configuration_of_its_lifetime(tmp_path):
    text = "extends: b_ka\nrange: [1.9 GeV, 2.1 GeV]\nluminosity: 40 fb^-1\n"
    signal = {"m": 2.0, "branching_fraction": 1e-5, "ctau": 1.0}
    cube = run(definition.parse(text, where="b_ka.yaml"), tmp_path, signals=[signal])
    assert list(cube["configuration"].values) == ["prompt", "1 mm", "10 mm", "100 mm"]
    at = cube.sel(m_alp=2.0, method="nearest").sel(configuration="10 mm")
    expected = 1e-5 * 40 * 1.11e6 * float(at["efficiency"])
    assert float(at["signal_yield"]) == pytest.approx(expected, abs=3 * float(at["signal_yield_error"]))
    best = cube["z_local"].max("m_alp")
    assert best.idxmax("configuration") == "10 mm"
    assert float(best.max()) > 5


def test_b_ks_llp_finds_pairs_of_pions_at_their_lifetime(tmp_path):
    text = """
extends: b_ks_llp
luminosity: 20 fb^-1
scan:
  m_s: {range: [0.97 GeV, 1.03 GeV], step: 1 resolution}
  ctau_s: {values: "0.1, 1, 100 cm"}
"""
    signal = {"m_s": 1.0, "branching_fraction": 1e-5, "mode": 2.0, "ctau": 1.0}
    cube = run(definition.parse(text, where="llp.yaml"), tmp_path, signals=[signal])
    assert cube["z_local"].shape == (3, cube.sizes["m_s"]) or cube["z_local"].shape == (cube.sizes["m_s"], 3)
    near = cube.sel(m_s=1.0, method="nearest").sel(ctau_s=1.0)
    assert float(near["z_local"]) > 5.0
    produced = 1e-5 * 20 * 1.11e6
    efficiency = definition.load("b_ks_llp").channels["kplus_pipi"].efficiency(1.0, ctau_s=1.0)
    expected = produced * float(efficiency)
    assert float(near["n_observed"]) > 0.7 * expected
    assert set(cube["channel"].values) == set(definition.load("b_ks_llp").channels)


def test_hnl_tau_excludes_an_island(tmp_path):
    text = """
extends: hnl_tau
scan:
  m_n: {values: "1.2 GeV"}
method: {limit: auto, toys: 400}
"""
    cube = scan(definition.parse(text, where="hnl.yaml"), "", str(tmp_path / "c.zarr"), executor=SERIAL)
    low, high = (float(cube[name].isel(interval=0).squeeze()) for name in ("coupling_low", "coupling_high"))
    assert 1e-5 < low < high < 0.5
    assert high / low > 3
