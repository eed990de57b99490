"""Cubes for other tools: the likelihood of every window, and tables of limits."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from jobs.likelihoods import open_cube_run, windows_at
from scanner import runnable
from scanner.likelihoods import interchange

WRITERS = {"pyhf": interchange.pyhf_workspace, "hs3": interchange.hs3_document}
"""Formats of a window's likelihood."""


def likelihoods(
    cube: str, form: str, *, at: Mapping[str, float] | None = None, configuration: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the likelihood of each window of a cube, or of those nearest to a point.

    Parameters
    ----------
    cube : str
        Path or URL; its run must stand beside it.
    form : str
        A key of `WRITERS`.
    at : mapping, optional
        Values of some of the cube's axes, in their units.
    configuration : str, optional
        Name of a model configuration; default all.

    Yields
    ------
    name : str
        Configuration, region, masses and outer axes.
    document : dict
    """
    run = open_cube_run(cube)
    runnable.refuse_curves(run.search, "an export of the likelihoods")
    for window in windows_at(run, at or {}, configuration):
        problem = window.problem(run)
        if problem is not None:
            yield window.label(run), WRITERS[form](problem, 0)


def write_likelihoods(cube: str, form: str, folder: Path, **chosen: Any) -> int:
    """Write the likelihoods as files of a folder; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, document in likelihoods(cube, form, **chosen):
        (folder / f"{name}.json").write_text(json.dumps(document))
        count += 1
    return count


def table(cube: xr.Dataset) -> Iterator[list[Any]]:
    """Return a cube as rows with a header: one row a window and configuration.

    A variable of several numbers a window has a column each, ``name[label]``, its unit in brackets.
    """
    axis = cube.limits.axis
    index = [name for name in ("configuration", axis) if name in cube.dims]
    names = [str(name) for name, v in cube.variables.items() if axis in v.dims and name != axis]
    parts = {name: cube[name].transpose(*index, ..., missing_dims="ignore") for name in names}
    places = [(c, w) for c in range(cube.sizes.get("configuration", 1)) for w in range(cube.sizes[axis])]
    yield [
        *index,
        *(f"{name}{label} [{_unit(v)}]" for name, v in parts.items() for label, _ in _columns(v, axis)),
    ]
    for c, w in places:
        where = {"configuration": c, axis: w}
        here = [cube[name].isel({name: where[name]}).item() for name in index]
        yield [
            *here,
            *(
                column.isel(where, missing_dims="ignore").item()
                for v in parts.values()
                for _, column in _columns(v, axis)
            ),
        ]


def _unit(variable: xr.DataArray) -> str:
    return str(variable.attrs.get("units", "1"))


def _columns(variable: xr.DataArray, axis: str) -> Iterator[tuple[str, xr.DataArray]]:
    more = [str(name) for name in variable.dims if name not in ("configuration", axis)]
    if not more:
        yield "", variable
        return
    (name,) = more
    for i in range(variable.sizes[name]):
        label = variable[name].isel({name: i}).item() if name in variable.coords else i
        written = label if isinstance(label, str) else f"{label:g}"
        yield f"[{name}={written}]", variable.isel({name: i})


def write_table(cube: xr.Dataset, path: Path) -> int:
    """Write a cube as CSV; return the number of rows."""
    rows = list(table(cube))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return len(rows) - 1
