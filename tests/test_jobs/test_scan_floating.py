"""Scans with floating mass, resolution and slope: from events to a cube, against iminuit."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL
from numba_stats import norm, truncexpon

from jobs.executors import SerialExecutor
from jobs.export import likelihoods
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition, engine
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHODS, Settings
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

HEAD = """\
extends: bump_hunt
name: floating
observable: mass
resolution: 20 MeV
window: {half_width: 10 resolution, bins: 40}
"""
RANGE = "scan: {m: {range: [1.75 GeV, 2.25 GeV], step: 2.5 resolution}}\n"
SIGNAL = "signal: {floating: {mass: 0.8 resolution, resolution: 40%}}\n"
BACKGROUND = "background: {shape: exponential, floating: true}\n"
ASYMPTOTIC = Options(method="asymptotic")
AT, WIDTH = 2.004, 0.025
"""The peak lies a fifth of a resolution off the grid, and is a quarter wider than stated."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Events of a falling exponential with a peak of 1500."""
    rng = np.random.default_rng(12)
    falling = 1.6 + rng.exponential(0.4, 60_000)
    mass = np.concatenate([falling[falling < 2.4], rng.normal(AT, WIDTH, 1_500)])
    path = tmp_path_factory.mktemp("floating") / "events.zarr"
    made = EventStore.create(path, {"mass": "GeV"}, chunk_rows=4096, shard_rows=16384)
    made.append(Sample("data", "data"), [{"mass": mass}])
    return str(path)


def search_of(text):
    return definition.parse(text, where="search.yaml")


def scanned(text, store, place, options=ASYMPTOTIC):
    return scan(search_of(text), store, str(place), executor=SerialExecutor(), options=options)


@pytest.fixture(scope="module")
def cube(store, tmp_path_factory):
    text = HEAD + RANGE + SIGNAL + BACKGROUND
    return scanned(text, store, tmp_path_factory.mktemp("cube") / "limits.zarr")


def minuit_of(counts, edges, start, mass, resolution):
    low, high = edges[0], edges[-1]

    def scaled(x, s, c, at, width, slope):
        scale = 0.5 * (high - low) / slope
        return s * norm.cdf(x, at, width) + c * truncexpon.cdf(x, low, high, low, scale)

    minuit = Minuit(ExtendedBinnedNLL(counts, edges, scaled), *start)
    minuit.limits["at"] = (mass - 0.8 * resolution, mass + 0.8 * resolution)
    minuit.limits["width"] = (0.6 * resolution, 1.4 * resolution)
    minuit.limits["slope"] = (1e-3, 10.0)
    minuit.tol, minuit.strategy = 1e-6, 2
    minuit.migrad(ncall=20_000)
    return minuit


def window_of(store, w):
    (grid,) = engine.grids(search_of(HEAD + RANGE)).values()
    events = EventStore.open(store)
    mass = np.concatenate([events.read(shard.index, ["mass"])["mass"] for shard in events.shards])
    edges = grid.edges[grid.edge_indices(slice(w, w + 1))[0]]
    return np.histogram(mass, edges)[0].astype(float), edges, grid.mass[w], grid.resolution[w]


def test_floating_yields_and_parameters_are_those_of_minuit(cube, store):
    names = ("signal_yield", "fitted_mass", "fitted_resolution")
    for w in (2, 5, 9):
        counts, edges, mass, resolution = window_of(store, w)
        found = {name: float(cube[name][w]) for name in names}
        start = [found["signal_yield"], counts.sum(), found["fitted_mass"], found["fitted_resolution"]]
        minuit = minuit_of(counts, edges, [*start, float(cube["background_slope"][w])], mass, resolution)
        sigma = float(cube["signal_yield_error"][w])
        assert found["signal_yield"] == pytest.approx(minuit.values["s"], abs=0.01 * sigma)
        for name, theirs in (("fitted_mass", "at"), ("fitted_resolution", "width")):
            assert found[name] == pytest.approx(
                minuit.values[theirs], abs=0.02 * minuit.errors[theirs] + 1e-6
            )
        minuit.minos("s")
        half = 0.5 * (minuit.merrors["s"].upper - minuit.merrors["s"].lower)
        assert sigma == pytest.approx(half, rel=0.01)


def test_the_fitted_peak_is_the_true_one(cube):
    excess = cube.limits.largest_excess()
    window = cube.limits.at(**{cube.limits.axis: excess.mass})
    assert excess.z_local > 10.0
    assert float(window["fitted_mass"]) == pytest.approx(AT, abs=0.004)
    assert float(window["fitted_resolution"]) == pytest.approx(WIDTH, rel=0.15)
    assert abs(excess.signal_yield - 1_500.0) < 3.0 * excess.signal_yield_error
    assert np.all(cube["yield_limit"] > np.maximum(cube["signal_yield"], 0.0))
    assert np.all(np.diff(cube["yield_limit_expected"]) > 0.0)


def held_limits(counts, edges, mass, resolution):
    """Return the median expected limits with mass and resolution held, on a lattice within their bounds.

    The background is an exponential in first order around the slope that iminuit fits.
    """
    low, high = edges[0], edges[-1]

    def falling(x, slope):
        return truncexpon.cdf(x, low, high, low, slope)

    minuit = Minuit(ExtendedBinnedNLL(counts, edges, lambda x, c, a: c * falling(x, a)), counts.sum(), 0.4)
    minuit.migrad()
    events, slope = minuit.values
    background = np.diff(falling(edges, slope))
    bent = np.diff(falling(edges, slope + 1e-4) - falling(edges, slope - 1e-4)) / 2e-4
    shifts, widths = np.meshgrid(np.linspace(-0.8, 0.8, 9), np.linspace(0.6, 1.4, 5))
    places = zip(mass + resolution * shifts.ravel(), resolution * widths.ravel(), strict=True)
    signal = np.array([np.diff(norm.cdf(edges, at, width)) for at, width in places])
    windows = (len(signal), 1)
    terms = np.tile(np.stack([background, bent]), (*windows, 1))
    problem = BinnedProblem(np.tile(events * background, windows), signal, terms)
    return METHODS["asymptotic"](problem, Settings(0.9)).expected[:, 2]


@pytest.mark.parametrize("w", [0, 4, 10])
def test_expected_limits_are_the_loosest_with_everything_held(cube, store, w):
    """q of the Asimov set is the least over mass and resolution, so that its root is the largest of theirs.

    In the first and the last window the loosest peak is narrow and outside: most of it goes unseen there.
    """
    held = held_limits(*window_of(store, w))
    found = float(cube["yield_limit_expected"].sel(quantile=0.5)[w])
    assert found == pytest.approx(np.max(held), rel=0.01)
    assert found > 1.2 * held[len(held) // 2]


def test_a_floating_slope_is_near_its_first_order(store, tmp_path):
    """Templates are linearised around a slope that a peak in the window pulls a little."""
    first, exact = (
        scanned(HEAD + RANGE + text, store, tmp_path / f"{name}.zarr")
        for name, text in (("first", BACKGROUND.replace(", floating: true", "")), ("exact", BACKGROUND))
    )
    away = abs(first["signal_yield"] - exact["signal_yield"]) / exact["signal_yield_error"]
    assert float(away.median()) < 0.01
    assert 0.0 < float(away.max()) < 0.2
    assert np.allclose(first["yield_limit_expected"], exact["yield_limit_expected"], rtol=0.02)


def test_systematics_enter_but_for_those_of_what_floats(store, tmp_path):
    text = HEAD + RANGE.replace("2.5", "10") + "signal: {floating: {mass: 0.5 resolution}}\n"
    terms = """\
systematics:
  rate: {on: signal, kind: lognormal, size: 20%, source: default}
  spurious: {on: yield, kind: normal, size: 40 events, source: default}
  scale: {on: mass, kind: normal, size: 0.1%, source: default}
"""
    plain, full = (scanned(t, store, tmp_path / f"{i}.zarr") for i, t in enumerate((text, text + terms)))
    assert full.attrs["systematics"] == "rate, spurious; without scale"
    median = [cube["yield_limit_expected"].sel(quantile=0.5) for cube in (plain, full)]
    assert np.all(median[1] > 1.05 * median[0])
    assert full["signal_yield"].values == pytest.approx(plain["signal_yield"].values, abs=0.5)
    factor = 0.2 * plain["signal_yield"]
    error = np.sqrt(plain["signal_yield_error"] ** 2 + 40.0**2 + factor**2)
    assert full["signal_yield_error"].values == pytest.approx(error.values, rel=0.1)


def test_bits_do_not_depend_on_how_floating_work_is_cut(store, tmp_path):
    text = HEAD + RANGE.replace("2.5", "10") + "signal: {floating: {mass: 0.5 resolution}}\n"
    small = Options("asymptotic", rows_a_block=9_000, windows_a_block=2)
    whole, cut = (
        scanned(text, store, tmp_path / f"{i}.zarr", options) for i, options in enumerate((ASYMPTOTIC, small))
    )
    assert len(whole["m"]) > 2
    assert cubes.digest(cut) == cubes.digest(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SIGNAL + "method: {limit: auto, likelihood: unbinned}\n", "floating parameters of an unbinned"),
        ("signal: {floating: {width: 20%}}\n", "a floating width of the signal shape 'gaussian'"),
        ("background: {shape: bernstein, floating: true}\n", "'bernstein', which has no parameters"),
        (SIGNAL + "background: {choose: f_test}\n", "with an order by f_test"),
        (
            SIGNAL.replace(", resolution: 40%", "")
            + "systematics: {width: {on: resolution, kind: normal, size: 5%, source: default}}\n",
            "let it float too",
        ),
    ],
)
def test_what_cannot_float_is_refused(store, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        scanned(HEAD + RANGE + text, store, tmp_path / "x.zarr")


def test_exports_of_floating_windows_are_refused(store, tmp_path):
    place = tmp_path / "one.zarr"
    scanned(HEAD + "range: [1.9 GeV, 1.91 GeV]\nsignal: {floating: {mass: 0.1 resolution}}\n", store, place)
    with pytest.raises(InputError, match="floating parameters"):
        list(likelihoods(str(place), "pyhf"))
