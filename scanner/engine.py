"""From a search definition to the objects that run: window grids, passes and fit problems."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner import expressions
from scanner.definition import Search
from scanner.errors import InputError
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.histogram import MAX_EDGE
from scanner.reading.lived import LivedSelection
from scanner.reading.plane import PlaneTable
from scanner.reading.selection import Selection
from scanner.reading.variables import constants, region_of, window_variables
from scanner.reading.weighted import WeightedSelection
from scanner.schema.axes import Region
from scanner.schema.functions import Function
from scanner.windows import grid as windows
from scanner.windows.channels import views
from scanner.windows.counting import counts
from scanner.windows.filled import stated_grid, uses_templates
from scanner.windows.grid import WindowGrid
from scanner.windows.lived import flights, lifetimes
from scanner.windows.plane import CountingGrid, counting_grid
from scanner.windows.stated import stated_grids
from scanner.windows.templates import WindowModel, highest_terms, nonlinear_start, window_model
from scanner.windows.vetoes import cuts, vetoed

__all__ = [
    "WindowModel",
    "constants",
    "cuts",
    "grids",
    "highest_terms",
    "nonlinear_start",
    "pass_name",
    "pass_names",
    "region_of",
    "selections",
    "unbinned",
    "vetoed",
    "window_model",
    "window_variables",
]

Floats = NDArray[np.float64]

EVERYWHERE = np.array([-MAX_EDGE, MAX_EDGE])
"""One bin, for channels whose windows are no runs of bins."""


def grids(search: Search) -> dict[str, WindowGrid]:
    """Lay out the windows of every region of a search.

    Raises
    ------
    InputError
        If the search counts events in windows: `counting_grids` lays those out.
    """
    if counts(search):
        raise InputError(f"search {search.name!r} counts events in windows: this is about fits of spectra")
    if stated(search):
        return stated_grids(search)
    return {region.name: _grid(search, region) for region in _scanned(search)}


def _scanned(search: Search) -> tuple[Region, ...]:
    """Return the regions that masses are scanned in: stated values may leave some out."""
    values = search.scan_axis.values
    if values is None:
        return search.regions
    return tuple(r for r in search.regions if any(r.low <= value <= r.high for value in values))


def counting_grids(search: Search) -> dict[str, CountingGrid]:
    """Lay out the counting windows of every region of a search; none of one that fits spectra."""
    return (
        {region.name: _counting_grid(search, region) for region in _scanned(search)} if counts(search) else {}
    )


def _counting_grid(search: Search, region: Region) -> CountingGrid:
    if len(search.channels) == 1:
        return counting_grid(search, region)
    singles = {name: (single, _named(single, region.name)) for name, single in views(search).items()}
    first, own = next(iter(singles.values()))
    grid = counting_grid(first.model_copy(update={"signal": _reference(search).signal}), own)
    channels = {name: counting_grid(*single, grid.axes) for name, single in singles.items()}
    return replace(grid, channels=channels)


def _named(search: Search, name: str) -> Region:
    return next(region for region in search.regions if region.name == name)


def lengths(search: Search) -> dict[str, int]:
    """Return the number of windows of every region, points that are not scanned included."""
    found = counting_grids(search) or grids(search)
    return {name: len(grid) for name, grid in found.items()}


def _grid(search: Search, region: Region) -> WindowGrid:
    axis = search.scan_axis
    values = None if axis.values is None else np.asarray(axis.values, dtype=np.float64)
    if values is not None:
        values = values[(values >= region.low) & (values <= region.high)]
    if len(search.channels) == 1:
        return _axis(search, region, values)
    grid = _axis(_reference(search), region, values)
    channels = {
        name: _axis(single, region_of(single, grid), grid.mass) for name, single in views(search).items()
    }
    return replace(grid, channels=channels)


def _reference(search: Search) -> Search:
    """Return a search whose steps are those of its stated resolution, or of the first channel with one."""
    if search.signal.stated_resolution is not None:
        return search
    stated = [single for single in views(search).values() if single.signal.stated_resolution is not None]
    return search.model_copy(update={"signal": stated[0].signal}) if stated else search


def _axis(search: Search, region: Region, values: Floats | None) -> WindowGrid:
    peak = expressions.parse(region.peak)
    known, axis = constants(search), search.scan_axis
    if uses_templates(search) and values is not None:
        return stated_grid(search, region, values)
    return windows.build(
        region.name,
        region.low,
        region.high,
        resolution=search.signal.resolution,
        peak=lambda m: np.broadcast_to(peak.evaluate(known | window_variables(search, m)), m.shape),
        half_width=search.window.half_width,
        bins=search.window.bins,
        step=axis.step,
        values=values,
        reach=region.reach,
    )


def selections(search: Search, stored: Sequence[str]) -> dict[str, Selection]:
    """Compile the pass of every region and channel of a search over the stored columns of an event store."""
    if stated(search):
        return {}
    if counts(search):
        return {
            pass_name(search, region, channel): Selection(
                _counting_plan(single, grid.channels.get(channel, grid), stored)
            )
            for region, grid in counting_grids(search).items()
            for channel, single in views(search).items()
        }
    found = {}
    for region, grid in grids(search).items():
        for channel, single in views(search).items():
            plan = _plan(single, grid.channels.get(channel, grid), stored)
            found[pass_name(search, region, channel)] = Selection(plan)
    return found


def weighted_selections(search: Search, stored: Sequence[str]) -> dict[str, WeightedSelection]:
    """Compile what selects and weights simulated rows, in the channels that state weights."""
    return {
        pass_name(search, region, channel): WeightedSelection(
            _plan(single, grid.channels.get(channel, grid), stored), weight
        )
        for region, grid in (grids(search) if reads(search) and not counts(search) else {}).items()
        for channel, single in views(search).items()
        if (weight := search.channels[channel].weight) is not None
    }


def lived_selections(search: Search, stored: Sequence[str]) -> dict[str, LivedSelection]:
    """Compile what selects simulated signals in every channel, and their decays; none without decays.

    Raises
    ------
    InputError
        If a column is missing, a cut depends on the window, or a decay names no lifetime.
    """
    if not search.decays:
        return {}
    for number in range(len(search.configurations)):
        lifetimes(search, number)
    decays = flights(search)
    plans = {
        channel: _channel_plan(single, decays[0].displacement, EVERYWHERE, None, stored)
        for channel, single in views(search).items()
    }
    return {channel: LivedSelection(plan, decays) for channel, plan in plans.items()}


def pass_name(search: Search, region: str, channel: str) -> str:
    """Return the name of the histogram of a region in a channel: that of the region for the only one."""
    return region if len(search.channels) == 1 else f"{region}.{channel}"


def pass_names(search: Search, region: str) -> tuple[str, ...]:
    """Return the names of the histograms of a region, in the order of the channels' bins."""
    return tuple(pass_name(search, region, channel) for channel in search.channels)


def _plan(search: Search, grid: WindowGrid, stored: Sequence[str]) -> ChannelPlan:
    table = WindowTable(
        {name: np.ascontiguousarray(values) for name, values in window_variables(search, grid.mass).items()},
        grid.first,
        grid.stride,
        grid.bins,
    )
    return _channel_plan(search, region_of(search, grid).observable, grid.edges, table, stored)


def _counting_plan(search: Search, grid: CountingGrid, stored: Sequence[str]) -> ChannelPlan:
    points = {name: np.ascontiguousarray(values) for name, values in grid.points().items()}
    table = grid.table({"m": next(iter(points.values())), **points})
    return _channel_plan(search, grid.observables[0], EVERYWHERE, table, stored)


def _channel_plan(
    search: Search,
    observable: str,
    edges: Floats,
    table: WindowTable | PlaneTable | None,
    stored: Sequence[str],
) -> ChannelPlan:
    (channel,) = search.channels.values()
    return ChannelPlan(
        cuts=cuts(search, channel),
        observable=observable,
        edges=edges,
        columns=tuple(stored),
        derived={
            name: c.expression for name, c in search.columns.items() if c.expression and name not in stored
        },
        constants=constants(search),
        configurations=tuple(dict(c.parameters) for c in search.configurations),
        windows=table,
        functions={name: _positional(function) for name, function in channel.functions.items()},
        arity={name: len(function.variables) for name, function in channel.functions.items()},
    )


def _positional(function: Function) -> Callable[..., Floats]:
    """Make a function of a definition callable with its variables in their order."""
    others = function.variables[1:]

    def call(*arguments: Floats) -> Floats:
        return function(arguments[0], **dict(zip(others, arguments[1:], strict=True)))

    return call


def stated(search: Search) -> bool:
    """Whether the counts are published numbers of the definition, so that no events are read."""
    return search.inputs == "counts"


def reads(search: Search) -> bool:
    """Whether a store is read: data, or simulated signals that tell efficiencies of published counts."""
    return not stated(search) or bool(search.decays)


def unbinned(search: Search) -> bool:
    """Whether the likelihood is that of the candidates themselves."""
    return search.method.likelihood == "unbinned"
