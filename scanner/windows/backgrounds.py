"""What is expected in counting windows without signal: from a sideband, from simulation, or as stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.windows.plane import CountingGrid
from scanner.windows.systematics import SIGNAL_TARGETS, YIELD_TARGETS, in_limits

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Simulated:
    """Simulated rows in W windows.

    Attributes
    ----------
    name : str
        The process.
    counts : (W,) int
    scale : float
        Luminosity of the data over that of the simulation.
    """

    name: str
    counts: Integers
    scale: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """The background of W windows; NaN where nothing is known of it.

    Attributes
    ----------
    number, error : (W,) float
        Background and its standard deviation.
    off, tau : (W,) float
        Events of an off region that holds τ times the background, where that is all that is known; −1 and 0
        elsewhere.
    """

    number: Floats
    error: Floats
    off: Floats
    tau: Floats

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where nothing is known of the background."""
        return np.asarray(np.isnan(self.number))

    def with_error(self, further: Floats) -> "Estimate":
        """Return the estimate with a further error (W,) [events].

        Off regions are then numbers: the mean and the error of what they leave of the background.
        """
        wider, beside = further > 0.0, self.off >= 0.0
        tau = np.where(beside, self.tau, 1.0)
        number = np.where(wider & beside, (self.off + 1.0) / tau, self.number)
        error = np.where(wider & beside, np.sqrt(np.maximum(self.off, 0.0) + 1.0) / tau, self.error)
        off = np.where(wider, -1.0, self.off)
        return Estimate(number, np.hypot(error, further), off, np.where(wider, 0.0, self.tau))


def estimate(
    search: Search,
    grid: CountingGrid,
    counts: Integers,
    block: slice,
    simulated: Sequence[Simulated],
    parameters: Mapping[str, float],
) -> Estimate:
    """Estimate the background of a block of windows.

    Parameters
    ----------
    counts : (W, 1) or (W, 3) int
        Rows in the windows, and in the sidebands below and above them.
    block : slice
        The W windows of the grid.
    simulated : sequence of Simulated
        Used where the definition says so.
    parameters : mapping
        The model configuration.
    """
    if search.background.estimate == "sideband":
        found = from_sideband(counts[:, 1] + counts[:, 2], grid.ratio[block])
    else:
        found = from_simulation(simulated, len(counts))
    return found.with_error(_further_error(search, grid, block, parameters, found))


def from_sideband(off: Integers, tau: Floats) -> Estimate:
    """Return the background that events of a sideband say, which holds `tau` times the background."""
    there = tau > 0.0
    ratio = np.where(there, tau, np.nan)
    return Estimate(off / ratio, np.sqrt(off) / ratio, np.where(there, off, -1.0), np.where(there, tau, 0.0))


def from_simulation(simulated: Sequence[Simulated], windows: int) -> Estimate:
    """Return the sum of simulated samples at the luminosity of the data, with their Poisson error.

    Where no sample has a row, the least luminous one is an off region without events.
    """
    mean, variance = np.zeros(windows), np.zeros(windows)
    for sample in simulated:
        mean += sample.scale * sample.counts
        variance += sample.scale**2 * sample.counts
    largest = max(sample.scale for sample in simulated)
    empty = mean == 0.0
    return Estimate(mean, np.sqrt(variance), np.where(empty, 0.0, -1.0), np.where(empty, 1.0 / largest, 0.0))


def _further_error(
    search: Search, grid: CountingGrid, block: slice, parameters: Mapping[str, float], found: Estimate
) -> Floats:
    """Return the error of the background beyond its statistics, (W,) [events]."""
    known: dict[str, Any] = {**parameters, **grid.points(block)}
    mass = grid.mass(block)
    variance: Floats = ((search.background.systematic or 0.0) * found.number) ** 2
    for term in in_limits(search):
        if term.on in YIELD_TARGETS:
            added = term.relative(mass, known) * found.number
            variance += np.square(added if term.events is None else term.events(mass, **known))
    return np.nan_to_num(np.sqrt(variance))


def efficiency_error(
    search: Search, grid: CountingGrid, block: slice, parameters: Mapping[str, float]
) -> Floats:
    """Return the relative error of the signal's efficiency (W,), that of groups added linearly."""
    known: dict[str, Any] = {**parameters, **grid.points(block)}
    mass = grid.mass(block)
    groups: dict[str, Floats] = {}
    for term in in_limits(search):
        if term.on in SIGNAL_TARGETS:
            size: Floats = np.log1p(term.relative(mass, known))
            groups[term.nuisance] = groups.get(term.nuisance, np.zeros(len(mass))) + size
    variance = np.sum([np.zeros(len(mass)), *(size**2 for size in groups.values())], axis=0)
    found: Floats = np.expm1(np.sqrt(variance))
    return found
