"""The selected candidates themselves, for likelihoods that are not binned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.expressions.evaluate import evaluate
from scanner.reading.dependence import Recipe

Floats = NDArray[np.float64]

MOST_CANDIDATES = 1 << 25
"""Candidates of a search that are held in memory: a quarter of a gigabyte."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Values of the observable on the axis of a region, for each configuration.

    In rising order they do not depend on the order in which parts were merged.

    Attributes
    ----------
    values : tuple of (N,) float
        One array a configuration.
    """

    values: tuple[Floats, ...]

    def __add__(self, other: "Candidates") -> "Candidates":
        """Merge."""
        pairs = zip(self.values, other.values, strict=True)
        return Candidates(tuple(np.concatenate(pair) for pair in pairs))

    def __len__(self) -> int:
        """Count the candidates of all configurations."""
        return sum(array.size for array in self.values)

    def in_order(self) -> "Candidates":
        """Return the candidates in rising order."""
        return Candidates(tuple(np.sort(array) for array in self.values))


def candidates_of(recipe: Recipe, columns: Mapping[str, NDArray[Any]], rows: int) -> Candidates:
    """Select rows as the compiled pass does, by numpy, and return their observable where it is on the axis.

    Raises
    ------
    InputError
        If a cut depends on the window, so that windows do not share their candidates.
    """
    if "window" in recipe.depends:
        raise InputError(
            "an unbinned likelihood needs cuts that do not depend on the window: take a binned one"
        )
    found = []
    for parameters in recipe.configurations:
        kept = passing(recipe, columns, parameters, rows)
        environment = {**recipe.constants, **parameters, **columns}
        x = np.broadcast_to(evaluate(recipe.observable, environment, recipe.functions), kept.shape)
        # A zero of either sign is one value: sorted runs of both would depend on their order.
        inside = x[kept & (x >= recipe.edges[0]) & (x < recipe.edges[-1])] + 0.0
        found.append(inside.astype(np.float64, copy=False))
    return Candidates(tuple(found))


def passing(
    recipe: Recipe, columns: Mapping[str, NDArray[Any]], parameters: Mapping[str, float], rows: int
) -> NDArray[np.bool_]:
    """Mark the rows (N,) that pass all cuts, by numpy as the compiled pass does."""
    environment = {**recipe.constants, **parameters, **columns}
    kept = np.ones(rows, dtype=np.bool_)
    for node in (node for cut in recipe.cuts for node in cut):
        kept &= evaluate(node, environment, recipe.functions)
    return kept


def refuse_many(count: int) -> None:
    """Refuse more candidates than memory is meant to hold.

    Raises
    ------
    InputError
        With the remedy.
    """
    if count > MOST_CANDIDATES:
        raise InputError(
            f"{count} selected candidates are more than the {MOST_CANDIDATES} that an unbinned likelihood "
            "holds: select fewer, or take `likelihood: binned`, whose fine bins lose nothing at such numbers"
        )
