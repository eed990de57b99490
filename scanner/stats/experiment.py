"""One counting experiment: what was counted, and what is known of its background."""

import math
from dataclasses import dataclass

import numpy as np

from scanner.constants import QUANTILES
from scanner.errors import InputError
from scanner.kernels.counting import count_quantiles


@dataclass(frozen=True)
class CountingData:
    """Events in a signal region, and one of three kinds of knowledge of the background under them.

    - `background` alone: exactly known.
    - `background` and `background_error` σ: as an auxiliary Poisson measurement of that relative error,
      with m = (b/σ)² events and τ = b/σ²; marginalised, that is a Gamma distribution of mean b and
      standard deviation σ.
    - `off` and `tau`: m events in a region that holds τ times the background of the signal region;
      marginalised with a prior that is flat in the background.

    Raises
    ------
    InputError
        If a number is negative or not finite, or the background is given twice or not at all.
    """

    observed: int
    background: float | None = None
    background_error: float = 0.0
    off: int | None = None
    tau: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no experiment."""
        for name in ("observed", "background", "background_error", "off", "tau"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name} is {value}; it must be finite and not negative")
        if (self.off is None) != (self.tau is None):
            raise InputError("an off region needs both its events (off) and its background ratio (tau)")
        if (self.off is None) == (self.background is None):
            raise InputError("give the background either by its number or by an off region")
        if self.off is not None and self.background_error > 0.0:
            raise InputError("a background error belongs to a background number, not to an off region")
        if self.tau == 0.0:
            raise InputError("tau is 0: such an off region says nothing of the background")
        if self.background == 0.0 and self.background_error > 0.0:
            raise InputError("a background of 0 cannot have an error: give its expected number")

    @property
    def auxiliary(self) -> tuple[float, float]:
        """Auxiliary count m and its ratio τ; (b, ∞) for a background known exactly."""
        if self.off is not None and self.tau is not None:
            return float(self.off), self.tau
        b = self.background or 0.0
        if self.background_error > 0.0:
            return (b / self.background_error) ** 2, b / self.background_error**2
        return b, math.inf

    @property
    def gamma(self) -> tuple[float, float]:
        """Mean of the background's Gamma distribution, and its variance over the mean."""
        if self.off is not None and self.tau is not None:
            return (self.off + 1.0) / self.tau, 1.0 / self.tau
        b = self.background or 0.0
        return b, (self.background_error**2 / b if b > 0.0 else 0.0)

    def expected_counts(self) -> tuple[int, ...]:
        """Quantiles of the count without signal: the smallest n with P(≤n) at least the quantile."""
        counts = np.empty(len(QUANTILES))
        count_quantiles(*self.gamma, np.array(QUANTILES), counts)
        return tuple(int(n) for n in counts)


@dataclass(frozen=True)
class CountingResult:
    """Limit and interval of the signal events of one experiment.

    Attributes
    ----------
    limit : float
        Upper limit.
    expected : tuple of five floats
        Limits expected without signal, at the quantiles of `scanner.constants.QUANTILES`.
    low, high : float
        The interval; from 0 to the limit for one-sided methods.
    """

    limit: float
    expected: tuple[float, ...]
    low: float
    high: float
