"""Posteriors of unbinned windows, whose channels share one signal.

The background is profiled; nuisances, with their constraints as priors, are integrated over at every yield by
importance sampling. The scatter of the replicates of the sample is the stated error.
"""

from dataclasses import replace

import numpy as np

from scanner.kernels.linear.window import usable
from scanner.kernels.unbinned.channel import State
from scanner.kernels.unbinned.joint_posterior import marginal_logs, posterior_range
from scanner.kernels.unbinned.signals import CENTRE, Model
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats.density import Density
from scanner.stats.limits import BAYESIAN, NO_LIMIT, Limits
from scanner.stats.posterior import (
    BAND_ERROR,
    BAND_TOYS,
    RELATIVE_ERROR,
    WORST_ERROR,
    band,
    pooled_limit,
    prior_power,
    proposal_points,
)
from scanner.stats.settings import Settings
from scanner.stats.simultaneous import asymptotic_simultaneous
from scanner.stats.simultaneous_toys import SimultaneousWindow

NODES, NODES_OF_TOYS = 41, 25
"""Yields at which a posterior is integrated over the nuisances, for data and for toys, ..."""
SAMPLES, SAMPLES_OF_TOYS = (16, 512), (4, 64)
"""... and samples of a replicate there to begin with, and the most."""


def bayesian_simultaneous(problem: SimultaneousProblem, settings: Settings) -> Limits:
    """Return Bayesian upper limits of every window.

    The posterior is the likelihood times the prior of the yield s ≥ 0. The standard error of a limit from
    the sampling is `yield_limit_error`. Expected limits are quantiles of those of toys without signal,
    `BAND_TOYS` of them or fewer by `settings.toys`.
    """
    limits = asymptotic_simultaneous(problem, settings, np.inf)
    toys = min(BAND_TOYS, settings.toys)
    observed, errors = np.full((2, problem.windows), np.nan)
    expected = np.full(limits.expected.shape, np.nan)
    failed = np.zeros(problem.windows, dtype=np.int64)
    for w in range(problem.windows):
        window = SimultaneousWindow(problem, w)
        if not usable(window.status):
            continue
        observed[w], errors[w] = credible_limit(*window.load(), window.key, settings, RELATIVE_ERROR)
        thrown = window.background_toys(toys)
        found = [credible_limit(*toy, window.key, settings, BAND_ERROR)[0] for toy in thrown]
        failed[w] = np.count_nonzero(np.isnan(found))
        expected[w] = band(np.array(found))
    return replace(
        limits,
        yield_limit=observed,
        expected=expected,
        yield_limit_error=errors,
        method=np.where(np.isfinite(observed), BAYESIAN, NO_LIMIT).astype(np.uint8),
        toys=np.full(problem.windows, toys, dtype=np.int64),
        toys_failed=failed,
    )


def credible_limit(
    state: State, model: Model, key: int, settings: Settings, accuracy: float
) -> tuple[float, float]:
    """Return the upper limit of loaded data and its standard error, NaN where there is none.

    Samples are doubled until the error is `accuracy` of the limit, or the most of them leave it below
    `WORST_ERROR`.
    """
    low, high = posterior_range(state, model, np.zeros(3))
    if not np.isfinite(high):
        return np.nan, np.nan
    careful, nuisances = accuracy <= RELATIVE_ERROR, model[2][CENTRE].size
    roots = np.linspace(np.sqrt(low), np.sqrt(high), NODES if careful else NODES_OF_TOYS)
    size, last = SAMPLES if careful else SAMPLES_OF_TOYS
    while size <= last:
        points, proposal = proposal_points(key, size, nuisances)
        if nuisances == 0:
            points, proposal = points[:1, :1], proposal[:1, :1]
        limit, error = _limit_of(state, model, roots, points, proposal, settings)
        if not error > (accuracy if size < last else WORST_ERROR) * limit:
            return limit, error
        size *= 2
    return np.nan, np.nan


def _limit_of(
    state: State, model: Model, roots: Floats, points: Floats, proposal: Floats, settings: Settings
) -> tuple[float, float]:
    rows, level = np.empty((len(points), roots.size)), settings.confidence_level
    marginal_logs(state, model, roots, points, proposal, rows)
    if not np.isfinite(rows).all():
        return np.nan, np.nan
    step, power = float(roots[1] - roots[0]), prior_power(settings)
    densities = [Density(float(roots[0]), step, row, power) for row in rows]
    if len(densities) == 1:
        return densities[0].quantile(level), 0.0
    return pooled_limit(densities, level)
