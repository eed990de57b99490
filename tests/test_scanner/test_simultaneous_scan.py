"""Unbinned likelihoods of a definition with channels, systematics and vetoes: against bins and by hand."""

import numpy as np
import pytest
from scipy.special import chdtri

from scanner import definition, engine, runnable
from scanner.limits import Exposure, Memory, scan_block
from scanner.stats import METHOD_MEANINGS
from scanner.windows.systematics import describe

EXPOSURE = Exposure(10.0)
BASE = """
name: pair
title: two channels
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
confidence_level: 0.9
columns: {m_mumu: GeV, m_ee: GeV}
scan: {m_x: {range: [2.6 GeV, 3.6 GeV], step: 1 resolution}}
window: {half_width: 10 resolution, bins: BINS}
signal:
  resolution: {constant: 10 MeV, source: user}
  efficiency: {constant: 30%, source: user}
background: {order: 1}
"""
PAIR = """\
channels:
  mumu: {observable: m_mumu, source: user}
  ee: {observable: m_ee, efficiency: 20%, resolution: 16 MeV, background: {order: 2}, source: user}
"""
ALONE = "channels: {mumu: {observable: m_mumu, source: user}}\n"
UNBINNED = "method: {limit: asymptotic, likelihood: unbinned}\n"
SYSTEMATICS = """\
systematics:
  luminosity: {on: luminosity, size: 3%, source: user}
  trigger: {on: efficiency, size: 25%, channels: [mumu], source: user}
  shape: {on: signal, kind: normal, size: 10%, source: user}
  fake: {on: yield, size: 4 events, source: user}
"""
PART = slice(40, 50)


def search_of(text, bins=400):
    search = definition.parse(text.replace("BINS", str(bins)), where="pair.yaml")
    runnable.check_runnable(search)
    return search, engine.grids(search)["all"]


def throw(search, grid, mean=4e3):
    """Return the candidates of each channel."""
    rng = np.random.default_rng(8)
    found = []
    for name in search.channels:
        edges = grid.channels.get(name, grid).edges
        found.append(np.sort(rng.uniform(edges[0], edges[-1], rng.poisson(mean))))
    return found


def run(text, bins=400, mean=4e3, method="asymptotic", part=PART):
    search, grid = search_of(text, bins)
    events = throw(search, grid, mean)
    axes = [grid.channels.get(name, grid) for name in search.channels]
    fine = [np.histogram(x, axis.edges)[0] for x, axis in zip(events, axes, strict=True)]
    counts = np.concatenate([axis.counts(f, part) for f, axis in zip(fine, axes, strict=True)], axis=1)
    candidates = events if engine.unbinned(search) else None
    return scan_block(
        search, grid, counts, part, configuration=0, exposure=EXPOSURE, method=method, candidates=candidates
    )


def close(exact, fine):
    """Compare with bins of a 20th of the resolution, whose rounding moves a yield by some 1e-2 σ."""
    sigma = fine["signal_yield_error"]
    assert np.all(np.abs(exact["signal_yield"] - fine["signal_yield"]) < 0.05 * sigma)
    assert np.all(np.abs(exact["yield_limit"] - fine["yield_limit"]) < 0.05 * sigma)
    np.testing.assert_allclose(exact["yield_limit_expected"], fine["yield_limit_expected"], rtol=0.01)
    np.testing.assert_allclose(exact["z_local"], fine["z_local"], atol=0.05)


@pytest.mark.parametrize("systematics", ["", SYSTEMATICS])
def test_channels_are_those_of_fine_bins(systematics):
    exact, fine = run(BASE + PAIR + systematics + UNBINNED), run(BASE + PAIR + systematics)
    close(exact, fine)
    for name in ("efficiency", "channel_efficiency", "n_observed", "background_order"):
        np.testing.assert_array_equal(exact[name], fine[name])
    assert exact["background_coefficients"].shape == fine["background_coefficients"].shape


def test_systematics_of_one_channel_are_those_of_fine_bins():
    exact = run(BASE + ALONE + SYSTEMATICS + UNBINNED)
    close(exact, run(BASE + ALONE + SYSTEMATICS))
    without = run(BASE + ALONE + UNBINNED)
    assert np.all(exact["yield_limit"] > 1.01 * without["yield_limit"])
    search, _ = search_of(BASE + ALONE + SYSTEMATICS + UNBINNED)
    assert describe(search) == "fake, luminosity, shape, trigger"


VETO = "vetoes: [{range: [3.05 GeV, 3.1 GeV], in_windows: true, source: user}]\n"


@pytest.mark.parametrize("channels", [ALONE, PAIR])
def test_windows_with_vetoes_are_those_of_fine_bins(channels):
    """The edges of the veto are edges of bins for both, those of the coarse ones."""
    part = slice(36, 56)
    exact = run(BASE + channels + VETO + UNBINNED, part=part)
    close_to = run(BASE + channels + VETO, part=part)
    assert np.isnan(exact["yield_limit"]).any()
    kept = np.isfinite(exact["yield_limit"])
    close(*({name: np.asarray(v)[kept] for name, v in found.items()} for found in (exact, close_to)))


LIVED = """\
channels:
  mumu:
    observable: m_mumu - 0.2
    peak: m - 0.2
    efficiency: {formula: 0.3 / (1 + ctau), source: user}
    source: user
  ee: {observable: m_ee, efficiency: {formula: 0.2 * ctau / (1 + ctau), source: user}, source: user}
"""


@pytest.mark.parametrize("tail", ["2", "1 + ctau"])
def test_tables_that_are_kept_along_a_lifetime_are_those_made_anew(tail):
    base = BASE.replace("step: 1 resolution}}", 'step: 1 resolution}, ctau: {values: "1 cm, 3 cm"}}')
    shape = "signal:\n  shape: crystal_ball\n  parameters:\n"
    shape += f"    alpha: {{formula: {tail}, source: user}}\n    n: {{constant: 3, source: user}}"
    search, grid = search_of(base.replace("signal:", shape) + LIVED + UNBINNED, 40)
    events = throw(search, grid, 400.0)
    axes = [grid.channels.get(name, grid) for name in search.channels]
    fine = [np.histogram(x, axis.edges)[0] for x, axis in zip(events, axes, strict=True)]
    counts = np.concatenate([axis.counts(f, PART) for f, axis in zip(fine, axes, strict=True)], axis=1)
    memory, sizes = Memory(), []

    def at(ctau, memory):
        return scan_block(
            *(search, grid, counts, PART), configuration=0, exposure=EXPOSURE, method="asymptotic",
            candidates=events, point={"ctau": ctau}, memory=memory,
        )  # fmt: skip

    for ctau in (1.0, 3.0):
        found, anew = at(ctau, memory), at(ctau, None)
        sizes.append(memory.tables.numbers)
        for name in found:
            np.testing.assert_array_equal(found[name], anew[name], name)
    assert sizes[0] > 0
    assert sizes[1] == sizes[0] * (1 if tail == "2" else 2)


def test_few_events_in_channels_are_counted_under_auto():
    found = run(BASE + PAIR + SYSTEMATICS + UNBINNED, mean=20.0, method="auto", part=slice(0, 90), bins=40)
    assert np.isfinite(found["yield_limit"]).all()
    assert {METHOD_MEANINGS[code] for code in found["method"]} == {"counting"}
    assert found["n_observed"].min() < 5


SHAPES = """\
systematics:
  width: {on: resolution, size: 15%, source: user}
  scale: {on: mass, kind: normal, size: 0.05%, channels: [mumu], source: user}
  drift: {on: mass, size: 0.02%, group: width, source: user}
  trigger: {on: efficiency, size: 10%, source: user}
  fake: {on: background, size: 5%, source: user}
"""


@pytest.mark.parametrize("channels", [ALONE, PAIR])
def test_nuisances_on_the_shape_are_those_of_fine_bins(channels):
    exact = run(BASE + channels + SHAPES + UNBINNED, mean=1e3)
    close(exact, run(BASE + channels + SHAPES, mean=1e3))
    without = run(BASE + channels + UNBINNED, mean=1e3)
    assert np.all(exact["yield_limit_expected"][:, 2] > 1.01 * without["yield_limit_expected"][:, 2])


PEAKS = """\
background:
  order: 1
  peaks:
    known: {at: 3.04 GeV, expected: 40, error: 20%, source: user}
    free: {at: 3.2 GeV, resolution: 15 MeV, source: user}
"""


@pytest.mark.parametrize("systematics", ["", SHAPES])
@pytest.mark.parametrize("channels", [ALONE, PAIR])
def test_known_peaks_are_those_of_fine_bins(channels, systematics):
    base = BASE.replace("background: {order: 1}\n", PEAKS) + channels + systematics
    part = slice(50, 60)
    exact, fine = run(base + UNBINNED, mean=1e3, part=part), run(base, mean=1e3, part=part)
    close(exact, fine)
    seen = np.isfinite(fine["peak_yield"])
    np.testing.assert_array_equal(np.isfinite(exact["peak_yield"]), seen)
    np.testing.assert_allclose(exact["peak_yield"][seen], fine["peak_yield"][seen], atol=1.5)
    bare = run(BASE + channels + systematics + UNBINNED, mean=1e3, part=part)
    assert not np.allclose(bare["yield_limit"], exact["yield_limit"], rtol=0.01)


FACTORS = SYSTEMATICS.replace("  fake: {on: yield, size: 4 events, source: user}\n", "")


@pytest.mark.parametrize("method", ["toys", "bayesian", "auto"])
def test_toys_and_posteriors_lie_between_nothing_and_all_of_the_events(method):
    """No CLs limit is below that of seeing nothing, nor above that of n events without a background."""
    unbinned = f"method: {{limit: {method}, likelihood: unbinned, toys: 200}}\n"
    systematics = SYSTEMATICS if method == "toys" else FACTORS
    text = BASE + PAIR + systematics + unbinned
    found = run(text, mean=30.0, method=method, part=slice(40, 42), bins=40)
    wanted = "toys" if method == "auto" else method
    assert {METHOD_MEANINGS[code] for code in found["method"]} == {wanted}
    assert np.all(found["toys"] > 0)
    assert np.all(found["toys_failed"] == 0)
    assert np.all(found["yield_limit"] > 0.99 * chdtri(2.0, 0.1) / 2.0)
    assert np.all(found["yield_limit"] < 1.1 * chdtri(2.0 * (found["n_observed"] + 1.0), 0.1) / 2.0)
    assert np.all(np.diff(found["yield_limit_expected"], axis=1) >= 0.0)


@pytest.mark.parametrize("method", ["toys", "bayesian"])
def test_methods_with_systematics_are_those_of_bins(method):
    """The background is profiled without bins and integrated over in them, where it is known to a tenth."""
    systematics = SHAPES + "  added: {on: yield, size: 3 events, source: user}\n"
    text = BASE.replace("order: 1", "order: 0") + ALONE + systematics
    ways = f"method: {{limit: {method}, toys: 1500, likelihood: LIKELIHOOD}}\n"
    found = [
        run(text + ways.replace("LIKELIHOOD", kind), mean=500.0, method=method, part=slice(40, 41), bins=100)
        for kind in ("unbinned", "binned")
    ]
    assert {METHOD_MEANINGS[code] for one in found for code in one["method"]} == {method}
    limits, bands = ([one[name] for one in found] for name in ("yield_limit", "yield_limit_expected"))
    np.testing.assert_allclose(*limits, rtol=0.06)
    # 200 toys of posteriors know their median to 4%.
    np.testing.assert_allclose(bands[0][:, 2], bands[1][:, 2], rtol=0.1)
