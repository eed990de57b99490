"""What a limit plot reads from a cube: curves over one scan axis, their regions and their gaps."""

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.errors import InputError

Floats = NDArray[np.float64]

QUANTITIES = ("coupling", "cross_section", "branching_fraction", "yield")
"""What limits are set on, the most telling first."""


@dataclass(frozen=True)
class LimitCurve:
    """One limit over the scan axis, NaN where there is none.

    Attributes
    ----------
    mass : (W,) float
    observed : (W,) float
        All NaN where the cube has none.
    expected : (W, 5) float
        At the quantiles 0.025, 0.16, 0.5, 0.84, 0.975.
    regions : tuple of slice
        Runs of windows that a line may join.
    """

    mass: Floats
    observed: Floats
    expected: Floats
    regions: tuple[slice, ...]

    @property
    def values(self) -> Floats:
        """Every number that is drawn, in no order."""
        drawn = np.concatenate((self.observed, self.expected.ravel()))
        return drawn[np.isfinite(drawn)]


def available(cube: xr.Dataset) -> tuple[str, ...]:
    """List the quantities that a cube has limits on."""
    return tuple(q for q in QUANTITIES if f"{q}_limit" in cube or f"{q}_limit_expected" in cube)


def choose(cube: xr.Dataset, variable: str | None) -> str:
    """Return the quantity to draw: the one asked for, else the most telling that the cube has."""
    found = available(cube)
    if not found:
        raise InputError(
            "the dataset has no limits to draw: it has "
            f"{sorted(map(str, cube.data_vars))}, and needs one of {[f'{q}_limit' for q in QUANTITIES]}"
        )
    if variable is not None and variable not in found:
        raise InputError(f"the cube has no limit on {variable!r}: choose one of {list(found)}")
    return variable or found[0]


def single(cube: xr.Dataset) -> xr.Dataset:
    """Drop the dimensions configuration, channel and second mass axis where they are of length one."""
    planes = cube["region"].dims[1:] if "region" in cube.coords else ()
    return cube.squeeze([d for d in ("configuration", "channel", *planes) if cube.sizes.get(d) == 1])


def array(cube: xr.Dataset, variable: str) -> xr.DataArray:
    """Return the variable of a limit that carries its label: the observed one where there is one."""
    name = f"{variable}_limit"
    return cube[name] if name in cube else cube[f"{name}_expected"]


def scan_axis(cube: xr.Dataset, variable: xr.DataArray, besides: tuple[Hashable, ...] = ()) -> Hashable:
    """Return the one dimension that a variable is drawn over.

    Raises
    ------
    InputError
        If there are more (select a point of the others first), none, or no windows along it.
    """
    dimensions = [d for d in variable.dims if d not in {"quantile", *besides}]
    if len(dimensions) != 1:
        raise InputError(
            f"{variable.name} depends on {list(map(str, dimensions))}: a plot over the mass needs one; "
            "choose a point of the others with cube.sel(...) or cube.isel(...)"
        )
    if cube.sizes[dimensions[0]] == 0:
        raise InputError(f"the cube has no windows along {dimensions[0]}: there is nothing to draw")
    return dimensions[0]


def read(cube: xr.Dataset, variable: str) -> LimitCurve:
    """Read one limit from a cube whose other dimensions are selected."""
    label = array(cube, variable)
    axis = scan_axis(cube, label)
    mass = np.asarray(cube[axis].values, dtype=np.float64)
    name = f"{variable}_limit"
    observed = drawable(cube[name].values) if name in cube else np.full(mass.shape, np.nan)
    expected = np.full((len(mass), len(QUANTILES)), np.nan)
    if f"{name}_expected" in cube:
        expected = bands(cube[f"{name}_expected"].transpose(axis, "quantile"))
    return LimitCurve(mass, observed, expected, tuple(regions(cube, axis)))


def bands(expected: xr.DataArray) -> Floats:
    """Return the expected limits at the five quantiles, which are the last dimension."""
    try:
        return drawable(expected.sel(quantile=list(QUANTILES)).values)
    except KeyError as error:
        raise InputError(f"{expected.name} lacks some of the quantiles {list(QUANTILES)}: {error}") from error


def drawable(values: object) -> Floats:
    """Return values as float, NaN where a logarithmic axis has no place for them."""
    numbers = np.array(values, dtype=np.float64)
    numbers[~(np.isfinite(numbers) & (numbers > 0.0))] = np.nan
    return numbers


def regions(cube: xr.Dataset, axis: Hashable) -> Iterator[slice]:
    """Yield the runs of windows of one region, by the coordinate `region` where there is one."""
    length = cube.sizes[axis]
    names = np.asarray(cube["region"].values) if "region" in cube.coords else np.zeros(length)
    if names.shape != (length,):
        names = np.zeros(length)
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), length]
    for first, last in itertools.pairwise(cuts):
        yield slice(first, last)


def gaps(mass: Floats, values: Floats, runs: tuple[slice, ...]) -> Iterator[tuple[float, float]]:
    """Yield (low, high) of each stretch without a value, from half way to the neighbour that has one."""
    for run in runs:
        m, missing = mass[run], ~np.isfinite(values[run])
        middle = np.concatenate((m[:1], 0.5 * (m[1:] + m[:-1]), m[-1:]))
        change = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
        for first, last in zip(change[::2], change[1::2], strict=True):
            yield float(middle[first]), float(middle[last])


def isolated(values: Floats) -> NDArray[np.bool_]:
    """Mark values without a neighbour, which a line would not show."""
    padded = np.concatenate(([False], np.isfinite(values), [False]))
    alone: NDArray[np.bool_] = padded[1:-1] & ~padded[:-2] & ~padded[2:]
    return alone
