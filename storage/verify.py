"""The full check of an event store: every byte of every object, and what the manifest says of it."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from storage.columns import record
from storage.errors import StorageError
from storage.locations import Location
from storage.manifest import ColumnInfo, Manifest, Shard
from storage.presence import check_object, object_name
from storage.reading import read_shard
from storage.shards import damaged_chunks, metadata


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the path of the object and a message that says what."""

    path: str
    message: str

    def __str__(self) -> str:
        return self.message


def group_metadata() -> bytes:
    """Return the zarr v3 metadata of the group."""
    return _text({"zarr_format": 3, "node_type": "group", "attributes": {"title": "darkscan event store"}})


def column_metadata(manifest: Manifest, name: str) -> bytes:
    """Return the zarr v3 metadata of a column as the manifest implies it."""
    return _column_text(manifest, name, manifest.extent)


def _column_text(manifest: Manifest, name: str, rows: int) -> bytes:
    info = manifest.columns[name]
    return _text(metadata(info.dtype or "float32", info.unit, rows, manifest.layout))


def metadata_objects(manifest: Manifest) -> dict[str, bytes]:
    """Return all zarr metadata of a store by name."""
    arrays = {f"{name}/zarr.json": column_metadata(manifest, name) for name in manifest.columns}
    return {"zarr.json": group_metadata(), **arrays}


def verify_store(location: Location, manifest: Manifest) -> tuple[Problem, ...]:
    """Read everything and name every object that is missing, torn, truncated or changed."""
    problems = list(_metadata_problems(location, manifest))
    for shard in manifest.shards:
        for name, info in manifest.columns.items():
            where = location.describe(object_name(name, shard.index))
            messages = _column_problems(location, manifest, shard, name, info)
            problems += [Problem(where, message) for message in messages]
    return tuple(problems)


def _metadata_problems(location: Location, manifest: Manifest) -> Iterator[Problem]:
    for name, expected in metadata_objects(manifest).items():
        where = location.describe(name)
        if location.size(name) is None:
            yield Problem(where, f"{where}: zarr metadata is missing; {_REBUILD}")
        elif not _agrees(location, manifest, name, location.read(name), expected):
            yield Problem(where, f"{where}: zarr metadata differs from what the manifest implies; {_REBUILD}")


def _agrees(location: Location, manifest: Manifest, name: str, text: bytes, expected: bytes) -> bool:
    """Tell whether metadata are as expected, or announce shards that are written but not yet committed."""
    column = name.rpartition("/")[0]
    if text == expected or not column:
        return text == expected
    try:
        rows = int(json.loads(text)["shape"][0])
    except (ValueError, KeyError, IndexError, TypeError):
        return False
    index = (rows - 1) // manifest.layout.shard_rows
    pending = rows > manifest.extent and location.exists(object_name(column, index))
    return pending and text == _column_text(manifest, column, rows)


_REBUILD = "the data are not touched: open the store for writing and call `rebuild_metadata`"


def _column_problems(
    location: Location, manifest: Manifest, shard: Shard, name: str, info: ColumnInfo
) -> Iterator[str]:
    layout = manifest.layout
    try:
        where = check_object(location, name, shard)
        with closing(location.open_range(object_name(name, shard.index))) as source:
            damaged = list(damaged_chunks(source, shard.rows, info.dtype, layout, where))
        if damaged:
            yield from damaged
            return
        values = read_shard(location, {name: info}, layout, shard, (0, shard.rows), "direct")[name]
    except StorageError as error:
        yield str(error)
        return
    known = shard.columns[name]
    if record(np.ascontiguousarray(values), known.size) != known:
        yield f"{where}: the values are not those that were written (crc32c differs)"


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"
