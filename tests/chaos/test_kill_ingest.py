"""`kill -9` of an ingest: the store is as it was, and the next ingest removes what was left and says so."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jobs.ingest import ingest
from jobs.places import GENERATION, run_place
from storage.events import EventStore
from storage.locations import Location
from storage.samples import Sample
from storage.sweeping import sweep

COMMAND = str(Path(sys.executable).with_name("darkscan"))
ROWS = 20_000_000
"""Rows of five shards."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Make a store of few rows, into which an ingest of many was killed after its first shard."""
    folder = tmp_path_factory.mktemp("killed")
    np.savez(folder / "few.npz", n=np.arange(100, dtype=np.int8))
    np.savez(folder / "many.npz", n=(np.arange(ROWS) % 100).astype(np.int8))
    assert ingest([folder / "few.npz"], str(folder / "s"))["rows"] == 100
    command = [COMMAND, "ingest", "many.npz", "s", "--period", "two"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    while not (folder / "s" / "n" / "c" / "1").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    (folder / "s" / "n" / "c" / ".7.abc.tmp").write_bytes(b"cut off")  # as a kill amidst a write leaves it
    return folder


def test_the_store_is_as_it_was_and_running_it_again_cleans_up(killed):
    store = EventStore.open(killed / "s")
    left = store.leftovers()
    assert store.rows == 100
    assert store.verify() == ()
    assert len(left) >= 1
    command = [COMMAND, "ingest", "many.npz", "s", "--period", "two"]
    again = subprocess.run(command, cwd=killed, capture_output=True, text=True, check=True)
    assert f"note: removed {len(left) + 1} objects (" in again.stderr
    store = EventStore.open(killed / "s")
    assert store.rows == 100 + ROWS
    assert [shard.index for shard in store.shards] == list(range(6))
    assert store.leftovers() == ()
    assert store.verify() == ()
    assert store.location.unfinished() == ()


def test_objects_of_a_writer_that_may_run_stay(tmp_path):
    np.savez(tmp_path / "few.npz", n=np.arange(100, dtype=np.int8))
    place = str(tmp_path / "s")
    ingest([tmp_path / "few.npz"], place)
    Location(place).create("n/c/5", b"12345")
    Location(run_place(place)).create(GENERATION, b"a generation that was interrupted")
    (note, _) = ingest([tmp_path / "few.npz"], place, period="two")["notes"]
    assert note.startswith("1 object (5e-06 MB) of a writer that was interrupted or still runs")
    Location(run_place(place)).remove(GENERATION)
    with Location(place).joined():
        assert not sweep(EventStore.open(place)).removed
    assert Location(place).size("n/c/5") == 5
    (note, _) = ingest([tmp_path / "few.npz"], place, period="three")["notes"]
    assert note == "removed 1 object (5e-06 MB) of a writer that was interrupted"
    assert Location(place).size("n/c/5") is None


def test_rows_that_are_committed_in_between_stay(tmp_path):
    store = EventStore.create(tmp_path / "s", {"n": ""})
    known = EventStore.open(tmp_path / "s", allow_empty=True)
    store.append(Sample("data", "data"), [{"n": np.arange(10)}])
    assert len(known.leftovers()) == 1
    assert sweep(known).objects == 0
    assert known.rows == 10
    assert known.verify() == ()


def test_a_writer_waits_for_a_sweep_and_not_for_another(tmp_path):
    EventStore.create(tmp_path / "s", {"n": ""})
    place = Location(tmp_path / "s")
    with place.joined(), place.joined(), place.alone() as alone:
        assert not alone
    with place.alone() as alone, place.alone() as second:
        assert (alone, second) == (True, False)


def test_a_bucket_has_no_locks_so_that_nothing_is_removed():
    store = EventStore.create("memory://sweep/s", {"n": ""})
    store.location.create("n/c/0", b"12345")
    found = sweep(store)
    assert (found.objects, found.removed) == (1, False)
    assert store.location.size("n/c/0") == 5
