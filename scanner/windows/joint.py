"""The channels of a search in a block of windows: what share of the signal each holds, and their sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.windows.axes import outer_axes
from scanner.windows.channels import rate, rate_error, views
from scanner.windows.filled import template_model
from scanner.windows.grid import WindowGrid
from scanner.windows.templates import WindowModel, nonlinear_start, window_model
from scanner.windows.vetoes import vetoed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """One channel in a block of windows.

    Attributes
    ----------
    name : str
    search : Search
        A search of this channel alone.
    grid : WindowGrid
        Its windows, at the masses of the whole search.
    rate : (W,) float
        Efficiency times branching fraction; 0 where the channel leaves the mass out.
    weight : (W,) float
        What the signal is shared by: the rate, or 1 in every channel where none of them sees a signal. The
        yield is limited there all the same, and any rate is possible.
    """

    name: str
    search: Search
    grid: WindowGrid
    rate: Floats
    weight: Floats

    @property
    def on(self) -> Flags:
        """Whether the channel has a share of the signal in each window, (W,); if not, it is left out."""
        return np.asarray(self.weight > 0.0)


def parts(
    search: Search, grid: WindowGrid, block: slice, parameters: Mapping[str, float]
) -> tuple[Part, ...]:
    """Return the channels in a block of windows.

    Raises
    ------
    InputError
        If a mass is searched and no channel sees a signal of it, whatever the lifetime.
    """
    found = rates(search, grid, block, parameters)
    blind = total_rate(found) <= 0.0
    if blind.any() and not outer_axes(search):
        mass = grid.mass[block][blind][0]
        raise InputError(f"no channel has an efficiency at {mass:g} GeV: leave this mass out")
    return found


def rates(
    search: Search, grid: WindowGrid, block: slice, parameters: Mapping[str, float]
) -> tuple[Part, ...]:
    """Return the channels in a block of windows, whether any of them sees a signal or not."""
    mass = grid.mass[block]
    everywhere, singles = vetoed(search, mass), views(search)
    found = {name: channel_rate(single, mass, parameters, everywhere) for name, single in singles.items()}
    blind = np.sum(list(found.values()), axis=0) <= 0.0
    return tuple(
        Part(name, single, grid.channels.get(name, grid), found[name], np.where(blind, 1.0, found[name]))
        for name, single in singles.items()
    )


def channel_rate(single: Search, mass: Floats, parameters: Mapping[str, Any], everywhere: Flags) -> Floats:
    """Return the rate of a channel, 0 where its vetoes leave out a mass that another channel searches."""
    found: Floats = np.where(vetoed(single, mass) & ~everywhere, 0.0, rate(single, mass, parameters))
    return found


def total_rate(found: Sequence[Part]) -> Floats:
    """Return the efficiency times branching fraction of all channels together, (W,)."""
    total: Floats = np.sum([part.rate for part in found], axis=0)
    return total


def efficiency_error(
    found: Sequence[Part], mass: Floats, parameters: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the error of the total rate from the size of simulated signals, (W,), if any channel has one."""
    errors = [rate_error(part.search, mass, parameters) for part in found]
    known = [np.where(part.on, e, 0.0) for part, e in zip(found, errors, strict=True) if e is not None]
    return {"efficiency_error": np.sqrt(np.sum(np.square(known), axis=0))} if known else {}


def signal_shares(found: Sequence[Part]) -> Floats:
    """Return the part of the signal in each of C channels, (W, C)."""
    weights = np.stack([part.weight for part in found], axis=1)
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class BlockModel:
    """What is expected in a block of windows.

    Attributes
    ----------
    parts : tuple of Part
        The channels.
    models : tuple of WindowModel
        Each channel by itself, of a signal of one event in it.
    nonlinear : tuple of mappings of (W,) float
        Non-linear parameters of each channel's background that it is expected at.
    model : WindowModel
        All channels together, of a signal of one event in all of them.
    """

    parts: tuple[Part, ...]
    models: tuple[WindowModel, ...]
    nonlinear: tuple[dict[str, Floats], ...]
    model: WindowModel


def block_model(
    search: Search, grid: WindowGrid, counts: Floats, block: slice, parameters: Mapping[str, float]
) -> BlockModel:
    """Return the templates of a block of windows, linearised around what its counts (W, B) say."""
    found = parts(search, grid, block, parameters)
    ends = np.cumsum([0, *(part.grid.bins for part in found)])
    models: list[WindowModel] = []
    bends: list[dict[str, Floats]] = []
    for number, part in enumerate(found):
        own = counts[:, ends[number] : ends[number + 1]]
        if part.grid.templates is not None:
            bends.append({})
            models.append(template_model(part.grid.templates, block))
            continue
        bends.append(nonlinear_start(part.search, part.grid, block, own))
        models.append(window_model(part.search, part.grid, block, parameters, bends[-1]))
    return BlockModel(found, tuple(models), tuple(bends), join(found, models))


def join(found: Sequence[Part], models: Sequence[WindowModel]) -> WindowModel:
    """Put the templates of channels on one axis, bins after bins, each with its share of the signal.

    Background terms and known peaks are each channel's own. A channel without a signal in a window has no
    part in it: no terms, and no bin that is fitted.
    """
    if len(models) == 1:
        return models[0]
    shares = signal_shares(found)
    on = np.stack([part.on for part in found], axis=1)
    terms = np.where(on, np.stack([model.terms for model in models], axis=1), 0)
    before = np.cumsum(terms, axis=1) - terms
    bins = [model.signal.shape[1] for model in models]
    return WindowModel(
        np.concatenate([shares[:, c, None] * model.signal for c, model in enumerate(models)], axis=1),
        _stack_terms(models, terms, before),
        terms.sum(axis=1),
        np.concatenate([model.core | ~on[:, c, None] for c, model in enumerate(models)], axis=1),
        np.concatenate(
            [
                np.where((model.peaks >= 0) & on[:, c, None], model.peaks + before[:, c, None], -1)
                for c, model in enumerate(models)
            ],
            axis=1,
        ),
        _stack_fixed(models, on),
        np.concatenate([model.live & on[:, c, None] for c, model in enumerate(models)], axis=1),
        shares,
        tuple(int(start) for start in np.cumsum([0, *bins[:-1]])),
        _stack_statistics(models),
    )


def _stack_statistics(models: Sequence[WindowModel]) -> Floats:
    if not any(model.statistics.size for model in models):
        return np.empty((0, 0))
    each = [m.statistics if m.statistics.size else np.zeros_like(m.signal) for m in models]
    return np.concatenate(each, axis=1)


def _stack_terms(models: Sequence[WindowModel], terms: Integers, before: Integers) -> Floats:
    """Put the terms of channels one after the other, (W, K, B), each in the bins of its channel."""
    bins = sum(model.signal.shape[1] for model in models)
    stacked = np.zeros((len(terms), int(terms.sum(axis=1).max(initial=0)), bins))
    start = 0
    for c, model in enumerate(models):
        stop = start + model.signal.shape[1]
        for k in range(model.background.shape[1]):
            rows = np.flatnonzero(terms[:, c] > k)
            stacked[rows, before[rows, c] + k, start:stop] = model.background[rows, k]
        start = stop
    return stacked


def _stack_fixed(models: Sequence[WindowModel], on: Flags) -> Floats:
    bins = [model.signal.shape[1] for model in models]
    stacked = np.zeros((len(on), sum(model.fixed.shape[1] for model in models), sum(bins)))
    sample = start = 0
    for c, model in enumerate(models):
        samples = model.fixed.shape[1]
        place = np.s_[:, sample : sample + samples, start : start + bins[c]]
        stacked[place] = model.fixed * on[:, c, None, None]
        sample, start = sample + samples, start + bins[c]
    return stacked
