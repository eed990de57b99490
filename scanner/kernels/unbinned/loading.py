"""What is known of windows whose channels share one signal, and its way into the arrays of a fit."""

from scanner.kernels import jit
from scanner.kernels.algebra import Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.workspace import cut, tiled
from scanner.kernels.unbinned.channel import (
    CELLS,
    EVENTS,
    GRID,
    ROWS,
    TERMS,
    WIDTH,
    State,
    allocate_channels,
    begin_channel,
)
from scanner.kernels.unbinned.densities import TABULATED, fill_templates
from scanner.kernels.unbinned.pieces import is_live, measure_pieces, place_pieces
from scanner.kernels.unbinned.points import POSITION
from scanner.kernels.unbinned.signals import ALPHA, CENTRE, Model, allocate_model
from scanner.kernels.unbinned.window import MASS, RESOLUTION

Given = tuple[
    Floats,
    Integers,
    Integers,
    Floats,
    Floats,
    Integers,
    Floats,
    Integers,
    Floats,
    Floats,
    Integers,
    Floats,
    Floats,
    Floats,
    Integers,
    Integers,
    Floats,
]
"""What is known of W windows of C channels: events (N,) of all channels; first and last (W, C); ends
(W, C, 2) and live pieces (W, C, L, 2), the rest NaN; signals (C,); parameters (W, C, P); terms (W, C);
integrals (W, C, K + H), of what is held after all terms; tables (K + H, ΣP) and where in them a channel
begins (W, C); shares (W, C); effects (W, 4, J, C) and centres (W, J); how many rows each channel holds (C,),
the nuisances of the bends (M,) and κ (W, J, C, F) of the known peaks."""


@jit
def allocate_window(given: Given) -> tuple[State, Model]:
    """Return the arrays of the largest window."""
    first, last, pieces, parameters, terms = given[1], given[2], given[4], given[6], given[7]
    shares, effects, held, bends, known = given[11], given[12], given[14], given[15], given[16]
    grid = most = 1
    for w in range(first.shape[0]):
        for c in range(first.shape[1]):
            grid = max(grid, measure_pieces(pieces[w, c], parameters[w, c, RESOLUTION])[1])
            most = max(most, last[w, c] - first[w, c])
    largest = terms.max() if terms.size > 0 else 1
    channels = shares.shape[1]
    state = allocate_channels(channels, largest, held.max(), grid, most)
    return state, allocate_model(channels, effects.shape[2], bends, known.shape[3])


@jit
def load_channels(given: Given, w: int, state: State, model: Model) -> None:
    """Set grids, events, integrals and signals of a window, and start its channels."""
    shares, effects, centres = given[11], given[12], given[13]
    model[0][:] = shares[w]
    model[1][:] = effects[w]
    model[6][:] = given[16][w]
    model[2][:] = 0.0
    model[2][CENTRE] = centres[w]
    model[2][ALPHA] = centres[w]
    for c in range(shares.shape[1]):
        if shares[w, c] > 0.0:
            _load_grid(given, w, c, state)
            _load_events(given, w, c, state)
            begin_channel(state, c)


@jit
def _load_grid(given: Given, w: int, c: int, state: State) -> None:
    pieces, parameters = given[4], given[6]
    sizes, grids, places, widths = state[0], state[1], state[2], state[3]
    integrals, numbers = state[9], state[11]
    size, resolution = given[7][w, c], parameters[w, c, RESOLUTION]
    held = given[14][c]
    sizes[c, TERMS], sizes[c, ROWS] = size, size + held
    sizes[c, CELLS], sizes[c, GRID] = measure_pieces(pieces[w, c], resolution)
    points = cut(places[c], sizes[c, GRID])
    place_pieces(points[POSITION], widths[c], pieces[w, c], resolution, parameters[w, c, MASS])
    templates = cut(grids[c][: tiled(size + held)], sizes[c, GRID])
    _fill(given, w, c, templates, points[POSITION], 0)
    integrals[c] = 0.0
    integrals[c, :size] = given[8][w, c, :size]
    most = given[8].shape[2] - given[14].max()
    integrals[c, size : size + held] = given[8][w, c, most : most + held]
    numbers[c, WIDTH] = widths[c, : sizes[c, CELLS]].sum()


@lean
def _fill(given: Given, w: int, c: int, templates: Floats, x: Floats, skip: int) -> None:
    """Set the templates at some points, `skip` places after the beginning of the table of a channel."""
    ends, signals, parameters, tables, starts = given[3], given[5], given[6], given[9], given[10]
    size, held = given[7][w, c], given[14][c]
    if signals[c] != TABULATED:
        fill_templates(templates, x, size, signals[c], parameters[w, c], ends[w, c, 0], ends[w, c, 1])
        return
    at = starts[w, c] + skip
    for j in range(templates.shape[0]):
        for i in range(x.size):
            templates[j, i] = tables[j, at + i] if j < size + held else 0.0


@jit
def _load_events(given: Given, w: int, c: int, state: State) -> None:
    """Copy the events in the live pieces of a channel."""
    events, first, last, pieces = given[0], given[1], given[2], given[4]
    sizes, points = state[0], state[6]
    x = points[c].reshape(points[c].size)
    kept = 0
    for i in range(first[w, c], last[w, c]):
        if is_live(events[i], pieces[w, c]):
            x[kept] = events[i]
            kept += 1
    sizes[c, EVENTS] = kept
    templates = cut(state[4][c][: tiled(sizes[c, ROWS])], kept)
    _fill(given, w, c, templates, x[:kept], sizes[c, GRID])
