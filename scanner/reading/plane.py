"""The pass of counting windows: each row is looked for in the windows that may hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CELLS = (1 << 16, 1 << 10)
"""Most cells an axis of the look-up grid, in one and in two dimensions."""
MOST_MEMBERS = 1 << 26
"""Windows in the cells of a look-up grid, all together: half a gigabyte."""
FINENESS = 2.0
"""Cells over the extent of a middling window."""
MARGIN = 1e-9
"""Relative room around windows, so that rounding hides no row from its window."""


@dataclass(frozen=True, eq=False)
class PlaneTable:
    """Counting windows, and the values of the window variables.

    Attributes
    ----------
    variables
        Values of each window variable: (windows,).
    observables
        The D observables, as expressions.
    inside
        Which windows are filled: (windows,).
    elliptic
        Whether windows are ellipses, rather than boxes.
    centre, half
        Centres and half widths in the observables' units: (windows, D).
    tilt
        Angle [rad] by which an ellipse is turned from the first observable to the second: (windows,).
    framed
        The observable in which a sideband is beside the window, −1 for none.
    bands
        Low and high end of the sideband below, then above the window: (windows, 4). In the other
        observable it is as wide as the window.
    """

    variables: Mapping[str, Floats]
    observables: tuple[str, ...]
    inside: NDArray[np.bool_]
    elliptic: bool
    centre: Floats
    half: Floats
    tilt: Floats
    framed: int
    bands: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Windows, and what is counted for each: its own rows, and those in a sideband on either side."""
        return len(self.inside), 1 if self.framed < 0 else 3

    @cached_property
    def extent(self) -> Floats:
        """Half widths of the boxes around the windows: (windows, D)."""
        if not self.elliptic:
            return self.half
        cosine, sine = np.cos(self.tilt), np.sin(self.tilt)
        a, b = self.half.T
        return np.stack([np.hypot(a * cosine, b * sine), np.hypot(a * sine, b * cosine)], axis=1)

    @cached_property
    def geometry(self) -> Floats:
        """What the kernel takes: (windows, 12) centres, half widths, cosine, sine, sideband, extents."""
        found = np.zeros((len(self.inside), 12))
        dimensions = self.centre.shape[1]
        found[:, :dimensions], found[:, 2 : 2 + dimensions] = self.centre, self.half
        found[:, 4], found[:, 5] = np.cos(self.tilt), np.sin(self.tilt)
        found[:, 6:10], found[:, 10 : 10 + dimensions] = self.bands, self.extent
        return found

    def ends(self) -> tuple[Floats, Floats]:
        """Return the lowest and highest values of the observables that matter to each window, (W, D)."""
        low, high = self.centre - self.extent, self.centre + self.extent
        if self.framed >= 0:
            beside = np.sort(self.bands, axis=1)
            low[:, self.framed] = np.minimum(low[:, self.framed], beside[:, 0])
            high[:, self.framed] = np.maximum(high[:, self.framed], beside[:, -1])
        room = MARGIN * (np.abs(self.centre) + self.extent)
        return low - room, high + room


def check_plane(table: PlaneTable) -> None:
    """Refuse windows that are none.

    Raises
    ------
    InputError
        If arrays have different lengths, or a window is not finite and wider than nothing.
    """
    windows, dimensions = len(table.inside), len(table.observables)
    arrays = {"centre": table.centre, "half": table.half, "tilt": table.tilt, "bands": table.bands}
    shapes = {
        "centre": (windows, dimensions), "half": (windows, dimensions), "tilt": (windows,),
        "bands": (windows, 4), **dict.fromkeys(table.variables, (windows,)),
    }  # fmt: skip
    for name, shape in shapes.items():
        found = np.shape(({**table.variables, **arrays})[name])
        if found != shape:
            raise InputError(f"{name} of the windows has the shape {found}; {shape} is due")
    if dimensions not in (1, 2):
        raise InputError(f"windows of {dimensions} observables: one or two are possible")
    used = table.inside
    sound = np.isfinite(table.centre[used]) & np.isfinite(table.half[used]) & (table.half[used] > 0.0)
    if not (sound.all() and np.isfinite(table.tilt[used]).all() and np.isfinite(table.bands[used]).all()):
        raise InputError("a window must be finite and wider than nothing in every observable")


@dataclass(frozen=True, eq=False)
class Buckets:
    """A grid of cells over the observables, and the windows that each cell may have rows of.

    Attributes
    ----------
    grid
        Low end, cells a unit and number of cells of the first observable, then of the second: (6,).
    starts, members
        Windows of cell c in rising order: ``members[starts[c]:starts[c + 1]]``.
    """

    grid: Floats
    starts: Integers
    members: NDArray[np.int32]


def buckets(table: PlaneTable) -> Buckets:
    """Sort windows into the cells of a look-up grid.

    A value x belongs to the cell ``int((x - low) * scale)``. Rounded arithmetic never decreases with x, so
    that all values between two ends lie in cells between those of the ends.
    """
    used = np.flatnonzero(table.inside)
    low, high = (ends[used] for ends in table.ends())
    grid, firsts, lasts = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]), [], []
    for axis in range(low.shape[1]):
        place = slice(3 * axis, 3 * axis + 3)
        grid[place] = _cells(low[:, axis], high[:, axis], CELLS[low.shape[1] - 1])
        start, scale, cells = grid[place]
        ends = [np.clip((end[:, axis] - start) * scale, 0.0, cells - 1.0) for end in (low, high)]
        firsts.append(ends[0].astype(np.int64))
        lasts.append(ends[1].astype(np.int64))
    if low.shape[1] == 1:
        firsts.append(np.zeros(used.size, np.int64))
        lasts.append(np.zeros(used.size, np.int64))
    across = lasts[1] - firsts[1] + 1
    each = (lasts[0] - firsts[0] + 1) * across
    if each.sum() > MOST_MEMBERS:
        raise InputError("the windows overlap too much: take narrower sidebands, or larger steps")
    which = np.repeat(np.arange(used.size), each)
    number = np.arange(which.size) - np.repeat(np.cumsum(each) - each, each)
    first, second = firsts[0][which] + number // across[which], firsts[1][which] + number % across[which]
    cell = first * int(grid[5]) + second
    order = np.argsort(cell, kind="stable")
    starts = np.zeros(int(grid[2]) * int(grid[5]) + 1, np.int64)
    np.cumsum(np.bincount(cell, minlength=starts.size - 1), out=starts[1:])
    return Buckets(grid, starts, used[which][order].astype(np.int32))


def _cells(low: Floats, high: Floats, most: int) -> tuple[float, float, float]:
    """Return low end, cells a unit and number of cells of one axis."""
    start, stop = float(low.min()), float(high.max())
    wanted = FINENESS * (stop - start) / float(np.median(high - low))
    cells = float(int(min(max(wanted, 1.0), most)))
    # The last value that matters must lie in the last cell, whatever the rounding.
    return start, cells / ((stop - start) * (1.0 + MARGIN)), cells


def observables_of(table: Any) -> tuple[str, ...]:
    """Return the observables after the first, of windows in several."""
    return table.observables[1:] if isinstance(table, PlaneTable) else ()
