"""The ingest job: a user's files into an event store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jobs.progress import Advance, progress
from scanner import expressions, units
from scanner.errors import InputError
from scanner.schema.names import NAMED_CONSTANTS
from storage.columns import Batch
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.readers import open_source
from storage.readers.source import Source
from storage.samples import Sample


def ingest(
    files: Sequence[Path],
    store: str,
    *,
    sample: str = "data",
    kind: str = "data",
    luminosity: float | None = None,
    columns: Mapping[str, str] | None = None,
    derive: Mapping[str, str] | None = None,
    units_in_file: Mapping[str, str] | None = None,
    tree: str | None = None,
    period: str = "",
    non_finite: str = "stop",
) -> dict[str, Any]:
    """Read files into a new event store, or as a further period into an existing one.

    Parameters
    ----------
    files : sequence of Path
        CSV, Parquet, NumPy or ROOT files with the same columns.
    store : str
        Path or URL.
    sample, kind, period : str
        Name of the sample, what its rows are, and their run period.
    luminosity : float, optional
        [fb⁻¹].
    columns : mapping, optional
        New name to the name in the files; all numeric columns by default.
    derive : mapping, optional
        Name to an expression of columns.
    units_in_file : mapping, optional
        Column to its unit in the files; stored in GeV, cm, rad and so on.
    tree : str, optional
        TTree or RNTuple of ROOT files.
    non_finite : str
        "stop" at NaN and infinity, or "keep" and count them.

    Returns
    -------
    dict
        `store`, `rows`, `columns` with their units, `luminosity`, `digest`, and the `non_finite` counts.

    Raises
    ------
    InputError, StorageError
    """
    written = {name: units.quantity(f"1 {unit}") for name, unit in (units_in_file or {}).items()}
    scale = {name: quantity.value for name, quantity in written.items()}
    derived = {name: _derivation(name, text) for name, text in (derive or {}).items()}

    def source(path: Path, first_event: int = 0) -> Source:
        return open_source(
            path, columns or None, derived=derived, scale=scale, tree=tree, first_event=first_event
        )

    names = _same_names(files, source)
    unknown = [name for name in written if name not in names]
    if unknown:
        raise InputError(f"--unit {unknown[0]}: there is no such column; there are {', '.join(names)}")
    target = _open_or_create(store, {name: written[name].unit if name in written else "" for name in names})
    origin = tuple(source(path).origin() for path in files)
    made = Sample(sample, kind, period=period, luminosity=luminosity, sources=origin)
    with progress("ingest", sum(path.stat().st_size for path in files), "B") as advance:
        target.append(made, _batches(files, source, advance), non_finite=non_finite)
    return {
        "store": store,
        "rows": target.rows,
        "columns": {name: info.unit for name, info in target.columns.items()},
        "luminosity": target.luminosity,
        "digest": target.digest,
        "non_finite": {name: count for name, count in target.non_finite().items() if count},
    }


def _derivation(name: str, text: str) -> Callable[[Mapping[str, Any]], Any]:
    expression = expressions.parse(text, where=f"--derive {name}")

    def derive(columns: Mapping[str, Any]) -> Any:
        absent = sorted(expression.names - {*columns, *NAMED_CONSTANTS})
        if absent:
            raise InputError(f"--derive {name}: no column {absent[0]!r}; there are {', '.join(columns)}")
        rows = len(next(iter(columns.values())))
        return np.broadcast_to(expression.evaluate({**NAMED_CONSTANTS, **columns}), (rows,))

    return derive


def _same_names(files: Sequence[Path], source: Callable[..., Source]) -> tuple[str, ...]:
    """Return the columns of the files, which must agree."""
    first = source(files[0]).names
    for path in files[1:]:
        names = source(path).names
        if set(names) != set(first):
            odd = ", ".join(sorted(set(names) ^ set(first)))
            raise InputError(
                f"{path} and {files[0]} differ in the columns {odd}: choose common ones by --columns"
            )
    return first


def _open_or_create(store: str, columns: Mapping[str, str]) -> EventStore:
    if not Location(store).exists(MANIFEST):
        return EventStore.create(store, columns)
    target = EventStore.open(store, allow_empty=True)
    there = {name: info.unit for name, info in target.columns.items()}
    if there != dict(columns):
        odd = ", ".join(sorted(dict(set(there.items()) ^ set(columns.items()))))
        raise InputError(
            f"{store} has other columns or units than the files: {odd}; use --columns and --unit as before"
        )
    return target


def _batches(files: Sequence[Path], source: Callable[..., Source], advance: Advance) -> Iterator[Batch]:
    """Stream all files, the event numbers of exploded lists going on from file to file."""
    first_event = 0
    for path in files:
        opened = source(path, first_event)
        for batch in opened:
            if "event" in batch:
                first_event = max(first_event, int(np.max(batch["event"], initial=first_event - 1)) + 1)
            yield batch
        advance(path.stat().st_size)
