"""The compiled pass: columns in, histograms out.

A :class:`ChannelPlan` says what to select and what to fill; :class:`Selection` checks it, finds what each
cut depends on and compiles it. What depends on columns only is evaluated once a row, what depends on the
configuration once a configuration, and what depends on the window once for each window that holds the
row. Results equal numpy's float64 evaluation of the same expressions, and ``np.searchsorted``, exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.errors import InputError
from scanner.expressions.messages import nearest
from scanner.reading.candidates import Candidates, candidates_of
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.dependence import Recipe, recipe
from scanner.reading.histogram import Histogram, check_edges
from scanner.reading.passes import Pass, choose_pass
from scanner.reading.plane import PlaneTable, check_plane
from scanner.reading.skipping import Interval, bounds, contribution

Function = Callable[..., Any]
MAX_CONFIGURATIONS = 64


class Selection:
    """A compiled :class:`ChannelPlan`.

    Raises
    ------
    InputError
        For an expression that cannot be used, a name that means two things, or windows off the axis.
    """

    def __init__(self, plan: ChannelPlan) -> None:
        check_edges(plan.edges)
        _check_configurations(plan)
        _check_windows(plan)
        self.plan = plan
        self._recipe: Recipe = recipe(plan)

    @property
    def needed(self) -> tuple[str, ...]:
        """The stored columns that must be read."""
        return self._recipe.needed

    @property
    def depends(self) -> tuple[str, ...]:
        """For each cut ``columns``, ``configuration`` or ``window``."""
        return self._recipe.depends

    @property
    def by_window(self) -> bool:
        """Whether counts are by window rather than by fine bin."""
        return self._recipe.by_window

    @property
    def bounds(self) -> dict[str, Interval]:
        """Closed intervals that columns of selected rows lie in, from the cuts on columns alone."""
        return bounds(self._recipe)

    def fill(self, columns: Mapping[str, ArrayLike]) -> Histogram:
        """Select and count rows.

        Parameters
        ----------
        columns
            One-dimensional arrays of equal length, with at least the :attr:`needed` ones.

        Raises
        ------
        InputError
            For a column that is missing, of another length, or not a number.
        """
        arrays, rows = _check_columns(columns, self.needed)
        found = self._pass.fill(arrays, rows)
        return found.repeated(len(self.plan.configurations)) if self._recipe.alike else found

    def skip(
        self, rows: int, minimum: Mapping[str, float], maximum: Mapping[str, float], finite: bool = False
    ) -> Histogram | None:
        """Return what :meth:`fill` would return for a shard, where its extremes tell.

        Parameters
        ----------
        rows
            Rows of the shard.
        minimum, maximum
            Extremes of its columns, NaN aside.
        finite
            Whether the shard is known to hold no NaN. Without that only the first cut can tell, since a
            NaN fails every comparison.

        Returns
        -------
        The histogram, or None when the shard must be read.
        """
        return contribution(self._recipe, rows, minimum, maximum, finite)

    def empty(self) -> Histogram:
        """Return the histogram of no rows."""
        return self._recipe.empty()

    def candidates(self, columns: Mapping[str, ArrayLike]) -> Candidates:
        """Return the observable of the rows that :meth:`fill` counts in a bin.

        Raises
        ------
        InputError
            As :meth:`fill`, and for cuts that depend on the window.
        """
        arrays, rows = _check_columns(columns, self.needed)
        return candidates_of(self._recipe, arrays, rows)

    @cached_property
    def _pass(self) -> Pass:
        alike = self._recipe.alike
        return choose_pass(replace(self._recipe, configurations=({},)) if alike else self._recipe)


def _check_configurations(plan: ChannelPlan) -> None:
    count = len(plan.configurations)
    if not 1 <= count <= MAX_CONFIGURATIONS:
        raise InputError(f"{count} configurations in a channel; from 1 to {MAX_CONFIGURATIONS} are possible")
    names = set(plan.configurations[0])
    for number, parameters in enumerate(plan.configurations):
        if set(parameters) != names:
            other = ", ".join(sorted(names ^ set(parameters)))
            raise InputError(f"configuration {number} and configuration 0 differ in parameters: {other}")


def _check_windows(plan: ChannelPlan) -> None:
    table, bins = plan.windows, np.size(plan.edges) - 1
    if isinstance(table, PlaneTable):
        check_plane(table)
    if not isinstance(table, WindowTable):
        return
    shapes = {np.shape(array) for array in (table.first, table.stride, *table.variables.values())}
    if len(shapes) != 1 or np.ndim(table.first) != 1:
        raise InputError(f"window arrays have different shapes: {', '.join(map(str, sorted(shapes)))}")
    if np.size(table.first) and (
        table.first.min() < 0 or table.last.max() > bins or table.stride.min() < 1 or table.bins < 1
    ):
        raise InputError(f"a window reaches beyond the {bins} fine bins of the axis")
    if (np.diff(table.first) < 0).any():
        raise InputError("the first bins of windows must not decrease")


def _check_columns(
    columns: Mapping[str, ArrayLike], needed: tuple[str, ...]
) -> tuple[dict[str, NDArray[Any]], int]:
    arrays: dict[str, NDArray[Any]] = {}
    for name in needed:
        if name not in columns:
            have = ", ".join(sorted(columns)) or "none"
            raise InputError(f"the column `{name}` is missing; there are {have}{nearest(name, columns)}")
        arrays[name] = _usable(name, np.asarray(columns[name]))
    lengths = {name: array.size for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"columns differ in length: {', '.join(f'{n} {s}' for n, s in lengths.items())}")
    return arrays, next(iter(lengths.values()))


def _usable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return a column as the kernels take it: contiguous, native, float32 or float64 or integer."""
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        shape = f"{array.ndim}-dimensional {array.dtype}"
        raise InputError(f"the column `{name}` is {shape}; one dimension of numbers is due")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float64)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
