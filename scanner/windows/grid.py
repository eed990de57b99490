"""Mass grids in steps of the resolution, and the windows around each mass.

The mass axis is measured in the resolution coordinate t(m) = ∫ dm′/σ(m′): one unit of t is one
resolution wherever on the axis. A fine axis that is uniform in t serves all windows of a region: a
window is a run of fine bins, so that one histogram of the events holds every window exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

INTEGRATION_POINTS = 1 << 16
MOST_FINE_BINS = 10_000_000
SNAP = 10
"""Fine bins that a step divides into where the half width varies or has no short common measure with it."""
MOST_DIVISIONS = 40


@dataclass(frozen=True)
class Templates:
    """What is expected in the bins of all windows, from samples, in one configuration.

    Attributes
    ----------
    signal : (W, B) float
        Of a unit yield.
    free : (K, B) float
        Of a unit yield each.
    fixed : (F, B) float
        Expected events.
    statistics : (B,) float
        Relative error of the expected background from the numbers of simulated rows.
    """

    signal: Floats
    free: Floats
    fixed: Floats
    statistics: Floats

    def select(self, windows: Integers) -> "Templates":
        """Return the templates of some windows only, by their numbers."""
        return replace(self, signal=self.signal[windows])


@dataclass(frozen=True)
class WindowGrid:
    """The windows of one region of a search.

    Attributes
    ----------
    region : str
        Name of the region.
    mass, resolution : (W,) float
        Mass hypothesis and its resolution [GeV].
    edges_mass, edges : (F + 1,) float
        Edges of the fine axis in mass [GeV] and in the observable (in its own unit).
    first, stride : (W,) int
        First fine bin of a window, and fine bins that make one of its bins.
    bins : int
        Bins in every window.
    channels : mapping of WindowGrid
        The windows of each channel where there are several, at the same masses on axes of their own. The
        other arrays but the mass and its resolution then belong to no channel.
    templates : Templates, optional
        What is expected in the bins, where it comes from samples. The bins are then the same for every mass,
        and `edges_mass` are those of the observable.
    bounds : (bins + 1,) int, optional
        Fine edges that bound the bins of every window, in place of `first` and `stride`, where bins that are
        stated are merged.
    """

    region: str
    mass: Floats
    resolution: Floats
    edges_mass: Floats
    edges: Floats
    first: Integers
    stride: Integers
    bins: int
    channels: Mapping[str, "WindowGrid"] = field(default_factory=dict)
    templates: Templates | None = None
    bounds: Integers | None = None

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.mass)

    def edge_indices(self, windows: slice = slice(None)) -> Integers:
        """Return the fine edges that bound each bin of some windows, (W, bins + 1)."""
        if self.bounds is not None:
            return np.tile(self.bounds, (len(self.first[windows]), 1))
        steps = np.arange(self.bins + 1)
        indices: Integers = self.first[windows, None] + self.stride[windows, None] * steps
        return indices

    def select(self, windows: Integers) -> "WindowGrid":
        """Return the grid of some windows only, by their numbers."""
        return replace(
            self,
            mass=self.mass[windows],
            resolution=self.resolution[windows],
            first=self.first[windows],
            stride=self.stride[windows],
            channels={name: axis.select(windows) for name, axis in self.channels.items()},
            templates=None if self.templates is None else self.templates.select(windows),
        )

    def by_channel(self, fine: NDArray[Any]) -> list[NDArray[Any]]:
        """Cut the fine bins of all channels, (F,), into those of each."""
        ends = np.cumsum([len(axis.edges) - 1 for axis in self.channels.values()])
        return np.split(fine, ends[:-1])

    def counts(self, fine: NDArray[np.int64] | Floats, windows: slice = slice(None)) -> Floats:
        """Return the counts in each bin of some windows, (W, bins), from the fine histogram (F,).

        Of several channels, fine bins and bins of windows stand one channel after the other.
        """
        if self.channels:
            axes = self.channels.values()
            spectra = zip(axes, self.by_channel(fine), strict=True)
            return np.concatenate([axis.counts(own, windows) for axis, own in spectra], axis=1)
        cumulative = np.concatenate(([0], np.cumsum(fine)))
        return np.ascontiguousarray(np.diff(cumulative[self.edge_indices(windows)], axis=1), dtype=np.float64)


def resolution_coordinate(
    low: float, high: float, resolution: Callable[[Floats], Floats]
) -> tuple[Floats, Floats]:
    """Tabulate t(m) = ∫ dm′/σ(m′) from `low` to `high` [GeV] by the trapezoidal rule.

    Returns
    -------
    mass, t : (N,) float
        Mass [GeV], and the coordinate in units of the resolution; t = 0 at `low`.

    Raises
    ------
    InputError
        If the resolution is not positive and finite everywhere.
    """
    mass = np.linspace(low, high, INTEGRATION_POINTS)
    sigma = np.broadcast_to(np.asarray(resolution(mass), dtype=np.float64), mass.shape)
    bad = ~(np.isfinite(sigma) & (sigma > 0.0))
    if bad.any():
        worst = mass[bad][0]
        raise InputError(
            f"the resolution is {sigma[bad][0]:g} GeV at {worst:g} GeV: it must be positive over "
            f"{low:g}–{high:g} GeV; extend or correct its table"
        )
    inverse = 1.0 / sigma
    steps = 0.5 * (inverse[1:] + inverse[:-1]) * np.diff(mass)
    return mass, np.concatenate(([0.0], np.cumsum(steps)))


def fine_division(step: float, bin_width: Floats) -> int:
    """Return how many fine bins make one step, such that a window's bin is a whole number of them too."""
    if np.ptp(bin_width) > 0.0:
        return SNAP
    ratio = Fraction(float(bin_width[0]) / step).limit_denominator(1000)
    return ratio.denominator if ratio.denominator <= MOST_DIVISIONS else SNAP


def build(
    region: str,
    low: float,
    high: float,
    *,
    resolution: Callable[[Floats], Floats],
    peak: Callable[[Floats], Floats],
    half_width: Callable[[Floats], Floats],
    bins: int,
    step: float | None = None,
    values: Floats | None = None,
    reach: tuple[float, float] | None = None,
) -> WindowGrid:
    """Lay out the windows of one region.

    Parameters
    ----------
    low, high : float
        Ends of the region [GeV].
    resolution, peak, half_width : callables of mass [GeV]
        σ(m) [GeV]; the observable at which a signal of mass m peaks; the half width in resolutions.
    bins : int
        Bins of a window.
    step : float, optional
        Distance of neighbouring masses in resolutions; shrunk so that both ends are on the grid.
    values : (W,) float, optional
        Explicit masses [GeV] instead of steps.
    reach : (float, float), optional
        Ends of the spectrum [GeV], the region's own by default; a window that would reach beyond an
        end is shifted inwards, and one that is wider takes all of it.

    Raises
    ------
    InputError
        If the region is empty, the observable does not rise with the mass, or the grid is absurdly large.
    """
    table_mass, table_t = resolution_coordinate(*(reach or (low, high)), resolution)
    ends = np.interp([low, high], table_mass, table_t)
    requested = 0.5 if step is None else step
    steps = _steps(region, ends, requested)
    even = np.linspace(ends[0], ends[1], steps + 1)
    mass = np.interp(even, table_t, table_mass) if values is None else values
    width = 2.0 * np.broadcast_to(np.asarray(half_width(mass), dtype=np.float64), mass.shape) / bins
    division = fine_division(requested, width)
    axis = _fine_axis(region, ends, float(table_t[-1]), steps * division, requested / division)
    edges_mass = np.interp(axis.origin + np.arange(axis.bins + 1) * axis.width, table_t, table_mass)
    edges_mass[axis.below], edges_mass[axis.below + steps * division] = low, high
    edges = np.asarray(peak(edges_mass), dtype=np.float64)
    stride = np.maximum(1, np.rint(width / (requested / division))).astype(np.int64)
    kept = _kept(region, bins, axis.bins, stride)
    first = _first(
        (np.interp(mass, table_mass, table_t) - axis.origin) / axis.width, axis.bins, kept * stride, stride
    )
    _check_rising(region, edges, edges_mass)
    if values is None:
        mass[0], mass[-1] = low, high  # to the bit
    sigma = np.broadcast_to(np.asarray(resolution(mass), dtype=np.float64), mass.shape).copy()
    return WindowGrid(
        region, np.asarray(mass, dtype=np.float64), sigma, edges_mass, edges, first, stride, kept
    )


def _steps(region: str, ends: Floats, requested: float) -> int:
    """Return the steps between the ends (2,) of a region, in resolutions; none of a single mass."""
    length = float(ends[1] - ends[0])
    steps = max(1, int(np.ceil(length / requested - 1e-9))) if length > 0.0 else 0
    if steps > MOST_FINE_BINS:
        raise InputError(
            f"region {region!r} wants {steps} steps: check the resolution's unit, or take larger steps"
        )
    return steps


@dataclass(frozen=True)
class _FineAxis:
    """Bins of a width from an origin [resolutions]; so many of them are below the region."""

    origin: float
    width: float
    below: int
    bins: int


def _fine_axis(region: str, ends: Floats, length: float, inside: int, width: float) -> _FineAxis:
    """Cut a region into bins, or take a width for a single mass, and go on up to the spectrum's ends."""
    start, stop = (float(end) for end in ends)
    width = (stop - start) / inside if inside else width
    below, above = int(start / width), int((length - stop) / width)
    bins = below + inside + above
    if bins > MOST_FINE_BINS:
        raise InputError(
            f"region {region!r} wants {bins} fine bins, more than {MOST_FINE_BINS}: "
            "check the resolution's unit, or take larger steps"
        )
    return _FineAxis(start - below * width, width, below, bins)


def _kept(region: str, bins: int, fine_bins: int, stride: Integers) -> int:
    """Return how many bins a window has on a fine axis."""
    kept = int(min(bins, fine_bins // int(stride.max())))
    if kept < 1:
        raise InputError(
            f"region {region!r} is narrower than one bin of its windows: use more bins or a wider range"
        )
    return kept


def _first(centre: Floats, fine_bins: int, length: Integers, stride: Integers) -> Integers:
    """Return the first fine bins of windows of a length around their centres, shifted inwards at the ends."""
    room = fine_bins - length
    room[room < stride] = 0  # a window that takes the whole region is the same for every mass
    first: Integers = np.clip(np.rint(centre - 0.5 * length), 0, room).astype(np.int64)
    return first


def _check_rising(region: str, edges: Floats, edges_mass: Floats) -> None:
    falling = ~(np.diff(edges) > 0.0)
    if falling.any():
        where = edges_mass[:-1][falling][0]
        raise InputError(
            f"the peak position of region {region!r} does not rise with the mass at {where:g} GeV: "
            "the observable must be a rising function of the mass over the region"
        )
