"""The grid of a window that vetoes may cut into pieces.

Every live piece has equal cells of its own of about an eighth of the resolution. Their middles come first,
then the ends of the pieces and the mass, or the live point next to it.
"""

import math

from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.unbinned.points import CELLS_A_RESOLUTION, MOST_CELLS, cells_of

FEWEST = 8
"""Cells of a piece, where there are several."""


@lean
def _count_pieces(pieces: Floats) -> int:
    """Count the pieces (L, 2); what follows the last is NaN."""
    count = 0
    for i in range(pieces.shape[0]):
        count += pieces[i, 0] < pieces[i, 1]
    return count


@lean
def _cells_of_piece(pieces: Floats, i: int, count: int, resolution: float) -> int:
    low, high = pieces[i, 0], pieces[i, 1]
    if count == 1:
        return cells_of(low, high, resolution)
    wanted = math.ceil(CELLS_A_RESOLUTION * (high - low) / resolution)
    return int(min(max(wanted, FEWEST), MOST_CELLS))


@lean
def measure_pieces(pieces: Floats, resolution: float) -> tuple[int, int]:
    """Return how many cells the pieces of a window have, and how many points its grid."""
    count = _count_pieces(pieces)
    cells = 0
    for i in range(count):
        cells += _cells_of_piece(pieces, i, count, resolution)
    return cells, cells + 2 * count + 1


@lean
def place_pieces(x: Floats, widths: Floats, pieces: Floats, resolution: float, mass: float) -> None:
    """Set the positions of the grid and the widths of its cells, 0 for the points that are none."""
    count = _count_pieces(pieces)
    cells, grid = measure_pieces(pieces, resolution)
    at, end, nearest = 0, cells, math.inf
    for i in range(count):
        low, high = pieces[i, 0], pieces[i, 1]
        here = _cells_of_piece(pieces, i, count, resolution)
        width = (high - low) / here
        for k in range(here):
            x[at + k] = low + (k + 0.5) * width
            widths[at + k] = width
        x[end], x[end + 1] = low, high
        widths[end] = widths[end + 1] = 0.0
        at, end = at + here, end + 2
        place = min(max(mass, low), high)
        if abs(place - mass) < nearest:
            nearest = abs(place - mass)
            x[grid - 1] = place
    widths[grid - 1] = 0.0


@lean
def is_live(x: float, pieces: Floats) -> bool:
    """Tell whether a point lies in one of the pieces, their upper ends left out but for the last."""
    count = _count_pieces(pieces)
    inside = 0
    for i in range(count):
        inside += (x >= pieces[i, 0]) & ((x < pieces[i, 1]) | ((i == count - 1) & (x == pieces[i, 1])))
    return inside > 0
