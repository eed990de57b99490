"""Studies: linear fits are found linear, true models without bias, and known coverages come out."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from scanner import definition, engine
from scanner.errors import InputError
from scanner.stats import METHODS
from scanner.studies import TRUTHS, bias, coverage, linearity
from scanner.studies.bench import Bench, Source, choose_windows, fit_truths
from scanner.studies.cases import cases_of, grouped, mean_and_error, total
from scanner.studies.spurious import as_systematic, spurious_yields
from scanner.studies.truth import truth

DEFINITION = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: {order}
background: {{choose: {choose}}}
"""


def small(order=3, choose="fixed"):
    search = definition.parse(DEFINITION.format(order=order, choose=choose), where="small.yaml")
    return search, engine.grids(search)["all"]


def falling(grid, events):
    """A falling exponential on the fine axis, (F,)."""
    cumulative = -np.exp(-grid.edges)
    return events * np.diff(cumulative) / (cumulative[-1] - cumulative[0])


def bench(events=100_000, every=40, order=3, choose="fixed", truths=None):
    search, grid = small(order, choose)
    part, numbers = choose_windows(grid, every)
    return Bench(search, part, numbers, 0, truths or {"falling": falling(grid, events)}, "identity")


def run(made, strengths=(0.0, 2.0, 5.0), toys=100, measure=linearity.measure, **options):
    cases = cases_of(made, next(iter(made.truths)), np.array(strengths), in_events=False)
    return total(grouped(lambda toy: measure(made, cases, toy, **options), 0, toys))


def test_fits_are_linear_and_pulls_normal_on_a_falling_spectrum():
    made = bench()
    found = linearity.summarise(run(made, toys=150))
    assert np.all(found["toys"] == 150)
    assert np.all(np.abs(found["slope"] - 1.0) < 4.0 * found["slope_error"])
    assert np.all(np.abs(found["offset"]) < 4.0 * found["offset_error"])
    assert np.abs(found["pull_mean"].mean(axis=0)).max() < 0.2
    assert np.all(np.abs(found["pull_width"] - 1.0) < 4.5 * found["pull_width_error"])


def test_a_model_that_is_too_stiff_shows_its_bias():
    """A constant on a falling spectrum: the offset is the spurious signal of the Asimov data set."""
    made = bench(events=3_000_000, order=0)
    found = linearity.summarise(run(made, strengths=(0.0, 5.0), toys=40))
    spurious = bias.spurious_signals(made)["fitted_yield"][:, 0]
    assert np.abs(spurious / made.expected_error).max() > 1.0
    assert np.all(np.abs(found["offset"] - spurious) < 4.5 * found["offset_error"])


def test_the_line_is_that_of_a_least_squares_fit():
    rng = np.random.default_rng(1)
    injected, fitted = rng.uniform(0.0, 9.0, (4, 5)), rng.normal(size=(4, 5))
    line = linearity._line(fitted, injected, np.ones(4, dtype=bool))
    for w in range(4):
        slope, offset = np.polyfit(injected[w], fitted[w], 1)
        assert (line["slope"][w], line["offset"][w]) == pytest.approx((slope, offset))


def test_moments_are_those_of_numpy():
    x = np.random.default_rng(2).normal(3.0, 2.0, 50)
    found = mean_and_error(np.array([50.0]), np.array([x.sum()]), np.array([(x * x).sum()]))
    assert found.mean[0] == pytest.approx(x.mean())
    assert found.width[0] == pytest.approx(x.std(ddof=1))
    assert found.error[0] == pytest.approx(stats.sem(x))


def test_there_is_no_spurious_signal_where_the_model_is_true():
    """A spectrum that is linear in each window, and a line as its model."""
    _, grid = small(order=1)
    straight = 1e5 * np.diff(grid.edges) * (4.0 - 0.5 * (grid.edges[1:] + grid.edges[:-1]))
    found = bias.spurious_signals(bench(order=1, truths={"straight": straight}))
    assert np.abs(found["fitted_significance"]).max() < 1e-6


def test_the_spurious_signal_is_that_of_a_direct_fit():
    """Least squares with the expectation's own weights, to which Poisson fits of Asimov data come close."""
    made = bench(events=3_000_000, order=1)
    found = bias.spurious_signals(made)["fitted_yield"][:, 0]
    counts, problem = made.background("falling"), made.templates
    for w in range(len(found)):
        design = np.vstack([problem.background[w], problem.signal[w]]).T / np.sqrt(counts[w])[:, None]
        direct = np.linalg.lstsq(design, np.sqrt(counts[w]), rcond=None)[0][-1]
        assert found[w] == pytest.approx(direct, rel=0.05, abs=0.02 * made.expected_error[w])


def test_the_systematic_is_the_largest_near_by_of_good_truths():
    mass, resolution = np.array([1.0, 1.05, 2.0]), np.full(3, 0.02)
    yields = np.array([[1.0, 90.0], [-4.0, 90.0], [2.0, 90.0]])
    found = {"fitted_yield": yields, "fitted_significance": yields / 10.0}
    good = bias.spurious_signal(found, mass, resolution, [0.3, 1e-9])
    assert good["spurious_signal"].tolist() == [4.0, 4.0, 2.0]
    assert good["spurious_significance"].tolist() == [0.4, 0.4, 0.2]
    assert bias.spurious_signal(found, mass, resolution, [0.0, 0.0])["spurious_signal"].max() == 90.0


def test_limits_of_many_events_cover_as_cls_does():
    """At s injected σ a CLs limit covers with 1 − p: 1 at 0, close to the level from 3 σ on."""
    made = bench(events=400_000, every=100)
    found = coverage.summarise(
        run(made, strengths=(0.0, 1.0, 4.0), toys=300, measure=coverage.measure, method="asymptotic")
    )
    pooled = found["coverage"].mean(axis=0)
    error = np.sqrt(0.09 / (300 * len(made.grid)))
    assert pooled[0] == 1.0
    assert pooled[1] > 0.93
    assert pooled[2] == pytest.approx(0.9, abs=4.0 * error)


def test_without_background_coverages_are_the_known_ones():
    """A 90% limit from no event is 2.30 in the core, and 3.89 from one.

    Of 3 injected events 95.4% fall into the core, so that exact limits miss them if and only if it is
    empty: 1 − exp(−2.86 − b). Asymptotic limits are too low there and cover less, at 5 events too little.
    """
    made = bench(events=2, every=40, order=0)
    inside = slice(1, -1)
    cases = cases_of(made, "falling", np.array([3.0, 5.0]), in_events=True)
    found = {}
    for method in ("counting", "asymptotic"):
        groups = grouped(lambda toy, m=method: coverage.measure(made, cases, toy, m), 0, 200)
        sums = {name: values[inside].sum(axis=0) for name, values in total(groups).items()}
        found[method] = sums["covered"] / sums["toys"]
    core = made.templates.core_bins()
    events = 3.0 * (made.templates.signal * core).sum(axis=1) + (made.background("falling") * core).sum(
        axis=1
    )
    known = 1.0 - np.exp(-events[inside]).mean()
    assert found["counting"][0] == pytest.approx(known, abs=3.5 * np.sqrt(known * (1.0 - known) / 1400))
    assert found["counting"][1] > 0.9
    assert found["asymptotic"][1] < 0.9
    assert found["asymptotic"][1] < found["counting"][1] - 0.03


def test_binomial_intervals_are_those_of_scipy():
    for k, n in ((0, 10), (3, 10), (10, 10), (270, 300)):
        expected = stats.binomtest(k, n).proportion_ci(coverage.CONTENT, method="exact")
        found = coverage.binomial_interval(np.array([float(k)]), np.array([float(n)]))
        assert (found[0][0], found[1][0]) == pytest.approx((expected.low, expected.high))
    assert np.isnan(coverage.binomial_interval(np.zeros(1), np.zeros(1))).all()


@pytest.mark.parametrize("choose", ["fixed", "f_test", "discrete_profile"])
def test_a_study_fits_and_limits_as_a_scan_does(choose):
    from scanner.interpretation import Exposure
    from scanner.limits import scan_block

    made = bench(choose=choose, every=60)
    counts = made.background_toy("falling", 3)
    block = scan_block(
        made.search,
        made.grid,
        counts,
        made.windows,
        configuration=0,
        exposure=Exposure(None),
        method="asymptotic",
    )
    assert made.fits(counts).signal_yield == pytest.approx(block["signal_yield"], rel=1e-9, abs=1e-9)
    assert made.fits(counts).signal_yield_error == pytest.approx(block["signal_yield_error"], rel=1e-6)
    assert np.array_equal(made.limits(counts, "asymptotic", 3).yield_limit, block["yield_limit"])


def test_toys_depend_on_their_number_and_their_windows_alone():
    made, fewer = bench(every=20), bench(every=40)
    assert np.array_equal(made.background_toy("falling", 7)[::2], fewer.background_toy("falling", 7))
    yields = np.full((2, len(made.grid)), 30.0)
    signal = made.signal_toys(yields, 7)
    assert np.array_equal(signal[:, ::2], fewer.signal_toys(yields[:, ::2], 7))
    assert not np.array_equal(signal, made.signal_toys(yields, 8))
    assert not np.array_equal(signal[0], signal[1])
    assert signal.sum() == pytest.approx(2 * 30 * len(made.grid), rel=0.1)


def test_overlapping_windows_share_the_events_of_a_toy():
    made = bench(every=1)
    counts = made.background_toy("falling", 0).sum(axis=1)
    expected = made.background("falling").sum(axis=1)
    pulls = (counts - expected) / np.sqrt(expected)
    assert np.corrcoef(pulls[:-1], pulls[1:])[0, 1] > 0.9


def test_sums_do_not_depend_on_blocks():
    made = bench(every=80)
    cases = cases_of(made, "falling", np.array([0.0, 2.0]), in_events=False)

    def measured(toy):
        return linearity.measure(made, cases, toy)

    whole = total(grouped(measured, 0, 30))
    parts = [grouped(measured, *bounds) for bounds in ((0, 10), (10, 30))]
    joined = total({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    for name, values in whole.items():
        assert np.array_equal(values, joined[name]), name


@pytest.mark.parametrize("name", TRUTHS)
def test_truths_describe_smooth_spectra(name):
    """Their χ² to the true spectrum is that of the noise they took up: one a parameter, no bias beside it."""
    _, grid = small()
    true = falling(grid, 20_000)
    centres, widths = 0.5 * (grid.edges[1:] + grid.edges[:-1]), np.diff(grid.edges)
    found = [truth(name, np.random.default_rng(s).poisson(true), centres, widths) for s in range(5)]
    distance = np.mean([np.sum((f.expectation - true) ** 2 / true) for f in found])
    assert distance < 2.0 * np.mean([f.parameters for f in found])
    assert min(f.quality for f in found) > 1e-3
    assert np.allclose([f.expectation.sum() for f in found], 20_000, rtol=0.03)


def test_a_truth_that_cannot_follow_says_so():
    _, grid = small()
    centres = 0.5 * (grid.edges[1:] + grid.edges[:-1])
    spiked = falling(grid, 20_000)
    spiked[centres.size // 2] += 5_000.0
    assert truth("mass_polynomial", np.round(spiked), centres, np.diff(grid.edges)).quality < 1e-6


def test_truths_scale_with_the_luminosity_and_empty_spectra_stay_empty():
    _, grid = small()
    counts = np.random.default_rng(4).poisson(falling(grid, 5_000))
    once, twice = (fit_truths(Source(grid, counts, scale), ["spline"], 1) for scale in (1.0, 2.0))
    assert np.allclose(twice.expectations["spline"], 2.0 * once.expectations["spline"])
    assert fit_truths(Source(grid, 0 * counts), ["spline"], 1).expectations["spline"].sum() == 0.0


def test_events_counted_window_by_window_get_truths_of_their_own():
    search, grid = small()
    counts = np.random.default_rng(4).poisson(grid.counts(falling(grid, 50_000)))
    found = fit_truths(Source(grid, counts), ["spline"], 50)
    part, numbers = choose_windows(grid, 50)
    made = Bench(search, part, numbers, 0, found.expectations, "identity")
    expected = made.background("spline")
    assert expected.shape == (len(part), grid.bins)
    assert expected.sum(axis=1) == pytest.approx(counts[numbers].sum(axis=1))
    assert not np.array_equal(made.background_toy("spline", 0), made.background_toy("spline", 1))


def test_every_method_can_be_studied():
    made = bench(events=5_000, every=100)
    assert METHODS
    for method in ("auto", "asymptotic", "counting"):
        sums = run(made, strengths=(1.0,), toys=2, measure=coverage.measure, method=method)
        assert sums["toys"].sum() + sums["toys_failed"].sum() == 2 * len(made.grid)


def test_toys_find_the_bias_of_asimov_data_where_counts_are_high():
    made = bench(events=3_000_000, order=0)
    sums = total(grouped(lambda toy: bias.measure(made, toy), 0, 60))
    found, asimov = bias.summarise(sums), bias.spurious_signals(made)
    assert np.all(np.abs(found["toy_yield"] - asimov["fitted_yield"]) < 4.5 * found["toy_yield_error"])
    merged = bias.spurious_signal(asimov | found, made.grid.mass, np.full(len(made.grid), 1e-9), [0.5])
    assert np.array_equal(merged["spurious_signal"], np.abs(found["toy_yield"][:, 0]))


def study_cube(mass, events, **attributes):
    return xr.Dataset(
        {"spurious_signal": ("m_x", np.array(events, dtype=float))},
        {"m_x": np.array(mass, dtype=float), "region": ("m_x", ["all"] * len(mass))},
        {"study": "bias"} | attributes,
    )


def test_a_study_gives_the_size_of_the_spurious_signal_at_any_mass():
    cube = study_cube([1.0, 2.0, 3.0], [4.0, np.nan, 8.0], luminosity=100.0)
    assert spurious_yields(cube, np.array([0.5, 1.0, 2.0, 3.5])).tolist() == [4.0, 4.0, 6.0, 8.0]
    assert spurious_yields(cube, np.array([1.0]), luminosity=50.0).tolist() == [2.0]


@pytest.mark.parametrize(
    ("cube", "options", "message"),
    [
        (study_cube([1.0], [1.0]).assign_attrs(study="coverage"), {}, "which this is not"),
        (study_cube([1.0], [np.nan]), {}, "none of its fits succeeded"),
        (study_cube([1.0], [1.0]), {"luminosity": 1.0}, "nothing to scale from"),
        (
            study_cube([1.0], [1.0]).expand_dims(configuration=["a"]),
            {"configuration": "b"},
            "'b' is none of the study's: a",
        ),
    ],
)
def test_what_gives_no_spurious_signal_says_why(cube, options, message):
    with pytest.raises(InputError, match=message):
        spurious_yields(cube, np.array([1.0]), **options)


def test_the_written_systematic_is_one_of_a_definition():
    text = as_systematic(study_cube([1.0, 2.0, 3.0], [4.0, 0.0, 8.0]))
    search = definition.parse(DEFINITION.format(order=1, choose="fixed") + text, where="small.yaml")
    term = search.systematics["spurious_signal"]
    assert term.events(np.array([1.0, 1.5, 5.0])) == pytest.approx([4.0, 2.0, 8.0], abs=1e-5)
