"""The global significance of a cube with two mass axes: counts in a plane, filtered by a signal's shape."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import scanner.query  # noqa: F401 - registers the accessor
from scanner.errors import InputError
from scanner.stats import STATUS_MEANINGS
from storage import cubes

SHAPE, MARGIN, WIDTH = (48, 36), 20, 4.0
EVENTS = 400.0
"""Background of a fine bin: enough for Gaussian fluctuations."""
CODES = {word: code for code, word in STATUS_MEANINGS.items()}


def significances(counts):
    """Return √q₀ of a Gaussian signal on a known flat background, 0 for a deficit: (..., Y, X)."""
    size = tuple(length + 2 * MARGIN for length in SHAPE)
    point = np.zeros(size)
    point[size[0] // 2, size[1] // 2] = 1.0
    filtered = gaussian_filter(counts - EVENTS, WIDTH, axes=(-2, -1))
    spread = math.sqrt(EVENTS * (gaussian_filter(point, WIDTH) ** 2).sum())
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return np.maximum(filtered[inner] / spread, 0.0)


def throw(number, seed, signal=0.0):
    """Return maps of toys, with a signal of some standard deviations in the middle."""
    rng = np.random.default_rng(seed)
    size = tuple(length + 2 * MARGIN for length in SHAPE)
    y, x = np.mgrid[: size[0], : size[1]]
    shape = np.exp(-((y - size[0] // 2) ** 2 + (x - size[1] // 2) ** 2) / (2.0 * WIDTH**2))
    events = signal * math.sqrt(EVENTS / (shape**2).sum()) * shape
    return significances(rng.poisson(EVENTS + events, (number, *size)).astype(float))


def axes():
    return {
        "m_aprime": ("m_aprime", 1.0 + 0.01 * np.arange(SHAPE[0]), {"units": "GeV"}),
        "m_hprime": ("m_hprime", 0.5 + 0.02 * np.arange(SHAPE[1]), {"units": "GeV"}),
    }


def cube_of(z, status=None):
    """Return a cube with two mass axes; with a third, one of toys."""
    dims = ("toy", "m_aprime", "m_hprime")[-z.ndim :]
    flags = {"flag_values": list(STATUS_MEANINGS), "flag_meanings": " ".join(STATUS_MEANINGS.values())}
    codes = np.zeros(z.shape, np.uint8) if status is None else status
    variables = {
        "z_local": (dims, z, {"units": "1", "long_name": "local significance"}),
        "status": (dims, codes, {"units": "1", "long_name": "status"} | flags),
    }
    return xr.Dataset(variables, axes())


@pytest.fixture(scope="module")
def toys():
    return throw(150, 1)


@pytest.fixture(scope="module")
def maxima():
    """The largest excesses of other toys."""
    return np.concatenate([throw(250, seed).max(axis=(1, 2)) for seed in range(100, 108)])


@pytest.mark.parametrize("z", [2.75, 3.25])
def test_the_p_value_is_that_of_many_toys(toys, maxima, z):
    data = np.zeros(SHAPE)
    data[7, 9] = z
    found = cube_of(data).limits.plane_significance(cube_of(toys))
    counted = (maxima >= z).mean()
    error = math.hypot(found.by_euler.high - found.by_euler.p, math.sqrt(counted / len(maxima)))
    # Two spots in one map count twice: a mean number exceeds the chance of any by p²/2.
    assert abs(found.by_euler.p - 0.5 * found.by_euler.p**2 - counted) < 3.0 * error
    assert abs(found.by_toys.p - counted) < 3.0 * math.sqrt(counted / found.toys) + 1.0 / found.toys
    assert found.by_euler_half_step.p == pytest.approx(found.by_euler.p, rel=0.25)


def test_a_signal_is_found_where_it_is(toys, tmp_path):
    cube = cube_of(throw(1, 5, signal=9.0)[0])
    found = cube.limits.plane_significance(cube_of(toys))
    assert found.at["m_aprime"] == pytest.approx(1.0 + 0.01 * SHAPE[0] / 2, abs=0.03)
    assert found.at["m_hprime"] == pytest.approx(0.5 + 0.02 * SHAPE[1] / 2, abs=0.06)
    assert found.by_euler.p < 1e-4 < found.by_toys.p == 1.0 / 151.0
    assert found.euler_valid
    cube.attrs |= found.attributes()
    cubes.write(cube, tmp_path / "plane.zarr")
    attributes = cubes.open(tmp_path / "plane.zarr").attrs
    assert attributes["p_global_method"] == "euler"
    assert attributes["p_global_excess_m_aprime"] == found.at["m_aprime"]


def test_the_order_of_the_axes_does_not_matter(toys):
    data = throw(1, 6, signal=5.0)[0]
    found = cube_of(data).limits.plane_significance(cube_of(toys))
    turned = cube_of(data).transpose().limits.plane_significance(cube_of(toys).transpose())
    assert 0.0 < found.by_euler.p < 1.0
    assert turned.by_euler.p == pytest.approx(found.by_euler.p)
    assert dict(turned.at) == dict(found.at)


def test_what_is_not_looked_at_or_not_sound_is_no_excess(toys):
    data, status = throw(1, 7)[0], np.zeros(SHAPE, np.uint8)
    data[10:14, 10:14] = np.nan
    data[3, 3], status[3, 3] = 9.0, CODES["not_converged"]
    found = cube_of(data, status).limits.plane_significance(cube_of(toys))
    assert found.z == np.nanmax(np.where(status, np.nan, data)) < 9.0
    assert found.points == data.size - 17
    assert found.model.region == -1  # a plane with two holes
    assert found.toys_failed == 0


def test_failed_toys_count_as_extreme(toys):
    broken = toys.copy()
    broken[:5, 20, 20] = np.nan
    data = np.zeros(SHAPE)
    data[20, 20] = 5.0
    found = cube_of(data).limits.plane_significance(cube_of(broken))
    assert (found.toys, found.toys_failed) == (150, 5)
    assert found.by_toys.p == 6.0 / 151.0
    sound = cube_of(data).limits.plane_significance(cube_of(toys[5:]))
    assert (found.model.n1, found.model.n2) == (sound.model.n1, sound.model.n2)


def test_an_empty_window_has_no_excess(toys):
    """Its fit says nothing, but there it was looked."""
    data, status = throw(1, 8)[0], np.zeros(SHAPE, np.uint8)
    data[5, 5], status[5, 5] = np.nan, CODES["empty_window"]
    maps, codes = toys.copy(), np.zeros(toys.shape, np.uint8)
    maps[2, 5, 5], codes[2, 5, 5] = np.nan, CODES["empty_window"]
    found = cube_of(data, status).limits.plane_significance(cube_of(maps, codes))
    assert (found.points, found.toys_failed) == (data.size, 0)


def test_a_low_excess_goes_by_toys(toys):
    found = cube_of(np.full(SHAPE, 1.0)).limits.plane_significance(cube_of(toys))
    assert not found.euler_valid
    assert found.attributes()["p_global_method"] == "toys"
    assert found.attributes()["p_global"] > 0.9


def test_maps_that_do_not_fit_are_refused(toys):
    cube = cube_of(np.zeros(SHAPE))
    with pytest.raises(InputError, match="for two mass axes"):
        cube.isel(m_hprime=0).limits.plane_significance(cube_of(toys))
    with pytest.raises(InputError, match="give them 'toy' and those of the map"):
        cube.limits.plane_significance(cube_of(toys).rename(toy="number"))
    with pytest.raises(InputError, match="other points along m_hprime"):
        cube.limits.plane_significance(cube_of(toys).isel(m_hprime=slice(None, None, -1)))
    with pytest.raises(InputError, match="two toys or more"):
        cube.limits.plane_significance(cube_of(toys[:1]))
    with pytest.raises(InputError, match="no point of this map has a significance"):
        cube_of(np.full(SHAPE, np.nan)).limits.plane_significance(cube_of(toys))
