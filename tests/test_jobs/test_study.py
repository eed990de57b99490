"""`darkscan study`: cubes with the same bits whatever runs them, and plots of them."""

import numpy as np
import pytest

from jobs import blocks
from jobs.executors import DaskExecutor, SerialExecutor, local_cluster
from jobs.studies.study import Options, make_job, study
from scanner import definition
from scanner.errors import InputError
from storage import cubes

SEARCH = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
"""
FEW = Options(toys=30, every=80, injected=(0.0, 3.0))


def run(kind, search, store, place, executor=None, options=FEW, **how):
    return study(
        kind, search, str(place), executor=executor or SerialExecutor(), store=store, options=options, **how
    )


@pytest.fixture
def serial(search, store, tmp_path):
    return run("linearity", search, store, tmp_path / "serial.zarr")


def test_a_cube_has_units_names_and_the_axis_of_the_scan(serial):
    assert serial["slope"].dims == ("m",)
    assert serial["pull_mean"].dims == ("m", "injected")
    assert serial["injected"].values.tolist() == [0.0, 3.0]
    for name, variable in serial.variables.items():
        assert name in ("region",) or variable.attrs["long_name"], name
        assert name in ("region",) or variable.attrs["units"], name
    assert serial.attrs["study"] == "linearity"
    assert (serial["toys"] + serial["toys_failed"] == 30).all()
    assert np.allclose(serial["injected_yield"][:, 1], 3.0 * serial["expected_error"])


def test_bits_do_not_depend_on_workers_or_blocks(search, store, tmp_path):
    with local_cluster(2) as client:
        for kind in ("linearity", "coverage"):
            whole = Options(**{**vars(FEW), "toys_a_block": 1000})
            one = run(kind, search, store, tmp_path / f"{kind}1.zarr", options=whole)
            two = run(kind, search, store, tmp_path / f"{kind}2.zarr", DaskExecutor(client))
            assert cubes.digest(one) == cubes.digest(two)


@pytest.mark.parametrize("done", [1, 3])
def test_a_stopped_study_resumes_to_the_same_bits(serial, search, store, tmp_path, done, stopping):
    place = tmp_path / "resumed.zarr"
    with pytest.raises(stopping.Interrupted):
        run("linearity", search, store, place, stopping(done))
    with pytest.raises(InputError, match="was started before: --resume it"):
        run("linearity", search, store, place)
    resumed = run("linearity", search, store, place, resume=True)
    assert cubes.digest(resumed) == cubes.digest(serial)
    with pytest.raises(InputError, match="is of another definition, input, options or seed"):
        run("linearity", search, store, place, options=Options(toys=31, every=80), resume=True)


def test_a_bias_has_a_number_for_the_systematic(search, store, tmp_path):
    cube = run("bias", search, store, tmp_path / "bias.zarr", options=Options(every=80))
    assert cube["fitted_yield"].dims == ("m", "truth")
    assert (cube["spurious_signal"] >= 0.0).all()
    assert (cube["spurious_signal"] >= np.abs(cube["fitted_yield"].isel(truth=0)) - 1e-12).all()


def test_a_bias_by_toys_goes_on_where_it_stopped(search, store, tmp_path, stopping):
    options = Options(toys=20, every=80)
    whole = run("bias", search, store, tmp_path / "whole.zarr", options=options)
    assert (whole["toys"] + whole["toys_failed"] == 20).all()
    assert whole["toy_yield"].dims == whole["toys"].dims == ("m", "truth")
    with pytest.raises(stopping.Interrupted):
        run("bias", search, store, tmp_path / "b.zarr", stopping(2), options=options)
    resumed = run("bias", search, store, tmp_path / "b.zarr", options=options, resume=True)
    assert cubes.digest(resumed) == cubes.digest(whole)


def test_the_spurious_signal_of_a_study_goes_into_the_next_scan(darkscan, definition_file, store, tmp_path):
    piece = tmp_path / "piece.yaml"
    answer = darkscan(
        "study", "bias", definition_file, "-o", tmp_path / "b.zarr", "--store", store,
        "--every", 10, "--systematic", piece, "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.json["systematic"] == str(piece)
    definition_file.write_text(definition_file.read_text() + piece.read_text())
    assert darkscan("searches", "validate", definition_file).code == 0


def test_another_seed_throws_other_toys(serial, search, store, tmp_path):
    other = run("linearity", search, store, tmp_path / "o.zarr", options=Options(**{**vars(FEW), "seed": 1}))
    assert not np.array_equal(other["fitted_yield"], serial["fitted_yield"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(toys=0), "0 toys"),
        (Options(every=0), "every 0th mass"),
        (Options(injected=()), "injected strengths"),
        (Options(injected=(float("nan"),)), "injected strengths"),
        (Options(luminosity=-1.0), "luminosity -1"),
        (Options(luminosity=5.0), "has no luminosity"),
        (Options(method="guess"), "unknown method"),
    ],
)
def test_wrong_options_are_named(search, store, options, message):
    with pytest.raises(InputError, match=message):
        make_job("linearity", search, store, options)


def test_what_cannot_be_studied_is_named(search, store):
    with pytest.raises(InputError, match="unknown study 'width': take one of linearity"):
        make_job("width", search, store, FEW)
    with pytest.raises(InputError, match="names no background processes to generate: give --store"):
        make_job("linearity", search, "", FEW)
    unbinned = definition.parse(SEARCH + "method: {likelihood: unbinned}\n", where="small.yaml")
    with pytest.raises(InputError, match="a study of a search with an unbinned likelihood is not possible"):
        make_job("linearity", unbinned, store, FEW)
    text = SEARCH + "systematics: {bias: {on: yield, size: spurious_signal, source: computed}}\n"
    waiting = definition.parse(text, where="small.yaml")
    with pytest.raises(InputError, match="give the study with --spurious-signal"):
        make_job("coverage", waiting, store, FEW)
    assert make_job("bias", waiting, store, FEW).facts["include"] == "nothing"


def test_the_command_writes_a_cube_that_can_be_drawn(darkscan, definition_file, store, tmp_path):
    for kind in ("linearity", "coverage", "bias"):
        place, image = tmp_path / f"{kind}.zarr", tmp_path / f"{kind}.png"
        answer = darkscan(
            "study", kind, definition_file, "-o", place, "--store", store,
            "--toys", 10, "--every", 80, "--injected-events", "0,50", "--plot", image, "--json",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        assert (answer.json["study"], answer.json["plot"]) == (kind, str(image))
        again = tmp_path / "again.png"
        assert darkscan("plot", place, "-o", again).code == 0
        assert len(image.read_bytes()) > 10_000
        assert image.read_bytes() == again.read_bytes()
        assert darkscan("project", place, "--luminosity", "1/ab").code == 2


def test_the_generator_is_the_source_without_a_store(tmp_path):
    options = Options(toys=10, every=800, injected=(0.0,), events=20_000)
    cube = study(
        "linearity",
        definition.load("zp_mumu"),
        str(tmp_path / "c.zarr"),
        executor=SerialExecutor(),
        options=options,
    )
    assert cube.attrs["source"] == "generator"
    assert cube.attrs["luminosity"] == 178.0
    assert cube.attrs["scale"] > 1.0
    assert float(cube["expected_error"].min()) > 0.0
    assert blocks.open_job(str(tmp_path / "c.zarr.run")).job.kind == "linearity"
