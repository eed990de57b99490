"""Names of the expression language: constants of a search, and the variables of its windows."""

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.schema.axes import Region
from scanner.schema.names import NAMED_CONSTANTS
from scanner.windows.grid import WindowGrid

Floats = NDArray[np.float64]


def constants(search: Search) -> dict[str, float]:
    """Return the named constants of the expression language, with the search's beam energy."""
    return {**NAMED_CONSTANTS, "sqrt_s": search.sqrt_s}


def window_variables(search: Search, mass: Floats) -> dict[str, Floats]:
    """Return the variables of windows by name: the mass, as `m` and under the name of its axis."""
    return {"m": mass, search.scan_axis.name: mass}


def region_of(search: Search, grid: WindowGrid) -> Region:
    """Return the region whose windows a grid holds."""
    return next(region for region in search.regions if region.name == grid.region)
