"""The ways through the rows: one configuration, many at once, window by window, or by counting windows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scanner.expressions.dependence import Dependence, maximal
from scanner.expressions.evaluate import evaluate
from scanner.expressions.nodes import Binary, Conditional, Node, Power, is_exact
from scanner.kernels.selection import plane, programs
from scanner.kernels.selection.codegen import Scalars
from scanner.kernels.selection.fill import LANES, SPREAD, empty_all
from scanner.kernels.selection.generated import entry
from scanner.kernels.selection.layout import Layout
from scanner.kernels.selection.programs import Program
from scanner.reading.channel import WindowTable
from scanner.reading.dependence import Recipe
from scanner.reading.histogram import REJECTED_LANES, BinTable, Histogram, bin_table, round_down, round_up
from scanner.reading.plane import PlaneTable, buckets

Columns = Mapping[str, NDArray[Any]]

PREPARED_ROWS = 1 << 16
"""Rows a batch when numpy computes parts beforehand: what it makes stays in the second-level cache."""
_OUTER = (Dependence.NOTHING, Dependence.COLUMNS)


class Pass(Protocol):
    """One way through the rows."""

    def fill(self, columns: Columns, rows: int) -> Histogram:
        """Select and count rows."""
        ...


def choose_pass(recipe: Recipe) -> Pass:
    """Return the fastest way that gives what the recipe asks for."""
    if isinstance(recipe.windows, PlaneTable):
        return PlanePass(recipe, recipe.windows)
    if "window" in recipe.depends:
        return WindowPass(recipe)
    observable_varies = recipe.scope.of(recipe.observable) is Dependence.CONFIGURATION
    parts = prepared(recipe, recipe.conditions(*Dependence))
    parts_vary = any(recipe.scope.of(part) is Dependence.CONFIGURATION for part in parts)
    cuts_vary = "configuration" in recipe.depends
    if len(recipe.configurations) > 1 and cuts_vary and not (observable_varies or parts_vary):
        return LanesPass(recipe)
    return PlainPass(recipe, repeat=cuts_vary or observable_varies)


def prepared(recipe: Recipe, cuts: Sequence[Sequence[Node]]) -> tuple[Node, ...]:
    """Return the functions of columns that numpy computes beforehand, since only it gives its own bits."""

    def wanted(node: Node) -> bool:
        by_window = recipe.scope.of(node) is Dependence.WINDOW
        return not is_exact(node) and recipe.scope.has_columns(node) and not by_window

    nodes = [recipe.observable, *recipe.further, *(node for cut in cuts for node in cut)]
    return tuple(dict.fromkeys(part for node in nodes for part in maximal(node, wanted)))


def hoisted(recipe: Recipe, cuts: Sequence[Sequence[Node]], given: Sequence[Node]) -> tuple[Node, ...]:
    """Return the column-only arithmetic of conditions that are tested for each configuration."""

    def wanted(node: Node) -> bool:
        return recipe.scope.of(node) is Dependence.COLUMNS and not node.is_truth

    parts = [part for cut in cuts for node in cut for part in maximal(node, wanted)]
    worth = [part for part in parts if isinstance(part, Binary | Power | Conditional) and part not in given]
    return tuple(dict.fromkeys(worth))


@dataclass(frozen=True, eq=False)
class _Compiled:
    """A program for columns of certain types, ready to run."""

    program: Program
    table: BinTable
    scan: Callable[..., None]


class _Base:
    """What all ways share: parts computed beforehand, scalars, and a program by column types."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.given = prepared(recipe, recipe.conditions(*Dependence))
        self._compiled: dict[tuple[bool, ...], _Compiled] = {}

    def program(self, narrow: Mapping[str, bool]) -> Program:
        """Write the program for columns of which some are float32."""
        raise NotImplementedError

    def layout(self, narrow: Mapping[str, bool]) -> Layout:
        """Return the arrays of the program."""
        return Layout(narrow, self.recipe.observable, self.given)

    def compiled(self, columns: Columns) -> _Compiled:
        """Return the program for these columns, compiled at most once."""
        narrow = {name: array.dtype == np.float32 for name, array in columns.items()}
        key = tuple(narrow.values())
        if key not in self._compiled:
            program = self.program(narrow)
            table = bin_table(self.recipe.edges, len(self.recipe.cuts), program.narrow)
            self._compiled[key] = _Compiled(program, table, entry(program.source))
        return self._compiled[key]

    def batches(self, columns: Columns, rows: int, configuration: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield the arrays that the kernels take, followed by the parts computed beforehand."""
        step = PREPARED_ROWS if self.given else max(rows, 1)
        scalars = {**self.recipe.constants, **self.recipe.configurations[configuration]}
        for begin in range(0, rows, step):
            batch = {name: array[begin : begin + step] for name, array in columns.items()}
            size = min(step, rows - begin)
            parts = [evaluate(part, {**scalars, **batch}, self.recipe.functions) for part in self.given]
            yield (*batch.values(), *(np.ascontiguousarray(np.broadcast_to(part, size)) for part in parts))

    def scalars(self, scalars: Scalars, configuration: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the float64 and float32 scalars of a loop, at least one of each."""
        wide = [float(self.recipe.value(node, configuration)) for node in scalars.wide]
        narrow = [
            float((round_up if up else round_down)(self.recipe.value(node, configuration)))
            for node, up in scalars.narrow
        ]
        return np.array(wide or [0.0]), np.array(narrow or [0.0], dtype=np.float32)

    def by_window(self, nodes: Sequence[Node], configuration: int, windows: int) -> NDArray[np.float64]:
        """Return the values of parts that vary by window, (windows, parts), at least one."""
        values = [np.broadcast_to(self.recipe.value(node, configuration), windows) for node in nodes]
        return np.ascontiguousarray(np.stack(values, axis=1)) if values else np.zeros((windows, 1))


class PlainPass(_Base):
    """One configuration in one reading of the columns."""

    def __init__(self, recipe: Recipe, repeat: bool) -> None:
        super().__init__(recipe)
        self.repeat = repeat

    def program(self, narrow: Mapping[str, bool]) -> Program:
        """Write the program: every condition in one loop."""
        return programs.plain(self.layout(narrow), self.recipe.cuts)

    def fill(self, columns: Columns, rows: int) -> Histogram:
        """Select and count rows."""
        compiled, result = self.compiled(columns), self.recipe.empty()
        bins, cuts = self.recipe.bins, len(self.recipe.cuts)
        for c in range(len(self.recipe.configurations) if self.repeat else 1):
            counts = np.zeros(compiled.table.slots, np.int64)
            k, g = self.scalars(compiled.program.scalars, c)
            for arrays in self.batches(columns, rows, c):
                compiled.scan(arrays, k, g, compiled.table.arguments, compiled.table.tables, counts)
            own = slice(c, c + 1) if self.repeat else slice(None)
            rejected = counts[bins + 3 :].reshape(cuts + 1, REJECTED_LANES).sum(axis=1)[:cuts]
            result.counts[own] = counts[1 : bins + 1]
            result.cutflow[own] = rows - np.concatenate([[0], np.cumsum(rejected)])
            result.outside[own] = counts[0] + counts[bins + 1]
            result.not_finite[own] = counts[bins + 2]
        return result


class LanesPass(_Base):
    """Many configurations in one reading: a bit a configuration, counters of eight in one word."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.outer = recipe.conditions(*_OUTER)
        self.inner = recipe.conditions(Dependence.CONFIGURATION)
        self.hoisted = hoisted(recipe, self.inner, self.given)

    def program(self, narrow: Mapping[str, bool]) -> Program:
        """Write the program: conditions on columns once, the others for each configuration."""
        return programs.lanes(self.layout(narrow), self.outer, self.inner, self.hoisted)

    def fill(self, columns: Columns, rows: int) -> Histogram:
        """Select and count rows."""
        compiled, result = self.compiled(columns), self.recipe.empty()
        count = len(self.recipe.configurations)
        groups, slots, bins = -(-count // LANES), compiled.table.slots, self.recipe.bins
        packed, ticks = np.zeros((slots, groups), np.uint64), np.zeros(slots, np.uint8)
        counts = np.zeros((slots, LANES * groups), np.int64)
        due = np.concatenate([[0], np.cumsum([bool(conditions) for conditions in self.inner])])
        k, g = self.scalars(compiled.program.scalars, 0)
        ks, gs = self._inner_scalars(compiled.program)
        table = compiled.table
        for arrays in self.batches(columns, rows, 0):
            compiled.scan(
                arrays, k, g, ks, gs, table.arguments, table.tables, SPREAD, due.astype(np.int64),
                packed, ticks, counts, result.cutflow,
            )  # fmt: skip
        empty_all(packed, ticks, counts)
        result.counts[:] = counts[1 : bins + 1, :count].T
        result.outside[:] = counts[0, :count] + counts[bins + 1, :count]
        result.not_finite[:] = counts[bins + 2, :count]
        return result

    def _inner_scalars(self, program: Program) -> tuple[NDArray[Any], NDArray[Any]]:
        assert program.inner is not None
        each = [self.scalars(program.inner, c) for c in range(len(self.recipe.configurations))]
        return np.stack([wide for wide, _ in each]), np.stack([narrow for _, narrow in each])


class WindowPass(_Base):
    """Cuts that depend on the window: each row is tested in every window that holds it."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.outer = recipe.conditions(*_OUTER, Dependence.CONFIGURATION)
        self.inner = recipe.conditions(Dependence.WINDOW)
        assert isinstance(recipe.windows, WindowTable)
        self.windows = recipe.windows
        self.ranges = self._ranges()

    def program(self, narrow: Mapping[str, bool]) -> Program:
        """Write the program: conditions without windows first, then the others for each pair."""
        return programs.windows(self.layout(narrow), self.outer, self.inner, self.recipe.scope.window)

    def fill(self, columns: Columns, rows: int) -> Histogram:
        """Select and count rows."""
        compiled, result = self.compiled(columns), self.recipe.empty()
        for c in range(len(self.recipe.configurations)):
            flow, missed = np.zeros(len(self.recipe.cuts) + 1, np.int64), np.zeros(2, np.int64)
            arguments = self._arguments(compiled, c)
            for arrays in self.batches(columns, rows, c):
                compiled.scan(arrays, *arguments, result.counts[c], flow, missed)
            result.cutflow[c] = np.cumsum(flow[::-1])[::-1]
            result.outside[c], result.not_finite[c] = missed
        return result

    def _arguments(self, compiled: _Compiled, configuration: int) -> tuple[Any, ...]:
        inner, table, windows = compiled.program.inner, compiled.table, self.windows
        assert inner is not None
        by_window = self.by_window(inner.window, configuration, windows.first.size)
        outer_scalars = self.scalars(compiled.program.scalars, configuration)
        inner_scalars = self.scalars(inner, configuration)
        extents = [np.ascontiguousarray(a, np.int64) for a in (windows.first, windows.last, windows.stride)]
        return (
            *outer_scalars,
            *inner_scalars,
            by_window,
            table.arguments,
            table.tables,
            self.ranges,
            *extents,
        )

    def _ranges(self) -> NDArray[np.int64]:
        """Return, for each fine bin, the run of windows that can hold it: (bins, 2)."""
        bins = np.arange(self.recipe.bins)
        highest = np.maximum.accumulate(self.windows.last)
        begin = np.searchsorted(highest, bins, side="right")
        end = np.searchsorted(self.windows.first, bins, side="right")
        return np.ascontiguousarray(np.stack([begin, np.maximum(begin, end)], axis=1), dtype=np.int64)


class PlanePass(_Base):
    """Counting windows: each row is tested in every window whose cell of a look-up grid it is in."""

    def __init__(self, recipe: Recipe, windows: PlaneTable) -> None:
        super().__init__(recipe)
        self.outer = recipe.conditions(*_OUTER, Dependence.CONFIGURATION)
        self.inner = recipe.conditions(Dependence.WINDOW)
        self.windows = windows
        found = buckets(windows)
        self.tables = (found.grid, found.starts, found.members, windows.geometry)

    def program(self, narrow: Mapping[str, bool]) -> Program:
        """Write the program: conditions without windows first, then the others for each pair."""
        return plane.counting(
            self.layout(narrow),
            self.recipe.further,
            self.outer,
            self.inner,
            self.recipe.scope.window,
            elliptic=self.windows.elliptic,
            framed=self.windows.framed,
        )

    def fill(self, columns: Columns, rows: int) -> Histogram:
        """Select and count rows."""
        compiled, result = self.compiled(columns), self.recipe.empty()
        program, inner = compiled.program, compiled.program.inner
        for c in range(len(self.recipe.configurations)):
            flow, missed = np.zeros(len(self.recipe.cuts) + 1, np.int64), np.zeros(2, np.int64)
            scalars = (*self.scalars(program.scalars, c), *self.scalars(inner, c))
            by_window = self.by_window(inner.window, c, self.windows.shape[0])
            for arrays in self.batches(columns, rows, c):
                compiled.scan(arrays, *scalars, by_window, *self.tables, result.counts[c], flow, missed)
            result.cutflow[c] = np.cumsum(flow[::-1])[::-1]
            result.outside[c], result.not_finite[c] = missed
        return result
