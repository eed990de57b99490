"""Excluded intervals of couplings along lifetimes, against closed forms."""

import numpy as np
import pytest
import xarray as xr

from scanner import definition
from scanner.islands import Curve, axis_of, coupling_intervals
from scanner.models import MODELS

LIFETIMES = np.geomspace(1e-3, 1e3, 61)
SEARCH = """
name: lived
beam: {sqrt_s: 10.58 GeV}
normalisation: {kind: pairs, pairs: 4e8, per_pair: 2, source: user}
columns: {mass: GeV}
scan:
  m_s: {values: [0.5 GeV, 1 GeV]}
  ctau: {values: {log: [1e-3 cm, 1e3 cm], points: 61}}
channels: {mumu: {observable: mass}}
signal: {resolution: 5 MeV, efficiency: {formula: 0.1 / (1 + ctau), source: user}, source: user}
model: {name: dark_scalar, final_state: mu_mu}
"""


def test_a_power_law_has_the_roots_of_its_formula():
    # reach g² > L₀ (cτ₀/g²)^½ where g³ > L₀ √cτ₀/reach.
    reach, length, limit = np.array([2.0, 50.0]), np.array([1e-4, 1e-4]), 1e-3
    curve = Curve(LIFETIMES, reach, length, 2.0)
    found = curve.excluded(limit * np.sqrt(np.tile(LIFETIMES, (2, 1))))
    np.testing.assert_allclose(found[:, 0, 0], (limit * 1e-2 / reach) ** (1 / 3), rtol=1e-9)
    np.testing.assert_allclose(found[:, 0, 1], (1e-4 / LIFETIMES[0]) ** 0.5, rtol=1e-9)
    assert np.isnan(found[:, 1:]).all()


def test_an_efficiency_that_falls_on_both_sides_leaves_an_island():
    # L = c (x + 1/x) with x = cτ = a/g²: excluded where r g² > c (a/g² + g²/a).
    a, r, c = 1e-6, 3.0, 1e-6
    curve = Curve(np.geomspace(1e-3, 1e3, 4001), np.array([r]), np.array([a]), 2.0)
    limit = c * (curve.values + 1 / curve.values)
    found = curve.excluded(limit[None])
    low = np.sqrt(np.sqrt(c * a / (r - c / a)))
    np.testing.assert_allclose(found[0, 0], [low, np.sqrt(a / 1e-3)], rtol=2e-5)
    weak = Curve(curve.values, np.array([0.9 * c / a]), np.array([a]), 2.0)
    assert np.isnan(weak.excluded(limit[None])).all()


def test_two_islands_are_both_found():
    values = np.geomspace(1e-6, 1.0, 600)
    limit = values * (2.0 + np.sin(3.0 * np.log10(values) * np.pi / 3))  # reach g > limit where sin < 0
    curve = Curve(values, np.array([2.0]), None, 1.0)
    found = curve.excluded(limit[None])[0]
    assert np.isfinite(found[:3]).all()
    np.testing.assert_allclose(found[:3, 0], [1e-5, 1e-3, 1e-1], rtol=1e-3)
    np.testing.assert_allclose(found[:3, 1], [1e-4, 1e-2, 1.0], rtol=1e-3)


def test_a_cube_over_mass_and_lifetime():
    search = definition.parse(SEARCH)
    axis = axis_of(search)
    assert axis is not None
    assert axis.name == "ctau"
    ctau, mass = np.asarray(axis.values), np.array([0.5, 1.0])
    limit = 1e-8 * (1 + ctau)[:, None] * np.ones(2)
    coordinates = {"ctau": ctau, "m_s": mass, "quantile": [0.16, 0.5]}
    cube = xr.Dataset(
        {
            "branching_fraction_limit": (("ctau", "m_s"), limit),
            "branching_fraction_limit_expected": (
                ("ctau", "m_s", "quantile"),
                np.stack([limit / 2, limit], -1),
            ),
        },
        coordinates,
    )
    found = coupling_intervals(search, cube)
    assert found["coupling_low"].dims == ("m_s", "interval")
    assert found["coupling_low_expected"].dims == ("quantile", "m_s", "interval")
    np.testing.assert_array_equal(
        found["coupling_low"], found["coupling_low_expected"].sel(quantile=0.5, drop=True)
    )
    model = MODELS["dark_scalar"]
    rate = model.production(mass, 10.58) * model.branching_fraction(mass, "mu_mu")
    for side in ("coupling_low", "coupling_high"):
        g = found[side].to_numpy()[:, 0]
        lifetime = model.decay_length(mass) / g**2
        at_end = np.isclose(lifetime, 1e-3) | np.isclose(lifetime, 1e3)
        np.testing.assert_allclose((rate * g**2)[~at_end], (1e-8 * (1 + lifetime))[~at_end], rtol=2e-3)


def test_nothing_without_a_lifetime_or_a_model():
    flat = definition.parse(
        SEARCH.replace("  ctau: {values: {log: [1e-3 cm, 1e3 cm], points: 61}}\n", "").replace(
            "formula: 0.1 / (1 + ctau)", "constant: 0.1"
        )
    )
    assert coupling_intervals(flat, xr.Dataset()) == {}
    assert (
        axis_of(definition.parse(SEARCH.replace("model: {name: dark_scalar, final_state: mu_mu}\n", "")))
        is None
    )


@pytest.mark.parametrize("limit", [np.nan, np.inf])
def test_windows_without_a_limit_exclude_nothing(limit):
    curve = Curve(LIFETIMES, np.array([1.0]), np.array([1.0]), 2.0)
    assert np.isnan(curve.excluded(np.full((1, 61), limit))).all()
