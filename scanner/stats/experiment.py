"""One counting experiment: what was counted, and what is known of its background and its efficiency."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincc

from scanner.constants import QUANTILES
from scanner.errors import InputError
from scanner.kernels.counting.exact import count_quantiles
from scanner.stats import mixture
from scanner.stats.mixture import NODES, NODES_OF_TWO, Mixture

BACKGROUND_SHAPES = ("gamma", "lognormal", "normal")
EFFICIENCY_SHAPES = ("lognormal", "normal")
WIDEST_NORMAL = 0.15
"""Largest relative error of a normal efficiency: 0 is then 6.7 standard deviations away."""


@dataclass(frozen=True)
class CountingData:
    """Events in a signal region, and what is known of the background under them and of the signal.

    The background is one of

    - `background` alone: exactly known.
    - `background` and `background_error` σ with the shape ``gamma``: as an auxiliary Poisson measurement
      of that relative error, with m = (b/σ)² events and τ = b/σ²; marginalised, that is a Gamma
      distribution of mean b and standard deviation σ. With ``lognormal``: b κ^z with κ = 1 + σ/b; with
      ``normal``: b + σ z, not below 0; z standard normal.
    - `off` and `tau`: m events in a region that holds τ times the background of the signal region;
      marginalised with a prior that is flat in the background.

    The signal that limits are about is multiplied by an efficiency of relative error `efficiency_error`
    δ: (1 + δ)^z if ``lognormal``, 1 + δ z if ``normal``.

    Raises
    ------
    InputError
        If a number is negative or not finite, the background is given twice or not at all, or a normal
        efficiency reaches 0.
    """

    observed: int
    background: float | None = None
    background_error: float = 0.0
    off: int | None = None
    tau: float | None = None
    background_shape: str = "gamma"
    efficiency_error: float = 0.0
    efficiency_shape: str = "lognormal"

    def __post_init__(self) -> None:
        """Refuse what is no experiment."""
        for name in ("observed", "background", "background_error", "off", "tau", "efficiency_error"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name} is {value}; it must be finite and not negative")
        self._check_background()
        self._check_shapes()

    def _check_background(self) -> None:
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

    def _check_shapes(self) -> None:
        for name, allowed in (
            ("background_shape", BACKGROUND_SHAPES),
            ("efficiency_shape", EFFICIENCY_SHAPES),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"unknown {name} {getattr(self, name)!r}: take one of {', '.join(allowed)}")
        if self.efficiency_shape == "normal" and self.efficiency_error > WIDEST_NORMAL:
            raise InputError(
                f"a normal efficiency of relative error {self.efficiency_error:g} reaches 0, where any yield "
                f"is as likely as none: no flat-prior posterior can be normalised, and no limit is finite. "
                f"Take the shape lognormal, or an error of at most {WIDEST_NORMAL:g}"
            )

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

    @property
    def mean_background(self) -> float:
        """Estimate of the background."""
        if self.off is not None:
            return self.off / (self.tau or 1.0)
        return self.background or 0.0

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What is not known exactly."""
        background = self.off is not None or self.background_error > 0.0
        names = {"background": background, "efficiency": self.efficiency_error > 0.0}
        return tuple(name for name, is_uncertain in names.items() if is_uncertain)

    @property
    def is_gamma(self) -> bool:
        """Whether sums over the background are closed: it is known, or Gamma distributed."""
        return self.background_shape == "gamma" or self.background_error == 0.0

    @property
    def is_exact(self) -> bool:
        """Whether sums over background and efficiency are closed."""
        return self.is_gamma and self.efficiency_error == 0.0

    def backgrounds(self, factor: float = 1.0) -> Mixture:
        """Return the background, `factor` times as large and of the same kind, as a mixture.

        τ stays where there is one, and the relative error elsewhere.
        """
        nodes = NODES if self.efficiency_error == 0.0 else NODES_OF_TWO
        if self.is_gamma:
            mean, spread = self.gamma
            return mixture.gamma(factor * mean, spread, nodes)
        b = self.background or 0.0
        if self.background_shape == "lognormal":
            return mixture.log_normal(factor * b, 1.0 + self.background_error / b, nodes)
        return mixture.normal(factor * b, factor * self.background_error, nodes)

    def efficiencies(self) -> Mixture:
        """Return the factor on the signal as a mixture."""
        known = self.is_gamma and self.gamma[1] == 0.0
        nodes = NODES if known else NODES_OF_TWO
        if self.efficiency_shape == "lognormal":
            return mixture.log_normal(1.0, 1.0 + self.efficiency_error, nodes)
        return mixture.normal(1.0, self.efficiency_error, nodes)

    def expected_counts(self) -> tuple[int, ...]:
        """Quantiles of the count without signal: the smallest n with P(≤n) at least the quantile."""
        if self.is_gamma:
            counts = np.empty(len(QUANTILES))
            count_quantiles(*self.gamma, np.array(QUANTILES), counts)
            return tuple(int(n) for n in counts)
        return tuple(self._count_quantile(quantile) for quantile in QUANTILES)

    def _count_quantile(self, quantile: float) -> int:
        values, weights = self.backgrounds()
        low, high = -1, 1
        while gammaincc(high + 1.0, values) @ weights < quantile:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            enough = gammaincc(middle + 1.0, values) @ weights >= quantile
            low, high = (low, middle) if enough else (middle, high)
        return high


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
    treatment : str
        What the method does with what is uncertain; empty if nothing is.
    """

    limit: float
    expected: tuple[float, ...]
    low: float
    high: float
    treatment: str = ""

    def with_interval(self, low: float, high: float) -> "CountingResult":
        """Return the result with another interval."""
        return replace(self, low=low, high=high)
