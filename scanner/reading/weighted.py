"""Simulated rows that carry weights: their sums in bins, exact in any order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.expressions.evaluate import evaluate
from scanner.reading.candidates import passing
from scanner.reading.channel import ChannelPlan
from scanner.reading.dependence import Recipe, recipe

Integers = NDArray[np.int64]

UNITS = (1 << 32, 1 << 22)
"""What a weight of 1, and its square, are counted as: whole numbers have the same sum in any order."""
HEAVIEST = 1e3
"""Largest size of a weight; two million such rows are the most that a bin has room for."""
LIGHTEST = 1e-2
"""Least ratio Σw²/Σw of a bin, from which rounding to units does not matter."""


class WeightedSelection:
    """The selection of one channel and the weight of its rows.

    Parameters
    ----------
    plan : ChannelPlan
        What is selected, and filled.
    weight : str
        Expression of columns.

    Raises
    ------
    InputError
        If a cut depends on the window.
    """

    def __init__(self, plan: ChannelPlan, weight: str) -> None:
        self._filled = recipe(plan)
        self._weight = recipe(replace(plan, observable=weight))
        if "window" in self._filled.depends:
            raise InputError("weights of rows need cuts that do not depend on the window")

    @property
    def needed(self) -> tuple[str, ...]:
        """The stored columns that must be read."""
        return tuple(sorted({*self._filled.needed, *self._weight.needed}))

    def empty(self) -> Integers:
        """Return the sums of no rows."""
        return np.zeros((len(self._filled.configurations), 2, self._filled.edges.size), dtype=np.int64)

    def sums(self, columns: Mapping[str, NDArray[Any]]) -> Integers:
        """Return Σw and Σw² of the selected rows, in units of 1/UNITS.

        Returns
        -------
        (configurations, 2, B + 1) int64
            In the B bins, and of the rows in none of them.

        Raises
        ------
        InputError
            For a weight that is not finite, or above HEAVIEST in size.
        """
        rows, result = len(next(iter(columns.values()))), self.empty()
        edges = self._filled.edges
        for found, parameters in zip(result, self._filled.configurations, strict=True):
            kept = passing(self._filled, columns, parameters, rows)
            x, weight = (_values(made, columns, parameters)[kept] for made in (self._filled, self._weight))
            _check(weight)
            place = np.searchsorted(edges, x, side="right") - 1
            inside = (x >= edges[0]) & (x < edges[-1])
            place = np.where(inside, place, edges.size - 1)
            for sums, unit, values in zip(found, UNITS, (weight, weight * weight), strict=True):
                np.add.at(sums, place, np.rint(values * unit).astype(np.int64))
        return result


def _values(
    made: Recipe, columns: Mapping[str, NDArray[Any]], parameters: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return the observable of a recipe, (N,)."""
    environment = {**made.constants, **parameters, **columns}
    rows = len(next(iter(columns.values())))
    values = np.broadcast_to(evaluate(made.observable, environment, made.functions), rows)
    return np.asarray(values, dtype=np.float64)


def _check(weight: NDArray[np.float64]) -> None:
    wrong = ~(np.abs(weight) <= HEAVIEST)
    if wrong.any():
        raise InputError(
            f"a simulated row has the weight {weight[wrong][0]:g}: weights are finite and at most "
            f"{HEAVIEST:g} in size; what all rows share belongs to the luminosity of their sample"
        )


def in_events(sums: Integers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Σw and Σw² as numbers, each (configurations, B + 1).

    Raises
    ------
    InputError
        If rounding to units matters.
    """
    content, squares = (sums[:, k] / unit for k, unit in enumerate(UNITS))
    if np.any(squares < LIGHTEST * np.abs(content)):
        raise InputError(
            f"the weights of simulated rows are below {LIGHTEST:g}: scale them, what all rows share belongs "
            "to the luminosity of their sample"
        )
    return content, squares
