"""Exact limits from the number of events in the core of each window.

n events in the core bins are compared with the background that the bins beside the core predict.
Its variance, that of the sideband fit, enters as a Gamma distribution, so that the background count
is negative binomial and every sum is exact. Discreteness makes these limits conservative.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels import core as columns
from scanner.kernels.window import usable
from scanner.likelihood import BinnedProblem, Floats
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.limits import COUNTING, Limits
from scanner.stats.settings import Settings


def counting_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return exact CLs limits of every window from its core bins, whatever its counts.

    Yield, error and fit quality stay those of the likelihood fit.
    """
    return with_counting(problem, settings, asymptotic_limits_above(problem, settings, np.inf))


def with_counting(problem: BinnedProblem, settings: Settings, limits: Limits) -> Limits:
    """Return `limits` with those that are missing set by counting."""
    missing = np.flatnonzero(~np.isfinite(limits.yield_limit))
    if missing.size == 0:
        return limits
    problem.refuse_nuisances("an exact limit")
    part = problem if missing.size == problem.windows else problem.select(missing)
    rows, status = run_kernel(part, settings.confidence_level, np.zeros(missing.size))
    counted = rows.T

    def put(old: Floats, new: Floats) -> Floats:
        merged = old.copy()
        merged[missing] = new
        return merged

    method = limits.method.copy()
    method[missing] = np.where([usable(code) for code in status], COUNTING, limits.method[missing])
    return replace(
        limits,
        yield_limit=put(limits.yield_limit, counted[columns.LIMIT]),
        expected=put(limits.expected, rows[:, columns.EXPECTED_LIMITS :]),
        n_background=put(limits.n_background, counted[columns.BACKGROUND]),
        p_local=put(limits.p_local, counted[columns.LOCAL_P]),
        z_local=put(limits.z_local, counted[columns.LOCAL_Z]),
        method=method,
    )


def run_kernel(
    problem: BinnedProblem, confidence_level: float, extra: Floats
) -> tuple[Floats, NDArray[np.uint8]]:
    """Run the kernel; return its result rows (W, 13) and the status of the sideband fits."""
    rows = np.empty((problem.windows, columns.EXPECTED_LIMITS + len(QUANTILES)))
    status = np.empty(problem.windows, dtype=np.uint8)
    columns.count_windows(
        problem.counts,
        problem.signal,
        problem.background,
        problem.terms,
        problem.core_bins(),
        extra,
        np.array(QUANTILES),
        np.log1p(-confidence_level),
        rows,
        status,
    )
    return rows, status
