"""Parquet, as a stream of row batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.readers.table import Options, Piece, Table, decoding

_BUFFER = 2**20


def open_parquet(path: Path, options: Options) -> Table:  # noqa: ARG001 - every reader has this signature
    """Open a Parquet file; columns of lists, texts and times are not read."""
    with decoding(path, "Parquet", pa.ArrowException, OSError), _opened(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    kinds = dict(zip(schema.names, schema.types, strict=True))
    numeric = tuple(name for name, kind in kinds.items() if _is_number(kind))
    other = {name: f"holds {kind}, no plain numbers" for name, kind in kinds.items() if name not in numeric}

    def stream(names: Sequence[str], count: int) -> Iterator[Piece]:
        with decoding(path, "Parquet", pa.ArrowException, OSError), _opened(path) as opened:
            for batch in opened.iter_batches(count, columns=list(names), use_threads=False):
                yield Piece({name: batch.column(name).to_numpy(zero_copy_only=False) for name in names})

    return Table(path, "parquet", numeric, stream, other, rows)


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
