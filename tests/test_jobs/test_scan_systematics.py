"""Systematics of a definition in the limits of its scan, and in what is exported of it."""

import json

import numpy as np
import pyhf
import pytest

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.projection import project

# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

BARE = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
scan: {m: {step: 5 resolution}}
resolution: 20 MeV
order: 1
luminosity: 10 fb^-1
efficiency: 40%
method: {toys: 100}
"""
SYSTEMATICS = """
systematics:
  luminosity: {on: luminosity, size: 2%, source: user}
  efficiency: {on: efficiency, kind: normal, size: 12%, source: user}
  resolution: {on: resolution, size: 10%, source: user}
  scale: {on: mass, kind: normal, size: 0.2%, source: user}
  shape: {on: background, kind: normal, size: 3%, source: user}
"""
LEVEL = 0.9


def scanned(text, store, place, method="asymptotic", **options):
    search = definition.parse(text, where="small.yaml")
    return scan(search, store, str(place), executor=SerialExecutor(), options=Options(method, **options))


@pytest.fixture
def cube(store, tmp_path):
    return scanned(BARE + SYSTEMATICS, store, tmp_path / "with.zarr")


def test_an_exported_window_holds_the_systematics_and_has_the_same_limit(cube, darkscan, tmp_path):
    answer = darkscan("export", tmp_path / "with.zarr", "--format", "pyhf", "-o", tmp_path, "--at", "m=2.0")
    assert answer.code == 0, answer
    document = json.loads(next(tmp_path.glob("*.json")).read_text())
    parameters = document["measurements"][0]["config"]["parameters"]
    assert {"luminosity", "efficiency", "resolution", "scale", "shape"} < {p["name"] for p in parameters}
    for parameter in parameters:
        if parameter["name"] == "signal_yield":  # q̃ of pyhf wants a yield that cannot be negative
            parameter["bounds"][0][0], parameter["inits"] = 0.0, [max(0.0, *parameter["inits"])]
    workspace = pyhf.Workspace(document)
    model = workspace.model(
        modifier_settings={"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    )
    window = cube.limits.at(m=2.0)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    level = pyhf.infer.hypotest(
        float(window["yield_limit"]), workspace.data(model), model, test_stat="qtilde"
    )
    pyhf.set_backend("numpy")
    assert float(level) == pytest.approx(1.0 - LEVEL, rel=3e-3)
    assert cube.attrs["systematics"] == "efficiency, luminosity, resolution, scale, shape"


def test_limits_grow_as_errors_add(cube, store, tmp_path):
    """The spurious signal adds to the variance, and the normal errors of the signal raise the limit."""
    bare = scanned(BARE, store, tmp_path / "bare.zarr")
    assert bare.attrs["systematics"] == "none: limits are statistical only"
    ratio = (cube["yield_limit_expected"] / bare["yield_limit_expected"]).sel(quantile=0.5)
    assert (ratio > 1.0).all()
    small = BARE + "systematics: {shape: {on: background, kind: normal, size: 3%, source: user}}\n"
    only = scanned(small, store, tmp_path / "only.zarr")
    error = bare["signal_yield_error"]
    expected = np.sqrt(error**2 + (0.03 * bare["n_background"]) ** 2)
    window = np.abs(bare["z_local"]) < 1.0  # without a peak that moves the background
    np.testing.assert_allclose(only["signal_yield_error"][window], expected[window], rtol=0.02)


def test_the_projection_to_today_is_what_is_expected_today(cube):
    today = project(cube, [10.0], "constant").isel(luminosity=0)
    ratio = today["yield_limit_expected"].sel(quantile=0.5) / cube["yield_limit_expected"].sel(quantile=0.5)
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.03)


FEW = BARE + "select: [sin(1e7 * mass) > 0.9999]\n"  # about one candidate in 200


def test_low_counts_are_averaged_over_systematics(store, tmp_path):
    bare = scanned(FEW, store, tmp_path / "bare.zarr", "counting")
    found = scanned(FEW + SYSTEMATICS, store, tmp_path / "with.zarr", "counting")
    assert float(bare["n_observed"].median()) < 100
    assert np.isfinite(bare["yield_limit"]).all()
    assert (found["yield_limit"] > bare["yield_limit"]).all()


def test_systematics_of_the_shape_enter_toys_of_the_automatic_choice(store, tmp_path):
    few = FEW.replace("[1 GeV, 3 GeV]", "[1.4 GeV, 1.6 GeV]")
    bare = scanned(few, store, tmp_path / "bare.zarr", "auto")
    found = scanned(few + SYSTEMATICS, store, tmp_path / "with.zarr", "auto")
    methods = found.limits.flags("method")
    thrown = found["toys"] > 0
    assert thrown.any()
    assert {methods[int(code)] for code in found["method"].to_numpy()[thrown]} == {"toys"}
    assert np.isfinite(found["yield_limit"]).all()
    assert np.median(found["yield_limit_expected"] / bare["yield_limit_expected"]) > 1.0


def test_toys_know_stated_yields(store, tmp_path):
    """The store holds 300 events of a peak at 2 GeV."""
    text = BARE.replace("[1 GeV, 3 GeV]", "[1.99 GeV, 2.01 GeV]").replace("5 resolution", "1 resolution")
    peak = "background: {peaks: {eta: {at: 2.0 GeV, expected: 300, error: 5%, source: user}}}\n"
    toys = scanned(text + peak, store, tmp_path / "toys.zarr", "toys", seed=3)
    formula = scanned(text + peak, store, tmp_path / "formula.zarr", "asymptotic")
    np.testing.assert_allclose(toys["yield_limit"], formula["yield_limit"], rtol=0.1)


def test_a_peak_of_stated_yield_is_taken_off(store, tmp_path):
    """The store holds 300 events of a peak at 2 GeV."""
    peak = "background: {peaks: {eta: {at: 2.0 GeV, expected: 300, error: 5%, source: user}}}\n"
    found = scanned(BARE + peak, store, tmp_path / "peak.zarr", "auto").limits.at(m=2.0)
    bare = scanned(BARE, store, tmp_path / "bare.zarr").limits.at(m=2.0)
    assert float(bare["z_local"]) > 4.0
    assert float(found["z_local"]) < 2.0
    taken = float(bare["signal_yield"] - found["signal_yield"])
    assert taken == pytest.approx(300.0, rel=0.05)
    error = np.hypot(float(bare["signal_yield_error"]), 15.0)
    assert float(found["signal_yield_error"]) == pytest.approx(error, rel=0.03)


def test_the_bias_that_a_study_finds_is_the_size_of_a_systematic(darkscan, refused, store, tmp_path):
    text = BARE + "systematics: {bias: {on: yield, size: spurious_signal, source: computed}}\n"
    file, bias, place = tmp_path / "s.yaml", tmp_path / "bias.zarr", tmp_path / "limits.zarr"
    file.write_text(text)
    assert "--spurious-signal" in refused("scan", file, store, "-o", place)
    study = ("study", "bias", file, "-o", bias, "--store", store, "--every", "20")
    assert darkscan(*study).code == 0
    answer = darkscan(
        "scan", file, store, "-o", place, "--method", "asymptotic", "--spurious-signal", bias, "--json"
    )
    assert answer.code == 0, answer.err
    assert answer.json["systematics"] == "bias"
    from storage import cubes

    found, bare = cubes.open(str(place)), scanned(BARE, store, tmp_path / "bare.zarr")
    events = cubes.open(str(bias))["spurious_signal"]
    size = np.interp(found["m"], events["m"], events)
    assert size.max() > 1.0
    expected = np.sqrt(bare["signal_yield_error"] ** 2 + size**2)
    np.testing.assert_allclose(found["signal_yield_error"], expected, rtol=0.02)
    study = ("study", "linearity", file, "-o", tmp_path / "l.zarr", "--store", store, "--every", "40")
    assert "--spurious-signal" in refused(*study)
    answer = darkscan(*study, "--toys", "10", "--spurious-signal", bias, "--json")
    assert answer.json["systematics"] == "bias"
    larger = cubes.open(str(tmp_path / "l.zarr"))["expected_error"]
    before = cubes.open(str(bias)).sel(m=larger["m"])
    expected = np.hypot(before["expected_error"], before["spurious_signal"])
    np.testing.assert_allclose(larger, expected, rtol=0.02)
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("name: small", "name: other"))
    message = refused("scan", other, store, "-o", tmp_path / "o.zarr", "--spurious-signal", bias)
    assert "is no bias study of 'other'" in message
    file.write_text(BARE)
    message = refused("scan", file, store, "-o", tmp_path / "o.zarr", "--spurious-signal", bias)
    assert "no systematic of 'size: spurious_signal'" in message
