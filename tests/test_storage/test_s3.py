"""The same promises on S3, against a server of moto where it is installed."""

import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

from storage import cubes
from storage.errors import ConflictError, NonDeterminismError, StorageError
from storage.events import EventStore
from storage.locations import Location
from storage.parts import PartStore
from storage.samples import Sample

server = pytest.importorskip("moto.server", reason="needs moto[server], which is not among the requirements")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/scan", method="PUT")).close()
        yield "s3://scan"
    running.stop()


def test_create_swap_replace(bucket: str) -> None:
    place = Location(f"{bucket}/locations")
    place.probe()
    assert place.create("a/b", b"1")
    assert not place.create("a/b", b"1")
    with pytest.raises(ConflictError):
        place.create("a/b", b"2")
    place.swap("m", None, b"1")
    place.swap("m", b"1", b"2")
    for old in (None, b"1"):
        with pytest.raises(ConflictError, match="another writer"):
            place.swap("m", old, b"3")
    place.replace("m", b"4")
    assert place.list() == ("a/b", "m")
    assert place.read("m") == b"4"
    place.remove("m")
    assert place.list("a") == ("a/b",)
    with pytest.raises(StorageError, match="s3://scan/locations/none: does not exist"):
        place.read("none")


def test_a_missing_bucket_is_named(bucket: str) -> None:
    with pytest.raises(StorageError, match="s3://nowhere/x/a"):
        Location("s3://nowhere/x").create("a", b"")


def test_an_event_store(bucket: str) -> None:
    store = EventStore.create(f"{bucket}/events", {"m": "GeV", "event": ""}, chunk_rows=64, shard_rows=256)
    number = np.arange(700)
    for period in ("one", "two"):
        sample = Sample(name="data", kind="data", period=period, luminosity=1.0)
        store.append(sample, [{"m": np.sqrt(number), "event": number}])
    for pipeline in ("direct", "zarr"):
        opened = EventStore.open(f"{bucket}/events", pipeline=pipeline)
        blocks = [block["event"].copy() for block in opened.iterate(["event"], rows=128)]
        np.testing.assert_array_equal(np.concatenate(blocks), np.tile(number, 2))
        assert opened.read(1, ["event"], 5, 9)["event"].tolist() == [261, 262, 263, 264]
    assert opened.verify() == ()
    assert opened.luminosity == 2.0
    with pytest.raises(StorageError, match="pipeline zarrs reads local files only"):
        EventStore.open(f"{bucket}/events", pipeline="zarrs").read(0)
    place = Location(f"{bucket}/events")
    place.remove("m/c/1")
    data = bytearray(place.read("event/c/0"))
    data[50] ^= 1
    place.replace("event/c/0", bytes(data))
    messages = [problem.message for problem in opened.verify()]
    assert len(messages) == 2
    for pipeline in ("direct", "zarr"):
        damaged = EventStore.open(f"{bucket}/events", pipeline=pipeline)
        with pytest.raises(StorageError, match="s3://scan/events/m/c/1: column m of shard 1 is missing"):
            damaged.read(1)
        with pytest.raises(StorageError, match="s3://scan/events/event/c/0"):
            damaged.read(0)


def test_parts_and_cubes(bucket: str) -> None:
    parts = PartStore(f"{bucket}/parts")
    assert parts.commit("a", {"x": np.arange(3.0)})
    assert not parts.commit("a", {"x": np.arange(3.0)})
    with pytest.raises(NonDeterminismError):
        parts.commit("a", {"x": np.arange(4.0)})
    assert parts.keys() == ("a",)
    assert parts.damaged() == ()
    cube = xr.Dataset({"limit": ("m", np.arange(3.0))}, coords={"m": [1.0, 2.0, 3.0]})
    digest = cubes.write(cube, f"{bucket}/cube")
    assert cubes.digest(cubes.open(f"{bucket}/cube")) == digest
    Location(f"{bucket}/cube").remove("limit/c/0")
    with pytest.raises(StorageError, match="limit/c/0: is missing"):
        cubes.open(f"{bucket}/cube")
