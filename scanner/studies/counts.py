"""Signals injected into counting windows: pseudo-experiments of windows and their off regions, and pulls.

The pull of a count is the signed root of its likelihood ratio, r = sgn(ŝ − s) √(−2 ln L(s)/L(ŝ)), the
background and the efficiency profiled: unlike (ŝ − s)/error, whose error follows the count, its mean is zero
up to −1/(6√n) (e.g. D. A. Pierce, D. Peters, J. R. Stat. Soc. B 54 (1992) 701). Several channels have one
signal and one efficiency in common, and a background each.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from scanner.stats.experiment import CountingData
from scanner.stats.profiled_count import REACH, ProfiledCount
from scanner.stats.sampling import normal_numbers, poisson_toys

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counters:
    """The windows of C channels at one point.

    Attributes
    ----------
    channels : tuple of CountingData
        Their efficiencies exact.
    shares : tuple of float
        Events in each window of a signal of one event.
    efficiency_error : float
        Relative error of the signal's efficiency, log-normal, in all channels alike.
    """

    channels: tuple[CountingData, ...]
    shares: tuple[float, ...]
    efficiency_error: float = 0.0

    def best(self) -> float:
        """Return ŝ: between the signals that the channels see by themselves."""
        single = [
            ProfiledCount.of(data, data.observed).best() / share
            for data, share in zip(self.channels, self.shares, strict=True)
        ]
        low, high = min(single), max(single)
        if high - low <= 1e-9 * (1.0 + abs(high)):
            return high
        found = minimize_scalar(
            self._at, bounds=(low, high), method="bounded", options={"xatol": 1e-7 * (high - low)}
        )
        return float(found.x)

    def deviance(self, signal: float) -> float:
        """Return −2 ln L(s) above the saturated model, efficiency and backgrounds profiled."""
        if self.efficiency_error == 0.0 or signal <= 0.0:
            return self._at(signal)
        rate = math.log1p(self.efficiency_error)
        found = minimize_scalar(
            lambda z: self._at(signal * math.exp(rate * z)) + z * z,
            bounds=(-REACH, REACH),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return float(found.fun)

    def _at(self, signal: float) -> float:
        return sum(
            ProfiledCount.of(data, data.observed).deviance(signal * share)
            for data, share in zip(self.channels, self.shares, strict=True)
        )

    def pull(self, signal: float) -> float:
        """Return the signed root of the likelihood ratio at a signal."""
        best = self.best()
        root = math.sqrt(max(0.0, self.deviance(signal) - self.deviance(best)))
        return math.copysign(root, best - signal)

    def thrown(self, signal: float, key: int, toy: int) -> "Counters":
        """Throw a pseudo-experiment with a signal.

        Backgrounds are the best estimates of the data; their measurements and the efficiency fluctuate.
        """
        scale = math.exp(math.log1p(self.efficiency_error) * float(normal_numbers(key, toy, 1)[0]))
        means = [
            _means(data, scale * signal * share)
            for data, share in zip(self.channels, self.shares, strict=True)
        ]
        found = poisson_toys(np.ravel(means), key, toy, 1, stream=1)[0].reshape(-1, 2)
        channels = [_observed(data, *pair) for data, pair in zip(self.channels, found.tolist(), strict=True)]
        return replace(self, channels=tuple(channels))


def counters(channels: tuple[CountingData, ...], shares: tuple[float, ...]) -> Counters:
    """Return the windows of channels of one efficiency error; those without a share tell nothing."""
    seen = [number for number, share in enumerate(shares) if share > 0.0]
    return Counters(
        tuple(replace(channels[number], efficiency_error=0.0) for number in seen),
        tuple(shares[number] for number in seen),
        channels[0].efficiency_error,
    )


def _means(data: CountingData, signal: float) -> tuple[float, float]:
    """Return what is expected in a window and in its off region, which has nothing if that is no count."""
    auxiliary, tau = data.auxiliary
    if math.isinf(tau):
        return signal + auxiliary, 0.0
    return signal + auxiliary / tau, auxiliary


def _observed(data: CountingData, observed: float, off: float) -> CountingData:
    auxiliary, tau = data.auxiliary
    if math.isinf(tau):
        return CountingData(int(observed), auxiliary)
    return CountingData(int(observed), off=int(off), tau=tau)


def pulls(data: Counters, signal: float, key: int, toys: int) -> tuple[Floats, Floats]:
    """Return fitted signals and pulls (T,) of pseudo-experiments with a signal [events]."""
    found = [data.thrown(signal, key, toy) for toy in range(toys)]
    return np.array([one.best() for one in found]), np.array([one.pull(signal) for one in found])
