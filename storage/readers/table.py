"""What every reader gives: the names of a file's columns and a stream of batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storage.errors import StorageError

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Piece:
    """A batch under the file's own names, shape (n,) each; the entry of each row if lists were exploded."""

    columns: Columns
    entries: np.ndarray | None = None


@dataclass(frozen=True)
class Table:
    """A file as columns.

    Attributes
    ----------
    path : Path
        The file.
    form : str
        Name of the format.
    numeric : tuple of str
        Columns that can be read, in the order of the file.
    stream : callable
        From names and a number of rows to an iterator of pieces; memory stays bounded by that number.
    other : dict of str to str
        Columns that cannot be read, and why.
    entries : int, optional
        Number of entries where the file tells it.
    lists : frozenset of str
        Numeric columns that hold lists, of which every element becomes a row.
    """

    path: Path
    form: str
    numeric: tuple[str, ...]
    stream: Callable[[Sequence[str], int], Iterator[Piece]]
    other: dict[str, str] = field(default_factory=dict)
    entries: int | None = None
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Options:
    """Choices that only some formats need: tree name, column names and delimiter."""

    tree: str | None = None
    header: tuple[str, ...] | None = None
    delimiter: str | None = None


@contextmanager
def decoding(path: Path, form: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise StorageError naming the file in place of what a decoder raises at bytes that it cannot read."""
    try:
        yield
    except StorageError:
        raise
    except errors as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise StorageError(
            f"{path}: cannot be read as {form} ({reason}); it is truncated, damaged or of another kind: "
            "compare its size and checksum with the original and copy it again"
        ) from error
