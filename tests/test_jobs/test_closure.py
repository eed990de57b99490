"""From an injected cross section to events, windows, fits and back: what went in comes out."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition, engine
from scanner.models import MODELS

HALF, QUARTER = 0.5, 0.25


@dataclass(frozen=True)
class Injection:
    """A signal in a stretch of a search's mass axis, and what its yield should be."""

    search: str
    mass: float
    cross_section: float
    luminosity: float
    stretch: tuple[float, float]

    @property
    def text(self):
        low, high = self.stretch
        return (
            f"extends: {self.search}\nrange: [{low} GeV, {high} GeV]\nluminosity: {self.luminosity} fb^-1\n"
        )


INJECTIONS = (
    Injection("alp_gg", 3.0, 1600.0, 0.445, (2.3, 3.7)),
    Injection("alp_gg", 8.5, 900.0, 0.445, (7.8, 9.2)),
    Injection("zp_mumu", 2.0, 1.2, 60.0, (1.9, 2.1)),
    Injection("s_mumu", 5.0, 1.2, 60.0, (4.7, 5.3)),
)


def run(injection, folder):
    """Generate and scan, and return the cube."""
    search = definition.parse(injection.text, where="closure.yaml")
    signal = {"m": injection.mass, "cross_section": injection.cross_section}
    serial = SerialExecutor()
    generate(search, str(folder / "events.zarr"), executor=serial, seed=3, signals=[signal])
    return scan(search, str(folder / "events.zarr"), str(folder / "limits.zarr"), executor=serial)


def injected_yield(injection, window):
    return injection.luminosity * injection.cross_section * float(window["efficiency"])


@pytest.fixture(scope="module", params=INJECTIONS, ids=lambda i: f"{i.search}-{i.mass:g}")
def found(request, tmp_path_factory):
    """An injection, and the cube of its scan."""
    return request.param, run(request.param, tmp_path_factory.mktemp("closure"))


def test_the_injected_mass_is_the_largest_excess(found):
    injection, cube = found
    excess = cube.limits.largest_excess()
    assert excess.z_local > 4.0
    resolution = float(cube.limits.at(**{excess.axis: excess.mass})["resolution"])
    assert abs(excess.mass - injection.mass) < 2.0 * resolution


def test_the_yield_is_luminosity_times_cross_section_times_efficiency(found):
    """Within three errors of the fit, at the injected mass and not where the excess happens to be."""
    injection, cube = found
    window = cube.limits.at(**{cube.limits.axis: injection.mass})
    injected = injected_yield(injection, window)
    assert abs(float(window["signal_yield"]) - injected) < 3.0 * float(window["signal_yield_error"])
    assert float(window["signal_yield_error"]) < injected / 3.0  # a wrong factor of two would be seen


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda i: f"{i.search}-{i.mass:g}")
def test_a_signal_two_hundred_times_as_large_closes_to_three_percent(injection, tmp_path):
    """Efficiency table, resolution and shape together; half a step off the peak costs up to 2% of it."""
    large = replace(injection, cross_section=200.0 * injection.cross_section)
    cube = run(large, tmp_path)
    window = cube.limits.at(**{cube.limits.axis: large.mass})
    assert float(window["signal_yield"]) == pytest.approx(injected_yield(large, window), rel=0.03)


def test_the_injected_cross_section_is_below_the_limit_there_and_above_it_aside(found):
    injection, cube = found
    axis = cube.limits.axis
    limit = cube["cross_section_limit"]
    assert float(limit.sel({axis: injection.mass}, method="nearest")) > injection.cross_section
    aside = np.abs(cube[axis] - injection.mass) > 10.0 * cube["resolution"]
    assert float((limit < injection.cross_section).where(aside).mean()) > 0.95


def ratio(cube, luminosities):
    first, second = cube.limits.project(luminosities)["cross_section_limit_expected"].transpose(
        "luminosity", ...
    )
    return (second / first).sel(quantile=0.5)


def test_windows_full_of_background_scale_with_the_root_of_the_luminosity(found):
    """Four times as much halves the limit, once a window holds thousands of background events.

    Windows of less than an event lie where the background of the scan reaches zero; some of them change
    from counted to asymptotic limits between the two luminosities.
    """
    injection, cube = found
    times = 1e5 * injection.luminosity
    scaled = ratio(cube, (times, 4.0 * times)).where(cube["n_background"] > 1.0, drop=True)
    assert scaled.size > 30
    xr.testing.assert_allclose(scaled, xr.full_like(scaled, HALF), rtol=0.01)


def test_windows_without_background_scale_with_the_luminosity(found):
    """Four times as much quarters the limit: −ln α events in the core, over its share of the signal."""
    injection, cube = found
    times = 1e-7 * injection.luminosity
    scaled = ratio(cube, (times, 4.0 * times))
    xr.testing.assert_allclose(scaled, xr.full_like(scaled, QUARTER), rtol=1e-9)
    search = definition.parse(injection.text, where="closure.yaml")
    (grid,) = engine.grids(search).values()
    model = engine.window_model(search, grid, slice(None), {}, {})
    share = (model.signal * model.core).sum(axis=1)
    events = cube.limits.project([times])["yield_limit_expected"].sel(quantile=0.5).to_numpy()[0]
    np.testing.assert_allclose(events * share, -np.log(1.0 - cube.attrs["confidence_level"]), rtol=1e-6)


HAND = {0.31: 7.187e-4, 1.0: 1.3941e-3, 2.0: 1.9485e-3, 4.0: 3.3168e-3, 7.0: 5.2045e-3, 9.0: 1.4144e-2}
"""g_aγγ [GeV⁻¹] by σ = g²α/24 (1−m²/s)³ from the limits on σ of arXiv:2007.13071, with a calculator."""


def test_the_published_cross_sections_become_couplings_by_the_formula():
    """g = 1e-3/GeV at 1 GeV is 0.1152 pb, so that 0.224 pb is 1e-3 √(0.224/0.1152) = 1.394e-3/GeV."""
    published = definition.load("alp_gg").published
    limits = dict(zip(published.mass, published.value, strict=True))
    mass = np.array(list(HAND))
    sigma = np.array([limits[m] for m in HAND])
    coupling = MODELS["alp_photon"].coupling_limit(sigma, mass, 10.58, "gamma_gamma")
    np.testing.assert_allclose(coupling, list(HAND.values()), rtol=1e-4)
