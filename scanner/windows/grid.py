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

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.mass)

    def edge_indices(self, windows: slice = slice(None)) -> Integers:
        """Return the fine edges that bound each bin of some windows, (W, bins + 1)."""
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
    start, stop = (float(t) for t in np.interp([low, high], table_mass, table_t))
    requested = 0.5 if step is None else step
    steps = max(1, int(np.ceil((stop - start) / requested - 1e-9))) if stop > start else 0
    if steps > MOST_FINE_BINS:
        raise InputError(
            f"region {region!r} wants {steps} steps: check the resolution's unit, or take larger steps"
        )
    mass = np.interp(np.linspace(start, stop, steps + 1), table_t, table_mass) if values is None else values
    half = np.broadcast_to(np.asarray(half_width(mass), dtype=np.float64), mass.shape)
    division = fine_division(requested, 2.0 * half / bins)
    fine = (stop - start) / (steps * division) if steps else requested / division  # or of one mass
    below, above = int(start / fine), int((table_t[-1] - stop) / fine)
    fine_bins = below + steps * division + above
    if fine_bins > MOST_FINE_BINS:
        raise InputError(
            f"region {region!r} wants {fine_bins} fine bins, more than {MOST_FINE_BINS}: "
            "check the resolution's unit, or take larger steps"
        )
    stride = np.maximum(1, np.rint(2.0 * half / bins / (requested / division))).astype(np.int64)
    kept = int(min(bins, fine_bins // int(stride.max())))
    if kept < 1:
        raise InputError(
            f"region {region!r} is narrower than one bin of its windows: use more bins or a wider range"
        )
    origin = start - below * fine
    edges_mass = np.interp(origin + np.arange(fine_bins + 1) * fine, table_t, table_mass)
    edges_mass[below], edges_mass[fine_bins - above] = low, high
    centre = (np.interp(mass, table_mass, table_t) - origin) / fine
    room = fine_bins - kept * stride
    room[room < stride] = 0  # a window that takes the whole region is the same for every mass
    first = np.clip(np.rint(centre - 0.5 * kept * stride), 0, room).astype(np.int64)
    edges = np.asarray(peak(edges_mass), dtype=np.float64)
    _check_rising(region, edges, edges_mass)
    if values is None:
        mass[0], mass[-1] = low, high  # to the bit
    sigma = np.broadcast_to(np.asarray(resolution(mass), dtype=np.float64), mass.shape).copy()
    return WindowGrid(
        region, np.asarray(mass, dtype=np.float64), sigma, edges_mass, edges, first, stride, kept
    )


def _check_rising(region: str, edges: Floats, edges_mass: Floats) -> None:
    falling = ~(np.diff(edges) > 0.0)
    if falling.any():
        where = edges_mass[:-1][falling][0]
        raise InputError(
            f"the peak position of region {region!r} does not rise with the mass at {where:g} GeV: "
            "the observable must be a rising function of the mass over the region"
        )
