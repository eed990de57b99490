"""Incoming columns -> checked arrays in the dtype of the store, and what a manifest says about them."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from storage.errors import StorageError
from storage.manifest import ColumnInfo, ColumnRecord
from storage.shards import checksum

IDENTIFIERS = ("event", "run")
DTYPES = (
    "float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()  # noqa: SIM905 - one readable line
)
POLICIES = ("stop", "keep")


class Batch(dict[str, np.ndarray]):
    """Columns of equal length that know the file and the first row they came from, for messages."""

    def __init__(self, columns: Mapping[str, np.ndarray], origin: str = "", first_row: int = 0) -> None:
        super().__init__(columns)
        self.origin, self.first_row = origin, first_row


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint with the names nearest to `name` and the list of all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}there are: {', '.join(known) if known else 'none'}"


def checked_columns(columns: Mapping[str, str], dtypes: Mapping[str, str]) -> dict[str, ColumnInfo]:
    """Check names and dtypes of the columns of a new store."""
    if not columns:
        raise StorageError("a store needs at least one column")
    for name in columns:
        if not (name.isidentifier() and name.isascii() and len(name) <= 100):
            raise StorageError(f"column {name!r}: names are letters, digits and _, so that cuts can use them")
    for name, dtype in dtypes.items():
        if name not in columns:
            raise StorageError(f"dtype for an unknown column {name}: {near(name, columns)}")
        if dtype not in DTYPES:
            raise StorageError(f"column {name}: dtype {dtype!r}; allowed are {', '.join(DTYPES)}")
    return {name: ColumnInfo(columns[name], dtypes.get(name, "")) for name in sorted(columns)}


def natural_dtype(name: str, values: np.ndarray) -> str:
    """Return the dtype that a column gets from its first rows: float32, or integers as they are."""
    if name in IDENTIFIERS and values.dtype.kind in "iuf":
        return "int64"
    if values.dtype.kind == "f":
        return "float32"
    if values.dtype.kind == "b":
        return "uint8"
    if values.dtype.kind in "iu":
        return str(values.dtype.newbyteorder("=").name)
    raise StorageError(f"column {name}: values of type {values.dtype} are no numbers; leave the column out")


def checked_batch(batch: Mapping[str, np.ndarray], columns: Mapping[str, ColumnInfo]) -> int:
    """Check names and lengths of a batch and return its number of rows."""
    origin = getattr(batch, "origin", "")
    where = f"{origin}: " if origin else ""
    for name in columns:
        if name not in batch:
            raise StorageError(f"{where}column {name} is missing: {near(name, batch)}")
    for name in batch:
        if name not in columns:
            raise StorageError(f"{where}column {name} is not in the store: {near(name, columns)}")
    shapes = {name: np.shape(values) for name, values in batch.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise StorageError(
            f"{where}columns must be one-dimensional and of equal length, but have shapes {shapes}"
        )
    return int(next(iter(shapes.values()))[0])


class Converter:
    """Turns batches into columns in the dtypes of a store, which the first rows decide where they are open.

    Parameters
    ----------
    columns : mapping of str to ColumnInfo
        The columns of the store.
    policy : {"stop", "keep"}
        What to do with NaN and infinite values: stop, or store and count them.
    """

    def __init__(self, columns: Mapping[str, ColumnInfo], policy: str = "stop") -> None:
        if policy not in POLICIES:
            raise StorageError(f"non_finite = {policy!r}; allowed are {', '.join(POLICIES)}")
        self._columns, self._policy, self._rows = columns, policy, 0
        self._dtypes = {name: info.dtype for name, info in columns.items()}

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the converted columns, shape (n,) each.

        Raises
        ------
        StorageError
            Naming file, column and row of a value that is not finite (policy "stop"), overflows, or does
            not fit an integer column; also for missing, unknown or unequally long columns.
        """
        rows = checked_batch(batch, self._columns)
        origin, first = getattr(batch, "origin", ""), getattr(batch, "first_row", self._rows)
        self._rows += rows
        result = {}
        for name in self._columns:
            values = np.asarray(batch[name])
            if rows and not self._dtypes[name]:
                self._dtypes[name] = natural_dtype(name, values)
            where = f"{origin}: column {name}" if origin else f"column {name}"
            result[name] = convert(values, self._dtypes[name] or "float32", self._policy, where, first)
        return result


def convert(values: np.ndarray, dtype: str, policy: str, where: str, first_row: int) -> np.ndarray:
    """Convert values to `dtype` without changing any of them unnoticed, but for the rounding to float32."""
    if values.dtype.kind not in "iufb":
        raise StorageError(f"{where}: values of type {values.dtype} are no numbers; leave the column out")
    with np.errstate(over="ignore", invalid="ignore"):
        stored = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    if values.dtype.kind == "f" and policy == "stop":
        remedy = "is not finite; correct it, or keep and count such values (--non-finite keep)"
        _refuse(~np.isfinite(values), values, where, first_row, remedy)
    if stored.dtype.kind == "f":
        lost = np.isinf(stored) & np.isfinite(values)
        _refuse(lost, values, where, first_row, f"does not fit {dtype}; ask for float64")
        if values.dtype.kind in "iu":
            _refuse(_rounded(stored, values), values, where, first_row, f"does not fit {dtype}")
    elif stored.dtype != values.dtype:
        _refuse(_changed(stored, values), values, where, first_row, f"is no {dtype}; ask for float64")
    return stored


def _rounded(stored: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Tell where a float column would round an integer."""
    with np.errstate(invalid="ignore"):
        return np.asarray(stored.astype(values.dtype) != values)


def _changed(stored: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Tell where an integer column would not hold exactly the value that came."""
    if values.dtype.kind == "f":
        limits = np.iinfo(stored.dtype)
        inside = (values >= float(limits.min)) & (values < float(limits.max) + 1.0)
        return np.asarray(~(inside & (np.abs(values) <= 2.0**53) & (stored.astype(np.float64) == values)))
    return np.asarray((stored != values) | ((stored < 0) != (values < 0)))


def _refuse(bad: np.ndarray, values: np.ndarray, place: str, first_row: int, reason: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        more = int(bad.sum()) - 1
        others = f" (and {more} more below)" if more else ""
        raise StorageError(f"{place}, row {first_row + row}: {values[row]!s} {reason}{others}")


def record(values: np.ndarray, size: int) -> ColumnRecord:
    """Return what the manifest keeps of one column of one shard, whose object has `size` bytes."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low: Any = finite.min().item() if finite.size else None
    high: Any = finite.max().item() if finite.size else None
    return ColumnRecord(checksum(values.view(np.uint8)), size, low, high, values.size - finite.size)
