"""Asymptotic CLs limits, significances and intervals of unbinned windows of one channel.

Formulas and conventions are those of `scanner.stats.asymptotic`. The likelihood of the data is that of
the events themselves; its Asimov data set is the expectation of the background-only fit on a grid of
eight points a resolution, summed by the midpoint rule, and thus post-fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels.linear import window
from scanner.kernels.unbinned import limits as columns
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats.asymptotic import gaussian_limits
from scanner.stats.limits import ASYMPTOTIC, COUNTING, MINOS, NO_LIMIT, Limits
from scanner.stats.settings import Settings


@dataclass(frozen=True)
class _Rows:
    """What the kernel found: coefficients with and without signal, columns of results, statuses."""

    theta: Floats
    null_theta: Floats
    result: Floats
    status: NDArray[np.uint8]


def asymptotic_unbinned(problem: UnbinnedProblem, settings: Settings) -> Limits:
    """Return asymptotic CLs limits with bands of every window.

    A window without events keeps the status `empty_window`: its best background is 0, and its limits,
    observed and expected, are the exact −ln α over the part of the signal within the window, by counting.
    """
    rows = _run(problem, np.log1p(-settings.confidence_level), 0.0)
    found = rows.result[:, columns.OBSERVED :]
    found[~np.all(np.isfinite(found), axis=1)] = np.nan
    empty = rows.status == window.EMPTY
    within = problem.integrals()[:, -1]
    found[empty] = -np.log1p(-settings.confidence_level) / within[empty, None]
    method = np.where(np.isfinite(found[:, 0]), ASYMPTOTIC, NO_LIMIT).astype(np.uint8)
    method[empty] = COUNTING
    return _limits(rows, found, np.zeros(problem.windows), method)


def minos_unbinned(problem: UnbinnedProblem, settings: Settings) -> Limits:
    """Return central intervals where −2 ln λ rises by the square of the level's two-sided z."""
    rise = float(gaussian_rise(settings.confidence_level))
    rows = _run(problem, 0.0, rise)
    found = np.full((problem.windows, 1 + len(QUANTILES)), np.nan)
    found[:, 0] = rows.result[:, columns.UP]
    method = np.where(np.isfinite(found[:, 0]), MINOS, NO_LIMIT).astype(np.uint8)
    return _limits(rows, found, rows.result[:, columns.DOWN].copy(), method)


def gaussian_rise(confidence_level: float) -> float:
    """Return the quantile of χ² with one degree of freedom."""
    from scipy.special import chdtri

    return float(chdtri(1.0, 1.0 - confidence_level))


def _run(problem: UnbinnedProblem, log_alpha: float, rise: float) -> _Rows:
    windows, terms = problem.windows, problem.most_terms
    theta, null_theta = np.empty((windows, terms + 1)), np.empty((windows, terms))
    result, status = np.empty((windows, columns.COLUMNS)), np.empty(windows, dtype=np.uint8)
    targets = np.zeros(len(QUANTILES))
    if log_alpha < 0.0:
        targets = gaussian_limits(float(-np.expm1(log_alpha)))
    integrals, rows = problem.integrals(), problem.rows()
    for run in problem.runs():
        columns.limit_unbinned_windows(
            problem.events,
            problem.first[run],
            problem.last[run],
            problem.low[run],
            problem.high[run],
            problem.code,
            rows[run],
            problem.terms[run],
            integrals[run],
            problem.tables(run),
            targets,
            log_alpha,
            rise,
            theta[run],
            null_theta[run],
            result[run],
            status[run],
        )
    return _Rows(theta, null_theta, result, status)


def _limits(rows: _Rows, found: Floats, lower: Floats, method: NDArray[np.uint8]) -> Limits:
    result = rows.result
    none = np.zeros(len(result), dtype=np.int64)
    return Limits(
        yield_limit=found[:, 0].copy(),
        expected=found[:, 1:].copy(),
        signal_yield=result[:, columns.YIELD].copy(),
        signal_yield_error=result[:, columns.ERROR].copy(),
        n_background=result[:, columns.UNDER].copy(),
        p_local=result[:, columns.LOCAL_P].copy(),
        z_local=result[:, columns.LOCAL_Z].copy(),
        background_coefficients=rows.null_theta,
        fit_quality=np.full(len(result), np.nan),
        effective_background=result[:, columns.EFFECTIVE_BACKGROUND].copy(),
        status=rows.status,
        method=method,
        yield_lower=lower,
        toys=none,
        toys_failed=none.copy(),
        yield_limit_error=np.full(len(result), np.nan),
    )
