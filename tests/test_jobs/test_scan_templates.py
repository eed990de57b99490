"""Fits of templates that are filled from samples of the store, against histograms by numpy."""

import json

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import scan
from jobs.scanning import fits
from jobs.scanning.run import open_run
from jobs.studies import study
from scanner import definition
from scanner.errors import InputError
from scanner.likelihoods.fit import fit
from scanner.limits import window_problem
from scanner.stats.limits import ASYMPTOTIC
from storage import cubes
from storage.events import EventStore

SERIAL = SerialExecutor()
TEXT = """
extends: tau_lalpha
luminosity: 0.5 fb^-1
scan:
  m_alpha: {values: "0.7, 1.4 GeV"}
simulation:
  - {process: tau_leptons}
  - {process: tau_pions}
  - {process: tau_alpha, role: signal}
  - {process: tau_leptons, role: template, sample: michel, times: 3}
  - {process: tau_pions, role: template, sample: pions, times: 5}
  - {process: tau_alpha, role: template, sample: alpha, events: 4000}
"""
FRACTION, MASS = 0.03, 1.4


@pytest.fixture(scope="module")
def search():
    return definition.parse(TEXT, where="templates.yaml")


@pytest.fixture(scope="module")
def store(search, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("templates") / "events.zarr")
    signal = {"m": MASS, "branching_fraction": FRACTION, "lepton_code": 13.0}
    generate(search, path, executor=SERIAL, seed=5, signals=[signal])
    return path


@pytest.fixture(scope="module")
def cube(search, store):
    path = store.replace("events", "limits")
    scan(search, store, path, executor=SERIAL)
    return path


def columns(store, name):
    """All rows of a sample, selected by numpy."""
    opened = EventStore.open(store)
    (number,) = [n for n, sample in enumerate(opened.samples) if sample.name == name]
    shards = [shard for shard in opened.shards if shard.sample == number]
    read = [opened.read(s.index, ["x", "lepton", "p_lepton"], 0, s.rows) for s in shards]
    return {key: np.concatenate([part[key] for part in read]) for key in read[0]}


def counts(store, name, code, edges):
    rows = columns(store, name)
    kept = (np.abs(rows["lepton"] - code) < 0.5) & (rows["p_lepton"] > 0.7)
    return np.histogram(rows["x"][kept].astype(np.float64), edges)[0], int(kept.sum())


@pytest.mark.parametrize(("configuration", "code", "sample"), [(0, 11, "alpha_001"), (1, 13, "alpha_003")])
def test_templates_are_histograms_of_their_samples(search, store, cube, configuration, code, sample):
    run = open_run(cube + ".run")
    grid = run.grid("all", configuration)
    edges = np.asarray(search.window.binning[0].edges)
    data = fits.region_counts(run, "all", configuration, slice(0, 2))
    problem, _ = window_problem(
        run.search, grid, data, slice(0, 2), configuration=configuration, include="everything"
    )
    edges = edges[grid.bounds]  # bins of few rows are merged
    michel, _ = counts(store, "michel", code, edges)
    pions, _ = counts(store, "pions", code, edges)
    signal, selected = counts(store, sample, code, edges)
    assert ((michel / 3 + pions / 5) ** 2 >= 9.99 * (michel / 9 + pions / 25)).all()
    assert problem.background[1, 0] == pytest.approx(michel / michel.sum())
    assert problem.nuisances.fixed[1, 0] == pytest.approx(pions / 5)
    assert problem.signal[1] == pytest.approx(signal / selected)
    variance, total = michel / 9 + pions / 25, michel / 3 + pions / 5
    assert problem.nuisances.statistics[1] == pytest.approx(np.sqrt(variance) / total)
    assert problem.nuisances.names[:1] == ("template_pions",)
    assert not problem.nuisances.uncertain[0]
    pseudodata = sum(counts(store, n, code, edges)[0] for n in ("tau_leptons", "tau_pions", "signal"))
    assert problem.counts[1] == pytest.approx(pseudodata)
    best = fit(problem)
    assert float(best.background[1, 0]) == pytest.approx(michel.sum() / 3, rel=0.1)


def test_an_injected_signal_is_found_in_its_configuration_alone(cube):
    found = cubes.open(cube).sel(m_alpha=MASS)
    muon, electron = found.sel(configuration="muon"), found.sel(configuration="electron")
    expected = 2 * 0.5 * 0.919e6 * 0.0931 * FRACTION * float(muon["efficiency"])
    assert float(muon["signal_yield"]) == pytest.approx(expected, abs=3 * float(muon["signal_yield_error"]))
    assert float(muon["z_local"]) > 5.0
    assert float(electron["z_local"]) < 4.0
    assert float(electron["branching_fraction_limit"]) < FRACTION < float(muon["branching_fraction_limit"])


def test_merged_bins_are_reported(search, store, cube):
    from jobs.commands.scans import describe

    found, stated = cubes.open(cube), np.asarray(search.window.binning[0].edges)
    merged = json.loads(found.attrs["merged_bins"])
    assert set(merged) == {"electron.all", "muon.all"}
    for name, code in (("electron.all", 11), ("muon.all", 13)):
        rows = counts(store, "michel", code, stated)[0] + counts(store, "pions", code, stated)[0]
        assert merged[name]  # beyond the end of the spectrum nothing is simulated
        for low, high, number in merged[name]:
            inside = (stated[:-1] >= low) & (stated[1:] <= high)
            assert inside.sum() == number >= 2
            assert rows[inside].min() < 12
    assert "stated ones to" in describe(found)["merged_bins"]["muon.all"]


def test_blocks_of_the_pass_do_not_matter(search, store, cube, tmp_path):
    again = scan(
        search,
        store,
        str(tmp_path / "again.zarr"),
        executor=SERIAL,
        options=Options(rows_a_block=3000, windows_a_block=1),
    )
    first = cubes.open(cube)
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].values, again[name].values, err_msg=name)


OTHER_SAMPLE = "background: {templates: {michel: {sample: other, floating: true, source: user}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + OTHER_SAMPLE, "0 samples 'other' of kind simulation are in the store"),
        (TEXT.replace("1.4", "1.5"), "no sample 'alpha' of kind signal was generated with mass 1.5 GeV"),
    ],
)
def test_a_store_without_the_samples_is_refused(store, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        scan(definition.parse(text, where="t.yaml"), store, str(tmp_path / "c.zarr"), executor=SERIAL)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("vetoes: [{range: [0.9 GeV, 1.1 GeV], source: user}]", "templates beside vetoes"),
        ("method: {limit: bayesian}", "or limits by bayesian"),
        ("systematics: {s: {on: mass, size: 1%, source: user}}", "systematics on the mass of a template"),
        ("systematics: {s: {on: michel, size: 1%, source: user}}", "systematics on one template"),
    ],
)
def test_what_templates_cannot_do_is_refused(store, tmp_path, line, message):
    text = TEXT + line + "\n"
    with pytest.raises(InputError, match=message):
        scan(definition.parse(text, where="t.yaml"), store, str(tmp_path / "c.zarr"), executor=SERIAL)


# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_exported_templates_are_fitted_by_pyhf(cube, darkscan, pyhf_fit, tmp_path):
    answer = darkscan("export", cube, "--format", "pyhf", "-o", tmp_path, "--at", f"m_alpha={MASS}")
    assert answer.code == 0, answer
    window = cubes.open(cube).limits.at(configuration="muon", m_alpha=MASS)
    exported = pyhf_fit(tmp_path, f"muon-all-{MASS}")
    assert exported.best == pytest.approx(
        float(window["signal_yield"]), abs=0.01 * float(window["signal_yield_error"])
    )
    assert int(window["method"]) == ASYMPTOTIC
    assert exported.cls(float(window["yield_limit"])) == pytest.approx(0.05, rel=0.01)


def test_a_study_gives_back_what_is_injected(search, store, cube, tmp_path):
    options = study.Options(toys=40, injected=(0.0, 4.0), seed=2)
    made = study.study(
        "linearity", search, str(tmp_path / "study"), executor=SERIAL, store=store, options=options
    )
    assert made.attrs["truths"] == "model"
    assert float(np.abs(made["pull_mean"] / made["pull_mean_error"]).max()) < 4.0
    # Every mass has a template of its own, and with it the error that the scan finds in the data.
    found = cubes.open(cube)["signal_yield_error"].isel(configuration=0)
    np.testing.assert_allclose(made["expected_error"].isel(configuration=0), found, rtol=0.03)
    assert float(found[1] / found[0]) < 0.5
    with pytest.raises(InputError, match="templates from samples are their own truth"):
        study.study("bias", search, str(tmp_path / "bias"), executor=SERIAL, store=store)
