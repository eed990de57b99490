"""Injected signals of the searches in one dimension come back: in place, size, cross section and coupling."""

from dataclasses import dataclass

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition
from scanner.interpretation import ordered
from scanner.models import MODELS


@dataclass(frozen=True)
class Injection:
    """A signal [GeV, fb] in a stretch of a search's axis [GeV] at a luminosity [fb⁻¹]."""

    search: str
    mass: float
    cross_section: float
    luminosity: float
    stretch: tuple[float, float]


INJECTIONS = (
    Injection("ap_inv", 0.3, 600.0, 2.0, (0.1, 3.0)),
    Injection("ap_inv", 4.0, 60.0, 2.0, (3.0, 4.8)),
    Injection("ap_inv", 6.5, 900.0, 2.0, (6.3, 6.7)),
    Injection("ap_vis", 3.4, 60000.0, 0.005, (3.2, 3.6)),
    Injection("zp_tautau", 6.0, 5.0, 40.0, (5.8, 6.2)),
    Injection("tautau_ll", 0.15, 3.0, 60.0, (0.12, 0.18)),
    Injection("tautau_ll", 2.0, 3.0, 60.0, (1.9, 2.1)),
    Injection("zp_inv_emu", 0.5, 600.0, 0.276, (0.2, 1.0)),
)


LONGER = (("ap_inv", 0.3), ("tautau_ll", 0.15))
"""Second injections into one search, which take as long as the first and show little more."""


def parameter(one):
    marks = [pytest.mark.slow] if (one.search, one.mass) in LONGER else []
    return pytest.param(one, marks=marks, id=f"{one.search}-{one.mass:g}")


@pytest.fixture(scope="module", params=[parameter(one) for one in INJECTIONS])
def found(request, tmp_path_factory):
    """An injection, its search, and the cube of its scan."""
    one, folder = request.param, tmp_path_factory.mktemp("recoil")
    low, high = one.stretch
    text = f"extends: {one.search}\nrange: [{low} GeV, {high} GeV]\nluminosity: {one.luminosity} fb^-1\n"
    search, serial = definition.parse(text, where="closure.yaml"), SerialExecutor()
    signal = {"m": one.mass, "cross_section": one.cross_section}
    generate(search, str(folder / "events.zarr"), executor=serial, seed=5, signals=[signal])
    return (
        one,
        search,
        scan(search, str(folder / "events.zarr"), str(folder / "limits.zarr"), executor=serial),
    )


def test_the_injected_mass_is_the_largest_excess(found):
    one, _, cube = found
    excess = cube.limits.largest_excess()
    assert excess.z_local > 3.0
    observable = abs(excess.mass**2 - one.mass**2) / (2.0 * one.mass)
    resolution = float(np.ravel(cube.limits.at(**{excess.axis: one.mass})["resolution"])[0])
    assert observable < 2.0 * resolution


def test_the_yield_is_that_of_the_injected_cross_section(found):
    one, _, cube = found
    window = cube.limits.at(**{cube.limits.axis: one.mass})
    injected = one.luminosity * one.cross_section * float(window["efficiency"])
    assert abs(float(window["signal_yield"]) - injected) < 3.0 * float(window["signal_yield_error"])
    assert float(window["signal_yield_error"]) < injected / 3.0
    # One limit in ten is below what went in; counted ones and the fitted yield use the events differently.
    above = float(window["yield_limit"] - window["signal_yield"]) / float(window["signal_yield_error"])
    assert -1.0 < above < 4.0


def test_couplings_follow_from_the_cross_sections(found):
    _, search, cube = found
    if search.model is None:
        assert not any(str(name).startswith("coupling") for name in cube.data_vars)
        return

    (_, model), *_ = ordered(search)
    axis = cube.limits.axis
    coupling = MODELS[model.name].coupling_limit(
        cube["cross_section_limit"].to_numpy().ravel(), cube[axis].to_numpy(), 10.58, model.final_state
    )
    stated = [v for v in cube.data_vars if str(v).startswith("coupling_limit") and "expected" not in str(v)]
    np.testing.assert_allclose(cube[stated[0]].to_numpy().ravel(), coupling, rtol=1e-9)
