"""Bayesian upper limits of mass windows.

The posterior of the signal yield s ≥ 0 is the likelihood times priors, integrated over the background and
the nuisances. Priors of the background coefficients are flat over all values with a background that is
nowhere negative, those of nuisances are their constraints; the prior of the yield is flat in the yield,
flat in a coupling g with s ∝ g^power, or 1/√s.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtri

from scanner.constants import QUANTILES
from scanner.kernels.bayesian.posterior import GRID, credible_limits
from scanner.kernels.linear import window
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, Fit, fit
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.constrained_posterior import Posterior, starting_coefficients, throw_sets
from scanner.stats.constrained_ratios import with_specks
from scanner.stats.density import Density, pooled
from scanner.stats.limits import BAYESIAN, NO_LIMIT, Limits
from scanner.stats.sampling import poisson_toys
from scanner.stats.settings import Settings

REPLICATES = 8
"""Independent randomisations of the sample, whose scatter is the error of a limit."""
DEGREES = 5.0
"""Degrees of freedom of the multivariate t distribution that is sampled from."""
FIRST, LAST = 64, 16_384
"""Samples of a replicate to begin with, and the most ..."""
LAST_OF_MANY, LAST_OF_TOYS = 2048, 256
"""... with nuisances, where a sample costs more; and those of toys of such a window."""
RELATIVE_ERROR = 0.005
"""Standard error of a limit, relative to it, that is good enough; a worse one is no limit."""
WORST_ERROR = 0.1
"""The same with nuisances, where the most samples are not good enough: `yield_limit_error` tells."""
BAND_TOYS = 200
"""Toys of the expected limits: quantiles of them are good to a few percent."""
BAND_ERROR = 0.02
"""Relative standard error of each toy's limit."""
TOY_STREAM = 1
"""Stream of the background-only toys."""


def prior_power(settings: Settings) -> float:
    """Return γ of the prior s^(γ−1) of the yield."""
    if settings.prior == "flat in coupling":
        return 1.0 / settings.power
    return 0.5 if settings.prior == "1/sqrt(yield)" else 1.0


def proposal_points(key: int, size: int, dimensions: int) -> tuple[Floats, Floats]:
    """Return points (R, N, K) of a multivariate t distribution and the logarithm of its density (R, N).

    Lattices of Kronecker's kind, u_i = i (φ⁻¹, φ⁻², …) + shift mod 1 with φ^(K+2) = φ + 1, one dimension
    more than K for the mixing of the t distribution; the shifts of the replicates follow from the key.
    """
    golden = 2.0
    for _ in range(60):
        golden = (1.0 + golden) ** (1.0 / (dimensions + 2.0))
    steps = golden ** -np.arange(1.0, dimensions + 2.0)
    rng = np.random.Generator(np.random.Philox(key=[key, 0]))
    shifts = rng.random((REPLICATES, 1, dimensions + 1))
    u = np.mod(np.arange(1, size + 1)[:, None] * steps + shifts, 1.0)
    u = np.clip(u, 1e-12, 1.0 - 1e-12)
    mixing = np.sqrt(DEGREES / chdtri(DEGREES, u[..., -1]))
    points: Floats = np.ascontiguousarray(ndtri(u[..., :-1]) * mixing[..., None])
    squared = np.sum(points * points, axis=-1)
    return points, -0.5 * (DEGREES + dimensions) * np.log1p(squared / DEGREES)


@dataclass(frozen=True)
class Credible:
    """Upper limits of several data sets of one window."""

    limits: Floats
    """(T,) limits on the yield; NaN where there is none."""
    errors: Floats
    """(T,) their standard errors from the sampling."""
    densities: list[list[Density]]
    """The posteriors of the R replicates of each data set; none where there is no limit."""


def bayesian_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return Bayesian upper limits of every window, whatever its counts.

    The standard error of an observed limit, `yield_limit_error`, is below `RELATIVE_ERROR` of it: more
    samples are taken until it is, and where the most are not enough there is no limit; with nuisances there
    is one up to `WORST_ERROR`. Expected limits are quantiles of the limits of `BAND_TOYS` toys (fewer by
    `settings.toys`) of the background-only fit, of a relative standard error below `BAND_ERROR` each. Yield,
    error and significance are those of the fit.
    """
    limits = asymptotic_limits_above(problem, settings, np.inf)
    null = fit(problem if problem.nuisances is None else with_specks(problem), np.zeros(problem.windows))
    expected = np.full((problem.windows, len(QUANTILES)), np.nan)
    observed, errors = np.full((2, problem.windows), np.nan)
    failed = np.zeros(problem.windows, dtype=np.int64)
    toys = min(BAND_TOYS, settings.toys)
    for w in range(problem.windows):
        data = credible(problem, w, problem.counts[w : w + 1], settings, RELATIVE_ERROR)
        observed[w], errors[w] = data.limits[0], data.errors[0]
        limits_of_toys = toy_limits(problem, null, w, toys, settings)
        failed[w] = np.count_nonzero(np.isnan(limits_of_toys))
        expected[w] = band(limits_of_toys)
    found = np.isfinite(observed)
    return replace(
        limits,
        yield_limit=observed,
        expected=expected,
        method=np.where(found, BAYESIAN, NO_LIMIT).astype(np.uint8),
        toys=np.full(problem.windows, toys, dtype=np.int64),
        toys_failed=failed,
        yield_limit_error=errors,
    )


def credible_limits_cover(problem: BinnedProblem, signal_yield: float, settings: Settings) -> Floats:
    """Tell of every window (W,) whether its limit is at or above a yield: 1, 0, or NaN without a limit."""
    rows = [problem.counts[w : w + 1] for w in range(problem.windows)]
    found = [credible(problem, w, row, settings, BAND_ERROR).limits[0] for w, row in enumerate(rows)]
    limits = np.array(found)
    return np.where(np.isnan(limits), np.nan, limits >= signal_yield)


def credible(problem: BinnedProblem, w: int, counts: Floats, settings: Settings, accuracy: float) -> Credible:
    """Return the limits of data sets `counts` (T, B) of window `w`, NaN if not `accuracy` good.

    Samples are doubled for the data sets that need it; the points are those of the window's key.
    """
    if problem.nuisances is not None:
        sets = problem.select(np.full(len(counts), w))
        return credible_sets(replace(sets, counts=counts), settings, accuracy)
    result = Credible(np.full(len(counts), np.nan), np.full(len(counts), np.nan), [[] for _ in counts])
    missing = np.arange(len(counts))
    size = FIRST if accuracy <= RELATIVE_ERROR else FIRST // 4
    while missing.size and size <= LAST:
        found, status = _run(problem, w, counts[missing], settings, size)
        good = found.errors <= accuracy * found.limits
        result.limits[missing[good]], result.errors[missing[good]] = found.limits[good], found.errors[good]
        for i in np.flatnonzero(good):
            result.densities[missing[i]] = found.densities[i]
        missing = missing[~good & (status == window.OK)]
        size *= 2
    return result


def _run(
    problem: BinnedProblem, w: int, counts: Floats, settings: Settings, size: int
) -> tuple[Credible, NDArray[np.uint8]]:
    """Return the limits from `size` samples of each replicate, however good, and the status."""
    terms, sets, power = int(problem.terms[w]), len(counts), prior_power(settings)
    points, log_proposal = proposal_points(int(problem.keys[w]), size if terms else 1, terms)
    limits, errors, status = np.empty(sets), np.empty(sets), np.empty(sets, dtype=np.uint8)
    nodes, logs = np.empty((sets, 2)), np.empty((sets, REPLICATES, GRID))
    credible_limits(
        np.ascontiguousarray(counts),
        problem.signal[w],
        np.ascontiguousarray(problem.background[w, :terms]),
        terms,
        points,
        log_proposal,
        settings.confidence_level,
        power,
        limits,
        errors,
        nodes,
        logs,
        status,
    )
    densities = [
        [Density(start, step, row, power) for row in rows]
        for (start, step), rows in zip(nodes, logs, strict=True)
    ]
    return Credible(limits, errors, densities), status


def credible_sets(sets: BinnedProblem, settings: Settings, accuracy: float) -> Credible:
    """Return the limits of windows with nuisances, each a data set, NaN if worse than `WORST_ERROR`."""
    result = Credible(np.full(sets.windows, np.nan), np.full(sets.windows, np.nan), [[] for _ in sets.counts])
    start = starting_coefficients(sets)
    for t in range(sets.windows):
        posterior = Posterior(sets, t, prior_power(settings))
        centres = posterior.centres(start[t, : sets.terms[t]])
        size, last = (FIRST, LAST_OF_MANY) if accuracy <= RELATIVE_ERROR else (FIRST // 4, LAST_OF_TOYS)
        while centres is not None and size <= last:
            densities = posterior.densities(
                centres, *proposal_points(int(sets.keys[t]), size, posterior.size)
            )
            if not densities:
                break
            limit, error = pooled_limit(densities, settings.confidence_level)
            if error <= accuracy * limit or (size == last and error <= WORST_ERROR * limit):
                result.limits[t], result.errors[t], result.densities[t] = limit, error, densities
                break
            size *= 2
    return result


def pooled_limit(replicates: list[Density], share: float) -> tuple[float, float]:
    """Return the quantile of the mean of the replicates, and its standard error from their scatter."""
    own = [replicate.quantile(share) for replicate in replicates]
    return pooled(replicates).quantile(share), float(np.std(own, ddof=1) / np.sqrt(len(own)))


def throw_background(problem: BinnedProblem, null: Fit, w: int, toys: int) -> Floats:
    """Return toys (T, B) of the background-only fit of window `w`; none where that fit failed.

    A window without events has a background fitted to zero, and so have its toys.
    """
    expected = np.nan_to_num(null.background[w]) @ problem.background[w]
    known = problem.terms[w] == 0 or null.status[w] == window.EMPTY
    if not (known or null.status[w] in USABLE):
        return np.empty((0, expected.size))
    return poisson_toys(np.maximum(expected, 0.0), int(problem.keys[w]), 0, toys, stream=TOY_STREAM)


def toy_limits(problem: BinnedProblem, null: Fit, w: int, toys: int, settings: Settings) -> Floats:
    """Return the limits of toys of the background-only fit of window `w`; none where that fit failed."""
    if problem.nuisances is None:
        return credible(problem, w, throw_background(problem, null, w, toys), settings, BAND_ERROR).limits
    sets = throw_sets(problem, null, w, toys, TOY_STREAM)
    return np.empty(0) if sets is None else credible_sets(sets, settings, BAND_ERROR).limits


def band(limits: Floats) -> Floats:
    """Return the quantiles of toys' limits; a failed toy counts as a limit above all others."""
    if limits.size == 0:
        return np.full(len(QUANTILES), np.nan)
    counted = np.where(np.isnan(limits), np.inf, limits)
    quantiles = np.quantile(counted, QUANTILES, method="inverted_cdf")
    return np.where(np.isfinite(quantiles), quantiles, np.nan)
