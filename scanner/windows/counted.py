"""One block of counting windows to one block of results: background, limit, cross section and coupling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from scanner import shapes
from scanner.definition import Search
from scanner.interpretation import Exposure, Place, physics_limits
from scanner.limits import NOWHERE, method_settings
from scanner.results import VETOED, Results
from scanner.stats.counted import Counted, CountedLimits, counted_limits
from scanner.stats.limits import NO_LIMIT
from scanner.windows.axes import Point
from scanner.windows.backgrounds import Estimate, Simulated, efficiency_error, estimate
from scanner.windows.channels import rate
from scanner.windows.plane import CountingGrid
from scanner.windows.vetoes import vetoed

Floats = NDArray[np.float64]

OUTSIDE, NO_BACKGROUND = 251, 252
"""Status of a point that is not scanned, and of a window whose background nothing tells."""
COUNTED_MEANINGS = {OUTSIDE: "outside_scan", NO_BACKGROUND: "no_background_estimate"}
SMALLEST_COUNT = 0.25
"""Counts are taken as at least this for the error of the yield: −2 ln L of no event rises by 1 at 0.5."""


@dataclass(frozen=True)
class _Block:
    """What is counted in W windows, and what it says."""

    counts: NDArray[np.int64]
    background: Estimate
    contained: Floats
    efficiency: Floats
    limits: CountedLimits


def count_block(
    search: Search,
    grid: CountingGrid,
    counts: NDArray[np.int64],
    simulated: Sequence[Simulated],
    block: slice,
    *,
    configuration: int,
    exposure: Exposure,
    method: str,
    point: Point = NOWHERE,
) -> Results:
    """Set the limits of a block of counting windows.

    Parameters
    ----------
    counts : (W, 1) or (W, 3) int
        Rows of data in the windows, and in the sidebands below and above them.
    simulated : sequence of Simulated
        Rows of simulated samples in the windows.
    block : slice
        The W windows of the grid.
    configuration : int
        Index of the model configuration.
    exposure : Exposure
        Luminosity of the data.
    method : str
        A key of `scanner.stats.counted.COUNTED_METHODS`.
    point : mapping
        Values of the scan's axes, such as a lifetime, on which no window depends.

    Returns
    -------
    dict of arrays
        The variables of the limit cube, each with W as first dimension.
    """
    parameters = {**search.configurations[configuration].parameters, **point}
    counted, background = experiments(search, grid, counts, block, simulated, parameters)
    limits = counted_limits(counted, method_settings(search, method), method)
    points = grid.points(block)
    known: dict[str, Any] = {**parameters, **points}
    found = _Block(
        counts,
        background,
        containment(search, grid, block, parameters),
        rate(search, grid.mass(block), known),
        limits,
    )
    results = _results(found) | {"resolution": grid.resolution[block]}
    place = Place(grid.mass(block), known)
    results |= physics_limits(
        search, place, *_yield_limits(found), np.where(grid.inside[block], found.efficiency, np.nan), exposure
    )
    return _left_out(search, grid, block, results, background.missing)


def experiments(
    search: Search,
    grid: CountingGrid,
    counts: NDArray[np.int64],
    block: slice,
    simulated: Sequence[Simulated],
    parameters: Mapping[str, float],
) -> tuple[Counted, Estimate]:
    """Return the experiments of a block of windows, and what tells their background.

    Parameters are those of `count_block`, with the configuration and the point in `parameters`. Points that
    are not scanned and windows without a background count nothing.
    """
    background = estimate(search, grid, counts, block, simulated, parameters)
    used = grid.inside[block] & ~background.missing & ~vetoed(search, grid.mass(block))
    counted = Counted(
        np.where(used, counts[:, 0], 0),
        np.where(used, background.number, 0.0),
        np.where(used, background.error, 0.0),
        np.where(used, background.off, -1.0),
        np.where(used, background.tau, 0.0),
        efficiency_error(search, grid, block, parameters),
    )
    return counted, background


def containment(search: Search, grid: CountingGrid, block: slice, parameters: Mapping[str, float]) -> Floats:
    """Return the part of the signal in its window, (W,); 1 where the efficiency is that of windows."""
    shape, half = search.signal.shape, search.window.half_width
    mass, points = grid.mass(block), grid.points(block)
    if shape == "counting":
        return np.ones(len(mass))
    width = half(mass, **points)
    if len(grid.observables) == 2:  # normal in both observables, each by itself
        found: Floats = -np.expm1(-0.5 * width**2) if grid.elliptic else erf(width / np.sqrt(2.0)) ** 2
        return found
    sigma = grid.resolution[block, 0]
    known = {name: function(mass, **parameters) for name, function in search.signal.parameters.items()}
    if search.signal.width is not None:
        known["width"] = search.signal.width(mass, **parameters) / sigma
    edges = np.stack([mass - width * sigma, mass + width * sigma], axis=1)
    return shapes.signal_integrals(shape, edges, mass, sigma, known)[:, 0]


def _yield_limits(found: _Block) -> tuple[Floats, Floats]:
    """Return observed (W,) and expected (W, 5) limits on the whole signal."""
    scale = 1.0 / found.contained
    return scale * found.limits.yield_limit, scale[:, None] * found.limits.expected


def _results(found: _Block) -> Results:
    """Return what follows from counts alone; yields are those of the whole signal."""
    limits, background, scale = found.limits, found.background, 1.0 / found.contained
    yields, expected = _yield_limits(found)
    observed = found.counts[:, 0]
    error = np.sqrt(np.maximum(observed, SMALLEST_COUNT) + background.error**2)
    beside = {"n_sideband": found.counts[:, 1:].sum(axis=1)} if found.counts.shape[1] > 1 else {}
    return beside | {
        "n_observed": observed,
        "n_background": background.number,
        "n_background_error": background.error,
        "signal_yield": scale * (observed - background.number),
        "signal_yield_error": scale * error,
        "p_local": limits.p_local,
        "z_local": limits.z_local,
        "yield_limit": yields,
        "yield_limit_expected": expected,
        "yield_lower": scale * limits.yield_lower,
        "efficiency": found.efficiency,
        "status": np.zeros(len(observed), dtype=np.uint8),
        "method": limits.method,
    }


def _left_out(
    search: Search, grid: CountingGrid, block: slice, results: Results, missing: NDArray[np.bool_]
) -> Results:
    """Turn what is not scanned, vetoed, or without a background into NaN with a status of its own."""
    inside, without = grid.inside[block], vetoed(search, grid.mass(block))
    status = np.select([~inside, without, missing], [OUTSIDE, VETOED, NO_BACKGROUND], 0).astype(np.uint8)
    kept = {"n_observed", "n_sideband", "efficiency", "resolution"}
    found = {name: values if name in kept else blank(values, status > 0) for name, values in results.items()}
    for name in ("efficiency", "resolution"):
        found[name] = blank(results[name], ~inside)
    method = np.where(status > 0, np.uint8(NO_LIMIT), results["method"]).astype(np.uint8)
    return found | {"status": status, "method": method}


def blank(values: NDArray[np.generic], rows: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return values with NaN in some rows."""
    blank = np.array(values, dtype=np.float64)
    blank[rows] = np.nan
    return blank
