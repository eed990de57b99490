"""A scan over mass and lifetime: one reading, a limit for each mass, an efficiency for each lifetime."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.scan import run_place, scan
from jobs.scanning.run import open_run
from scanner import definition
from scanner.models import MODELS

LINE = """
extends: bump_hunt
name: lived
observable: mass
resolution: 20 MeV
order: 1
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
normalisation: luminosity
"""
LIVED = (
    LINE
    + """
scan:
  m_x: {range: [1.9 GeV, 2.1 GeV], step: 1 resolution}
  ctau: {values: [0.1 cm, 1 cm, 10 cm]}
signal: {efficiency: {formula: 0.2 / (1 + ctau), source: user}}
"""
)


@pytest.fixture
def cube(store, tmp_path):
    options = Options(method="asymptotic", windows_a_block=3)
    return scan(
        definition.parse(LIVED), store, str(tmp_path / "cube"), executor=SerialExecutor(), options=options
    )


def test_the_lifetime_is_a_dimension(cube):
    assert cube["cross_section_limit"].dims == ("ctau", "m_x")
    assert cube["ctau"].attrs["units"] == "cm"
    assert cube["ctau"].to_numpy().tolist() == [0.1, 1.0, 10.0]
    limit = cube["cross_section_limit"] * cube["efficiency"]
    np.testing.assert_allclose(limit.isel(ctau=0), limit.isel(ctau=2))
    np.testing.assert_allclose(cube["efficiency"].isel(m_x=0), 0.2 / (1 + cube["ctau"].to_numpy()))
    at = cube.limits.at(m_x=2.0, ctau=1.0)
    assert float(at["cross_section_limit"]) == pytest.approx(float(at["yield_limit"]) / (10 * 0.1))


def test_each_lifetime_is_a_scan_of_its_own(cube, store, tmp_path):
    text = LIVED.replace("  ctau: {values: [0.1 cm, 1 cm, 10 cm]}\n", "").replace("(1 + ctau)", "(1 + 1)")
    alone = scan(
        definition.parse(text),
        store,
        str(tmp_path / "alone"),
        executor=SerialExecutor(),
        options=Options(method="asymptotic"),
    )
    for name in ("yield_limit", "cross_section_limit", "cross_section_limit_expected", "status"):
        np.testing.assert_array_equal(cube[name].sel(ctau=1.0), alone[name], name)


def test_the_events_are_read_once(cube, tmp_path):
    run = open_run(run_place(str(tmp_path / "cube")))
    assert set(run.histograms) == {"all"}
    assert len(cube["m_x"]) == len(run.grids["all"])


def test_couplings_that_set_the_lifetime_are_excluded_in_intervals(store, tmp_path):
    text = LIVED.replace(
        "normalisation: luminosity", "normalisation: {kind: pairs, pairs: 1e9, per_pair: 2, source: user}"
    ).replace("[0.1 cm, 1 cm, 10 cm]", "{log: [1e-4 cm, 1e2 cm], points: 13}")
    text += "model: {name: dark_scalar, final_state: mu_mu}\n"
    options = Options(method="asymptotic")
    cube = scan(
        definition.parse(text), store, str(tmp_path / "cube"), executor=SerialExecutor(), options=options
    )
    assert cube["coupling_low"].dims == ("m_x", "interval")
    assert cube["coupling_low"].attrs["symbol"] == "sin θ"
    low, high = (cube[name].isel(interval=0) for name in ("coupling_low", "coupling_high"))
    assert bool((low < high).all())
    model = MODELS["dark_scalar"]
    rate = model.production(cube["m_x"], 10.58) * model.branching_fraction(cube["m_x"], "mu_mu")
    ctau = model.decay_length(cube["m_x"]) / low**2
    events = 2e9 * rate * low**2 * 0.2 / (1 + ctau)
    # At the lower end as many events are expected as the limit allows, within the steps of the lifetime.
    np.testing.assert_allclose(events, cube["yield_limit"].isel(ctau=0), rtol=0.05)


def test_a_lifetime_that_nothing_sees_has_no_limit_on_a_rate(store, tmp_path):
    text = LIVED.replace("0.2 / (1 + ctau)", "0.2 * (1 if ctau > 0.5 else 0)")
    cube = scan(definition.parse(text), store, str(tmp_path / "cube"), executor=SerialExecutor())
    assert bool(np.isinf(cube["cross_section_limit"].sel(ctau=0.1)).all())
    assert bool(np.isfinite(cube["cross_section_limit"].sel(ctau=1.0)).all())
