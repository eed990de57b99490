"""The ingest job: a user's files into an event store."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jobs.places import generating
from jobs.progress import Advance, progress
from scanner import expressions, units
from scanner.errors import InputError
from scanner.schema.names import NAMED_CONSTANTS
from storage.columns import Batch
from storage.errors import StorageError
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.readers import open_source
from storage.readers.source import Source
from storage.samples import Sample, SourceFile
from storage.sweeping import sweep


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
    generated: int | None = None,
    parameters: Mapping[str, float] | None = None,
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
    generated : int, optional
        Events of a simulated sample before any selection.
    parameters : mapping, optional
        What was simulated, such as the mass [GeV] of a signal.

    Returns
    -------
    dict
        `store`, `rows`, `columns` with their units, `luminosity`, `digest`, the `non_finite` counts,
        and `notes`: sentences on what was left out or comes twice.

    Raises
    ------
    InputError, StorageError
        Nothing counts then, and a store that this call made is gone again.
    """
    if not files:
        raise InputError("there are no files to ingest: name at least one")
    written = {name: _unit(name, unit) for name, unit in (units_in_file or {}).items()}
    derived = {name: _derivation(name, text) for name, text in (derive or {}).items()}
    read = partial(open_source, columns=columns or None, derived=derived, tree=tree)
    opened = [read(path) for path in files]
    names = _same_names(opened)
    _refuse_needless(opened, tree, written, names)
    made = Sample(
        sample,
        kind,
        period=period,
        luminosity=luminosity,
        generated=generated,
        parameters=dict(parameters or {}),
        sources=tuple(file.origin() for file in opened),
    )
    notes = [] if columns else _left_out(opened)
    with _opened(store, {name: written[name].unit if name in written else "" for name in names}) as target:
        notes += [*_swept(target), *_repeated(made.sources, target)]
        scaled = partial(read, scale={name: quantity.value for name, quantity in written.items()})
        with progress("ingest", sum(path.stat().st_size for path in files), "B") as advance:
            target.append(made, _some(_batches(files, scaled, advance), files), non_finite=non_finite)
    return _report(store, target, notes)


def _report(store: str, target: EventStore, notes: list[str]) -> dict[str, Any]:
    return {
        "store": store,
        "rows": target.rows,
        "columns": {name: info.unit for name, info in target.columns.items()},
        "luminosity": target.luminosity,
        "digest": target.digest,
        "non_finite": {name: count for name, count in target.non_finite().items() if count},
        "notes": notes,
    }


def _unit(name: str, unit: str) -> units.Quantity:
    try:
        return units.quantity(f"1 {unit}")
    except InputError as error:
        raise InputError(f"--unit {name}={unit}: {error}") from None


def _derivation(name: str, text: str) -> Callable[[Mapping[str, Any]], Any]:
    expression = expressions.parse(text, where=f"--derive {name}")

    def derive(columns: Mapping[str, Any]) -> Any:
        absent = sorted(expression.names - {*columns, *NAMED_CONSTANTS})
        if absent:
            raise InputError(f"--derive {name}: no column {absent[0]!r}; there are {', '.join(columns)}")
        rows = len(next(iter(columns.values())))
        return np.broadcast_to(expression.evaluate({**NAMED_CONSTANTS, **columns}), (rows,))

    return derive


def _same_names(opened: Sequence[Source]) -> tuple[str, ...]:
    """Return the columns of the files, which must agree."""
    first = opened[0]
    for other in opened[1:]:
        if set(other.names) != set(first.names):
            odd = ", ".join(sorted(set(other.names) ^ set(first.names)))
            raise InputError(
                f"{other.path} and {first.path} differ in the columns {odd}: choose common ones by --columns"
            )
    return first.names


def _refuse_needless(
    opened: Sequence[Source], tree: str | None, written: Mapping[str, object], names: Sequence[str]
) -> None:
    """Refuse options that are about nothing in the files."""
    if tree and not any(file.table.form == "root" for file in opened):
        raise InputError(f"--tree {tree} is for ROOT files, and {opened[0].path} is none: leave it out")
    unknown = [name for name in written if name not in names]
    if unknown:
        raise InputError(f"--unit {unknown[0]}: there is no such column; there are {', '.join(names)}")


def _left_out(opened: Sequence[Source]) -> list[str]:
    """Tell which columns are not read since they hold no numbers."""
    skipped = {name: f"{why} ({file.path})" for file in opened for name, why in file.skipped.items()}
    return [f"column {name} is left out: it {why}" for name, why in skipped.items()]


def _swept(target: EventStore) -> list[str]:
    """Remove what killed writers left in a store, and tell of it."""
    found = sweep(target, lambda: generating(target.location.url))
    objects = "1 object" if found.objects == 1 else f"{found.objects:,} objects"
    what = f"{objects} ({found.size / 1e6:.3g} MB) of a writer that was interrupted"
    if not found.removed:
        return [f"{what} or still runs stay in {target.location.url}"]
    return [f"removed {what}"] if found.objects else []


def _repeated(origin: Sequence[SourceFile], target: EventStore) -> list[str]:
    """Tell which files come twice, in this call or after an earlier one."""
    seen = {file.sha256 for sample in target.samples for file in sample.sources}
    notes = []
    for file in origin:
        if file.sha256 in seen:
            notes.append(f"{file.name} was ingested before: its rows count twice")
        seen.add(file.sha256)
    return notes


@contextmanager
def _opened(store: str, columns: Mapping[str, str]) -> Iterator[EventStore]:
    """Make or open a store; one that was made goes away again if nothing gets into it."""
    location = Location(store)
    if location.path is not None and location.path.is_file():
        raise InputError(f"{store} is a file: the last argument is the event store to write, a new folder")
    if location.exists(MANIFEST):
        yield _fitting(store, columns)
        return
    target = EventStore.create(store, columns)
    try:
        yield target
    except BaseException:
        with suppress(StorageError):
            if not EventStore.open(store, allow_empty=True).samples:
                location.remove_tree(MANIFEST)
        raise


def _fitting(store: str, columns: Mapping[str, str]) -> EventStore:
    """Open a store and make sure that it has the columns of the files."""
    target = EventStore.open(store, allow_empty=True)
    there = {name: info.unit for name, info in target.columns.items()}
    if there != dict(columns):
        odd = ", ".join(sorted({name for name, _ in set(there.items()) ^ set(columns.items())}))
        remedy = "use --columns, --derive and --unit as before" if target.samples else "remove it"
        state = "has" if target.samples else "was never finished and has"
        raise InputError(f"{store} {state} other columns or units than the files: {odd}; {remedy}")
    return target


def _some(batches: Iterable[Batch], files: Sequence[Path]) -> Iterator[Batch]:
    """Pass batches on, and stop at the end if none had a row."""
    rows = 0
    for batch in batches:
        rows += len(next(iter(batch.values())))
        yield batch
    if not rows:
        names = ", ".join(map(str, files))
        raise InputError(f"{names}: zero rows, so there is nothing to ingest; check the files")


def _batches(files: Sequence[Path], source: Callable[..., Source], advance: Advance) -> Iterator[Batch]:
    """Stream all files, the event numbers of exploded lists going on from file to file."""
    first_event = 0
    for path in files:
        opened = source(path, first_event=first_event)
        for batch in opened:
            if "event" in batch:
                first_event = max(first_event, int(np.max(batch["event"], initial=first_event - 1)) + 1)
            yield batch
        advance(path.stat().st_size)
