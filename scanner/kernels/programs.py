"""The generated modules: a loop over rows that the trees fill in, and the loop over blocks around it.

A program's entry point is ``scan``. It reads the columns block by block; ``select`` computes cuts and
cells without a branch, so that it vectorises, and the loops of `scanner.kernels.fill` do the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from scanner.expressions.nodes import Name, Node
from scanner.kernels.codegen import Emitter, Operand, Scalars

Cuts = Sequence[Sequence[Node]]
"""For each cut, the conditions of it that a loop must test."""

_HEAD = '''"""Generated."""

import math

import numpy as np

from scanner.kernels.fill import BLOCK, climb, count, count_packed, left, locate, mark
'''


@dataclass(frozen=True)
class Program:
    """A generated module and the scalars that it takes.

    Attributes
    ----------
    source
        The text of the module.
    narrow
        Whether the observable is float32.
    scalars
        Of ``select``.
    inner
        Of the loop inside: by configuration, or by window.
    hoisted
        How many column-only parts ``select`` hands to the inner loop.
    """

    source: str
    narrow: bool
    scalars: Scalars
    inner: Scalars | None = None


def plain(columns: Mapping[str, bool], cuts: Cuts, observable: Node, given: Sequence[Node]) -> Program:
    """Write the program of one configuration: ``scan(columns, k, g, axis, tables, counts)``.

    Parameters
    ----------
    columns
        Stored columns in order, and whether each is float32.
    cuts
        The conditions of each cut.
    observable
        A number.
    given
        Parts computed beforehand, which follow the columns as float64 arrays.
    """
    emitter, arrays = _emitter(columns, given)
    direct = _direct(observable, emitter)
    body = _cuts(emitter, cuts)
    body += _cell(emitter, observable, direct)
    reject = "spill + np.int32(8) + depth * np.int32(8) + np.int32(i & 7)"
    body.append(f"cells[i] = cell if passed else {reject}" if cuts else "cells[i] = cell")
    outputs = ["cells", *([] if direct else ["values"])]
    select = _select(arrays, emitter.loads(), [*emitter.row, *body], outputs)
    narrow = emitter.is_narrow(observable)
    scan = f"""

@compiled
def scan(columns, k, g, axis, tables, counts):
{_prologue(arrays, narrow, direct)}
    for begin in range(0, c0.size, BLOCK):
        end = min(begin + BLOCK, c0.size)
        size = end - begin
{_slices(arrays)}
        select({_arguments(arrays, outputs)})
{_locate(direct)}
        count(slots[:size], counts)
"""
    return Program(_HEAD + select + scan, narrow, emitter.scalars)


def lanes(
    columns: Mapping[str, bool],
    cuts: Cuts,
    inner: Cuts,
    observable: Node,
    given: Sequence[Node],
    hoisted: Sequence[Node],
) -> Program:
    """Write the program of many configurations.

    ``scan(columns, k, g, ks, gs, axis, tables, spread, due, packed, ticks, counts, flow)`` evaluates the
    column-only conditions once, then the `inner` ones for each configuration's scalars ``ks[c]``, ``gs[c]``.
    """
    select, arrays, emitter, direct, names = _split(columns, cuts, observable, given, hoisted)
    lane = _lane(columns, arrays, inner, given, hoisted, names)
    narrow = emitter.is_narrow(observable)
    tested = sum(1 for conditions in inner if conditions)
    hoists = "".join(f"    {name} = np.empty(BLOCK, np.float64)\n" for name in names)
    outputs = ["cells", *([] if direct else ["values"]), "depth", *names]
    row_arguments = ", ".join([*(f"b{j}" for j in range(len(arrays))), *(f"{n}[:size]" for n in names)])
    scan = f"""

@compiled
def scan(columns, k, g, ks, gs, axis, tables, spread, due, packed, ticks, counts, flow):
{_prologue(arrays, narrow, direct)}
    depth = np.empty(BLOCK, np.uint8)
    level = np.empty(BLOCK, np.uint8)
    marks = np.empty((packed.shape[1], BLOCK), np.uint8)
    common = np.empty({len(cuts) + 1}, np.int64)
{hoists}
    for begin in range(0, c0.size, BLOCK):
        end = min(begin + BLOCK, c0.size)
        size = end - begin
{_slices(arrays)}
        select({_arguments(arrays, outputs)})
{_locate(direct)}
        for cut in range({len(cuts) + 1}):
            common[cut] = left(depth[:size], depth[:size], cut, 0) if due[cut] == 0 else 0
        marks[:] = 0
        for c in range(flow.shape[0]):
            lane({row_arguments}, ks[c], gs[c], level[:size])
            mark(depth[:size], level[:size], {len(cuts)}, {tested}, c & 7, marks[c >> 3][:size])
            for cut in range({len(cuts) + 1}):
                if due[cut] == 0:
                    flow[c, cut] += common[cut]
                else:
                    flow[c, cut] += left(depth[:size], level[:size], cut, due[cut])
        count_packed(slots[:size], marks, spread, packed, ticks, counts)
"""
    return Program(_HEAD + select + lane[0] + scan, narrow, emitter.scalars, lane[1])


def windows(
    columns: Mapping[str, bool],
    cuts: Cuts,
    inner: Cuts,
    observable: Node,
    given: Sequence[Node],
    window: frozenset[str],
) -> Program:
    """Write the program of cuts that depend on the window, for one configuration.

    ``scan(columns, k, g, kp, v, axis, tables, ranges, first, last, stride, counts, flow, missed)``
    finds the windows that hold each row and tests the `inner` conditions with their variables.
    """
    select, arrays, emitter, direct, _ = _split(columns, cuts, observable, given, ())
    pairs, scalars = _pairs(columns, arrays, inner, given, window)
    narrow = emitter.is_narrow(observable)
    outputs = ["cells", *([] if direct else ["values"]), "depth"]
    scan = f"""

@compiled
def scan(columns, k, g, kp, gp, v, axis, tables, ranges, first, last, stride, counts, flow, missed):
{_prologue(arrays, narrow, direct)}
    depth = np.empty(BLOCK, np.uint8)
    for begin in range(0, c0.size, BLOCK):
        end = min(begin + BLOCK, c0.size)
        size = end - begin
{_slices(arrays)}
        select({_arguments(arrays, outputs)})
{_locate(direct)}
        pairs({", ".join(f"b{j}" for j in range(len(arrays)))}, kp, gp, v, slots[:size], depth,
              ranges, first, last, stride, counts, flow, missed)
"""
    return Program(_HEAD + select + pairs + scan, narrow, emitter.scalars, scalars)


def _emitter(columns: Mapping[str, bool], given: Sequence[Node]) -> tuple[Emitter, list[str]]:
    operands = {name: Operand(f"c{j}[i]", narrow) for j, (name, narrow) in enumerate(columns.items())}
    beside = {node: Operand(f"c{len(columns) + j}[i]") for j, node in enumerate(given)}
    return Emitter(operands, beside), [f"c{j}" for j in range(len(columns) + len(given))]


def _direct(observable: Node, emitter: Emitter) -> str:
    """Return the column that is the observable, or nothing when it must be computed."""
    if isinstance(observable, Name) and emitter.is_narrow(observable):
        return emitter.columns[observable.name].name[:-3]
    return ""


def _cuts(emitter: Emitter, cuts: Cuts) -> list[str]:
    """Return the statements for the number of cuts passed in turn, and whether all are."""
    lines, passed, terms = [], "", ["np.int32(0)"]
    for number, conditions in enumerate(cuts):
        parts = [*([passed] if passed else []), *(emitter.truth(node).name for node in conditions)]
        if conditions:
            passed = f"p{number}"
            lines.append(f"{passed} = {' & '.join(parts)}")
        terms.append(f"np.int32({passed})" if passed else "np.int32(1)")
    lines.append(f"depth = {' + '.join(terms)}")
    lines.append(f"passed = {passed or 'True'}")
    return lines


def _cell(emitter: Emitter, observable: Node, direct: str) -> list[str]:
    x = emitter.number(observable, wide=not emitter.is_narrow(observable)).name
    zero = "np.float32(0.0)" if emitter.is_narrow(observable) else "0.0"
    return [
        *([] if direct else [f"values[i] = {x}"]),
        f"position = ({x} - low) * scale",
        f"position = position if position > {zero} else {zero}",
        "position = position if position < top else top",
        "cell = np.int32(position)",
        f"cell = cell if abs({x}) <= highest else spill",
    ]


def _split(
    columns: Mapping[str, bool], cuts: Cuts, observable: Node, given: Sequence[Node], hoisted: Sequence[Node]
) -> tuple[str, list[str], Emitter, str, list[str]]:
    """Write a `select` that keeps cell and number of cuts passed apart."""
    emitter, arrays = _emitter(columns, given)
    direct = _direct(observable, emitter)
    body = [*_cuts(emitter, cuts), *_cell(emitter, observable, direct)]
    body += ["cells[i] = cell", "depths[i] = np.uint8(depth)"]
    names = [f"h{j}" for j in range(len(hoisted))]
    body += [f"{name}[i] = {emitter.number(node).name}" for name, node in zip(names, hoisted, strict=True)]
    outputs = ["cells", *([] if direct else ["values"]), "depths", *names]
    return _select(arrays, emitter.loads(), [*emitter.row, *body], outputs), arrays, emitter, direct, names


def _lane(
    columns: Mapping[str, bool],
    arrays: list[str],
    inner: Cuts,
    given: Sequence[Node],
    hoisted: Sequence[Node],
    names: list[str],
) -> tuple[str, Scalars]:
    """Write the loop that counts, for one configuration, the cuts with conditions of it that pass in turn."""
    emitter, _ = _emitter(columns, given)
    emitter.given = {**emitter.given, **{n: Operand(f"{h}[i]") for n, h in zip(hoisted, names, strict=True)}}
    body = _cuts(emitter, [conditions for conditions in inner if conditions])
    body.append("level[i] = np.uint8(depth)")
    text = _function(
        "lane",
        [*arrays, *names, "k", "g", "level"],
        emitter.loads(),
        "range(level.size)",
        [*emitter.row, *body],
    )
    return text, emitter.scalars


def _pairs(
    columns: Mapping[str, bool], arrays: list[str], inner: Cuts, given: Sequence[Node], window: frozenset[str]
) -> tuple[str, Scalars]:
    """Write the loop over the windows that hold a row."""
    emitter, _ = _emitter(columns, given)
    emitter.window = window
    tests = [
        (number, " & ".join(emitter.truth(node).name for node in conditions))
        for number, conditions in enumerate(inner)
        if conditions
    ]
    all_cuts, earliest = len(inner), tests[0][0]
    reach = [
        f"reach = {all_cuts}",
        *(f"reach = reach if {test} else {number}" for number, test in reversed(tests)),
    ]
    body = f"""\
through = depth[i]
best = {earliest}
held = False
bin_ = np.int64(slots[i]) - 1
if 0 <= bin_ < ranges.shape[0] and through > {earliest}:
{indent(chr(10).join(emitter.row) or "pass", "    ")}
    for w in range(ranges[bin_, 0], ranges[bin_, 1]):
        if first[w] <= bin_ < last[w]:
            held = True
{indent(chr(10).join([*emitter.pair, *reach]), "            ")}
            best = max(best, reach)
            if reach == {all_cuts} and through == {all_cuts}:
                counts[w, (bin_ - first[w]) // stride[w]] += 1
if through == {all_cuts} and not held:
    missed[np.int64(bin_ > ranges.shape[0])] += 1
flow[min(np.int64(through), best)] += 1"""
    arguments = [
        *arrays,
        *["k", "g", "v", "slots", "depth", "ranges", "first", "last", "stride", "counts", "flow", "missed"],
    ]
    return _function(
        "pairs", arguments, emitter.loads(), "range(slots.size)", body.splitlines()
    ), emitter.scalars


def _select(arrays: list[str], loads: list[str], body: list[str], outputs: list[str]) -> str:
    arguments = [*arrays, "k", "g", "low", "scale", "top", "highest", "spill", *outputs]
    return _function("select", arguments, loads, "range(cells.size)", body)


def _function(name: str, arguments: Sequence[str], loads: list[str], rows: str, body: list[str]) -> str:
    before = indent("\n".join(loads), "    ")
    return f"""

@compiled
def {name}({", ".join(arguments)}):
{before}
    for i in {rows}:
{indent(chr(10).join(body), "        ")}
"""


def _prologue(arrays: list[str], narrow: bool, direct: str) -> str:
    kind = "np.float32" if narrow else "np.float64"
    lines = [
        f"{', '.join(arrays)}, = columns",
        "low, scale, top, highest, spill = axis",
        "start, cut_edge, upper, steps = tables",
        "cells = np.empty(BLOCK, np.int32)",
        "slots = np.empty(BLOCK, np.uint32)",
        *([] if direct else [f"values = np.empty(BLOCK, {kind})"]),
    ]
    return indent("\n".join(lines), "    ")


def _slices(arrays: list[str]) -> str:
    return indent("\n".join(f"b{j} = c{j}[begin:end]" for j in range(len(arrays))), "        ")


def _arguments(arrays: list[str], outputs: list[str]) -> str:
    blocks = [f"b{j}" for j in range(len(arrays))]
    return ", ".join(
        [*blocks, "k", "g", "low", "scale", "top", "highest", "spill", *(f"{o}[:size]" for o in outputs)]
    )


def _locate(direct: str) -> str:
    values = f"b{direct[1:]}" if direct else "values[:size]"
    lines = [
        "if steps == 1:",
        f"    locate(cells[:size], {values}, start, cut_edge, slots[:size])",
        "else:",
        f"    climb(cells[:size], {values}, start, upper, steps, slots[:size])",
    ]
    return indent("\n".join(lines), "        ")
