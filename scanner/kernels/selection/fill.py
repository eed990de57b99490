"""The fixed loops of the pass: bins of rows, counts of bins, many configurations at once.

Each loop does one thing to a block of rows that stays in the first-level cache. Loops that are
merged are slower: the vectoriser gives up, and loads wait for the counts stored before them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import exact

BLOCK = 2048
"""Rows a block: its columns and results fit the first- and second-level caches."""
LANES = 8
"""Configurations a packed 64-bit counter holds, one byte each."""
_FULL = 255
_RUN = 224

SPREAD = np.array(
    [sum(((mark >> lane) & 1) << (8 * lane) for lane in range(LANES)) for mark in range(1 << LANES)],
    dtype=np.uint64,
)
"""The bits of a byte, each in a byte of its own."""


@exact
def locate(
    cells: NDArray[np.int32],
    values: NDArray[Any],
    start: NDArray[np.int32],
    cut: NDArray[Any],
    slots: NDArray[np.uint32],
) -> None:
    """Turn cells into slots where no cell holds more than one edge."""
    for i in range(cells.size):
        cell = np.uint32(cells[i])
        slots[i] = np.uint32(start[cell]) + np.uint32(values[i] >= cut[cell])


@exact
def climb(
    cells: NDArray[np.int32],
    values: NDArray[Any],
    start: NDArray[np.int32],
    upper: NDArray[Any],
    steps: int,
    slots: NDArray[np.uint32],
) -> None:
    """Turn cells into slots where a cell holds up to `steps` edges: all rows climb one edge at a time."""
    for i in range(cells.size):
        slots[i] = np.uint32(start[np.uint32(cells[i])])
    for _ in range(steps):
        for i in range(cells.size):
            slots[i] += np.uint32(values[i] >= upper[slots[i]])


@exact
def count(slots: NDArray[np.uint32], counts: NDArray[np.int64]) -> None:
    """Add every row to its slot."""
    for i in range(slots.size):
        counts[slots[i]] += 1


@exact
def left(depth: NDArray[np.uint8], level: NDArray[np.uint8], depth_due: int, level_due: int) -> int:
    """Return the number of rows that came at least so far in both kinds of cuts.

    Counting in bytes, in runs that cannot overflow one, uses whole vector registers.
    """
    least_depth, least_level = np.uint8(depth_due), np.uint8(level_due)
    total = 0
    for begin in range(0, depth.size, _RUN):
        part_depth, part_level = depth[begin : begin + _RUN], level[begin : begin + _RUN]
        few = np.uint8(0)
        for i in range(part_depth.size):
            few = np.uint8(few + np.uint8((part_depth[i] >= least_depth) & (part_level[i] >= least_level)))
        total += int(few)
    return total


@exact
def mark(
    depth: NDArray[np.uint8],
    level: NDArray[np.uint8],
    depth_due: int,
    level_due: int,
    lane: int,
    marks: NDArray[np.uint8],
) -> None:
    """Set the bit of one configuration in the rows that it selects."""
    full_depth, full_level, bit = np.uint8(depth_due), np.uint8(level_due), np.uint8(1 << lane)
    for i in range(depth.size):
        selected = (depth[i] == full_depth) & (level[i] == full_level)
        marks[i] = np.uint8(marks[i] | (bit if selected else np.uint8(0)))


@exact
def count_packed(
    slots: NDArray[np.uint32],
    marks: NDArray[np.uint8],
    spread: NDArray[np.uint64],
    packed: NDArray[np.uint64],
    ticks: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> None:
    """Add every row to its slot in the configurations that select it, eight in one addition.

    Parameters
    ----------
    slots, marks
        (rows,) and (groups of eight configurations, rows).
    packed, ticks
        Byte counters (slots, groups), and the additions to each slot since it was last emptied: no
        byte can overflow before 256 additions.
    counts
        (slots, 8 * groups), to which full counters are emptied.
    """
    for i in range(slots.size):
        slot = slots[i]
        for group in range(marks.shape[0]):
            packed[slot, group] += spread[marks[group, i]]
        ticks[slot] += np.uint8(1)
        if ticks[slot] == _FULL:
            _empty(slot, packed, ticks, counts)


@exact
def _empty(
    slot: int, packed: NDArray[np.uint64], ticks: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    for group in range(packed.shape[1]):
        word = packed[slot, group]
        for lane in range(LANES):
            counts[slot, LANES * group + lane] += np.int64((word >> np.uint64(8 * lane)) & np.uint64(255))
        packed[slot, group] = np.uint64(0)
    ticks[slot] = np.uint8(0)


@exact
def empty_all(packed: NDArray[np.uint64], ticks: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Empty every packed counter into the counts."""
    for slot in range(ticks.size):
        if ticks[slot] > 0:
            _empty(slot, packed, ticks, counts)
