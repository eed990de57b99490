"""Tables of numbers, inline or in a CSV file beside the definition."""

import csv
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanner import units
from scanner.errors import InputError
from scanner.schema.base import at_part, check_rising

VALUE = "value"
LARGEST_FILE = 1 << 22
MOST_VALUES = 1_000_000
MOST_AXES = 4


def read(raw: Any, dimension: str | None, folder: Path) -> dict[str, Any]:
    """Convert a table as written to axes, grids, units and values in canonical units.

    Parameters
    ----------
    raw : Mapping
        One to four axes and `value`, each a list of quantities or a text such as "0.2, 1, 2 GeV", with the
        values in rows along the last axis, those of the axis before it running next; or `file`,
        a CSV file whose header names each column and its unit, such as "m [GeV],value [MeV]".
    dimension : str or None
        What the values are.
    folder : Path
        Where `file` is looked up.

    Returns
    -------
    dict
        Fields of a `Table`.

    Raises
    ------
    InputError
        If a column is missing, an axis does not rise, or the sizes do not fit.
    """
    if not isinstance(raw, Mapping):
        raise InputError("a table is a mapping of axes and 'value', or of 'file'")
    columns = _from_file(raw, folder) if "file" in raw else dict(raw)
    if VALUE not in columns:
        raise InputError(f"the table has no 'value'; it holds {', '.join(map(str, columns)) or 'nothing'}")
    axes = [str(name) for name in columns if name != VALUE]
    if not 1 <= len(axes) <= MOST_AXES:
        raise InputError(f"a table has one to {MOST_AXES} axes beside 'value', not {len(axes)}")
    grids, axis_units = zip(*(_axis(columns[axis], axis) for axis in axes), strict=True)
    with at_part(VALUE):
        values, unit = _flat(columns[VALUE], dimension)
    if "file" in raw and len(axes) > 1:
        grids, values = _regular(axes, grids, values)
    for axis, grid in zip(axes, grids, strict=True):
        with at_part(axis):
            check_rising(axis, grid)
    _check_size(axes, grids, values)
    return {"axes": axes, "grids": grids, "units": axis_units, "values": values, "unit": unit}


def _axis(raw: Any, axis: str) -> tuple[tuple[float, ...], str]:
    with at_part(axis):
        return units.sequence(raw)


def _flat(raw: Any, dimension: str | None) -> tuple[tuple[float, ...], str]:
    """Read values, or rows of values, into one row-major run."""
    if not isinstance(raw, list | tuple) or not any(_is_row(item) for item in raw):
        return units.sequence(raw, dimension)
    rows = [units.sequence(row, dimension) for row in raw]
    if len({len(values) for values, _ in rows}) > 1:
        raise InputError(f"the rows of the table differ in length: {[len(values) for values, _ in rows]}")
    if len({unit for _, unit in rows}) > 1:
        raise InputError("the rows of the table differ in unit")
    return tuple(value for values, _ in rows for value in values), rows[0][1]


def _is_row(item: Any) -> bool:
    return isinstance(item, list | tuple) or (isinstance(item, str) and "," in item)


def _check_size(axes: list[str], grids: tuple[tuple[float, ...], ...], values: tuple[float, ...]) -> None:
    wanted = 1
    for grid in grids:
        wanted *= len(grid)
    if wanted > MOST_VALUES:
        raise InputError(f"the table has {wanted} values, more than {MOST_VALUES}")
    if len(values) != wanted:
        sizes = " × ".join(f"{len(grid)} of {axis}" for axis, grid in zip(axes, grids, strict=True))
        raise InputError(f"the table has {len(values)} values for {sizes}")


def _regular(
    axes: list[str], columns: tuple[tuple[float, ...], ...], values: tuple[float, ...]
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Sort a list of points (one a row) into a full grid of its axes."""
    grids = tuple(tuple(sorted(set(column))) for column in columns)
    points = dict(zip(zip(*columns, strict=True), values, strict=True))
    if len(points) != len(values) or len(points) != math.prod(len(grid) for grid in grids):
        sizes = " × ".join(f"{len(grid)} {axis}" for axis, grid in zip(axes, grids, strict=True))
        raise InputError(f"the file's {len(values)} rows are no full grid of {sizes}")
    return grids, tuple(points[place] for place in itertools.product(*grids))


def _from_file(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if set(raw) != {"file"} or not isinstance(raw["file"], str):
        raise InputError("a table from a file has the key 'file' only, with the file's name")
    path = _beside(folder, raw["file"])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the table {raw['file']!r} beside the definition: {error}") from error
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].lstrip().startswith("#")]
    if len(rows) < 2:
        raise InputError(f"the table {raw['file']!r} has no rows under a header")
    return _columns(raw["file"], rows)


def _beside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"the table {name!r} is not beside the definition: put it into the same folder")
    if not path.is_file():
        raise InputError(f"there is no table {name!r} beside the definition, in {folder}")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"the table {name!r} is larger than {LARGEST_FILE >> 20} MB")
    return path


def _columns(file: str, rows: list[list[str]]) -> dict[str, Any]:
    header = [_heading(cell) for cell in rows[0]]
    names = [name for name, _ in header]
    if len(set(names)) != len(names):
        raise InputError(f"the header of {file!r} names a column twice: {', '.join(names)}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"row {number} of {file!r} has {len(row)} fields, and the header {len(header)}")
    return {
        name: [f"{row[i].strip()} {unit}".strip() for row in rows[1:]]
        for i, (name, unit) in enumerate(header)
    }


def _heading(cell: str) -> tuple[str, str]:
    name, _, unit = cell.strip().partition("[")
    return name.strip(), unit.rstrip("]").strip()
