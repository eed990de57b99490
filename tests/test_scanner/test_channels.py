"""Channels that are fitted together: against pyhf, against one channel alone, and against each other."""

import numpy as np
import pyhf
import pytest

from scanner import cube as cubes
from scanner import definition, engine, runnable
from scanner.errors import InputError
from scanner.interpretation import Exposure
from scanner.limits import scan_block, window_problem
from scanner.projection import project
from scanner.results import VETOED
from scanner.shapes import chebyshev_integrals, signal_integrals

# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

LEVEL = 0.9
BASE = """
name: pair
title: two channels
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
confidence_level: 0.9
columns: {m_mumu: GeV, m_ee: GeV}
scan: {m_x: {range: [2.6 GeV, 3.6 GeV], step: 1 resolution}}
window: {half_width: 10 resolution, bins: 40}
signal:
  resolution: {constant: 10 MeV, source: user}
  efficiency: {constant: 30%, source: user}
background: {order: 1}
"""
MUONS = "  mumu: {observable: m_mumu, source: user}\n"
ELECTRONS = (
    "  ee: {observable: m_ee, efficiency: EFFICIENCY, resolution: 16 MeV, background: {order: 2}, "
    "branching_fraction: 80%, source: user}\n"
)
PAIR = BASE + "channels:\n" + MUONS + ELECTRONS.replace("EFFICIENCY", "20%")
BLIND = BASE + "channels:\n" + MUONS + ELECTRONS.replace("EFFICIENCY", "0")
ALONE = BASE + "channels:\n" + MUONS
EXPOSURE = Exposure(10.0)


def grid_of(text):
    search = definition.parse(text, where="pair.yaml")
    return search, engine.grids(search)["all"]


def counts_of(search, grid, part, seeds=(5, 6)):
    """Throw both channels' spectra, each from its own seed, and return the bins of windows."""
    axes = [grid.channels.get(name, grid) for name in search.channels]
    seeds = seeds if len(axes) == 2 else seeds[1:]  # channels are in the order of their names
    found = [
        axis.counts(np.random.default_rng(seed).poisson(4e4 * np.diff(-np.exp(-axis.edges))), part)
        for axis, seed in zip(axes, seeds, strict=True)
    ]
    return np.concatenate(found, axis=1)


def run(text, part=slice(30, 60), method="asymptotic"):
    search, grid = grid_of(text)
    counts = counts_of(search, grid, part)
    return scan_block(search, grid, counts, part, configuration=0, exposure=EXPOSURE, method=method)


def independent(grid, counts, w, effects=None):
    """Write the likelihood of a window for pyhf from its definition: two channels, one signal.

    `effects` are the log-normal factors on the signal: by channel, sizes by nuisance.
    """
    rates = {"ee": 0.2 * 0.8, "mumu": 0.3}
    channels, observations, start = [], [], 0
    for name, sigma, terms in (("ee", 0.016, 3), ("mumu", 0.010, 2)):
        axis = grid.channels[name]
        edges = axis.edges[axis.edge_indices(slice(w, w + 1))]
        share = rates[name] / sum(rates.values())
        peak = signal_integrals("gaussian", edges, grid.mass[w : w + 1], np.array([sigma]), {})[0]
        data = counts[start : start + axis.bins]
        background = chebyshev_integrals(edges, terms)[0]
        start += axis.bins
        samples = [("signal", share * peak, "yield")]
        samples += [(f"b{k}", term, f"{name}_{k}") for k, term in enumerate(background)]
        channels.append(
            {
                "name": name,
                "samples": [
                    {
                        "name": label,
                        "data": template.tolist(),
                        "modifiers": [{"name": factor, "type": "normfactor", "data": None}]
                        + (scales((effects or {}).get(name, {})) if label == "signal" else []),
                    }
                    for label, template, factor in samples
                ],
            }
        )
        observations.append({"name": name, "data": data.tolist()})
    size = float(counts.sum())
    names = [f"{name}_{k}" for name, terms in (("ee", 3), ("mumu", 2)) for k in range(terms)]
    parameters = [{"name": n, "inits": [size / 2 if n.endswith("_0") else 0.0]} for n in names]
    for entry in parameters:
        entry["bounds"] = [[-size, 2 * size]]
    parameters.append({"name": "yield", "inits": [10.0], "bounds": [[0.0, 2e3]]})
    document = {
        "version": "1.0.0",
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": "limit", "config": {"poi": "yield", "parameters": parameters}}],
    }
    workspace = pyhf.Workspace(document)
    model = workspace.model(modifier_settings={"normsys": {"interpcode": "code4"}})
    return model, workspace.data(model)


def scales(sizes):
    return [
        {"name": name, "type": "normsys", "data": {"lo": 1.0 / (1.0 + size), "hi": 1.0 + size}}
        for name, size in sizes.items()
    ]


@pytest.fixture
def minuit():
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    yield
    pyhf.set_backend("numpy")


@pytest.mark.parametrize("w", [32, 47])
def test_two_channels_are_those_of_pyhf(w, minuit):
    search, grid = grid_of(PAIR)
    part = slice(w, w + 1)
    counts = counts_of(search, grid, part)
    found = scan_block(search, grid, counts, part, configuration=0, exposure=EXPOSURE, method="asymptotic")
    model, data = independent(grid, counts[0], w)
    if found["signal_yield"][0] > 0.0:
        best = pyhf.infer.mle.fit(data, model)[model.config.poi_index]
        assert best == pytest.approx(found["signal_yield"][0], abs=3e-3 * found["signal_yield_error"][0])
    level, bands = pyhf.infer.hypotest(
        found["yield_limit"][0], data, model, test_stat="qtilde", return_expected_set=True
    )
    assert float(level) == pytest.approx(1.0 - LEVEL, rel=2e-3)
    _, bands = pyhf.infer.hypotest(
        found["yield_limit_expected"][0, 2], data, model, test_stat="qtilde", return_expected_set=True
    )
    assert float(bands[2]) == pytest.approx(1.0 - LEVEL, rel=2e-3)


def test_a_factor_on_both_channels_and_one_on_a_single_channel_are_those_of_pyhf(minuit):
    """The luminosity is one nuisance of both channels, the efficiency of electrons theirs alone."""
    text = PAIR + (
        "systematics: {luminosity: {on: luminosity, size: 40%, source: user}, "
        "electrons: {on: efficiency, size: 40%, channels: [ee], source: user}}\n"
    )
    search, grid = grid_of(text)
    part = slice(47, 48)
    counts = counts_of(search, grid, part)
    found = scan_block(search, grid, counts, part, configuration=0, exposure=EXPOSURE, method="asymptotic")
    shared = {"luminosity": 0.4}
    model, data = independent(grid, counts[0], 47, {"ee": shared | {"electrons": 0.4}, "mumu": shared})
    limit = found["yield_limit"][0]
    level = pyhf.infer.hypotest(limit, data, model, test_stat="qtilde")
    assert float(level) == pytest.approx(1.0 - LEVEL, rel=1e-3)
    model, data = independent(grid, counts[0], 47, {"ee": shared | {"electrons": 0.4}, "mumu": {"own": 0.4}})
    apart = pyhf.infer.hypotest(limit, data, model, test_stat="qtilde")
    assert abs(float(apart) - float(level)) > 1e-3  # pyhf can tell one nuisance from two


def test_rates_and_cross_sections_are_of_the_sum():
    found = run(PAIR)
    np.testing.assert_allclose(found["efficiency"], 0.3 + 0.2 * 0.8, rtol=1e-12)
    np.testing.assert_allclose(found["channel_efficiency"], [[0.16, 0.3]] * 30, rtol=1e-12)
    np.testing.assert_allclose(
        found["cross_section_limit"], found["yield_limit"] / (10.0 * found["efficiency"]), rtol=1e-12
    )
    assert found["background_order"].tolist() == [[2, 1]] * 30
    np.testing.assert_array_equal(np.isfinite(found["background_coefficients"]).sum(axis=1), 5)


@pytest.mark.parametrize("method", ["asymptotic", "auto", "counting"])
def test_a_channel_that_sees_no_signal_changes_nothing(method):
    blind, alone = run(BLIND, method=method), run(ALONE, method=method)
    for name in ("yield_limit", "yield_limit_expected", "signal_yield", "z_local", "cross_section_limit"):
        np.testing.assert_allclose(blind[name], alone[name], rtol=1e-9, atol=1e-9, err_msg=name)
    assert blind["background_order"].tolist() == [[-1, 1]] * 30


def test_both_channels_know_more_than_each():
    both, alone = run(PAIR), run(ALONE)
    ratio = both["cross_section_limit_expected"][:, 2] / alone["cross_section_limit_expected"][:, 2]
    assert (ratio < 0.95).all()
    # Gaussian errors of the cross section add by their inverse squares; bins of a density that falls little.
    sigmas = np.array([np.sqrt(0.016) / 0.16, np.sqrt(0.010) / 0.3])
    expected = np.sqrt(1.0 / np.sum(sigmas**-2.0)) / sigmas[1]
    assert np.median(ratio) == pytest.approx(expected, rel=0.03)


def test_a_channel_has_no_part_where_it_is_vetoed():
    veto = "vetoes: [{range: [2.95 GeV, 3.05 GeV], source: user}], source: user}\n"
    text = PAIR.replace("80%, source: user}\n", "80%, " + veto)
    part = slice(30, 60)
    found, alone = run(text, part), run(ALONE, part)
    mass = grid_of(text)[1].mass[part]
    inside = (mass >= 2.95) & (mass <= 3.05)
    assert 5 < inside.sum() < 25
    assert not (found["status"] == VETOED).any()
    for name in ("yield_limit", "efficiency", "cross_section_limit"):
        np.testing.assert_allclose(found[name][inside], alone[name][inside], rtol=1e-9, err_msg=name)
    far = np.abs(mass - 3.0) > 0.05 + 0.16
    assert (found["n_observed"][inside] < run(PAIR, part)["n_observed"][inside]).all()
    np.testing.assert_array_equal(found["yield_limit"][far], run(PAIR, part)["yield_limit"][far])


def test_a_mass_that_every_channel_vetoes_is_not_searched():
    veto = "vetoes: [{range: [2.95 GeV, 3.05 GeV], source: user}], source: user}\n"
    text = PAIR.replace(MUONS, MUONS.replace("source: user}\n", veto))
    assert not (run(text)["status"] == VETOED).any()
    text = text.replace("80%, source: user}\n", "80%, " + veto)
    mass = grid_of(text)[1].mass[30:60]
    np.testing.assert_array_equal(run(text)["status"] == VETOED, (mass >= 2.95) & (mass <= 3.05))


@pytest.mark.parametrize(
    "background", ["{shape: exponential}", "{order: 2, peaks: {jpsi: {at: 3.0969 GeV}}}"]
)
def test_results_depend_on_no_other_window_of_the_block(background):
    text = PAIR.replace("{order: 2}", background).replace("GeV}}}", "GeV, source: user}}}")
    search, grid = grid_of(text)
    whole = run(text, slice(20, 80))
    for start in range(20, 80, 17):
        part = slice(start, min(start + 17, 80))
        options = {"configuration": 0, "exposure": EXPOSURE, "method": "asymptotic"}
        for name, values in scan_block(search, grid, counts_of(search, grid, part), part, **options).items():
            width = values.shape[1:]
            rows = slice(part.start - 20, part.stop - 20)
            np.testing.assert_array_equal(values, whole[name][(rows, *map(slice, width))], name)


def test_the_cube_names_the_channels():
    search, grid = grid_of(PAIR)
    part = slice(0, len(grid))
    found = run(PAIR, part)
    cube = cubes.assemble(search, {"all": grid}, {(0, 0): {"all": [found]}}, {"luminosity": 10.0})
    assert cube["channel"].to_numpy().tolist() == ["ee", "mumu"]
    assert cube["channel_efficiency"].dims == cube["background_order"].dims == ("m_x", "channel")
    with pytest.raises(InputError, match="projected from the likelihoods of its run"):
        project(cube, [50.0])


def test_what_is_about_one_channel_is_refused():
    search, _ = grid_of(PAIR)
    runnable.check_runnable(search)
    chosen = definition.parse(PAIR.replace("{order: 2}", "{order: 2, choose: f_test}"), where="pair.yaml")
    with pytest.raises(InputError, match="by f_test in several channels"):
        runnable.check_runnable(chosen)
    nowhere = BLIND.replace("mumu: {observable", "mumu: {efficiency: 0, observable")
    with pytest.raises(InputError, match=r"no channel has an efficiency at 2\.9"):
        run(nowhere)


def test_one_channel_may_state_everything_itself():
    own = "  mumu: {observable: m_mumu, efficiency: 30%, resolution: 10 MeV, background: {order: 1}, "
    own += "source: user}\n"
    search = BASE.replace("  efficiency: {constant: 30%, source: user}\n", "").replace(
        "{order: 1}", "{order: 4}"
    )
    first, second = run(ALONE), run(search + "channels:\n" + own)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], name)


def test_a_window_is_written_with_all_its_channels():
    from scanner.likelihoods.interchange import pyhf_workspace

    search, grid = grid_of(PAIR)
    part = slice(40, 41)
    problem, _ = window_problem(search, grid, counts_of(search, grid, part), part, configuration=0)
    document = pyhf_workspace(problem, 0)
    assert len(document["observations"][0]["data"]) == grid.channels["ee"].bins + grid.channels["mumu"].bins
    assert len(document["channels"][0]["samples"]) == 6
