"""Simulated rows weighted to other lifetimes: what efficiencies along a lifetime are made from.

A row that was generated with a mean proper decay length cτ₀ and decayed after t stands for
(cτ₀/cτ) exp(t/cτ₀ − t/cτ) rows of another mean cτ, so that one sample serves all lifetimes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.decays import lifetime_weights
from scanner.errors import InputError
from scanner.expressions.evaluate import evaluate
from scanner.reading.candidates import passing
from scanner.reading.channel import ChannelPlan
from scanner.reading.dependence import Recipe, recipe

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNIT = 1 << 24
"""What a weight of 1 is counted as: whole numbers add up to the same sum in any order."""
HEAVIEST = 1e4
"""Largest weight of a row, which keeps sums of squares exact: no sample says anything with more."""


@dataclass(frozen=True)
class Flight:
    """A decay in flight: expressions of its proper length and of the mean that it was generated with [cm].

    `least` is that of the least mean, where means were drawn evenly in the logarithm up to `generated`.
    """

    displacement: str
    generated: str
    least: str | None = None

    @property
    def expressions(self) -> tuple[str, ...]:
        """Length and means as numbers of every row, even where a mean is the same for all."""
        means = (self.generated,) if self.least is None else (self.generated, self.least)
        return (self.displacement, *(f"({mean}) + 0 * ({self.displacement})" for mean in means))


class LivedSelection:
    """The selection of one channel, and the decays of its rows.

    Parameters
    ----------
    plan : ChannelPlan
        What is selected.
    flights : sequence of Flight
        The decays whose lifetimes are scanned.

    Raises
    ------
    InputError
        If a cut depends on the window.
    """

    def __init__(self, plan: ChannelPlan, flights: Sequence[Flight]) -> None:
        self._cuts = recipe(plan)
        if "window" in self._cuts.depends:
            raise InputError("lifetimes by weights need cuts that do not depend on the window")
        self._lengths = [
            tuple(recipe(replace(plan, observable=text)) for text in flight.expressions) for flight in flights
        ]

    @property
    def needed(self) -> tuple[str, ...]:
        """The stored columns that must be read."""
        recipes = [self._cuts, *(made for flight in self._lengths for made in flight)]
        return tuple(sorted({name for made in recipes for name in made.needed}))

    def sums(
        self, columns: Mapping[str, NDArray[Any]], lifetimes: Mapping[int, Sequence[Floats]]
    ) -> Integers:
        """Return the sums of the weights of the selected rows, and of their squares, in units of 1/UNIT.

        Parameters
        ----------
        columns : mapping of (N,) arrays
            At least the :attr:`needed` ones.
        lifetimes : mapping of sequences of (P,) float
            For each wanted configuration, by its number, the mean proper decay lengths [cm] of each flight
            at P points.

        Returns
        -------
        (configurations, 2, P) int64

        Raises
        ------
        InputError
            For lengths that are no lifetimes, or a weight above HEAVIEST.
        """
        rows = len(next(iter(columns.values())))
        known = self._cuts.configurations
        return np.stack([self._sums(columns, rows, known[n], wanted) for n, wanted in lifetimes.items()])

    def _sums(
        self,
        columns: Mapping[str, NDArray[Any]],
        rows: int,
        parameters: Mapping[str, float],
        lifetimes: Sequence[Floats],
    ) -> Integers:
        kept = passing(self._cuts, columns, parameters, rows)
        weights = np.ones((int(kept.sum()), len(lifetimes[0])))
        for recipes, wanted in zip(self._lengths, lifetimes, strict=True):
            t, most, *least = (_values(made, columns, parameters, kept)[:, None] for made in recipes)
            each, of_each = np.unique(wanted, return_inverse=True)
            weights *= lifetime_weights(t, most, each, *least)[:, of_each]
        if np.any(weights > HEAVIEST):
            worst = int(np.argmax(weights.max(axis=0)))
            place = ", ".join(f"{lengths[worst]:g} cm" for lengths in lifetimes)
            raise InputError(
                f"a simulated row has the weight {weights.max():.2g} at a lifetime of {place}: generate the "
                "signal with a longer one"
            )
        both = np.stack([weights, weights * weights])
        units: Integers = np.rint(both * UNIT).astype(np.int64).sum(axis=1)
        return units


def _values(
    made: Recipe,
    columns: Mapping[str, NDArray[Any]],
    parameters: Mapping[str, float],
    kept: NDArray[np.bool_],
) -> Floats:
    environment = {**made.constants, **parameters, **columns}
    values = np.broadcast_to(evaluate(made.observable, environment, made.functions), kept.shape)
    return np.asarray(values[kept], dtype=np.float64)
