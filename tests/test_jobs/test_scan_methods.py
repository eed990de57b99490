"""Every method, with and without systematics: scans of windows of many events against Gaussian formulas.

A spurious signal of δ events adds in quadrature to the error σ of the yield, which the fit without it
gives. So every limit is known from ŝ, σ and δ, by formulas that share nothing with the methods.
"""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from jobs.executors import SerialExecutor
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.stats import METHODS
from storage import cubes

LEVEL, EVENTS = 0.9, 60.0
TEXT = """
extends: bump_hunt
name: small
observable: mass
scan: {m: {range: [1.4 GeV, 1.52 GeV], step: 6 resolution}}
resolution: 20 MeV
order: 1
luminosity: 10 fb^-1
efficiency: 40%
confidence_level: 0.9
method: {toys: 500}
"""
SPURIOUS = f"systematics: {{spurious: {{on: yield, size: {EVENTS:.0f} events, source: user}}}}\n"
FACTOR = "systematics: {luminosity: {on: luminosity, size: 30%, source: user}}\n"
FEW = "select: [sin(1e7 * mass) > 0.9999]\n"  # about one candidate in 200
FEWER = FEW.replace("0.9999", "0.99999")  # about one in 700
PRECISION = {"toys": 0.07, "feldman_cousins": 0.12, "bayesian": 0.03}
"""How well a method knows the observed limit, by its toys and the Gaussian approximation; else 0.03."""


def scanned(text, store, place, method):
    search = definition.parse(text, where="small.yaml")
    return scan(search, store, str(place), executor=SerialExecutor(), options=Options(method, seed=2))


def cls(best, sigma):
    """The yield where CLs of a Gaussian measurement is α; of a flat prior, the credible limit too."""
    return best + sigma * norm.isf((1.0 - LEVEL) * norm.cdf(best / sigma))


def unified(best, sigma):
    """The upper end of the interval of Feldman and Cousins for a Gaussian measurement, by a grid."""
    x = np.linspace(-12.0, 12.0, 48_001)

    def ratio(measured, mu):
        return (measured - mu) ** 2 - (measured - np.maximum(measured, 0.0)) ** 2

    def beyond(mu):
        less = ratio(x, mu) >= ratio(best / sigma, mu)
        return float(np.sum(norm.pdf(x - mu)[less]) * (x[1] - x[0])) - (1.0 - LEVEL)

    top = max(best / sigma, 0.0)
    return sigma * brentq(beyond, top + 0.05, top + 4.0, xtol=1e-4)


FORMULAS = dict.fromkeys(("auto", "asymptotic", "toys", "bayesian"), cls) | {
    "feldman_cousins": unified,
    "minos": lambda best, sigma: best + norm.isf(0.5 * (1.0 - LEVEL)) * sigma,
}
"""Observed limit of a method by best yield and error; counting makes its own yield."""


@pytest.mark.parametrize("method", METHODS)
def test_a_method_takes_systematics(method, store, tmp_path):
    alone = scanned(TEXT, store, tmp_path / "alone.zarr", method)
    found = scanned(TEXT + SPURIOUS, store, tmp_path / "with.zarr", method)
    assert alone.attrs["systematics"] == "none: limits are statistical only"
    assert found.attrs["systematics"] == "spurious"
    for cube in (alone, found):
        assert np.isfinite(cube["yield_limit"]).all()
        assert np.all(np.diff(cube["yield_limit_expected"].transpose(..., "quantile")) > 0.0)
        assert (cube["yield_lower"] < cube["yield_limit"]).all()
    median = [cube["yield_limit_expected"].sel(quantile=0.5).to_numpy() for cube in (alone, found)]
    sigma = median[0] / norm.isf(0.5 * (1.0 - LEVEL))
    expected = norm.isf(0.5 * (1.0 - LEVEL)) * np.hypot(sigma, EVENTS)
    np.testing.assert_allclose(median[1], expected, rtol=0.2 if method in PRECISION else 0.03)
    if method == "counting":
        return
    best, error = (alone[name].to_numpy().ravel() for name in ("signal_yield", "signal_yield_error"))
    for cube, total in ((alone, error), (found, np.hypot(error, EVENTS))):
        formula = [FORMULAS[method](s, e) for s, e in zip(best, total, strict=True)]
        tolerance = PRECISION.get(method, 0.03)
        np.testing.assert_allclose(cube["yield_limit"].to_numpy().ravel(), formula, rtol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_takes_systematics_of_few_events(method, store, tmp_path):
    """A log-normal factor on the signal weakens limits, by about half of its variance at 90%."""
    text = TEXT.replace("toys: 500", "toys: 200") + FEW
    alone = scanned(text, store, tmp_path / "alone.zarr", method)
    found = scanned(text + FACTOR, store, tmp_path / "with.zarr", method)
    for cube in (alone, found):
        assert np.isfinite(cube["yield_limit"]).all()
    ratio = float(np.mean(found["yield_limit"] / alone["yield_limit"]))
    assert 1.0 < ratio < 1.5


def test_toys_are_asked_for_on_the_command_line(darkscan, refused, store, tmp_path):
    file = tmp_path / "few.yaml"
    file.write_text(
        TEXT.replace("method: {toys: 500}\n", "") + FEWER + SPURIOUS.replace("60 events", "3 events")
    )
    plain, thrown = tmp_path / "plain.zarr", tmp_path / "thrown.zarr"
    without = darkscan("scan", file, store, "-o", plain, "--json").json
    assert "toys" not in without["method"]
    answer = darkscan("scan", file, store, "-o", thrown, "--toys", 150, "--json").json
    assert answer["method"].get("toys", 0) > 0
    assert answer["systematics"] == "spurious"
    cube = cubes.open(str(thrown))
    assert int(cube["toys"].max()) >= 150
    identities = [cubes.open(str(place)).attrs["scan_identity"] for place in (plain, thrown)]
    assert identities[0] != identities[1]
    plans = [darkscan("plan", file, store, *more, "--json").json for more in ((), ("--toys", 150))]
    assert [made["scan_identity"] for made in plans] == identities
    none = darkscan("scan", file, store, "-o", tmp_path / "none.zarr", "--toys", 0, "--json").json
    assert none["method"] == without["method"]
    assert "--toys" in refused("scan", file, store, "-o", tmp_path / "bad.zarr", "--toys", -1)
