"""The record of an event store: columns, samples and shards, with a checksum of its own."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from storage.errors import StorageError
from storage.samples import Sample
from storage.shards import Layout

FORMAT = "darkscan event store"
SCHEMA = 1


@dataclass(frozen=True)
class ColumnInfo:
    """Unit and dtype of a column; the dtype is empty until the first rows decide it."""

    unit: str
    dtype: str = ""


@dataclass(frozen=True)
class ColumnRecord:
    """One column of one shard.

    Attributes
    ----------
    crc : int
        crc32c of the values as little-endian bytes.
    size : int
        Size of the stored object in bytes.
    minimum, maximum : float or int, optional
        Of the finite values; None if there are none.
    non_finite : int
        Number of NaN and infinite values.
    """

    crc: int
    size: int
    minimum: float | int | None
    maximum: float | int | None
    non_finite: int


@dataclass(frozen=True)
class Shard:
    """What one writer wrote: rows of sample number `sample`, as object number `index` of each column."""

    index: int
    sample: int
    rows: int
    dtypes: Mapping[str, str]
    columns: Mapping[str, ColumnRecord]

    @property
    def minimum(self) -> dict[str, float | int | None]:
        """Smallest finite value of each column."""
        return {name: record.minimum for name, record in self.columns.items()}

    @property
    def maximum(self) -> dict[str, float | int | None]:
        """Largest finite value of each column."""
        return {name: record.maximum for name, record in self.columns.items()}

    @property
    def non_finite(self) -> dict[str, int]:
        """Number of NaN and infinite values of each column."""
        return {name: record.non_finite for name, record in self.columns.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild from `as_dict`."""
        columns = {name: ColumnRecord(**column) for name, column in record["columns"].items()}
        return cls(**{**record, "columns": columns})


@dataclass(frozen=True)
class Manifest:
    """All that a reader needs to know about a store."""

    columns: Mapping[str, ColumnInfo]
    layout: Layout
    samples: tuple[Sample, ...] = ()
    shards: tuple[Shard, ...] = ()

    @property
    def extent(self) -> int:
        """Rows up to the last one, with those that partly filled shards leave unused."""
        last = max(self.shards, key=lambda shard: shard.index, default=None)
        return 0 if last is None else last.index * self.layout.shard_rows + last.rows

    def digest(self) -> str:
        """Return the sha256 of the content: columns, units, samples and the crc of every value.

        Paths, times, source files and object numbers do not enter, nor does how the rows came in batches.
        """
        samples = [replace(sample, sources=()).as_dict() for sample in self.samples]
        names = sorted(self.columns)
        shards = [[shard.sample, shard.rows, [shard.columns[n].crc for n in names]] for shard in self.shards]
        columns = {name: asdict(info) for name, info in self.columns.items()}
        content = {"schema": SCHEMA, "columns": columns, "samples": samples, "shards": shards}
        return hashlib.sha256(canonical(content)).hexdigest()

    def encode(self) -> bytes:
        """Return the JSON text, with a checksum of all the rest."""
        body = {
            "format": FORMAT,
            "schema": SCHEMA,
            "layout": asdict(self.layout),
            "columns": {name: asdict(info) for name, info in self.columns.items()},
            "samples": [sample.as_dict() for sample in self.samples],
            "shards": [shard.as_dict() for shard in self.shards],
        }
        return seal(body)

    @classmethod
    def decode(cls, data: bytes, where: str) -> Self:
        """Rebuild from `encode`; StorageError naming `where` if it is foreign or damaged."""
        body = unseal(data, FORMAT, SCHEMA, where)
        return cls(
            columns={name: ColumnInfo(**info) for name, info in body["columns"].items()},
            layout=Layout(**body["layout"]),
            samples=tuple(Sample.from_dict(record) for record in body["samples"]),
            shards=tuple(Shard.from_dict(record) for record in body["shards"]),
        )


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def seal(body: Mapping[str, Any]) -> bytes:
    """Return JSON with a sha256 over the rest of it, readable and with a final newline."""
    checksum = hashlib.sha256(canonical(body)).hexdigest()
    return (
        json.dumps({**body, "checksum": checksum}, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"
    )


def unseal(data: bytes, form: str, schema: int, where: str) -> dict[str, Any]:
    """Check and return what `seal` wrote.

    Raises
    ------
    StorageError
        If it is no such record, has another schema version, or any byte of it changed.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise StorageError(f"{where}: damaged or truncated ({error}); restore it or write anew") from error
    if not isinstance(body, dict) or body.get("format") != form:
        raise StorageError(f"{where}: is no record of a {form}; check the path")
    if body.get("schema") != schema:
        raise StorageError(
            f"{where}: schema version {body.get('schema')}, this darkscan reads version {schema}"
        )
    rest = {key: value for key, value in body.items() if key != "checksum"}
    if seal(rest) != data:
        raise StorageError(f"{where}: damaged, its checksum differs; restore it or write the {form} anew")
    return rest
