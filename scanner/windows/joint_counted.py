"""One block of counting windows in several channels to one block of results.

Every channel counts the same masses in windows of its own, over a background of its own; the signal is
shared by their efficiencies, and limited by all of them together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.interpretation import Exposure, Place, physics_limits
from scanner.likelihoods.binned import BinnedProblem
from scanner.limits import NOWHERE, method_settings
from scanner.results import VETOED, Results
from scanner.seeds import window_keys
from scanner.stats.counted import COUNTED_METHODS, Counted, CountedLimits, counted_limits
from scanner.stats.joint_counts import SAMPLING, JointCounts, joint_limits, joint_problem
from scanner.stats.limits import NO_LIMIT
from scanner.stats.settings import Settings
from scanner.windows.axes import Point
from scanner.windows.backgrounds import Estimate, Simulated, efficiency_error, estimate
from scanner.windows.channels import rate_error, views
from scanner.windows.counted import NO_BACKGROUND, OUTSIDE, SMALLEST_COUNT, blank, containment, experiments
from scanner.windows.joint import channel_rate
from scanner.windows.plane import CountingGrid, cut_out
from scanner.windows.vetoes import vetoed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

AS_COUNTED = (
    "n_observed", "n_sideband", "efficiency", "efficiency_error", "resolution", "channel_efficiency",
)  # fmt: skip
"""Variables that windows without a limit have too."""
DIGITS = 12
"""Of shares of the signal: a factor on all efficiencies, as along a lifetime, leaves them as they are."""


class JointMemory:
    """Limits of counts that were met before, in other configurations or at other points of outer axes."""

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, ...], CountedLimits] = {}

    def joint(self, counts: JointCounts, settings: Settings, method: str) -> CountedLimits:
        """Return the limits of sets of counts, computed if they are not known."""
        tables = [channel.table() for channel in counts.channels]
        keys = (counts.keys,) if method in SAMPLING else ()
        arrays = (*tables, counts.shares, counts.efficiency_error, *keys)
        return self._kept(arrays, (settings, method), lambda: joint_limits(counts, settings, method))

    def single(self, counted: Counted, settings: Settings, method: str) -> CountedLimits:
        """Return the limits of single counts, computed if they are not known."""
        arrays = (counted.table(),)
        return self._kept(arrays, (settings, method), lambda: counted_limits(counted, settings, method))

    def _kept(
        self, arrays: Sequence[NDArray[Any]], how: tuple[Settings, str], limits: Callable[[], CountedLimits]
    ) -> CountedLimits:
        key = (repr(how).encode(), *(array.tobytes() for array in arrays))
        if key not in self._found:
            self._found[key] = limits()
        return self._found[key]


@dataclass(frozen=True, eq=False)
class ChannelCounts:
    """What W windows of one channel count.

    Attributes
    ----------
    counts : (W, 1) or (W, 3) int
        Rows in the windows, and in the sidebands below and above them.
    background : Estimate
    rate : (W,) float
        Efficiency times branching fraction; 0 where the channel leaves the mass out.
    share : (W,) float
        Events in the window of a signal of one event in all channels; 0 where the channel tells nothing.
    """

    counts: Integers
    background: Estimate
    rate: Floats
    share: Floats

    @property
    def on(self) -> Flags:
        """Whether the window has a part in the limit, (W,)."""
        return np.asarray(self.share > 0.0)

    def counted(self, efficiency_error: Floats) -> Counted:
        """Return the experiments, with nothing in those that have no part in the limit."""
        known, on = self.background, self.on
        return Counted(
            np.where(on, self.counts[:, 0], 0),
            np.where(on, known.number, 0.0),
            np.where(on, known.error, 0.0),
            np.where(on, known.off, -1.0),
            np.where(on, known.tau, 0.0),
            efficiency_error,
        )


def count_channels(
    search: Search,
    grid: CountingGrid,
    counts: Sequence[Integers],
    simulated: Sequence[Sequence[Simulated]],
    block: slice,
    *,
    configuration: int,
    exposure: Exposure,
    method: str,
    point: Point = NOWHERE,
    identity: str = "",
    memory: "JointMemory | None" = None,
) -> Results:
    """Set the limits of a block of windows that several channels count events in.

    Parameters are those of `scanner.windows.counted.count_block`, `counts` and `simulated` for each channel,
    the identity of the scan, from which the seeds of toys follow, and what is known of other points.
    `method` is a key of `scanner.stats.joint_counts.JOINT_METHODS`.

    Returns
    -------
    dict of arrays
        The variables of the limit cube, each with W as first dimension; those of single channels are (W, C).
    """
    parameters = {**search.configurations[configuration].parameters, **point}
    settings = method_settings(search, method)
    names = (identity, search.configurations[configuration].name)
    joint, channels = joint_experiments(search, grid, counts, simulated, block, parameters, names)
    seen = np.any([channel.on for channel in channels], axis=0)
    known = memory or JointMemory()
    limits = known.joint(joint, settings, method)
    efficiency: Floats = np.sum([channel.rate for channel in channels], axis=0)
    results = _results(channels, limits) | _of_channels(joint, channels, settings, method, known)
    results |= {"efficiency": efficiency, "resolution": grid.resolution[block]}
    place = Place(grid.mass(block), {**parameters, **grid.points(block)})
    results |= _efficiency_error(search, place.mass, {**parameters, **grid.points(block)}, channels)
    inside = np.where(grid.inside[block], efficiency, np.nan)
    results |= physics_limits(search, place, limits.yield_limit, limits.expected, inside, exposure)
    return _left_out(search, grid, block, results, ~seen)


def counting_problem(
    search: Search,
    grid: CountingGrid,
    counts: Sequence[Integers],
    simulated: Sequence[Sequence[Simulated]],
    block: slice,
) -> tuple[BinnedProblem, Flags]:
    """Return the likelihoods of W windows of a search of one configuration, and where there are any, (W,).

    Parameters are those of `count_channels`, in one channel or several. Windows that are not scanned, are
    vetoed or have no background have none.
    """
    (chosen,) = search.configurations
    if len(counts) > 1:
        joint, channels = joint_experiments(search, grid, counts, simulated, block, chosen.parameters)
        used = np.any([channel.on for channel in channels], axis=0)
    else:
        counted, background = experiments(search, grid, counts[0], block, simulated[0], chosen.parameters)
        used = ~background.missing
        share = np.where(used, containment(search, grid, block, chosen.parameters), 1.0)[:, None]
        keys = window_keys("", chosen.name, grid.region, block)
        joint = JointCounts([counted], share, counted.efficiency_error, keys)
    return joint_problem(joint), used & grid.inside[block] & ~vetoed(search, grid.mass(block))


def joint_experiments(
    search: Search,
    grid: CountingGrid,
    counts: Sequence[Integers],
    simulated: Sequence[Sequence[Simulated]],
    block: slice,
    parameters: Mapping[str, float],
    names: tuple[str, str] = ("", ""),
) -> tuple[JointCounts, list[ChannelCounts]]:
    """Return the sets of counts of a block of windows, and what each channel counts.

    Parameters are those of `count_channels`, with the configuration and the point in `parameters`; `names` of
    the scan and the configuration are what random numbers follow from.
    """
    channels = _channels(search, grid, counts, simulated, block, parameters)
    seen = np.any([channel.on for channel in channels], axis=0)
    error = efficiency_error(search, grid, block, parameters)
    shares = np.stack([np.where(seen, channel.share, 1.0) for channel in channels], axis=1)
    counted = [channel.counted(error) for channel in channels]
    keys = window_keys(*names, grid.region, block)
    return JointCounts(counted, np.round(shares, DIGITS), error, keys), channels


def _channels(
    search: Search,
    grid: CountingGrid,
    counts: Sequence[Integers],
    simulated: Sequence[Sequence[Simulated]],
    block: slice,
    parameters: Mapping[str, float],
) -> list[ChannelCounts]:
    """Return what every channel counts; the signal is shared evenly where none of them sees any."""
    mass, known = grid.mass(block), {**parameters, **grid.points(block)}
    everywhere, found = vetoed(search, mass), []
    for number, (name, single) in enumerate(views(search).items()):
        own, rows = grid.channels[name], counts[number]
        background = estimate(single, own, rows, block, simulated[number], parameters)
        rate = np.where(_cut(single, own, block), 0.0, channel_rate(single, mass, known, everywhere))
        used = own.inside[block] & ~background.missing
        share = np.where(used, containment(single, own, block, parameters), 0.0)
        found.append(ChannelCounts(rows, background, rate, share))
    total = np.sum([channel.rate for channel in found], axis=0)
    each = [np.divide(c.rate, total, out=np.ones_like(total), where=total > 0.0) for c in found]
    return [replace(c, share=c.share * part) for c, part in zip(found, each, strict=True)]


def _efficiency_error(
    search: Search, mass: Floats, parameters: Mapping[str, Any], channels: Sequence[ChannelCounts]
) -> Results:
    """Return the error of the efficiency from the size of simulated signals, (W,), if any channel has one."""
    errors = [rate_error(single, mass, parameters) for single in views(search).values()]
    both = zip(errors, channels, strict=True)
    known = [np.where(counted.rate > 0.0, error**2, 0.0) for error, counted in both if error is not None]
    return {"efficiency_error": np.sqrt(np.sum(known, axis=0))} if known else {}


def _cut(single: Search, own: CountingGrid, block: slice) -> Flags:
    """Tell in which windows a veto cuts rows away, (W,): the channel leaves these masses out."""
    cut = np.zeros(len(own.centre[block]), dtype=np.bool_)
    for axis, observable in enumerate(own.observables):
        low = own.centre[block, axis] - own.half[block, axis]
        high = own.centre[block, axis] + own.half[block, axis]
        for start, stop in cut_out(single, observable):
            cut |= (low < stop) & (high > start)
    return cut


def _results(channels: Sequence[ChannelCounts], limits: CountedLimits) -> Results:
    """Return the sums over channels, and the limits of all of them."""
    total, error = best_yield(channels)
    background = [np.where(c.on, c.background.number, 0.0) for c in channels]
    variance = [np.where(c.on, c.background.error, 0.0) ** 2 for c in channels]
    return {
        "n_observed": np.sum([np.where(c.on, c.counts[:, 0], 0) for c in channels], axis=0),
        "n_sideband": np.sum([np.where(c.on, c.counts[:, 1:].sum(axis=1), 0) for c in channels], axis=0),
        "n_background": np.sum(background, axis=0),
        "n_background_error": np.sqrt(np.sum(variance, axis=0)),
        "signal_yield": total,
        "signal_yield_error": error,
        "p_local": limits.p_local,
        "z_local": limits.z_local,
        "yield_limit": limits.yield_limit,
        "yield_limit_expected": limits.expected,
        "yield_lower": limits.yield_lower,
        "status": np.zeros(len(total), dtype=np.uint8),
        "method": limits.method,
    }


def best_yield(channels: Sequence[ChannelCounts]) -> tuple[Floats, Floats]:
    """Return the signal yield and its error, (W,): the weighted mean of what the channels say.

    Weights are those of the least variance without signal, so that they do not follow the counts.
    """
    share = np.stack([c.share for c in channels], axis=1)
    excess = np.stack([np.where(c.on, c.counts[:, 0] - c.background.number, 0.0) for c in channels], axis=1)
    error = np.stack([np.where(c.on, c.background.error, 0.0) for c in channels], axis=1)
    under = np.stack([np.where(c.on, c.background.number, 0.0) for c in channels], axis=1)
    weight = share / (np.maximum(under, SMALLEST_COUNT) + error**2)
    norm = np.sum(weight * share, axis=1, keepdims=True)
    weight = np.divide(weight, norm, out=np.zeros_like(weight), where=norm > 0.0)
    observed = np.stack([c.counts[:, 0] for c in channels], axis=1)
    variance = np.maximum(observed, SMALLEST_COUNT) + error**2
    return np.sum(weight * excess, axis=1), np.sqrt(np.sum(weight**2 * variance, axis=1))


def _of_channels(
    joint: JointCounts,
    channels: Sequence[ChannelCounts],
    settings: Settings,
    method: str,
    known: JointMemory,
) -> Results:
    """Return what each channel counts, and the limit on the whole signal that it sets by itself."""
    single = method if method in COUNTED_METHODS else "auto"
    limits = [known.single(counted, settings, single).yield_limit for counted in joint.channels]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = [np.where(c.on, limit / c.share, np.nan) for c, limit in zip(channels, limits, strict=True)]
    return {
        "channel_observed": np.stack([c.counts[:, 0] for c in channels], axis=1),
        "channel_background": np.stack([c.background.number for c in channels], axis=1),
        "channel_yield_limit": np.stack(scaled, axis=1),
        "channel_efficiency": np.stack([c.rate for c in channels], axis=1),
    }


def _left_out(search: Search, grid: CountingGrid, block: slice, results: Results, missing: Flags) -> Results:
    """Turn what is not scanned, vetoed, or without a background into NaN with a status of its own."""
    inside, without = grid.inside[block], vetoed(search, grid.mass(block))
    status = np.select([~inside, without, missing], [OUTSIDE, VETOED, NO_BACKGROUND], 0).astype(np.uint8)
    found = {
        name: values if name in AS_COUNTED else blank(values, status > 0) for name, values in results.items()
    }
    for name in ("efficiency", "efficiency_error", "resolution"):
        found |= {name: blank(results[name], ~inside)} if name in results else {}
    method = np.where(status > 0, np.uint8(NO_LIMIT), results["method"]).astype(np.uint8)
    return found | {"status": status, "method": method}
