"""Signals injected into counting windows: pseudo-experiments of the window and its off region, and pulls.

The pull of a count is the signed root of its likelihood ratio, r = sgn(ŝ − s) √(−2 ln L(s)/L(ŝ)), the
background and the efficiency profiled: unlike (ŝ − s)/error, whose error follows the count, its mean is zero
up to −1/(6√n) (e.g. D. A. Pierce, D. Peters, J. R. Stat. Soc. B 54 (1992) 701).
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.stats.experiment import CountingData
from scanner.stats.profiled_count import ProfiledCount
from scanner.stats.sampling import normal_numbers, poisson_toys

Floats = NDArray[np.float64]


def fitted(data: CountingData) -> tuple[float, float]:
    """Return ŝ, the excess of a window, and its error √(n + b/τ) [events]."""
    auxiliary, tau = data.auxiliary
    error = math.sqrt(data.observed + (0.0 if math.isinf(tau) else auxiliary / tau**2))
    return ProfiledCount.of(data, data.observed).best(), error


def pull(data: CountingData, signal: float) -> float:
    """Return the signed root of the likelihood ratio at a signal [events] in the window."""
    count = ProfiledCount.of(data, data.observed)
    root = math.sqrt(max(0.0, count.deviance(signal)))  # that of the best signal is zero
    return math.copysign(root, count.best() - signal)


def thrown(data: CountingData, signal: float, key: int, toy: int) -> CountingData:
    """Throw a pseudo-experiment of a window with a signal.

    The background is the best estimate of `data`; its auxiliary measurement and the efficiency fluctuate.
    """
    auxiliary, tau = data.auxiliary
    known = math.isinf(tau)
    scale = math.exp(math.log1p(data.efficiency_error) * float(normal_numbers(key, toy, 1)[0]))
    mean = np.array([scale * signal + (auxiliary if known else auxiliary / tau), 0.0 if known else auxiliary])
    observed, off = poisson_toys(mean, key, toy, 1, stream=1)[0].tolist()
    if known:
        return CountingData(int(observed), auxiliary, efficiency_error=data.efficiency_error)
    return CountingData(int(observed), off=int(off), tau=tau, efficiency_error=data.efficiency_error)


def pulls(data: CountingData, signal: float, key: int, toys: int) -> tuple[Floats, Floats]:
    """Return fitted signals and pulls (T,) of pseudo-experiments with a signal [events] in the window."""
    found = [thrown(data, signal, key, toy) for toy in range(toys)]
    return np.array([fitted(one)[0] for one in found]), np.array([pull(one, signal) for one in found])
