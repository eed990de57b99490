"""The look-elsewhere effect along a mass axis: global p-values by toys and by upcrossings.

Toys give the probability that the largest local significance anywhere is at least the observed one.
Upcrossings (Gross, Vitells, arXiv:1005.1891) need far fewer toys: the mean number of times that q₀(m)
rises through a low level u₀ gives, for Gaussian fluctuations, that at any level u (eqs. 3 and 5),

    p_global ≤ p_local + ⟨N(u₀)⟩ e^{−(u − u₀)/2},    u = z².

The one-sided q₀ is that of a χ² field with one degree of freedom, cut in half: of the upcrossings of z²
only those of an excess are counted.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEVEL = 1.0
"""Level u₀ of q₀ at which upcrossings are counted: low, so that there are many."""
FEW = 10.0
"""Effective background [events] below which a window's fluctuations are not Gaussian enough for u₀ to say
what happens at a high level."""
INTERVAL = 0.6827


@dataclass(frozen=True)
class Excess:
    """The largest local significance of the data, and how much was looked at to find it."""

    z: float
    """√q₀, 0 where every window has a deficit."""
    mass: float
    """[GeV]"""
    region: str
    configuration: str
    windows: int
    """Windows that were looked at, over all configurations."""
    few: int
    """Those with an effective background below FEW, or no fit."""
    stretches: int
    """Uninterrupted stretches of mass axes."""


@dataclass(frozen=True)
class ToyScans:
    """What N toys had to say, (N,) each."""

    maximum: Floats
    """Largest local significance anywhere."""
    crossings: Integers
    """Upcrossings of LEVEL along all mass axes."""
    crossings_half: Integers
    """The same over every second window."""
    failed: Integers
    """Windows whose fit failed."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class GlobalP:
    """A global p-value with its 68% interval."""

    p: float
    low: float
    high: float

    @property
    def z(self) -> float:
        """Φ⁻¹(1−p), not below 0."""
        return significance(self.p)


def significance(p: float) -> float:
    """Return Φ⁻¹(1−p), not below 0."""
    return max(0.0, -float(ndtri(p)))


def p_from_toys(observed: float, maxima: Floats, failed: NDArray[np.bool_]) -> GlobalP:
    """Return the global p-value (k+1)/(N+1) with the binomial interval of k among N toys.

    Parameters
    ----------
    observed : float
        Largest local significance of the data.
    maxima : (N,) float
        Those of the toys.
    failed : (N,) bool
        Toys in which a fit failed: they count as at least as extreme as the data.

    Notes
    -----
    The interval is that of Clopper, Pearson, Biometrika 26 (1934) 404.
    """
    toys, exceeding = len(maxima), int(np.sum((maxima >= observed) | failed))
    tail = 0.5 * (1.0 - INTERVAL)
    low = 0.0 if exceeding == 0 else float(betaincinv(exceeding, toys - exceeding + 1, tail))
    high = 1.0 if exceeding == toys else float(betaincinv(exceeding + 1, toys - exceeding, 1.0 - tail))
    p = (exceeding + 1) / (toys + 1)
    return GlobalP(p, low, max(high, p))


def upcrossings(z: Floats, level: float = LEVEL) -> Integers:
    """Count how often z² rises through a level along the last axis, z < 0 and deficits being below it.

    Parameters
    ----------
    z : (..., W) float
        Local significances in the order of masses; a NaN interrupts the axis.
    """
    height = math.sqrt(level)
    with np.errstate(invalid="ignore"):
        rises = (z[..., :-1] < height) & (z[..., 1:] >= height)
    count: Integers = rises.sum(axis=-1, dtype=np.int64)
    return count


def stretches(looked_at: NDArray[np.bool_]) -> int:
    """Count the uninterrupted stretches of an axis (W,)."""
    return int(np.sum(looked_at & ~np.concatenate(([False], looked_at[:-1]))))


@dataclass(frozen=True)
class Crossings:
    """Mean number of upcrossings of the level u₀ over all that is looked at, and its error."""

    mean: float
    error: float
    level: float = LEVEL


def mean_crossings(counts: Integers, level: float = LEVEL) -> Crossings:
    """Average the upcrossings of N toys, (N,); the error is that of the mean of these toys.

    With no crossing in any toy the mean is bounded by 1/N rather than 0.
    """
    toys = len(counts)
    spread = float(np.std(counts, ddof=1)) / math.sqrt(toys) if toys > 1 else math.inf
    return Crossings(float(np.mean(counts)), max(spread, 1.0 / toys), level)


def p_from_crossings(z: float, crossings: Crossings, stretches_looked_at: int = 1) -> GlobalP:
    """Return the global p-value of a local significance z (1005.1891, eqs. 3 and 5).

    Parameters
    ----------
    z : float
        Largest local significance, at least √u₀.
    crossings : Crossings
    stretches_looked_at : int
        Uninterrupted mass axes; each may begin above the level, with probability p_local.
    """
    start = stretches_looked_at * float(ndtr(-z))
    factor = math.exp(-0.5 * (z * z - crossings.level))
    ends = (start + max(0.0, crossings.mean + shift * crossings.error) * factor for shift in (0.0, -1.0, 1.0))
    return GlobalP(*(min(1.0, p) for p in ends))


@dataclass(frozen=True)
class GlobalSignificance:
    """The global significance of the largest excess, by the method that was asked for and by both.

    Attributes
    ----------
    method : str
        "toys" or "upcrossings": what `best` rests on.
    toys, toys_failed : int
        Toys, and those in which a fit failed.
    by_toys, by_upcrossings : GlobalP
    crossings, crossings_half : Crossings
        Mean upcrossings of all windows and of every second one: where they differ by much, the steps of
        the scan are too wide to see every upcrossing.
    """

    excess: Excess
    method: str
    toys: int
    toys_failed: int
    by_toys: GlobalP
    by_upcrossings: GlobalP
    crossings: Crossings
    crossings_half: Crossings

    @property
    def best(self) -> GlobalP:
        """The global p-value by the method that was asked for."""
        return self.by_toys if self.method == "toys" else self.by_upcrossings

    @property
    def upcrossings_valid(self) -> bool:
        """Whether every window holds events enough for upcrossings."""
        return self.excess.few == 0

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a cube that hold all this."""
        excess, best = self.excess, self.best
        return {
            "p_global": best.p,
            "p_global_low": best.low,
            "p_global_high": best.high,
            "z_global": best.z,
            "p_global_method": self.method,
            "p_global_toys": self.toys,
            "p_global_toys_failed": self.toys_failed,
            "p_global_by_toys": self.by_toys.p,
            "p_global_by_upcrossings": self.by_upcrossings.p,
            "p_global_excess_mass": excess.mass,
            "p_global_excess_region": excess.region,
            "p_global_excess_configuration": excess.configuration,
            "p_global_excess_z": excess.z,
            "p_global_windows": excess.windows,
            "p_global_windows_with_few_events": excess.few,
            "upcrossings": self.crossings.mean,
            "upcrossings_error": self.crossings.error,
            "upcrossings_half_step": self.crossings_half.mean,
            "upcrossings_half_step_error": self.crossings_half.error,
            "upcrossings_level": self.crossings.level,
        }


def summarise(excess: Excess, scans: ToyScans, method: str) -> GlobalSignificance:
    """Compare the largest excess of the data with those of toys, by both methods."""
    failed = scans.failed > 0
    crossings = mean_crossings(scans.crossings)
    return GlobalSignificance(
        excess,
        method,
        len(failed),
        int(failed.sum()),
        p_from_toys(excess.z, scans.maximum, failed),
        p_from_crossings(excess.z, crossings, excess.stretches),
        crossings,
        mean_crossings(scans.crossings_half),
    )
