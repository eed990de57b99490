"""Outliers against neighbouring windows: none in sound scans, and each kind where a window is broken."""

from dataclasses import replace

import numpy as np
import pytest

from scanner import definition, engine
from scanner.interpretation import Exposure
from scanner.likelihoods.binned import BinnedProblem
from scanner.limits import block_limits, scan_block, window_problem
from scanner.quality import BACKGROUND, ERROR, LIMIT, YIELD, outliers

DEFINITION = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 10 MeV
order: 2
"""
SEARCH = definition.parse(DEFINITION, where="small.yaml")
GRID = engine.grids(SEARCH)["all"]
ALL = slice(0, len(GRID))


def spectrum(events, peak=0.0, seed=0):
    cumulative = -np.exp(-GRID.edges)
    mean = events * np.diff(cumulative) / (cumulative[-1] - cumulative[0])
    centres = 0.5 * (GRID.edges[1:] + GRID.edges[:-1])
    shape = np.exp(-0.5 * ((centres - 2.0) / 0.01) ** 2)
    return np.random.default_rng(seed).poisson(mean + peak * shape / shape.sum())


def scan(events, method="asymptotic", **how):
    counts = GRID.counts(spectrum(events, **how))
    return scan_block(
        SEARCH, GRID, counts, ALL, configuration=0, exposure=Exposure(None), method=method, identity="x"
    )


def flagged(results):
    return outliers(results, GRID.mass, GRID.resolution)


@pytest.mark.parametrize(
    ("events", "method"), [(1e6, "asymptotic"), (2e4, "auto"), (500, "auto"), (40, "auto")]
)
def test_sound_scans_have_hardly_any(events, method):
    found = np.concatenate([flagged(scan(events, method, seed=seed)) for seed in range(3)])
    assert found.size > 500
    assert (found > 0).mean() < 0.003


@pytest.mark.parametrize("peak", [300.0, 3_000.0, 30_000.0])
def test_a_peak_is_no_outlier_of_its_yield(peak):
    found = flagged(scan(1e6, peak=peak))
    assert not np.any(found & YIELD)


def broken(change, window=120):
    """Limits of a scan in which the likelihood of one window is another."""
    counts = GRID.counts(spectrum(1e6))
    problem, _ = window_problem(SEARCH, GRID, counts, ALL, configuration=0, identity="x")
    arrays = {name: getattr(problem, name).copy() for name in ("counts", "signal", "background")}
    for name, values in change({k: v[window] for k, v in arrays.items()}).items():
        arrays[name][window] = values
    changed: BinnedProblem = replace(problem, **arrays)
    limits = block_limits(SEARCH, changed, GRID.mass, "asymptotic")
    results = {
        "signal_yield": limits.signal_yield,
        "signal_yield_error": limits.signal_yield_error,
        "n_background": limits.n_background,
        "yield_limit_expected": limits.expected,
        "n_observed": changed.counts.sum(axis=1),
        "method": limits.method,
    }
    found = flagged(results)
    others = np.delete(found, window)
    assert not others.any()
    return int(found[window])


def test_an_efficiency_that_jumps_shows_in_errors_and_limits():
    assert broken(lambda old: {"signal": 0.5 * old["signal"]}) & (ERROR | LIMIT) == ERROR | LIMIT


def test_counts_that_were_read_twice_show_in_the_background():
    assert broken(lambda old: {"counts": 2.0 * old["counts"]}) & BACKGROUND


def test_a_defect_under_the_signal_shows_in_the_yield():
    def spike(old):
        return {"counts": old["counts"] + 3_000.0 * old["signal"]}

    assert broken(spike) & YIELD


def test_a_limit_beside_those_of_another_method_is_not_judged():
    results = scan(1e6)
    results["yield_limit_expected"][100] *= 3.0
    assert flagged(results)[100] == LIMIT
    results["method"][100] = 2
    assert flagged(results)[100] == 0


def test_few_windows_are_not_judged():
    results = {name: values[:4] for name, values in scan(1e6).items()}
    results["signal_yield_error"] = results["signal_yield_error"] * [1.0, 9.0, 1.0, 1.0]
    assert not outliers(results, GRID.mass[:4], GRID.resolution[:4]).any() & (ERROR | LIMIT | BACKGROUND)
