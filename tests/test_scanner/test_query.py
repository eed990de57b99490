"""Questions to a small cube that was made by hand."""

import numpy as np
import pytest
import xarray as xr

import scanner.query  # noqa: F401 - registers the accessor
from scanner.errors import InputError


@pytest.fixture
def cube():
    flags = {"flag_values": [0, 4], "flag_meanings": "ok not_converged"}
    axis = "m_zprime"
    variables = {
        "z_local": (axis, [0.5, 3.0, 9.0, np.nan]),
        "p_local": (axis, [0.3, 1e-3, 0.0, np.nan]),
        "signal_yield": (axis, [1.0, 12.0, 5.0, np.nan]),
        "signal_yield_error": (axis, [2.0, 4.0, 1.0, np.nan]),
        "coupling_limit": (axis, [1e-3, 2e-3, 4e-3, np.nan]),
        "status": (axis, np.array([0, 0, 4, 0], np.uint8), flags),
    }
    coordinates = {axis: [1.0, 2.0, 3.0, 4.0], "region": (axis, ["all"] * 4)}
    return xr.Dataset(variables, coordinates)


def test_the_largest_excess_has_a_sound_fit(cube):
    excess = cube.limits.largest_excess()
    assert (excess.mass, excess.z_local, excess.signal_yield) == (2.0, 3.0, 12.0)


def test_no_excess_without_a_significance(cube):
    with pytest.raises(InputError, match="no window of this cube has a significance"):
        cube.assign(z_local=cube["z_local"] * np.nan).limits.largest_excess()


def test_a_point_selects_the_nearest_window(cube):
    assert float(cube.limits.at(m_zprime=2.4)["m_zprime"]) == 2.0


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"m_zprime": 4.5}, "m_zprime = 4.5 is outside of the cube, which covers 1 to 4"),
        ({"m_aprime": 2.0}, "'m_aprime' is no axis of this cube: it has m_zprime"),
    ],
)
def test_points_off_the_cube_are_refused(cube, point, message):
    with pytest.raises(InputError, match=message):
        cube.limits.at(**point)


def test_couplings_from_the_limit_on_are_excluded(cube):
    assert cube.limits.excluded(2e-3).to_numpy().tolist() == [True, True, False, False]


def test_a_cube_without_coupling_says_why(cube):
    with pytest.raises(InputError, match="no coupling limit"):
        cube.drop_vars("coupling_limit").limits.excluded(1e-3)
