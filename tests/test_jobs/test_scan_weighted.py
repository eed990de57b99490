"""Templates from simulated rows that carry weights, against sums by numpy and a fit by pyhf."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.likelihoods import open_cube_run, windows_at
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition, runnable
from scanner.errors import InputError
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

SEARCH = """
name: weighted
beam: {sqrt_s: 10.58 GeV}
luminosity: 10 fb^-1
columns: {x: "1", y: "1", w: "1", kept: "1", unrolled: {unit: "1", expression: x + (4 if y > 0.5 else 0)}}
scan: {m_x: {values: [1 GeV]}}
channels: {all: {observable: unrolled, select: kept > 0.5, weight: w * (1 + 0 * x), source: default}}
window: {binning: [{observable: unrolled, edges: [0, 1, 2, 3, 4, 5, 6, 7, 8]}]}
signal: {shape: template, template: peak, resolution: 10 MeV, efficiency: 10%, source: default}
background:
  shape: template
  templates:
    flat: {sample: flat, floating: true, source: default}
    slope: {sample: slope, normalisation: 10%, source: default}
  source: default
method: {limit: asymptotic}
"""
NAMES = ("x", "y", "w", "kept")


def drawn(rng, rows, x, weights):
    values = (x, rng.random(rows), weights, rng.random(rows) + 0.4)
    return dict(zip(NAMES, (v.astype(np.float32) for v in values), strict=True))


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(31)
    return {
        "data": drawn(rng, 3000, 4.0 * rng.random(3000), np.zeros(3000)),
        "flat": drawn(rng, 2000, 4.0 * rng.random(2000), rng.uniform(-0.2, 1.5, 2000)),
        "slope": drawn(rng, 1500, 4.0 * np.sqrt(rng.random(1500)), rng.exponential(0.3, 1500)),
        "peak": drawn(rng, 900, rng.normal(2.5, 0.4, 900), rng.uniform(0.5, 2.0, 900)),
    }


def stored(path, events):
    made = EventStore.create(path, dict.fromkeys(NAMES, "1"), chunk_rows=128, shard_rows=512)
    made.append(Sample("data", "data", luminosity=10.0), [events["data"]])
    for name in ("flat", "slope"):
        made.append(Sample(name, "simulation", luminosity=5.0), [events[name]])
    made.append(Sample("peak", "signal", parameters={"mass": 1.0}, generated=900), [events["peak"]])
    return str(path)


def scanned(store, place, options=Options("asymptotic")):
    return scan(definition.parse(SEARCH), store, str(place), executor=SerialExecutor(), options=options)


@pytest.fixture(scope="module")
def cube(events, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weighted")
    place = folder / "cube.zarr"
    return str(place), scanned(stored(folder / "events.zarr", events), place)


def sums(rows, power):
    kept = rows["kept"] > 0.5
    x = rows["x"].astype(np.float64) + np.where(rows["y"] > 0.5, 4.0, 0.0)
    weights = rows["w"].astype(np.float64) ** power
    return np.histogram(x[kept], np.arange(9.0), weights=weights[kept])[0], weights[kept].sum()


def test_templates_are_sums_of_weights(cube, events):
    (window,) = windows_at(run := open_cube_run(cube[0]), {})
    problem = window.problem(run)
    content = {name: sums(events[name], 1)[0] for name in ("flat", "slope", "peak")}
    squares = {name: sums(events[name], 2)[0] for name in ("flat", "slope")}
    assert problem.background[0, 0] == pytest.approx(content["flat"] / content["flat"].sum(), rel=1e-6)
    assert problem.nuisances.fixed[0, 0] == pytest.approx(2.0 * content["slope"], rel=1e-6)
    assert problem.signal[0] == pytest.approx(content["peak"] / sums(events["peak"], 1)[1], rel=1e-6)
    total = content["flat"] + content["slope"]
    error = np.sqrt(squares["flat"] + squares["slope"])
    assert problem.nuisances.statistics[0] == pytest.approx(error / total, rel=1e-4)
    assert problem.counts[0].sum() == np.count_nonzero(events["data"]["kept"] > 0.5)


# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_weighted_templates_are_fitted_by_pyhf(cube, darkscan, pyhf_fit, tmp_path):
    place, found = cube
    assert darkscan("export", place, "--format", "pyhf", "-o", tmp_path).code == 0
    exported, window = pyhf_fit(tmp_path, "*"), found.isel(m_x=0)
    assert exported.best == pytest.approx(
        float(window["signal_yield"]), abs=0.01 * float(window["signal_yield_error"])
    )
    level = 1.0 - found.attrs["confidence_level"]
    assert exported.cls(float(window["yield_limit"])) == pytest.approx(level, rel=0.01)


def test_sums_do_not_depend_on_blocks(cube, events, tmp_path):
    cut = scanned(
        stored(tmp_path / "events.zarr", events),
        tmp_path / "cut.zarr",
        Options("asymptotic", rows_a_block=700),
    )
    assert cubes.digest(cut) == cubes.digest(cube[1])


@pytest.mark.parametrize(
    ("sample", "weight", "message"),
    [
        ("flat", lambda x: np.full(x.size, 2e4), "has the weight 20000: weights are finite and at most 1000"),
        ("flat", lambda x: np.where(x < 1.0, -1.0, 1.0), "'flat' sum to less than 0 in 2 of 8 bins"),
        ("slope", lambda x: np.full(x.size, 1e-4), "are below 0.01: scale them"),
    ],
)
def test_weights_that_say_nothing_are_refused(events, tmp_path, sample, weight, message):
    wrong = {**events[sample], "w": weight(events[sample]["x"]).astype(np.float32)}
    store = stored(tmp_path / "events.zarr", {**events, sample: wrong})
    with pytest.raises(InputError, match=message):
        scanned(store, tmp_path / "cube.zarr")


def test_weights_without_templates_are_refused():
    text = (
        SEARCH[: SEARCH.index("window:")] + "signal: {resolution: 10 MeV, efficiency: 10%, source: default}\n"
    )
    with pytest.raises(InputError, match="weights of simulated candidates without templates"):
        runnable.check_runnable(definition.parse(text))
