"""Asymptotic CLs limits with bands (Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727).

Test statistic q̃_μ (eq. 16), its distributions (eqs. 59, 65, 66), bands from
μ_N = σ[Φ⁻¹(1−αΦ(N)) + N] (eq. 89) with σ = μ/√q_A taken anew at each μ_N. The Asimov data set is
post-fit: the expectation of the background-only fit to the data, for the observed and for the
expected limits alike. That is pyhf's convention, where the same numbers are roots of CLs_exp(N, μ).
Nuisances take their conditional values in it, and their global observables and the measured template
statistics move there too.

For CLs+b the bands are σ[Φ⁻¹(1−α) + N] (section 4.3), and 0 where that is negative.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from scanner.constants import QUANTILES
from scanner.kernels.linear import cls, hypotheses, window
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, fit
from scanner.stats.constrained_limits import Pair, describe, fit_pair, limits
from scanner.stats.limits import ASYMPTOTIC, NO_LIMIT, Limits
from scanner.stats.settings import Settings

ASKED = 8
"""Bit of iminuit among the attempts at a fit, see `scanner.stats.recovery`."""


@dataclass(frozen=True)
class Hypotheses:
    """Fits of W windows with a free yield and without signal."""

    theta: Floats
    """(W, K+1) coefficients of the free fit, the yield last."""
    null_theta: Floats
    """(W, K) coefficients of the background-only fit."""
    rows: Floats
    """(W, 9) columns of `scanner.kernels.linear.hypotheses`."""
    status: NDArray[np.uint8]
    """(W,) key of `scanner.likelihoods.fit.STATUS_MEANINGS`."""


def asymptotic_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return asymptotic CLs limits of every window, whatever its counts.

    They are too low at low counts: by 7% at a background of 10 events, by 30% without any.
    """
    return asymptotic_limits_above(problem, settings, 0.0)


def asymptotic_limits_above(problem: BinnedProblem, settings: Settings, threshold: float | Floats) -> Limits:
    """Fit every window, and set limits where the effective background is at least `threshold`, also (W,)."""
    level = settings.confidence_level
    targets = gaussian_limits(level, settings.criterion)
    if problem.nuisances is None and settings.criterion == "cls":
        fits = fit_hypotheses(problem)
        found = limit_rows(problem, fits, level, threshold, targets, np.zeros(problem.windows))
    else:
        fits, pair = constrained_hypotheses(problem)
        strong: NDArray[np.bool_] = fits.rows[:, hypotheses.EFFECTIVE_BACKGROUND] >= threshold
        found = limits(problem, pair, targets, 1.0 - level, settings.criterion, strong)
        _ask_about_lost(problem, fits)
    return as_limits(problem, fits, found, ASYMPTOTIC, np.zeros(problem.windows))


def as_limits(problem: BinnedProblem, fits: Hypotheses, found: Floats, method: int, lower: Floats) -> Limits:
    """Return fits and limits as a record: `found` (W, 6) holds observed and expected ones, NaN for none."""
    columns = fits.rows.T
    return Limits(
        yield_limit=found[:, 0].copy(),
        expected=found[:, 1:].copy(),
        signal_yield=columns[hypotheses.YIELD],
        signal_yield_error=columns[hypotheses.ERROR],
        n_background=columns[hypotheses.UNDER],
        p_local=columns[hypotheses.LOCAL_P],
        z_local=columns[hypotheses.LOCAL_Z],
        background_coefficients=fits.null_theta,
        fit_quality=_goodness(columns[hypotheses.BINS] - problem.terms - 1, columns[hypotheses.NLL]),
        effective_background=columns[hypotheses.EFFECTIVE_BACKGROUND],
        status=fits.status,
        method=np.where(np.isfinite(found[:, 0]), method, NO_LIMIT).astype(np.uint8),
        yield_lower=lower.copy(),
        toys=np.zeros(problem.windows, dtype=np.int64),
        toys_failed=np.zeros(problem.windows, dtype=np.int64),
        yield_limit_error=np.full(problem.windows, np.nan),
        attempts=columns[hypotheses.ATTEMPTS].astype(np.uint8),
    )


def fit_hypotheses(problem: BinnedProblem) -> Hypotheses:
    """Fit every window with and without signal; ask iminuit about the free fits that fail."""
    found = _fit_linear(problem) if problem.nuisances is None else constrained_hypotheses(problem)[0]
    _ask_about_lost(problem, found)
    return found


def _ask_about_lost(problem: BinnedProblem, fits: Hypotheses) -> None:
    """Replace, in place, what iminuit can say about windows that did not converge."""
    rows, status = fits.rows, fits.status
    lost = np.flatnonzero(status == window.NOT_CONVERGED)
    if lost.size:
        opinion = fit(problem.select(lost))
        asked = np.isin(opinion.status, (window.NOT_CONVERGED, window.SECOND_OPINION))
        rows[lost, hypotheses.ATTEMPTS] += np.where(asked, ASKED, 0)
        rows[lost, hypotheses.YIELD], rows[lost, hypotheses.ERROR] = opinion.yields, opinion.errors
        rows[lost, hypotheses.NLL] = opinion.nll
        status[lost] = opinion.status


def _fit_linear(problem: BinnedProblem) -> Hypotheses:
    windows, terms = problem.background.shape[:2]
    theta, null_theta = np.empty((windows, terms + 1)), np.empty((windows, terms))
    rows, status = np.empty((windows, hypotheses.COLUMNS)), np.empty(windows, dtype=np.uint8)
    arrays = (problem.counts, problem.signal, problem.background, problem.terms)
    hypotheses.fit_hypotheses(*arrays, problem.core_bins(), theta, null_theta, rows, status)
    if np.any(status == window.BOUNDARY):
        hypotheses.set_boundary_errors(*arrays, theta, status, rows)
    return Hypotheses(theta, null_theta, rows, status)


def constrained_hypotheses(problem: BinnedProblem) -> tuple[Hypotheses, Pair]:
    """Fit windows with nuisances with and without signal; other windows may be handed over too."""
    pair = fit_pair(problem)
    nuisances = pair.free.pull_errors.shape[1]
    free, null = pair.free.theta[:, nuisances:], pair.null.theta[:, nuisances:-1]
    return Hypotheses(free, null, describe(problem, pair), pair.status), pair


def limit_rows(
    problem: BinnedProblem,
    fits: Hypotheses,
    confidence_level: float,
    threshold: float | Floats,
    targets: Floats,
    variance: Floats,
) -> Floats:
    """Return the (W, 6) observed and expected limits, NaN where there is none.

    Parameters
    ----------
    problem, fits
        The windows and their fits.
    confidence_level : float
    threshold : float, or (W,) float
        Effective background from which a limit is set.
    targets : (5,) float
        Rising values of √q_A at which the expected limits lie.
    variance : (W,) float
        Added to the variance of the yield in the expected limits.
    """
    found = np.empty((problem.windows, 1 + len(QUANTILES)))
    strong: NDArray[Any] = fits.rows[:, hypotheses.EFFECTIVE_BACKGROUND] >= threshold
    chosen = strong & np.isin(fits.status, USABLE)
    cls.limit_windows(
        problem.counts,
        problem.signal,
        problem.background,
        problem.terms,
        fits.theta,
        fits.null_theta,
        chosen.astype(np.uint8),
        targets,
        np.log1p(-confidence_level),
        variance,
        found,
    )
    found[~np.all(np.isfinite(found), axis=1)] = np.nan
    return found


def gaussian_limits(confidence_level: float, criterion: str = "cls") -> Floats:
    """Return μ_N/σ at the stored quantiles, (5,).

    For CLs that is Φ⁻¹(1−αΦ(N)) + N (eq. 89), for CLs+b Φ⁻¹(1−α) + N.
    """
    quantiles = np.array(QUANTILES)
    beyond = (1.0 - confidence_level) * (quantiles if criterion == "cls" else np.ones(len(QUANTILES)))
    edges: Floats = ndtri(1.0 - beyond) + ndtri(quantiles)
    return edges


def _goodness(degrees: Floats, nll: Floats) -> Floats:
    """Return the p-value of twice the NLL above the saturated model; NaN without a degree of freedom."""
    quality: Floats = np.where(degrees > 0.0, chdtrc(np.maximum(degrees, 1.0), 2.0 * nll), np.nan)
    return quality
