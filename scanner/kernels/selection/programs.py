"""The generated modules: a loop over rows that the trees fill in, and the loop over blocks around it.

A program's entry point is ``scan``. It reads the columns block by block; ``select`` computes cuts and
cells without a branch, so that it vectorises, and the loops of `scanner.kernels.selection.fill` do the rest.
"""

from dataclasses import dataclass
from textwrap import indent

from scanner.expressions.nodes import Node
from scanner.kernels.selection.codegen import Emitter, Scalars
from scanner.kernels.selection.layout import HEAD, Cuts, Layout, Nodes, cut_statements, function


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
        Of the loop inside, by configuration or by window.
    """

    source: str
    narrow: bool
    scalars: Scalars
    inner: Scalars


def plain(layout: Layout, cuts: Cuts) -> Program:
    """Write the program of one configuration: ``scan(columns, k, g, axis, tables, counts)``.

    A rejected row goes to one of eight slots of the first cut that it fails, so that the counts hold
    the cutflow too.
    """
    emitter = layout.emitter()
    body = [*cut_statements(emitter, cuts), *layout.cell(emitter)]
    body.append("rejected = spill + np.int32(8) + depth * np.int32(8) + np.int32(i & 7)")
    body.append("cells[i] = cell if passed else rejected")
    scan = f"""

@compiled
def scan(columns, k, g, axis, tables, counts):
{layout.prologue()}
    for begin in range(0, c0.size, BLOCK):
{layout.block()}
        count(slots[:size], counts)
"""
    source = HEAD + layout.select(emitter, [*emitter.row, *body]) + scan
    return Program(source, layout.narrow, emitter.scalars, layout.emitter().scalars)


def lanes(layout: Layout, cuts: Cuts, inner: Cuts, hoisted: Nodes) -> Program:
    """Write the program of many configurations.

    ``scan(columns, k, g, ks, gs, axis, tables, spread, due, packed, ticks, counts, flow)`` tests the
    conditions on columns once, then the `inner` ones with each configuration's ``ks[c]`` and ``gs[c]``.
    The `hoisted` parts are computed once and handed on.
    """
    beside = {node: f"h{j}" for j, node in enumerate(hoisted)}
    select, scalars = _split(layout, cuts, beside)
    lane, inner_scalars = _lane(layout, inner, beside)
    every, tested = len(cuts), sum(1 for conditions in inner if conditions)
    handed = ", ".join([*layout.blocks, *(f"{name}[:size]" for name in beside.values())])
    extra = [
        "depth = np.empty(BLOCK, np.uint8)",
        "level = np.empty(BLOCK, np.uint8)",
        "marks = np.empty((packed.shape[1], BLOCK), np.uint8)",
        f"common = np.empty({every + 1}, np.int64)",
        *(f"{name} = np.empty(BLOCK, np.float64)" for name in beside.values()),
    ]
    scan = f"""

@compiled
def scan(columns, k, g, ks, gs, axis, tables, spread, due, packed, ticks, counts, flow):
{layout.prologue(extra)}
    for begin in range(0, c0.size, BLOCK):
{layout.block(["depth", *beside.values()])}
        for number in range({every + 1}):
            common[number] = left(depth[:size], depth[:size], number, 0) if due[number] == 0 else 0
        marks[:] = 0
        for c in range(flow.shape[0]):
            lane({handed}, ks[c], gs[c], level[:size])
            mark(depth[:size], level[:size], {every}, {tested}, c & 7, marks[c >> 3][:size])
            for number in range({every + 1}):
                if due[number] == 0:
                    flow[c, number] += common[number]
                else:
                    flow[c, number] += left(depth[:size], level[:size], number, due[number])
        count_packed(slots[:size], marks, spread, packed, ticks, counts)
"""
    return Program(HEAD + select + lane + scan, layout.narrow, scalars, inner_scalars)


def windows(layout: Layout, cuts: Cuts, inner: Cuts, window: frozenset[str]) -> Program:
    """Write the program of cuts that depend on the window, for one configuration.

    ``scan(columns, k, g, kp, gp, v, axis, tables, ranges, first, last, stride, counts, flow, missed)``
    finds the windows that hold each row and tests the `inner` conditions with their variables.
    """
    select, scalars = _split(layout, cuts, {})
    emitter = layout.emitter(window=window)
    pairs = _pairs(layout, emitter, inner)
    tables = "ranges, first, last, stride, counts, flow, missed"
    scan = f"""

@compiled
def scan(columns, k, g, kp, gp, v, axis, tables, {tables}):
{layout.prologue(["depth = np.empty(BLOCK, np.uint8)"])}
    for begin in range(0, c0.size, BLOCK):
{layout.block(["depth"])}
        pairs({", ".join(layout.blocks)}, kp, gp, v, slots[:size], depth[:size], {tables})
"""
    return Program(HEAD + select + pairs + scan, layout.narrow, scalars, emitter.scalars)


def _split(layout: Layout, cuts: Cuts, beside: dict[Node, str]) -> tuple[str, Scalars]:
    """Write a ``select`` that keeps the cell and the number of cuts passed apart."""
    emitter = layout.emitter()
    body = [*cut_statements(emitter, cuts), *layout.cell(emitter)]
    body += ["cells[i] = cell", "depths[i] = np.uint8(depth)"]
    body += [f"{array}[i] = {emitter.number(node).name}" for node, array in beside.items()]
    text = layout.select(emitter, [*emitter.row, *body], ["depths", *beside.values()])
    return text, emitter.scalars


def _lane(layout: Layout, inner: Cuts, beside: dict[Node, str]) -> tuple[str, Scalars]:
    """Write the loop that counts the cuts with conditions on the configuration that pass in turn."""
    emitter = layout.emitter(beside)
    body = cut_statements(emitter, [conditions for conditions in inner if conditions])
    arguments = [*layout.arrays, *beside.values(), "k", "g", "level"]
    lines = [*emitter.row, *body, "level[i] = np.uint8(depth)"]
    return function("lane", arguments, emitter, "range(level.size)", lines), emitter.scalars


def _pairs(layout: Layout, emitter: Emitter, inner: Cuts) -> str:
    """Write the loop over the windows that hold a row.

    A row comes as far as it does in its best window; `earliest` is how far a row comes without one.
    """
    tests = {
        number: " & ".join(emitter.truth(node).name for node in conditions)
        for number, conditions in enumerate(inner)
        if conditions
    }
    every, earliest = len(inner), min(tests)
    reach = [
        f"reach = {every}",
        *(f"reach = reach if {tests[n]} else {n}" for n in sorted(tests, reverse=True)),
    ]
    body = f"""\
through = np.int64(depth[i])
place = np.int64(slots[i]) - 1
best = {earliest}
held = False
if 0 <= place < ranges.shape[0] and through > {earliest}:
{indent(chr(10).join(emitter.row), "    ")}
    for w in range(ranges[place, 0], ranges[place, 1]):
        if first[w] <= place < last[w]:
            held = True
{indent(chr(10).join([*emitter.pair, *reach]), "            ")}
            best = max(best, reach)
            if reach == {every} and through == {every}:
                counts[w, (place - first[w]) // stride[w]] += 1
if through == {every} and not held:
    missed[np.int64(place > ranges.shape[0])] += 1
flow[min(through, best)] += 1"""
    tables = ["ranges", "first", "last", "stride", "counts", "flow", "missed"]
    arguments = [*layout.arrays, "k", "g", "v", "slots", "depth", *tables]
    return function("pairs", arguments, emitter, "range(slots.size)", body.splitlines())
