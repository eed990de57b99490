"""CLs and CLs+b of a count whose background and efficiency are averaged over their distributions.

P(≤n | s) is the average of the Poisson probability, as in Cousins and Highland, NIM A320 (1992) 331.
"""

import math

from scipy.optimize import brentq
from scipy.special import gammaincc

from scanner.errors import InputError
from scanner.kernels.counting.exact import counting_limit
from scanner.stats.experiment import CountingData
from scanner.stats.mixture import Mixture

FARTHEST = 1e15


def cumulative(strength: float, n: int, backgrounds: Mixture, scales: Mixture) -> float:
    """Return P(≤n | s)."""
    total = strength * scales[0][:, None] + backgrounds[0][None, :]
    return float(scales[1] @ gammaincc(n + 1.0, total) @ backgrounds[1])


def cls_limit(data: CountingData, n: int, confidence_level: float) -> float:
    """Return the signal with P(≤n | s) = (1 − CL) P(≤n | 0)."""
    if data.is_exact:
        mean, spread = data.gamma
        return float(counting_limit(n, mean, spread, math.log1p(-confidence_level)))
    none = cumulative(0.0, n, data.backgrounds(), data.efficiencies())
    return _signal_of(data, n, (1.0 - confidence_level) * none)


def clsb_limit(data: CountingData, n: int, confidence_level: float) -> float:
    """Return the signal with P(≤n | s) = 1 − CL, or 0 where no signal at all is already excluded."""
    alpha = 1.0 - confidence_level
    if cumulative(0.0, n, data.backgrounds(), data.efficiencies()) <= alpha:
        return 0.0
    return _signal_of(data, n, alpha)


def _signal_of(data: CountingData, n: int, target: float) -> float:
    backgrounds, scales = data.backgrounds(), data.efficiencies()
    high = 1.0
    while cumulative(high, n, backgrounds, scales) > target:
        high *= 2.0
        if high > FARTHEST:
            raise InputError("no finite limit: the efficiency is too uncertain")
    return float(
        brentq(lambda s: cumulative(s, n, backgrounds, scales) - target, 0.0, high, xtol=1e-14, rtol=1e-12)
    )
