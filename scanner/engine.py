"""From a search definition to the objects that run: window grids, passes and fit problems."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner import expressions, shapes
from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import bound_model, ordered, quantity
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.histogram import MAX_EDGE
from scanner.reading.lived import LivedSelection
from scanner.reading.plane import PlaneTable
from scanner.reading.selection import Selection
from scanner.reading.variables import constants, region_of, window_variables
from scanner.schema.axes import Region
from scanner.schema.densities import Background
from scanner.schema.functions import Function
from scanner.schema.statistics import YIELD_TARGETS, Systematic
from scanner.stats import METHODS
from scanner.stats.floating import FLOATING_METHODS
from scanner.stats.unbinned_methods import UNBINNED_METHODS
from scanner.windows import grid as windows
from scanner.windows.axes import outer_axes
from scanner.windows.channels import views
from scanner.windows.counting import beyond_counting, counting_methods, counts
from scanner.windows.filled import TEMPLATE, TEMPLATE_METHODS, beyond_templates, stated_grid, uses_templates
from scanner.windows.floating import floats
from scanner.windows.grid import WindowGrid
from scanner.windows.lived import flights, lifetimes
from scanner.windows.plane import CountingGrid, counting_grid
from scanner.windows.stated import beyond_stated, stated_grids, stated_methods
from scanner.windows.templates import WindowModel, highest_terms, nonlinear_start, window_model
from scanner.windows.vetoes import cuts, vetoed

__all__ = [
    "WindowModel",
    "check_runnable",
    "check_single",
    "check_units",
    "constants",
    "cuts",
    "grids",
    "highest_terms",
    "methods",
    "nonlinear_start",
    "pass_name",
    "pass_names",
    "refuse_known_yields",
    "refuse_special",
    "refuse_templates",
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


def check_units(search: Search, stored: Mapping[str, str]) -> None:
    """Refuse stored columns whose unit is not the one that the definition states.

    Parameters
    ----------
    stored : mapping
        Unit of each column of an event store; empty where nobody stated it.

    Raises
    ------
    InputError
        Naming column, both units and the remedy.
    """
    for name, column in search.columns.items():
        found = stored.get(name, "")
        if found and found != column.unit:
            raise InputError(
                f"column {name!r} is in {found} in the store and in {column.unit} in search {search.name!r}: "
                f"ingest again with --unit {name}=UNIT, or correct the definition"
            )


def stated(search: Search) -> bool:
    """Whether the counts are published numbers of the definition, so that no events are read."""
    return search.inputs == "counts"


def unbinned(search: Search) -> bool:
    """Whether the likelihood is that of the candidates themselves."""
    return search.method.likelihood == "unbinned"


def refuse_special(search: Search, what: str) -> None:
    """Refuse what knows nothing but bins and fixed templates.

    Raises
    ------
    InputError
        If the search counts events in windows, has templates from samples, an unbinned likelihood or floating
        parameters.
    """
    if counts(search) or stated(search):
        raise InputError(f"{what} of a search that counts events in windows is not possible")
    if unbinned(search):
        raise InputError(
            f"{what} of a search with an unbinned likelihood is not possible: take `likelihood: binned`"
        )
    refuse_templates(search, what)
    if floats(search):
        raise InputError(f"{what} of a search with floating parameters is not possible: hold them")


def refuse_templates(search: Search, what: str) -> None:
    """Refuse what knows no templates from samples.

    Raises
    ------
    InputError
        If the search has some.
    """
    if uses_templates(search):
        raise InputError(f"{what} of a search with templates from samples is not possible yet")


def methods(search: Search) -> tuple[str, ...]:
    """Return the names of the methods that set limits for the likelihood of a search."""
    if stated(search):
        return stated_methods(search)
    if counts(search):
        return counting_methods(search)
    if unbinned(search):
        return tuple(UNBINNED_METHODS)
    if uses_templates(search):
        return TEMPLATE_METHODS
    return FLOATING_METHODS if floats(search) else tuple(METHODS)


def _beyond_floating(search: Search) -> dict[str, bool]:
    here, background = floats(search), search.background
    channels = [single.background.floating for single in views(search).values()]
    return {
        "floating parameters of an unbinned likelihood": here and unbinned(search),
        "floating parameters in several channels": (here or any(channels)) and len(search.channels) > 1,
        f"floating parameters with an order by {background.choose}": here and background.choose != "fixed",
        f"floating limits by {search.method.limit} (possible: {', '.join(FLOATING_METHODS)})": (
            here and search.method.limit not in FLOATING_METHODS
        ),
        f"a floating background of shape {background.shape!r}, which has no parameters": (
            background.floating and not shapes.BACKGROUNDS[background.shape].parameters
            if background.shape in shapes.BACKGROUNDS
            else False
        ),
        f"a floating width of the signal shape {search.signal.shape!r}": (
            search.signal.floating.width is not None and search.signal.width is None
        ),
    }


def _knows(method: str, term: Systematic) -> bool:
    """Whether a method of unbinned limits has a nuisance for a systematic."""
    return method != "bayesian" and not (method == "toys" and term.on in YIELD_TARGETS)


def _beyond_unbinned(search: Search) -> dict[str, bool]:
    here = unbinned(search)
    backgrounds = [single.background for single in views(search).values()]
    return (
        {
            f"unbinned limits by {search.method.limit} (possible: {', '.join(UNBINNED_METHODS)})": (
                here and search.method.limit not in UNBINNED_METHODS
            ),
            "known peaks of a stated yield with an unbinned likelihood": (
                here and any(len(found.free_peaks) < len(found.peaks) for found in backgrounds)
            ),
            "a shape measured in the observable with an unbinned likelihood": (
                here and search.signal.measured_in != "mass"
            ),
            "a profiled order with an unbinned likelihood": (
                here and search.background.choose == "discrete_profile"
            ),
        }
        | {
            f"the systematic {term.name!r} of the {term.on} with an unbinned likelihood (possible: on "
            "signal, efficiency, luminosity, background and yield; keep it out by 'in_limit: false')": (
                here and term.in_limit and term.on in ("resolution", "mass")
            )
            for term in search.systematics.values()
        }
        | {
            f"the systematic {term.name!r} on the {term.on} with unbinned limits by {search.method.limit}": (
                here and term.in_limit and not _knows(search.method.limit, term)
            )
            for term in search.systematics.values()
        }
    )


def check_runnable(search: Search) -> None:
    """Refuse a definition that says more than the engine runs, naming what.

    Raises
    ------
    InputError
        Naming the part of the definition and what is possible instead.
    """
    beyond = {
        **_beyond_axes(search),
        **_beyond_models(search),
        "decays in flight of published counts": bool(search.decays) and stated(search),
        **beyond_templates(search),
        **_beyond_inputs(search),
    }
    wanted = [text for text, found in beyond.items() if found]
    if wanted:
        raise InputError(f"search {search.name!r} wants {', '.join(wanted)}: this version does not run that")


def _beyond_inputs(search: Search) -> dict[str, bool]:
    """Return what is not possible with the kind of numbers that a search is made from."""
    if stated(search):
        return beyond_stated(search)
    counted = any(channel.counts is not None for channel in search.channels.values())
    mixed = {"events in some channels and published counts in others": counted}
    return mixed | (beyond_counting(search) if counts(search) else _beyond_fits(search))


def _beyond_fits(search: Search) -> dict[str, bool]:
    """Return what a search that fits spectra says that is not possible, and whether it says so."""
    beyond = {
        f"windows of shape {search.window.shape} with a background of shape {search.background.shape!r}": (
            search.window.shape != "interval"
        ),
        **_beyond_unbinned(search),
        **_beyond_floating(search),
        f"limits by {search.method.limit}": search.method.limit not in METHODS,
        f"signal shape {search.signal.shape!r}": search.signal.shape not in (*shapes.SIGNALS, TEMPLATE),
    }
    for single in views(search).values():
        beyond |= _beyond_background(single.background, len(search.channels))
    for term in search.systematics.values():
        shaped = term.kind == "shape" and term.on not in ("resolution", "mass")
        beyond[f"a systematic of kind shape on {term.on} (possible: on resolution and mass)"] = shaped
    return beyond


def _beyond_axes(search: Search) -> dict[str, bool]:
    """Return what of the axes is not possible, and whether it is asked for."""
    outer = outer_axes(search)
    return {
        "an axis beside the mass without 'values'": any(axis.values is None for axis in outer),
        "a condition 'where' on an axis of intervals": search.window.shape == "interval"
        and any(axis.where is not None for axis in search.scan.values()),
        "a condition 'where' on an axis beside the masses": any(axis.where is not None for axis in outer),
    }


def _beyond_models(search: Search) -> dict[str, bool]:
    """Return which models are of another rate than the one that is limited."""
    limited = quantity(search)
    return {
        f"a coupling of {reference.name}, whose production is a {bound_model(reference).quantity}, from a "
        f"{limited}: change the normalisation": limited not in (None, bound_model(reference).quantity)
        for _, reference in ordered(search)
    }


def _beyond_background(background: Background, channels: int) -> dict[str, bool]:
    """Return what of a background is not possible, and whether it is asked for."""
    shape, chosen = background.shape, background.choose != "fixed"
    return {
        f"background shape {shape!r}": shape not in (*shapes.BACKGROUNDS, TEMPLATE),
        f"the order of a background of shape {shape!r} by {background.choose}": (
            chosen and shape not in ("chebyshev", "linear")
        ),
        f"the order of a background with peaks by {background.choose}": chosen and bool(background.peaks),
        f"the order of a background by {background.choose} in several channels": chosen and channels > 1,
    }


def refuse_known_yields(search: Search, what: str) -> None:
    """Refuse what does not know peaks of a stated yield.

    Raises
    ------
    InputError
        If a background has such a peak.
    """
    for single in views(search).values():
        background = single.background
        known = [name for name in background.peaks if name not in background.free_peaks]
        if known:
            raise InputError(
                f"{what} with the stated yield of {', '.join(known)} is not possible: "
                "leave 'expected' out to fit it, or take another"
            )


def check_single(search: Search, what: str) -> None:
    """Refuse what is about one channel for a search of several.

    Raises
    ------
    InputError
        Naming what it is.
    """
    if len(search.channels) > 1:
        raise InputError(
            f"{what} of {len(search.channels)} channels together is not possible yet: "
            f"search {search.name!r} has {', '.join(search.channels)}"
        )
