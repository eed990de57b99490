"""Unbinned likelihoods of several channels with one signal, and the nuisances of what is not free in them.

Channel c expects s f_c of the signal, f its share, with events, densities and background terms of its own.
Nuisances scale the signal, bend its shape, add to it, or scale peaks of a known yield. The joint NLL is the
sum of the channels' own and of ½ (α − a)² for every nuisance.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.kernels.unbinned.densities import TABULATED
from scanner.kernels.unbinned.loading import Given
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.unbinned import POINTS_AT_ONCE, UnbinnedProblem

NUISANCE_ARRAYS = ("logs", "factors", "added", "centres", "known")


@dataclass(frozen=True)
class SignalNuisances:
    """What J nuisances do to the signals and known peaks of C channels in W windows.

    Parameters
    ----------
    names : tuple of str
    logs : (W, J, C) float
        Logarithm of the factor at one standard deviation of log-normal ones.
    factors : (W, J, C) float
        Relative change at one standard deviation of normal ones.
    added : (W, J, C, 2) float
        Events of a spurious signal at −1 and at +1.
    centres : (W, J) float, optional
        Global observables, 0 by default.
    bends : tuple of int, optional
        Nuisances of the signal's shape. After the signal, channels hold two densities for each: with the
        change L at −1 and U at +1, (U − L)/2 and U + L.
    known : (W, J, C, F) float, optional
        Logarithm of the factor of each known peak at one standard deviation. Their densities, of the stated
        yields, follow those of the bends.
    """

    names: tuple[str, ...]
    logs: Floats
    factors: Floats
    added: Floats
    centres: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bends: tuple[int, ...] = ()
    known: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        """Set the global observables where they are not given."""
        if self.centres.size == 0:
            object.__setattr__(self, "centres", np.zeros(self.logs.shape[:2]))
        if self.known.ndim != 4:
            object.__setattr__(self, "known", np.zeros((*self.logs.shape, 0)))

    def select(self, windows: NDArray[Any]) -> "SignalNuisances":
        """Return those of some windows only, by a mask or by indices."""
        arrays = {name: getattr(self, name)[windows] for name in NUISANCE_ARRAYS}
        return replace(self, **arrays)

    @property
    def effects(self) -> Floats:
        """All effects as kernels take them, (W, 4, J, C)."""
        return np.stack([self.logs, self.factors, self.added[..., 0], self.added[..., 1]], axis=1)


@dataclass(frozen=True)
class SimultaneousProblem:
    """W windows in C channels.

    Parameters
    ----------
    channels : tuple of UnbinnedProblem
        Each channel with a signal of one event in it.
    shares : (W, C) float
        Part of the signal in each channel; one without any has no part in the window.
    nuisances : SignalNuisances, optional

    Raises
    ------
    InputError
        If numbers of windows differ, or a channel has no background term.
    """

    channels: tuple[UnbinnedProblem, ...]
    shares: Floats
    nuisances: SignalNuisances | None = None

    def __post_init__(self) -> None:
        """Check the shapes."""
        windows = {channel.windows for channel in self.channels}
        if windows != {self.shares.shape[0]} or self.shares.shape[1] != len(self.channels):
            raise InputError(f"shares have the shape {self.shares.shape}: one for each window and channel")
        if np.any((self.terms < 1) & (self.shares > 0.0)):
            raise InputError("every channel needs a background term")

    @property
    def windows(self) -> int:
        """Number of windows W."""
        return int(self.shares.shape[0])

    @property
    def keys(self) -> NDArray[np.uint64]:
        """What names a window for ever, (W,)."""
        return self.channels[0].keys

    @property
    def terms(self) -> NDArray[np.int64]:
        """Background terms of each channel, (W, C)."""
        return np.stack([channel.terms for channel in self.channels], axis=1)

    @property
    def held(self) -> NDArray[np.int64]:
        """Rows of each channel that are not free, (C,)."""
        return np.array([channel.held for channel in self.channels], dtype=np.int64)

    def select(self, windows: NDArray[Any]) -> "SimultaneousProblem":
        """Return the problem of some windows only, by a mask or by indices."""
        nuisances = None if self.nuisances is None else self.nuisances.select(windows)
        return SimultaneousProblem(
            tuple(channel.select(windows) for channel in self.channels), self.shares[windows], nuisances
        )

    def integrals(self) -> Floats:
        """Return the integrals of terms and what is held over the live parts of windows, (W, C, K + H)."""
        most = max(channel.most_terms for channel in self.channels)
        found = np.zeros((self.windows, len(self.channels), most + int(self.held.max())))
        for c, channel in enumerate(self.channels):
            own, terms = channel.integrals(), channel.most_terms
            found[:, c, :terms], found[:, c, most : most + channel.held] = own[:, :terms], own[:, terms:]
        return found

    def within(self) -> Floats:
        """Return the part of the whole signal that is in the live parts of the windows, (W,)."""
        signals = self.integrals()[:, :, int(self.terms.max())]
        within: Floats = np.sum(self.shares * signals, axis=1)
        return within

    def runs(self) -> Iterator[slice]:
        """Yield runs of windows whose densities are in memory together."""
        start, points = 0, 0
        tabulated = [channel for channel in self.channels if channel.code == TABULATED]
        for w in range(self.windows):
            size = sum(
                channel.grid_points(w) + int(channel.last[w] - channel.first[w]) for channel in tabulated
            )
            if w > start and points + size > POINTS_AT_ONCE:
                yield slice(start, w)
                start, points = w, 0
            points += size
        yield slice(start, self.windows)

    def given(self, run: slice) -> Given:
        """Return what kernels take of a run of windows."""
        part = self.select(np.arange(self.windows)[run])
        channels = part.channels
        offsets = np.cumsum([0, *(channel.events.size for channel in channels)])[:-1]
        tables, starts = part.tables()
        nuisances = part.nuisances or self._certain(part.windows)
        return (
            np.concatenate([channel.events for channel in channels]),
            np.stack([channel.first + at for channel, at in zip(channels, offsets, strict=True)], axis=1),
            np.stack([channel.last + at for channel, at in zip(channels, offsets, strict=True)], axis=1),
            np.stack([np.stack([channel.low, channel.high], axis=1) for channel in channels], axis=1),
            _padded([channel.pieces for channel in channels]),
            np.array([channel.code for channel in channels], dtype=np.int64),
            _padded([channel.rows() for channel in channels]),
            np.ascontiguousarray(part.terms),
            part.integrals(),
            tables,
            starts,
            np.ascontiguousarray(part.shares),
            nuisances.effects,
            nuisances.centres,
            self.held,
            np.array(nuisances.bends, dtype=np.int64),
            np.ascontiguousarray(nuisances.known),
        )

    def _certain(self, windows: int) -> SignalNuisances:
        """Return no nuisances; what channels hold beside the signal are then known peaks."""
        none = np.zeros((windows, 0, len(self.channels)))
        known = np.zeros((*none.shape, int(self.held.max()) - 1))
        return SignalNuisances((), none, none, none[..., None] * np.zeros(2), known=known)

    def tables(self) -> tuple[Floats, NDArray[np.int64]]:
        """Return the densities at the points of tabulated channels, and where each begins, (W, C)."""
        starts = np.zeros((self.windows, len(self.channels)), dtype=np.int64)
        most = max(channel.most_terms for channel in self.channels) + int(self.held.max())
        pieces, at = [np.empty((most, 0))], 0
        for c, channel in enumerate(self.channels):
            if channel.code != TABULATED:
                continue
            for w in np.flatnonzero(self.shares[:, c] > 0.0):
                table = channel.table(int(w))
                short = most - table.shape[0]
                pieces.append(np.pad(table, ((0, short), (0, 0))) if short else table)
                starts[w, c] = at
                at += table.shape[1]
        return np.concatenate(pieces, axis=1), starts


def _padded(arrays: list[Floats]) -> Floats:
    """Stack arrays (W, n, …) of different n as (W, C, n, …), NaN beyond."""
    most = max(array.shape[1] for array in arrays)
    wide = [
        np.pad(
            array,
            ((0, 0), (0, most - array.shape[1]), *[(0, 0)] * (array.ndim - 2)),
            constant_values=np.nan,
        )
        for array in arrays
    ]
    return np.ascontiguousarray(np.stack(wide, axis=1))
