"""Vetoed bins, known peaks and every shape in scanned windows, against iminuit with numba-stats."""

import numpy as np
import pytest
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL
from numba_stats import bernstein, crystalball_ex, norm, truncexpon

from scanner import definition, engine, runnable, shapes
from scanner.errors import InputError
from scanner.interpretation import Exposure
from scanner.limits import scan_block, window_problem
from scanner.query import Limits  # noqa: F401 - registers the accessor
from scanner.results import VETOED

HUNT = """
extends: bump_hunt
name: small
observable: mass
range: [2.6 GeV, 3.6 GeV]
resolution: 10 MeV
order: 2
"""
JPSI = 3.0969
FULL = HUNT.replace("observable: mass\n", "columns: {mass: GeV, other: GeV}\n")
PEAK = "background: {peaks: {jpsi: {at: 3.0969 GeV, source: user}}}\n"
VETO = "vetoes: [{range: [3.06 GeV, 3.13 GeV], in_windows: true, source: user}]\n"


def spectrum(grid, peak=0.0, seed=1):
    """Draw fine counts of a falling background and of a J/ψ; without a seed, the expected ones."""
    smooth = 4e4 * np.diff(truncexpon.cdf(grid.edges, 2.0, 4.0, 2.0, 1.3))
    peaking = peak * np.diff(norm.cdf(grid.edges, JPSI, 0.010))
    return smooth + peaking if seed is None else np.random.default_rng(seed).poisson(smooth + peaking)


def run(text, peak=0.0, part=None, method="asymptotic"):
    search = definition.parse(text, where="small.yaml")
    grid = engine.grids(search)["all"]
    fine = spectrum(grid, peak)
    part = part or slice(0, len(grid))
    counts = grid.counts(fine)[part]
    options = {"configuration": 0, "exposure": Exposure(1.0), "method": method}
    return search, grid, counts, scan_block(search, grid, counts, part, **options)


def independent_fit(grid, counts, window, order=2, peak=False, live=None):
    """Fit one window by iminuit with numba-stats: yield and error of the signal, yield of the peak."""
    edges = grid.edges[grid.edge_indices()[window]]
    low, high = edges[0], edges[-1]

    def expected(x, s, j, *coefficients):
        total = s * norm.cdf(x, grid.mass[window], grid.resolution[window])
        total += j * norm.cdf(x, JPSI, 0.010)
        return total + bernstein.integral(x, np.array(coefficients), low, high)

    cost = ExtendedBinnedNLL(counts[window], edges, expected)
    if live is not None:
        cost.mask = live
    start = counts[window].sum() / (high - low)
    names = [f"c{k}" for k in range(order + 1)]
    minuit = Minuit(cost, 0.0, 0.0, *([start] * (order + 1)), name=["s", "j", *names])
    minuit.fixed["j"] = not peak
    minuit.strategy, minuit.tol = 2, 1e-5
    minuit.migrad(ncall=20000)
    minuit.hesse()
    assert minuit.valid
    return minuit.values["s"], minuit.errors["s"], minuit.values["j"]


def test_a_known_peak_is_fitted_with_a_free_yield():
    _, grid, counts, found = run(HUNT + PEAK, peak=3000.0)
    for mass in (3.0, 3.05, 3.15):
        w = int(np.argmin(np.abs(grid.mass - mass)))
        s, error, j = independent_fit(grid, counts, w, peak=True)
        assert found["signal_yield"][w] == pytest.approx(s, abs=2e-3 * error)
        assert found["signal_yield_error"][w] == pytest.approx(error, rel=2e-3)
        assert found["peak_yield"][w, 0] == pytest.approx(3000.0, abs=4.0 * np.sqrt(3000.0))
        assert j == pytest.approx(found["peak_yield"][w, 0], abs=3.0 * error)  # that one is at s = 0
    blind = run(HUNT, peak=3000.0)[3]
    assert np.nanmax(blind["z_local"]) > 30.0
    away = np.abs(grid.mass - JPSI) > 0.03
    assert np.nanmax(found["z_local"][away]) < 4.5


def test_windows_without_the_peak_are_those_of_a_search_without_it():
    _, grid, _, found = run(HUNT + PEAK)
    plain = run(HUNT)[3]
    far = np.abs(grid.mass - JPSI) > 0.15
    assert 10 < far.sum() < len(grid)
    for name in ("yield_limit", "signal_yield", "z_local", "background_order", "status"):
        np.testing.assert_array_equal(found[name][far], plain[name][far])
    np.testing.assert_array_equal(found["background_order"], 2)
    assert np.isnan(found["peak_yield"][far]).all()
    assert np.isfinite(found["peak_yield"][np.abs(grid.mass - JPSI) < 0.1]).all()


def test_a_peak_of_its_own_shape_has_that_shape():
    own = (
        "background: {peaks: {jpsi: {at: 3.0969 GeV, shape: double_crystal_ball, resolution: 12 MeV, "
        "parameters: {alpha_low: 1, n_low: 3, alpha_high: 2, n_high: 4}, source: user}}}\n"
    )
    search = definition.parse(HUNT + own, where="small.yaml")
    grid = engine.grids(search)["all"]
    w = int(np.argmin(np.abs(grid.mass - 3.0)))
    model = engine.window_model(search, grid, slice(w, w + 1), {}, {})
    edges = grid.edges[grid.edge_indices()[w]]
    expected = np.diff(crystalball_ex.cdf(edges, 1, 3, 0.012, 2, 4, 0.012, JPSI))
    assert model.peaks.tolist() == [[3]]
    np.testing.assert_allclose(model.background[0, 3], expected, atol=1e-12)


def test_vetoed_bins_are_left_out_of_the_fits():
    _, grid, counts, found = run(HUNT + VETO, peak=3000.0)
    inside = (grid.mass >= 3.06) & (grid.mass <= 3.13)
    np.testing.assert_array_equal(found["status"] == VETOED, inside)
    edges = grid.edges[grid.edge_indices()]
    live = (edges[:, :-1] >= 3.13) | (edges[:, 1:] <= 3.06)
    for mass in (2.99, 3.05, 3.14):
        w = int(np.argmin(np.abs(grid.mass - mass)))
        assert not live[w].all()
        s, error, _ = independent_fit(grid, counts, w, live=live[w])
        assert found["signal_yield"][w] == pytest.approx(s, abs=2e-3 * error)
        assert found["signal_yield_error"][w] == pytest.approx(error, rel=2e-3)
        assert found["n_observed"][w] == counts[w][live[w]].sum()
    assert np.nanmax(found["z_local"]) < 4.5


def test_a_veto_of_masses_alone_keeps_the_bins():
    _, grid, _, found = run(HUNT + VETO.replace("in_windows: true", "in_windows: false"))
    plain = run(HUNT)[3]
    kept = found["status"] != VETOED
    assert 10 < (~kept).sum() < len(grid)
    np.testing.assert_array_equal(found["yield_limit"][kept], plain["yield_limit"][kept])


def test_a_channels_veto_of_its_mass_is_one_of_bins_and_hypotheses():
    text = FULL + "channels: {all: {observable: mass, source: user, vetoes: [{range: [3.06 GeV, 3.13 GeV], "
    text += "OBSERVABLEsource: user}]}}\n"
    ours = run(HUNT + VETO, peak=3000.0)[3]
    for stated in ("", "observable: mass, "):
        search, _, _, found = run(text.replace("OBSERVABLE", stated), peak=3000.0)
        for name in ("yield_limit", "n_observed", "status"):
            np.testing.assert_array_equal(found[name], ours[name])
        expected = ("(mass) < 3.06 or (mass) > 3.13",) if stated else ()
        assert engine.cuts(search, search.channels["all"]) == expected


def test_a_veto_in_another_observable_is_a_cut_on_candidates():
    text = FULL
    text += "channels: {all: {observable: mass, source: user, select: [mass > 0], "
    text += "vetoes: [{around: 0.498 GeV, half_width: 20 MeV, observable: other, source: user}]}}\n"
    search = definition.parse(text, where="small.yaml")
    (selection,) = engine.selections(search, ("mass", "other")).values()
    mass = np.full(6, 3.0, dtype=np.float32)
    other = np.array([0.1, 0.477, 0.479, 0.5, 0.517, 0.519], dtype=np.float32)
    histogram = selection.fill({"mass": mass, "other": other})
    assert histogram.cutflow.tolist() == [[6, 6, 3]]
    assert histogram.counts.sum() == 3
    assert not engine.vetoed(search, np.array([0.498, 3.0])).any()


@pytest.mark.parametrize("method", ["asymptotic", "counting", "auto"])
def test_counting_takes_no_background_from_vetoed_bins(method):
    """Counts in vetoed bins change nothing, whatever they are."""
    search = definition.parse(HUNT + VETO, where="small.yaml")
    grid = engine.grids(search)["all"]
    fine = np.random.default_rng(2).binomial(spectrum(grid), 0.05)
    spoilt = fine.copy()
    centres = 0.5 * (grid.edges[1:] + grid.edges[:-1])
    spoilt[(centres > 3.06) & (centres < 3.13)] += 100
    part = slice(20, 120)
    options = {"configuration": 0, "exposure": Exposure(1.0), "method": method}
    first, second = (scan_block(search, grid, grid.counts(f)[part], part, **options) for f in (fine, spoilt))
    kept = first["status"] != VETOED
    for name in ("yield_limit", "yield_limit_expected", "n_background", "n_observed", "p_local"):
        np.testing.assert_array_equal(first[name][kept], second[name][kept])
    assert np.isfinite(first["yield_limit"][kept]).sum() > 0.9 * kept.sum()


BACKGROUNDS = {
    "bernstein": "background: {shape: bernstein}\n",
    "linear": "background: {shape: linear}\n",
    "exponential": "background: {shape: exponential}\n",
    "power_law": "background: {shape: power_law}\n",
    "argus": "background: {shape: argus, endpoint: 4.5 GeV}\n",
    "threshold": "background: {shape: threshold, threshold: 1 GeV}\n",
    "threshold_polynomial": "background: {shape: threshold_polynomial, threshold: 1 GeV, power: 0.5}\n",
    "chebyshev": "",
}


def test_every_background_is_tried():
    assert BACKGROUNDS.keys() == shapes.BACKGROUNDS.keys()


@pytest.mark.parametrize("shape", BACKGROUNDS)
def test_every_background_fits_a_smooth_spectrum(shape):
    found = run(HUNT + BACKGROUNDS[shape])[3]
    assert np.isfinite(found["yield_limit"]).all()
    assert (found["status"] == 0).all()
    assert np.median(found["fit_quality"]) > 0.02
    assert np.abs(found["signal_yield"] / found["signal_yield_error"]).max() < 4.5
    names = shapes.BACKGROUNDS[shape].parameters
    assert {f"background_{name}" for name in names} <= found.keys()
    plain = run(HUNT)[3]["yield_limit"]
    assert np.median(found["yield_limit"] / plain) == pytest.approx(1.0, abs=0.25)


def exponential_and_peak(mass, sigma, low, high):
    def expected(x, s, b, slope):
        return s * norm.cdf(x, mass, sigma) - b / slope * np.exp(-slope * 2.0 * (x - low) / (high - low))

    return expected


def test_a_linearised_exponential_fits_as_iminuit_fits_the_slope():
    search, grid, counts, found = run(HUNT + BACKGROUNDS["exponential"], part=slice(60, 62))
    edges = grid.edges[grid.edge_indices(slice(60, 62))]
    for w in range(2):
        low, high = edges[w, 0], edges[w, -1]

        mass, sigma = grid.mass[60 + w], grid.resolution[60 + w]
        expected = exponential_and_peak(mass, sigma, low, high)
        minuit = Minuit(ExtendedBinnedNLL(counts[w], edges[w], expected), 0.0, counts[w].sum(), 0.3)
        minuit.limits["slope"] = (1e-3, None)
        minuit.migrad()
        minuit.hesse()
        assert found["signal_yield"][w] == pytest.approx(minuit.values["s"], abs=0.02 * minuit.errors["s"])
        assert found["signal_yield_error"][w] == pytest.approx(minuit.errors["s"], rel=0.01)
    assert search.background.shape == "exponential"


def test_peaks_and_vetoes_do_not_bend_the_start_of_a_slope():
    slope = HUNT + "background: {shape: exponential}\n"
    peaks = HUNT + "background: {shape: exponential, peaks: {jpsi: {at: 3.0969 GeV, source: user}}}\n"
    wide = VETO.replace("3.06", "3.04").replace("3.13", "3.15")
    found = []
    for text, peak in ((slope, 0.0), (peaks, 1e5), (slope + wide, 1e5)):
        search = definition.parse(text, where="small.yaml")
        grid = engine.grids(search)["all"]
        part = slice(80, 120)
        mean = np.concatenate(([0.0], np.cumsum(spectrum(grid, peak, seed=None))))
        counts = np.diff(mean[grid.edge_indices(part)], axis=1)
        kept = ~engine.vetoed(search, grid.mass[part])
        found.append(np.where(kept, engine.nonlinear_start(search, grid, part, counts)["slope"], np.nan))
    clean, with_peak, with_veto = found
    np.testing.assert_allclose(with_peak, clean, atol=3e-4)
    kept = np.isfinite(with_veto)
    assert 10 < kept.sum() < 40
    np.testing.assert_allclose(with_veto[kept], clean[kept], atol=3e-4)


def test_the_projection_of_a_search_with_peaks_and_vetoed_bins_is_what_is_expected_today(tmp_path):
    from scanner import cube as cubes
    from scanner.projection import project

    for text in (HUNT + PEAK, HUNT + VETO):
        search, grid, _, found = run(text + "luminosity: 10 fb^-1\nefficiency: 0.5\n", peak=3000.0)
        cube = cubes.assemble(search, {"all": grid}, {(0, 0): {"all": [found]}}, {"luminosity": 1.0})
        today = project(cube, [1.0])["yield_limit_expected"].to_numpy()[0]
        kept = np.isfinite(found["yield_limit_expected"]).all(axis=1)
        np.testing.assert_allclose(today[kept], found["yield_limit_expected"][kept], rtol=2e-3)
        if "peak_yield" in cube:
            assert cube["peak_yield"].dims == ("m", "peak")
            assert cube["peak"].to_numpy().tolist() == ["jpsi"]


def test_what_the_engine_does_not_do_is_refused():
    text = HUNT + "background: {choose: f_test, peaks: {jpsi: {at: 3.0969 GeV, source: user}}}\n"
    with pytest.raises(InputError, match="the order of a background with peaks by f_test"):
        runnable.check_runnable(definition.parse(text, where="small.yaml"))
    known = HUNT + PEAK.replace("source", "expected: 100, error: 0.1, source")
    with pytest.raises(InputError, match="a study with the stated yield of jpsi is not possible"):
        runnable.refuse_known_yields(definition.parse(known, where="small.yaml"), "a study")


def test_a_windows_likelihood_depends_on_itself_alone():
    search, grid, counts, _ = run(HUNT + VETO + PEAK + "", peak=3000.0)
    whole = window_problem(search, grid, counts, slice(0, len(grid)), configuration=0)[0]
    part = window_problem(search, grid, counts[90:95], slice(90, 95), configuration=0)[0]
    np.testing.assert_array_equal(part.counts, whole.counts[90:95])
    np.testing.assert_array_equal(part.signal, whole.signal[90:95])
    np.testing.assert_array_equal(part.terms, whole.terms[90:95])
    kept = part.background.shape[1]
    np.testing.assert_array_equal(part.background, whole.background[90:95, :kept])


@pytest.mark.parametrize("background", ["", "background: {shape: argus, endpoint: 4.5 GeV}\n", PEAK])
def test_results_depend_on_no_other_window_of_the_block(background):
    """Blocks that do not reach the peak carry no term for it; the bits are the same."""
    search, grid, counts, whole = run(HUNT + VETO.replace("3.06", "3.08") + background, peak=3000.0)
    options = {"configuration": 0, "exposure": Exposure(1.0), "method": "asymptotic"}
    for start in range(0, len(grid), 37):
        part = slice(start, min(start + 37, len(grid)))
        for name, values in scan_block(search, grid, counts[part], part, **options).items():
            width = values.shape[1:]
            np.testing.assert_array_equal(values, whole[name][(part, *map(slice, width))], name)
