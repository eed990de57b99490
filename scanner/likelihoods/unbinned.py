"""The unbinned extended likelihood of a batch of mass windows, and its fit.

All windows share the sorted events of a region, of which each takes a run. A window expects the density
ν(x) = s S(x) + Σ_k c_k B_k(x), and

    NLL = s I_S + Σ_k c_k I_k − Σ_i ln ν(x_i),        I the integrals over the window,

which is convex in the yield s and the coefficients c. They are free as far as ν(x) ≥ 0 at the events and
on a grid of eight points a resolution with the ends of the window and the mass; without events between
them the density would otherwise turn negative there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner import shapes
from scanner.errors import InputError
from scanner.kernels.unbinned import densities as codes
from scanner.kernels.unbinned.pieces import is_live, measure_pieces, place_pieces
from scanner.kernels.unbinned.window import fit_unbinned_windows
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.fit import Fit
from scanner.likelihoods.tabulated import Densities
from scanner.shapes.backgrounds import find_background
from scanner.shapes.signals import find_signal

Integers = NDArray[np.int64]

IN_KERNELS = {
    "gaussian": codes.GAUSSIAN,
    "double_gaussian": codes.DOUBLE_GAUSSIAN,
    "crystal_ball": codes.CRYSTAL_BALL,
}
"""Signals that kernels evaluate, over Chebyshev polynomials; others are tabulated by `scanner.shapes`."""
POINTS_AT_ONCE = 1 << 21
"""Points at which densities are tabulated at a time, for the sake of memory."""


@dataclass(frozen=True)
class UnbinnedProblem:
    """Sorted events of a region, and W windows on them with up to K background terms.

    Parameters
    ----------
    events : (N,) float
        Values of the observable, not falling.
    first, last : (W,) int
        Run of events of each window; windows may overlap.
    low, high : (W,) float
        Ends of each window, in the unit of the observable.
    mass, resolution : (W,) float
        Position and width of the signal, in the unit of the observable.
    terms : (W,) int
        Background terms that each window uses, counted from the first.
    signal : str
        A key of `scanner.shapes.SIGNALS`.
    parameters : mapping of (W,) float, optional
        Further parameters of the signal.
    background : str
        A key of `scanner.shapes.BACKGROUNDS`; those without a polynomial have one term.
    background_parameters : mapping of (W,) float, optional
        Non-linear parameters and constants of the background; they are held.
    densities : Densities, optional
        In place of the shapes by name, which then say nothing.
    keys : (W,) uint64, optional
        What names a window for ever; default 0 … W−1.
    pieces : (W, L, 2) float, optional
        Live parts of each window where vetoes cut it, rising, NaN after the last; default all of it. Events
        between them do not count.

    Raises
    ------
    InputError
        On wrong shapes, on events that are not sorted or not inside of their window, and on windows
        without width.
    """

    events: Floats
    first: Integers
    last: Integers
    low: Floats
    high: Floats
    mass: Floats
    resolution: Floats
    terms: Integers
    signal: str = "gaussian"
    parameters: Mapping[str, Floats] = field(default_factory=dict)
    background: str = "chebyshev"
    background_parameters: Mapping[str, Floats] = field(default_factory=dict)
    densities: Densities | None = None
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    pieces: Floats = field(default_factory=lambda: np.empty((0, 0, 2)))

    def __post_init__(self) -> None:
        """Bring every array to its type, and check it."""
        windows = np.size(self.first)
        self._set("events", np.ascontiguousarray(self.events, dtype=np.float64))
        for name in ("low", "high", "mass", "resolution"):
            self._set(name, self._by_window(name, getattr(self, name), np.float64, windows))
        for name in ("first", "last", "terms"):
            self._set(name, self._by_window(name, getattr(self, name), np.int64, windows))
        if np.size(self.keys) == 0:
            self._set("keys", np.arange(windows, dtype=np.uint64))
        self._set("keys", self._by_window("keys", self.keys, np.uint64, windows))
        whole = np.stack([self.low, self.high], axis=1)[:, None]
        self._set("pieces", whole if np.size(self.pieces) == 0 else np.asarray(self.pieces, np.float64))
        find_signal(self.signal, self.parameters)
        find_background(self.background, self.background_parameters)
        self._check_windows()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @staticmethod
    def _by_window(name: str, values: Any, kind: Any, windows: int) -> NDArray[Any]:
        array = np.ascontiguousarray(values, dtype=kind)
        if array.shape != (windows,):
            raise InputError(f"{name} has the shape {array.shape}, expected {(windows,)}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{name} is not finite in window {int(np.argmin(np.isfinite(array)))}")
        return array

    def _check_windows(self) -> None:
        if self.events.ndim != 1 or not np.isfinite(self.events).all() or np.any(np.diff(self.events) < 0.0):
            raise InputError("events must be a sorted list of finite numbers")
        bad = ~((self.low < self.high) & (self.resolution > 0.0))
        bad |= ~((self.first >= 0) & (self.first <= self.last) & (self.last <= self.events.size))
        bad |= self.terms < 0
        inside = np.flatnonzero(~bad & (self.first < self.last))
        start, stop = self.events[self.first[inside]], self.events[self.last[inside] - 1]
        bad[inside] |= (start < self.low[inside]) | (stop > self.high[inside])
        if bad.any():
            raise InputError(
                f"window {int(np.argmax(bad))} is not sound: low < high, resolution > 0, terms ≥ 0 and "
                "events within its ends are wanted"
            )

    @property
    def windows(self) -> int:
        """Number of windows W."""
        return int(self.first.size)

    @property
    def most_terms(self) -> int:
        """Largest number of background terms K."""
        return int(self.terms.max(initial=0))

    @property
    def code(self) -> int:
        """How kernels get the densities."""
        ours = self.densities is None and self.background in ("chebyshev", "linear")
        return IN_KERNELS.get(self.signal, codes.TABULATED) if ours else codes.TABULATED

    @property
    def held(self) -> int:
        """Rows of a window that are not free: the signal, and what bends it or is known."""
        return 1 if self.densities is None else self.densities.held

    def select(self, windows: NDArray[Any]) -> "UnbinnedProblem":
        """Return the problem of some windows only, by a mask or by indices."""
        names = ("first", "last", "low", "high", "mass", "resolution", "terms", "pieces")
        chosen = {name: getattr(self, name)[windows] for name in (*names, "keys")}
        return replace(
            self,
            parameters=_choose(self.parameters, windows),
            background_parameters=_choose(self.background_parameters, windows),
            densities=None if self.densities is None else self.densities.select(windows),
            **chosen,
        )

    def rows(self) -> Floats:
        """Return the (W, P) parameters of the signal as kernels take them: mass and resolution first."""
        names = shapes.SIGNALS[self.signal].parameters
        columns = [np.broadcast_to(self.parameters[name], self.first.shape) for name in names]
        return np.ascontiguousarray(np.stack([self.mass, self.resolution, *columns], axis=1))

    def integrals(self) -> Floats:
        """Return the (W, K + H) integrals of background terms and of what is held over the windows."""
        if self.densities is not None:
            found, held = self.densities.integrals, self.densities.held
            return np.concatenate([found[:, : self.most_terms], found[:, found.shape[1] - held :]], axis=1)
        ends = np.where(np.isnan(self.pieces), self.high[:, None, None], self.pieces)
        edges = np.concatenate(
            [self.low[:, None], ends.reshape(self.windows, -1), self.high[:, None]], axis=1
        )
        terms = np.maximum(self.terms, 1)
        background = shapes.background_integrals(self.background, edges, self.background_parameters, terms)
        signal = shapes.signal_integrals(self.signal, edges, self.mass, self.resolution, self.parameters)
        live = np.concatenate([background[:, : self.most_terms], signal[:, None]], axis=1)
        return np.ascontiguousarray(live[:, :, 1::2].sum(axis=2))

    def runs(self) -> Iterator[slice]:
        """Yield runs of windows whose densities are in memory together."""
        start, points = 0, 0
        for w in range(self.windows):
            size = self.grid_points(w) + int(self.last[w] - self.first[w])
            if self.code == codes.TABULATED and w > start and points + size > POINTS_AT_ONCE:
                yield slice(start, w)
                start, points = w, 0
            points += size
        yield slice(start, self.windows)

    def grid_points(self, w: int) -> int:
        """Return how many points the grid of a window has."""
        return int(measure_pieces(self.pieces[w], self.resolution[w])[1])

    def live_events(self, w: int) -> Floats:
        """Return the events in the live pieces of a window."""
        x = self.events[self.first[w] : self.last[w]]
        if not self.is_cut:
            return x
        inside: Floats = x[np.array([is_live(value, self.pieces[w]) for value in x], dtype=np.bool_)]
        return inside

    def live_counts(self) -> Integers:
        """Return the events in the live pieces of the windows, (W,)."""
        if not self.is_cut:
            return self.last - self.first
        return np.array([self.live_events(w).size for w in range(self.windows)], dtype=np.int64)

    @cached_property
    def is_cut(self) -> bool:
        """Whether vetoes leave out a part of any window."""
        first, last = self.pieces[:, 0, 0], np.nanmax(self.pieces[:, :, 1], axis=1, initial=-np.inf)
        whole = np.all(first == self.low) and np.all(last == self.high)
        return bool(self.pieces.shape[1] > 1 or not whole)

    def tables(self, run: slice) -> Floats:
        """Return the (K + 1, ΣP) densities at the points of some windows, empty where kernels evaluate them.

        Rows of a window are its terms, then the signal; columns its grid, then its events.
        """
        if self.code != codes.TABULATED:
            return np.empty((0, 0))
        pieces = [self.table(w) for w in range(self.windows)[run]]
        return np.ascontiguousarray(np.concatenate(pieces, axis=1))

    def table(self, w: int) -> Floats:
        """Return the (K + H, P) densities at the grid and the events of a window."""
        if self.densities is not None:
            return self.densities.table(w, lambda: self.points(w))[: self.most_terms + self.held]
        low, high, mass, resolution = self.low[w], self.high[w], self.mass[w], self.resolution[w]
        used, x = int(self.terms[w]), self.points(w)
        table = np.zeros((self.most_terms + 1, x.size))
        background = _choose(self.background_parameters, w)
        if used > 0:
            norm = shapes.background_norm(self.background, low, high, background)
            table[:used] = shapes.background_density(self.background, x, low, high, background, used, norm)
        extra = _choose(self.parameters, w)
        table[used] = shapes.signal_density(self.signal, x, mass, resolution, extra)
        return table

    def points(self, w: int) -> Floats:
        """Return where the densities of a window are needed: its grid, then its events."""
        grid = np.empty(self.grid_points(w))
        place_pieces(grid, np.empty(grid.size), self.pieces[w], self.resolution[w], self.mass[w])
        return np.concatenate((grid, self.live_events(w)))


def _choose(values: Mapping[str, Floats], windows: Any) -> dict[str, Floats]:
    return {name: np.asarray(array)[windows] for name, array in values.items()}


def fit_unbinned(problem: UnbinnedProblem, fixed_yields: Floats | None = None) -> Fit:
    """Fit yield and background of every window, or the background at fixed yields.

    Parameters
    ----------
    problem : UnbinnedProblem
    fixed_yields : (W,) float, optional
        Signal yields to hold; NaN leaves a window's yield free.

    Returns
    -------
    Fit
        Its `nll` is that of the densities, per unit of the observable.
    """
    windows, terms = problem.windows, problem.most_terms
    fixed = np.full(windows, np.nan) if fixed_yields is None else np.array(fixed_yields, dtype=np.float64)
    theta = np.empty((windows, terms + 1))
    error, nll, edm = np.empty(windows), np.empty(windows), np.empty(windows)
    status = np.empty(windows, dtype=np.uint8)
    integrals, rows = problem.integrals(), problem.rows()
    for run in problem.runs():
        fit_unbinned_windows(
            problem.events,
            problem.first[run],
            problem.last[run],
            problem.low[run],
            problem.high[run],
            problem.code,
            rows[run],
            problem.terms[run],
            integrals[run],
            problem.tables(run),
            fixed[run],
            theta[run],
            error[run],
            nll[run],
            edm[run],
            status[run],
        )
    return Fit(theta[:, -1], error, theta[:, :-1], nll, edm, status)
