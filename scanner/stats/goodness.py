"""The goodness of fit by toys, where counts are too low for its asymptotic distribution."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.toys.goodness import calibrate_windows
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, expectation, fit

MOST_TOYS = 200
SHIFT = 0.1
"""Shift of twice the NLL above the saturated model, in its standard deviations, from which toys are thrown.

Its mean in a bin of ν events is 1 + 1/6ν + …, not 1 (Baker, Cousins, NIM 221 (1984) 437).
"""


def goodness_of_fit(
    problem: BinnedProblem, asymptotic: Floats, *, toys: int = MOST_TOYS
) -> tuple[Floats, NDArray[np.int64]]:
    """Replace asymptotic p-values of fits with signal by those of toys where the former are off.

    Parameters
    ----------
    problem : BinnedProblem
        Nuisances stay at their nominal values, in data and toys alike; where there are samples of known size
        or template statistics, nothing is replaced.
    asymptotic : (W,) float
        p-values by the χ² distribution; NaN where there is no fit.
    toys : int
        Toys a window at most; throwing stops when five are as far from the saturated model as the data.

    Returns
    -------
    quality : (W,) float
    thrown : (W,) int
        Toys, 0 where the p-value is asymptotic.
    """
    quality, thrown = np.array(asymptotic), np.zeros(problem.windows, dtype=np.int64)
    if problem.nuisances is not None:
        if problem.nuisances.fixed.any() or problem.nuisances.statistics.any():
            return quality, thrown
        problem = replace(problem, nuisances=None)
    found = fit(problem, second_opinion=False)
    sparse = np.isin(found.status, USABLE) & (_shift(problem, expectation(problem, found)) > SHIFT)
    theta = np.concatenate([found.background, found.yields[:, None]], axis=1)
    arrays = (problem.counts, problem.signal, problem.background, problem.terms, theta)
    calibrate_windows(*arrays, sparse.astype(np.uint8), problem.keys, toys, quality, thrown)
    return quality, thrown


def _shift(problem: BinnedProblem, expected: Floats) -> Floats:
    live = np.any(problem.background != 0.0, axis=1) | (problem.signal != 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(live, 1.0 / (6.0 * np.maximum(expected, 1e-12)), 0.0).sum(axis=1)
    degrees = np.maximum(live.sum(axis=1) - problem.terms - 1, 1)
    shift: Floats = excess / np.sqrt(2.0 * degrees)
    return shift
