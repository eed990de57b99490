"""Signals injected into counting windows of several channels: pseudo-experiments of all, and pulls.

The pull is the signed root of the likelihood ratio, as in `scanner.studies.counts`, of all counts together.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.joint_counts import JointCounts, joint_problem
from scanner.stats.sampling import normal_numbers, poisson_toys

Floats = NDArray[np.float64]


def pulls(counts: JointCounts, signal: float, key: int, toys: int) -> tuple[Floats, Floats]:
    """Return fitted signals and pulls of pseudo-experiments of one set of counts; NaN without a fit.

    Backgrounds are the best estimates of the off regions, which fluctuate as the efficiency does.

    Parameters
    ----------
    counts : JointCounts
        Of one window.
    signal : float
        Events in all channels, inside and outside of the windows.
    key : int
        What random numbers follow from.
    toys : int
        How many, T.

    Returns
    -------
    yields, pulls : (T,) float
    """
    problem = joint_problem(counts)
    off, tau = (values[0] for values in counts.auxiliary)
    background = np.divide(off, tau, out=counts.gamma[0][0].copy(), where=tau > 0.0)
    background = np.where(counts.shares[0] > 0.0, background, 0.0)
    spread = math.log1p(float(counts.efficiency_error[0]))
    thrown = []
    for toy in range(toys):
        scale = math.exp(spread * float(normal_numbers(key, toy, 1)[0]))
        beside = np.where(counts.shares[0] > 0.0, tau * background, 0.0)
        mean = np.concatenate([scale * signal * counts.shares[0] + background, beside])
        thrown.append(poisson_toys(mean, key, toy, 1, stream=1)[0])
    many = replace(problem.select(np.zeros(toys, dtype=np.int64)), counts=np.array(thrown, dtype=np.float64))
    free, held = fit(many), fit(many, np.full(toys, signal))
    sound = np.isin(free.status, USABLE) & np.isin(held.status, USABLE)
    root = np.sqrt(2.0 * np.maximum(held.nll - free.nll, 0.0))
    return free.yields, np.where(sound, np.copysign(root, free.yields - signal), np.nan)
