"""`darkscan plot` of cubes over more than a mass: what is chosen is said, and can be chosen."""

import numpy as np
import pytest
import xarray as xr

from scanner import definition
from storage import cubes

SEARCH = """
name: lived
beam: {sqrt_s: 10.58 GeV}
normalisation: {kind: pairs, pairs: 4e8, per_pair: 2, source: user}
columns: {mass: GeV}
configurations: {product: {a: [1, 2]}}
scan:
  m_s: {values: [0.5 GeV, 1 GeV]}
  ctau: {values: "0.1, 1, 10 cm"}
channels: {mumu: {observable: mass}}
signal: {resolution: 5 MeV, efficiency: 10%, source: user}
model: {name: dark_scalar, final_state: mu_mu}
"""


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """Return where a cube over configurations, masses and lifetimes is."""
    search = definition.parse(SEARCH, where="lived.yaml")
    names = [configuration.name for configuration in search.configurations]
    limit, ends = np.full((2, 2, 3), 1e-7), np.full((2, 2, 1), 1e-4)
    variables = {
        "branching_fraction_limit": (("configuration", "m_s", "ctau"), limit, {"units": "1"}),
        "coupling_low": (("configuration", "m_s", "interval"), ends, {"units": "1", "symbol": "sin θ"}),
        "coupling_high": (("configuration", "m_s", "interval"), 10 * ends),
    }
    coordinates = {
        "configuration": names,
        "m_s": ("m_s", [0.5, 1.0], {"units": "GeV"}),
        "ctau": ("ctau", [0.1, 1.0, 10.0], {"units": "cm"}),
        "region": ("m_s", ["all", "all"]),
    }
    place = str(tmp_path_factory.mktemp("plot") / "cube.zarr")
    cubes.write(xr.Dataset(variables, coordinates, {"definition": search.canonical}), place, overwrite=False)
    return place


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], " at ctau = 1 cm, configuration = a=1; --configuration and --at take others"),
        (["--at", "ctau=10cm"], " at configuration = a=1; --configuration and --at take others"),
        (["--at", "ctau=10", "--configuration", "a=2"], ""),
        (["--variable", "excluded", "--configuration", "a=2"], ""),
        (["--variable", "excluded"], " at configuration = a=1; --configuration and --at take others"),
    ],
)
def test_a_point_is_chosen_where_none_is_given_and_said(darkscan, cube, tmp_path, options, said):
    path = tmp_path / "limits.svg"
    assert darkscan("plot", cube, "-o", path, *options).out == f"wrote {path}{said}\n"
    assert path.stat().st_size > 0


def test_a_wrong_choice_is_refused(refused, cube, tmp_path):
    path = tmp_path / "limits.svg"
    assert "no intervals 'excluded_x'" in refused("plot", cube, "-o", path, "--variable", "excluded_x")
    assert "ctau = 50 is outside of the cube" in refused("plot", cube, "-o", path, "--at", "ctau=50")
