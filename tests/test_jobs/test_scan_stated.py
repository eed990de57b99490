"""Searches whose counts are published: from a definition to a cube, without events."""

import numpy as np
import pytest
from scipy import optimize, stats

from scanner import definition
from scanner.errors import InputError
from scanner.interpretation import Exposure
from scanner.models import MODELS
from scanner.stats import Settings, calculate
from scanner.windows.stated import stated_grids, stated_problem
from scanner.windows.stated_limits import scan_stated
from storage import cubes

BARE = """
name: one_count
beam: {sqrt_s: 10.58 GeV}
luminosity: 100 fb^-1
normalisation: {kind: pairs, pairs: 1e8, per_pair: 2, source: user}
scan: {m_x: {values: [1 GeV, 2 GeV]}}
channels:
  box: {counts: {observed: 3, expected: 1.2, error: 0.4, source: user}}
signal: {shape: counting, efficiency: {formula: 0.1 * m, source: user}, source: user}
background: {shape: counting, estimate: given}
"""
HNL = """
name: neutral_lepton
beam: {sqrt_s: 10.58 GeV}
normalisation: {kind: pairs, pairs: 836e6, per_pair: 2, source: arXiv:2402.02580}
scan:
  m_n: {values: [0.5 GeV, 1 GeV, 1.5 GeV]}
  u2: {values: {log: [1e-6, 1], points: 241}, unit: 1}
channels:
  heavy:
    counts: {observed: 1, expected: 0.8, error: 0.4, source: user}
    efficiency: {formula: 0.08 * exp(-1e-4 / (u2 * m**5)) * exp(-u2 * m**5 / 1e-2), source: user}
  light:
    counts: {observed: 0, expected: 0.7, error_low: 0.3, error_high: 0.6, source: user}
    efficiency: {formula: 0.04 * exp(-1e-4 / (u2 * m**5)) * exp(-u2 * m**5 / 1e-2), source: user}
signal: {shape: counting, source: user}
background: {shape: counting, estimate: given}
method: {limit: asymptotic}
model: {name: heavy_neutral_lepton, final_state: nu_mu_mu}
"""


def limits(text, method="auto", settings=None, **point):
    search = definition.parse(text)
    ((_, grid),) = stated_grids(search).items()
    return scan_stated(
        search,
        grid,
        slice(0, len(grid)),
        configuration=0,
        exposure=Exposure(search.luminosity),
        method=method,
        settings=settings or Settings(search.confidence_level),
        point=point,
    )


@pytest.mark.parametrize(("method", "calculator"), [("auto", "cls"), ("bayesian", "bayesian")])
def test_one_count_is_what_the_calculator_says(method, calculator):
    found = limits(BARE, method)
    alone = calculate(3, 1.2, 0.4, method=calculator, confidence_level=0.9)
    assert found["yield_limit"] == pytest.approx([alone.limit, alone.limit], rel=1e-6)
    np.testing.assert_allclose(
        found["branching_fraction_limit"], found["yield_limit"] / (2e8 * np.array([0.1, 0.2]))
    )
    assert found["signal_yield"].tolist() == pytest.approx([1.8, 1.8])


def test_the_published_search_is_near_what_was_published(darkscan, tmp_path):
    answer = darkscan("scan", "tau_3mu_counts", "-o", tmp_path / "cube", "--json")
    assert answer.code == 0
    cube = cubes.open(str(tmp_path / "cube"))
    found = cube["branching_fraction_limit"].item()
    # The central value is (1 - 0.7)/(2 N ε); the published limit is by toys that fit.
    yields = cube["signal_yield"].item() / (2 * 389e6 * 0.204)
    assert yields == pytest.approx(2.1e-9, rel=0.15)
    assert found == pytest.approx(1.9e-8, rel=0.2)
    assert cube.attrs["data_kind"] == "published counts"
    assert "momentum_scale" in cube.attrs["systematics"]
    assert cube["n_observed"].item() == 1


def test_the_limit_of_one_event_is_that_of_mixed_poisson_distributions(darkscan, tmp_path):
    """Counts over a Gamma distribution are negative binomial; the efficiency is averaged by quadrature."""
    assert darkscan("scan", "tau_3mu_counts", "-o", tmp_path / "cube").code == 0
    found = cubes.open(str(tmp_path / "cube"))["branching_fraction_limit"].item()
    expected, error = 0.7, np.hypot(0.55, 0.16 * 0.7)
    k = (expected / error) ** 2
    background = stats.nbinom(k, k / (k + expected))
    spread = np.sqrt(np.sum(np.square([2.4, 1.0, 0.9, 1.5, 3.9, 0.6, 0.3]))) / 100
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    efficiency = np.exp(np.log1p(spread) * nodes)

    def few(signal):
        """Probability of no more than one event."""
        none, one = background.pmf(0), background.pmf(1)
        each = np.exp(-signal * efficiency) * (none + one + none * signal * efficiency)
        return np.sum(weights * each) / weights.sum()

    limit = optimize.brentq(lambda signal: few(signal) / few(0.0) - 0.1, 1.0, 10.0)
    assert found == pytest.approx(limit / (2 * 389e6 * 0.204), rel=2e-3)


def test_systematics_grow_the_limit():
    more = BARE + "systematics: {selection: {on: efficiency, size: 30%, source: user}}\n"
    worse = BARE + "systematics: {sidebands: {on: background, kind: normal, size: 50%, source: user}}\n"
    plain = limits(BARE)["yield_limit"]
    assert (limits(more)["yield_limit"] > 1.05 * plain).all()
    assert (limits(worse)["yield_limit"] != plain).all()


def test_the_nuisances_are_those_that_are_stated():
    search = definition.parse(HNL)
    ((_, grid),) = stated_grids(search).items()
    problem, efficiency = stated_problem(
        search,
        grid,
        slice(0, 3),
        parameters={"u2": 1e-3},
        names=("", "default"),
        include="everything",
    )
    assert problem.nuisances.names == ("background_heavy", "background_light")
    np.testing.assert_allclose(problem.signal, np.tile([2 / 3, 1 / 3], (3, 1)))
    np.testing.assert_allclose(problem.nuisances.norm[0, 1, 2], np.log([0.4 / 0.7, 1.3 / 0.7]))
    m = np.array([0.5, 1.0, 1.5])
    np.testing.assert_allclose(efficiency, 0.12 * np.exp(-0.1 / m**5) * np.exp(-0.1 * m**5))


def test_a_mixing_is_excluded_in_an_island(darkscan, tmp_path):
    path = tmp_path / "hnl.yaml"
    path.write_text(HNL)
    answer = darkscan("scan", path, "-o", tmp_path / "cube", "--json")
    assert answer.code == 0, answer.err
    cube = cubes.open(str(tmp_path / "cube"))
    assert cube["branching_fraction_limit"].dims == ("u2", "m_n")
    low, high = (
        cube[name].isel(interval=0).sel(m_n=1.0).item() for name in ("coupling_low", "coupling_high")
    )
    assert 1e-6 < low < high < 1.0
    model = MODELS["heavy_neutral_lepton"]
    rate = model.production(1.0, 10.58) * model.branching_fraction(1.0, "nu_mu_mu")
    for end in (low, high):
        efficiency = 0.12 * np.exp(-1e-4 / end) * np.exp(-end / 1e-2)
        events = 2 * 836e6 * rate * end * efficiency
        assert events == pytest.approx(cube["yield_limit"].sel(m_n=1.0).median().item(), rel=0.05)


def test_stores_are_for_events_only(darkscan, tmp_path, store, definition_file):
    answer = darkscan("scan", "tau_3mu_counts", store, "-o", tmp_path / "cube")
    assert answer.code == 2
    assert "reads no events" in answer.err
    answer = darkscan("scan", definition_file, "-o", tmp_path / "cube")
    assert answer.code == 2
    assert "name a store" in answer.err


def test_what_is_not_possible_is_refused_by_name(darkscan, tmp_path):
    path = tmp_path / "hnl.yaml"
    path.write_text(HNL.replace("limit: asymptotic", "limit: counting"))
    answer = darkscan("scan", path, "-o", tmp_path / "cube")
    assert answer.code == 2
    assert "limits by counting from 2 counts" in answer.err


def test_errors_below_the_expectation_do_not_reach_zero():
    text = BARE.replace("error: 0.4", "error_low: 1.2, error_high: 0.4")
    assert np.isfinite(limits(text)["yield_limit"]).all()
    with pytest.raises(InputError):
        limits(BARE.replace("expected: 1.2", "expected: -1.2"))


# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_exported_counts_are_fitted_by_pyhf(darkscan, pyhf_fit, tmp_path):
    (tmp_path / "hnl.yaml").write_text(HNL)
    assert darkscan("scan", tmp_path / "hnl.yaml", "-o", tmp_path / "cube").code == 0
    at = "m_n=1,u2=1e-3"
    answer = darkscan("export", tmp_path / "cube", "--format", "pyhf", "-o", tmp_path / "out", "--at", at)
    assert answer.code == 0, answer
    window = cubes.open(str(tmp_path / "cube")).sel(m_n=1.0).sel(u2=1e-3, method="nearest")
    exported = pyhf_fit(tmp_path / "out", "*-1-u2=0.001")
    assert exported.best == pytest.approx(
        float(window["signal_yield"]), abs=0.01 * float(window["signal_yield_error"])
    )
    assert exported.cls(float(window["yield_limit"])) == pytest.approx(0.1, rel=0.02)
