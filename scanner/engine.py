"""From a search definition to the objects that run: window grids, passes and fit problems."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner import expressions, shapes, windows
from scanner.channel import ChannelPlan, WindowTable
from scanner.definition import Search
from scanner.errors import InputError
from scanner.schema.densities import DEFAULT_POWER
from scanner.schema.functions import Function
from scanner.schema.names import NAMED_CONSTANTS
from scanner.selection import Selection
from scanner.stats import METHODS
from scanner.windows import WindowGrid

Floats = NDArray[np.float64]
CORE = 2.0
"""Half width, in resolutions, of the core of a window, where the signal is."""


def constants(search: Search) -> dict[str, float]:
    """Return the named constants of the expression language, with the search's beam energy."""
    return {**NAMED_CONSTANTS, "sqrt_s": search.sqrt_s}


def window_variables(search: Search, mass: Floats) -> dict[str, Floats]:
    """Return the variables of windows by name: the mass, as `m` and under the name of its axis."""
    return {"m": mass, search.scan_axis.name: mass}


def grids(search: Search) -> dict[str, WindowGrid]:
    """Lay out the windows of every region of a search."""
    return {region.name: _grid(search, region) for region in search.regions}


def _grid(search: Search, region: Any) -> WindowGrid:
    peak = expressions.parse(region.peak)
    known = constants(search)
    axis = search.scan_axis
    values = None if axis.values is None else np.asarray(axis.values, dtype=np.float64)
    if values is not None:
        values = values[(values >= region.low) & (values <= region.high)]
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
    """Compile the pass of every region of a search over the stored columns of an event store."""
    return {name: Selection(_plan(search, grid, stored)) for name, grid in grids(search).items()}


def _plan(search: Search, grid: WindowGrid, stored: Sequence[str]) -> ChannelPlan:
    (channel,) = search.channels.values()
    region = next(region for region in search.regions if region.name == grid.region)
    table = WindowTable(
        {name: np.ascontiguousarray(values) for name, values in window_variables(search, grid.mass).items()},
        grid.first,
        grid.stride,
        grid.bins,
    )
    return ChannelPlan(
        cuts=channel.select,
        observable=region.observable,
        edges=grid.edges,
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


@dataclass(frozen=True)
class WindowModel:
    """What is expected in the bins of a block of windows.

    Attributes
    ----------
    signal : (W, B) float
        Bin integrals of a unit yield.
    background : (W, K, B) float
        Bin integrals of the background's terms.
    terms : (W,) int
        Terms that each window uses.
    core : (W, B) bool
        Bins within two resolutions of the mass.
    """

    signal: Floats
    background: Floats
    terms: NDArray[np.int64]
    core: NDArray[np.bool_]


def window_model(
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    nonlinear: Mapping[str, Floats],
) -> WindowModel:
    """Integrate signal and background over the bins of a block of windows.

    Parameters
    ----------
    block : slice
        Windows of the grid.
    parameters : mapping
        The model configuration.
    nonlinear : mapping of (W,) float
        Non-linear parameters of the background, see `nonlinear_start`.
    """
    indices = grid.edge_indices(block)
    mass, resolution = grid.mass[block], grid.resolution[block]
    edges_mass = grid.edges_mass[indices]
    extra = signal_parameters(search, mass, resolution, parameters)
    signal = shapes.signal_integrals(search.signal.shape, edges_mass, mass, resolution, extra)
    known = {**background_constants(search, grid, mass), **nonlinear}
    background, terms = background_terms(search, grid.edges[indices], mass, known)
    return WindowModel(signal, background, terms, core(edges_mass, mass, resolution))


def vetoed(search: Search, mass: Floats) -> NDArray[np.bool_]:
    """Mark the masses (W,) [GeV] that the search leaves out."""
    inside = np.zeros(mass.shape, dtype=np.bool_)
    for veto in search.vetoes:
        for low, high in veto.intervals(search.signal.resolution):
            inside |= (mass >= low) & (mass <= high)
    return inside


def signal_parameters(
    search: Search, mass: Floats, resolution: Floats, parameters: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the parameters of the signal's shape at masses [GeV], (W,) each; a width is in resolutions."""
    signal = search.signal
    found = {name: function(mass, **parameters) for name, function in signal.parameters.items()}
    if signal.width is not None:
        found["width"] = signal.width(mass, **parameters) / resolution
    return found


def nonlinear_start(search: Search, grid: WindowGrid, block: slice, counts: Floats) -> dict[str, Floats]:
    """Return the background's non-linear parameters as fitted to all events of each window, (W,) each.

    They are what the background's density is linearised around; empty for polynomials.
    """
    constants = background_constants(search, grid, grid.mass[block])
    edges = grid.edges[grid.edge_indices(block)]
    return shapes.background_start(search.background.shape, edges, counts, constants)


def background_constants(search: Search, grid: WindowGrid, mass: Floats) -> dict[str, Floats]:
    """Return the fixed numbers of the background's shape, (W,) each, in the observable's unit."""
    background = search.background
    region = next(region for region in search.regions if region.name == grid.region)
    peak = expressions.parse(region.peak)
    found: dict[str, Floats] = {}
    for name in ("threshold", "endpoint"):
        stated = getattr(background, name)
        if stated is not None:
            at = np.full(len(mass), stated)
            value = peak.evaluate(constants(search) | window_variables(search, at))
            found[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), at.shape)
    if "power" in shapes.BACKGROUNDS[background.shape].constants:
        power = DEFAULT_POWER if background.power is None else background.power
        found["power"] = np.full(len(mass), power)
    return found


def core(edges_mass: Floats, mass: Floats, resolution: Floats) -> NDArray[np.bool_]:
    """Mark the bins whose centre lies within two resolutions of the mass, (W, B)."""
    centres = 0.5 * (edges_mass[:, 1:] + edges_mass[:, :-1])
    inside: NDArray[np.bool_] = np.abs(centres - mass[:, None]) < CORE * resolution[:, None]
    return inside


def background_terms(
    search: Search, edges: Floats, mass: Floats, parameters: Mapping[str, Floats]
) -> tuple[Floats, NDArray[np.int64]]:
    """Integrate the background's terms over bins, (W, K, B), with the terms that each window uses, (W,).

    Terms of a shape with non-linear parameters are its density and the derivatives of it.
    """
    shape = shapes.BACKGROUNDS[search.background.shape]
    terms = highest_terms(search, mass) if shape.polynomial else np.ones(len(mass), dtype=np.int64)
    integrals = shapes.background_integrals(
        search.background.shape, edges, parameters, terms, derivatives=bool(shape.parameters)
    )
    return integrals, terms * (1 + len(shape.parameters))


def highest_terms(search: Search, mass: Floats) -> NDArray[np.int64]:
    """Return the terms of the background's stated order at masses (W,); a choice takes at most these."""
    return np.asarray(search.background.order_at(mass), dtype=np.int64) + 1


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


def check_runnable(search: Search) -> None:
    """Refuse a definition that says more than the engine runs, naming what.

    Raises
    ------
    InputError
        Naming the part of the definition and what is possible instead.
    """
    beyond = {
        f"{len(search.channels)} channels (one is possible)": len(search.channels) != 1,
        f"{len(search.scan)} scan axes (one is possible)": len(search.scan) != 1,
        "decays in flight": bool(search.decays),
        f"windows of shape {search.window.shape}": search.window.shape != "interval",
        "explicit binning": bool(search.window.binning),
        "vetoes of candidates": any(channel.vetoes for channel in search.channels.values()),
        "an unbinned likelihood": search.method.likelihood != "binned",
        f"limits by {search.method.limit}": search.method.limit not in METHODS,
        f"published counts instead of events ({search.inputs})": search.inputs != "events",
        f"signal shape {search.signal.shape!r}": search.signal.shape not in shapes.SIGNALS,
        f"background shape {search.background.shape!r}": search.background.shape not in shapes.BACKGROUNDS,
        f"the order of a background of shape {search.background.shape!r} by {search.background.choose}": (
            search.background.choose != "fixed" and search.background.shape not in ("chebyshev", "linear")
        ),
    }
    wanted = [text for text, found in beyond.items() if found]
    if wanted:
        raise InputError(
            f"search {search.name!r} wants {', '.join(wanted)}: this version scans one mass axis of events"
        )
