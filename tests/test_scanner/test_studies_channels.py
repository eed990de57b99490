"""Studies and global significances of several channels, and with systematics in their fits."""

import itertools

import numpy as np
import pytest

from scanner import definition, engine
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.significance import excess, spectrum
from scanner.studies import bias, coverage, linearity
from scanner.studies.bench import Bench, Source, Truths, choose_windows, fit_truths, join_truths
from scanner.studies.cases import cases_of, grouped, total

PAIR = """
name: pair
title: two channels
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
columns: {m_mumu: GeV, m_ee: GeV}
scan: {m_x: {range: [2.6 GeV, 3.6 GeV], step: 1 resolution}}
window: {half_width: 10 resolution, bins: 40}
signal:
  resolution: {constant: 10 MeV, source: user}
  efficiency: {constant: 30%, source: user}
background: {order: 2}
channels:
  ee: {observable: m_ee, efficiency: 20%, resolution: 16 MeV, source: user}
  mumu: {observable: m_mumu, source: user}
"""
SPURIOUS = """
systematics:
  luminosity: {on: luminosity, size: 10%, source: user}
  tracking: {on: efficiency, size: 30%, channels: [ee], source: user}
  bias: {on: yield, kind: normal, size: 60 events, source: user}
"""


def made(text):
    search = definition.parse(text, where="pair.yaml")
    return search, engine.grids(search)["all"]


def falling(search, grid, events=40_000):
    """Return the fine bins of all channels, one after the other."""
    axes = [grid.channels.get(name, grid) for name in search.channels]
    shapes = [np.diff(-np.exp(-axis.edges)) for axis in axes]
    return np.concatenate([events * shape / shape.sum() for shape in shapes])


def bench(text, include="nothing", every=30):
    search, grid = made(text)
    part, numbers = choose_windows(grid, every)
    return Bench(search, part, numbers, 0, {"falling": falling(search, grid)}, "identity", include)


def run(made, strengths, toys, measure=linearity.measure, **options):
    cases = cases_of(made, "falling", np.array(strengths), in_events=False)
    return total(grouped(lambda toy: measure(made, cases, toy, **options), 0, toys))


def test_fine_bins_of_channels_become_the_bins_of_windows():
    search, grid = made(PAIR)
    fine = falling(search, grid)
    parts = grid.by_channel(fine)
    own = [axis.counts(part) for axis, part in zip(grid.channels.values(), parts, strict=True)]
    np.testing.assert_array_equal(grid.counts(fine), np.concatenate(own, axis=1))
    few = grid.select(np.array([3, 7]))
    np.testing.assert_array_equal(few.counts(fine), grid.counts(fine)[[3, 7]])


def errors_of_channels(made):
    """Yield the squared inverse errors of the whole yield from the bins of each channel alone."""
    problem, ends = made.problem(made.background("falling")), np.cumsum([0, 40, 40])
    for first, last in itertools.pairwise(ends):
        terms = np.any(problem.background[:, :, first:last] != 0.0, axis=(0, 2))
        own = BinnedProblem(
            problem.counts[:, first:last],
            problem.signal[:, first:last],
            problem.background[:, terms, first:last],
        )
        yield fit(own).errors ** -2.0


def test_two_channels_are_fitted_linearly_and_know_what_each_does():
    both = bench(PAIR)
    np.testing.assert_allclose(both.expected_error, sum(errors_of_channels(both)) ** -0.5, rtol=1e-4)
    found = linearity.summarise(run(both, (0.0, 5.0), toys=80))
    assert np.all(np.abs(found["slope"] - 1.0) < 4.0 * found["slope_error"])
    assert np.abs(found["pull_mean"]).max() < 4.0 / np.sqrt(80.0)
    assert np.all(np.abs(found["pull_width"] - 1.0) < 4.5 * found["pull_width_error"])
    spurious = bias.spurious_signals(both)["fitted_significance"]
    assert np.abs(spurious).max() < 0.1


def test_pulls_are_normal_with_systematics_and_too_wide_without():
    """Toys that fluctuate by the systematics too: only fits that know them have the right errors."""
    with_them = bench(PAIR + SPURIOUS, "everything")
    bare = bench(PAIR)
    np.testing.assert_allclose(with_them.expected_error, np.hypot(bare.expected_error, 60.0), rtol=0.02)
    found = linearity.summarise(run(with_them, (0.0, 5.0), toys=120))
    assert np.all(np.abs(found["pull_width"] - 1.0) < 4.5 * found["pull_width_error"])
    spread = found["fitted_yield_spread"][:, 0]
    assert np.all(np.abs(spread / with_them.expected_error - 1.0) < 4.5 / np.sqrt(2.0 * 119.0))


def test_limits_with_systematics_cover():
    found = coverage.summarise(
        run(bench(PAIR + SPURIOUS, "everything", 50), (2.0,), 120, coverage.measure, method="asymptotic")
    )
    assert np.all(found["toys"] == 120)
    assert np.all(found["coverage"] > 0.9 - 3.5 * np.sqrt(0.09 / 120.0))
    assert np.all(found["coverage"] < 0.99)


def test_toys_have_observables_of_their_own_and_asimov_data_none():
    some = bench(PAIR + SPURIOUS, "everything")
    counts = some.background("falling")
    assert not some.problem(counts).nuisances.observed.any()
    one, two = (some.problem(counts, toy).nuisances.observed for toy in (0, 1))
    assert one.any()
    assert not np.any(one == two)
    assert np.all(one == one[0])


def test_truths_of_channels_are_joined():
    search, grid = made(PAIR)
    parts = grid.by_channel(np.random.default_rng(5).poisson(falling(search, grid)))
    found = [fit_truths(Source(axis, own), ["spline"], 40)
             for axis, own in zip(grid.channels.values(), parts, strict=True)]  # fmt: skip
    whole = join_truths(found, grid, 40)
    assert whole.expectations["spline"].sum() == pytest.approx(sum(part.sum() for part in parts))
    assert whole.quality["spline"] == min(one.quality["spline"] for one in found)
    part, _ = choose_windows(grid, 40)
    rows = next(iter(part.channels.values())).counts(found[0].expectations["spline"])
    mixed = join_truths([Truths({"spline": rows}, {"spline": 1.0}), found[1]], grid, 40)
    np.testing.assert_allclose(mixed.expectations["spline"], part.counts(whole.expectations["spline"]))


def lines_of(text, include, seed=3):
    search, grid = made(text)
    fine = np.random.default_rng(seed).poisson(falling(search, grid))
    names = engine.pass_names(search, "all")
    parts = grid.by_channel(fine) if grid.channels else [fine]
    histograms = {name: own[None] for name, own in zip(names, parts, strict=True)}
    found = spectrum.spectra(search, {"all": grid}, histograms, "identity")
    return search, spectrum.lines(search, found, include), fine


def test_the_spectrum_of_two_channels_is_thrown_and_scanned_together():
    search, (line,), fine = lines_of(PAIR, "nothing")
    np.testing.assert_array_equal(line.spectrum.counts, fine)
    truth, known = falling(search, line.spectrum.grid), line.spectrum.expectation
    inside = known > 0.0
    assert known.sum() == pytest.approx(truth[inside].sum(), rel=0.02)
    scans = excess.scan_toys((line,), 0, 40)
    assert not scans.failed.any()
    assert 1.0 < np.median(scans.maximum) < 3.5
    z = np.array([line.scan(toy).z for toy in line.spectrum.throw(0, 40)])
    inner = z[:, 10:-10]
    assert (inner > 0.0).mean() == pytest.approx(0.5, abs=0.06)
    assert np.square(inner[inner > 0.0]).mean() == pytest.approx(1.0, abs=0.25)


def test_a_spurious_signal_takes_significance_and_toys_fluctuate_by_it():
    _, (bare,), fine = lines_of(PAIR, "nothing")
    _, (line,), _ = lines_of(PAIR + SPURIOUS, "significance")
    assert line.scan(fine).z.max() < bare.scan(fine).z.max()
    toy = line.spectrum.throw(0, 1)[0]
    assert not np.array_equal(line.scan(toy, 0).z, line.scan(toy, 1).z)
    np.testing.assert_array_equal(line.scan(toy, 0).z, line.scan(toy, 0).z)
    z = np.array([line.scan(toy, t).z for t, toy in enumerate(line.spectrum.throw(0, 60))])
    assert np.square(z[z > 0.0]).mean() == pytest.approx(1.0, abs=0.35)
