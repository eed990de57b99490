"""What is expected in the bins of a block of windows: signal, background terms and known peaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner import expressions, shapes
from scanner.definition import Search
from scanner.reading.variables import constants, region_of, window_variables
from scanner.schema.densities import DEFAULT_POWER, Peak
from scanner.windows.coordinates import shape_edges
from scanner.windows.grid import WindowGrid
from scanner.windows.vetoes import live_bins

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

CORE = 2.0
"""Half width, in resolutions, of the core of a window, where the signal is."""
PEAK_REACH = 5.0
"""Resolutions on either side of a known peak that do not tell the background's non-linear parameters."""
VISIBLE = 1e-3
"""Share of a free peak that a window must hold for the peak to be fitted in it."""


@dataclass(frozen=True)
class WindowModel:
    """What is expected in the bins of a block of windows.

    Attributes
    ----------
    signal : (W, B) float
        Bin integrals of a unit yield.
    background : (W, K, B) float
        Bin integrals of the background's terms, and after them those of the peaks with a free yield
        that a window holds.
    terms : (W,) int
        Terms that each window uses.
    core : (W, B) bool
        Bins within two resolutions of the mass, and those that are left out of the fits: neither kind
        tells a counting experiment what the background is.
    peaks : (W, P) int
        Which term of a window is a peak of free yield, in the order of the definition; -1 for none.
    fixed : (W, F, B) float
        Expected events of the peaks with a known yield.
    live : (W, B) bool
        Bins that are fitted: no veto overlaps with them.
    shares : (W, C) float
        Part of the signal that each of C channels holds; their bins follow one another.
    starts : tuple of int
        First bin of each channel.
    statistics : (W, B) float
        Relative error of the background from the size of the samples that templates are filled from; empty
        without templates.
    """

    signal: Floats
    background: Floats
    terms: Integers
    core: Flags
    peaks: Integers
    fixed: Floats
    live: Flags
    shares: Floats
    starts: tuple[int, ...] = (0,)
    statistics: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def spans(self) -> tuple[slice, ...]:
        """Bins of each channel."""
        ends = (*self.starts[1:], self.signal.shape[1])
        return tuple(slice(*ends) for ends in zip(self.starts, ends, strict=True))


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
    mass, resolution, edges_mass = grid.mass[block], grid.resolution[block], grid.edges_mass[indices]
    signal = signal_templates(search, grid, block, parameters)
    known = {**background_constants(search, grid, mass), **nonlinear}
    background, terms = background_terms(search, grid.edges[indices], mass, known)
    live = live_bins(search, edges_mass, mass)
    free, fixed = (
        peak_templates(search, grid, block, parameters, live, constrained=kind) for kind in (False, True)
    )
    if not live.all():
        signal, background = signal * live, background * live[:, None]
    background, terms, peaks = _append(background, terms, free)
    inside = core(shape_edges(search, grid, block, mass), mass, resolution) | ~live
    whole = np.ones((len(mass), 1))
    return WindowModel(signal, background, terms, inside, peaks, fixed, live, whole)


def signal_templates(
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    *,
    mass_scale: Floats | float = 1.0,
    resolution_scale: Floats | float = 1.0,
    width_scale: Floats | float = 1.0,
) -> Floats:
    """Integrate a unit signal over the bins of a block of windows, (W, B).

    Parameters
    ----------
    mass_scale, resolution_scale : (W,) float or float
        Factors on the position of the peak and on its resolution; a natural width stays as it is.
    width_scale : (W,) float or float
        Factor on the natural width.
    """
    mass = grid.mass[block]
    resolution = grid.resolution[block] * resolution_scale
    extra = signal_parameters(search, mass, resolution, parameters)
    if "width" in extra:
        extra["width"] = extra["width"] * width_scale
    edges = shape_edges(search, grid, block, mass)
    return shapes.signal_integrals(search.signal.shape, edges, mass * mass_scale, resolution, extra)


def signal_parameters(
    search: Search, mass: Floats, resolution: Floats, parameters: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the parameters of the signal's shape at masses [GeV], (W,) each; a width is in resolutions."""
    signal = search.signal
    found = {name: function(mass, **parameters) for name, function in signal.parameters.items()}
    if signal.width is not None:
        found["width"] = signal.width(mass, **parameters) / resolution
    return found


def peak_templates(
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    live: Flags,
    *,
    constrained: bool,
) -> Floats:
    """Integrate the known peaks over the bins of a block of windows, (W, P, B).

    Parameters
    ----------
    live : (W, B) bool
        Bins that are fitted.
    constrained : bool
        Whether the peaks with a known yield are due, normalised to it, or those with a free one,
        normalised to one event.
    """
    known = [p for p in search.background.peaks.values() if (p.expected is not None) == constrained]
    found = np.zeros((len(live), len(known), live.shape[1]))
    for number, peak in enumerate(known):
        scale = 1.0 if peak.expected is None else peak.expected
        shape, mass, resolution, extra = peak_shape(search, peak, len(live), parameters)
        edges = shape_edges(search, grid, block, mass)
        found[:, number] = scale * live * shapes.signal_integrals(shape, edges, mass, resolution, extra)
    return found


def peak_shape(
    search: Search, peak: Peak, windows: int, parameters: Mapping[str, float]
) -> tuple[str, Floats, Floats, dict[str, Floats]]:
    """Return shape, position, resolution [GeV] and parameters of one peak in some windows, (W,) each.

    What it does not state about its shape is that of a signal of its mass.
    """
    own = peak.shape is not None
    signal, mass = search.signal, np.full(windows, peak.at)
    resolution = np.full(windows, _peak_resolution(search, peak))
    functions, width = (peak.parameters, peak.width) if own else (signal.parameters, signal.width)
    extra = {name: function(mass, **parameters) for name, function in functions.items()}
    if width is not None:
        extra["width"] = width(mass, **parameters) / resolution
    return peak.shape or signal.shape, mass, resolution, extra


def _peak_resolution(search: Search, peak: Peak) -> float:
    return float((peak.resolution or search.signal.resolution)(peak.at))


def _append(background: Floats, terms: Integers, free: Floats) -> tuple[Floats, Integers, Integers]:
    """Put the peaks that a window holds after its other terms; return terms, their number and places."""
    windows, most, bins = background.shape
    places = np.full((windows, free.shape[1]), -1, dtype=np.int64)
    if not free.shape[1]:
        return background, terms, places
    visible = free.sum(axis=2) > VISIBLE
    total = terms + visible.sum(axis=1)
    places[visible] = (terms[:, None] + np.cumsum(visible, axis=1) - 1)[visible]
    packed = np.zeros((windows, max(most, int(total.max())), bins))
    packed[:, :most] = background
    rows, which = np.nonzero(visible)
    packed[rows, places[rows, which]] = free[rows, which]
    return packed, total, places


def nonlinear_start(search: Search, grid: WindowGrid, block: slice, counts: Floats) -> dict[str, Floats]:
    """Return the background's non-linear parameters as fitted to all events of each window, (W,) each.

    They are what the background's density is linearised around; empty for polynomials. Bins of vetoes
    and of known peaks do not take part.
    """
    mass, indices = grid.mass[block], grid.edge_indices(block)
    edges_mass = grid.edges_mass[indices]
    smooth = live_bins(search, edges_mass, mass)
    for peak in search.background.peaks.values():
        reach = PEAK_REACH * _peak_resolution(search, peak)
        smooth &= (edges_mass[:, :-1] >= peak.at + reach) | (edges_mass[:, 1:] <= peak.at - reach)
    known = background_constants(search, grid, mass)
    return shapes.background_start(search.background.shape, grid.edges[indices], counts, known, smooth)


def background_constants(search: Search, grid: WindowGrid, mass: Floats) -> dict[str, Floats]:
    """Return the fixed numbers of the background's shape, (W,) each, in the observable's unit."""
    background = search.background
    peak = expressions.parse(region_of(search, grid).peak)
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


def background_terms(
    search: Search, edges: Floats, mass: Floats, parameters: Mapping[str, Floats]
) -> tuple[Floats, Integers]:
    """Integrate the background's terms over bins, (W, K, B), with the terms that each window uses, (W,).

    Terms of a shape with non-linear parameters are its density and the derivatives of it.
    """
    shape = shapes.BACKGROUNDS[search.background.shape]
    terms = highest_terms(search, mass) if shape.polynomial else np.ones(len(mass), dtype=np.int64)
    integrals = shapes.background_integrals(
        search.background.shape, edges, parameters, terms, derivatives=bool(shape.parameters)
    )
    return integrals, terms * (1 + len(shape.parameters))


def highest_terms(search: Search, mass: Floats) -> Integers:
    """Return the terms of the background's stated order at masses (W,); a choice takes at most these."""
    return np.asarray(search.background.order_at(mass), dtype=np.int64) + 1


def core(edges_mass: Floats, mass: Floats, resolution: Floats) -> Flags:
    """Mark the bins whose centre lies within two resolutions of the mass, (W, B)."""
    centres = 0.5 * (edges_mass[:, 1:] + edges_mass[:, :-1])
    inside: Flags = np.abs(centres - mass[:, None]) < CORE * resolution[:, None]
    return inside
