"""The same shards read by zarr-python, with the zarrs codec pipeline or with its own."""

from contextlib import suppress
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore, ObjectStore, StorePath

from storage.errors import StorageError
from storage.locations import Location
from storage.manifest import Shard
from storage.objects import connect
from storage.presence import REMEDY, check_object
from storage.shards import Layout, metadata


def zarr_store(location: Location, *, read_only: bool = True) -> Any:
    """Return the zarr store of a location."""
    if location.path is not None:
        return LocalStore(location.path, read_only=read_only)
    scheme, _, rest = location.url.partition("://")
    bucket, _, prefix = rest.partition("/")
    return ObjectStore(connect(scheme, bucket, prefix), read_only=read_only)


class ZarrReader:
    """Decodes with zarr-python; whole inner chunks only, since a part of one is read without its crc32c."""

    codecs = "zarr.core.codec_pipeline.BatchedCodecPipeline"

    def __init__(self, location: Location, column: str, shard: Shard, layout: Layout) -> None:
        self._where = check_object(location, column, shard)
        self._first, self._layout = shard.index * layout.shard_rows, layout
        described = metadata(shard.dtypes[column], "", self._first + layout.shard_rows, layout)
        path = StorePath(zarr_store(location), column)
        with zarr.config.set({"codec_pipeline.path": self.codecs, "threading.max_workers": 1}):
            self._array = zarr.Array.from_dict(path, described)

    def decode(self, first: int, out: np.ndarray) -> None:
        """Fill `out`, shape (n * chunk_rows,), with the chunks from number `first` on."""
        start = self._first + first * self._layout.chunk_rows
        try:
            out[:] = self._array[start : start + out.size]
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise StorageError(f"{self._where}: cannot be read ({error}); {REMEDY}") from error

    def close(self) -> None:
        """Let go of the array."""
        with suppress(AttributeError):
            del self._array


class ZarrsReader(ZarrReader):
    """Decodes with zarr-python and the zarrs codec pipeline; local files only.

    zarrs opens buckets by itself and loses the options of the connection, such as plain HTTP.
    """

    codecs = "zarrs.ZarrsCodecPipeline"

    def __init__(self, location: Location, column: str, shard: Shard, layout: Layout) -> None:
        if location.path is None:
            raise StorageError(
                f"{location.describe()}: pipeline zarrs reads local files only; take direct or zarr"
            )
        super().__init__(location, column, shard, layout)


PIPELINES = {"zarrs": ZarrsReader, "zarr": ZarrReader}
