"""Toys of single windows: likelihood ratios of counts, models of windows, and pulls that show a bias."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from scanner import definition, engine
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.experiment import CountingData
from scanner.studies import counts, injected

OFF = CountingData(37, off=24, tau=3.0)


def single(data):
    return counts.counters((data,), (1.0,))


def nll(signal, background, data):
    """−2 ln L of both regions, by scipy."""
    return -2.0 * (
        stats.poisson.logpmf(data.observed, signal + background)
        + stats.poisson.logpmf(data.off, data.tau * background)
    )


@pytest.mark.parametrize("signal", [4.0, 29.0, 60.0])
def test_the_pull_of_a_count_is_the_root_of_its_likelihood_ratio(signal):
    best = OFF.observed - OFF.off / OFF.tau
    profiled = optimize.minimize_scalar(lambda b: nll(signal, b, OFF), bounds=(1e-3, 60.0), method="bounded")
    ratio = profiled.fun - nll(best, OFF.off / OFF.tau, OFF)
    assert single(OFF).pull(signal) == pytest.approx(np.sign(best - signal) * np.sqrt(ratio), abs=1e-4)


def test_the_pull_of_a_count_on_a_known_background_has_a_closed_form():
    data, n, mean = CountingData(150, 20.0), 150, 120.0
    expected = np.sqrt(2.0 * (n * np.log(n / mean) - n + mean))
    assert single(data).pull(100.0) == pytest.approx(expected, rel=1e-9)
    assert single(data).best() == 130.0


def test_an_uncertain_efficiency_makes_pulls_smaller():
    sure, unsure = (single(CountingData(150, 20.0, efficiency_error=e)).pull(100.0) for e in (0.0, 0.1))
    assert 0.4 * sure < unsure < 0.8 * sure  # √120 against √(120 + 10²) and more


@pytest.mark.parametrize(
    "data", [OFF, CountingData(40, 8.0, 2.0, efficiency_error=0.05), CountingData(9, 3.0)]
)
def test_toys_of_counts_have_normal_pulls(data):
    found = injected.counted_pulls(single(data), 100.0, 400, "toys", "of", "counts")
    assert (found.toys, found.toys_failed) == (400, 0)
    assert abs(found.pull_mean) < 0.2
    assert found.pull_width == pytest.approx(1.0, abs=0.15)
    assert found.fitted_mean == pytest.approx(100.0, abs=2.5)


def test_channels_with_one_signal_have_the_likelihood_ratio_of_their_product():
    other, shares = CountingData(12, off=3, tau=2.0), (0.7, 0.2)
    both = counts.counters((OFF, other), shares)

    def joint(signal):
        found = [
            optimize.minimize_scalar(
                lambda b, d=data, s=share: nll(signal * s, b, d), bounds=(1e-4, 60.0), method="bounded"
            ).fun
            for data, share in zip((OFF, other), shares, strict=True)
        ]
        return sum(found)

    best = optimize.minimize_scalar(joint, bounds=(0.0, 90.0), method="bounded")
    assert both.best() == pytest.approx(best.x, abs=0.01)
    assert both.pull(70.0) == pytest.approx(-np.sqrt(joint(70.0) - best.fun), abs=1e-3)
    found = injected.counted_pulls(both, 150.0, 300, "channels")
    assert abs(found.pull_mean) < 0.2
    assert found.pull_width == pytest.approx(1.0, abs=0.15)


def test_a_channel_without_a_share_tells_nothing():
    assert counts.counters((OFF, CountingData(900, 1.0)), (1.0, 0.0)) == single(OFF)


def test_toys_of_counts_are_a_function_of_their_names():
    first, again, other = (injected.counted_pulls(single(OFF), 50.0, 20, name) for name in ("a", "a", "b"))
    assert first == again
    assert first != other


@pytest.fixture(scope="module")
def bench():
    """A window on a straight line of background, whose data are one pseudo-experiment."""
    text = "extends: bump_hunt\nname: small\nobservable: mass\nrange: [1 GeV, 3 GeV]\n"
    search = definition.parse(text + "resolution: 20 MeV\norder: 1\n", where="small.yaml")
    grid = engine.grids(search)["all"]
    part = np.random.default_rng(3).poisson(np.linspace(220.0, 180.0, grid.bins)).astype(np.float64)
    return part, injected.fitted_bench(search, grid, part, len(grid) // 2, "identity")


def test_the_model_of_a_window_is_the_line_through_its_data(bench):
    data, made = bench
    (model,) = made.background(injected.MODEL)
    assert model.sum() == pytest.approx(data.sum(), rel=1e-6)
    assert stats.chi2.sf(np.sum((data - model) ** 2 / model), data.size - 2) > 1e-3
    assert np.abs(np.diff(model, 2)).max() < 1e-6 * model.max()


def test_toys_of_a_window_come_back_without_bias(bench):
    found = injected.fitted_pulls(bench[1], 300.0, 200)
    assert found.toys == 200
    assert abs(found.pull_mean) < 0.2
    assert found.pull_width == pytest.approx(1.0, abs=0.16)
    assert found.fitted_mean == pytest.approx(300.0, abs=0.2 * float(bench[1].expected_error[0]))


def test_a_background_of_another_shape_shows_in_the_pulls(bench):
    """The line cannot follow a bump under the signal."""
    _, made = bench
    bump = 0.02 * made.background(injected.MODEL) * (made.templates.signal > 0.02)
    bent = replace(made, truths={injected.MODEL: made.background(injected.MODEL) + 5.0 * bump})
    assert injected.fitted_pulls(bent, 300.0, 40).pull_mean > 0.5


def test_published_counts_with_their_systematics_come_back():
    search = definition.load("tau_3mu_counts")
    (grid,) = engine.grids(search).values()
    made = injected.stated_bench(injected.at_point(search, 0, {}), grid, 0, "identity")
    assert made.background(injected.MODEL) == pytest.approx(
        search.channels["ellipse"].counts.expected, rel=1e-12
    )
    found = injected.fitted_pulls(made, 100.0, 100)
    assert abs(found.pull_mean) < 0.2
    assert found.fitted_mean == pytest.approx(100.0, abs=5.0)


def test_toys_of_templates_stand_for_other_simulated_samples(bench):
    """Without that, an error that holds the statistics of templates is wider than the toys' spread."""
    flat = np.full(8, 900.0)
    effects = Nuisances.none(1, 0, 8)
    effects = replace(
        effects,
        norm=np.zeros((1, 0, 2, 2)),
        fixed=flat[None, None],
        statistics=np.full((1, 8), 0.06),
        uncertain=np.array([False, True]),
    )
    peak = np.where(np.arange(8) == 3, 0.6, 0.4 / 7)
    problem = BinnedProblem(flat[None], peak[None], np.empty((1, 0, 8)), nuisances=effects)

    class Templates(injected.StatedBench):
        def _build(self, counts):
            return problem

    part = bench[1].grid
    made = Templates(bench[1].search, part, np.array([0]), 0, {injected.MODEL: flat[None]}, "templates")
    found = injected.fitted_pulls(made, 400.0, 200)
    assert found.toys == 200
    assert abs(found.pull_mean) < 0.25
    assert found.pull_width == pytest.approx(1.0, abs=0.15)  # 0.5 from the counts alone
