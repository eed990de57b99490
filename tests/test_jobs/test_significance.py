"""The job of global significance: right answers, and the same bits whatever runs it."""

import shutil

import numpy as np
import pytest

from jobs.executors import DaskExecutor, SerialExecutor, local_cluster
from jobs.scan import scan
from jobs.scanning.additions import RECORD
from jobs.studies.significance import Options, key_of, missing_blocks, significance
from scanner import definition
from scanner.errors import InputError
from storage import cubes
from storage.events import EventStore
from storage.locations import Location
from storage.parts import PartStore
from storage.samples import Sample

TOYS = 40


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A scan of a spectrum with a peak of 300 events at 2 GeV."""
    folder = tmp_path_factory.mktemp("scanned")
    text = "extends: bump_hunt\nname: small\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\n"
    (folder / "small.yaml").write_text(text + "order: 1\n")
    search = definition.load(folder / "small.yaml")
    rng = np.random.default_rng(4)
    background = 1.0 + 2.0 * rng.beta(1.0, 1.5, 30_000)
    store = EventStore.create(folder / "events.zarr", {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    store.append(Sample("data", "data"), [{"mass": np.concatenate([background, rng.normal(2.0, 0.02, 300)])}])
    scan(search, str(folder / "events.zarr"), str(folder / "cube.zarr"), executor=SerialExecutor())
    return folder


@pytest.fixture
def cube(scanned, tmp_path):
    """A copy of the scan, for one test."""
    for name in ("cube.zarr", "cube.zarr.run"):
        shutil.copytree(scanned / name, tmp_path / name)
    return str(tmp_path / "cube.zarr")


@pytest.fixture(scope="module")
def serial(scanned, tmp_path_factory):
    """What one process finds with blocks of the usual size: the result, and the cube's attributes."""
    folder = tmp_path_factory.mktemp("serial")
    for name in ("cube.zarr", "cube.zarr.run"):
        shutil.copytree(scanned / name, folder / name)
    found = significance(str(folder / "cube.zarr"), executor=SerialExecutor(), options=Options("toys", TOYS))
    return found, cubes.open(folder / "cube.zarr").attrs


def parts(cube):
    return PartStore(Location(cube + ".run").child("significance"))


def test_an_injected_signal_is_significant_everywhere(serial):
    found, attributes = serial
    assert found.excess.mass == pytest.approx(2.0, abs=0.02)
    assert found.excess.z > 5.0
    assert found.best.p == attributes["p_global"] == 1.0 / (TOYS + 1)
    assert attributes["p_global_method"] == "toys"
    assert (attributes["p_global_toys"], attributes["p_global_toys_failed"]) == (TOYS, 0)
    assert attributes["p_global_by_upcrossings"] < 1e-4
    assert attributes["z_global"] > 1.9


def test_the_excess_is_the_largest_of_the_cube(serial, scanned):
    found, _ = serial
    largest = cubes.open(scanned / "cube.zarr").limits.largest_excess()
    assert (found.excess.mass, found.excess.z) == (largest.mass, largest.z_local)


def test_the_cube_keeps_everything_else(cube):
    before = cubes.open(cube)
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    after = cubes.open(cube)
    assert cubes.digest(after.assign_attrs()) != cubes.digest(before)
    after.attrs = {name: value for name, value in after.attrs.items() if name in before.attrs}
    assert cubes.digest(after) == cubes.digest(before)


def test_bits_do_not_depend_on_workers_or_blocks(serial, cube):
    with local_cluster(2) as client:
        found = significance(cube, executor=DaskExecutor(client), options=Options("toys", TOYS, 7))
    assert found == serial[0]
    assert cubes.open(cube).attrs == serial[1]


def test_a_stopped_job_goes_on_to_the_same_bits(serial, cube, stopping):
    with pytest.raises(stopping.Interrupted):
        significance(cube, executor=stopping(2), options=Options("toys", TOYS, 6))
    assert len(parts(cube).keys()) == 3
    assert "p_global" not in cubes.open(cube).attrs
    assert significance(cube, executor=SerialExecutor(), options=Options("toys", TOYS, 9)) == serial[0]


def test_a_damaged_part_is_done_again(serial, cube, tmp_path):
    significance(cube, executor=SerialExecutor(), options=Options("toys", TOYS, 10))
    part = tmp_path / "cube.zarr.run" / "significance" / f"{key_of(10, 20)}.part"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert significance(cube, executor=SerialExecutor(), options=Options("toys", TOYS, 10)) == serial[0]


def test_more_toys_only_add_those_that_are_missing(serial, cube, stopping):
    few = significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 15, 15))
    assert few.toys == 15
    assert significance(cube, executor=SerialExecutor(), options=Options("toys", TOYS, 50)) == serial[0]
    assert parts(cube).keys() == (key_of(0, 15), key_of(15, TOYS))
    again = significance(cube, executor=stopping(0), options=Options("upcrossings", 15))
    assert again == few


def test_a_projection_does_not_claim_the_excess_of_the_data(cube):
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    today = cubes.open(cube)
    future = today.assign_attrs(luminosity=1.0).limits.project([10.0])
    lost = {"z_global", "p_global", "upcrossings", "upcrossings_half_step"}
    assert lost < today.attrs.keys() - future.attrs.keys()
    assert all(
        name.startswith(("p_global", "z_global", "upcrossings"))
        for name in today.attrs.keys() - future.attrs.keys()
    )


@pytest.fixture
def again(darkscan, scanned, cube):
    """Scan into the cube once more, by the command line."""
    definition_file = scanned / "small.yaml"
    return lambda *options: darkscan("scan", definition_file, scanned / "events.zarr", "-o", cube, *options)


def test_a_cube_assembled_anew_keeps_its_significance(cube, again):
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    before = cubes.open(cube)
    answer = again("--resume", "--json").json
    assert cubes.digest(cubes.open(cube)) == cubes.digest(before) == answer["digest"]
    assert answer["global_significance"]["p_global"] == before.attrs["p_global"]
    assert answer["global_significance"]["p_global_toys"] == 3
    shutil.rmtree(cube)
    again("--resume")
    assert cubes.digest(cubes.open(cube)) == cubes.digest(before)
    assert "p_global_method upcrossings" in again("--resume").out


def test_a_scan_thrown_away_says_that_its_significance_is_gone(cube, again):
    assert "global_significance" not in again("--resume", "--json").json
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    answer = again("--overwrite", "--json").json
    assert answer["global_significance"].startswith("thrown away with the earlier scan")
    assert "p_global" not in cubes.open(cube).attrs
    assert "global_significance" not in again("--overwrite", "--json").json


def test_a_damaged_record_is_reported_and_written_anew(cube, again):
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    whole, record = cubes.digest(cubes.open(cube)), Location(cube + ".run")
    record.replace(RECORD, record.read(RECORD).replace(b"p_global", b"p_globbl"))
    answer = again("--resume")
    assert answer.code == 2
    assert "significance.json" in answer.err
    assert "remove it" in answer.err
    significance(cube, executor=SerialExecutor(), options=Options("upcrossings", 3))
    again("--resume")
    assert cubes.digest(cubes.open(cube)) == whole


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ((), [(0, 4), (4, 8), (8, 10)]),
        (((2, 5),), [(0, 2), (5, 9), (9, 10)]),
        (((0, 3), (2, 20)), []),
        (((9, 12), (0, 1)), [(1, 5), (5, 9)]),
    ],
)
def test_the_toys_that_are_missing(present, missing):
    keys = tuple(key_of(*numbers) for numbers in present)
    assert list(missing_blocks(keys, 10, 4)) == [key_of(*numbers) for numbers in missing]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options("guess"), "unknown method 'guess': take one of toys, upcrossings"),
        (Options("toys", 1), "1 toys tell nothing of their spread"),
    ],
)
def test_wrong_options_are_refused_before_the_work(cube, options, message):
    with pytest.raises(InputError, match=message):
        significance(cube, executor=SerialExecutor(), options=options)
    assert parts(cube).keys() == ()


def test_a_cube_without_its_run_is_refused(cube):
    shutil.move(cube + ".run", cube + ".away")
    with pytest.raises(InputError, match="is missing: the spectra of a scan are kept there"):
        significance(cube, executor=SerialExecutor())


def test_the_run_of_another_cube_is_refused(cube):
    other = cubes.open(cube)
    other.attrs["scan_identity"] = "another"
    cubes.write(other, cube, overwrite=True)
    with pytest.raises(InputError, match="was not made by the run"):
        significance(cube, executor=SerialExecutor())


def test_the_command_prints_draws_and_writes(darkscan, cube, serial, tmp_path):
    answer = darkscan("significance", cube, "--toys", TOYS, "--json").json
    assert answer["p_global"] == serial[0].best.p
    assert answer["upcrossings_valid"] == serial[0].upcrossings_valid
    text = darkscan("significance", cube, "--toys", TOYS, "--plot", tmp_path / "maxima.png").out
    for words in ("local significance", "global significance", "p_global by toys", f"{TOYS} toys, 0 failed"):
        assert f"\n  {words} " in text or words in text
    assert (tmp_path / "maxima.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_refuses_bad_input(refused, tmp_path, cube):
    assert "is no darkscan cube" in refused("significance", tmp_path / "none.zarr")
    assert "unknown method" in refused("significance", cube, "--method", "guess")
