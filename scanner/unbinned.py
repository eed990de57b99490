"""The unbinned extended likelihood of a batch of mass windows, and its fit.

All windows share the sorted events of a region, of which each takes a run. A window expects the density
ν(x) = s S(x) + Σ_k c_k B_k(x), and

    NLL = s I_S + Σ_k c_k I_k − Σ_i ln ν(x_i),        I the integrals over the window,

which is convex in the yield s and the coefficients c. They are free as far as ν(x) ≥ 0 at the events and
on a grid of eight points a resolution with the ends of the window and the mass; without events between
them the density would otherwise turn negative there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner import shapes
from scanner.errors import InputError
from scanner.fit import Fit
from scanner.kernels import unbinned_densities as codes
from scanner.kernels.unbinned_window import fit_unbinned_windows
from scanner.likelihood import Floats

Integers = NDArray[np.int64]

SIGNALS: dict[str, tuple[int, tuple[str, ...]]] = {
    "gaussian": (codes.GAUSSIAN, ()),
    "double_gaussian": (codes.DOUBLE_GAUSSIAN, ("fraction", "ratio")),
    "crystal_ball": (codes.CRYSTAL_BALL, ("alpha", "n")),
}
"""Signals that kernels evaluate, with their parameters beside mass and resolution."""
BACKGROUNDS = {"chebyshev": codes.CHEBYSHEV, "exponential": codes.EXPONENTIAL}
"""Backgrounds that kernels evaluate."""


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
        A key of SIGNALS.
    parameters : mapping of (W,) float, optional
        Further parameters of the signal.
    background : str
        A key of BACKGROUNDS.
    slope : (W,) float, optional
        Slope κ of an exponential over half a window, to first order around which it floats.
    keys : (W,) uint64, optional
        What names a window for ever; default 0 … W−1.

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
    slope: Floats = field(default_factory=lambda: np.empty(0))
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def __post_init__(self) -> None:
        """Bring every array to its type, and check it."""
        windows = np.size(self.first)
        self._set("events", np.ascontiguousarray(self.events, dtype=np.float64))
        for name in ("low", "high", "mass", "resolution"):
            self._set(name, self._by_window(name, getattr(self, name), np.float64, windows))
        for name in ("first", "last", "terms"):
            self._set(name, self._by_window(name, getattr(self, name), np.int64, windows))
        if np.size(self.slope) == 0:
            self._set("slope", np.zeros(windows))
        if np.size(self.keys) == 0:
            self._set("keys", np.arange(windows, dtype=np.uint64))
        self._set("slope", self._by_window("slope", self.slope, np.float64, windows))
        self._set("keys", self._by_window("keys", self.keys, np.uint64, windows))
        _check_shapes(self.signal, self.parameters, self.background)
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
    def shape(self) -> tuple[int, int]:
        """The codes of signal and background."""
        return SIGNALS[self.signal][0], BACKGROUNDS[self.background]

    def select(self, windows: NDArray[Any]) -> "UnbinnedProblem":
        """Return the problem of some windows only, by a mask or by indices."""
        names = ("first", "last", "low", "high", "mass", "resolution", "terms")
        chosen = {name: getattr(self, name)[windows] for name in (*names, "slope", "keys")}
        extra = {name: np.asarray(values)[windows] for name, values in self.parameters.items()}
        return replace(self, parameters=extra, **chosen)

    def rows(self) -> Floats:
        """Return the (W, P) parameters of the signal as kernels take them."""
        names = SIGNALS[self.signal][1]
        columns = [np.broadcast_to(self.parameters[name], self.first.shape) for name in names]
        return np.ascontiguousarray(np.stack([self.mass, self.resolution, *columns], axis=1))

    def integrals(self, edges: Floats | None = None) -> Floats:
        """Return the integrals of background terms and signal over bins, the signal last.

        Parameters
        ----------
        edges : (W, B + 1) float, optional
            Bin edges; by default the ends of the windows.

        Returns
        -------
        (W, K + 1, B) float
        """
        if edges is None:
            edges = np.stack([self.low, self.high], axis=1)
        if self.background == "exponential":
            background = shapes.exponential_integrals(edges, self.slope)
        else:
            background = shapes.chebyshev_integrals(edges, max(self.most_terms, 1))
        signal = shapes.signal_integrals(self.signal, edges, self.mass, self.resolution, self.parameters)
        return np.concatenate([background[:, : self.most_terms], signal[:, None]], axis=1)


def _check_shapes(signal: str, parameters: Mapping[str, Floats], background: str) -> None:
    if signal not in SIGNALS or background not in BACKGROUNDS:
        raise InputError(
            f"no unbinned density of signal {signal!r} with background {background!r}: take signals among "
            f"{', '.join(SIGNALS)} and backgrounds among {', '.join(BACKGROUNDS)}"
        )
    missing = [name for name in SIGNALS[signal][1] if name not in parameters]
    if missing:
        raise InputError(f"signal shape {signal!r} wants the parameter {missing[0]!r}")


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
    fit_unbinned_windows(
        problem.events,
        problem.first,
        problem.last,
        problem.low,
        problem.high,
        problem.shape,
        problem.rows(),
        problem.slope,
        problem.terms,
        np.ascontiguousarray(problem.integrals()[:, :, 0]),
        np.empty((0, 0)),
        fixed,
        theta,
        error,
        nll,
        edm,
        status,
    )
    return Fit(theta[:, -1], error, theta[:, :-1], nll, edm, status)
