"""The mass axis as the signal's shape sees it: straight in the mass, or in the observable."""

import numpy as np
from numpy.typing import NDArray

from scanner import expressions
from scanner.definition import Search
from scanner.reading.variables import constants, region_of, window_variables
from scanner.schema.axes import Region
from scanner.windows.grid import WindowGrid

Floats = NDArray[np.float64]

STENCIL = 1e-4
"""Relative step of the derivative of the peak position."""


def shape_edges(search: Search, grid: WindowGrid, block: slice, mass: Floats) -> Floats:
    """Return the bin edges of windows on the axis in which the shape of a peak is measured, (W, B + 1).

    Parameters
    ----------
    block : slice
        Windows of the grid.
    mass : (W,) float
        Where the peak is [GeV].
    """
    indices = grid.edge_indices(block)
    if search.signal.measured_in == "mass":
        return np.asarray(grid.edges_mass[indices])
    return straightened(search, region_of(search, grid), grid.edges[indices], mass)


def straightened(search: Search, region: Region, observable: Floats, mass: Floats) -> Floats:
    """Return m + (x − x(m)) / x′(m) [GeV] for observables x, (W, B), and masses m, (W,).

    It is linear in the observable, so that a shape of resolution σ(m) on it is the shape of resolution
    σ(m) x′(m) in the observable: the recoil mass squared is Gaussian down to m = 0, its root is not.
    """
    peak = expressions.parse(region.peak)

    def position(m: Floats) -> Floats:
        value = peak.evaluate(constants(search) | window_variables(search, m))
        return np.broadcast_to(np.asarray(value, dtype=np.float64), m.shape)

    step = STENCIL * mass
    slope = (position(mass + step) - position(mass - step)) / (2 * step)
    return np.asarray(mass[:, None] + (observable - position(mass)[:, None]) / slope[:, None])
