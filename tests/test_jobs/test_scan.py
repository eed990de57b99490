"""The main job: right numbers, and the same bits whatever runs it."""

import numpy as np
import pytest

from jobs import scan as jobs_scan
from jobs.executors import DaskExecutor, SerialExecutor, local_cluster
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition
from scanner.errors import InputError
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

SMALL = Options(rows_a_block=3_000, windows_a_block=17)


@pytest.fixture
def serial(search, store, tmp_path):
    return scan(search, store, str(tmp_path / "serial.zarr"), executor=SerialExecutor())


def test_the_peak_is_the_largest_excess_and_its_yield_is_right(serial):
    excess = serial.limits.largest_excess()
    assert excess.mass == pytest.approx(2.0, abs=0.02)
    assert abs(excess.signal_yield - 300.0) < 3.0 * excess.signal_yield_error
    assert excess.z_local > 5.0


def test_every_event_of_a_window_is_counted(serial, store, search):
    from scanner import engine

    (grid,) = engine.grids(search).values()
    values = EventStore.open(store).read(0, ["mass"])["mass"]
    for shard in range(1, len(EventStore.open(store).shards)):
        values = np.concatenate([values, EventStore.open(store).read(shard, ["mass"])["mass"]])
    edges = grid.edges[grid.edge_indices()]
    for window in (0, 40, len(grid) - 1):
        inside = (values >= edges[window, 0]) & (values < edges[window, -1])
        assert int(serial["n_observed"][window]) == inside.sum()


def test_the_cutflow_starts_with_all_rows(serial, store):
    assert int(serial["cutflow"][0, 0]) == EventStore.open(store).rows


@pytest.mark.parametrize("workers", [1, 2])
def test_bits_do_not_depend_on_workers_or_blocks(serial, search, store, tmp_path, workers):
    with local_cluster(workers) as client:
        cube = scan(search, store, str(tmp_path / "dask.zarr"), executor=DaskExecutor(client), options=SMALL)
    assert cubes.digest(cube) == cubes.digest(serial)


def test_bits_do_not_depend_on_the_blocks_of_a_serial_run(serial, search, store, tmp_path):
    cube = scan(search, store, str(tmp_path / "blocks.zarr"), executor=SerialExecutor(), options=SMALL)
    assert cubes.digest(cube) == cubes.digest(serial)


def test_bits_do_not_depend_on_the_place_of_the_store(serial, search, store, tmp_path):
    import shutil

    shutil.copytree(store, tmp_path / "moved.zarr")
    cube = scan(search, str(tmp_path / "moved.zarr"), str(tmp_path / "m.zarr"), executor=SerialExecutor())
    assert cubes.digest(cube) == cubes.digest(serial)


@pytest.mark.parametrize("blocks", [1, 8, 13])
def test_a_stopped_scan_resumes_to_the_same_bits(serial, search, store, tmp_path, blocks, stopping):
    target = str(tmp_path / "resumed.zarr")
    with pytest.raises(stopping.Interrupted):
        scan(search, store, target, executor=stopping(blocks), options=SMALL)
    before = jobs_scan.status(target)
    assert 0 < before.done < before.blocks
    assert not before.complete
    cube = scan(search, store, target, executor=SerialExecutor(), resume=True)
    assert cubes.digest(cube) == cubes.digest(serial)
    assert jobs_scan.status(target).complete


def test_a_damaged_part_is_done_again(serial, search, store, tmp_path, stopping):
    target = tmp_path / "damaged.zarr"
    with pytest.raises(stopping.Interrupted):
        scan(search, store, str(target), executor=stopping(13), options=SMALL)
    part = sorted((tmp_path / "damaged.zarr.run" / "parts").rglob("*fit*"))[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert jobs_scan.status(str(target)).damaged == 1
    cube = scan(search, store, str(target), executor=SerialExecutor(), resume=True)
    assert cubes.digest(cube) == cubes.digest(serial)


def test_a_started_scan_is_neither_repeated_nor_mixed(search, store, tmp_path):
    target = str(tmp_path / "cube.zarr")
    scan(search, store, target, executor=SerialExecutor())
    with pytest.raises(InputError, match="was started before: --resume it, or --overwrite it"):
        scan(search, store, target, executor=SerialExecutor())
    with pytest.raises(InputError, match="is of another definition, store, method or seed"):
        scan(
            search, store, target, executor=SerialExecutor(), options=Options(method="counting"), resume=True
        )
    scan(search, store, target, executor=SerialExecutor(), options=Options(method="counting"), overwrite=True)


def test_a_store_without_data_is_refused(search, tmp_path):
    made = EventStore.create(tmp_path / "s.zarr", {"mass": "GeV"})
    made.append(Sample("mc", "simulation", weighted=True), [{"mass": np.array([1.5])}])
    with pytest.raises(InputError, match="holds no data"):
        scan(search, str(tmp_path / "s.zarr"), str(tmp_path / "c.zarr"), executor=SerialExecutor())


def test_a_missing_column_is_named_before_anything_runs(store, tmp_path):
    search = definition.parse(
        "extends: bump_hunt\nobservable: maas\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\n"
    )
    with pytest.raises(InputError, match="mass"):
        scan(search, store, str(tmp_path / "c.zarr"), executor=SerialExecutor())
    assert not (tmp_path / "c.zarr.run").exists()


def test_an_unknown_method_is_refused(search, store, tmp_path):
    with pytest.raises(InputError, match="unknown method 'guess': take one of auto"):
        scan(
            search,
            store,
            str(tmp_path / "c.zarr"),
            executor=SerialExecutor(),
            options=Options(method="guess"),
        )


def test_a_shard_that_no_window_needs_is_not_read_and_is_still_counted(store, tmp_path):
    """Without its bytes the scan still works: its extremes alone reject every row."""
    made = EventStore.open(store)
    made.append(Sample("later", "data", period="later"), [{"mass": np.linspace(7.0, 8.0, 500)}])
    definition_text = (
        "extends: bump_hunt\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\n"
        "select: [mass < 5]\n"
    )
    search = definition.parse(definition_text)
    read = scan(search, store, str(tmp_path / "read.zarr"), executor=SerialExecutor())
    last = made.shards[-1].index
    (tmp_path / "events.zarr" / "mass" / "c" / str(last)).unlink()
    unread = scan(search, store, str(tmp_path / "unread.zarr"), executor=SerialExecutor())
    assert cubes.digest(unread) == cubes.digest(read)
    assert read["cutflow"].to_numpy()[0].tolist() == [made.rows, made.rows - 500]
