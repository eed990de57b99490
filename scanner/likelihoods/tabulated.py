"""Densities of windows at the points of unbinned likelihoods, and tables of them that are kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.likelihoods.binned import Floats

MOST_NUMBERS = 1 << 23
"""Densities that are kept at most, for the sake of memory."""


class Tables:
    """Tables of densities, kept from one likelihood of the same windows and events to the next.

    Attributes
    ----------
    numbers : int
        Densities that are kept.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], Floats] = {}
        self.numbers = 0

    def __call__(self, name: str, window: int, make: Callable[[], Floats]) -> Floats:
        """Return the table of a window by the name of its densities, made if it is not there."""
        found = self._found.get((name, window))
        if found is not None:
            return found
        table = make()
        if self.numbers + table.size <= MOST_NUMBERS:
            self._found[name, window] = table
            self.numbers += table.size
        return table


@dataclass(frozen=True)
class Densities:
    """Densities that are no shapes by name: those of a search, with its peaks and its observable.

    Parameters
    ----------
    integrals : (W, K + H) float
        Integrals of background terms over the windows, and of what is held after them: the signal, and rows
        that bend it or are peaks of a known yield.
    at : callable
        From a window's number and points (P,) of the observable to the (K + H, P) densities there: the
        terms that the window uses, the signal and the other rows that are held, zeros.
    name : str
        What tells these densities from others of the same windows.
    held : int, optional
        H, 1 for a signal alone.
    tables : Tables, optional
        Where tables are kept under that name.
    numbers : (W,) int, optional
        What `at` calls the windows; by default 0 … W−1.
    """

    integrals: Floats
    at: Callable[[int, Floats], Floats]
    name: str = ""
    held: int = 1
    tables: Tables = field(default_factory=Tables)
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        """Give numbers to the windows where they have none."""
        if self.numbers.size == 0:
            object.__setattr__(self, "numbers", np.arange(len(self.integrals)))

    def select(self, windows: NDArray[Any]) -> "Densities":
        """Return those of some windows only, by a mask or by indices."""
        return replace(self, integrals=self.integrals[windows], numbers=self.numbers[windows])

    def table(self, w: int, points: Callable[[], Floats]) -> Floats:
        """Return the densities (K + H, P) of a window at its points, which say nothing if they are kept."""
        number = int(self.numbers[w])
        return self.tables(self.name, number, lambda: self.at(number, points()))
