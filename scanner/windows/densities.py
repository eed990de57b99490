"""Densities of the windows of a search at single candidates: what bins integrate, before it is integrated.

Where the observable is not the mass, the signal's density in mass is multiplied by dm/dx at each candidate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from scanner import expressions, shapes
from scanner.definition import Search
from scanner.reading.variables import constants, region_of, window_variables
from scanner.schema.densities import Peak
from scanner.windows.grid import WindowGrid
from scanner.windows.templates import peak_shape

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STEPS = 6
"""Secant steps from a fine bin's ends to the mass of a candidate; each gains half as many digits again."""
STENCIL = 0.25
"""Distance of the derivative's points, in fine bins; its error falls with the fourth power."""


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
class Shape:
    """The signal of W windows: its position and resolution [GeV], and its further parameters, (W,) each."""

    mass: Floats
    resolution: Floats
    parameters: Mapping[str, Floats]

    @property
    def arrays(self) -> list[Floats]:
        """All of it, in a fixed order."""
        return [self.mass, self.resolution, *(values for _, values in sorted(self.parameters.items()))]


Bend = Sequence[tuple[Shape, Shape]]
"""What one nuisance makes of the signal at −1 and at +1; what it changes in several ways adds up."""


@dataclass(frozen=True)
class WindowDensities:
    """Densities of the windows of a block in one channel; (W,) arrays, in the unit of the observable.

    Attributes
    ----------
    low, high : (W,) float
        Ends of the windows.
    signal : Shape
    bends : sequence of Bend
        One for each nuisance of the signal's shape, empty where it does not act.
    background : mapping of (W,) float
        Parameters and constants of the background.
    peaks : (W, P) int
        Which term of a window is a peak of free yield; -1 for none.
    terms : (W,) int
        Terms in use.
    """

    search: Search
    observable: Observable
    low: Floats
    high: Floats
    signal: Shape
    bends: Sequence[Bend]
    background: Mapping[str, Floats]
    parameters: Mapping[str, float]
    peaks: Integers
    terms: Integers

    @property
    def held(self) -> int:
        """Rows after the terms: the signal, two for each bend, known peaks."""
        return 1 + 2 * len(self.bends) + len(self.known)

    @property
    def known(self) -> list[Peak]:
        """The peaks of a stated yield."""
        return known_peaks(self.search)

    def name(self, channel: str, pieces: Floats) -> str:
        """Return what tells these densities from others of the same channel, windows and candidates."""
        arrays = [self.low, self.high, self.peaks, self.terms, pieces, *self.signal.arrays]
        for bend in self.bends:
            for low, high in bend:
                arrays += [*low.arrays, *high.arrays]
        arrays += [values for _, values in sorted(self.background.items())]
        settled = self.parameters if self.search.background.peaks else None
        found = sha256(f"{channel} {settled} {[len(bend) for bend in self.bends]}".encode())
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def __call__(self, w: int, x: Floats) -> Floats:
        """Return the terms that a window uses, what it holds, and zeros at points, (K + H, P)."""
        rows = np.zeros((int(self.terms.max(initial=0)) + self.held, x.size))
        mass, slope = self.observable.masses(x)
        used = int(self.terms[w])
        smooth = used - int((self.peaks[w] >= 0).sum())
        rows[:smooth] = self._smooth(w, x, smooth)
        for number, name in enumerate(self.search.background.free_peaks):
            if self.peaks[w, number] >= 0:
                rows[self.peaks[w, number]] = self._peak(self.search.background.peaks[name], mass) * slope
        rows[used] = self._signal(self.signal, w, mass) * slope
        for m, bend in enumerate(self.bends):
            for low, high in bend:
                below, above = (self._signal(shape, w, mass) * slope - rows[used] for shape in (low, high))
                rows[used + 1 + 2 * m] += 0.5 * (above - below)
                rows[used + 2 + 2 * m] += above + below
        for f, peak in enumerate(self.known):
            rows[used + 1 + 2 * len(self.bends) + f] = (peak.expected or 0.0) * self._peak(peak, mass) * slope
        return rows

    def _signal(self, shape: Shape, w: int, mass: Floats) -> Floats:
        extra = {name: values[w] for name, values in shape.parameters.items()}
        name = self.search.signal.shape
        return shapes.signal_density(name, mass, shape.mass[w], shape.resolution[w], extra)

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


def known_peaks(search: Search) -> list[Peak]:
    """Return the peaks of a stated yield in the background of one channel."""
    return [peak for peak in search.background.peaks.values() if peak.expected is not None]
