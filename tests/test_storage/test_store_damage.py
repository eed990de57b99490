"""Event stores that are damaged, interrupted or out of space: always a message, never a wrong number."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from storage.errors import StorageError
from storage.events import EventStore
from storage.samples import Sample

DATA = Sample(name="data", kind="data", period="one", luminosity=10.0)
NAMES = ("m", "event")


def rows(count: int, start: int = 0) -> dict[str, np.ndarray]:
    number = np.arange(start, start + count)
    return {"m": np.sqrt(number), "event": number}


def made(path: Path) -> EventStore:
    store = EventStore.create(str(path), dict.fromkeys(NAMES, ""), chunk_rows=16, shard_rows=64)
    store.append(DATA, [rows(150)])
    return store


def contents(store: EventStore) -> dict[str, bytes]:
    return {
        name: b"".join(store.read(shard.index, [name])[name].tobytes() for shard in store.shards)
        for name in NAMES
    }


def noticed(path: Path, expected: dict[str, bytes]) -> str:
    """Return what open and verify say; whatever a read gives meanwhile must be right or an error."""
    try:
        store = EventStore.open(path)
    except StorageError as error:
        return str(error)
    with suppress(StorageError):
        assert contents(store) == expected
    return "\n".join(str(problem) for problem in store.verify())


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return made(tmp_path / "s")


def files(store: EventStore) -> list[Path]:
    assert store.location.path is not None
    return sorted(
        path for path in store.location.path.rglob("*") if path.is_file() and not path.name.endswith(".lock")
    )


def test_every_flipped_byte_of_every_file_is_named(store: EventStore, tmp_path: Path) -> None:
    expected = contents(store)
    generator = np.random.default_rng(1)
    tried = 0
    for path in files(store):
        original = path.read_bytes()
        positions = {0, len(original) - 1, *generator.integers(0, len(original), 25).tolist()}
        for position in sorted(positions):
            flipped = bytearray(original)
            flipped[position] ^= 1 << int(generator.integers(8))
            path.write_bytes(flipped)
            assert str(path) in noticed(tmp_path / "s", expected), (path, position)
            tried += 1
        path.write_bytes(original)
    assert tried > 200
    assert noticed(tmp_path / "s", expected) == ""


@pytest.mark.parametrize("pipeline", ["direct", "zarrs", "zarr"])
def test_a_read_never_returns_a_flipped_chunk(store: EventStore, tmp_path: Path, pipeline: str) -> None:
    path = tmp_path / "s" / "m" / "c" / "1"
    original = path.read_bytes()
    for position in range(0, len(original), 7):
        flipped = bytearray(original)
        flipped[position] ^= 4
        path.write_bytes(flipped)
        opened = EventStore.open(tmp_path / "s", pipeline=pipeline)
        with pytest.raises(StorageError, match="m/c/1"):
            opened.read(1, ["m"])
        assert len(opened.read(0, ["m"])["m"]) == 64


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(b""),
    ],
    ids=["missing", "truncated", "emptied"],
)
def test_missing_and_truncated_files_are_named(
    store: EventStore, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    expected = contents(store)
    for path in files(store):
        original = path.read_bytes()
        damage(path)
        assert str(path.parent if path.name == "manifest.json" else path) in noticed(tmp_path / "s", expected)
        path.write_bytes(original)


@pytest.mark.parametrize("pipeline", ["direct", "zarrs", "zarr"])
def test_a_deleted_chunk_is_an_error_and_no_fill_value(
    store: EventStore, tmp_path: Path, pipeline: str
) -> None:
    (tmp_path / "s" / "m" / "c" / "1").unlink()
    opened = EventStore.open(tmp_path / "s", pipeline=pipeline)
    with pytest.raises(StorageError, match=r"m/c/1: column m of shard 1 is missing; run `darkscan verify`"):
        opened.read(1, ["m"], 3, 5)
    with pytest.raises(StorageError, match="shard 1 is missing"):
        list(opened.iterate(["m"]))


def test_exchanged_shards_are_noticed(store: EventStore, tmp_path: Path) -> None:
    column = tmp_path / "s" / "event" / "c"
    shutil.copy(column / "0", column / "1")
    (problem,) = store.verify()
    assert "event/c/1" in problem.message
    assert problem.path == str(column / "1")


def test_all_damage_is_listed(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "s" / "m" / "c" / "0").unlink()
    path = tmp_path / "s" / "event" / "c" / "1"
    flipped = bytearray(path.read_bytes())
    flipped[10] ^= 1
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    messages = [problem.message for problem in store.verify()]
    assert len(messages) == 3
    assert "column m of shard 0 is missing" in messages[0]
    assert "event/c/1: chunk 0 is damaged" in messages[1]
    assert "event/c/1: chunk" in messages[2]


def test_metadata_can_be_rebuilt(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "s" / "m" / "zarr.json").write_text("{}")
    (problem,) = store.verify()
    assert "rebuild_metadata" in problem.message
    store.rebuild_metadata()
    assert store.verify() == ()


def test_an_unknown_schema_is_refused(store: EventStore, tmp_path: Path) -> None:
    path = tmp_path / "s" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 99'))
    with pytest.raises(StorageError, match="schema version 99, this darkscan reads version 1"):
        EventStore.open(tmp_path / "s")


APPEND = """
import os, signal, sys
import numpy as np
from storage.events import EventStore
from storage.samples import Sample
number = np.arange(64)
def batches():
    for part in range(3):
        yield {"m": np.sqrt(number), "event": number}
    os.kill(os.getpid(), signal.SIGKILL)
EventStore.open(sys.argv[1]).append(Sample(name="data", kind="data", period="two", luminosity=1.0), batches())
"""


def test_a_kill_before_the_swap_leaves_the_old_store(store: EventStore, tmp_path: Path) -> None:
    expected = contents(store)
    run = subprocess.run([sys.executable, "-c", APPEND, str(tmp_path / "s")], check=False)
    assert run.returncode == -signal.SIGKILL
    opened = EventStore.open(tmp_path / "s")
    assert contents(opened) == expected
    assert opened.digest == store.digest
    assert opened.verify() == ()
    assert len(opened.leftovers()) == 6
    opened.append(Sample(name="data", kind="data", period="two", luminosity=1.0), [rows(10)])
    assert [shard.index for shard in opened.shards] == [0, 1, 2, 6]
    assert opened.verify() == ()
    opened.remove_leftovers()
    assert opened.verify() == ()
    assert opened.leftovers() == ()


MANY = """
import sys
import numpy as np
from storage.events import EventStore
from storage.samples import Sample
store = EventStore.open(sys.argv[1])
print("ready", flush=True)
for number in range(10**6):
    sample = Sample(name="mc", kind="simulation", period=f"{sys.argv[2]}-{number}")
    store.append(sample, [{"m": np.ones(70), "event": np.arange(70)}])
"""


def test_kills_at_any_time_leave_whole_samples(store: EventStore, tmp_path: Path) -> None:
    for attempt in range(6):
        command = [sys.executable, "-c", MANY, str(tmp_path / "s"), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.03 + 0.037 * attempt)
            process.kill()
        opened = EventStore.open(tmp_path / "s")
        per_sample = [0] * len(opened.samples)
        for shard in opened.shards:
            per_sample[shard.sample] += shard.rows
        assert per_sample == [150] + [70] * (len(opened.samples) - 1)
        assert opened.verify() == ()


LIMITED = """
import resource, sys
import numpy as np
from storage.errors import StorageError
from storage.events import EventStore
from storage.samples import Sample
store = EventStore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    store.append(
        Sample(name="more", kind="data", period="two", luminosity=1.0),
        [{"m": np.random.default_rng(1).random(600), "event": np.arange(600)}],
    )
except StorageError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_committed_rows(tmp_path: Path) -> None:
    store = EventStore.create(str(tmp_path / "s"), dict.fromkeys(NAMES, ""), chunk_rows=512, shard_rows=512)
    store.append(DATA, [rows(600)])
    expected = contents(store)
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    assert "no space left" in run.stdout
    assert "everything committed before is kept" in run.stdout
    opened = EventStore.open(tmp_path / "s")
    assert contents(opened) == expected
    assert opened.verify() == ()
    assert not [path for path in files(opened) if path.name.endswith(".tmp")]
