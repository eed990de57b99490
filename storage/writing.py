"""Columns -> shard objects -> a manifest that names them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from storage.columns import Converter, record
from storage.errors import ConflictError, StorageError
from storage.locations import Location
from storage.manifest import ColumnInfo, Manifest, Shard
from storage.presence import check_object, object_name
from storage.samples import Sample, check_samples
from storage.shards import encode


def by_shard(
    batches: Iterable[Mapping[str, np.ndarray]], convert: Converter, shard_rows: int
) -> Iterator[dict[str, np.ndarray]]:
    """Regroup batches of any length into columns of `shard_rows` rows, the last with fewer."""
    held: list[dict[str, np.ndarray]] = []
    count = 0
    for batch in batches:
        columns = convert(batch)
        rows, start = len(next(iter(columns.values()))), 0
        while start < rows:
            taken = min(rows - start, shard_rows - count)
            held.append({name: values[start : start + taken] for name, values in columns.items()})
            start, count = start + taken, count + taken
            if count == shard_rows:
                yield (joined := _joined(held))
                joined.clear()  # or the caller's name for it would keep a second shard in memory
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join parts column by column, letting go of each part as soon as it is copied."""
    names = list(parts[0])
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in names}


def write_objects(
    location: Location,
    manifest: Manifest,
    index: int,
    columns: Mapping[str, np.ndarray],
    *,
    sample: int = 0,
    claim: bool = False,
) -> Shard:
    """Write one object a column, create-only, and return the record of the shard.

    Raises
    ------
    ConflictError
        If an object is there with other content, or, with `claim`, at all.
    """
    rows = len(next(iter(columns.values())))
    if not 0 < rows <= manifest.layout.shard_rows:
        raise StorageError(f"shard {index}: {rows} rows, allowed are 1 to {manifest.layout.shard_rows}")
    records = {}
    try:
        for name, values in columns.items():
            encoded = encode(values, manifest.layout)
            key = object_name(name, index)
            _create(location, key, encoded, claim=claim)
            records[name] = record(values, len(encoded))
    except BaseException:
        for name in records if claim else ():
            with suppress(StorageError):
                location.remove(object_name(name, index))
        raise
    dtypes = {name: values.dtype.name for name, values in columns.items()}
    return Shard(index, sample, rows, dtypes, records)


def _create(location: Location, key: str, encoded: bytes, *, claim: bool) -> None:
    if not location.create(key, encoded) and claim:
        raise ConflictError(f"{location.describe(key)}: another writer has it")


def write_next(location: Location, manifest: Manifest, columns: Mapping[str, np.ndarray]) -> Shard:
    """Write under the next free object number; one that another writer takes meanwhile is passed over."""
    leading = next(iter(manifest.columns))
    used = [int(name.rpartition("/")[2]) for name in location.list(f"{leading}/c")]
    index = max([*used, *(shard.index for shard in manifest.shards)], default=-1) + 1
    while True:
        try:
            return write_objects(location, manifest, index, columns, claim=True)
        except ConflictError:
            index += 1


def extended(
    location: Location, manifest: Manifest, samples: Sequence[Sample], shards: Sequence[Shard]
) -> Manifest:
    """Return the manifest with new samples and their written shards; see `EventStore.commit`."""
    check_samples([*manifest.samples, *samples])
    columns = dict(manifest.columns)
    taken = {shard.index for shard in manifest.shards}
    for shard in shards:
        if shard.index in taken:
            raise StorageError(f"{location.describe()}: shard {shard.index} is committed already")
        if not 0 <= shard.sample < len(samples):
            raise StorageError(f"shard {shard.index}: sample number {shard.sample}, there are {len(samples)}")
        taken.add(shard.index)
        columns = {name: _settled(location, name, info, shard) for name, info in columns.items()}
    offset = len(manifest.samples)
    added = tuple(replace(shard, sample=shard.sample + offset) for shard in shards)
    return replace(
        manifest, columns=columns, samples=(*manifest.samples, *samples), shards=(*manifest.shards, *added)
    )


def _settled(location: Location, name: str, info: ColumnInfo, shard: Shard) -> ColumnInfo:
    """Return the column with its dtype, once the object of the shard is known to be there and to agree."""
    dtype = shard.dtypes.get(name, "")
    if name not in shard.columns or (info.dtype and info.dtype != dtype):
        raise StorageError(
            f"shard {shard.index}: column {name} is {dtype or 'missing'}, not {info.dtype or 'there'}; "
            "give the dtype when creating the store"
        )
    check_object(location, name, shard)
    return replace(info, dtype=dtype)
