"""Limits of windows whose channels, unbinned, share one signal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels.linear import window
from scanner.kernels.unbinned import limits as columns
from scanner.kernels.unbinned.joint_limits import limit_joint_windows
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats.asymptotic import gaussian_limits
from scanner.stats.limits import ASYMPTOTIC, COUNTING, MINOS, NO_LIMIT, Limits
from scanner.stats.settings import Settings
from scanner.stats.unbinned import gaussian_rise


@dataclass(frozen=True)
class Rows:
    """What the kernel found: coefficients with and without signal, columns of results, statuses."""

    theta: Floats
    null_theta: Floats
    result: Floats
    status: NDArray[np.uint8]


def asymptotic_simultaneous(
    problem: SimultaneousProblem, settings: Settings, least: float = -np.inf
) -> Limits:
    """Return asymptotic CLs limits with bands of every window of an effective background of at least `least`.

    Windows without events in any channel have the exact limit −ln α over the part of the signal within.
    """
    rows = run(problem, np.log1p(-settings.confidence_level), 0.0, least)
    found = rows.result[:, columns.OBSERVED :]
    found[~np.all(np.isfinite(found), axis=1)] = np.nan
    method = np.where(np.isfinite(found[:, 0]), ASYMPTOTIC, NO_LIMIT).astype(np.uint8)
    empty = rows.status == window.EMPTY
    if empty.any() and least < np.inf:
        found[empty] = (-np.log1p(-settings.confidence_level) / problem.within())[empty, None]
        method[empty] = COUNTING
    return as_limits(problem, rows, found, np.zeros(problem.windows), method)


def minos_simultaneous(problem: SimultaneousProblem, settings: Settings) -> Limits:
    """Return central intervals where −2 ln λ rises by the square of the level's two-sided z."""
    rows = run(problem, 0.0, gaussian_rise(settings.confidence_level), np.inf)
    found = np.full((problem.windows, 1 + len(QUANTILES)), np.nan)
    found[:, 0] = rows.result[:, columns.UP]
    method = np.where(np.isfinite(found[:, 0]), MINOS, NO_LIMIT).astype(np.uint8)
    return as_limits(problem, rows, found, rows.result[:, columns.DOWN].copy(), method)


def run(problem: SimultaneousProblem, log_alpha: float, rise: float, least: float) -> Rows:
    """Fit and limit all windows."""
    shape = (*problem.shares.shape, int(problem.terms.max(initial=1)))
    theta, null_theta = np.empty(shape), np.empty(shape)
    result, status = np.empty((problem.windows, columns.COLUMNS)), np.empty(problem.windows, np.uint8)
    targets = gaussian_limits(float(-np.expm1(log_alpha))) if log_alpha < 0.0 else np.zeros(len(QUANTILES))
    for part in problem.runs():
        limit_joint_windows(
            problem.given(part), targets, log_alpha, rise, least,
            theta[part], null_theta[part], result[part], status[part],
        )  # fmt: skip
    return Rows(theta, null_theta, result, status)


def as_limits(
    problem: SimultaneousProblem, rows: Rows, found: Floats, lower: Floats, method: NDArray[np.uint8]
) -> Limits:
    """Return results as limits, the terms of the channels one after the other as in bins."""
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
        background_coefficients=_in_a_row(problem, rows.null_theta),
        fit_quality=np.full(len(result), np.nan),
        effective_background=result[:, columns.EFFECTIVE_BACKGROUND].copy(),
        status=rows.status,
        method=method,
        yield_lower=lower,
        toys=none,
        toys_failed=none.copy(),
        yield_limit_error=np.full(len(result), np.nan),
    )


def _in_a_row(problem: SimultaneousProblem, theta: Floats) -> Floats:
    """Return the terms in use of all channels (W, K) from those of each (W, C, K), NaN beyond."""
    used = np.where(problem.shares > 0.0, problem.terms, 0)
    places = np.arange(theta.shape[2]) < used[:, :, None]
    row = np.full((len(theta), int(used.sum(axis=1).max(initial=0))), np.nan)
    row[np.arange(row.shape[1]) < used.sum(axis=1)[:, None]] = theta[places]
    return row
