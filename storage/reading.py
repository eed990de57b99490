"""Stored shards -> columns, with every byte that is read checked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Protocol

import numpy as np

from storage.errors import StorageError
from storage.locations import Location
from storage.manifest import ColumnInfo, Shard
from storage.presence import REMEDY, check_object, object_name
from storage.shards import Layout, decode, read_index


class ColumnReader(Protocol):
    """One column of one shard, open for reading whole inner chunks."""

    def decode(self, first: int, out: np.ndarray) -> None:
        """Fill `out`, shape (n * chunk_rows,), with the chunks from number `first` on."""

    def close(self) -> None:
        """Release the object."""


class DirectReader:
    """Decodes with `storage.shards`."""

    def __init__(self, location: Location, column: str, shard: Shard, layout: Layout) -> None:
        self._where = check_object(location, column, shard)
        self._layout = layout
        self._named = f"column {column} of shard {shard.index}"
        self._source = location.open_range(object_name(column, shard.index))
        try:
            self._index = read_index(self._source, layout, self._where)
        except StorageError as error:
            raise StorageError(f"{error}; {self._named}; {REMEDY}") from error

    def decode(self, first: int, out: np.ndarray) -> None:
        """Fill `out`, shape (n * chunk_rows,), with the chunks from number `first` on."""
        try:
            decode(self._source, self._index, first, out, self._layout, self._where)
        except StorageError as error:
            raise StorageError(f"{error}; {self._named}; {REMEDY}") from error

    def close(self) -> None:
        """Close the object."""
        self._source.close()


def reader_of(pipeline: str) -> Any:
    """Return the ColumnReader class of `direct`, or of zarr-python with `zarrs` or its own codecs."""
    if pipeline == "direct":
        return DirectReader
    from storage.pipelines import PIPELINES

    if pipeline not in PIPELINES:
        raise StorageError(f"unknown pipeline {pipeline!r}; allowed are direct, {', '.join(PIPELINES)}")
    return PIPELINES[pipeline]


def read_shard(
    location: Location,
    columns: Mapping[str, ColumnInfo],
    layout: Layout,
    shard: Shard,
    span: tuple[int, int],
    pipeline: str,
) -> dict[str, np.ndarray]:
    """Return rows span[0] <= row < span[1] of one shard."""
    start, stop = span
    if not 0 <= start <= stop <= shard.rows:
        raise StorageError(f"rows {start} to {stop} of shard {shard.index}, which has {shard.rows} rows")
    first = start // layout.chunk_rows
    origin = first * layout.chunk_rows
    count = -(-(stop - origin) // layout.chunk_rows)
    result = {}
    for name, info in columns.items():
        out = np.empty(count * layout.chunk_rows, info.dtype)
        with closing(reader_of(pipeline)(location, name, shard, layout)) as reader:
            reader.decode(first, out)
        result[name] = out[start - origin : stop - origin]
    return result


def iterate_shards(
    location: Location,
    columns: Mapping[str, ColumnInfo],
    layout: Layout,
    shards: Sequence[Shard],
    rows: int,
    pipeline: str,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield blocks of at most `rows` rows in order, as views into buffers that every step fills again."""
    if not shards:
        return
    chunks = max(1, rows // layout.chunk_rows)
    buffers = {name: np.empty(chunks * layout.chunk_rows, info.dtype) for name, info in columns.items()}
    make = reader_of(pipeline)
    for shard in shards:
        with ExitStack() as stack:
            readers = {n: stack.enter_context(closing(make(location, n, shard, layout))) for n in columns}
            for first in range(0, -(-shard.rows // layout.chunk_rows), chunks):
                start = first * layout.chunk_rows
                stop = min(shard.rows, start + chunks * layout.chunk_rows)
                decoded = -(-(stop - start) // layout.chunk_rows) * layout.chunk_rows
                for name, reader in readers.items():
                    reader.decode(first, buffers[name][:decoded])
                for low in range(0, stop - start, rows):
                    high = min(stop - start, low + rows)
                    yield {name: buffer[low:high] for name, buffer in buffers.items()}
