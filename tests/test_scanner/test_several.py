"""Several experiments with one signal: identities, pyhf, and counts without approximation."""

import numpy as np
import pyhf
import pytest
from scipy.stats import norm

from scanner import definition
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.combination import combine
from scanner.likelihoods.strength import scaled
from scanner.sharing import check_theory, shared_models
from scanner.stats import METHODS, Settings
from scanner.stats.auto import automatic_limits
from scanner.stats.counted import Counted, counted_limits
from scanner.stats.joint_counts import JointCounts, joint_problem
from scanner.stats.several import Experiment, several_limits

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

SETTINGS = Settings(0.9)
WINDOWS, BINS = 6, 24


def spectra(level, seed=3, windows=WINDOWS):
    """A peak on a straight line, with `level` events a bin."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-6.0, 6.0, BINS + 1)
    signal = np.tile(np.diff(norm.cdf(x)), (windows, 1))
    terms = np.tile(np.stack([np.ones(BINS), 0.5 * (x[1:] + x[:-1]) / 6.0]), (windows, 1, 1))
    counts = rng.poisson(level, (windows, BINS)).astype(float)
    return BinnedProblem(counts, signal, terms, keys=np.arange(windows, dtype=np.uint64))


def counts(observed, off, tau, error=0.1):
    """Counting windows over off regions, with an error of the efficiency."""
    nothing, spread = np.zeros(len(observed)), np.full(len(observed), error)
    return Counted(np.array(observed), nothing, nothing, np.array(off, float), np.array(tau, float), spread)


def problem_of(counted):
    windows = len(counted.observed)
    keys = np.arange(windows, dtype=np.uint64)
    return joint_problem(JointCounts([counted], np.ones((windows, 1)), counted.efficiency_error, keys))


def parts(experiment, *shares):
    """Split the signal of one event among experiments like this one."""
    windows = experiment.problem.windows
    return [
        Experiment(scaled(experiment.problem, np.full(windows, share)), experiment.counts) for share in shares
    ]


@pytest.mark.parametrize("level", [40.0, 300.0])
def test_an_experiment_twice_is_one_of_twice_the_luminosity(level):
    one = spectra(level)
    both = several_limits(parts(Experiment(one, False), 0.5, 0.5), SETTINGS)
    twice = BinnedProblem(2 * one.counts, one.signal, one.background, one.core, one.terms, None, one.keys)
    whole = METHODS["asymptotic"](twice, SETTINGS)
    np.testing.assert_allclose(both.yield_limit, whole.yield_limit, rtol=1e-7)
    np.testing.assert_allclose(both.expected, whole.expected, rtol=1e-7)
    np.testing.assert_allclose(both.z_local, whole.z_local, atol=1e-6)


@pytest.mark.parametrize("level", [0.05, 0.6, 40.0])
def test_an_experiment_without_sensitivity_changes_nothing(level):
    one, blind = spectra(level), spectra(500.0, seed=8)
    alone = several_limits([Experiment(one, False)], SETTINGS)
    almost = parts(Experiment(one, False), 1.0 - 1e-9) + parts(Experiment(blind, False), 1e-9)
    both = several_limits(almost, SETTINGS)
    np.testing.assert_allclose(both.yield_limit, alone.yield_limit, rtol=1e-6)
    np.testing.assert_allclose(both.expected, alone.expected, rtol=1e-6)
    np.testing.assert_array_equal(both.method, alone.method)


def test_one_fitted_experiment_is_limited_as_in_its_scan():
    one = spectra(0.4)
    found, scan = (
        several_limits([Experiment(one, False)], SETTINGS),
        automatic_limits(one, Settings(0.9, toys=0)),
    )
    np.testing.assert_array_equal(found.method, scan.method)
    np.testing.assert_allclose(found.yield_limit, scan.yield_limit, rtol=1e-6)
    np.testing.assert_allclose(found.expected, scan.expected, rtol=1e-6)


def test_one_counting_experiment_is_limited_as_in_its_scan():
    counted = counts([0, 3, 1, 7], [0, 4, 0, 12], [2.0, 4.0, 1.6, 5.0])
    found = several_limits([Experiment(problem_of(counted), True)], SETTINGS)
    scan = counted_limits(counted, SETTINGS, "auto")
    np.testing.assert_allclose(found.yield_limit, scan.yield_limit, rtol=1e-6)
    np.testing.assert_allclose(found.expected, scan.expected, rtol=1e-6)
    np.testing.assert_allclose(found.p_local, scan.p_local, rtol=1e-6)


def test_two_counts_without_background_are_one():
    known = Counted(*(np.array([value]) for value in (0, 0.0, 0.0, -1.0, 0.0, 0.0)))
    problem = problem_of(known)
    found = several_limits(parts(Experiment(problem, True), 0.7, 0.3), SETTINGS)
    assert found.yield_limit[0] == pytest.approx(-np.log(0.1), rel=1e-6)


def test_bits_do_not_depend_on_other_windows():
    order = np.array([4, 1, 5, 0])
    for level in (0.5, 40.0):
        both = [Experiment(spectra(level), False), Experiment(spectra(level, seed=5), False)]
        shared = [Experiment(scaled(one.problem, np.full(WINDOWS, 0.5)), False) for one in both]
        whole = several_limits(shared, SETTINGS)
        some = several_limits([one.select(order) for one in shared], SETTINGS)
        for name in ("yield_limit", "expected", "z_local", "method"):
            np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[order])


def test_counted_and_fitted_together_are_those_of_pyhf():
    """The same two channels, written as a workspace of their own."""
    fitted, share = spectra(30.0, windows=1), 0.4
    counted = problem_of(counts([45], [150], [4.0], error=0.0))
    together = combine([scaled(fitted, np.array([1 - share])), scaled(counted, np.array([share]))])
    found = METHODS["asymptotic"](together, SETTINGS)
    assert found.method[0] == several_limits(
        [Experiment(scaled(fitted, np.array([1 - share])), False),
         Experiment(scaled(counted, np.array([share])), True)], SETTINGS
    ).method[0]  # fmt: skip
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    model, data = pyhf_model(fitted, share, [45.0, 150.0], 4.0)
    limit = float(found.yield_limit[0])
    cls, expected = pyhf.infer.hypotest(limit, data, model, test_stat="qtilde", return_expected=True)
    assert float(cls) == pytest.approx(0.1, abs=2e-4)
    median = float(found.expected[0, 2])
    _, expected = pyhf.infer.hypotest(median, data, model, test_stat="qtilde", return_expected=True)
    assert float(expected) == pytest.approx(0.1, abs=2e-4)
    pyhf.set_backend("numpy")


def pyhf_model(fitted, share, counted, tau):
    def free(name):
        return [{"name": name, "type": "normfactor", "data": None}]

    def sample(name, template, factor):
        return {"name": name, "data": list(map(float, template)), "modifiers": free(factor)}

    # The straight line from two positive ramps, which span the same space.
    rise = np.linspace(0.0, 1.0, BINS)
    spectrum = [
        sample("signal", (1 - share) * fitted.signal[0], "mu"),
        sample("up", rise, "up"),
        sample("down", 1.0 - rise, "down"),
    ]
    counting = [sample("signal", [share, 0.0], "mu"), sample("counted", [1.0, tau], "counted")]
    bounds = {"mu": [0.0, 300.0], "up": [0.0, 100.0], "down": [0.0, 100.0], "counted": [0.0, 200.0]}
    start = {"mu": 1.0, "up": 30.0, "down": 30.0, "counted": 40.0}
    parameters = [{"name": n, "bounds": [b], "inits": [start[n]]} for n, b in bounds.items()]
    model = pyhf.Model(
        {"channels": [{"name": "a", "samples": spectrum}, {"name": "b", "samples": counting}],
         "parameters": parameters},
        poi_name="mu",
    )  # fmt: skip
    return model, [*fitted.counts[0], *counted, *model.config.auxdata]


def test_searches_share_a_coupling_by_their_models():
    load = definition.load
    found = shared_models([load("zp_mumu"), load("zp_inv"), load("zp_tautau")], "coupling")
    assert [model.final_state for model in found] == ["mu_mu", "invisible", "tau_tau"]
    scalar = shared_models([load("zp_tautau"), load("tautau_ll")], "scalar")
    assert {model.name for model in scalar} == {"leptophilic_scalar"}
    for names, of, words in (
        (("ap_vis", "ap_inv"), "coupling", "not the same model"),
        (("zp_mumu", "alp_gg"), "coupling", "CL"),
        (("tau_3mu", "tau_3mu"), "coupling", "take rate"),
        (("zp_inv", "zp_mumu"), "all_invisible", "not the same model"),
        (("tau_3mu", "zp_mumu"), "rate", "one kind of rate"),
    ):
        with pytest.raises(InputError, match=words):
            shared_models([load(name) for name in names], of)
    assert shared_models([load("tau_3mu"), load("tau_3mu_counts")], "rate") == [None, None]


def test_theories_that_differ_are_refused():
    model = definition.load("idm_dark_higgs").model
    check_theory([model, model, None], [{"alpha_d": 0.1}, {"alpha_d": 0.1}, {}])
    with pytest.raises(InputError, match=r"alpha_d is 0.1 and 0.5"):
        check_theory([model, model], [{"alpha_d": 0.1}, {"alpha_d": 0.5}])
    photon = definition.load("ap_vis").model
    check_theory([photon, photon], [{"cos_max": 0.9}, {"cos_max": 0.8}])
