"""The event store: columns of candidates in zarr, with their origin."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Self

import numpy as np

from storage.columns import Converter, checked_columns, near
from storage.errors import ConflictError, StorageError
from storage.locations import Location
from storage.manifest import ColumnInfo, Manifest, Shard
from storage.presence import object_name
from storage.reading import iterate_shards, read_shard
from storage.samples import Sample, check_samples, total_luminosity
from storage.shards import Layout
from storage.verify import Problem, metadata_objects, verify_store
from storage.writing import by_shard, extended, write_next, write_objects

MANIFEST = "manifest.json"
_ATTEMPTS = 20


class EventStore:
    """Rows of candidates by column, in shards, with the samples they came from.

    Make one with `create`, get one with `open`. A shard has one writer; rows count only once a manifest
    that names their shards has been swapped in, so an interrupted writer leaves the store as it was.

    Examples
    --------
    >>> store = EventStore.create("memory://doctest/events", {"m": "GeV"}, chunk_rows=4, shard_rows=8)
    >>> data = Sample(name="data", kind="data", luminosity=178.0)
    >>> shards = store.append(data, [{"m": np.arange(10.0)}])
    >>> [shard.rows for shard in shards], store.rows, store.luminosity
    ([8, 2], 10, 178.0)
    >>> store.read(1, ["m"])["m"]
    array([8., 9.], dtype=float32)
    """

    def __init__(self, location: Location, raw: bytes, pipeline: str | None = None) -> None:
        self.location = location
        self.pipeline = pipeline or os.environ.get("DARKSCAN_PIPELINE", "direct")
        self._load(raw)

    def _load(self, raw: bytes) -> None:
        self._raw = raw
        self.manifest = Manifest.decode(raw, self.location.describe(MANIFEST))
        self._by_index = {shard.index: shard for shard in self.manifest.shards}

    @classmethod
    def create(
        cls,
        url: str | Location,
        columns: Mapping[str, str],
        *,
        chunk_rows: int = 2**18,
        shard_rows: int = 2**22,
        dtypes: Mapping[str, str] | None = None,
    ) -> Self:
        """Make an empty store.

        Parameters
        ----------
        url : str or Location
            An empty or new directory or prefix.
        columns : mapping of str to str
            Unit of each column, empty for numbers without one.
        chunk_rows, shard_rows : int
            Rows of a chunk and of a shard.
        dtypes : mapping of str to str, optional
            Columns that are not to be stored as float32, or not with the integer type they come with.

        Raises
        ------
        StorageError
            If the place holds anything else, or does not honour create-only writes.
        """
        location = Location(url)
        manifest = Manifest(checked_columns(columns, dtypes or {}), Layout(chunk_rows, shard_rows))
        raw = manifest.encode()
        if location.size(MANIFEST) is None:
            if not location.is_empty():
                raise StorageError(
                    f"{location.describe()}: not empty and no event store; choose another path"
                )
            location.probe()
        try:
            location.create(MANIFEST, raw)
        except ConflictError:
            raise StorageError(
                f"{location.describe()}: holds an event store; append to it, remove it or choose another path"
            ) from None
        return cls(location, raw)

    @classmethod
    def open(cls, url: str | Location, *, allow_empty: bool = False, pipeline: str | None = None) -> Self:
        """Open a store.

        Parameters
        ----------
        allow_empty : bool
            Accept a store to which nothing has been committed, as writers must.
        pipeline : {"direct", "zarrs", "zarr"}, optional
            What decodes; the variable DARKSCAN_PIPELINE, or "direct", if not given.

        Raises
        ------
        StorageError
            If this is no event store, its manifest is damaged, or nothing was ever committed to it.
        """
        location = Location(url)
        if location.size(MANIFEST) is None:
            there = "does not exist or is empty" if location.is_empty() else "holds other things"
            raise StorageError(
                f"{location.describe()}: is no event store, it {there} (no {MANIFEST}); make one with "
                "`darkscan ingest` or `darkscan generate`"
            )
        store = cls(location, location.read(MANIFEST), pipeline)
        if not store.shards and not store.samples and not allow_empty:
            raise StorageError(
                f"{location.describe()}: nothing has been committed, its writing was interrupted; "
                "run the `ingest` or `generate` again"
            )
        return store

    @property
    def columns(self) -> Mapping[str, ColumnInfo]:
        """Unit and dtype of each column."""
        return self.manifest.columns

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples."""
        return self.manifest.samples

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All committed shards."""
        return self.manifest.shards

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(shard.rows for shard in self.shards)

    @property
    def luminosity(self) -> float | None:
        """Sum over the distinct periods of data and pseudodata, in fb^-1; None if unknown."""
        return total_luminosity(self.samples)

    @property
    def digest(self) -> str:
        """Sha256 of the content, equal for equal content whatever the path, the batches or the time."""
        return self.manifest.digest()

    def non_finite(self) -> dict[str, int]:
        """Return the number of NaN and infinite values of each column."""
        return {name: sum(shard.columns[name].non_finite for shard in self.shards) for name in self.columns}

    def reload(self) -> None:
        """Take in what other writers have committed."""
        self._load(self.location.read(MANIFEST))

    def append(
        self,
        sample: Sample,
        batches: Iterable[Mapping[str, np.ndarray]],
        *,
        non_finite: str = "stop",
        allow_empty: bool = False,
    ) -> tuple[Shard, ...]:
        """Write a sample into new shards, then commit it.

        Parameters
        ----------
        sample : Sample
            Where the rows come from.
        batches : iterable of mappings
            Columns of equal length, shape (n,); any lengths, one shard is held in memory.
        non_finite : {"stop", "keep"}
            Stop at NaN and infinite values, or store them and count them in the manifest.
        allow_empty : bool
            Accept a sample without rows.

        Returns
        -------
        tuple of Shard
            The new shards.
        """
        check_samples([*self.samples, sample])
        converter = Converter(self.columns, non_finite)
        regrouped = by_shard(batches, converter, self.manifest.layout.shard_rows)
        shards: list[Shard] = []
        with self.location.joined():
            try:
                shards.extend(write_next(self.location, self.manifest, columns) for columns in regrouped)
                if shards or allow_empty:
                    self.commit([sample], shards)
            except BaseException:
                self._discard(shards)
                raise
        if not shards and not allow_empty:
            raise StorageError(
                f"sample {sample.label}: zero rows; check file and selection, or allow an empty one"
            )
        return self.shards[len(self.shards) - len(shards) :]

    def _discard(self, shards: Iterable[Shard]) -> None:
        """Give back the space of shards that this writer made and could not commit."""
        with suppress(StorageError):
            self.reload()
            lost = [shard for shard in shards if shard.index not in self._by_index]
            for name in (object_name(column, shard.index) for shard in lost for column in shard.columns):
                self.location.remove(name)
            if lost:
                self.rebuild_metadata()  # which the commit may have announced them in

    def write_shard(
        self,
        index: int,
        columns: Mapping[str, np.ndarray],
        *,
        sample: int = 0,
        non_finite: str = "stop",
    ) -> Shard:
        """Write one whole shard without committing it, for writers that work in parallel.

        Parameters
        ----------
        index : int
            Object number, which no other writer uses; writing equal columns twice is fine.
        columns : mapping
            At most `shard_rows` rows.
        sample : int
            Number of the sample in the list that `commit` will get.

        Returns
        -------
        Shard
            The record to hand to `commit`, if need be as `as_dict()` through JSON.
        """
        if index in self._by_index or index < 0:
            raise StorageError(f"{self.location.describe()}: shard {index} is committed already or negative")
        values = Converter(self.columns, non_finite)(columns)
        try:
            return write_objects(self.location, self.manifest, index, values, sample=sample)
        except ConflictError as error:
            raise ConflictError(
                f"{error}; an interrupted writer left it or two writers share a shard: "
                "call `remove_leftovers` when no writer runs, or use a new path"
            ) from None

    def commit(self, samples: Sequence[Sample], records: Iterable[Shard]) -> None:
        """Make written shards part of the store by swapping in a new manifest.

        Parameters
        ----------
        samples : sequence of Sample
            New samples.
        records : iterable of Shard
            What `write_shard` returned, with `sample` counting within `samples`; any order.

        Raises
        ------
        StorageError
            If a sample is there already, luminosities disagree, dtypes differ, or an object is missing.
        """
        shards = sorted(records, key=lambda shard: (shard.sample, shard.index))
        for _ in range(_ATTEMPTS):
            manifest = extended(self.location, self.manifest, samples, shards)
            raw = manifest.encode()
            for name, text in metadata_objects(manifest).items():
                self.location.replace(name, text)
            try:
                self.location.swap(MANIFEST, self._raw, raw)
            except ConflictError:
                self.reload()
                continue
            self._load(raw)
            return
        raise ConflictError(f"{self.location.describe()}: other writers kept committing; run again")

    def rebuild_metadata(self) -> None:
        """Write the zarr metadata anew from the manifest."""
        for name, text in metadata_objects(self.manifest).items():
            self.location.replace(name, text)

    def leftovers(self) -> tuple[str, ...]:
        """Return the names of objects that no manifest names: interrupted or running writers made them."""
        known = {MANIFEST, *metadata_objects(self.manifest)}
        known |= {object_name(name, shard.index) for name in self.columns for shard in self.shards}
        return tuple(name for name in self.location.list() if name not in known)

    def remove_leftovers(self) -> tuple[str, ...]:
        """Delete leftovers and return their names; only while no writer runs."""
        names = self.leftovers()
        for name in names:
            self.location.remove(name)
        return names

    def verify(self) -> tuple[Problem, ...]:
        """Read everything and name every object that is missing, torn, truncated or changed."""
        return verify_store(self.location, self.manifest)

    def _selected(self, names: Iterable[str] | None) -> dict[str, ColumnInfo]:
        names = tuple(self.columns if names is None else names)
        for name in names:
            if name not in self.columns:
                raise StorageError(
                    f"{self.location.describe()}: no column {name}: {near(name, self.columns)}"
                )
        return {name: self.columns[name] for name in names}

    def _shard(self, index: int) -> Shard:
        if index not in self._by_index:
            raise StorageError(f"{self.location.describe()}: no shard {index} among {len(self.shards)}")
        return self._by_index[index]

    def read(
        self, shard: int, names: Iterable[str] | None = None, start: int = 0, stop: int | None = None
    ) -> dict[str, np.ndarray]:
        """Return rows `start` to `stop` of the shard with object number `shard`, checked.

        Returns
        -------
        dict of str to ndarray, shape (stop - start,)

        Raises
        ------
        StorageError
            Naming column, shard and path of what is missing or damaged.
        """
        found = self._shard(shard)
        span = (start, found.rows if stop is None else stop)
        columns = self._selected(names)
        return read_shard(self.location, columns, self.manifest.layout, found, span, self.pipeline)

    def iterate(
        self, names: Iterable[str] | None = None, rows: int = 2**18, shards: Iterable[int] | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield blocks of at most `rows` rows in order, checked.

        The arrays are views into buffers that the next step fills again: copy what is to be kept.
        """
        chosen = self.shards if shards is None else [self._shard(index) for index in shards]
        columns = self._selected(names)
        return iterate_shards(self.location, columns, self.manifest.layout, chosen, rows, self.pipeline)

    def overlapping(self, bounds: Mapping[str, tuple[float, float]]) -> tuple[int, ...]:
        """Return the object numbers of the shards that may hold rows within all bounds, ends included.

        Shards with infinite values or NaN in such a column are never skipped.
        """
        self._selected(bounds)
        return tuple(shard.index for shard in self.shards if _overlaps(shard, bounds))


def _overlaps(shard: Shard, bounds: Mapping[str, tuple[float, float]]) -> bool:
    for name, (low, high) in bounds.items():
        found = shard.columns[name]
        if found.non_finite or found.minimum is None or found.maximum is None:
            continue
        if found.maximum < low or found.minimum > high:
            return False
    return True
