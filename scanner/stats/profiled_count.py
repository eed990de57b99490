"""The profile likelihood of a count with any kind of uncertain background and efficiency.

n ~ Poisson(s ε(z_ε) + b) with a constraint (z_ε − a_ε)² on −2 ln L, and for the background an auxiliary
Poisson measurement (`scanner.stats.on_off`) or b(z) with (z − a)². Asymptotic formulae of
Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, ndtri

from scanner.constants import QUANTILES
from scanner.kernels.linear.cls import log_cls
from scanner.stats import on_off
from scanner.stats.asymptotic import gaussian_limits
from scanner.stats.experiment import CountingData

REACH = 12.0
"""Standard deviations of a constrained nuisance within which its best value is looked for."""
PRECISION = 1e-11


@dataclass(frozen=True)
class ProfiledCount:
    """One data set: the count, and the auxiliary measurement of its background.

    Attributes
    ----------
    data : CountingData
        Kinds and sizes of the uncertainties.
    n : float
        Events; Asimov data need not be whole.
    auxiliary : float
        Auxiliary count m of an off region or a Gamma background, or the known background; else the global
        observable a.
    """

    data: CountingData
    n: float
    auxiliary: float

    @classmethod
    def of(cls, data: CountingData, n: float) -> "ProfiledCount":
        """Return the data set that has n events and the auxiliary measurement of `data`."""
        return cls(data, n, data.auxiliary[0] if data.is_gamma else 0.0)

    def background(self, z: float) -> float:
        """Return b(z) of a log-normal or normal background."""
        b, error = self.data.background or 0.0, self.data.background_error
        if self.data.background_shape == "lognormal":
            return b * math.exp(math.log1p(error / b) * z)
        return b + error * z

    def efficiency(self, z: float) -> float:
        """Return ε(z)."""
        error = self.data.efficiency_error
        if self.data.efficiency_shape == "lognormal":
            return math.exp(math.log1p(error) * z)
        return 1.0 + error * z

    def best(self) -> float:
        """Return ŝ, which may be negative."""
        if self.data.is_gamma:
            return on_off.best_signal(self.n, self.auxiliary, self.data.auxiliary[1])
        return self.n - self.background(self.auxiliary)

    def deviance(self, s: float) -> float:
        """Return −2 ln L(s) above the saturated model, nuisances profiled."""
        if self.data.efficiency_error == 0.0 or s <= 0.0:
            return self._of_signal(s)
        lowest = -REACH
        if self.data.efficiency_shape == "normal":
            lowest = max(lowest, -1.0 / self.data.efficiency_error)
        found = minimize_scalar(
            lambda z: self._of_signal(s * self.efficiency(z)) + z * z,
            bounds=(lowest, REACH),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return float(found.fun)

    def _of_signal(self, signal: float) -> float:
        if self.data.is_gamma:
            return on_off.minus_two_log_likelihood(signal, self.n, self.auxiliary, self.data.auxiliary[1])
        z = self.nuisance(signal)
        expected = signal + self.background(z)
        return on_off.poisson_deviance(self.n, expected - self.n) + (z - self.auxiliary) ** 2

    def nuisance(self, signal: float) -> float:
        """Return the best z of a log-normal or normal background under a signal."""
        b, error = self.data.background or 0.0, self.data.background_error
        lowest = self.auxiliary - REACH - self.n
        if self.data.background_shape == "normal":
            lowest = max(lowest, -b / error * (1.0 - PRECISION))
        rate = math.log1p(error / b)

        def slope(z: float) -> float:
            level = self.background(z)
            steepness = level * rate if self.data.background_shape == "lognormal" else error
            return steepness * (1.0 - self.n / (signal + level)) + z - self.auxiliary

        highest = self.auxiliary + REACH + self.n
        if slope(lowest) >= 0.0:
            return lowest
        return float(brentq(slope, lowest, highest, xtol=PRECISION))

    def q_tilde(self, s: float) -> float:
        """Return q̃_s (eq. 16)."""
        best = self.best()
        if best >= s:
            return 0.0
        return max(0.0, self.deviance(s) - self.deviance(max(best, 0.0)))

    def asimov(self) -> "ProfiledCount":
        """Return the Asimov data set of the background-only fit."""
        if self.data.is_gamma:
            m, tau = self.auxiliary, self.data.auxiliary[1]
            b = on_off.profiled_background(0.0, self.n, m, tau)
            return replace(self, n=b, auxiliary=m if math.isinf(tau) else tau * b)
        z = self.nuisance(0.0)
        return replace(self, n=self.background(z), auxiliary=z)


def asymptotic_limit(count: ProfiledCount, confidence_level: float, criterion: str) -> float:
    """Return the signal whose asymptotic CLs, or CLs+b, is 1 − CL (eqs. 59, 65, 66)."""
    asimov, log_alpha = count.asimov(), math.log1p(-confidence_level)

    def above(s: float) -> float:
        q, root = count.q_tilde(s), math.sqrt(asimov.q_tilde(s))
        if criterion == "clsb":
            return log_p_signal(q, root) - log_alpha
        return float(log_cls(q, 0.0, root, 0.0)[0]) - log_alpha

    low = max(count.best(), 0.0) + 1e-9
    if above(low) <= 0.0:
        return 0.0
    high = low + 1.0
    while above(high) > 0.0:
        high = low + 2.0 * (high - low)
    return float(brentq(above, low, high, xtol=1e-11, rtol=1e-11))


def log_p_signal(q: float, root: float) -> float:
    """Return ln p_μ of q̃ = q with √q_A = `root` (eqs. 59, 65)."""
    if q <= root * root or root == 0.0:
        return float(log_ndtr(-math.sqrt(q)))
    return float(log_ndtr(-(q + root * root) / (2.0 * root)))


def asymptotic_bands(count: ProfiledCount, confidence_level: float, criterion: str) -> tuple[float, ...]:
    """Return the expected limits: signals with √q_A = Φ⁻¹(1−αΦ(N)) + N (eq. 89); for CLs+b without Φ(N)."""
    asimov = count.asimov()
    roots = gaussian_limits(confidence_level)
    if criterion == "clsb":
        roots = ndtri(np.array(QUANTILES)) + ndtri(confidence_level)
    return tuple(_signal_of_root(asimov, float(root)) for root in roots)


def _signal_of_root(asimov: ProfiledCount, target: float) -> float:
    if target <= 0.0:
        return 0.0
    high = 1.0
    while math.sqrt(asimov.q_tilde(high)) < target:
        high *= 2.0
    return float(brentq(lambda s: math.sqrt(asimov.q_tilde(s)) - target, 0.0, high, xtol=1e-11, rtol=1e-11))
