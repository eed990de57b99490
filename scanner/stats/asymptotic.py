"""Asymptotic CLs limits with bands (Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727).

Test statistic q̃_μ (eq. 16), its distributions (eqs. 59, 65, 66), bands from
μ_N = σ[Φ⁻¹(1−αΦ(N)) + N] (eq. 89) with σ = μ/√q_A taken anew at each μ_N. The Asimov data set is
post-fit: the expectation of the background-only fit to the data, for the observed and for the
expected limits alike. That is pyhf's convention, where the same numbers are roots of CLs_exp(N, μ).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from scanner.constants import QUANTILES
from scanner.fit import USABLE, fit
from scanner.kernels import cls, hypotheses, window
from scanner.likelihood import BinnedProblem, Floats
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
    """(W, 8) columns of `scanner.kernels.hypotheses`."""
    status: NDArray[np.uint8]
    """(W,) key of `scanner.fit.STATUS_MEANINGS`."""


def asymptotic_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return asymptotic CLs limits of every window, whatever its counts.

    They are too low at low counts: by 7% at a background of 10 events, by 30% without any.
    """
    return asymptotic_limits_above(problem, settings, 0.0)


def asymptotic_limits_above(problem: BinnedProblem, settings: Settings, threshold: float) -> Limits:
    """Fit every window, and set limits where the effective background is at least `threshold`."""
    confidence_level = settings.confidence_level
    fits = fit_hypotheses(problem)
    targets = gaussian_limits(confidence_level)
    variance = np.zeros(problem.windows)
    found = limit_rows(problem, fits, confidence_level, threshold, targets, variance)
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
        method=np.where(np.isfinite(found[:, 0]), ASYMPTOTIC, NO_LIMIT).astype(np.uint8),
        yield_lower=np.zeros(problem.windows),
        toys=np.zeros(problem.windows, dtype=np.int64),
        toys_failed=np.zeros(problem.windows, dtype=np.int64),
        yield_limit_error=np.full(problem.windows, np.nan),
        attempts=columns[hypotheses.ATTEMPTS].astype(np.uint8),
    )


def fit_hypotheses(problem: BinnedProblem) -> Hypotheses:
    """Fit every window with and without signal; ask iminuit about the free fits that fail."""
    problem.refuse_nuisances("a limit")
    windows, terms = problem.background.shape[:2]
    theta, null_theta = np.empty((windows, terms + 1)), np.empty((windows, terms))
    rows, status = np.empty((windows, hypotheses.COLUMNS)), np.empty(windows, dtype=np.uint8)
    arrays = (problem.counts, problem.signal, problem.background, problem.terms)
    hypotheses.fit_hypotheses(*arrays, problem.core_bins(), theta, null_theta, rows, status)
    if np.any(status == window.BOUNDARY):
        hypotheses.set_boundary_errors(*arrays, theta, status, rows)
    lost = np.flatnonzero(status == window.NOT_CONVERGED)
    if lost.size:
        opinion = fit(problem.select(lost))
        asked = np.isin(opinion.status, (window.NOT_CONVERGED, window.SECOND_OPINION))
        rows[lost, hypotheses.ATTEMPTS] += np.where(asked, ASKED, 0)
        rows[lost, hypotheses.YIELD], rows[lost, hypotheses.ERROR] = opinion.yields, opinion.errors
        rows[lost, hypotheses.NLL] = opinion.nll
        status[lost] = opinion.status
    return Hypotheses(theta, null_theta, rows, status)


def limit_rows(
    problem: BinnedProblem,
    fits: Hypotheses,
    confidence_level: float,
    threshold: float,
    targets: Floats,
    variance: Floats,
) -> Floats:
    """Return the (W, 6) observed and expected limits, NaN where there is none.

    Parameters
    ----------
    problem, fits
        The windows and their fits.
    confidence_level : float
    threshold : float
        Effective background from which a limit is set.
    targets : (5,) float
        Rising values of √q_A at which the expected limits lie.
    variance : (W,) float
        Added to the variance of the yield in the expected limits.
    """
    limits = np.empty((problem.windows, 1 + len(QUANTILES)))
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
        limits,
    )
    limits[~np.all(np.isfinite(limits), axis=1)] = np.nan
    return limits


def gaussian_limits(confidence_level: float) -> Floats:
    """Return μ_N/σ = Φ⁻¹(1−αΦ(N)) + N at the stored quantiles, (5,) (eq. 89)."""
    quantiles = np.array(QUANTILES)
    limits: Floats = ndtri(1.0 - (1.0 - confidence_level) * quantiles) + ndtri(quantiles)
    return limits


def _goodness(degrees: Floats, nll: Floats) -> Floats:
    """Return the p-value of twice the NLL above the saturated model; NaN without a degree of freedom."""
    quality: Floats = np.where(degrees > 0.0, chdtrc(np.maximum(degrees, 1.0), 2.0 * nll), np.nan)
    return quality
