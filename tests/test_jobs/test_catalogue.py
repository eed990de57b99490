"""Every built-in search from generated events to limits, reduced."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.searches import catalogue
from scanner import definition
from storage import cubes


@pytest.mark.parametrize("name", catalogue.runnable())
def test_every_search_runs_end_to_end(name, tmp_path):
    (outcome,) = catalogue.run_all(tmp_path, SerialExecutor(), names=[name], quick=True)
    assert outcome.error == ""
    cube, search = cubes.open(outcome.cube), definition.load(name)
    assert (tmp_path / outcome.plot).stat().st_size > 5000
    assert set(search.scan) <= set(cube.dims)
    limits = cube["yield_limit"].to_numpy()
    limited = np.isfinite(limits)
    assert limited.any()
    assert (limits[limited] > 0.0).all()
    if search.normalisation.kind != "none":
        kind = "cross_section" if search.normalisation.kind == "luminosity" else "branching_fraction"
        rate = cube[f"{kind}_limit"].to_numpy()
        assert (rate[limited] > 0.0).all()
    if search.model is not None:
        assert "coupling_limit" in cube
    assert all(row["expected"] > 0.0 for row in catalogue.compared(cube))


def test_all_of_the_catalogue_but_a_spectrum_of_ones_own_is_run():
    assert set(definition.names()) - set(catalogue.runnable()) == {"bump_hunt"}


def test_a_reduced_search_keeps_its_ends():
    search = definition.load("zp_mumu")
    few = catalogue.reduced(search)
    assert few.scan_axis.values is not None
    assert (few.scan_axis.values[0], few.scan_axis.values[-1]) == (
        search.scan_axis.low,
        search.scan_axis.high,
    )
    assert len(few.scan_axis.values) == catalogue.QUICK_MASSES
    assert 0.0 < catalogue.quick_luminosity(search) <= search.luminosity


def test_all_but_one_search_run_in_full_at_their_luminosity():
    searches = {name: definition.load(name) for name in catalogue.runnable()}
    small = {
        name
        for name, search in searches.items()
        if catalogue.quick_luminosity(search, catalogue.FULL_EVENTS) < search.luminosity
    }
    assert small == {"ap_vis"}


def test_a_search_that_fails_is_reported_and_the_others_run(tmp_path):
    (tmp_path / "zp_mumu_events.zarr").mkdir()
    (tmp_path / "zp_mumu_events.zarr" / "zarr.json").write_text("{}")
    found = catalogue.run_all(tmp_path, SerialExecutor(), names=["zp_mumu", "tau_3mu_counts"], quick=True)
    assert [bool(outcome.error) for outcome in found] == [True, False]
    assert "no limits" in catalogue.page(found)


def test_a_defect_is_told_from_a_wrong_input_and_the_others_run(darkscan, tmp_path, monkeypatch):
    def broken(search, events):
        return 1.0 / len(search.vetoes) if search.name == "zp_mumu" else 1e-9

    monkeypatch.setattr(catalogue, "quick_luminosity", broken)
    answer = darkscan("searches", "run-all", "zp_mumu", "tau_3mu_counts", "--quick", "-o", tmp_path, "--json")
    assert answer.code == 1
    first, second = answer.json
    assert first["error"] == "ZeroDivisionError: float division by zero"
    assert "Traceback" in (tmp_path / "zp_mumu.traceback.txt").read_text()
    assert "zp_mumu: a defect (ZeroDivisionError" in answer.err
    assert second["error"] == second["traceback"] == ""


def test_the_command_writes_a_page_and_a_table(darkscan, tmp_path):
    answer = darkscan("searches", "run-all", "tau_3mu_counts", "--quick", "-o", tmp_path, "--json")
    assert answer.code == 0
    assert answer.json[0]["limits"] == 1
    assert "tau_3mu_counts.png" in (tmp_path / "index.html").read_text()
    answer = darkscan("searches", "compare", tmp_path)
    assert answer.out.splitlines()[2].startswith("| `tau_3mu_counts` | 1.777 |")
