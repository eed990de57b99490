"""The second opinion: the same likelihood minimised by iminuit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit

from scanner.likelihood import BinnedProblem, Floats

FLOOR = 1e-7
"""Expectation below which a bin's NLL continues as a steep parabola: Minuit needs a gradient there."""
STEEPNESS = 1e7
"""Curvature of that parabola in an empty bin."""


@dataclass(frozen=True)
class Opinion:
    """Minuit's minimum of one window; `valid` is False where there is none to trust."""

    signal_yield: float
    error: float
    background: Floats
    nll: float
    edm: float
    valid: bool


def fit_window(problem: BinnedProblem, window: int, fixed_yield: float | None = None) -> Opinion:
    """Fit one window with MIGRAD at strategy 2 and HESSE.

    Coefficients are rotated and scaled to unit least-squares covariance, so that Minuit starts with
    a round valley. Below an expectation of `FLOOR` the NLL of a bin continues as a parabola.
    """
    counts = problem.counts[window]
    templates = np.vstack([problem.background[window, : problem.terms[window]], problem.signal[window]])
    free = len(templates) - (fixed_yield is not None)
    offset = np.zeros(counts.size) if fixed_yield is None else fixed_yield * templates[-1]
    scale, start = _round_coordinates(templates[:free], counts, offset)
    nll, gradient = _objective(templates[:free].T @ scale, counts, offset)
    minuit = Minuit(nll, start, grad=gradient)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.errors = np.ones(free)
    minuit.strategy, minuit.tol = 2, 1e-5
    minuit.migrad(ncall=100_000)
    minuit.hesse()
    return _opinion(minuit, scale, fixed_yield, nll)


def _round_coordinates(templates: Floats, counts: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Return the matrix from round coordinates to coefficients, and a start.

    The start is the least-squares solution, or a flat expectation where that is not positive.
    """
    hessian = (templates / np.maximum(counts, 1.0)) @ templates.T
    scale: Floats = np.linalg.inv(np.linalg.cholesky(hessian)).T
    start: Floats = scale.T @ (templates @ ((counts - offset) / np.maximum(counts, 1.0)))
    if np.min(templates.T @ scale @ start + offset) <= 0.0:
        level = np.full(counts.size, max(counts.mean(), 1e-3)) - offset
        start = np.asarray(np.linalg.lstsq(templates.T @ scale, level, rcond=None)[0], dtype=np.float64)
    return scale, start


def _objective(
    design: Floats, counts: Floats, offset: Floats
) -> tuple[Callable[[Floats], float], Callable[[Floats], Floats]]:
    """Return the NLL above the saturated model and its gradient, in round coordinates."""
    occupied = counts > 0.0
    seen = counts[occupied]

    def nll(x: Floats) -> float:
        expected = design @ x + offset
        inside = np.maximum(expected, FLOOR)
        below = expected - inside
        logs = np.log1p((inside[occupied] - seen) / seen)
        logs += below[occupied] / FLOOR - (below[occupied] / FLOOR) ** 2 / 2.0
        parabolas = 0.5 * STEEPNESS * (below @ below)
        bins = expected - counts
        bins[occupied] -= seen * logs
        return float(bins.sum() + parabolas)

    def gradient(x: Floats) -> Floats:
        expected = design @ x + offset
        inside = np.maximum(expected, FLOOR)
        below = expected - inside
        slope = 1.0 + STEEPNESS * below
        slope[occupied] -= (counts / inside * (1.0 - below / FLOOR))[occupied]
        result: Floats = slope @ design
        return result

    return nll, gradient


def _opinion(
    minuit: Minuit, scale: Floats, fixed_yield: float | None, nll: Callable[[Floats], float]
) -> Opinion:
    x = np.array(minuit.values)
    theta = scale @ x
    valid = bool(minuit.valid and minuit.covariance is not None and np.isfinite(theta).all())
    error = 0.0
    if fixed_yield is None:
        covariance = np.array(minuit.covariance) if valid else np.full((x.size, x.size), np.nan)
        error = float(np.sqrt(scale[-1] @ covariance @ scale[-1]))
        return Opinion(float(theta[-1]), error, theta[:-1], nll(x), float(minuit.fmin.edm), valid)
    return Opinion(fixed_yield, error, theta, nll(x), float(minuit.fmin.edm), valid)
