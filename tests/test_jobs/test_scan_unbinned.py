"""Scans with an unbinned likelihood: from events to a cube, against iminuit on the same events."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedUnbinnedNLL
from numba_stats import norm
from numpy.polynomial import chebyshev

from jobs.executors import DaskExecutor, SerialExecutor, local_cluster
from jobs.export import likelihoods
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition, engine
from scanner.errors import InputError
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.reading.candidates import MOST_CANDIDATES, refuse_many
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.simultaneous import asymptotic_simultaneous
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

HEAD = """\
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: 1
"""
UNBINNED = "method: {limit: asymptotic, likelihood: unbinned}\n"
ASYMPTOTIC = Options(method="asymptotic")


def search_of(text=HEAD + UNBINNED):
    return definition.parse(text, where="search.yaml")


def scanned(search, store, place, **options):
    executor = options.pop("executor", SerialExecutor())
    return scan(search, store, str(place), executor=executor, **options)


def masses_of(store):
    events = EventStore.open(store)
    found = np.concatenate([events.read(shard.index, ["mass"])["mass"] for shard in events.shards])
    return np.sort(found.astype(np.float64))


@pytest.fixture
def cube(store, tmp_path):
    return scanned(search_of(), store, tmp_path / "cube.zarr", options=ASYMPTOTIC)


def minuit_of(x, low, high, mass, resolution, terms, start):
    def density(x, s, *c):
        u = (2.0 * x - low - high) / (high - low)
        within = norm.cdf(np.array([low, high]), mass, resolution)
        total = s * (within[1] - within[0]) + sum(c[k] / (1.0 - k * k) for k in range(0, terms, 2))
        return total, s * norm.pdf(x, mass, resolution) + chebyshev.chebval(u, c) / (high - low)

    minuit = Minuit(ExtendedUnbinnedNLL(x, density), *start, name=["s", *(f"c{k}" for k in range(terms))])
    minuit.tol, minuit.strategy = 1e-5, 2
    minuit.migrad()
    return minuit


def test_yields_and_significances_are_those_of_minuit_on_the_stored_events(cube, store):
    x = masses_of(store)
    (grid,) = engine.grids(search_of()).values()
    edges = grid.edges[grid.edge_indices()]
    for w in (20, len(grid) // 2, len(grid) - 50):
        low, high = edges[w, 0], edges[w, -1]
        inside = x[(x >= low) & (x < high)]
        assert int(cube["n_observed"][w]) == inside.size
        start = [float(cube["signal_yield"][w]), *cube["background_coefficients"].to_numpy()[w]]
        minuit = minuit_of(inside, low, high, grid.mass[w], grid.resolution[w], 2, start)
        sigma = float(cube["signal_yield_error"][w])
        assert float(cube["signal_yield"][w]) == pytest.approx(minuit.values["s"], abs=1e-3 * sigma)
        assert sigma == pytest.approx(minuit.errors["s"], rel=0.01)
        best = minuit.fval
        minuit.values["s"], minuit.fixed["s"] = 0.0, True
        minuit.migrad()
        expected = np.sqrt(max(minuit.fval - best, 0.0)) * (start[0] > 0.0)
        assert float(cube["z_local"][w]) == pytest.approx(expected, abs=2e-3)


def test_an_injected_peak_is_found_and_limits_are_near_those_of_bins(cube, store, tmp_path):
    excess = cube.limits.largest_excess()
    assert excess.mass == pytest.approx(2.0, abs=0.02)
    assert abs(excess.signal_yield - 300.0) < 3.0 * excess.signal_yield_error
    other = scanned(search_of(HEAD), store, tmp_path / "binned.zarr", options=ASYMPTOTIC)
    ratio = (cube["yield_limit_expected"] / other["yield_limit_expected"]).sel(quantile=0.5)
    assert float(abs(ratio.median() - 1.0)) < 0.01


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_how_unbinned_work_is_cut(cube, store, tmp_path, workers):
    small = Options("asymptotic", rows_a_block=3_000, windows_a_block=7)
    if workers == 0:
        other = scanned(search_of(), store, tmp_path / "other.zarr", options=small)
    else:
        with local_cluster(workers) as client:
            executor = DaskExecutor(client)
            other = scanned(search_of(), store, tmp_path / "other.zarr", options=small, executor=executor)
    assert cubes.digest(other) == cubes.digest(cube)


PROFILED = """\
background: {choose: discrete_profile}
"""


def test_a_profiled_order_is_near_that_of_bins_however_work_is_cut(store, tmp_path):
    near = HEAD.replace("[1 GeV, 3 GeV]", "[1.7 GeV, 2.3 GeV]").replace("order: 1", "order: 2") + PROFILED
    search, small = search_of(near + UNBINNED), Options("asymptotic", windows_a_block=7)
    ours = scanned(search, store, tmp_path / "cube.zarr", options=ASYMPTOTIC)
    assert cubes.digest(scanned(search, store, tmp_path / "cut.zarr", options=small)) == cubes.digest(ours)
    bins = scanned(search_of(near), store, tmp_path / "binned.zarr", options=ASYMPTOTIC)
    pulls = (ours["signal_yield"] - bins["signal_yield"]) / bins["signal_yield_error"]
    assert float(abs(pulls).max()) < 0.3
    for name in ("yield_limit", "signal_yield_error"):
        assert float(abs(ours[name] / bins[name] - 1.0).median()) < 0.02


SQUARED = """\
extends: bump_hunt
name: squared
columns: {mass: GeV}
scan: {m: {range: [1 GeV, 3 GeV], step: 1 resolution}}
regions: {all: {mass: [1 GeV, 3 GeV], observable: mass**2, peak: m**2}}
resolution: 20 MeV
order: 1
"""


def test_the_density_in_another_observable_has_its_jacobian(store, tmp_path):
    """Against bins of a fortieth of the resolution, where the densities are not on the boundary."""
    fine = "window: {half_width: 10 resolution, bins: 800}\n"
    exact, bins = search_of(SQUARED + UNBINNED), search_of(SQUARED + fine)
    a, b = (
        scanned(search, store, tmp_path / f"{name}.zarr", options=ASYMPTOTIC)
        for name, search in (("a", exact), ("b", bins))
    )
    away = abs(a["signal_yield"] - b["signal_yield"]) / b["signal_yield_error"]
    inside = (a["status"] == 0) & (b["status"] == 0)
    assert int(inside.sum()) > 80
    assert float(away.where(inside).max()) < 0.03
    assert float(abs(a["yield_limit"] / b["yield_limit"] - 1.0).median()) < 0.005


TWO = """\
name: two
title: two channels
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
columns: {m_mumu: GeV, m_ee: GeV}
scan: {m_x: {range: [1 GeV, 3 GeV], step: 1 resolution}}
window: {half_width: 10 resolution, bins: 40}
signal: {resolution: {constant: 20 MeV, source: user}, efficiency: {constant: 30%, source: user}}
background: {order: 1}
channels:
  mumu: {observable: m_mumu, source: user}
  ee: {observable: m_ee, efficiency: 10%, resolution: 30 MeV, source: user}
"""


def test_every_channel_keeps_its_own_candidates(tmp_path):
    """Against the likelihood of the events that went in, however the scan is cut."""
    rng = np.random.default_rng(12)
    search = search_of(TWO + UNBINNED)
    spectra = {"m_mumu": rng.uniform(0.5, 3.5, 4_000), "m_ee": rng.uniform(0.5, 3.5, 3_000)}
    rows = {name: np.zeros(7_000) for name in spectra}  # below the range: in one channel only
    rows["m_mumu"][:4_000], rows["m_ee"][4_000:] = spectra["m_mumu"], spectra["m_ee"]
    store = EventStore.create(
        tmp_path / "e.zarr", dict.fromkeys(rows, "GeV"), chunk_rows=512, shard_rows=2048
    )
    store.append(Sample("data", "data"), [rows])
    place = str(tmp_path / "e.zarr")
    cube = scanned(search, place, tmp_path / "cube.zarr", options=ASYMPTOTIC)
    small = Options("asymptotic", rows_a_block=1_500, windows_a_block=9)
    other = scanned(search, place, tmp_path / "other.zarr", options=small)
    assert cubes.digest(other) == cubes.digest(cube)
    (grid,) = engine.grids(search).values()
    masses, w = grid.mass[40:41], np.ones(1)
    channels = []
    for name, values, sigma in (("ee", spectra["m_ee"], 0.03), ("mumu", spectra["m_mumu"], 0.02)):
        axis, x = grid.channels[name], np.sort(values)
        low, high = (axis.edges[axis.edge_indices(slice(40, 41))][:, end] for end in (0, -1))
        run = (np.searchsorted(x, low), np.searchsorted(x, high))
        channels.append(UnbinnedProblem(x, *run, low, high, masses, sigma * w, [2]))
    shares = np.array([[0.1, 0.3]]) / 0.4
    alone = asymptotic_simultaneous(
        SimultaneousProblem(tuple(channels), shares), Settings(search.confidence_level)
    )
    assert float(cube["yield_limit"][40]) == pytest.approx(alone.yield_limit[0], rel=1e-6)
    assert float(cube["signal_yield"][40]) == pytest.approx(alone.signal_yield[0], rel=1e-5)


def test_few_events_are_counted_under_auto(tmp_path):
    search = search_of(
        "extends: zp_mumu\nrange: [7 GeV, 7.4 GeV]\nluminosity: 20 fb^-1\n"
        "method: {limit: auto, likelihood: unbinned}\n"
    )
    store = str(tmp_path / "events.zarr")
    generate(search, store, executor=SerialExecutor(), seed=5)
    cube = scanned(search, store, tmp_path / "limits.zarr")
    assert np.isfinite(cube["yield_limit"].to_numpy()).all()
    assert "counting" in {METHOD_MEANINGS[code] for code in cube["method"].to_numpy()}


def test_what_needs_bins_is_refused(store, cube, tmp_path):
    window = search_of(HEAD + "select: mass < m + 1\n" + UNBINNED)
    with pytest.raises(InputError, match="do not depend on the window"):
        scanned(window, store, tmp_path / "w.zarr", options=ASYMPTOTIC)
    with pytest.raises(InputError, match="of an unbinned likelihood: take one of auto, asymptotic"):
        scanned(search_of(), store, tmp_path / "x.zarr", options=Options(method="counting"))
    with pytest.raises(InputError, match="an export of the likelihoods"):
        list(likelihoods(str(tmp_path / "cube.zarr"), "pyhf"))
    with pytest.raises(InputError, match="likelihood: binned"):
        refuse_many(MOST_CANDIDATES + 1)
