"""What is expected at the candidates of a block of windows: the unbinned likelihood of a search.

The densities are those whose bin integrals `scanner.windows.templates` gives. Where the observable is not the
mass, the signal's density in mass is multiplied by dm/dx at each candidate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from scanner import expressions, shapes
from scanner.definition import Search
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.likelihoods.tabulated import Densities, Tables
from scanner.likelihoods.unbinned import IN_KERNELS, UnbinnedProblem
from scanner.reading.variables import constants, region_of, window_variables
from scanner.schema.densities import Peak
from scanner.windows.grid import WindowGrid
from scanner.windows.joint import BlockModel
from scanner.windows.signal_nuisances import signal_nuisances
from scanner.windows.templates import WindowModel, background_constants, peak_shape, signal_parameters

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

STEPS = 6
"""Secant steps from a fine bin's ends to the mass of a candidate; each gains half as many digits again."""
STENCIL = 0.25
"""Distance of the derivative's points, in fine bins; its error falls with the fourth power."""


def simultaneous_problem(
    search: Search,
    block: slice,
    candidates: Sequence[Floats],
    expected: BlockModel,
    parameters: Mapping[str, float],
    binned: BinnedProblem,
    under: Callable[[], Floats],
    tables: Tables,
) -> SimultaneousProblem:
    """Return the unbinned likelihoods of the channels of a block of windows.

    Parameters
    ----------
    candidates : sequence of (N,) float
        Observable of each channel's candidates, rising.
    expected : BlockModel
        Bin integrals of the same windows.
    binned : BinnedProblem
        The same windows in bins: the terms in use, and what names the windows.
    under : callable
        Gives the background under the signal (W, C) [events].
    tables : Tables
        What was tabulated for the same windows and candidates before, and keeps what is now.
    """
    single = len(expected.parts) == 1
    channels = tuple(
        unbinned_problem(
            part.search, part.grid, block, values, model, nonlinear, parameters,
            binned.terms if single else model.terms, binned.keys, tables, part.name,
        )
        for part, values, model, nonlinear in zip(
            expected.parts, candidates, expected.models, expected.nonlinear, strict=True
        )
    )  # fmt: skip
    model = expected.model
    nuisances = signal_nuisances(search, expected.parts, block, parameters, model, under)
    return SimultaneousProblem(channels, model.shares, nuisances)


def live_pieces(edges: Floats, live: Flags) -> Floats:
    """Return the runs of live bins (W, B) between edges (W, B + 1) as (W, L, 2), NaN beyond the last."""
    padded = np.pad(live.astype(np.int64), ((0, 0), (1, 1)))
    turns = np.diff(padded, axis=1)
    most = max(1, int((turns == 1).sum(axis=1).max(initial=0)))
    pieces = np.full((len(live), most, 2), np.nan)
    for end, turn in enumerate((1, -1)):
        rows, places = np.nonzero(turns == turn)
        number = (np.cumsum(turns == turn, axis=1) - 1)[rows, places]
        pieces[rows, number, end] = edges[rows, places]
    return pieces


def unbinned_problem(
    search: Search,
    grid: WindowGrid,
    block: slice,
    values: Floats,
    model: WindowModel,
    nonlinear: Mapping[str, Floats],
    parameters: Mapping[str, float],
    terms: Integers,
    keys: NDArray[np.uint64],
    tables: Tables,
    channel: str,
) -> UnbinnedProblem:
    """Return the unbinned likelihoods of one channel in a block of windows.

    Parameters
    ----------
    values : (N,) float
        Observable of the region's candidates, rising.
    model : WindowModel
        Bin integrals of the same windows, whose sums normalise the densities.
    nonlinear : mapping of (W,) float
        Non-linear parameters of the background that the bin integrals were taken at.
    parameters : mapping
        The model configuration.
    terms : (W,) int
        Background terms in use.
    keys : (W,) uint64
        What names the windows.
    tables : Tables
        As of `simultaneous_problem`.
    channel : str
        Its name.
    """
    indices = grid.edge_indices(block)
    pieces = live_pieces(grid.edges[indices], model.live)
    low, high = grid.edges[indices[:, 0]], grid.edges[indices[:, -1]]
    first, last = np.searchsorted(values, low), np.searchsorted(values, high)
    mass, resolution = grid.mass[block], grid.resolution[block]
    extra = signal_parameters(search, mass, resolution, parameters)
    if _by_name(search, grid):
        return UnbinnedProblem(
            values, first, last, low, high, mass, resolution, terms, keys=keys, pieces=pieces,
            signal=search.signal.shape, parameters=extra, background=search.background.shape,
        )  # fmt: skip
    observable = Observable(search, grid)
    most = int(terms.max(initial=0))
    integrals = np.concatenate([model.background.sum(axis=2)[:, :most], model.signal.sum(axis=1)[:, None]], 1)
    known = {**background_constants(search, grid, mass), **nonlinear}
    densities = _Densities(
        search, observable, low, high, mass, resolution, extra, known, parameters, model.peaks, terms
    )
    place, slope = observable.at(mass)
    return UnbinnedProblem(
        values, first, last, low, high, place, resolution * slope, terms,
        densities=Densities(integrals, densities, densities.name(channel, pieces), tables),
        keys=keys, pieces=pieces,
    )  # fmt: skip


def _by_name(search: Search, grid: WindowGrid) -> bool:
    """Whether kernels evaluate the densities: the observable is the mass, and the shapes are theirs."""
    background = search.background
    plain = background.shape in ("chebyshev", "linear") and not background.peaks
    return plain and search.signal.shape in IN_KERNELS and np.array_equal(grid.edges, grid.edges_mass)


class Observable:
    """The observable of a region as a function of the mass, and back.

    Parameters
    ----------
    search : Search
    grid : WindowGrid
        Windows of the region, whose fine axis is in both.
    """

    def __init__(self, search: Search, grid: WindowGrid) -> None:
        self.search, self.grid = search, grid
        self.peak = expressions.parse(region_of(search, grid).peak)
        self.same = bool(np.array_equal(grid.edges, grid.edges_mass))

    def value(self, mass: Floats) -> Floats:
        """Return the observable at masses [GeV]."""
        known = constants(self.search) | window_variables(self.search, mass)
        return np.broadcast_to(np.asarray(self.peak.evaluate(known), dtype=np.float64), mass.shape)

    def at(self, mass: Floats) -> tuple[Floats, Floats]:
        """Return the observable at masses [GeV], and its derivative there."""
        if self.same:
            return mass, np.ones(mass.shape)
        bins = self.grid.edges_mass
        place = np.clip(np.searchsorted(bins, mass, side="right") - 1, 0, bins.size - 2)
        h = STENCIL * (bins[place + 1] - bins[place])
        near, far = (self.value(mass + k * h) - self.value(mass - k * h) for k in (1, 2))
        slope = (8.0 * near - far) / (12.0 * h)
        # At an end of the observable's range the outer points may not exist.
        chord = (self.grid.edges[place + 1] - self.grid.edges[place]) / (bins[place + 1] - bins[place])
        return self.value(mass), np.where(slope > 0.0, slope, chord)

    def masses(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the masses [GeV] at which the observable is x, and dm/dx there."""
        if self.same:
            return x, np.ones(x.shape)
        edges, bins = self.grid.edges, self.grid.edges_mass
        place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, edges.size - 2)
        low, high = bins[place], bins[place + 1]
        below, above = edges[place] - x, edges[place + 1] - x
        old, miss = low, below
        mass = low - below * (high - low) / (above - below)
        for _ in range(STEPS):
            found = self.value(mass) - x
            apart = found != miss
            step = np.where(apart, found * (mass - old) / np.where(apart, found - miss, 1.0), 0.0)
            old, miss, mass = mass, found, np.clip(mass - step, low, high)
        return mass, 1.0 / self.at(mass)[1]


@dataclass(frozen=True)
class _Densities:
    """Densities of the windows of a block; (W,) arrays, in the unit of the observable."""

    search: Search
    observable: Observable
    low: Floats
    high: Floats
    mass: Floats
    resolution: Floats
    signal: Mapping[str, Floats]
    background: Mapping[str, Floats]
    parameters: Mapping[str, float]
    peaks: Integers
    terms: Integers

    def name(self, channel: str, pieces: Floats) -> str:
        """Return what tells these densities from others of the same channel, windows and candidates."""
        arrays = [self.low, self.high, self.mass, self.resolution, self.peaks, self.terms, pieces]
        arrays += [values for _, values in sorted({**self.signal, **self.background}.items())]
        found = sha256(f"{channel} {self.parameters if self.search.background.free_peaks else None}".encode())
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def __call__(self, w: int, x: Floats) -> Floats:
        """Return the terms that a window uses, the signal and zeros at points, (K + 1, P)."""
        rows = np.zeros((int(self.terms.max(initial=0)) + 1, x.size))
        mass, slope = self.observable.masses(x)
        used = int(self.terms[w])
        smooth = used - int((self.peaks[w] >= 0).sum())
        rows[:smooth] = self._smooth(w, x, smooth)
        for number, name in enumerate(self.search.background.free_peaks):
            if self.peaks[w, number] >= 0:
                rows[self.peaks[w, number]] = self._peak(self.search.background.peaks[name], mass) * slope
        extra = {name: values[w] for name, values in self.signal.items()}
        shape = self.search.signal.shape
        rows[used] = slope * shapes.signal_density(shape, mass, self.mass[w], self.resolution[w], extra)
        return rows

    def _smooth(self, w: int, x: Floats, terms: int) -> Floats:
        name, low, high = self.search.background.shape, self.low[w], self.high[w]
        known = {key: values[w] for key, values in self.background.items()}
        bends = len(shapes.BACKGROUNDS[name].parameters)
        norm = shapes.background_norm(name, low, high, known)
        return shapes.background_density(
            name, x, low, high, known, terms // (1 + bends), norm, derivatives=bends > 0
        )

    def _peak(self, peak: Peak, mass: Floats) -> Floats:
        shape, at, resolution, extra = peak_shape(self.search, peak, 1, self.parameters)
        return shapes.signal_density(shape, mass, at, resolution, extra)
