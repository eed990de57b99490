"""The pseudo-experiments of one window: what the method of toys asks for, and the linear likelihood's."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from scanner.kernels.algebra import TILE
from scanner.kernels.linear.window import IMPOSSIBLE, NOT_CONVERGED, OK, ZERO, usable
from scanner.kernels.linear.workspace import DATA, EXPECTED, THETA
from scanner.kernels.toys import fits as kernel_fits
from scanner.kernels.toys import tests as kernel
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.sampling import poisson_toys

BACKGROUND_STREAM, SIGNAL_STREAM = np.uint64(0), np.uint64(1)
"""Streams of the window's key for the toys of the two hypotheses: p-values are independent."""
GUIDE_STREAM = np.uint64(4)
"""The same for toys of the data's best fit."""
GUIDED = 1.0
"""Deficit of the data, in standard deviations of the yield, from which toys of their best fit are thrown."""
AT_ONCE = 2000
"""Toys whose counts are held at a time."""

Model = tuple[Floats, kernel_fits.Arrays, int, float, bool]
"""What the kernels know of the likelihood: combined templates, arrays, terms, yield's scale, dense."""


@dataclass(frozen=True)
class Sample:
    """q̃_μ of the data and of both hypotheses' toys at one yield; NaN where a fit failed."""

    observed: float
    signal: Floats
    """(N,) q̃_μ of toys of the hypothesis with signal."""
    background: Floats
    """(N,) q̃_μ of toys of the hypothesis without."""
    signal_log_ratio: Floats
    """(N,) ln L_μ/L_0 of the truths of the two hypotheses, for the toys with signal."""
    background_log_ratio: Floats
    """(N,) the same for those without."""
    guide: Floats = field(default_factory=lambda: np.empty(0))
    """(N,) q̃_μ of toys of the data's best fit where that is a deficit, else (0,)."""
    guide_log_ratio: Floats = field(default_factory=lambda: np.empty(0))
    """(N,) ln L_μ/L_0 for these."""
    guidance: tuple[Floats, ...] = ()
    """ln L_g/L_0 of the truth of the best fit, for the toys with signal, without, and of the best fit."""


class PseudoExperiments(Protocol):
    """A likelihood of one window with its data, whose toys can be thrown and tested.

    Toys have the parameters of the fit to the data at their own hypothesis, and toy t is the same for
    every yield up to what the expectation changes.

    Attributes
    ----------
    status : int
        Key of `scanner.likelihoods.fit.STATUS_MEANINGS` of the fit without signal; not usable, nothing can
        be thrown.
    """

    status: int

    @property
    def best_yield(self) -> float:
        """Best-fit yield ŝ of the data, or 0 for a deficit."""

    @property
    def spread(self) -> float:
        """Standard deviation of the yield that is expected without signal, roughly."""

    def sample(self, signal_yield: float, count: int) -> Sample:
        """Test a yield with the toys 0 … count − 1 of both hypotheses."""

    def excesses(self, count: int) -> tuple[float, Floats]:
        """Return q₀ (eq. 12) of the data and of the toys without signal."""


class LinearWindow:
    """Pseudo-experiments of a window whose expectation is linear in its coefficients.

    Bins in which nothing can be expected are left out; draw b of a toy is that of the b-th other bin.
    Nuisances are allowed as far as they are samples of fixed expectation.

    Attributes
    ----------
    status : int
        Key of `scanner.likelihoods.fit.STATUS_MEANINGS` of the fit without signal; not usable, nothing can
        be thrown.
    """

    def __init__(self, problem: BinnedProblem, window: int) -> None:
        w, terms = window, int(problem.terms[window])
        self._problem = problem.select(np.array([window]))
        rows = [*problem.background[w, :terms], problem.signal[w]]
        if problem.nuisances is not None and problem.nuisances.fixed.shape[1] > 0:
            rows.append(problem.nuisances.fixed[w].sum(axis=0))
        live = np.any(np.array(rows) != 0.0, axis=0)
        self._live = live
        templates = np.zeros((-(-len(rows) // TILE) * TILE, int(live.sum())))
        templates[: len(rows)] = np.array(rows)[:, live]
        self._templates, self._whitened = templates, np.empty_like(templates)
        self._terms, self._fixed_rows = terms, len(rows) - terms - 1
        self._counts = problem.counts[w, live]
        self._key = problem.keys[w]
        self._arrays = kernel_fits.allocate_toys(*templates.shape)
        self._fits = self._guide_fits = np.empty((0, kernel.COLUMNS))
        self._guidance: tuple[Floats, ...] = (np.empty(0),)
        status = self._fit(self._counts, 0.0)
        if terms == 0:  # a known background is one, also when the events exclude it
            status = OK
        self.status = status if not np.any(problem.counts[w, ~live] > 0.0) else IMPOSSIBLE
        if usable(self.status):
            self._set_up_background()

    def _set_up_background(self) -> None:
        self._means = np.maximum(self._arrays[0][EXPECTED], 0.0)
        self._null = self._arrays[1][THETA].copy()
        whitened, arrays, terms, scale, dense = self._start(self._means)
        self._spread = 1.0 / scale if scale > 0.0 else np.nan
        fit = kernel.fit_counts(whitened, arrays, terms, dense, self._counts)
        self._observed = np.array([fit[0] * self._spread, *fit[1:]])
        if not np.isfinite(self._observed[kernel.YIELD]):
            self.status = NOT_CONVERGED
        self._guide = self._deficit()

    def _deficit(self) -> Floats | None:
        """Return the expectation of the best fit (B,) where its yield is well below zero."""
        if self.best_yield > 0.0:
            return None
        free = fit(self._problem)
        if free.status[0] not in USABLE or not free.yields[0] < -GUIDED * self.spread:
            return None
        coefficients = np.nan_to_num(free.background[0])
        expected = coefficients @ self._problem.background[0] + free.yields[0] * self._problem.signal[0]
        if self._problem.nuisances is not None:
            expected = expected + self._problem.nuisances.fixed[0].sum(axis=0)
        means: Floats = np.where(expected < ZERO, 0.0, expected)[self._live]
        return means

    @property
    def best_yield(self) -> float:
        """Best-fit yield ŝ of the data, or 0 for a deficit [events]."""
        return float(self._observed[kernel.YIELD])

    @property
    def spread(self) -> float:
        """Standard deviation of the yield from the Hessian that is expected without signal [events]."""
        return float(self._spread)

    def sample(self, signal_yield: float, count: int) -> Sample:
        """Test a yield with the toys 0 … count − 1 of both hypotheses."""
        self._throw_background(count)
        signal, background = np.full((2, count), np.nan), np.empty((2, count))
        observed, logs, offset = np.nan, np.zeros_like(self._means), 0.0
        if usable(self._fit(self._counts, signal_yield)):
            means = np.maximum(self._arrays[0][EXPECTED], 0.0)
            offset = kernel.set_log_ratio(means, self._means, logs)
            model = self._start(means)
            observed = kernel.test_counts(*model, self._counts, signal_yield)
            kernel.test_signal(*model, self._key, SIGNAL_STREAM, signal_yield, logs, offset, signal)
        model, fits = self._start_at(signal_yield, self._means), self._fits[:count]
        test = (signal_yield, logs, offset, background)
        kernel.test_background(*model, self._key, BACKGROUND_STREAM, fits, *test)
        both = (signal[0], background[0], signal[1], background[1])
        if self._guide is None or not np.isfinite(observed):
            return Sample(float(observed), *both)
        return Sample(float(observed), *both, *self._guides(signal_yield, count, means, logs, offset))

    def _guides(
        self, signal_yield: float, count: int, means: Floats, logs: Floats, offset: float
    ) -> tuple[Floats, Floats, tuple[Floats, ...]]:
        """Test a yield with toys of the best fit, and tell how likely it makes all toys."""
        truth = self._guide if self._guide is not None else self._means
        self._guide_fits = self._with_fits(self._guide_fits, truth, GUIDE_STREAM, count)
        found, guidance = np.full((2, count), np.nan), np.zeros_like(means)
        if usable(self._fit(truth, signal_yield)):
            test = (self._guide_fits[:count], signal_yield, logs, offset, found)
            kernel.test_background(*self._start(truth), self._key, GUIDE_STREAM, *test)
        shift = kernel.set_log_ratio(truth, self._means, guidance)
        if self._guidance[0].size < count:
            streams = ((self._means, BACKGROUND_STREAM), (truth, GUIDE_STREAM))
            self._guidance = tuple(self._log_ratios(*one, count, guidance) - shift for one in streams)
        own = self._log_ratios(means, SIGNAL_STREAM, count, guidance) - shift
        return found[0], found[1], (own, *(each[:count] for each in self._guidance))

    def _log_ratios(self, means: Floats, stream: np.uint64, count: int, logs: Floats) -> Floats:
        """Return the sums of `logs` (B,) over the events of toys."""
        key, which = int(self._key), int(stream)
        parts = [
            poisson_toys(means, key, first, min(AT_ONCE, count - first), stream=which) @ logs
            for first in range(0, count, AT_ONCE)
        ]
        return np.concatenate(parts)

    def excesses(self, count: int) -> tuple[float, Floats]:
        """Return q₀ of the data and of the toys without signal."""
        self._throw_background(count)
        fits = self._fits[:count]
        observed = self._observed[kernel.NULL] - self._observed[kernel.FREE]
        if self._observed[kernel.NULL] == np.inf:  # events where only signal can be
            observed = np.inf
        q = np.maximum(2.0 * (fits[:, kernel.NULL] - fits[:, kernel.FREE]), 0.0)
        return max(2.0 * float(observed), 0.0), q

    def _fit(self, counts: Floats, signal_yield: float) -> int:
        self._arrays[0][DATA] = counts
        fixed = (self._terms, self._fixed_rows, signal_yield)
        return int(kernel_fits.fit_given(self._templates, *self._arrays[:3], *fixed))

    def _start(self, means: Floats) -> Model:
        """Let toys with the expectation `means` start from the present fit; return the kernels' model."""
        scale, dense = kernel_fits.set_start(
            self._templates, means, *self._arrays[:3], self._terms, self._whitened
        )
        return self._whitened, self._arrays, self._terms, scale, dense

    def _start_at(self, signal_yield: float, truth: Floats) -> Model:
        """Let toys of a truth start where the fit at `signal_yield` finds its expectation."""
        if not usable(self._fit(truth, signal_yield)):
            self._arrays[1][THETA] = self._null
        return self._start(truth)

    def _throw_background(self, count: int) -> None:
        """Throw and fit the toys without signal that there are not yet."""
        self._fits = self._with_fits(self._fits, self._means, BACKGROUND_STREAM, count)

    def _with_fits(self, known: Floats, truth: Floats, stream: np.uint64, count: int) -> Floats:
        """Return the fits of at least `count` toys of a truth, of which those of the first are known."""
        first = known.shape[0]
        if count <= first:
            return known
        fits = np.empty((count - first, kernel.COLUMNS))
        kernel.throw_background(*self._start_at(0.0, truth), self._key, stream, first, fits)
        return np.vstack([known, fits])
