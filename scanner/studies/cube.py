"""The cube of a study: like that of a scan, with the injected strengths or the truths as a dimension."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from scanner.cube import cube_attributes
from scanner.definition import Search
from scanner.studies.cases import Variables

VARIABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "resolution": ("mass resolution", ()),
    "expected_error": ("expected error of the signal yield without signal", ()),
    "injected_yield": ("mean of the injected signal yield", ("injected",)),
    "toys": ("pseudo-experiments with a result", ("injected",)),
    "toys_failed": ("pseudo-experiments without a result", ("injected",)),
    "fitted_yield_spread": ("standard deviation of the fitted signal yield", ("injected",)),
    "mean_error": ("mean of the error of the fitted signal yield", ("injected",)),
    "pull_mean": ("mean of the pull (fitted − injected) / error", ("injected",)),
    "pull_mean_error": ("standard error of the mean of the pull", ("injected",)),
    "pull_width": ("standard deviation of the pull", ("injected",)),
    "pull_width_error": ("standard error of the standard deviation of the pull", ("injected",)),
    "slope": ("slope of fitted against injected yield", ()),
    "slope_error": ("standard error of the slope of fitted against injected yield", ()),
    "offset": ("fitted yield at no injected signal, from the line through all strengths", ()),
    "offset_error": ("standard error of the fitted yield at no injected signal", ()),
    "coverage": ("fraction of pseudo-experiments whose limit covers the injected yield", ("injected",)),
    "coverage_low": ("lower end of the 68% interval of the coverage", ("injected",)),
    "coverage_high": ("upper end of the 68% interval of the coverage", ("injected",)),
    "mean_limit": ("mean upper limit on the signal yield", ("injected",)),
    "fitted_significance": ("spurious signal in units of its error", ("truth",)),
    "spurious_signal": ("largest size of the spurious signal over truths and near masses", ()),
    "spurious_significance": ("largest size of the spurious signal in units of its error", ()),
    "toy_yield": ("mean signal yield fitted to toys of a background truth", ("truth",)),
    "toy_yield_error": ("standard error of the mean signal yield fitted to toys", ("truth",)),
    "truth_quality": ("p-value of the truth's description of its source", ("truth",)),
}
"""Long name of every variable and its dimensions beside the mass; all are pure numbers but the resolution."""
FITTED = {
    "fitted_yield": "mean fitted signal yield",
    "fitted_yield_error": "standard error of the mean fitted signal yield",
}
SPURIOUS = {
    "fitted_yield": "signal yield fitted to the Asimov data set of a background truth",
    "fitted_yield_error": "error of the signal yield fitted to the Asimov data set",
}


def describe_variable(kind: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return long name and further dimensions of a variable of a kind of study."""
    if name in FITTED:
        return (SPURIOUS[name], ("truth",)) if kind == "bias" else (FITTED[name], ("injected",))
    long_name, further = VARIABLES[name]
    return (long_name, ("truth",)) if kind == "bias" and further == ("injected",) else (long_name, further)


def assemble(
    search: Search,
    kind: str,
    regions: Sequence[tuple[str, np.ndarray[Any, Any]]],
    found: Mapping[int, Mapping[str, Variables]],
    coordinates: Mapping[str, tuple[Sequence[Any], Mapping[str, str]]],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Put the results of all regions and configurations together.

    Parameters
    ----------
    kind : str
        A key of `scanner.studies.STUDIES`.
    regions : sequence of (name, masses [GeV])
        In the order of the mass axis.
    found : mapping
        Variables by configuration and region.
    coordinates : mapping
        Values and attributes of the further dimensions.
    attributes : mapping
        Attributes beside those that the search gives.
    """
    cubes = [_one(search, kind, regions, variables, coordinates) for _, variables in sorted(found.items())]
    names = [configuration.name for configuration in search.configurations]
    cube = cubes[0] if len(names) == 1 else xr.concat(cubes, xr.IndexVariable("configuration", names))
    cube.attrs = cube_attributes(search) | {"study": kind} | dict(attributes)
    return cube


def _one(
    search: Search,
    kind: str,
    regions: Sequence[tuple[str, np.ndarray[Any, Any]]],
    found: Mapping[str, Variables],
    coordinates: Mapping[str, tuple[Sequence[Any], Mapping[str, str]]],
) -> xr.Dataset:
    axis = search.scan_axis.name
    variables = {}
    for name in found[regions[0][0]]:
        long_name, further = describe_variable(kind, name)
        values = np.concatenate([found[region][name] for region, _ in regions])
        unit = "GeV" if name == "resolution" else "1"
        variables[name] = xr.Variable((axis, *further), values, {"units": unit, "long_name": long_name})
    mass = np.concatenate([masses for _, masses in regions])
    labels = np.concatenate([np.full(len(masses), name) for name, masses in regions])
    title = search.scan_axis.title or "mass"
    return xr.Dataset(
        variables,
        {
            axis: xr.Variable(axis, mass, {"units": "GeV", "long_name": title}),
            "region": xr.Variable(axis, labels),
            **{
                name: xr.Variable(name, np.asarray(values), dict(attrs))
                for name, (values, attrs) in coordinates.items()
            },
        },
    )
