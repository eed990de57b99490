"""One search of a combination: its windows, their likelihoods, and the events of a unit coupling in them."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from jobs.likelihoods import Spot, block_problem, coordinates
from jobs.scanned import Scanned
from scanner import engine
from scanner.interpretation import Exposure, Place
from scanner.likelihoods.binned import BinnedProblem
from scanner.results import VETOED
from scanner.schema.statistics import Model
from scanner.sharing import events_per_strength

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NEAR = 0.5
"""Resolutions by which windows of one mass may differ."""
SAME = 1e-9
"""Relative difference of masses that are one, where no resolution is known."""


@dataclass(frozen=True)
class Member:
    """One search of a combination, in one configuration and at one point of its outer axes.

    Attributes
    ----------
    name : str
    masses, resolution : (W, A) float
        Of its windows, region after region [GeV].
    problems : tuple of BinnedProblem
        The likelihoods of each region's windows, of a signal of one event.
    region, row : (W,) int
        Which of these is a window's own.
    events : (W,) float
        Signal events at unit strength; 0 in windows that it leaves out.
    counts : bool
        Whether its bins are counts, and no spectra.
    """

    name: str
    masses: Floats
    resolution: Floats
    problems: tuple[BinnedProblem, ...]
    region: Integers
    row: Integers
    events: Floats
    counts: bool

    def nearest(self, masses: Floats) -> Integers:
        """Return the nearest window of any region to each of N masses (N, A); −1 where none is near."""
        return np.array([self._nearest(place) for place in masses], dtype=np.int64)

    def _nearest(self, place: Floats) -> int:
        distance = np.max(np.abs(self.masses - place) / self.resolution, axis=1)
        distance[self.events <= 0.0] = np.inf
        found = int(np.argmin(distance))
        return found if distance[found] <= NEAR else -1

    def used(self, windows: Integers) -> Integers:
        """Return the windows (N,) that have a part in the combination; −1 instead of the others."""
        return np.where(self.events[windows] > 0.0, windows, -1)

    def pattern(self, windows: Integers) -> Integers:
        """Return region and number of background terms of windows, (N, 2); −1 of none."""
        terms = np.concatenate([problem.terms for problem in self.problems])
        both = np.stack([self.region[windows], terms[windows]], axis=1)
        return np.where(windows[:, None] >= 0, both, -1)

    def problem(self, windows: Integers) -> BinnedProblem:
        """Return the likelihoods of windows of one region."""
        return self.problems[int(self.region[windows[0]])].select(self.row[windows])


def member(scanned: Scanned, spot: Spot, reference: Model | None) -> Member:
    """Return a scanned search with the likelihoods of its windows.

    Raises
    ------
    InputError
        If its luminosity is unknown.
    """
    run, cube = scanned.run, scanned.at(spot)
    regions = {region: coordinates(run, region) for region in run.counting or run.grids}
    lengths = [len(next(iter(places.values()))) for places in regions.values()]
    made = [
        block_problem(run, spot, region, slice(0, length))
        for region, length in zip(regions, lengths, strict=True)
    ]
    masses = np.concatenate([np.stack(list(places.values()), axis=1) for places in regions.values()])
    known = np.concatenate([found for _, found in made])
    return Member(
        scanned.name,
        masses,
        _resolution(cube, masses),
        tuple(problem for problem, _ in made),
        np.repeat(np.arange(len(lengths)), lengths),
        np.concatenate([np.arange(length) for length in lengths]),
        np.where(known & _scanned(cube), _events(scanned, cube, spot, reference, masses), 0.0),
        bool(run.counting) or engine.stated(run.search),
    )


def _resolution(cube: xr.Dataset, masses: Floats) -> Floats:
    """Return the resolution of windows along each axis, (W, A); a hair where none is known."""
    known = cube["resolution"].to_numpy().reshape(len(masses), -1)[:, : masses.shape[1]]
    return np.where(known > 0.0, known, SAME * np.maximum(np.abs(masses), 1.0) / NEAR)


def _scanned(cube: xr.Dataset) -> NDArray[np.bool_]:
    """Tell which windows the search does not leave out, (W,)."""
    left_out: NDArray[np.bool_] = cube["status"].to_numpy().ravel() >= VETOED
    return ~left_out


def _events(
    scanned: Scanned, cube: xr.Dataset, spot: Spot, reference: Model | None, masses: Floats
) -> Floats:
    run = scanned.run
    place = Place(masses[:, 0], {**scanned.values(spot), **dict(zip(scanned.axes, masses.T, strict=True))})
    efficiency = cube["efficiency"].to_numpy().ravel()
    exposure = Exposure(run.plan.luminosity)
    found = events_per_strength(run.search, reference, place, efficiency, exposure)
    return np.where(np.isfinite(found), found, 0.0)
