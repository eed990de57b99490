"""One shard of one column as bytes: zarr v3 `sharding_indexed` of crc32c(blosc-lz4(shuffle(little endian))).

Written and read here without zarr-python's per-chunk machinery: that is four times faster to write and
twice as fast to read. `metadata` is what makes any zarr v3 reader understand the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import google_crc32c
import numcodecs.blosc  # type: ignore[import-untyped]  # the package has no stubs
import numpy as np

from storage.errors import StorageError

numcodecs.blosc.use_threads = False

_ENTRY, _CRC = 16, 4
_MISSING = 2**64 - 1


class Source(Protocol):
    """The part of a range reader that decoding needs."""

    size: int

    def prefetch(self, start: int, stop: int) -> None:
        """Announce a range that several reads will ask for."""

    def read(self, start: int, length: int) -> np.ndarray:
        """Return bytes as uint8."""


@dataclass(frozen=True)
class Layout:
    """How many rows a chunk and a shard hold.

    Attributes
    ----------
    chunk_rows, shard_rows : int
        Rows of an inner chunk and of a whole shard, a multiple of the former.
    """

    chunk_rows: int = 2**18
    shard_rows: int = 2**22

    def __post_init__(self) -> None:
        if self.chunk_rows < 1 or self.shard_rows < 1 or self.shard_rows % self.chunk_rows:
            raise StorageError(
                f"shards of {self.shard_rows} rows do not divide into chunks of {self.chunk_rows}: "
                "both must be positive and the first a multiple of the second"
            )

    @property
    def chunks(self) -> int:
        """Number of inner chunks of a shard."""
        return self.shard_rows // self.chunk_rows


def fill_value(dtype: np.dtype[Any]) -> float | int:
    """Return what stands behind the last row of a shard: NaN, or 0 for integers."""
    return float("nan") if dtype.kind == "f" else 0


def checksum(data: bytes | np.ndarray) -> int:
    """Return the crc32c of bytes or of the memory of a contiguous array."""
    return int(google_crc32c.value(data))


def encode(values: np.ndarray, layout: Layout) -> bytes:
    """Encode the rows of one shard; chunks without any row are not stored.

    Parameters
    ----------
    values : ndarray, shape (rows,), rows <= layout.shard_rows
        Contiguous, in the dtype of the column.
    """
    index = np.full((layout.chunks, 2), _MISSING, "<u8")
    pieces: list[bytes] = []
    offset = 0
    for number, start in enumerate(range(0, values.size, layout.chunk_rows)):
        body = _encode_chunk(values[start : start + layout.chunk_rows], layout.chunk_rows)
        pieces += [body, checksum(body).to_bytes(_CRC, "little")]
        index[number] = offset, len(body) + _CRC
        offset += len(body) + _CRC
    tail = index.tobytes()
    return b"".join([*pieces, tail, checksum(tail).to_bytes(_CRC, "little")])


def _encode_chunk(values: np.ndarray, rows: int) -> bytes:
    if values.size < rows:
        padding = np.full(rows - values.size, fill_value(values.dtype), values.dtype)
        values = np.concatenate([values, padding])
    return bytes(numcodecs.blosc.compress(values, b"lz4", 5, numcodecs.blosc.SHUFFLE, 0))


def read_index(source: Source, layout: Layout, where: str) -> list[tuple[int, int]]:
    """Return (offset, length) of every inner chunk; StorageError naming `where` if the index is damaged."""
    length = layout.chunks * _ENTRY + _CRC
    if source.size < length:
        raise StorageError(f"{where}: truncated to {source.size} bytes")
    raw = source.read(source.size - length, length)
    if checksum(raw[:-_CRC]) != int.from_bytes(raw[-_CRC:], "little"):
        raise StorageError(f"{where}: the chunk index is damaged (crc32c differs)")
    return [(int(start), int(size)) for start, size in raw[:-_CRC].view("<u8").reshape(-1, 2)]


def decode(
    source: Source, index: list[tuple[int, int]], first: int, out: np.ndarray, layout: Layout, where: str
) -> None:
    """Decode whole inner chunks from number `first` on into `out`, checking the crc32c of each.

    Parameters
    ----------
    out : ndarray, shape (n * layout.chunk_rows,)
        In the dtype of the column.

    Raises
    ------
    StorageError
        Naming `where` and the number of the chunk that is missing or damaged.
    """
    last = first + out.size // layout.chunk_rows
    spans = [span for span in index[first:last] if span[1] != _MISSING]
    if spans:
        source.prefetch(min(start for start, _ in spans), max(start + size for start, size in spans))
    for number in range(first, last):
        piece = out[(number - first) * layout.chunk_rows :][: layout.chunk_rows]
        _decode_chunk(source, index[number], piece, f"{where}: chunk {number}")


def _decode_chunk(source: Source, span: tuple[int, int], out: np.ndarray, where: str) -> None:
    start, size = span
    if size == _MISSING:
        raise StorageError(f"{where} is missing")
    if size <= _CRC or start + size > source.size:
        raise StorageError(f"{where} lies outside of the object")
    raw = source.read(start, size)
    if checksum(raw[:-_CRC]) != int.from_bytes(raw[-_CRC:], "little"):
        raise StorageError(f"{where} is damaged (crc32c differs)")
    try:
        numcodecs.blosc.decompress(raw[:-_CRC], out)
    except (RuntimeError, ValueError) as error:
        raise StorageError(f"{where} cannot be decoded ({error})") from error


def damaged_chunks(source: Source, rows: int, dtype: str, layout: Layout, where: str) -> Iterator[str]:
    """Yield a message for every inner chunk with rows that is missing or damaged."""
    index = read_index(source, layout, where)
    scratch = np.empty(layout.chunk_rows, dtype)
    for number in range(-(-rows // layout.chunk_rows)):
        try:
            decode(source, index, number, scratch, layout, where)
        except StorageError as error:
            yield str(error)


def metadata(dtype: str, unit: str, rows: int, layout: Layout) -> dict[str, Any]:
    """Return the zarr v3 metadata of a column of `rows` rows."""
    kind = np.dtype(dtype)
    little = (
        {"name": "bytes", "configuration": {"endian": "little"}} if kind.itemsize > 1 else {"name": "bytes"}
    )
    blosc = {"typesize": kind.itemsize, "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}
    inner = [
        little if kind.itemsize > 1 else {"name": "bytes"},
        {"name": "blosc", "configuration": blosc},
        {"name": "crc32c"},
    ]
    index = [little, {"name": "crc32c"}]
    sharding = {
        "chunk_shape": [layout.chunk_rows],
        "codecs": inner,
        "index_codecs": index,
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [rows],
        "data_type": kind.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [layout.shard_rows]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN" if kind.kind == "f" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {"units": unit},
        "dimension_names": ["row"],
        "storage_transformers": [],
    }
