"""A file's columns -> the columns of a store: names, units and derived columns."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storage.columns import Batch, near
from storage.errors import StorageError
from storage.local import explained
from storage.readers.table import Columns, Piece, Table
from storage.samples import SourceFile

Derivation = Callable[[Columns], np.ndarray]
EVENT = "event"


@dataclass(frozen=True)
class Source:
    """A file that streams batches in the columns of a store; iterate over it as often as needed.

    Attributes
    ----------
    table : Table
        The opened file.
    columns : mapping of str to str
        New name to name in the file.
    derived : mapping of str to callable
        New name to a function of the columns, which returns shape (n,); made after scaling.
    scale : mapping of str to float
        New name to the factor that turns the file's unit into the store's.
    drop : collection of str
        Columns that only serve to derive others.
    batch_rows : int
        Rows, or entries of lists, of a batch.
    first_event : int
        Added to the entry number where exploded lists get an `event` column.
    """

    table: Table
    columns: Mapping[str, str]
    derived: Mapping[str, Derivation] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    drop: Collection[str] = ()
    batch_rows: int = 2**18
    first_event: int = 0

    def __post_init__(self) -> None:
        self._check_asked()
        for name in self.derived:
            if name in self.columns:
                raise StorageError(f"column {name} is both read from {self.table.path} and derived")
        for name in [*self.scale, *self.drop]:
            if name not in self.columns and name not in self.derived:
                raise StorageError(f"cannot scale or drop column {name}: {near(name, self.columns)}")

    def _check_asked(self) -> None:
        path, known = self.table.path, self.table.numeric
        if not self.columns:
            raise StorageError(
                f"{path}: no numeric column; non-numeric ones: {', '.join(self.table.other) or 'none'}"
            )
        for name in self.columns.values():
            if name in self.table.other:
                raise StorageError(f"{path}: column {name} {self.table.other[name]}; leave it out")
            if name not in known:
                raise StorageError(f"{path}: no column {name!r}: {near(name, known)}")

    @property
    def path(self) -> Path:
        """The file."""
        return self.table.path

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that the batches have."""
        exploded = not self.table.lists.isdisjoint(self.columns.values())
        names = dict.fromkeys([*self.columns, *([EVENT] if exploded else []), *self.derived])
        return tuple(name for name in names if name not in self.drop)

    @property
    def skipped(self) -> Mapping[str, str]:
        """Columns of the file that cannot be read, and why; none of them was asked for."""
        return self.table.other

    def origin(self) -> SourceFile:
        """Return name and sha256 of the file, read as a stream."""
        with explained(self.path), self.path.open("rb") as file:
            return SourceFile(self.path.name, hashlib.file_digest(file, "sha256").hexdigest())

    def __iter__(self) -> Iterator[Batch]:
        row = 0
        wanted = tuple(dict.fromkeys(self.columns.values()))
        for piece in self.table.stream(wanted, self.batch_rows):
            columns = self._mapped(piece)
            rows = len(next(iter(piece.columns.values())))
            yield Batch(columns, str(self.path), row)
            row += rows

    def _mapped(self, piece: Piece) -> Columns:
        result = {new: piece.columns[old] for new, old in self.columns.items()}
        if piece.entries is not None and EVENT not in result:
            result[EVENT] = piece.entries + self.first_event
        result |= {name: result[name] * factor for name, factor in self.scale.items() if name in result}
        rows = len(next(iter(result.values())))
        for name, derive in self.derived.items():
            values = np.asarray(derive(result))
            if values.shape != (rows,):
                raise StorageError(f"derived column {name} has shape {values.shape}, not ({rows},)")
            result[name] = values * self.scale[name] if name in self.scale else values
        return {name: values for name, values in result.items() if name not in self.drop}
