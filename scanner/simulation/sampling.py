"""Random numbers by key, and sampling from one-dimensional densities."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray

from scanner.errors import InputError

Array = NDArray[np.float64]

MOST_PROPOSALS = 1 << 16
"""Proposals of `accept_reject` at once."""


def generator(process: str, key: tuple[int, ...]) -> Generator:
    """Return the random generator of a chunk: a function of the process's name and the key alone.

    Raises
    ------
    InputError
        For a key with a negative number.
    """
    if any(k < 0 for k in key):
        raise InputError(f"random key {key}: its numbers must not be negative")
    return Generator(Philox(SeedSequence([zlib.crc32(process.encode()), *(int(k) for k in key)])))


@dataclass(frozen=True)
class InverseCDF:
    """A density on an interval, piecewise linear between nodes, ready to be sampled."""

    nodes: Array
    density: Array
    cumulative: Array

    @classmethod
    def of(cls, density: Callable[[Array], Array], low: float, high: float, points: int) -> "InverseCDF":
        """Tabulate a density [any norm] on equidistant points of [low, high]."""
        x = np.linspace(low, high, points)
        return cls.through(x, np.maximum(density(x), 0.0))

    @classmethod
    def through(cls, nodes: Array, density: Array) -> "InverseCDF":
        """Take a density [any norm] by its values at rising nodes, linear between them."""
        x, y = np.asarray(nodes, dtype=np.float64), np.asarray(density, dtype=np.float64)
        steps = np.diff(x) * (y[1:] + y[:-1]) / 2
        return cls(x, y, np.concatenate([[0.0], np.cumsum(steps)]))

    @property
    def integral(self) -> float:
        """Integral of the density."""
        return float(self.cumulative[-1])

    def sample(self, rng: Generator, size: int) -> Array:
        """Draw `size` values; exact for the piecewise linear density."""
        c = rng.random(size) * self.integral
        i = np.clip(np.searchsorted(self.cumulative, c, side="right") - 1, 0, len(self.nodes) - 2)
        y0, y1 = self.density[i], self.density[i + 1]
        width = self.nodes[i + 1] - self.nodes[i]
        rest = 2 * (c - self.cumulative[i]) / width
        root = np.sqrt(np.maximum(y0 * y0 + (y1 - y0) * rest, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = np.where(rest > 0, rest / (y0 + root), 0.0)
        return np.asarray(self.nodes[i] + width * fraction)


def accept_reject(
    propose: Callable[[int], tuple[Array, Array]], events: int, *, efficiency: float, width: int = 1
) -> Array:
    """Draw until `events` proposals are accepted.

    Parameters
    ----------
    propose
        Gives, for a number of proposals n, the values (width, n) and the probabilities (n,) minus a
        uniform random number: a proposal with a positive second entry is accepted.
    efficiency
        Rough acceptance, sets the size of the batches only.
    width
        Number of values an event.
    """
    parts, found = [np.empty((width, 0))], 0
    while found < events:
        values, margin = propose(min(int((events - found) / efficiency) + 64, MOST_PROPOSALS))
        kept = values[:, margin > 0][:, : events - found]
        parts.append(kept)
        found += kept.shape[1]
    return np.concatenate(parts, axis=1)
