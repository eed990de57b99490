"""Interpolation of tables on a regular grid."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def interpolate(kind: str, grids: tuple[Floats, ...], values: Floats, points: tuple[Floats, ...]) -> Floats:
    """Interpolate a table at points inside its range.

    Parameters
    ----------
    kind : str
        "linear" in the value, "log" linear in its logarithm, "pchip" monotone cubic (one axis), or "nearest".
    grids : tuple of (K,) float
        Rising values of each axis.
    values : (K, L, …) float
        The table, a dimension for each axis.
    points : tuple of (N,) float
        Coordinates along each axis.

    Returns
    -------
    (N,) float
    """
    if kind == "pchip":
        from scipy.interpolate import PchipInterpolator

        smooth: Floats = PchipInterpolator(grids[0], values)(points[0])
        return smooth
    if kind == "log":
        return np.exp(_multilinear(grids, np.log(values), points))
    if kind == "nearest":
        nearest: Floats = values[tuple(_nearest(grid, x) for grid, x in zip(grids, points, strict=True))]
        return nearest
    return _multilinear(grids, values, points)


def _nearest(grid: Floats, x: Floats) -> NDArray[np.intp]:
    return np.searchsorted(0.5 * (grid[1:] + grid[:-1]), x)


def _multilinear(grids: tuple[Floats, ...], values: Floats, points: tuple[Floats, ...]) -> Floats:
    cells = [_cell(grid, x) for grid, x in zip(grids, points, strict=True)]
    return _inside(cells, values, ())


def _inside(
    cells: list[tuple[NDArray[np.intp], Floats]], values: Floats, places: tuple[NDArray[np.intp], ...]
) -> Floats:
    """Interpolate along all axes that have no place yet, the first one innermost."""
    if not cells:
        found: Floats = values[places]
        return found
    *rest, (index, fraction) = cells
    beyond = np.minimum(index + 1, values.shape[len(rest)] - 1)
    return _between(
        _inside(rest, values, (index, *places)), _inside(rest, values, (beyond, *places)), fraction
    )


def _between(left: Floats, right: Floats, fraction: Floats) -> Floats:
    # Exact at both ends, so that a table gives back its own values.
    return np.where(fraction == 1.0, right, left + fraction * (right - left))


def _cell(grid: Floats, x: Floats) -> tuple[NDArray[np.intp], Floats]:
    if len(grid) == 1:
        return np.zeros(x.shape, dtype=np.intp), np.zeros(x.shape)
    index = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, len(grid) - 2)
    return index, (x - grid[index]) / (grid[index + 1] - grid[index])
