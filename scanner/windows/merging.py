"""Bins of templates with too few simulated rows, merged with bins beside them.

Where no row of any background is simulated, an event of the data is either impossible or taken for signal,
and where a few are, the normal constraint of their statistics is poor. What is merged follows from the
simulated backgrounds alone, never from data or signal, so that limits stay unbiased.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDING = 1e-9
"""Relative error of a number of rows that is a ratio of sums."""


def merged_bounds(content: Floats, variance: Floats, least: float) -> Integers:
    """Return the edges that bound runs of bins with enough simulated rows each, (M + 1,).

    Weighted rows count as (Σw)²/Σw² rows, the number whose relative error is theirs. The bin with the
    fewest joins that neighbour which has fewer, the lower one of two alike, until all have enough or a
    single bin is left.

    Parameters
    ----------
    content, variance : (B,) float
        Σw and Σw² of all backgrounds.
    least : float
        Rows that a bin holds at least.
    """
    bounds = np.arange(len(content) + 1)
    rows = effective_rows(content, variance)
    while len(rows) > 1 and rows.min() < least * (1.0 - ROUNDING):
        place = int(np.argmin(rows))
        beside = np.concatenate([[np.inf], rows, [np.inf]])[[place, place + 2]]
        bounds = np.delete(bounds, place + int(np.argmin(beside)))
        rows = effective_rows(*(np.add.reduceat(sums, bounds[:-1]) for sums in (content, variance)))
    return bounds


def effective_rows(content: Floats, variance: Floats) -> Floats:
    """Return the rows of unit weight with the relative error of weighted ones, (Σw)²/Σw²."""
    return np.divide(content**2, variance, out=np.zeros_like(content), where=variance > 0.0)


def merged_spans(bounds: Integers, edges: Floats) -> list[tuple[float, float, int]]:
    """Return lower edge, upper edge and number of the stated bins of each bin that several are merged to."""
    return [(float(edges[i]), float(edges[j]), int(j - i)) for i, j in pairwise(bounds) if j - i > 1]
