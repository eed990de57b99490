"""NumPy files, as a stream: structured `.npy`, plain `.npy` with names given, and `.npz` of columns."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from storage.errors import StorageError
from storage.readers.table import Columns, Options, Piece, Table, decoding

_ERRORS = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError)


def open_npy(path: Path, options: Options) -> Table:
    """Open a structured array, or a plain one whose columns `options.header` names."""
    with decoding(path, "NumPy array", *_ERRORS), path.open("rb") as file:
        shape, dtype, fortran = _array_header(file)
        offset = file.tell()
        expected = offset + math.prod(shape) * dtype.itemsize
        if path.stat().st_size < expected:
            raise EOFError(f"{path.stat().st_size} bytes, {expected} are announced")
    record = _record(path, shape, dtype, fortran, options.header)
    kinds = {name: record.fields[name][0] for name in record.names or ()} if record.fields else {}
    numeric = tuple(name for name, kind in kinds.items() if _is_number(kind))
    other = {name: f"holds {kind}, no plain numbers" for name, kind in kinds.items() if name not in numeric}

    def stream(names: Sequence[str], rows: int) -> Iterator[Piece]:
        with decoding(path, "NumPy array", *_ERRORS), path.open("rb") as opened:
            opened.seek(offset)
            for start in range(0, shape[0], rows):
                block = _read(opened, record, min(rows, shape[0] - start))
                yield Piece({name: np.ascontiguousarray(block[name]) for name in names})

    return Table(path, "npy", numeric, stream, other, shape[0])


def open_npz(path: Path, options: Options) -> Table:  # noqa: ARG001 - every reader has this signature
    """Open an archive of one-dimensional arrays of equal length, compressed or not."""
    with decoding(path, "NumPy archive", *_ERRORS), zipfile.ZipFile(path) as archive:
        headers = {}
        for member in archive.namelist():
            with archive.open(member) as file:
                headers[member.removesuffix(".npy")] = _array_header(file)[:2]
    numeric = tuple(n for n, (shape, dtype) in headers.items() if len(shape) == 1 and _is_number(dtype))
    other = {n: f"has type {d} and shape {s}, no column" for n, (s, d) in headers.items() if n not in numeric}
    lengths = {name: headers[name][0][0] for name in numeric}

    def stream(names: Sequence[str], rows: int) -> Iterator[Piece]:
        if len({lengths[name] for name in names}) != 1:
            raise StorageError(
                f"{path}: columns differ in length: { {name: lengths[name] for name in names} }"
            )
        total = lengths[names[0]]
        with decoding(path, "NumPy archive", *_ERRORS), ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(path))
            files = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in names}
            kinds = {name: _array_header(file)[1] for name, file in files.items()}
            for start in range(0, total, rows):
                count = min(rows, total - start)
                columns = {name: _read(file, kinds[name], count) for name, file in files.items()}
                if start + count == total:
                    _check_ends(files)
                yield Piece(columns)

    return Table(path, "npz", numeric, stream, other, next(iter(lengths.values()), 0))


def _check_ends(files: dict[str, IO[bytes]]) -> None:
    """Read past the end of each member, where the archive's checksum is compared."""
    for name, file in files.items():
        if file.read(1):
            raise EOFError(f"{name} is longer than announced")


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format is not supported")
    shape, fortran, dtype = readers[version](file)
    return shape, dtype, fortran


def _record(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool, header: tuple[str, ...] | None
) -> np.dtype[Any]:
    """Return the type of a row as a record of columns."""
    if dtype.names and len(shape) == 1:
        return dtype
    columns = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 and not fortran else 0
    if not header or len(header) != columns or dtype.names:
        raise StorageError(
            f"{path}: shape {shape} of {dtype} is no table; save a structured array or a .npz of columns, "
            "or give one name for each column of a plain C-ordered array"
        )
    return np.dtype([(name, dtype) for name in header])


def _read(file: IO[bytes], dtype: np.dtype[Any], count: int) -> np.ndarray:
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise EOFError("ends early")
    return np.frombuffer(data, dtype)


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.shape == () and dtype.itemsize <= 8


__all__ = ["Columns", "open_npy", "open_npz"]
