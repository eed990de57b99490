"""The posterior density of a signal yield from nodes: quantiles and intervals."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar

from scanner.kernels.bayesian import density
from scanner.likelihoods.binned import Floats

TRIALS = 25
"""Intervals that are compared before the shortest of them is refined."""


@dataclass(frozen=True)
class Density:
    """The posterior density of the yield s ≥ 0, for a prior s^(γ−1).

    Attributes
    ----------
    start, step : float
        First node in √s and distance between nodes.
    logs : (M,) float
        Logarithm of the marginal likelihood at the nodes, up to a constant.
    power : float
        γ of the prior.
    """

    start: float
    step: float
    logs: Floats
    power: float

    @cached_property
    def _spline(self) -> tuple[Floats, Floats, Floats]:
        logs = self.logs - np.max(self.logs)
        density.mend_ends(logs)
        curvature, cumulative = np.empty((2, logs.size))
        density.set_curvature(self.start, self.step, logs, curvature)
        density.set_cumulative(self.power, self.start, self.step, logs, curvature, cumulative)
        return logs, curvature, cumulative

    def quantile(self, share: float) -> float:
        """Return the s below which the `share` of the posterior lies."""
        return float(density.quantile(share, self.power, self.start, self.step, *self._spline))

    def shortest(self, confidence_level: float) -> tuple[float, float]:
        """Return the shortest interval in the yield of that credibility."""

        def length(below: float) -> float:
            low = self.quantile(below) if below > 0.0 else 0.0
            return self.quantile(below + confidence_level) - low

        shares = np.linspace(0.0, (1.0 - confidence_level) * (1.0 - 1e-6), TRIALS)
        best = int(np.argmin([length(share) for share in shares]))
        bounds = shares[max(best - 1, 0)], shares[min(best + 1, TRIALS - 1)]
        found = minimize_scalar(length, bounds=bounds, method="bounded", options={"xatol": 1e-7})
        below = float(found.x) if found.fun < length(shares[best]) else float(shares[best])
        low = self.quantile(below) if below > 0.0 else 0.0
        return low, self.quantile(below + confidence_level)


def pooled(replicates: list[Density]) -> Density:
    """Return the mean of densities with the same nodes."""
    first = replicates[0]
    logs = np.logaddexp.reduce(np.array([replicate.logs for replicate in replicates]), axis=0)
    return Density(first.start, first.step, logs, first.power)
