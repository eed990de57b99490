"""Excluded intervals of couplings along lifetimes, against closed forms."""

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq

from scanner import definition
from scanner.errors import InputError
from scanner.islands import Curve, axes_of, coupling_intervals
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
    curve = Curve((LIFETIMES,), reach, ((length, 2.0),), 2.0)
    found = curve.excluded(limit * np.sqrt(np.tile(LIFETIMES, (2, 1))))
    np.testing.assert_allclose(found[:, 0, 0], (limit * 1e-2 / reach) ** (1 / 3), rtol=1e-9)
    np.testing.assert_allclose(found[:, 0, 1], (1e-4 / LIFETIMES[0]) ** 0.5, rtol=1e-9)
    assert np.isnan(found[:, 1:]).all()


def test_an_efficiency_that_falls_on_both_sides_leaves_an_island():
    # L = c (x + 1/x) with x = cτ = a/g²: excluded where r g² > c (a/g² + g²/a).
    a, r, c = 1e-6, 3.0, 1e-6
    curve = Curve((np.geomspace(1e-3, 1e3, 4001),), np.array([r]), ((np.array([a]), 2.0),), 2.0)
    limit = c * (curve.values[0] + 1 / curve.values[0])
    found = curve.excluded(limit[None])
    low = np.sqrt(np.sqrt(c * a / (r - c / a)))
    np.testing.assert_allclose(found[0, 0], [low, np.sqrt(a / 1e-3)], rtol=2e-5)
    weak = Curve(curve.values, np.array([0.9 * c / a]), curve.lengths, 2.0)
    assert np.isnan(weak.excluded(limit[None])).all()


def test_two_islands_are_both_found():
    values = np.geomspace(1e-6, 1.0, 600)
    limit = values * (2.0 + np.sin(3.0 * np.log10(values) * np.pi / 3))  # reach g > limit where sin < 0
    curve = Curve((values,), np.array([2.0]), ((np.ones(1), -1.0),), 1.0)
    found = curve.excluded(limit[None])[0]
    assert np.isfinite(found[:3]).all()
    np.testing.assert_allclose(found[:3, 0], [1e-5, 1e-3, 1e-1], rtol=1e-3)
    np.testing.assert_allclose(found[:3, 1], [1e-4, 1e-2, 1.0], rtol=1e-3)


def test_a_cube_over_mass_and_lifetime():
    search = definition.parse(SEARCH)
    (axis,) = axes_of(search, search.model)
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


def test_ends_that_the_scan_cuts_off_are_flagged_and_those_of_the_rate_are_not():
    """Limits c (x + 1/x) along x = a/g²: excluded for all g above one root, as far as the scan goes."""
    a, r, c = 1e-6, 3.0, 1e-6

    def ends(low, high, blind=0.0):
        x = np.geomspace(low, high, 301)
        curve = Curve((x,), np.array([r]), ((np.array([a]), 2.0),), 2.0)
        limit = np.where(x > blind, c * (x + 1 / x), np.inf)[None]
        found = curve.excluded(limit)
        return found[0, 0], curve.open(limit, found)[0, 0].tolist()

    whole, flags = ends(1e-9, 1e9)
    assert flags == [0.0, 1.0]
    np.testing.assert_allclose(whole, [np.sqrt(np.sqrt(c * a / (r - c / a))), np.sqrt(a / 1e-9)], rtol=1e-2)
    root = a / whole[0] ** 2
    narrow, flags = ends(1e-3 * root, 0.5 * root)
    assert flags == [1.0, 1.0]
    np.testing.assert_allclose(a / narrow**2, [0.5 * root, 1e-3 * root], rtol=1e-6)
    seen, flags = ends(1e-9, 1e9, blind=0.1 * root)  # no lifetime below has a limit
    assert flags == [0.0, 1.0]
    assert 0.1 * root < a / seen[1] ** 2 < 0.12 * root


def test_a_mixing_angle_ends_at_one():
    """The scan goes to lifetimes that only an angle above 1 could give: nothing is excluded there."""
    curve = Curve((LIFETIMES,), np.ones(1), ((np.array([0.1]), 2.0),), 2.0, largest=1.0)
    limit = np.full((1, 61), 1e-3)
    found = curve.excluded(limit)
    np.testing.assert_allclose(found[0, 0], [np.sqrt(1e-3), 1.0], rtol=1e-9)
    assert curve.open(limit, found)[0, 0].tolist() == [0.0, 0.0]


def test_nothing_without_a_lifetime_or_a_model():
    flat = definition.parse(
        SEARCH.replace("  ctau: {values: {log: [1e-3 cm, 1e3 cm], points: 61}}\n", "").replace(
            "formula: 0.1 / (1 + ctau)", "constant: 0.1"
        )
    )
    assert coupling_intervals(flat, xr.Dataset()) == {}
    assert axes_of(flat, flat.model) == ()
    bare = definition.parse(SEARCH.replace("model: {name: dark_scalar, final_state: mu_mu}\n", ""))
    assert coupling_intervals(bare, xr.Dataset({"branching_fraction_limit": ("m_s", [1.0])})) == {}


@pytest.mark.parametrize("limit", [np.nan, np.inf])
def test_windows_without_a_limit_exclude_nothing(limit):
    curve = Curve((LIFETIMES,), np.array([1.0]), ((np.array([1.0]), 2.0),), 2.0)
    assert np.isnan(curve.excluded(np.full((1, 61), limit))).all()


CHI2 = np.geomspace(1e-2, 1e2, 41)


def test_two_lifetimes_of_which_the_coupling_sets_one():
    """Limits L₀ x^p y^q: with y fixed, r > L₀ (a/g²)^p y^q leaves all g above, or below, one root."""
    r, a, y, base, p, q = 5.0, 1e-6, 3.0, 2.0, 0.7, -0.4
    limit = base * LIFETIMES[:, None] ** p * CHI2**q
    curve = Curve((LIFETIMES, CHI2), np.array([r]), ((np.array([a]), 2.0), (np.array([y]), 0.0)), 0.0)
    (low, high), *rest = curve.excluded(limit[None])[0]
    assert low == pytest.approx(np.sqrt(a * (base * y**q / r) ** (1 / p)), rel=1e-9)
    assert high == pytest.approx(np.sqrt(a / LIFETIMES[0]), rel=1e-9)
    assert np.isnan(rest).all()
    beyond = Curve(curve.values, curve.reach, (curve.lengths[0], (np.array([300.0]), 0.0)), 0.0)
    assert np.isnan(beyond.excluded(limit[None])).all()  # no limit is known of that lifetime


def test_two_lifetimes_that_both_follow_the_coupling():
    r, a, b, base, p, q = 2.0, 1e-6, 4e-7, 3e-7, 0.3, -0.8
    limit = base * LIFETIMES[:, None] ** p * CHI2**q
    curve = Curve((LIFETIMES, CHI2), np.array([r]), ((np.array([a]), 2.0), (np.array([b]), 2.0)), 2.0)
    low, high = curve.excluded(limit[None])[0, 0]
    # r g² > L₀ a^p b^q g^(−2p−2q)
    assert low == pytest.approx((base * a**p * b**q / r) ** (1 / (2 + 2 * p + 2 * q)), rel=1e-9)
    assert high == pytest.approx(np.sqrt(min(a / LIFETIMES[0], b / CHI2[0])), rel=1e-9)


DARK = """
name: dark
beam: {sqrt_s: 10.58 GeV}
luminosity: 365 fb^-1
columns: {mass: GeV}
configurations: {product: {m_chi1: 1 GeV, ratio: [3, 4], splitting: [0.4], alpha_d: [0.1, 0.5]}}
scan:
  m_hprime: {values: [0.5 GeV, 1 GeV]}
  ctau_hprime: {values: {log: [1e-3 cm, 1e3 cm], points: 61}}
  ctau_chi2: {values: {log: [1e-2 cm, 1e3 cm], points: 51}}
channels: {mumu: {observable: mass}}
signal: {resolution: 5 MeV, efficiency: 10%, source: user}
model: {name: idm_dark_higgs, parameters: {sin_theta: 1e-4}}
interpretations: {mixing: {name: idm_mixing, parameters: {epsilon: 2e-3}}}
"""


def test_the_mixing_of_the_dark_higgs_boson_at_given_epsilon_and_the_reverse():
    """Where the rate equals the limit at the lifetimes that both couplings give, in every configuration."""
    search, masses = definition.parse(DARK), np.array([0.5, 1.0])
    x, y = (np.asarray(search.scan[name].values) for name in ("ctau_hprime", "ctau_chi2"))
    one = 0.5 * (1 + x)[:, None, None] * (1 + 0.1 / y + 0.02 * y)[:, None] * np.ones(2)
    names = [each.name for each in search.configurations]
    cube = xr.Dataset(
        {
            name: (("configuration", "ctau_hprime", "ctau_chi2", "m_hprime", *last), values)
            for name, last, values in (
                ("cross_section_limit", (), np.stack([one] * 4)),
                ("cross_section_limit_expected", ("quantile",), np.stack([one] * 4)[..., None]),
            )
        },
        {"configuration": names, "ctau_hprime": x, "ctau_chi2": y, "m_hprime": masses, "quantile": [0.5]},
    )
    found = coupling_intervals(search, cube)
    assert {name for name in found if "expected" not in name and "open" not in name} == {
        "coupling_low", "coupling_high", "coupling_low_mixing", "coupling_high_mixing",
    }  # fmt: skip
    assert {name for name in found if "open" in name and "expected" not in name} == {
        "coupling_low_open", "coupling_high_open", "coupling_low_open_mixing", "coupling_high_open_mixing",
    }  # fmt: skip
    roots = 0
    for number, chosen in enumerate(search.configurations):
        known = MODELS["idm_dark_higgs"].__class__(**chosen.parameters)
        for suffix in ("", "_mixing"):
            for end in ("low", "high"):
                g = found[f"coupling_{end}{suffix}"].isel(configuration=number, interval=0).to_numpy()
                e, t = (2e-3, g) if suffix else (g, 1e-4)
                lengths = MODELS["dark_scalar"].decay_length(masses) / t**2, known.chi2_decay_length() / e**2
                limit = 0.5 * (1 + lengths[0]) * (1 + 0.1 / lengths[1] + 0.02 * lengths[1])
                rate = known.production(masses, 10.58) * np.broadcast_to(e, 2) ** 2
                inside = (
                    (lengths[0] > 1.1e-3) & (lengths[0] < 900) & (lengths[1] > 1.1e-2) & (lengths[1] < 900)
                )
                roots += int(np.sum(inside))
                np.testing.assert_allclose(rate[inside], limit[inside], rtol=5e-3)
    assert roots > 12
    np.testing.assert_array_equal(
        found["coupling_low_mixing"], found["coupling_low_expected_mixing"].isel(quantile=0)
    )


def test_an_axis_that_starts_with_prompt_decays_has_the_islands_of_a_dense_scan():
    """Limits that one lifetime spoils, by brute force and by roots that scipy finds."""
    ctau = np.array([0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])
    logs = np.log(1e-7) + np.array([0.0, 0.2, 0.1, 4.0, 0.6, 0.3, 1.5, 3.0, 5.0])
    reach, length = np.array([2e3, 40.0]), np.array([2e-10, 2e-8])
    most = reach**-0.5
    curve = Curve((ctau,), reach, ((length, 2.0),), 2.0, most)
    limit = np.tile(np.exp(logs), (2, 1))
    found = curve.excluded(limit)
    flags = curve.open(limit, found)

    def margin(log_g, window):
        """ln of the rate over the limit: linear in cτ up to 0.03 cm, and in its logarithm from there."""
        x = length[window] * np.exp(-2.0 * log_g)
        near, far = np.interp(x, ctau[:2], logs[:2]), np.interp(np.log(x), np.log(ctau[1:]), logs[1:])
        return np.log(reach[window]) + 2.0 * log_g - np.where(x < ctau[1], near, far)

    for window in range(2):
        g = np.linspace(np.log(np.sqrt(length[window] / 100.0)), np.log(most[window]), 40_001)
        above = margin(g, window) > 0.0
        crossings = np.flatnonzero(above[1:] != above[:-1])
        roots = [brentq(margin, g[k], g[k + 1], args=(window,), xtol=1e-13) for k in crossings]
        ends = ([g[0]] if above[0] else []) + roots + ([g[-1]] if above[-1] else [])
        known = found[window][np.isfinite(found[window, :, 0])]
        np.testing.assert_allclose(np.log(known).ravel(), ends, atol=1e-9)
        assert known[-1, 1] == pytest.approx(most[window], rel=1e-12)  # every B meson decays like this
    assert np.isfinite(found[:, :, 0]).sum(axis=1).max() > 1
    assert not flags.any()


def test_prompt_decays_leave_the_interval_open_where_no_coupling_is_the_largest():
    curve = Curve((np.array([0.0, 1.0]),), np.ones(1), ((np.array([1e-4]), 2.0),), 2.0)
    limit = np.full((1, 2), 1e-3)
    found = curve.excluded(limit)
    assert found[0, 0, 0] == pytest.approx(np.sqrt(1e-3), rel=1e-9)
    assert found[0, 0, 1] > 1e2
    assert curve.open(limit, found)[0, 0].tolist() == [0.0, 1.0]


def test_mixings_of_inelastic_dark_matter_end_at_one():
    """Limits that every rate is above, along lifetimes that only mixings above 1 would give."""
    text = DARK.replace("1e-3 cm, 1e3 cm", "1e-15 cm, 1e6 cm").replace("1e-2 cm, 1e3 cm", "1e-12 cm, 1e6 cm")
    search = definition.parse(text)
    axes = {name: np.asarray(search.scan[name].values) for name in ("ctau_hprime", "ctau_chi2", "m_hprime")}
    names = [each.name for each in search.configurations]
    shape = (4, *(len(values) for values in axes.values()))
    limit = (("configuration", *axes), np.full(shape, 1e-30))
    expected = ((*limit[0], "quantile"), limit[1][..., None])
    cube = xr.Dataset(
        {"cross_section_limit": limit, "cross_section_limit_expected": expected},
        {"configuration": names, **axes, "quantile": [0.5]},
    )
    found = coupling_intervals(search, cube)
    for suffix in ("", "_mixing"):
        np.testing.assert_allclose(found[f"coupling_high{suffix}"], 1.0, rtol=1e-12)
        assert not found[f"coupling_high_open{suffix}"].any()
        assert found[f"coupling_low_open{suffix}"].all()


def test_models_whose_mixings_are_above_one_are_refused():
    for name, value in (("sin_theta", 1.1), ("epsilon", 1.5)):
        text = DARK.replace(f"{name}: {'1e-4' if name == 'sin_theta' else '2e-3'}", f"{name}: {value}")
        search = definition.parse(text)
        with pytest.raises(InputError, match=name):
            axes_of(search, search.interpretations["mixing"] if name == "epsilon" else search.model)


def test_a_branching_fraction_ends_at_one():
    mass = np.array([0.2, 2.0, 4.7])
    most = MODELS["alp_w"].largest_coupling(mass, 10.58)
    np.testing.assert_allclose(MODELS["alp_w"].production(mass, 10.58) * most**2, 1.0, rtol=1e-12)
    assert np.all(MODELS["dark_scalar"].largest_coupling(mass, 10.58) <= 1.0)
    assert np.all(np.isinf(MODELS["alp_photon"].largest_coupling(mass, 10.58)))
