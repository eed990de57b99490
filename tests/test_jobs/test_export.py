"""Exports of a cube: likelihoods that other tools fit, and tables."""

import csv
import json

import numpy as np
import pytest

from jobs.executors import SerialExecutor as Serial
from jobs.plan import Options
from jobs.scan import scan

# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


@pytest.fixture
def cube(search, store, tmp_path):
    place = str(tmp_path / "cube.zarr")
    return place, scan(search, store, place, executor=Serial(), options=Options())


def test_exported_window_is_fitted_by_pyhf(cube, darkscan, pyhf_fit, tmp_path):
    place, limits = cube
    answer = darkscan("export", place, "--format", "pyhf", "-o", tmp_path / "out", "--at", "m=2.0")
    assert answer.code == 0, answer
    window = limits.limits.at(**{limits.limits.axis: 2.0})
    best = pyhf_fit(tmp_path / "out", "*").best
    assert best == pytest.approx(
        float(window["signal_yield"]), abs=0.01 * float(window["signal_yield_error"])
    )


def test_every_window_is_exported(cube, darkscan, tmp_path):
    place, limits = cube
    assert darkscan("export", place, "--format", "hs3", "-o", tmp_path / "out").code == 0
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == limits.sizes[limits.limits.axis]
    first = json.loads(files[0].read_text())
    assert {"distributions", "data", "likelihoods", "domains", "analyses"} <= first.keys()


def test_table_holds_the_cube(cube, darkscan, tmp_path):
    place, limits = cube
    assert darkscan("export", place, "--format", "csv", "-o", tmp_path / "limits.csv").code == 0
    with (tmp_path / "limits.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["yield_limit [1]"]) for row in rows], limits["yield_limit"])
    medians = [float(row["yield_limit_expected[quantile=0.5] [1]"]) for row in rows]
    np.testing.assert_array_equal(medians, limits["yield_limit_expected"].sel(quantile=0.5))


def test_bad_exports_are_refused(cube, refused, tmp_path):
    place, _ = cube
    assert "take one of pyhf, hs3, csv" in refused("export", place, "--format", "xml", "-o", tmp_path / "o")
    for name in ("mass", "configuration"):
        message = refused("export", place, "--format", "pyhf", "-o", tmp_path / "o", "--at", f"{name}=2")
        assert f"no axis '{name}' of windows: take some of m" in message
    (tmp_path / "cube.zarr.run").rename(tmp_path / "elsewhere")
    assert "scan again" in refused("export", place, "--format", "pyhf", "-o", tmp_path / "o")
