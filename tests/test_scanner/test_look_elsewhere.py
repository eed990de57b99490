"""Global p-values of a spectrum: its background truth, toys of it, and upcrossings."""

import math

import numpy as np
import pytest
from scipy import stats

from scanner import definition, engine
from scanner.errors import InputError
from scanner.likelihoods.fit import fit
from scanner.limits import window_problem
from scanner.significance import background, excess, spectrum
from scanner.stats import look_elsewhere
from scanner.stats.look_elsewhere import Crossings, Excess, ToyScans

FALLING = """
extends: bump_hunt
observable: mass
range: [1 GeV, 2 GeV]
resolution: 20 MeV
order: 3
"""
CONFIGURATIONS = """
configurations:
  - {name: a, parameters: {x: 1}}
  - {name: b, parameters: {x: 2}}
  - {name: c, parameters: {x: 3}}
"""
FLAT = """
extends: bump_hunt
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: 0
regions:
  all: {mass: [1 GeV, 3 GeV], reach: [0.75 GeV, 3.25 GeV], observable: mass, peak: m}
"""


def case(text):
    """Return a search and its grids."""
    search = definition.parse(text, where="search.yaml")
    return search, engine.grids(search)


def falling(edges, events):
    """Return the bin integrals of e^(−2x)."""
    cumulative = -np.exp(-2.0 * edges)
    return events * np.diff(cumulative) / (cumulative[-1] - cumulative[0])


def lines_of(search, grids, counts, identity="identity"):
    return spectrum.lines(search, spectrum.spectra(search, grids, {"all": counts[None]}, identity))


@pytest.fixture(scope="module")
def spectrum_case():
    """A search on a falling spectrum of 30 000 events, the truth, and one set of data."""
    search, grids = case(FALLING)
    truth = falling(grids["all"].edges, 30_000.0)
    return search, grids, truth, np.random.default_rng(7).poisson(truth)


def test_the_truth_of_a_falling_spectrum_has_no_bias_beyond_its_error(spectrum_case):
    search, grids, truth, _ = spectrum_case
    rng = np.random.default_rng(11)
    found = np.array(
        [background.background_truth(search, grids["all"], rng.poisson(truth)) for _ in range(40)]
    )
    error = found.std(axis=0, ddof=1)
    assert (found > 0.0).all()
    assert (error < 0.4 * np.sqrt(truth)).all()  # a fit knows far more than a bin
    assert (np.abs(found.mean(axis=0) - truth) < 0.5 * error).all()
    assert found.sum(axis=1).mean() == pytest.approx(truth.sum(), abs=4.0 * math.sqrt(truth.sum() / 40))


def test_the_truth_of_asimov_data_is_what_they_are(spectrum_case):
    search, grids, truth, _ = spectrum_case
    found = background.background_truth(search, grids["all"], truth)
    np.testing.assert_allclose(found, truth, rtol=3e-3)


def test_the_truth_is_smooth_where_windows_begin_and_end(spectrum_case):
    search, grids, _, counts = spectrum_case
    found = np.log(background.background_truth(search, grids["all"], counts))
    assert np.abs(np.diff(found, 2)).max() < 5e-3


def test_windows_find_no_signals_in_the_truth(spectrum_case):
    """Else every toy would have them, and its largest excess would be larger than that of the data."""
    search, grids, truth, _ = spectrum_case
    rng, grid = np.random.default_rng(5), grids["all"]
    found = []
    for _ in range(10):
        expectation = background.background_truth(search, grid, rng.poisson(truth))
        asimov, _ = window_problem(
            search, grid, grid.counts(expectation), slice(0, len(grid)), configuration=0
        )
        fits = fit(asimov)
        found.append(fits.yields / fits.errors)
    assert np.std(found) < 0.05


def test_an_empty_spectrum_expects_nothing(spectrum_case):
    search, grids, truth, _ = spectrum_case
    nothing = np.zeros(len(truth), dtype=np.int64)
    assert (background.background_truth(search, grids["all"], nothing) == 0.0).all()
    (line,) = lines_of(search, grids, nothing)
    scan = line.scan(nothing)
    assert (scan.z == 0.0).all()
    assert scan.failed == 0


def test_toys_follow_the_truth_and_their_number_alone(spectrum_case):
    search, grids, _, counts = spectrum_case
    (line,) = lines_of(search, grids, counts)
    toys = line.spectrum.throw(0, 200)
    chi2 = (toys.sum(axis=0) - 200.0 * line.spectrum.expectation) ** 2 / (200.0 * line.spectrum.expectation)
    assert stats.chi2.sf(chi2.sum(), len(chi2)) > 1e-3
    assert (line.spectrum.throw(17, 1)[0] == toys[17]).all()
    assert (lines_of(search, grids, counts, "another")[0].spectrum.throw(17, 1)[0] != toys[17]).any()


def test_blocks_of_toys_fit_together(spectrum_case):
    search, grids, _, counts = spectrum_case
    lines = lines_of(search, grids, counts)
    whole = excess.scan_toys(lines, 0, 12).arrays()
    first, second = excess.scan_toys(lines, 0, 5).arrays(), excess.scan_toys(lines, 5, 12).arrays()
    for name, values in whole.items():
        assert (values == np.concatenate((first[name], second[name]))).all()


def test_data_and_toys_take_the_same_way(spectrum_case):
    """A toy that is taken as data has the significance that it had as a toy."""
    search, grids, _, counts = spectrum_case
    lines = lines_of(search, grids, counts)
    (toy,) = lines[0].spectrum.throw(3, 1)
    seen = excess.observe(search, lines_of(search, grids, toy))
    assert seen.z == excess.scan_toys(lines, 3, 4).maximum[0]


def p_values(spectra, toys):
    """Return the largest local significance and both global p-values of background-only spectra, (3, N)."""
    search, grids = case(FALLING)
    truth = falling(grids["all"].edges, 30_000.0)
    rng = np.random.default_rng(23)
    found = []
    for number in range(spectra):
        lines = lines_of(search, grids, rng.poisson(truth), f"spectrum {number}")
        scans = excess.scan_toys(lines, 0, toys)
        result = look_elsewhere.summarise(excess.observe(search, lines), scans, "toys")
        assert result.toys_failed == 0
        found.append((result.excess.z, result.by_toys.p, result.by_upcrossings.p))
    return np.array(found).T


def excess_of_upcrossings(z, by_toys, by_upcrossings):
    """Return by how much upcrossings exceed toys on average where z is above 2.4.

    With a mean number of crossings N the chance of any is 1 − e^(−N).
    """
    high = z > 2.4
    assert high.sum() > 10
    return (1.0 - np.exp(-by_upcrossings[high]) - by_toys[high]).mean()


def test_p_values_of_background_only_spectra_are_uniform():
    z, by_toys, by_upcrossings = p_values(50, 49)
    assert stats.kstest(by_toys, "uniform").pvalue > 0.01
    assert abs(excess_of_upcrossings(z, by_toys, by_upcrossings)) < 0.06


@pytest.mark.slow
def test_p_values_of_many_background_only_spectra_are_uniform():
    z, by_toys, by_upcrossings = p_values(600, 299)
    assert stats.kstest(by_toys, "uniform").pvalue > 0.01
    for level in (0.02, 0.1, 0.5):
        assert abs((by_toys <= level).mean() - level) < 3.0 * math.sqrt(level * (1.0 - level) / len(by_toys))
    assert abs(excess_of_upcrossings(z, by_toys, by_upcrossings)) < 0.02


@pytest.fixture(scope="module")
def flat():
    """Many toys of a flat spectrum with a million events, whose windows all look alike."""
    search, grids = case(FLAT)
    bins = len(grids["all"].edges) - 1
    lines = lines_of(search, grids, np.full(bins, 1_000_000 // bins))
    z = np.array([lines[0].scan(toy).z for toy in lines[0].spectrum.throw(0, 600)])
    return search, lines, z


@pytest.mark.parametrize("level", [0.25, 1.0, 4.0])
def test_upcrossings_are_those_of_a_gaussian_process(flat, level):
    """Neighbours half a resolution apart on a flat background are binormal with a known correlation."""
    _, _, z = flat
    # A free constant over 20 resolutions takes g − 1/20 of the signal's density g, ∫g² = 1/√(4π); two
    # windows share 19.5 of them.
    square = 1.0 / math.sqrt(4.0 * math.pi)
    rho = (square * math.exp(-0.0625) - 2.0 / 20.0 + 19.5 / 20.0**2) / (square - 1.0 / 20.0)
    height = math.sqrt(level)
    both = stats.multivariate_normal([0.0, 0.0], [[1.0, rho], [rho, 1.0]]).cdf([height, height])
    expected = (z.shape[1] - 1) * (stats.norm.cdf(height) - both)
    found = look_elsewhere.mean_crossings(look_elsewhere.upcrossings(z, level), level)
    assert abs(found.mean - expected) < 3.5 * found.error + 0.01 * expected


@pytest.mark.parametrize("z", [2.5, 3.0, 3.5])
def test_upcrossings_of_few_toys_agree_with_the_maxima_of_many(flat, z):
    _, _, maps = flat
    few = look_elsewhere.mean_crossings(look_elsewhere.upcrossings(maps[:100]))
    predicted = look_elsewhere.p_from_crossings(z, few)
    counted = (maps.max(axis=1) >= z).mean()
    # The spread of the count is that of the prediction: a low count would claim a small error for itself.
    error = math.hypot(predicted.high - predicted.p, math.sqrt(predicted.p * (1 - predicted.p) / len(maps)))
    # A mean number of crossings counts two peaks twice: it exceeds the chance of any by p²/2.
    assert abs(predicted.p - 0.5 * predicted.p**2 - counted) < 3.0 * error


def test_half_the_steps_see_nearly_all_upcrossings(flat):
    _, lines, maps = flat
    whole, half = (look_elsewhere.upcrossings(z).mean() for z in (maps, maps[:, ::2]))
    assert 0.9 * whole < half < whole
    scans = excess.scan_toys(lines, 0, 20)
    assert (scans.crossings == look_elsewhere.upcrossings(maps[:20])).all()
    assert (scans.crossings_half == look_elsewhere.upcrossings(maps[:20, ::2])).all()


def test_upcrossings_are_counted_by_hand():
    z = np.array([[0.0, 2.0, 0.5, 1.0, 3.0, 0.0], [2.0, 2.0, 0.0, 0.0, 0.0, 0.9]])
    assert look_elsewhere.upcrossings(z).tolist() == [2, 0]
    assert look_elsewhere.upcrossings(np.array([0.0, np.nan, 2.0, 0.0, 2.0, np.nan])).tolist() == 1


def test_stretches_of_an_axis_with_vetoes():
    assert look_elsewhere.stretches(np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)) == 3
    assert look_elsewhere.stretches(np.zeros(3, dtype=bool)) == 0


def test_the_bound_of_gross_and_vitells_in_numbers():
    """⟨N(u₀)⟩ = 4.34 at u₀ = 0.5, 5σ: 2.9e-7 + 4.34 e^(−12.25)."""
    p = look_elsewhere.p_from_crossings(5.0, Crossings(4.34, 0.11, 0.5))
    assert p.p == pytest.approx(2.8665e-7 + 4.34 * math.exp(-12.25), rel=1e-4)
    assert p.high - p.p == pytest.approx(0.11 * math.exp(-12.25), rel=1e-6)
    assert look_elsewhere.p_from_crossings(0.1, Crossings(4.34, 0.11, 0.5)).p == 1.0


def test_no_crossing_in_any_toy_still_has_an_error():
    found = look_elsewhere.mean_crossings(np.zeros(50, dtype=np.int64))
    assert (found.mean, found.error) == (0.0, 0.02)


@pytest.mark.parametrize(("exceeding", "toys"), [(0, 20), (3, 50), (50, 50), (400, 1000)])
def test_the_interval_of_a_p_value_is_the_exact_binomial_one(exceeding, toys):
    maxima = np.concatenate((np.full(exceeding, 3.0), np.zeros(toys - exceeding)))
    found = look_elsewhere.p_from_toys(3.0, maxima, np.zeros(toys, dtype=bool))
    exact = stats.binomtest(exceeding, toys).proportion_ci(look_elsewhere.INTERVAL, method="exact")
    assert found.p == (exceeding + 1) / (toys + 1)
    assert found.low == pytest.approx(exact.low, abs=1e-12)
    assert found.high == pytest.approx(max(exact.high, found.p), rel=1e-9)


def test_failed_toys_count_as_extreme_and_few_events_are_flagged():
    scans = ToyScans(np.zeros(99), np.ones(99, dtype=int), np.ones(99, dtype=int), np.arange(99) // 95)
    found = look_elsewhere.summarise(Excess(3.0, 1.5, "all", "default", 100, 2, 1), scans, "toys")
    assert (found.toys, found.toys_failed, found.best.p) == (99, 4, 0.05)
    assert not found.upcrossings_valid


def test_configurations_with_the_same_events_share_their_toys():
    search, grids = case(FALLING + CONFIGURATIONS)
    truth = falling(grids["all"].edges, 30_000.0)
    rng = np.random.default_rng(3)
    same, other = rng.poisson(truth), rng.poisson(truth)
    found = spectrum.spectra(search, grids, {"all": np.stack([same, other, same])}, "identity")
    assert [one.configurations for one in found] == [(0, 2), (1,)]
    lines = spectrum.lines(search, found)
    single = excess.scan_toys(lines[:1], 0, 3)
    assert (excess.scan_toys(lines[:2], 0, 3).maximum == single.maximum).all()
    assert (excess.scan_toys(lines, 0, 3).crossings > single.crossings).all()


def test_vetoed_masses_are_not_looked_at(spectrum_case):
    _, _, _, counts = spectrum_case
    search, grids = case(
        FALLING + "vetoes: [{title: peak, around: 1.5 GeV, width: 2 resolution, source: user}]\n"
    )
    (line,) = lines_of(search, grids, counts)
    away = engine.vetoed(search, grids["all"].mass)
    assert away.any()
    assert (np.isnan(line.scan(counts).z) == away).all()
    seen = excess.observe(search, [line])
    assert (seen.stretches, seen.windows) == (2, int((~away).sum()))


def test_bins_that_a_veto_leaves_out_are_left_out_of_toys_too(spectrum_case):
    """A peak of 3000 events hides behind a veto: neither the data, nor the truth, nor a toy shows it."""
    *_, counts = spectrum_case
    veto = "vetoes: [{title: peak, around: 1.5 GeV, width: 5 resolution, in_windows: true, source: user}]\n"
    search, grids = case(FALLING + veto)
    masses = 0.5 * (grids["all"].edges[1:] + grids["all"].edges[:-1])
    peak = np.where(np.abs(masses - 1.5) < 0.03, 300, 0)
    (hidden,) = lines_of(search, grids, counts + peak)
    (clean,) = lines_of(search, grids, counts)
    seen, known = hidden.scan(hidden.spectrum.counts), clean.scan(clean.spectrum.counts)
    assert (seen.failed, known.failed) == (0, 0)
    np.testing.assert_array_equal(seen.z, known.z)
    outside = np.abs(masses - 1.5) > 0.06
    np.testing.assert_allclose(
        hidden.spectrum.expectation[outside], clean.spectrum.expectation[outside], rtol=1e-9
    )
    toy = excess.scan_toys([hidden], 0, 5)
    assert (toy.failed == 0).all()
    assert (toy.maximum < 6.0).all()


def test_events_counted_window_by_window_are_refused(spectrum_case):
    search, grids, _, _ = spectrum_case
    grid = grids["all"]
    with pytest.raises(InputError, match="depend on the window"):
        spectrum.spectra(search, grids, {"all": np.zeros((1, len(grid), grid.bins), int)}, "identity")
