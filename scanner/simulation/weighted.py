"""Unweighted events of a reaction that is known as a map from the unit cube to weighted events.

The cube is first stretched along each axis such that the weights become more alike (G. P. Lepage, J.
Comput. Phys. 27, 192 (1978)), by a fixed sequence of points, so that a reaction has one grid only.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.simulation.sampling import accept_reject, generator

Array = NDArray[np.float64]

POINTS, BATCH = 1 << 18, 1 << 15
"""Points of the integral, of one fixed sequence for each reaction, and how many are taken at once."""
CELLS, REFINEMENTS, DAMPING, FLOOR = 64, 7, 0.7, 0.3
"""Intervals of an axis, times they are set anew, damping of that, and what each keeps at least."""
CAPPED = 5e-4
"""Part of the cross section that may lie above the bound of the weights."""


@dataclass(frozen=True)
class Integral:
    """What the points of a reaction tell: cross section and its error [fb], bound of the weights [fb].

    `grid` (dimensions, CELLS + 1) holds the edges of equally probable intervals along each axis.
    """

    cross_section: float
    error: float
    bound: float
    grid: Array


@dataclass(frozen=True)
class Reaction:
    """A reaction in a region of phase space.

    Attributes
    ----------
    name
        Key of its integral's random numbers.
    dimensions
        Of the unit cube.
    particles
        Of an event.
    trial
        Maps points (dimensions, n) and √s [GeV] to four-momenta (particles, 4, n) [GeV] in the centre of
        mass, x y z as the generator's frame, and weights (n,) [fb] whose mean is the cross section.
    weigh
        Maps the same points to weights (n,) that a cut of `trial` may set to zero, where they are known at
        less work than momenta: only points that they accept are made.
    """

    name: str
    dimensions: int
    particles: int
    trial: Callable[[Array, float], tuple[Array, Array]]
    weigh: Callable[[Array, float], Array] | None = None

    def integral(self, sqrt_s: float) -> Integral:
        """Return cross section and bound, the same in every process."""
        return _integral(self, float(sqrt_s))

    def draw(self, rng: Generator, events: int, sqrt_s: float) -> Array:
        """Draw events; returns four-momenta (particles, 4, N) [GeV] in the centre of mass.

        Weights above the bound count as the bound, so that 0.05% of the events are elsewhere.
        """
        integral = self.integral(sqrt_s)

        def propose(n: int) -> tuple[Array, Array]:
            x, jacobian = _stretch(integral.grid, rng.random((self.dimensions, n)))
            least = integral.bound * rng.random(n) / jacobian
            if self.weigh is not None:
                likely = self.weigh(x, sqrt_s) > least
                x, least = x[:, likely], least[likely]
            momenta, weight = self.trial(x, sqrt_s)
            return momenta.reshape(4 * self.particles, -1), weight - least

        efficiency = integral.cross_section / integral.bound
        drawn = accept_reject(propose, events, efficiency=efficiency, width=4 * self.particles)
        return drawn.reshape(self.particles, 4, events)


def _stretch(grid: Array, uniform: Array) -> tuple[Array, Array]:
    """Map points of the unit cube by the grid; returns them and the Jacobian."""
    x, jacobian = np.empty_like(uniform), np.ones(uniform.shape[1])
    for axis, edges in enumerate(grid):  # one by one: they stay in the cache
        place = uniform[axis] * CELLS
        cell = np.minimum(place.astype(np.int64), CELLS - 1)
        width = np.diff(edges)[cell]
        x[axis] = edges[cell] + (place - cell) * width
        jacobian *= width * CELLS
    return np.minimum(x, 1 - 1e-16), jacobian


def _stretched(reaction: Reaction, grid: Array, uniform: Array, sqrt_s: float) -> tuple[Array, Array]:
    x, jacobian = _stretch(grid, uniform)
    momenta, weight = reaction.trial(x, sqrt_s)
    return momenta, weight * jacobian


def _refined(edges: Array, cells: NDArray[np.int64], weight: Array) -> Array:
    """Return edges between which the damped sums of squared weights are equal, for one axis."""
    total = np.bincount(cells, weight**2, minlength=CELLS)
    smooth = np.convolve(np.pad(total, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    share = np.maximum(smooth / smooth.sum(), 1e-30)
    damped = ((1 - share) / -np.log(share)) ** DAMPING + FLOOR / CELLS
    cumulative = np.concatenate([[0.0], np.cumsum(damped)])
    return np.interp(np.linspace(0, cumulative[-1], CELLS + 1), cumulative, edges)


def _grid(reaction: Reaction, sqrt_s: float, rng: Generator) -> Array:
    grid = np.tile(np.linspace(0, 1, CELLS + 1), (reaction.dimensions, 1))
    for _ in range(REFINEMENTS):
        uniform = rng.random((reaction.dimensions, BATCH))
        _, weight = _stretched(reaction, grid, uniform, sqrt_s)
        cells = np.minimum((uniform * CELLS).astype(np.int64), CELLS - 1)
        grid = np.stack([_refined(grid[d], cells[d], weight) for d in range(reaction.dimensions)])
    return grid


def _bound(weight: Array) -> float:
    """Return the weight above which there is the share CAPPED of the sum."""
    falling = np.sort(weight)[::-1]
    above = np.cumsum(falling) - falling * np.arange(1, len(falling) + 1)
    place = int(np.searchsorted(above, CAPPED * falling.sum(), side="right"))
    return float(falling[max(place - 1, 0)])


@cache
def _integral(reaction: Reaction, sqrt_s: float) -> Integral:
    rng = generator(f"{reaction.name}/integral", (zlib.crc32(reaction.name.encode()),))
    grid = _grid(reaction, sqrt_s, rng)
    weight = np.concatenate(
        [
            _stretched(reaction, grid, rng.random((reaction.dimensions, BATCH)), sqrt_s)[1]
            for _ in range(POINTS // BATCH)
        ]
    )
    error = float(weight.std() / np.sqrt(POINTS))
    return Integral(float(weight.mean()), error, _bound(weight), grid)
