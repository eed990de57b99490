"""Tables of efficiencies over planes of counting windows, from generated signals all over the plane.

Points of a plane fill no rectangle, and a table over both axes has nodes at masses that cannot be produced
together. So a node is no measurement here, but what makes the interpolation right at the points that are
scanned: the values of all nodes follow from a least-squares fit to signals all over the plane.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.simulation.calibrate_windows import measure
from scanner.windows.channels import rate

Array = NDArray[np.float64]

STIFFNESS = 0.2
"""Second difference of neighbouring nodes that counts as one error: it decides where no point does."""
LEAST = 0.01
"""Efficiency of nodes that would have a smaller one, far from all points."""
SIGNIFICANT = 3
MOST_EVENTS = 20
"""Factor by which the events of a point may grow where few decays are seen."""


@dataclass(frozen=True)
class EfficiencyTable:
    """Efficiencies at the nodes of a plane, and how well they meet the generated signals.

    Attributes
    ----------
    values : (K, L) float
        At the nodes.
    points : (N, 2) float
        Where signals were generated [GeV].
    found, error : (N,) float
        Their efficiencies, branching fractions taken out, and binomial errors.
    stated : (N,) float
        What the table gives there.
    """

    values: Array
    points: Array
    found: Array
    error: Array
    stated: Array

    @property
    def pulls(self) -> Array:
        """Distances of table and signals in binomial errors, (N,)."""
        return (self.stated - self.found) / self.error

    def rows(self) -> str:
        """Write the values as rows of a definition, in percent."""
        lines = (", ".join(f"{100 * v:.{SIGNIFICANT}g}" for v in row) for row in self.values)
        return "\n".join(f'        - "{line} %"' for line in lines)


def tabulate(
    search: Search, process: str, grids: Sequence[Array], *, points: int, events: int, seed: int
) -> EfficiencyTable:
    """Fit a table of efficiencies to signals at random points of the scan.

    Parameters
    ----------
    search : Search
        With counting windows over two axes.
    process : str
        Its signal.
    grids : two of (K,) and (L,) float
        Nodes along the axes [GeV], from end to end of the scan.
    points : int
        Signals in every cell of the table that holds so many points of the scan.
    events : int
        Produced at each, for decays that are all seen; more where the branching fraction is smaller.
    seed : int
        Of the points and of their events.
    """
    places = np.array(list(chosen_points(search, grids, points, np.random.default_rng(seed))))
    names = list(search.scan)
    found, error = np.empty((2, len(places)))
    for number, place in enumerate(places):
        point = dict(zip(names, place.tolist(), strict=True))
        stated = float(search.signal.efficiency(place[:1], **point)[0])
        share = float(rate(search, place[:1], point)[0]) / stated
        produced = int(events * min(1.0 / share, MOST_EVENTS))
        signal = measure(search, process, point, produced, seed + 1 + number)
        found[number], error[number] = signal.efficiency / share, signal.efficiency_error / share
    design = weights(grids, places)
    values = solved(design, found, error, [len(grid) for grid in grids])
    return EfficiencyTable(values, places, found, error, design @ values.ravel())


def chosen_points(
    search: Search, grids: Sequence[Array], points: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Yield scanned points (2,) at random in every cell of a table, as many in each if it has them."""
    (grid,) = engine.counting_grids(search).values()
    plane = np.stack(list(grid.points().values()), axis=1)[grid.inside]
    cell = [np.searchsorted(nodes[1:-1], plane[:, n], side="right") for n, nodes in enumerate(grids)]
    number = cell[0] * len(grids[1]) + cell[1]
    for each in np.unique(number):
        there = np.flatnonzero(number == each)
        yield from plane[rng.choice(there, min(points, len(there)), replace=False)]


def weights(grids: Sequence[Array], places: Array) -> Array:
    """Return by how much each node enters the bilinear interpolation at places (N, 2), (N, K·L)."""
    one, other = (
        np.stack([np.interp(places[:, n], nodes, unit) for unit in np.eye(len(nodes))], axis=1)
        for n, nodes in enumerate(grids)
    )
    return np.asarray(np.einsum("nk,nl->nkl", one, other).reshape(len(places), -1))


def solved(design: Array, found: Array, error: Array, shape: Sequence[int]) -> Array:
    """Return the values of the nodes that meet the points best, as straight as that leaves them."""
    one, other = (np.diff(np.eye(length), 2, axis=0) for length in shape)
    straight = np.concatenate([np.kron(one, np.eye(shape[1])), np.kron(np.eye(shape[0]), other)]) / STIFFNESS
    system = np.concatenate([design / error[:, None], straight])
    wanted = np.concatenate([found / error, np.zeros(len(straight))])
    values = np.linalg.lstsq(system, wanted, rcond=None)[0]
    return np.asarray(np.clip(values, LEAST, 1.0)).reshape(*shape)
