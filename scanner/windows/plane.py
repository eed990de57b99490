"""Grids of counting windows: points of one or two scan axes, and the stretch of observables around each.

Each axis is laid out in steps of its own resolution at its own value, so that the points are a product of
the axes. Each axis is a mass with an observable of its own, in which a window is an interval (one
observable), or a box or an ellipse (two): its half widths are in resolutions of the window's point.
An ellipse is turned by its tilt, from the first observable to the second, in the units of both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from scanner import expressions
from scanner.definition import Search
from scanner.errors import InputError
from scanner.expressions.evaluate import evaluate
from scanner.reading.plane import PlaneTable
from scanner.reading.variables import constants
from scanner.schema.axes import MOST_POINTS, Region, ScanAxis
from scanner.schema.functions import EnergyFunction
from scanner.windows.axes import window_axes
from scanner.windows.grid import resolution_coordinate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDING = 1e-9
"""Part of a window's width below which what is left of its sideband is rounding."""
ACROSS = 33
"""Values of the other axes at which a resolution that depends on them is asked for its smallest."""


@dataclass(frozen=True, eq=False)
class CountingGrid:
    """The windows of one region, over all points of the scan axes in row-major order.

    Attributes
    ----------
    region : str
        Name of the region.
    axes : mapping of (N,) float
        Values of each axis.
    inside : (W,) bool
        Whether a point is scanned.
    observables : tuple of str
        One for each of D window axes.
    elliptic : bool
        Whether the window is an ellipse rather than an interval or a box.
    centre, half : (W, D) float
        Of the windows, in the observables' units.
    resolution : (W, D) float
        Of each window axis [GeV].
    tilt : (W,) float
        Angle of the ellipse [rad].
    framed : int
        Number of the observable in which the sideband is beside the window; −1 for none.
    bands : (W, 4) float
        Low and high end of the sideband below the window, then of that above, in the observable's unit.
    ratio : (W,) float
        Area of the sideband over that of the window; 0 where nothing of it is left.
    channels : mapping of CountingGrid
        The same points in each of several channels, with its observables and resolutions.
    """

    region: str
    axes: Mapping[str, Floats]
    inside: Flags
    observables: tuple[str, ...]
    elliptic: bool
    centre: Floats
    half: Floats
    resolution: Floats
    tilt: Floats
    framed: int
    bands: Floats
    ratio: Floats
    channels: Mapping[str, "CountingGrid"] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the points, scanned or not."""
        return int(np.prod([len(values) for values in self.axes.values()]))

    def points(self, windows: slice = slice(None)) -> dict[str, Floats]:
        """Return the values of every axis at some points, (W,) each."""
        return {name: values[windows] for name, values in product(self.axes).items()}

    def mass(self, windows: slice = slice(None)) -> Floats:
        """Return the values of the first axis at some points, (W,) [GeV]."""
        return next(iter(self.points(windows).values()))

    def table(self, variables: Mapping[str, Floats]) -> PlaneTable:
        """Return the windows as the pass takes them, with the variables that cuts may use."""
        return PlaneTable(
            variables, self.observables, self.inside, self.elliptic, self.centre, self.half, self.tilt,
            self.framed, self.bands,
        )  # fmt: skip


def product(axes: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the values of every axis at all points, row-major."""
    meshes = np.meshgrid(*axes.values(), indexing="ij")
    return {name: mesh.ravel() for name, mesh in zip(axes, meshes, strict=True)}


def counting_grid(search: Search, region: Region, axes: Mapping[str, Floats] | None = None) -> CountingGrid:
    """Lay out the counting windows of one region, at given values of the axes or in their own steps.

    Raises
    ------
    InputError
        If an observable has no resolution, the points are absurdly many or none is scanned, or a sideband
        begins within its window.
    """
    observables = search.window.axes or region.observables[:1]
    sigmas = [_resolution_of(search, index, name) for index, name in enumerate(observables)]
    if axes is None:
        axes = {axis.name: _axis_points(search, region, axis.name, sigmas) for axis in window_axes(search)}
    count = int(np.prod([len(values) for values in axes.values()]))
    if count > MOST_POINTS:
        raise InputError(f"the scan has {count} points, more than {MOST_POINTS}: take larger steps")
    points = product(axes)
    first = next(iter(points.values()))
    inside = _scanned(search, points)
    resolution = np.stack([sigma(first, **points) for sigma in sigmas], axis=1)
    half = search.window.half_width(first, **points)[:, None] * resolution
    masses = np.stack(list(points.values()), axis=1)
    tilt = np.zeros(count) if search.window.tilt is None else search.window.tilt(first, **points)
    at = _peak(search, region) if len(observables) == 1 else None
    centre, half = _in_observable(masses, half, at)
    framed, bands = _bands(search, observables, axes, masses, resolution, at)
    grid = CountingGrid(
        region.name, axes, inside, observables, search.window.shape == "ellipse", centre, half, resolution,
        tilt, framed, bands, np.zeros(count),
    )  # fmt: skip
    return grid if framed < 0 else _with_ratio(grid, search)


def _resolution_of(search: Search, index: int, observable: str) -> EnergyFunction:
    """Return the resolution of an observable: its own, or that of the signal for the first."""
    stated = search.signal.resolutions.get(observable)
    if stated is None and index == 0:
        stated = search.signal.stated_resolution
    if stated is None:
        raise InputError(f"no resolution of {observable!r} is stated: add it under signal.resolutions")
    return stated


def _axis_points(search: Search, region: Region, name: str, sigmas: list[EnergyFunction]) -> Floats:
    """Return the values of an axis: as stated, or in steps of the resolution at its own value."""
    axis, first = search.scan[name], name == search.scan_axis.name
    low, high = (region.low, region.high) if first else (axis.low, axis.high)
    if axis.values is not None:
        values = np.asarray(axis.values)
        return values[(values >= low) & (values <= high)]
    sigma = sigmas[list(search.scan).index(name)]
    if axis.step_of is not None:
        sigma = search.signal.resolutions[axis.step_of]
    table_mass, table_t = resolution_coordinate(low, high, _smallest(search, axis, sigma))
    steps = max(1, int(np.ceil(table_t[-1] / (axis.step or 0.5) - 1e-9)))
    if steps > MOST_POINTS:
        raise InputError(f"the axis {name!r} wants {steps} steps: check the resolution's unit")
    values = np.interp(np.linspace(0.0, table_t[-1], steps + 1), table_t, table_mass)
    values[0], values[-1] = low, high  # to the bit
    return values


def _smallest(search: Search, axis: ScanAxis, sigma: EnergyFunction) -> Callable[[Floats], Floats]:
    """Return the resolution along an axis, the smallest over the other axes where it depends on them."""
    scan = {axis.name: axis for axis in window_axes(search)}
    names = list(scan)
    others = [name for name in names if name != axis.name and _depends(sigma, name, names[0])]

    def along(values: Floats) -> Floats:
        found = np.full(values.shape, np.inf)
        for fraction in np.linspace(0.0, 1.0, ACROSS if others else 1):
            point = {
                name: np.full(values.shape, (1.0 - fraction) * other.low + fraction * other.high)
                for name, other in scan.items()
            }
            point[axis.name] = values
            found = np.minimum(found, sigma(point[names[0]], **point))
        return found

    return along


def _depends(function: EnergyFunction, name: str, first: str) -> bool:
    return name in function.variables or (name == first and "m" in function.variables)


def _scanned(search: Search, points: Mapping[str, Floats]) -> Flags:
    """Tell which points fulfil the conditions of all axes."""
    first = next(iter(points.values()))
    inside: Flags = np.ones(len(first), dtype=np.bool_)
    known = constants(search) | {"m": first, **points}
    for axis in window_axes(search):
        if axis.where is not None:
            tree = expressions.parse(axis.where, known).tree
            inside &= np.broadcast_to(evaluate(tree, known, {}), inside.shape)
    if not inside.any():
        raise InputError("no point of the scan fulfils its 'where': check the condition")
    return inside


def _peak(search: Search, region: Region) -> Callable[[Floats], Floats]:
    peak = expressions.parse(region.peak)
    known, name = constants(search), search.scan_axis.name
    return lambda m: np.array(np.broadcast_to(peak.evaluate(known | {"m": m, name: m}), m.shape), np.float64)


def _in_observable(
    masses: Floats, half: Floats, at: Callable[[Floats], Floats] | None
) -> tuple[Floats, Floats]:
    """Return centres and half widths (W, D) in the observables' units."""
    if at is None:
        return masses, half
    low, high = at(masses - half), at(masses + half)
    if not (high > low).all():
        raise InputError("the observable must rise with the mass over every window")
    return 0.5 * (low + high), 0.5 * (high - low)


def _bands(
    search: Search,
    observables: tuple[str, ...],
    axes: Mapping[str, Floats],
    masses: Floats,
    resolution: Floats,
    at: Callable[[Floats], Floats] | None,
) -> tuple[int, Floats]:
    """Return which observable the sideband is in, and its ends (W, 4), cut off at the ends of its range."""
    sideband = search.background.sideband
    if sideband is None:
        return -1, np.zeros((len(masses), 4))
    if sideband.observable not in observables:
        raise InputError(
            f"the sideband is in {sideband.observable!r}: it must be an observable of the windows, "
            f"{' or '.join(observables)}"
        )
    index = observables.index(sideband.observable)
    axis = search.scan[list(axes)[index]]
    near = sideband.exclude * resolution[:, index]
    width = np.inf if sideband.width is None else sideband.width
    mass, far = masses[:, index], near + width * resolution[:, index]
    ends = np.stack([mass - far, mass - near, mass + near, mass + far], axis=1)
    low, high = sideband.range or (axis.low, axis.high)
    ends = np.clip(ends, low, high)
    return index, ends if at is None else np.stack([at(end) for end in ends.T], axis=1)


def _with_ratio(grid: CountingGrid, search: Search) -> CountingGrid:
    """Return the grid with the ratio of the areas of sideband and window, or the one that is stated."""
    extent, index = grid.table({}).extent, grid.framed
    distance = np.minimum(grid.centre[:, index] - grid.bands[:, 1], grid.bands[:, 2] - grid.centre[:, index])
    open_ = (grid.bands[:, 1] > grid.bands[:, 0]) & (grid.bands[:, 3] > grid.bands[:, 2])
    if (open_ & grid.inside & (distance < extent[:, index] * (1.0 - 1e-9))).any():
        raise InputError("the sideband begins within its window: exclude more resolutions")
    length = np.maximum(grid.bands[:, 1::2] - grid.bands[:, ::2], 0.0).sum(axis=1)
    for low, high in cut_out(search, grid.observables[index]):
        length -= _overlap(grid.bands, low, high)
    across = np.prod(np.delete(2.0 * extent, index, axis=1), axis=1)
    area = (np.pi if grid.elliptic else 2.0 ** len(grid.observables)) * np.prod(grid.half, axis=1)
    ratio = np.where(length > ROUNDING * extent[:, index], length, 0.0) * across / area
    stated = search.background.sideband.scale if search.background.sideband is not None else None
    return replace(grid, ratio=np.where(ratio > 0.0, ratio if stated is None else 1.0 / stated, 0.0))


def cut_out(search: Search, observable: str) -> list[tuple[float, float]]:
    """Return the stretches of an observable whose rows the vetoes of the only channel cut."""
    (channel,) = search.channels.values()
    ends = [
        ends
        for veto in channel.vetoes
        if veto.observable == observable
        for ends in veto.intervals(search.signal.resolution)
    ]
    return _united(ends)


def _united(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Unite stretches that overlap."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(ends):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _overlap(bands: Floats, low: float, high: float) -> Floats:
    """Return the length (W,) of both sidebands (W, 4) between two values."""
    ends = np.clip(bands, low, high)
    found: Floats = np.maximum(ends[:, 1::2] - ends[:, ::2], 0.0).sum(axis=1)
    return found
