"""Where else a function of a few parameters may have a minimum: the low places of a lattice."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

Floats = NDArray[np.float64]
Axes = Sequence[Sequence[float]]


def lattice_points(axes: Axes, low: Floats, high: Floats, at: Floats) -> list[Floats]:
    """Return the points of a lattice, (W, P) each.

    Parameters
    ----------
    axes : sequence of P sequences of float
        Where the points lie between `low` (0) and `high` (1); a parameter without any stays where it is.
    low, high, at : (W, P) float
        Bounds, and the values of parameters that stay.
    """
    stay = np.array([not axis for axis in axes])
    points = product(*(axis or (0.0,) for axis in axes))
    return [np.where(stay, at, low + np.array(point) * (high - low)) for point in points]


def low_places(axes: Axes, values: Floats, most: int) -> list[NDArray[np.int64]]:
    """Return the points lower than all their neighbours, also diagonal ones, the lowest first.

    Parameters
    ----------
    axes : sequence of P sequences of float
        Those of `lattice_points`.
    values : (G, W) float
        Of the function at every point; NaN where there is none.
    most : int
        Low places of a window that are returned at most.

    Returns
    -------
    list of (W,) int
        Numbers of points, −1 in windows that have fewer low places.
    """
    shape = tuple(max(len(axis), 1) for axis in axes)
    known = np.where(np.isnan(values), np.inf, values)
    around = minimum_filter(known.reshape(*shape, -1), (*(3 for _ in shape), 1), mode="nearest")
    depth = np.where(known <= around.reshape(known.shape), known, np.inf)
    order = np.argsort(depth, axis=0, kind="stable")[:most]
    return [np.where(np.isfinite(np.take_along_axis(depth, row[None], axis=0)[0]), row, -1) for row in order]
