"""What every generated module has in common: its arrays, the cell of a row, and the pieces of its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent

from scanner.expressions.nodes import Name, Node
from scanner.kernels.selection.codegen import Emitter, Operand

Nodes = Sequence[Node]
Cuts = Sequence[Nodes]
"""For each cut, the conditions of it that a loop must test."""

HEAD = '''"""Generated."""

import math

import numpy as np

from scanner.kernels.selection.fill import BLOCK, climb, count, count_packed, left, locate, mark
'''
AXIS = ["low", "scale", "top", "highest", "spill"]


@dataclass(frozen=True, eq=False)
class Layout:
    """The arrays that a program reads, and the number that it bins.

    Attributes
    ----------
    columns
        Stored columns in order, and whether each is float32.
    observable
        A number.
    given
        Parts computed beforehand, which follow the columns as float64 arrays.
    """

    columns: Mapping[str, bool]
    observable: Node
    given: Nodes

    @property
    def arrays(self) -> list[str]:
        """The variables of all arrays."""
        return [f"c{j}" for j in range(len(self.columns) + len(self.given))]

    @property
    def blocks(self) -> list[str]:
        """The variables of the arrays' current blocks."""
        return [f"b{j}" for j in range(len(self.arrays))]

    def emitter(
        self, beside: Mapping[Node, str] | None = None, window: frozenset[str] = frozenset()
    ) -> Emitter:
        """Return an emitter that knows the arrays, and the arrays of further parts."""
        names = [f"{array}[i]" for array in self.arrays]
        columns = {
            name: Operand(array, narrow)
            for (name, narrow), array in zip(self.columns.items(), names, strict=False)
        }
        given = dict(zip(self.given, map(Operand, names[len(self.columns) :]), strict=True))
        given |= {node: Operand(f"{array}[i]") for node, array in (beside or {}).items()}
        return Emitter(columns, given, window)

    @cached_property
    def narrow(self) -> bool:
        """Whether the observable is float32."""
        return self.emitter().is_narrow(self.observable)

    @property
    def direct(self) -> str:
        """The block of the observable where it is an array as it stands, which need not be copied."""
        if isinstance(self.observable, Name) and self.narrow:
            return self.blocks[[*self.columns].index(self.observable.name)]
        return ""

    @property
    def outputs(self) -> list[str]:
        """The arrays of ``select`` from which bins follow."""
        return ["cells"] if self.direct else ["cells", "values"]

    def cell(self, emitter: Emitter) -> list[str]:
        """Return the statements for a row's cell, as `scanner.reading.histogram.BinTable` defines it."""
        x = emitter.number(self.observable, wide=not self.narrow).name
        zero = "np.float32(0.0)" if self.narrow else "0.0"
        return [
            *([] if self.direct else [f"values[i] = {x}"]),
            f"position = ({x} - low) * scale",
            f"position = position if position > {zero} else {zero}",
            "position = position if position < top else top",
            "cell = np.int32(position)",
            f"cell = cell if abs({x}) <= highest else spill",
        ]

    def select(self, emitter: Emitter, body: list[str], more: Sequence[str] = ()) -> str:
        """Return the loop that computes cells and what a program wants more."""
        arguments = [*self.arrays, "k", "g", *AXIS, *self.outputs, *more]
        return function("select", arguments, emitter, "range(cells.size)", body)

    def prologue(self, extra: Sequence[str] = ()) -> str:
        """Return the first lines of ``scan``: the arrays of a block."""
        lines = [
            f"{', '.join(self.arrays)}, = columns",
            f"{', '.join(AXIS)} = axis",
            "start, cut, upper, steps = tables",
            "cells = np.empty(BLOCK, np.int32)",
            "slots = np.empty(BLOCK, np.uint32)",
            f"values = np.empty(BLOCK, np.{'float32' if self.narrow else 'float64'})",
            *extra,
        ]
        return indent("\n".join(lines), "    ")

    def block(self, more: Sequence[str] = ()) -> str:
        """Return the lines of ``scan`` that find the slots of a block."""
        outputs = [f"{output}[:size]" for output in (*self.outputs, *more)]
        values = self.direct or "values[:size]"
        lines = [
            "end = min(begin + BLOCK, c0.size)",
            "size = end - begin",
            *(f"{block} = {array}[begin:end]" for block, array in zip(self.blocks, self.arrays, strict=True)),
            f"select({', '.join([*self.blocks, 'k', 'g', *AXIS, *outputs])})",
            "if steps == 1:",
            f"    locate(cells[:size], {values}, start, cut, slots[:size])",
            "else:",
            f"    climb(cells[:size], {values}, start, upper, steps, slots[:size])",
        ]
        return indent("\n".join(lines), "        ")


def cut_statements(emitter: Emitter, cuts: Cuts) -> list[str]:
    """Return the statements for the number of cuts passed in turn, and whether all are."""
    lines, passed, terms = [], "True", ["np.int32(0)"]
    for number, conditions in enumerate(cuts):
        parts = [emitter.truth(node).name for node in conditions]
        if parts:
            parts = parts if passed == "True" else [passed, *parts]
            passed = f"p{number}"
            lines.append(f"{passed} = {' & '.join(parts)}")
        terms.append("np.int32(1)" if passed == "True" else f"np.int32({passed})")
    return [*lines, f"depth = {' + '.join(terms)}", f"passed = {passed}"]


def function(name: str, arguments: Sequence[str], emitter: Emitter, rows: str, body: Sequence[str]) -> str:
    """Return a loop over rows; scalars are read before it."""
    return f"""

@compiled
def {name}({", ".join(arguments)}):
{indent(chr(10).join(emitter.loads()), "    ")}
    for i in {rows}:
{indent(chr(10).join(body), "        ")}
"""
