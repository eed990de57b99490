"""A definition of two channels, from generated events to the cube, in one reading of the events."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import run_place, scan
from jobs.scanning.run import open_run
from jobs.studies.significance import Options as SignificanceOptions
from jobs.studies.significance import significance
from jobs.studies.study import Options as StudyOptions
from jobs.studies.study import study
from scanner import definition

MASS, CROSS_SECTION, LUMINOSITY = 2.0, 2.0, 60.0
ONE = f"""
extends: zp_mumu
range: [1.9 GeV, 2.1 GeV]
luminosity: {LUMINOSITY} fb^-1
"""
HALF = (
    'select: [n_muons >= 3, abs(m_4mu - sqrt_s) < 0.1, nn > 0.5, "sin(12.9898 * event) SIGN 0"], '
    "branching_fraction: 50%, source: user"
)
TWO = (
    ONE
    + "channels:\n  four_muons:\n"
    + f"  even: {{{HALF.replace('SIGN', '>=')}}}\n"
    + f"  odd: {{{HALF.replace('SIGN', '<')}}}\n"
)


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """The scan of generated events as one channel, and as two halves of them."""
    folder = tmp_path_factory.mktemp("channels")
    store, serial = str(folder / "events.zarr"), SerialExecutor()
    searches = {name: definition.parse(text, where=name) for name, text in (("one", ONE), ("two", TWO))}
    signal = {"m": MASS, "cross_section": CROSS_SECTION}
    generate(searches["one"], store, executor=serial, seed=3, signals=[signal])
    options = Options(method="asymptotic")
    found = {
        name: scan(search, store, str(folder / name), executor=serial, options=options)
        for name, search in searches.items()
    }
    return found["one"], found["two"], open_run(run_place(str(folder / "two"))), searches["two"]


def test_the_halves_are_the_whole(cubes):
    one, two, run, _ = cubes
    np.testing.assert_array_equal(two["n_observed"], one["n_observed"])
    np.testing.assert_allclose(two["efficiency"], one["efficiency"], rtol=1e-12)
    assert set(run.histograms) == {"all.even", "all.odd"}
    assert len(run.plan.passes) == len({block.key for block in run.plan.passes}) == 1  # one reading
    kept = two["cutflow_even"][0, -1] + two["cutflow_odd"][0, -1]
    assert int(kept) == int(one["cutflow"][0, -1])
    assert 0.4 < float(two["cutflow_even"][0, -1] / kept) < 0.6


def test_the_signal_is_found_in_both_together(cubes):
    one, two, _, _ = cubes
    excess = two.limits.largest_excess()
    assert excess.z_local > 4.0
    assert abs(excess.mass - MASS) < 0.02
    window = two.limits.at(m_zprime=MASS)
    injected = LUMINOSITY * CROSS_SECTION * float(window["efficiency"])
    assert abs(float(window["signal_yield"]) - injected) < 3.0 * float(window["signal_yield_error"])
    # Halves with backgrounds of their own know about as much as the whole.
    ratio = (two["yield_limit_expected"] / one["yield_limit_expected"]).sel(quantile=0.5)
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.05)


def test_the_cube_is_the_same_for_any_blocks(cubes, tmp_path):
    _, two, run, search = cubes
    options = Options(method="asymptotic", windows_a_block=7)
    again = scan(search, run.plan.store, str(tmp_path / "again"), executor=SerialExecutor(), options=options)
    for name in two.data_vars:
        np.testing.assert_array_equal(again[name], two[name], str(name))


def test_a_study_of_both_together(cubes, tmp_path):
    """The halves of so few events know about as much as the whole, window by window or not."""
    _, _, run, search = cubes
    options = StudyOptions(toys=20, every=10, injected=(0.0, 5.0))
    how = {"executor": SerialExecutor(), "store": run.plan.store, "options": options}
    found = study("linearity", search, str(tmp_path / "study"), **how)
    assert float(found["toys_failed"].sum()) == 0.0
    whole = study("linearity", definition.parse(ONE, where="one"), str(tmp_path / "whole"), **how)
    assert float((found["expected_error"] / whole["expected_error"]).median()) == pytest.approx(1.0, abs=0.3)
    assert float((found["fitted_yield"] - whole["fitted_yield"]).median()) == pytest.approx(0.0, abs=1.0)
    assert study("bias", search, str(tmp_path / "bias"), **how)["truth_quality"].min() > 0.0


def test_the_significance_of_both_together(cubes):
    _, two, run, _ = cubes
    cube = run.place.removesuffix(".run")
    found = significance(cube, executor=SerialExecutor(), options=SignificanceOptions(toys=30))
    assert found.toys_failed == 0
    assert found.excess.z == pytest.approx(two.limits.largest_excess().z_local, rel=1e-3)
    assert found.by_toys.p < 0.1
