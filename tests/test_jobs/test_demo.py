"""The demonstration, as a newcomer runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scanner import definition
from storage import cubes

COMMAND = str(Path(sys.executable).with_name("darkscan"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [COMMAND, "demo", "-o", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_injected_signal_is_the_largest_excess_at_the_right_mass(report):
    search = definition.load("zp_mumu")
    resolution = float(search.signal.resolution([report["injected"]["mass"]])[0])
    assert abs(report["recovered"]["mass"] - report["injected"]["mass"]) < resolution
    assert report["recovered"]["z_local"] > 5.0


def test_its_yield_comes_back_within_two_errors(report):
    found, injected = report["recovered"], report["injected"]
    assert abs(found["signal_yield"] - injected["yield"]) < 2.0 * found["signal_yield_error"]
    assert found["signal_yield_error"] < 0.3 * injected["yield"]


def test_everything_that_it_names_is_there(report):
    assert all(Path(path).exists() for path in report["paths"].values())
    assert cubes.digest(cubes.open(report["paths"]["cube"])) == report["digest"]
    assert json.loads(cubes.open(report["paths"]["cube"]).attrs["published"])["quantity"] == "coupling"


def test_limits_improve_with_luminosity_between_root_and_linear(report):
    rows = report["projection"]
    assert [row["luminosity"] for row in rows] == [1000.0, 5000.0, 10000.0, 50000.0]
    gain = rows[0]["cross_section"] / rows[-1]["cross_section"]
    assert 50.0**0.5 * 0.99 < gain < 50.0
    for row in rows:
        # σ ∝ g′², so the coupling improves as the root of the cross section.
        ratio = rows[0]["cross_section"] / row["cross_section"]
        assert rows[0]["coupling"] / row["coupling"] == pytest.approx(ratio**0.5, rel=1e-9)
