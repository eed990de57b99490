"""Batched fits of signal and background, and the ladder that a failing window climbs.

Every window is fitted on its own by Newton's method; where an empty bin would turn negative, an
interior-point method finds the minimum on that boundary; where neither converges, iminuit is asked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import window as codes
from scanner.kernels.window import fit_windows
from scanner.likelihood import BinnedProblem, Floats

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
    problem.refuse_nuisances("a fit")
    windows, terms = problem.background.shape[:2]
    fixed = np.full(windows, np.nan) if fixed_yields is None else np.array(fixed_yields, dtype=np.float64)
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
    result = Fit(theta[:, -1], error, theta[:, :-1], nll, edm, status)
    return _ask_minuit(problem, fixed, result) if second_opinion else result


def _ask_minuit(problem: BinnedProblem, fixed: Floats, result: Fit) -> Fit:
    """Replace, in place, what iminuit can say about windows that did not converge."""
    doubtful = np.flatnonzero(result.status == codes.NOT_CONVERGED)
    if doubtful.size == 0:
        return result
    from scanner.minuit import fit_window

    for w in doubtful:
        opinion = fit_window(problem, int(w), None if np.isnan(fixed[w]) else float(fixed[w]))
        if opinion.valid:
            used = problem.terms[w]
            result.yields[w], result.errors[w] = opinion.signal_yield, opinion.error
            result.background[w, :used] = opinion.background
            result.nll[w], result.edm[w] = opinion.nll, opinion.edm
            result.status[w] = codes.SECOND_OPINION
    return result


def expectation(problem: BinnedProblem, result: Fit) -> Floats:
    """Return the (W, B) expected events of a fit."""
    background = np.einsum("wk,wkb->wb", np.nan_to_num(result.background), problem.background)
    total: Floats = background + result.yields[:, None] * problem.signal
    return total
