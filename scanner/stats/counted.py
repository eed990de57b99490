"""Limits of windows that are counting experiments, each with an estimate of its background.

What is known of the background is a Gamma distribution: of a stated mean and error, or what m events of an
off region leave of it, (m+1)/τ ± √(m+1)/τ. The same mean, error and count give the same limit, so that each
different experiment is computed once, whatever the number of windows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels.counting import known
from scanner.likelihoods.binned import Floats
from scanner.stats.calculators import CALCULATORS
from scanner.stats.counting import NODES, WEIGHTS
from scanner.stats.experiment import CountingData
from scanner.stats.limits import ASYMPTOTIC, BAYESIAN, COUNTING, FELDMAN_COUSINS, NO_LIMIT
from scanner.stats.settings import Settings

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """W counting experiments.

    Attributes
    ----------
    observed : (W,) int
    background, error : (W,) float
        Estimate of the background and its standard deviation, 0 where it is known exactly. Neither is of
        use where there is an off region.
    off : (W,) float
        Events of an off region that holds `tau` times the background; −1 where there is none.
    tau : (W,) float
    efficiency_error : (W,) float
        Relative error of the signal's efficiency, log-normal.
    """

    observed: Integers
    background: Floats
    error: Floats
    off: Floats
    tau: Floats
    efficiency_error: Floats

    @property
    def gamma(self) -> tuple[Floats, Floats]:
        """Mean of the background's Gamma distribution, and its variance over the mean, (W,) each."""
        beside, tau = self.off >= 0.0, np.where(self.tau > 0.0, self.tau, 1.0)
        mean = np.where(beside, (self.off + 1.0) / tau, self.background)
        variance = np.where(beside, mean / tau, self.error**2)
        return mean, np.divide(variance, mean, out=np.zeros_like(mean), where=mean > 0.0)

    def table(self) -> Floats:
        """Return all of it as rows, (W, 6)."""
        columns = (self.observed, self.background, self.error, self.off, self.tau, self.efficiency_error)
        return np.stack(columns, axis=1).astype(np.float64)

    @classmethod
    def from_table(cls, rows: Floats) -> "Counted":
        """Make the experiments of rows of a `table`."""
        return cls(rows[:, 0].astype(np.int64), *(np.ascontiguousarray(column) for column in rows.T[1:]))

    def experiment(self, number: int) -> CountingData:
        """Return one of them."""
        n, b, error, off, tau, efficiency = self.table()[number].tolist()
        if off >= 0.0:
            return CountingData(int(n), off=int(off), tau=tau, efficiency_error=efficiency)
        return CountingData(int(n), b, error, efficiency_error=efficiency)


@dataclass(frozen=True)
class CountedLimits:
    """Limits on the signal events in the windows, and the local significance; NaN without a limit.

    The p-value is that of a count at least as large without signal, the background averaged over its
    distribution: for an off region that is Z_Bi (Cousins, Linnemann, Tucker, arXiv:physics/0702156, eq. 14).
    """

    yield_limit: Floats
    expected: Floats
    yield_lower: Floats
    p_local: Floats
    z_local: Floats
    method: NDArray[np.uint8]


def counted_limits(counted: Counted, settings: Settings, method: str) -> CountedLimits:
    """Set the limits of all experiments by a method of `COUNTED_METHODS`."""
    rows, inverse = np.unique(counted.table(), axis=0, return_inverse=True)
    distinct, code = Counted.from_table(rows), METHOD_CODES[method]
    columns = _exact(distinct, settings)
    found = COUNTED_METHODS[method](distinct, settings, columns)
    limits = np.column_stack([found, columns[:, known.LOCAL_P : known.LOCAL_Z + 1]])[inverse.ravel()]
    return CountedLimits(
        limits[:, 1].copy(),
        limits[:, 2:7].copy(),
        limits[:, 0].copy(),
        limits[:, 7].copy(),
        limits[:, 8].copy(),
        np.where(np.isfinite(limits[:, 1]), code, NO_LIMIT).astype(np.uint8),
    )


def _exact(counted: Counted, settings: Settings) -> Floats:
    """Return the rows of `scanner.kernels.counting.known`: averaged CLs limits and p-values."""
    rows = np.empty((len(counted.observed), known.EXPECTED_LIMITS + len(QUANTILES)))
    known.limit_counts(
        counted.observed,
        *counted.gamma,
        np.log1p(counted.efficiency_error),
        NODES,
        WEIGHTS,
        np.array(QUANTILES),
        math.log1p(-settings.confidence_level),
        rows,
    )
    return rows


def _interval(columns: Floats) -> Floats:
    """Return lower end, observed and expected limits (W, 7) of one-sided limits."""
    limits = np.column_stack([columns[:, known.LIMIT], columns[:, known.EXPECTED_LIMITS :]])
    return np.column_stack([np.zeros(len(limits)), limits])


def _counting(counted: Counted, settings: Settings, columns: Floats) -> Floats:
    return _interval(columns) if settings.criterion == "cls" else _calculated("cls", counted, settings)


def _bayesian(counted: Counted, settings: Settings, columns: Floats) -> Floats:
    """Set Bayesian limits.

    With a flat prior of the yield they are those of CLs, averaged alike (hep-ex/9902006). An efficiency
    ε = κ^z adds a factor 1/ε to the average, which moves z by ln κ and so multiplies the limit by exp(ln²κ).
    """
    if settings.prior != "flat in yield":
        return _calculated("bayesian", counted, settings)
    shift = np.exp(np.log1p(counted.efficiency_error) ** 2)
    limits: Floats = _interval(columns) * shift[:, None]
    return limits


def _calculated(name: str, counted: Counted, settings: Settings) -> Floats:
    """Set limits one by one with a calculator of single experiments; NaN for counts that it does not take."""
    calculator = CALCULATORS[name]
    found = np.full((len(counted.observed), 2 + len(QUANTILES)), np.nan)
    for number in range(len(found)):
        data = counted.experiment(number)
        if max(float(data.observed), data.mean_background) <= calculator.largest:
            result = calculator.calculate(data, settings)
            found[number] = (result.low, result.limit, *result.expected)
    return found


def _asymptotic(counted: Counted, settings: Settings, _columns: Floats) -> Floats:
    return _calculated("asymptotic", counted, settings)


def _feldman_cousins(counted: Counted, settings: Settings, _columns: Floats) -> Floats:
    return _calculated("fc", counted, settings)


COUNTED_METHODS: dict[str, Callable[[Counted, Settings, Floats], Floats]] = {
    "auto": _counting,
    "counting": _counting,
    "asymptotic": _asymptotic,
    "bayesian": _bayesian,
    "feldman_cousins": _feldman_cousins,
}
"""Methods of limits by name: each takes experiments, settings and their exact rows, and returns lower ends,
observed and expected limits (W, 7). Toys and MINOS add nothing to a single count."""
METHOD_CODES = {
    "auto": COUNTING,
    "counting": COUNTING,
    "asymptotic": ASYMPTOTIC,
    "bayesian": BAYESIAN,
    "feldman_cousins": FELDMAN_COUSINS,
}
