"""What is expected at the candidates of a block of windows: the unbinned likelihood of a search.

The densities are those whose bin integrals `scanner.windows.templates` gives. Nuisances of the signal's shape
interpolate them vertically, as they do bins.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.likelihoods.tabulated import Densities, Tables
from scanner.likelihoods.unbinned import IN_KERNELS, UnbinnedProblem
from scanner.windows.densities import Observable, Shape, WindowDensities
from scanner.windows.grid import WindowGrid
from scanner.windows.joint import BlockModel
from scanner.windows.signal_nuisances import Change, shape_changes, signal_nuisances
from scanner.windows.templates import WindowModel, background_constants, signal_parameters, signal_templates

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
    changes, model = shape_changes(search, expected.parts, block, parameters), expected.model
    channels = tuple(
        unbinned_problem(
            part.search, part.grid, block, values, own, nonlinear, parameters,
            binned.terms if single else own.terms, binned.keys, tables, part.name,
            [[change for change in bend if change.acts[c]] for bend in changes.values()],
        )
        for c, (part, values, own, nonlinear) in enumerate(
            zip(expected.parts, candidates, expected.models, expected.nonlinear, strict=True)
        )
    )  # fmt: skip
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
    bends: Sequence[Sequence[Change]] = (),
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
    bends : sequence of sequences of Change, optional
        What each nuisance of the signal's shape changes.
    """
    indices = grid.edge_indices(block)
    pieces = live_pieces(grid.edges[indices], model.live)
    low, high = grid.edges[indices[:, 0]], grid.edges[indices[:, -1]]
    first, last = np.searchsorted(values, low), np.searchsorted(values, high)
    signal = signal_shape(search, grid, block, parameters)
    if _by_name(search, grid) and not any(bends):
        return UnbinnedProblem(
            values, first, last, low, high, signal.mass, signal.resolution, terms, keys=keys, pieces=pieces,
            signal=search.signal.shape, parameters=signal.parameters, background=search.background.shape,
        )  # fmt: skip
    observable = Observable(search, grid)
    known = {**background_constants(search, grid, signal.mass), **nonlinear}
    shaped = [_bent(search, grid, block, parameters, bend) for bend in bends]
    densities = WindowDensities(
        search, observable, low, high, signal, shaped, known, parameters, model.peaks, terms
    )
    integrals = np.concatenate(
        [
            model.background.sum(axis=2)[:, : int(terms.max(initial=0))],
            held_integrals(search, grid, block, parameters, model, bends),
        ],
        axis=1,
    )
    place, slope = observable.at(signal.mass)
    name = densities.name(channel, pieces)
    return UnbinnedProblem(
        values, first, last, low, high, place, signal.resolution * slope, terms,
        densities=Densities(integrals, densities, name, densities.held, tables), keys=keys, pieces=pieces,
    )  # fmt: skip


def _by_name(search: Search, grid: WindowGrid) -> bool:
    """Whether kernels evaluate the densities: the observable is the mass, and the shapes are theirs."""
    background = search.background
    plain = background.shape in ("chebyshev", "linear") and not background.peaks
    return plain and search.signal.shape in IN_KERNELS and np.array_equal(grid.edges, grid.edges_mass)


def signal_shape(
    search: Search, grid: WindowGrid, block: slice, parameters: Mapping[str, float], **scales: Floats
) -> Shape:
    """Return the signal of a block of windows, scaled as `signal_templates` does."""
    mass = grid.mass[block]
    resolution = grid.resolution[block] * scales.get("resolution_scale", 1.0)
    extra = signal_parameters(search, mass, resolution, parameters)
    return Shape(mass * scales.get("mass_scale", 1.0), resolution, extra)


def _bent(
    search: Search, grid: WindowGrid, block: slice, parameters: Mapping[str, float], changes: Sequence[Change]
) -> list[tuple[Shape, Shape]]:
    return [
        (
            signal_shape(search, grid, block, parameters, **{change.scaled: change.low}),
            signal_shape(search, grid, block, parameters, **{change.scaled: change.high}),
        )
        for change in changes
    ]


def held_integrals(
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
    bends: Sequence[Sequence[Change]],
) -> Floats:
    """Return the integrals (W, H) of signal, bends and known peaks over the live parts of windows."""
    signal = model.signal.sum(axis=1)
    columns = [signal]
    for changes in bends:
        low, high = np.zeros_like(signal), np.zeros_like(signal)
        for change in changes:
            below, above = (
                signal_templates(search, grid, block, parameters, **{change.scaled: factor})
                for factor in (change.low, change.high)
            )
            low += (model.live * below).sum(axis=1) - signal
            high += (model.live * above).sum(axis=1) - signal
        columns += [0.5 * (high - low), high + low]
    return np.concatenate([np.stack(columns, axis=1), model.fixed.sum(axis=2)], axis=1)
