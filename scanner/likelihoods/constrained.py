"""Batched fits of windows with constrained nuisances, and the Asimov data of such fits.

Windows without nuisances may be handed over too; `scanner.likelihoods.fit` has faster fits of them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.constrained import batch
from scanner.kernels.linear.window import BOUNDARY, IMPOSSIBLE, ZERO
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Nuisances

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ConstrainedFit:
    """Minima of W windows; NaN where `status` says that there is none, or where none was asked for."""

    theta: Floats
    """(W, J+K+1) nuisances, background coefficients (NaN where a window does not use the term), yield."""
    tangent: Floats
    """(W, J+K+1) how the others follow the yield along the profile, dθ/ds."""
    pull_errors: Floats
    """(W, J) standard deviations of the nuisances."""
    numbers: Floats
    """(W, 6) columns of `scanner.kernels.constrained.batch`."""
    expected: Floats
    """(W, B) expected events."""
    beta: Floats
    """(W, B) factor of the template statistics, 1 without."""
    status: NDArray[np.uint8]
    """(W,) status of `scanner.kernels.linear.window`."""
    attempts: NDArray[np.uint8]
    """(W,) how many minimisers were tried."""

    @property
    def found(self) -> Mask:
        """Windows that have a minimum, (W,)."""
        return np.asarray(self.status <= BOUNDARY)

    @property
    def yields(self) -> Floats:
        """Signal yields (W,)."""
        return self.theta[:, -1]


def fit_constrained(
    problem: BinnedProblem, fixed: Floats, start: Floats | None = None, chosen: Mask | None = None
) -> ConstrainedFit:
    """Fit windows on their own, without a second opinion.

    Parameters
    ----------
    problem : BinnedProblem
    fixed : (W,) float
        Signal yields to hold; NaN leaves a window's yield free.
    start : (W, J+K+1) float, optional
        Parameters to start from, laid out as `ConstrainedFit.theta`; rows without a yield start from
        nothing, as all do by default.
    chosen : (W,) bool, optional
        Windows to fit; default all.
    """
    windows, terms, bins = problem.background.shape
    nuisances = 0 if problem.nuisances is None else len(problem.nuisances.names)
    shape = (windows, nuisances + terms + 1)

    def empty(*size: int) -> Floats:
        return np.full((windows, *size), np.nan)

    asked = np.ones(windows, dtype=np.uint8) if chosen is None else chosen.astype(np.uint8)
    status, attempts = np.full(windows, IMPOSSIBLE, dtype=np.uint8), np.zeros(windows, dtype=np.uint8)
    result = ConstrainedFit(
        empty(shape[1]),
        empty(shape[1]),
        empty(nuisances),
        empty(batch.COLUMNS),
        empty(bins),
        empty(bins),
        status,
        attempts,
    )
    first = np.full(shape, np.nan) if start is None else np.ascontiguousarray(start)
    held = np.ascontiguousarray(fixed, dtype=np.float64)
    batch.fit_constrained_windows(
        problem.arrays,
        asked,
        held,
        first,
        result.theta,
        result.tangent,
        result.pull_errors,
        result.numbers,
        result.expected,
        result.beta,
        status,
        attempts,
    )
    return result


def asimov(problem: BinnedProblem, truth: ConstrainedFit) -> BinnedProblem:
    """Return the Asimov data of a fit: data whose best parameters are those of the fit.

    Counts are the expectation, and the global observables and the measured template statistics take the
    values of the fit (arXiv:1007.1727, section 3.2). Windows without a fit keep their data.
    """
    found = truth.found[:, None]
    expected = np.where(found, truth.expected, problem.counts)
    counts = np.where(expected > ZERO, expected, 0.0)
    old = problem.nuisances
    if old is None:
        return replace(problem, counts=counts)
    observed = np.where(found, truth.theta[:, : len(old.names)], old.observed)
    moved: Nuisances = replace(old, observed=observed, measured=np.where(found, truth.beta, old.measured))
    return replace(problem, counts=counts, nuisances=moved)
