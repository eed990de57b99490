"""τ → μμμ: kinematics, what the definition says of ellipse and background, and an injected signal."""

import math

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from jobs.searches.catalogue import compared
from scanner import definition, engine, plots
from scanner.constants import MASS_MUON, MASS_TAU, SQRT_S
from scanner.errors import InputError
from scanner.simulation import calibrate_windows, expected_events, kinematics, recoil, three_muons

SEARCH = definition.load("tau_3mu")
POINT = {"mass": 1.777, "energy": 0.0}
EVENTS = 100_000


@pytest.fixture(scope="module")
def muons():
    rng = np.random.default_rng(11)
    tau = recoil.TAUS.draw(rng, EVENTS, SQRT_S)[0]
    return tau, three_muons.three_bodies(rng, tau)


def test_three_muons_make_a_tau(muons):
    tau, found = muons
    for muon in found:
        assert kinematics.mass(muon) == pytest.approx(MASS_MUON, abs=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), tau, atol=1e-9)


def test_the_dalitz_plane_is_flat_in_phase_space(muons):
    """The mean squared mass of each pair is (m_τ² + 3m_μ²)/3; its density is that of two-body momenta."""
    a, b, c = muons[1]
    squares = [kinematics.minkowski(x + y, x + y) for x, y in ((a, b), (a, c), (b, c))]
    for square in squares:
        error = np.std(square) / math.sqrt(EVENTS)
        assert abs(np.mean(square) - (MASS_TAU**2 + 3 * MASS_MUON**2) / 3) < 4 * error
    m = np.linspace(2 * MASS_MUON, MASS_TAU - MASS_MUON, 20_001)
    momenta = kinematics.two_body_momentum(MASS_TAU, m, MASS_MUON)
    density = momenta * kinematics.two_body_momentum(m, MASS_MUON, MASS_MUON)
    expected = np.trapezoid(density * (m < 0.8), m) / np.trapezoid(density, m)
    for square in squares:
        share = np.mean(square < 0.64)
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / EVENTS)


def test_the_energy_without_radiation_is_half_of_the_beams(muons):
    energy = muons[1].sum(axis=0)[0] - SQRT_S / 2
    assert energy.max() == pytest.approx(0.0, abs=1e-9)
    # Half of the events lose no more than 1% of it, and yet the mean loss is large: a few hard photons.
    assert np.median(energy) > -0.05 > np.mean(energy)


def test_ellipse_and_efficiency_of_the_definition_are_those_of_the_generator():
    found = calibrate_windows.measure(SEARCH, "tau_three_muons", POINT, 4 * EVENTS, 3)
    signal = SEARCH.signal
    stated = float(signal.resolution(1.777)), float(signal.resolutions["delta_e"](1.777))
    assert found.resolutions == pytest.approx(stated, rel=0.03)
    assert found.tilt == pytest.approx(float(SEARCH.window.tilt(1.777)), abs=0.005)
    assert abs(found.efficiency - float(signal.efficiency(1.777))) < 4 * found.efficiency_error


def test_the_paper_s_background_is_in_the_ellipse():
    """Flat combinations leave 0.7 events there, and fifteen times as many in the sidebands."""
    (grid,) = engine.counting_grids(SEARCH).values()
    area = math.pi * float(np.prod(grid.half))
    plane = np.prod([high - low for low, high in (three_muons.MASSES, three_muons.ENERGIES)])
    produced = expected_events("three_muon_combinations", sqrt_s=SQRT_S, luminosity=424.0)
    assert produced * 0.01 * area / plane == pytest.approx(0.7, rel=0.01)
    assert grid.bands[0].tolist() == pytest.approx([1.6, 1.7515, 1.8025, 1.95])
    height = 2 * grid.table({}).extent[0, 1]
    length = float(np.diff(grid.bands[0])[[0, 2]].sum())
    assert grid.ratio[0] == pytest.approx(height * length / area, rel=1e-9)


def test_an_injected_signal_comes_back(tmp_path):
    serial, store, fraction = SerialExecutor(), str(tmp_path / "events.zarr"), 1e-6
    generate(SEARCH, store, executor=serial, seed=5, signals=[{**POINT, "branching_fraction": fraction}])
    cube = scan(SEARCH, store, str(tmp_path / "cube"), executor=serial)
    window = cube.isel(mass=0, energy=0)
    found, error = (float(window[name]) for name in ("signal_yield", "signal_yield_error"))
    assert abs(found - 2 * 389e6 * 0.144 * fraction) < 3.0 * error
    assert error < 0.2 * found
    assert 1.0 < float(window["branching_fraction_limit"]) / fraction < 1.6
    assert 2 < float(window["n_sideband"]) < 30
    (row,) = compared(cube)
    assert 1.0 < row["ratio"] < 2.0
    assert len(plots.overview_plot(cube).axes) == 2


def test_a_range_of_a_sideband_rises():
    with pytest.raises(InputError, match="low below high"):
        definition.parse(
            "extends: tau_3mu\nbackground: {shape: counting, estimate: sideband, source: default, "
            "sideband: {observable: m_3mu, exclude: 6 resolution, range: [1.9 GeV, 1.6 GeV]}}"
        )
