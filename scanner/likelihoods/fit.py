"""Batched fits of signal and background, and the ladder that a failing window climbs.

Every window is fitted on its own by Newton's method; where an empty bin would turn negative, an
interior-point method finds the minimum on that boundary; where neither converges, iminuit is asked.
Windows with constrained nuisances have kernels of their own, and the same ladder.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.constrained import batch as nuisance_batch
from scanner.kernels.linear import window as codes
from scanner.kernels.linear.window import fit_windows
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import fit_constrained
from scanner.likelihoods.expectation import Expectation

STATUS_MEANINGS: dict[int, str] = {
    codes.OK: "ok",
    codes.BOUNDARY: "positivity_boundary",
    codes.EMPTY: "empty_window",
    codes.SECOND_OPINION: "second_opinion",
    codes.NOT_CONVERGED: "not_converged",
    codes.SINGULAR: "terms_not_separable",
    codes.IMPOSSIBLE: "events_where_none_are_possible",
}
"""What each status says; the first two and `second_opinion` have a minimum, the others are NaN.

At the positivity boundary an empty bin's expectation is zero at the minimum.
"""
USABLE = (codes.OK, codes.BOUNDARY, codes.SECOND_OPINION)


@dataclass(frozen=True)
class Fit:
    """Minima of the windows of a problem; NaN where `status` says that there is none."""

    yields: Floats
    """(W,) signal yields ŝ [events]."""
    errors: Floats
    """(W,) one standard deviation of ŝ from the Hessian [events]; 0 where the yield was fixed, and NaN
    where the Hessian at the positivity boundary does not determine it."""
    background: Floats
    """(W, K) background coefficients; NaN where a window does not use the term."""
    nll: Floats
    """(W,) negative log-likelihood minus that of the saturated model, ν = n."""
    edm: Floats
    """(W,) upper bound of the distance from the minimal NLL."""
    status: NDArray[np.uint8]
    """(W,) key of STATUS_MEANINGS."""
    pulls: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(W, J) best nuisances α̂; (W, 0) without nuisances."""
    pull_errors: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(W, J) one standard deviation of each from the Hessian; below 1 where the data constrain it."""
    attempts: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    """(W,) how many minimisers were tried, 0 where there was nothing to fit: the first is Newton's, for
    windows with nuisances the interior point is the second, iminuit comes last."""


def fit(problem: BinnedProblem, fixed_yields: Floats | None = None, *, second_opinion: bool = True) -> Fit:
    """Fit yield and background of every window, or the background at fixed yields.

    Parameters
    ----------
    problem : BinnedProblem
    fixed_yields : (W,) float, optional
        Signal yields to hold; NaN leaves a window's yield free.
    second_opinion : bool
        Whether iminuit is asked about windows that did not converge.
    """
    unknown = np.full(problem.windows, np.nan)
    fixed = unknown if fixed_yields is None else np.array(fixed_yields, dtype=np.float64)
    fitted = _fit_linear if problem.nuisances is None else fit_with_nuisances
    result = fitted(problem, fixed)
    return _ask_minuit(problem, fixed, result) if second_opinion else result


def _fit_linear(problem: BinnedProblem, fixed: Floats) -> Fit:
    windows, terms = problem.background.shape[:2]
    theta = np.empty((windows, terms + 1))
    error, nll, edm = np.empty(windows), np.empty(windows), np.empty(windows)
    status = np.empty(windows, dtype=np.uint8)
    fit_windows(
        problem.counts,
        problem.signal,
        problem.background,
        problem.terms,
        fixed,
        theta,
        error,
        nll,
        edm,
        status,
    )
    tried = ~np.isin(status, (codes.EMPTY, codes.SINGULAR, codes.IMPOSSIBLE))
    none = np.empty((windows, 0))
    attempts = tried.astype(np.uint8)
    return Fit(theta[:, -1], error, theta[:, :-1], nll, edm, status, none, none.copy(), attempts)


def fit_with_nuisances(problem: BinnedProblem, fixed: Floats) -> Fit:
    """Fit by the kernels for nuisances, which a problem without any may use too.

    Parameters
    ----------
    problem : BinnedProblem
    fixed : (W,) float
        Signal yields to hold; NaN leaves a window's yield free.
    """
    found = fit_constrained(problem, fixed)
    nuisances = found.pull_errors.shape[1]
    numbers, theta = found.numbers, found.theta
    return Fit(
        theta[:, -1],
        numbers[:, nuisance_batch.ERROR].copy(),
        theta[:, nuisances:-1],
        numbers[:, nuisance_batch.NLL].copy(),
        numbers[:, nuisance_batch.EDM].copy(),
        found.status,
        theta[:, :nuisances],
        found.pull_errors,
        found.attempts,
    )


def _ask_minuit(problem: BinnedProblem, fixed: Floats, result: Fit) -> Fit:
    """Replace, in place, what iminuit can say about windows that did not converge."""
    doubtful = np.flatnonzero(result.status == codes.NOT_CONVERGED)
    if doubtful.size == 0:
        return result
    from scanner.likelihoods.minuit import fit_window

    result.attempts[doubtful] += 1
    for w in doubtful:
        opinion = fit_window(problem, int(w), None if np.isnan(fixed[w]) else float(fixed[w]))
        if opinion.valid:
            used = problem.terms[w]
            result.yields[w], result.errors[w] = opinion.signal_yield, opinion.error
            result.background[w, :used] = opinion.background
            result.nll[w], result.edm[w] = opinion.nll, opinion.edm
            result.pulls[w], result.pull_errors[w] = opinion.pulls, opinion.pull_errors
            result.status[w] = codes.SECOND_OPINION
    return result


def expectation(problem: BinnedProblem, result: Fit) -> Floats:
    """Return the (W, B) expected events of a fit; NaN for windows with nuisances that have none."""
    if problem.nuisances is not None:
        return _expectation_with_nuisances(problem, result)
    background = np.einsum("wk,wkb->wb", np.nan_to_num(result.background), problem.background)
    total: Floats = background + result.yields[:, None] * problem.signal
    return total


def _expectation_with_nuisances(problem: BinnedProblem, result: Fit) -> Floats:
    total = np.full(problem.counts.shape, np.nan)
    for w in np.flatnonzero(np.isin(result.status, USABLE)):
        background = result.background[w, : problem.terms[w]]
        theta = np.concatenate([result.pulls[w], background, result.yields[w : w + 1]])
        total[w], _ = Expectation.of(problem, int(w)).expected(theta, problem.counts[w])
    return total
