"""CSV and other delimited text, as a stream."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from storage.errors import StorageError
from storage.readers.table import Options, Piece, Table, decoding

BLOCK = 2**22
DELIMITERS = ",;\t| "
_COLUMN = re.compile(r"CSV column #(\d+)")


class _File:
    """A delimited file whose header has been understood."""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        first = _first_line(path)
        self.delimiter = options.delimiter or _delimiter(first)
        self.names = list(options.header or _header(path, first, self.delimiter))
        self.skip = 0 if options.header else 1
        for name in self.names:
            if self.names.count(name) > 1 or not name:
                raise StorageError(f"{path}: the header has {name!r} twice or empty; give the names yourself")

    def open(self, types: Mapping[str, Any], names: Sequence[str] | None = None) -> pacsv.CSVStreamingReader:
        """Start a stream of the named columns, or of all."""
        return pacsv.open_csv(
            self.path,
            pacsv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=self.names, skip_rows=self.skip
            ),
            pacsv.ParseOptions(delimiter=self.delimiter),
            pacsv.ConvertOptions(column_types=dict(types), include_columns=list(names or [])),
        )

    def schema(self) -> dict[str, Any]:
        """Return the type of each column, judged by the first block."""
        with self.open({}) as reader:
            return dict(zip(reader.schema.names, reader.schema.types, strict=True))

    def whole_numbers(self, types: Mapping[str, Any]) -> dict[str, Any]:
        """Read on those columns that begin with whole numbers: one with a later fraction is float64."""
        settled = dict(types)
        while names := [name for name, kind in settled.items() if pa.types.is_integer(kind)]:
            try:
                with self.open(settled, names) as reader:
                    for _ in reader:
                        pass
            except pa.ArrowInvalid as error:
                found = _COLUMN.search(str(error))
                if not found or self.names[int(found[1])] not in names:
                    raise
                settled[self.names[int(found[1])]] = pa.float64()
            else:
                break
        return settled


def open_text(path: Path, options: Options) -> Table:
    """Open a delimited text file with a header line, or with names in `options.header`."""
    with decoding(path, "delimited text", pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, csv.Error):
        file = _File(path, options)
        schema = {
            name: pa.float64() if pa.types.is_null(kind) else kind for name, kind in file.schema().items()
        }
    numeric = tuple(name for name, kind in schema.items() if _is_number(kind))
    other = {name: f"holds {kind}, no numbers" for name, kind in schema.items() if name not in numeric}

    def stream(names: Sequence[str], rows: int) -> Iterator[Piece]:
        with decoding(path, "delimited text", pa.ArrowInvalid, pa.ArrowKeyError):
            types = {name: schema[name] for name in names}
            if path.stat().st_size > BLOCK:
                types = file.whole_numbers(types)
            with file.open(types, names) as reader:
                for batch in reader:
                    for start in range(0, batch.num_rows, rows):
                        yield _piece(batch.slice(start, rows), names)

    return Table(path, "csv", numeric, stream, other)


def _piece(batch: Any, names: Sequence[str]) -> Piece:
    return Piece({name: batch.column(name).to_numpy(zero_copy_only=False) for name in names})


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline(2**20).rstrip("\r\n")
    if not line.strip():
        raise StorageError(f"{path}: the first line is empty; a header line with the column names is needed")
    return line


def _delimiter(line: str) -> str:
    """Return the most frequent of the usual delimiters, earlier ones first."""
    return max(DELIMITERS, key=lambda mark: (line.count(mark), -DELIMITERS.index(mark)))


def _header(path: Path, line: str, delimiter: str) -> list[str]:
    names = [name.strip() for name in next(csv.reader([line.lstrip("# ")], delimiter=delimiter))]
    if any(_looks_numeric(name) for name in names):
        raise StorageError(
            f"{path}: the first line {line[:60]!r} holds numbers, no header; give the column names"
        )
    return names


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in {"nan", "inf", "infinity"}
