"""Toys of unbinned windows, whose channels share one signal.

Toys of a hypothesis are thrown from the densities of the fit to the data at its yield: Poisson numbers of
events in every channel, their places, and global observables around the nuisances of that fit. Limits are
found as `scanner.stats.toys` does.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.kernels.linear.window import NOT_CONVERGED, usable
from scanner.kernels.unbinned import joint_toys as kernel
from scanner.kernels.unbinned.channel import CELLS, GRID, TERMS, State
from scanner.kernels.unbinned.loading import allocate_window, load_channels
from scanner.kernels.unbinned.signals import ALPHA, Model
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats.limits import Limits
from scanner.stats.pseudo import BACKGROUND_STREAM, SIGNAL_STREAM, Sample
from scanner.stats.sampling import normal_numbers, poisson_toys
from scanner.stats.settings import Settings
from scanner.stats.simultaneous import asymptotic_simultaneous
from scanner.stats.toys import with_toys_of

AUXILIARY = 2
"""Added to a stream of counts for the stream of their global observables."""


class Truth:
    """What toys of one hypothesis are thrown from.

    Attributes
    ----------
    contents, cumulative : (C, G) float
        Expected events in each cell, and their running sums.
    alphas : (J,) float
        Nuisances.
    nll, signal_yield : float
        NLL of the data in this fit, and its yield.
    status : int
    """

    def __init__(self, window: "SimultaneousWindow", signal_yield: float, *, free: bool = False) -> None:
        state, model = window.load()
        self.contents, out = np.zeros(state[3].shape), np.zeros(5)
        self.status = int(kernel.expect_at(state, model, signal_yield, free, self.contents, out))
        self.cumulative = np.cumsum(self.contents, axis=1)
        self.alphas = model[2][ALPHA].copy()
        self.nll, self.signal_yield = float(out[0]), float(out[4])

    @property
    def totals(self) -> Floats:
        """Expected events of each channel, (C,)."""
        return np.ascontiguousarray(self.cumulative[:, -1])


class SimultaneousWindow:
    """Pseudo-experiments of one window; see `scanner.stats.pseudo.PseudoExperiments`.

    Attributes
    ----------
    key : int
        What names the window.
    status : int
        Key of `scanner.likelihoods.fit.STATUS_MEANINGS` of the fit without signal; not usable, nothing can
        be thrown.
    """

    def __init__(self, problem: SimultaneousProblem, window: int) -> None:
        self._given = problem.select(np.array([window])).given(slice(0, 1))
        self._state, self._model = allocate_window(self._given)
        self.key = int(problem.keys[window])
        self._null = Truth(self, 0.0)
        self._free = Truth(self, 0.0, free=True)
        self.status = self._null.status if usable(self._free.status) else NOT_CONVERGED
        self._fits = np.empty((0, 3))
        self._spread = self._expected_spread()

    def load(self) -> tuple[State, Model]:
        """Load the data anew and return the kernels' arrays."""
        load_channels(self._given, 0, self._state, self._model)
        return self._state, self._model

    @property
    def best_yield(self) -> float:
        """Best-fit yield ŝ of the data, or 0 for a deficit [events]."""
        return self._free.signal_yield

    @property
    def spread(self) -> float:
        """Standard deviation of the yield that is expected without signal, for a known background."""
        return self._spread

    def _expected_spread(self) -> float:
        """Return 1/√(Σ f² ∫S²/ν), with a background of at least one event in the window."""
        sizes, grids, _, widths = self._state[:4]
        shares, information = self._model[0], 0.0
        for c in np.flatnonzero(shares > 0.0):
            grid, cells, terms = sizes[c, GRID], sizes[c, CELLS], sizes[c, TERMS]
            signal = grids[c].ravel()[terms * grid : terms * grid + cells]
            width = widths[c, :cells]
            density = np.maximum(self._null.contents[c, :cells] / width, 1.0 / width.sum())
            information += float(np.sum((shares[c] * signal) ** 2 / density * width))
        return float(information**-0.5)

    def sample(self, signal_yield: float, count: int) -> Sample:
        """Test a yield with the toys 0 … count − 1 of both hypotheses."""
        truth = Truth(self, signal_yield)
        nothing = np.full(count, np.nan)
        if not usable(truth.status):
            return Sample(np.nan, nothing, nothing, np.zeros(count), np.zeros(count))
        observed = 2.0 * (truth.nll - self._free.nll) if self.best_yield < signal_yield else 0.0
        self._throw_background(count)
        fits, new = self._fits[:count].copy(), np.full((count, 3), np.nan)
        background = self._test(self._null, BACKGROUND_STREAM, truth, signal_yield, fits)
        signal = self._test(truth, SIGNAL_STREAM, truth, signal_yield, new)
        return Sample(max(observed, 0.0), signal[0], background[0], signal[1], background[1])

    def excesses(self, count: int) -> tuple[float, Floats]:
        """Return q₀ of the data and of the toys without signal."""
        self._throw_background(count)
        fits = self._fits[:count]
        q = np.maximum(2.0 * (fits[:, kernel.NULL] - fits[:, kernel.LEAST]), 0.0)
        return max(2.0 * (self._null.nll - self._free.nll), 0.0), q

    def background_toys(self, count: int) -> Iterator[tuple[State, Model]]:
        """Yield the kernels' arrays with the toys without signal in them, one after the other."""
        counts, observables = self._throw(self._null, BACKGROUND_STREAM, 0, count)
        toy, where, key = self._room(counts), self._null.cumulative, np.uint64(self.key)
        nothing = np.zeros_like(where)
        for t in range(count):
            kernel.throw_toy(
                toy, self._model, counts[t], observables[t], where, nothing, key, BACKGROUND_STREAM, t
            )
            yield toy, self._model

    def _throw_background(self, count: int) -> None:
        """Throw and fit the toys without signal that there are not yet."""
        first = len(self._fits)
        if count > first:
            fits = np.full((count - first, 3), np.nan)
            self._test(self._null, BACKGROUND_STREAM, self._null, np.nan, fits, first)
            self._fits = np.concatenate([self._fits, fits])

    def _throw(self, source: Truth, stream: np.uint64, first: int, count: int) -> tuple[Floats, Floats]:
        """Return the events of each channel (T, C) and the global observables (T, J) of toys."""
        counts = poisson_toys(source.totals, self.key, first, count, stream=int(stream))
        aside, size = int(stream) + AUXILIARY, source.alphas.size
        numbers = range(first, first + count if size else first)
        normal = [normal_numbers(self.key, number, size, stream=aside) for number in numbers]
        return counts, source.alphas + np.array(normal).reshape(count, size)

    def _room(self, counts: Floats) -> State:
        return kernel.copy_for_toys(self.load()[0], int(counts.max(initial=1)))

    def _test(
        self,
        source: Truth,
        stream: np.uint64,
        other: Truth,
        signal_yield: float,
        fits: Floats,
        first: int = 0,
    ) -> tuple[Floats, Floats]:
        """Return q̃_μ of toys and ln L_μ/L_0 of the hypothesis `other` over that without signal, (T,) each."""
        count, null = len(fits), self._null
        counts, observables = self._throw(source, stream, first, count)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.nan_to_num(np.log(other.contents / null.contents), nan=0.0, posinf=700.0, neginf=-700.0)
        q, ratios = np.empty(count), np.empty(count)
        kernel.test_joint_toys(
            self._room(counts),
            self._model,
            counts,
            observables,
            source.cumulative,
            logs,
            np.uint64(self.key),
            stream,
            first,
            signal_yield,
            fits,
            q,
            ratios,
        )
        pulls = (observables - other.alphas) ** 2 - (observables - null.alphas) ** 2
        return q, ratios - (other.totals - null.totals).sum() - 0.5 * pulls.sum(axis=1)


def toys_simultaneous(problem: SimultaneousProblem, settings: Settings) -> Limits:
    """Return CLs limits of every window by toys; yield and error are those of the fit.

    Raises
    ------
    InputError
        If there are no toys to throw.
    """
    if settings.toys < 1:
        raise InputError("the method toys needs toys: give their number, such as 10000")
    fits = asymptotic_simultaneous(problem, settings, np.inf)
    return with_joint_toys(problem, settings, fits, np.ones(problem.windows, dtype=np.bool_))


def with_joint_toys(
    problem: SimultaneousProblem, settings: Settings, limits: Limits, chosen: NDArray[np.bool_]
) -> Limits:
    """Return `limits` with those of the chosen windows (W,) set by toys where these have any."""
    windows = ((int(w), SimultaneousWindow(problem, int(w))) for w in np.flatnonzero(chosen))
    return with_toys_of(settings, limits, windows)
