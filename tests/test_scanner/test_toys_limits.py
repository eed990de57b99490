"""Toy limits against exact counting, against pyhf's toys, and against the asymptotic ones at large counts."""

import numpy as np
import pyhf
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm, poisson

from scanner import definition
from scanner.errors import InputError
from scanner.kernels.counting.exact import counting_limit
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.limits import method_settings
from scanner.stats import METHOD_MEANINGS, METHODS, Settings
from scanner.stats.pseudo import LinearWindow
from scanner.stats.toy_values import tail
from scanner.stats.toys import log_criterion

TOYS = next(code for code, text in METHOD_MEANINGS.items() if text == "toys")
REFERENCE = [
    (0.9, 0, 0.0, 2.3026),
    (0.9, 0, 3.0, 2.3026),
    (0.9, 1, 0.0, 3.8897),
    (0.9, 3, 0.0, 6.6808),
    (0.9, 3, 1.0, 5.7115),
    (0.9, 3, 3.0, 4.3624),
    (0.95, 0, 0.0, 2.9957),
    (0.95, 1, 0.0, 4.7439),
    (0.95, 3, 1.0, 6.7824),
    (0.95, 3, 3.0, 5.3954),
    (0.95, 10, 3.0, 13.9628),
]
"""Exact counting CLs limits at known background: level, n, b, limit."""


def known_background(events, background, key=5):
    """Return the counting experiment: one bin, no free background, a fixed expectation."""
    none = np.zeros(0, dtype=np.int64)
    fixed = np.full((1, 1, 1), float(background))
    nuisances = Nuisances((), np.zeros((1, 0, 2, 2)), np.zeros((1, 0, 2, 1)), none, none, fixed)
    keys = np.array([key], np.uint64)
    return BinnedProblem(
        np.array([[float(events)]]), np.ones((1, 1)), np.zeros((1, 0, 1)), nuisances=nuisances, keys=keys
    )


def error_of_counts(toys, level, events, background, exact):
    """Return the error of a limit by CLs = k_s/k_b, of so many toys of each hypothesis at the limit."""
    p_background = poisson.cdf(events, background)
    p_signal = (1.0 - level) * p_background
    variance = (1.0 / p_signal - 1.0 + 1.0 / p_background - 1.0) / toys
    return np.sqrt(variance) * p_signal / poisson.pmf(events, background + exact)


@pytest.mark.parametrize(("level", "events", "background", "exact"), REFERENCE)
def test_counting_experiments(level, events, background, exact):
    limits = METHODS["toys"](known_background(events, background), Settings(level))
    error = limits.yield_limit_error[0]
    assert limits.method[0] == TOYS
    assert error < 0.02 * exact
    assert error < 1.2 * error_of_counts(10_000, level, events, background, exact)
    assert abs(limits.yield_limit[0] - exact) < 3.5 * error + 6e-5  # four digits are known
    assert limits.toys[0] > 2000
    assert limits.toys_failed[0] == 0
    p = poisson.sf(events - 1, background) if events > background else 1.0
    if p > 1e-3:
        assert limits.p_local[0] == pytest.approx(p, abs=5.0 * np.sqrt(p / 10_000))


def test_expected_limits_of_a_counting_experiment():
    """Quantiles of n under b = 3 are 0, 1, 3, 5, 7."""
    limits = METHODS["toys"](known_background(3, 3.0), Settings(0.95))
    assert limits.expected[0] == pytest.approx([2.996, 3.643, 5.395, 7.663, 10.171], rel=0.03)


def test_errors_are_those_of_repetitions():
    repeated = [known_background(3, 1.0, key) for key in range(60)]
    found = [METHODS["toys"](one, Settings(0.9, toys=3000)) for one in repeated]
    limits = np.array([one.yield_limit[0] for one in found])
    errors = np.array([one.yield_limit_error[0] for one in found])
    assert limits.mean() == pytest.approx(5.7115, abs=4.0 * limits.std() / np.sqrt(60))
    assert np.std((limits - 5.7115) / errors) == pytest.approx(1.0, abs=4.0 / np.sqrt(2 * 60))
    assert np.std(limits) < 1.2 * error_of_counts(3000, 0.9, 3, 1.0, 5.7115)
    expected = np.array([one.expected[0, 2] for one in found])
    assert expected == pytest.approx(np.full(60, 3.3072), rel=0.04)


@pytest.mark.parametrize(("events", "background"), [(0, 30.0), (5, 25.0), (12, 40.0)])
def test_deep_deficits_are_known_by_toys_of_the_best_fit(events, background):
    """Not one toy of either hypothesis in a thousand is as extreme: exact CLs are sums over n."""
    limits = METHODS["toys"](known_background(events, background), Settings(0.9, toys=2000))
    exact = counting_limit(events, background, 0.0, np.log(0.1))
    error = limits.yield_limit_error[0]
    assert error <= 0.02 * exact
    assert abs(limits.yield_limit[0] - exact) < 3.5 * error + 1e-3 * exact
    assert np.isfinite(limits.expected[0]).all()


def test_toys_are_added_until_the_error_is_small():
    problem = known_background(3, 1.0)
    few, many = (METHODS["toys"](problem, Settings(0.9, toys=toys)) for toys in (10, 4000))
    assert few.yield_limit_error[0] > 0.02 * few.yield_limit[0]  # at the cap, and says so
    assert many.yield_limit_error[0] <= 0.02 * many.yield_limit[0]
    assert few.toys[0] < many.toys[0]
    again = METHODS["toys"](problem.select(np.array([0, 0])), Settings(0.9, toys=10))
    assert np.all(again.yield_limit == few.yield_limit[0])


def test_clsb_is_stronger_and_may_exclude_every_yield():
    cls = METHODS["toys"](known_background(1, 3.0), Settings(0.9)).yield_limit[0]
    clsb = METHODS["toys"](known_background(1, 3.0), Settings(0.9, criterion="clsb")).yield_limit[0]
    exact = next(s for s in np.arange(0.0, 9.0, 0.001) if poisson.cdf(1, 3.0 + s) < 0.1)
    assert clsb == pytest.approx(exact, rel=0.05)
    assert cls > 2.0 * clsb
    assert METHODS["toys"](known_background(0, 4.0), Settings(0.9, criterion="clsb")).yield_limit[0] == 0.0


def spectrum(rate, windows, terms=2, bins=40):
    edges = np.linspace(-1.0, 1.0, bins + 1)
    signal = np.diff(norm.cdf(edges / 0.12))
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)]
    mean = rate * (1.0 - 0.3 * np.linspace(-1.0, 1.0, bins))
    counts = np.random.default_rng(4).poisson(mean, (windows, bins)).astype(float)
    return BinnedProblem(counts, np.tile(signal, (windows, 1)), np.tile(rows, (windows, 1, 1)))


def test_many_events_give_the_asymptotic_limits():
    problem = spectrum(1000.0, 4)
    toys, asymptotic = (METHODS[name](problem, Settings(0.95)) for name in ("toys", "asymptotic"))
    assert np.all(np.abs(toys.yield_limit - asymptotic.yield_limit) < 4.0 * toys.yield_limit_error)
    assert np.all(toys.yield_limit_error < 0.04 * asymptotic.yield_limit)
    assert toys.expected == pytest.approx(asymptotic.expected, rel=0.06)
    assert toys.expected[:, 3:] == pytest.approx(asymptotic.expected[:, 3:], rel=0.04)
    assert np.mean(toys.expected / asymptotic.expected) == pytest.approx(1.0, abs=0.015)
    assert np.array_equal(toys.signal_yield, asymptotic.signal_yield)


def test_windows_do_not_know_of_each_other():
    problem = spectrum(2.0, 3)
    settings = Settings(0.9, toys=400)
    together = METHODS["toys"](problem, settings)
    alone = METHODS["toys"](problem.select(np.array([2])), settings)
    assert alone.yield_limit[0] == together.yield_limit[2]
    assert np.array_equal(alone.expected[0], together.expected[2])
    assert alone.p_local[0] == together.p_local[2]


def test_no_events_at_all():
    problem = spectrum(0.0, 1, terms=1)
    limits = METHODS["toys"](problem, Settings(0.9))
    exact = np.log(10.0) / problem.signal[0].sum()
    assert limits.yield_limit[0] == pytest.approx(exact, rel=0.03)
    assert limits.expected[0] == pytest.approx(np.full(5, exact), rel=0.03)


def pyhf_model(problem):
    signal, flat = problem.signal[0], problem.background[0, 0]
    rows = {"mu": signal, "flat": flat}
    samples = [
        {"name": n, "data": r.tolist(), "modifiers": [{"name": n, "type": "normfactor", "data": None}]}
        for n, r in rows.items()
    ]
    parameters = [
        {"name": "mu", "inits": [1.0], "bounds": [[0.0, 60.0]]},
        {"name": "flat", "inits": [30.0], "bounds": [[1e-3, 1e4]]},
    ]
    channel = {"channels": [{"name": "window", "samples": samples}], "parameters": parameters}
    return pyhf.Model(channel, poi_name="mu", validate=False)


def test_cls_is_that_of_pyhf_with_toys():
    problem = spectrum(3.0, 1, terms=1, bins=8)
    window = LinearWindow(problem, 0)
    model, count, signal_yield = pyhf_model(problem), 200, 7.0
    calculator = pyhf.infer.calculators.ToyCalculator(
        problem.counts[0].tolist(), model, ntoys=count, test_stat="qtilde", track_progress=False
    )
    np.random.seed(3)  # noqa: NPY002  # pyhf draws from numpy's global state
    sample = window.sample(signal_yield, 20_000)
    q = float(calculator.teststatistic(signal_yield))
    assert sample.observed == pytest.approx(q, rel=1e-3, abs=1e-3)
    signal, background = calculator.distributions(signal_yield)
    for theirs, ours in ((signal, sample.signal), (background, sample.background)):
        p = float(theirs.pvalue(q))
        ours_p = tail(np.sort(ours), np.array([q]))[0][0]
        assert ours_p == pytest.approx(p, abs=4.0 * np.sqrt(max(p * (1.0 - p), 0.01) / count))


def test_cls_at_a_yield_is_the_exact_one():
    value = log_criterion(LinearWindow(known_background(3, 1.0), 0), 5.7115, Settings(0.9))
    assert value == pytest.approx(np.log(0.1), abs=0.1)
    assert counting_limit(3, 1.0, 0.0, np.log(0.1)) == pytest.approx(5.7115, abs=1e-4)


def test_a_definition_says_how_many_toys():
    text = "extends: bump_hunt\nname: small\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\n"
    silent = definition.parse(text, where="small.yaml")
    telling = definition.parse(text + "method: {toys: 150}\n", where="small.yaml")
    assert [method_settings(silent, name).toys for name in ("auto", "toys")] == [0, 10_000]
    assert [method_settings(telling, name).toys for name in ("auto", "toys")] == [150, 150]


def test_without_toys_the_automatic_choice_counts():
    problem = spectrum(0.4, 4)
    toys = METHODS["auto"](problem, Settings(0.9, toys=100))
    none = METHODS["auto"](problem, Settings(0.9, toys=0))
    assert {METHOD_MEANINGS[int(code)] for code in toys.method} == {"toys"}
    assert {METHOD_MEANINGS[int(code)] for code in none.method} == {"counting"}
    assert not none.toys.any()
    with pytest.raises(InputError, match="needs toys"):
        METHODS["toys"](problem, Settings(0.9, toys=0))
