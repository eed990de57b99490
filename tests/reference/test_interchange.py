"""Windows written for other tools have the same maximum and the same limit there."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyhf
import pytest
from scipy.stats import norm

from scanner import definition, engine
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.interchange import STRENGTH, hs3_document, pyhf_workspace
from scanner.likelihoods.nuisances import Nuisances
from scanner.limits import window_problem
from scanner.shapes import chebyshev_integrals, signal_integrals
from scanner.stats import METHODS, Settings
from scanner.stats.constrained_limits import cls_values

# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

LEVEL = 0.9
ORACLE = Path(__file__).parent / "oracles" / "roofit_window.py"
ROOT_PYTHON = Path(__file__).parents[2] / ".venv-root" / "bin" / "python"


def problem(seed, rate, signal_yield=0.0, bins=20, terms=2, nuisances=None):
    rng = np.random.default_rng(seed)
    edges = np.linspace(2.9, 3.1, bins + 1)[None]
    signal = signal_integrals("gaussian", edges, np.array([3.0]), np.array([0.02]), {})
    background = chebyshev_integrals(edges, terms)
    truth = background[0].T @ (rate * bins * np.array([1.0, -0.4, 0.1][:terms])) + signal_yield * signal[0]
    return BinnedProblem(rng.poisson(truth)[None].astype(float), signal, background, nuisances=nuisances)


def systematics(terms=2, bins=20, statistics=0.0):
    """Return an efficiency, a mass scale, a spurious signal, and a fixed peak of known size."""
    edges = np.linspace(2.9, 3.1, bins + 1)[None]

    def peak(mass):
        return signal_integrals("gaussian", edges, np.array([mass]), np.array([0.02]), {})[0]

    norm = np.zeros((1, 3, terms + 2, 2))
    norm[0, 0, 0] = np.log(0.9), np.log(1.15)
    norm[0, 0, terms + 1] = np.log(0.95), np.log(1.05)
    shape = np.stack(
        [[peak(2.996) - peak(3.0), peak(3.004) - peak(3.0)], [-6.0 * peak(3.0), 6.0 * peak(3.0)]]
    )
    return Nuisances(
        ("efficiency", "scale", "spurious"),
        norm,
        shape[None],
        np.array([1, 2]),
        np.array([0, terms + 1]),
        (40.0 * peak(2.95) + 3.0)[None, None],
        observed=np.array([[0.2, -0.3, 0.1]]),
        statistics=np.full((1, bins), statistics),
        uncertain=np.array([False] * (terms + 1) + [True]),
    )


PAIR = """
name: pair
title: two channels
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
columns: {m_mumu: GeV, m_ee: GeV}
scan: {m_x: {range: [2.6 GeV, 3.6 GeV], step: 1 resolution}}
window: {half_width: 5 resolution, bins: 20}
signal:
  resolution: {constant: 10 MeV, source: user}
  efficiency: {constant: 30%, source: user}
background: {order: 1, peaks: {jpsi: {at: 3.0969 GeV, expected: 400, error: 10%, source: user}}}
channels:
  mumu: {observable: m_mumu, source: user}
  ee: {observable: m_ee, efficiency: 20%, resolution: 16 MeV, background: {order: 2}, source: user}
systematics:
  luminosity: {on: luminosity, size: 5%, source: user}
  tracking: {on: efficiency, size: 20%, channels: [ee], source: user}
  trigger: {on: efficiency, kind: normal, size: 10%, channels: [mumu], source: user}
  width: {on: resolution, size: 15%, channels: [mumu], source: user}
  scale: {on: mass, kind: normal, size: 0.1%, source: user}
  spurious: {on: yield, size: 8 events, channels: [ee], source: user}
  under: {on: background, kind: normal, size: 2%, source: user}
"""


def channels(place, seed, signal_yield):
    """Throw a window of two channels whose systematics act on one of them, or on both."""
    search = definition.parse(PAIR, where="pair.yaml")
    grid, block = engine.grids(search)["all"], slice(place, place + 1)
    axes = grid.channels.values()
    truth = [axis.counts(9e3 * np.diff(-np.exp(-axis.edges)), block) for axis in axes]
    options = {"configuration": 0, "include": "everything"}
    empty, _ = window_problem(search, grid, np.concatenate(truth, axis=1), block, **options)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(empty.counts + signal_yield * empty.signal + empty.nuisances.fixed.sum(axis=1))
    found, _ = window_problem(search, grid, counts.astype(float), block, **options)
    assert found.nuisances.parts.shape[1] == 2
    moved = rng.normal(size=found.nuisances.observed.shape)
    return replace(found, nuisances=replace(found.nuisances, observed=moved))


CASES = {
    "dense": problem(1, 500.0, 150.0),
    "deficit": problem(2, 80.0, -40.0),
    "excess": problem(3, 30.0, 60.0, terms=3),
}
CONSTRAINED = {
    "nuisances": problem(4, 60.0, 90.0, nuisances=systematics()),
    "template statistics": problem(5, 60.0, 20.0, nuisances=systematics(statistics=0.1)),
    "channels": channels(42, 6, 60.0),
}
ALL = CASES | CONSTRAINED


@pytest.fixture(scope="module", autouse=True)
def minuit():
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    yield
    pyhf.set_backend("numpy")


def read(case, positive=False):
    """Return pyhf's model and data; q̃ of pyhf wants a yield that cannot be negative."""
    document = json.loads(json.dumps(pyhf_workspace(case, 0)))
    for parameter in document["measurements"][0]["config"]["parameters"]:
        if positive and parameter["name"] == STRENGTH:
            parameter["bounds"][0][0], parameter["inits"] = 0.0, [max(0.0, *parameter["inits"])]
    workspace = pyhf.Workspace(document)
    model = workspace.model(
        modifier_settings={"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    )
    return model, workspace.data(model)


@pytest.mark.parametrize("name", ALL)
def test_pyhf_finds_the_same_maximum_and_limit(name):
    case = ALL[name]
    model, data = read(case)
    best = pyhf.infer.mle.fit(data, model)[model.config.poi_index]
    ours = fit(case)
    assert best == pytest.approx(ours.yields[0], abs=3e-3 * ours.errors[0])
    limits = METHODS["asymptotic"](case, Settings(LEVEL))
    positive = list(reversed(read(case, positive=True)))
    level = pyhf.infer.hypotest(limits.yield_limit[0], *positive, test_stat="qtilde")
    assert float(level) == pytest.approx(1.0 - LEVEL, rel=2e-3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CONSTRAINED)
def test_pyhf_finds_the_same_bands(name):
    """Expected CLs of pyhf at whole standard deviations, between the quantiles at which ours lie."""
    case, positive = CONSTRAINED[name], list(reversed(read(CONSTRAINED[name], positive=True)))
    for signal_yield in (25.0, 60.0):
        _, theirs = pyhf.infer.hypotest(signal_yield, *positive, test_stat="qtilde", return_expected_set=True)
        ours = cls_values(case, np.array([signal_yield]))[0, 1:]
        root = -norm.ppf(0.5 * ours[2])
        sigmas = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
        expected = norm.cdf(sigmas - root) / norm.cdf(sigmas)
        assert np.array(theirs, dtype=float) == pytest.approx(expected, rel=1e-3)


def test_window_without_background_terms_is_written():
    peak = signal_integrals("gaussian", np.linspace(-1, 1, 5)[None], np.zeros(1), np.ones(1), {})
    bare = BinnedProblem(np.array([[0.0, 2.0, 1.0, 0.0]]), peak, np.empty((1, 0, 4)))
    model, data = read(bare)
    assert pyhf.infer.mle.fit(data, model)[0] == pytest.approx(3.0 / peak.sum(), rel=1e-4)


def test_bins_that_nothing_reaches_are_left_out():
    case = CASES["dense"]
    cut = BinnedProblem(case.counts * 1.0, case.signal * 1.0, case.background * 1.0)
    for array in (cut.counts, cut.signal, cut.background[0]):
        array[..., 3:6] = 0.0
    assert len(pyhf_workspace(cut, 0)["observations"][0]["data"]) == 17
    assert hs3_document(cut, 0)["data"][0]["axes"][0]["nbins"] == 17


def test_statistics_of_samples_without_a_positive_sum_are_refused():
    nuisances = systematics(statistics=0.1)
    wrong = Nuisances(
        nuisances.names,
        nuisances.norm,
        nuisances.shape,
        nuisances.shape_nuisance,
        nuisances.shape_sample,
        nuisances.fixed,
        statistics=nuisances.statistics,
        uncertain=np.array([False, False, True, False]),  # the first Chebyshev polynomial changes its sign
    )
    with pytest.raises(InputError, match="fixed samples only"):
        pyhf_workspace(problem(5, 60.0, nuisances=wrong), 0)


def roofit(cases, folder):
    """Return what RooFit finds in windows: yield, rise of −2 ln L to zero, limit."""
    paths = []
    for number, case in enumerate(cases):
        paths.append(folder / f"{number}.json")
        paths[-1].write_text(json.dumps(hs3_document(case, 0)))
    command = [ROOT_PYTHON, ORACLE, str(LEVEL), *paths]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(run.stdout.rpartition("RESULT")[2])


needs_root = pytest.mark.skipif(
    not ROOT_PYTHON.exists(), reason="no ROOT: `make root` sets up its environment"
)


@needs_root
def test_roofit_finds_the_same_maximum_and_limit(tmp_path):
    for (name, case), theirs in zip(ALL.items(), roofit(ALL.values(), tmp_path), strict=True):
        ours, limits = fit(case), METHODS["asymptotic"](case, Settings(LEVEL))
        assert theirs["yield"] == pytest.approx(ours.yields[0], abs=3e-3 * ours.errors[0]), name
        rise = 2.0 * (fit(case, np.zeros(1)).nll - ours.nll)[0]
        assert theirs["rise"] == pytest.approx(rise, rel=1e-3, abs=1e-4), name
        assert theirs["limit"] == pytest.approx(limits.yield_limit[0], rel=2e-3), name
