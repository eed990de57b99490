"""The generated module of counting windows: rows are tested in the windows of their cell of a look-up grid.

`scanner.reading.plane` makes the grid and describes the windows. All that the loops compute is spelled out
in the text, so that its digest names it.
"""

from collections.abc import Sequence
from textwrap import indent

from scanner.expressions.nodes import Node
from scanner.kernels.selection.codegen import Emitter, Scalars
from scanner.kernels.selection.layout import Cuts, Layout, cut_statements, function
from scanner.kernels.selection.programs import Program

HEAD = '''"""Generated."""

import math

import numpy as np

from scanner.kernels.selection.fill import BLOCK
'''

BOX = {1: "abs(dx) <= shape[w, 2]", 2: "(abs(dx) <= shape[w, 2]) & (abs(dy) <= shape[w, 3])"}
ELLIPSE = """\
p = (dx * shape[w, 4] + dy * shape[w, 5]) / shape[w, 2]
q = (dy * shape[w, 4] - dx * shape[w, 5]) / shape[w, 3]
inside = p * p + q * q <= 1.0"""
SIDES = """\
side = 1 if (shape[w, 6] <= {u}) & ({u} < shape[w, 7]) else 0
side = 2 if (shape[w, 8] <= {u}) & ({u} < shape[w, 9]) else side"""
TABLES = ["grid", "starts", "members", "shape", "counts", "flow", "missed"]


def counting(
    layout: Layout,
    further: Sequence[Node],
    cuts: Cuts,
    inner: Cuts,
    window: frozenset[str],
    *,
    elliptic: bool,
    framed: int,
) -> Program:
    """Write the program of counting windows, for one configuration.

    ``scan(columns, k, g, kp, gp, v, grid, starts, members, shape, counts, flow, missed)`` counts each row in
    all windows that hold it, and in their sidebands.

    Parameters
    ----------
    layout
        The arrays, and the first observable.
    further
        The second observable, if there is one.
    cuts, inner
        Conditions on a row alone, and those that depend on the window.
    window
        Names that vary by window.
    elliptic
        Whether windows are ellipses.
    framed
        The observable in which sidebands lie, −1 for none.
    """
    select, scalars = _select(layout, further, cuts)
    emitter = layout.emitter(window=window)
    place = _place(1 + len(further), elliptic, framed)
    pairs = _pairs(layout, emitter, inner, place)
    tables = ", ".join(TABLES)
    scan = f"""

@compiled
def scan(columns, k, g, kp, gp, v, {tables}):
    {", ".join(layout.arrays)}, = columns
    xs, ys = np.empty(BLOCK, np.float64), np.empty(BLOCK, np.float64)
    depth = np.empty(BLOCK, np.uint8)
    for begin in range(0, c0.size, BLOCK):
        end = min(begin + BLOCK, c0.size)
        size = end - begin
{_blocks(layout)}
        select({", ".join(layout.blocks)}, k, g, xs[:size], ys[:size], depth[:size])
        pairs({", ".join(layout.blocks)}, kp, gp, v, xs[:size], ys[:size], depth[:size], {tables})
"""
    return Program(HEAD + select + pairs + scan, False, scalars, emitter.scalars)


def _blocks(layout: Layout) -> str:
    lines = [
        f"{block} = {array}[begin:end]" for block, array in zip(layout.blocks, layout.arrays, strict=True)
    ]
    return indent("\n".join(lines), "        ")


def _select(layout: Layout, further: Sequence[Node], cuts: Cuts) -> tuple[str, Scalars]:
    """Write the loop that computes the observables and the number of cuts passed."""
    emitter = layout.emitter()
    body = cut_statements(emitter, cuts)
    x = emitter.number(layout.observable).name
    y = emitter.number(further[0]).name if further else "0.0"
    body += [f"xs[i] = {x}", f"ys[i] = {y}", "depths[i] = np.uint8(depth)"]
    arguments = [*layout.arrays, "k", "g", "xs", "ys", "depths"]
    text = function("select", arguments, emitter, "range(depths.size)", [*emitter.row, *body])
    return text, emitter.scalars


def _place(dimensions: int, elliptic: bool, framed: int) -> str:
    """Return the lines that tell whether a window, or a sideband of it, holds the point (x, y)."""
    lines = ["dx = x - shape[w, 0]", "dy = y - shape[w, 1]"]
    lines += [ELLIPSE] if elliptic else [f"inside = {BOX[dimensions]}"]
    if framed < 0:
        return "\n".join([*lines, "side = 0"])
    lines.append(SIDES.format(u="xy"[framed]))
    if dimensions == 2:
        other = ("dy", "shape[w, 11]") if framed == 0 else ("dx", "shape[w, 10]")
        lines.append(f"side = side if abs({other[0]}) <= {other[1]} else 0")
    return "\n".join([*lines, "side = 0 if inside else side"])


def _pairs(layout: Layout, emitter: Emitter, inner: Cuts, place: str) -> str:
    """Write the loop over the windows that may hold a row.

    A row comes as far as it does in its best window; `earliest` is how far a row comes without one.
    """
    tests = {
        number: " & ".join(emitter.truth(node).name for node in conditions)
        for number, conditions in enumerate(inner)
        if conditions
    }
    every = len(inner)
    earliest = min(tests, default=every)
    reach = [
        f"reach = {every}",
        *(f"reach = reach if {tests[n]} else {n}" for n in sorted(tests, reverse=True)),
    ]
    body = f"""\
through = np.int64(depth[i])
best = {earliest}
held = False
if through {">" if tests else ">="} {earliest}:
    x = xs[i]
    y = ys[i]
    px = (x - grid[0]) * grid[1]
    py = (y - grid[3]) * grid[4]
    if 0.0 <= px < grid[2] and 0.0 <= py < grid[5]:
{indent(chr(10).join(emitter.row), "        ")}
        cell = np.int64(px) * np.int64(grid[5]) + np.int64(py)
        for j in range(starts[cell], starts[cell + 1]):
            w = np.int64(members[j])
{indent(place, "            ")}
            if inside or side > 0:
{indent(chr(10).join([*emitter.pair, *reach]), "                ")}
                if inside:
                    held = True
                    best = max(best, reach)
                if reach == {every} and through == {every}:
                    counts[w, side] += 1
if through == {every} and not held:
    missed[np.int64(not (math.isfinite(xs[i]) and math.isfinite(ys[i])))] += 1
flow[min(through, best)] += 1"""
    arguments = [*layout.arrays, "k", "g", "v", "xs", "ys", "depth", *TABLES]
    return function("pairs", arguments, emitter, "range(depth.size)", body.splitlines())
