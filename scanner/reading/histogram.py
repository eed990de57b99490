"""Histograms that merge, and the exact look-up of a value's bin."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError

Int64 = NDArray[np.int64]

MAX_CELLS = 1 << 17
"""Cells of the look-up table: one edge a cell is worth a megabyte of table, which a cache holds."""
MAX_EDGE = 1e30
REJECTED_LANES = 8
"""Slots a cut's rejected rows are spread over, since adding to one slot twice in a row waits."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of selected rows; sums of histograms of parts are the histogram of the whole.

    Attributes
    ----------
    counts
        Selected rows: int64 (configurations, bins), or (configurations, windows, bins of a window)
        when a cut depends on the window.
    cutflow
        Rows read, and rows left after each cut in turn: int64 (configurations, cuts + 1). A row is left
        after a cut that depends on the window when it is left in at least one window.
    outside
        Rows that pass every cut that can be tested, with an observable outside of the axis (or of all
        windows): int64 (configurations,).
    not_finite
        Rows that pass the same cuts, with a NaN or infinite observable: int64 (configurations,).
    """

    counts: Int64
    cutflow: Int64
    outside: Int64
    not_finite: Int64

    def __add__(self, other: "Histogram") -> "Histogram":
        """Merge; integers make the order of merging irrelevant."""
        if self.counts.shape != other.counts.shape or self.cutflow.shape != other.cutflow.shape:
            raise InputError(
                f"histograms of different selections cannot be merged: counts {self.counts.shape} and "
                f"{other.counts.shape}, cutflow {self.cutflow.shape} and {other.cutflow.shape}"
            )
        mine, theirs = self.arrays(), other.arrays()
        return Histogram(**{name: mine[name] + theirs[name] for name in mine})

    def zeros_like(self) -> "Histogram":
        """Return the histogram of no rows."""
        return Histogram(**{name: np.zeros_like(array) for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, Int64]:
        """Return the arrays by name, to store them; :meth:`from_arrays` is the inverse."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Histogram":
        """Make a histogram of stored arrays."""
        return cls(**{field.name: np.asarray(arrays[field.name], dtype=np.int64) for field in fields(cls)})

    def repeated(self, configurations: int) -> "Histogram":
        """Return the histogram of several configurations that select what the only one here does."""
        return Histogram(
            **{name: np.repeat(array, configurations, axis=0) for name, array in self.arrays().items()}
        )

    def identical(self, other: "Histogram") -> bool:
        """Whether every count is equal."""
        theirs = other.arrays()
        return all(np.array_equal(array, theirs[name]) for name, array in self.arrays().items())

    @property
    def rows(self) -> int:
        """Rows read."""
        return int(self.cutflow[0, 0])


@dataclass(frozen=True, eq=False)
class BinTable:
    """Finds the bin of a value without a search, exactly as ``np.searchsorted`` does.

    A value x belongs to the cell ``int(clip((x - low) * scale, 0, cells - 1))``. Rounded subtraction
    and multiplication never decrease with x, so every edge in a lower cell is at most x and every edge
    in a higher cell is above x: only the edges in x's own cell are left to compare. This needs no
    assumption on rounding as long as edges and values go through the same arithmetic.

    Slots number the results: 0 below the axis, 1 … bins, bins + 1 above, bins + 2 not finite, then
    the rejected rows, :data:`REJECTED_LANES` a cut.

    Attributes
    ----------
    edges
        Bin edges in the type of the values. For float32 values each edge is rounded up to float32,
        which leaves ``edge <= x`` as it was for every float32 x.
    low, scale
        The cell function, in the type of the values.
    start
        Slot of the lower end of each cell: int32 (cells + 8 + rejected,), rejected rows included.
    steps
        The most edges in one cell.
    cut
        The only edge in a cell (NaN when none), where ``steps`` is 1.
    upper
        The upper edge of each slot, NaN from the last edge on.
    """

    edges: NDArray[Any]
    low: np.floating[Any]
    scale: np.floating[Any]
    cells: int
    start: NDArray[np.int32]
    cut: NDArray[Any]
    upper: NDArray[Any]
    steps: int
    slots: int

    @property
    def bins(self) -> int:
        """The number of bins."""
        return self.edges.size - 1

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments that the kernels take."""
        dtype = self.edges.dtype.type
        highest = dtype(np.finfo(dtype).max)
        return (self.low, self.scale, dtype(self.cells - 1), highest, np.int32(self.cells))

    @property
    def tables(self) -> tuple[Any, ...]:
        """The look-up tables that the kernels take."""
        return (self.start, self.cut, self.upper, self.steps)


def check_edges(edges: NDArray[Any]) -> NDArray[np.float64]:
    """Return bin edges as float64, or say why they are none."""
    made = np.ascontiguousarray(edges, dtype=np.float64)
    if not (np.abs(made) <= MAX_EDGE).all():
        raise InputError(f"bin edges must be finite and within ±{MAX_EDGE:g}")
    if made.ndim != 1 or made.size < 2 or not (np.diff(made) > 0).all():
        raise InputError("bin edges must be at least two numbers, each larger than the one before")
    return made


def bin_table(edges: NDArray[np.float64], cuts: int, narrow: bool) -> BinTable:
    """Build the look-up table of an axis.

    Parameters
    ----------
    edges
        (bins + 1,) increasing.
    cuts
        Number of cuts, for the slots of rejected rows.
    narrow
        Whether the values are float32.
    """
    exact = round_up(edges) if narrow else edges
    low, scale, cells, cell = _choose_cells(exact)
    occupied = np.bincount(cell, minlength=cells)
    steps = int(max(1, occupied.max()))
    below = np.concatenate([[0], np.cumsum(occupied)[:-1]])
    bins, rejected = edges.size - 1, REJECTED_LANES * (cuts + 1)
    start = np.concatenate([below, np.full(REJECTED_LANES, bins + 2), bins + 3 + np.arange(rejected)])
    cut = np.full(start.size, np.nan, dtype=exact.dtype)
    if steps == 1:
        cut[cell] = exact
    upper = np.full(bins + 3 + rejected, np.nan, dtype=exact.dtype)
    upper[: bins + 1] = exact
    return BinTable(exact, low, scale, cells, start.astype(np.int32), cut, upper, steps, upper.size)


def _choose_cells(edges: NDArray[Any]) -> tuple[Any, Any, int, NDArray[np.int64]]:
    """Return the cell function and every edge's cell, with one edge a cell where the table allows."""
    dtype = edges.dtype.type
    span = float(edges[-1]) - float(edges[0])
    narrowest = float(np.diff(edges).min())
    least = edges.size
    wanted = 1.0 + span / narrowest if narrowest > 0.0 else np.inf
    cells = int(min(max(wanted, least), max(MAX_CELLS, least)))
    # Half a cell below the first edge, so that the edges of a uniform axis fall on middles of cells.
    width = span / (cells - 1)
    low, scale = dtype(float(edges[0]) - 0.5 * width), dtype(0.0)
    if width > 1.0 / MAX_EDGE:
        scale = dtype(1.0 / width)
    return low, scale, cells, cells_of(edges, low, scale, cells)


def cells_of(values: NDArray[Any], low: Any, scale: Any, cells: int) -> NDArray[np.int64]:
    """Return the cell of each value, by the arithmetic of the kernels."""
    with np.errstate(over="ignore"):
        position = (values - low) * scale
    cell: NDArray[np.int64] = np.clip(position, 0, position.dtype.type(cells - 1)).astype(np.int64)
    return cell


def round_up(values: NDArray[np.float64] | float) -> NDArray[np.float32]:
    """Return the smallest float32 that is not below each value."""
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        near = wide.astype(np.float32)
        up = np.nextafter(near, np.float32(np.inf))
    return np.where(near.astype(np.float64) < wide, up, near)


def round_down(values: NDArray[np.float64] | float) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each value."""
    return -round_up(-np.asarray(values, dtype=np.float64))
