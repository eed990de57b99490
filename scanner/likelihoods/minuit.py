"""The second opinion: the same likelihood minimised by iminuit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.expectation import Expectation

FLOOR = 1e-7
"""Expectation below which a bin's NLL continues as a steep parabola: Minuit needs a gradient there."""
STEEPNESS = 1e7
"""Curvature of that parabola in an empty bin."""
FAR = 1e100
"""The NLL where a wild step of Minuit takes an expectation beyond what a number holds."""
Curve = Callable[[Floats], float]


@dataclass(frozen=True)
class Opinion:
    """Minuit's minimum of one window; `valid` is False where there is none to trust."""

    signal_yield: float
    error: float
    background: Floats
    nll: float
    edm: float
    valid: bool
    pulls: Floats
    pull_errors: Floats


def fit_window(
    problem: BinnedProblem, window: int, fixed_yield: float | None = None, start: Floats | None = None
) -> Opinion:
    """Fit one window with MIGRAD at strategy 2 and HESSE, from `start` in the parameters where it is given.

    Coefficients are rotated and scaled to unit least-squares covariance, so that Minuit starts with
    a round valley; nuisances have unit size as they are. Below an expectation of `FLOOR` the NLL of a
    bin continues as a parabola.
    """
    minuit, scale = window_minuit(problem, window, fixed_yield)
    if start is not None:
        minuit.values = np.linalg.solve(scale, start)
    minuit.migrad(ncall=100_000)
    minuit.hesse()
    nuisances = 0 if problem.nuisances is None else len(problem.nuisances.names)
    if nuisances:
        minuit, scale = _rounded(problem, window, fixed_yield, minuit, scale)
    return _opinion(minuit, scale, nuisances, fixed_yield)


def window_minuit(
    problem: BinnedProblem, window: int, fixed_yield: float | None = None, coordinates: Floats | None = None
) -> tuple[Minuit, Floats]:
    """Return Minuit on one window, and the matrix from its coordinates to the parameters.

    Parameters are nuisances, background coefficients and, unless it is fixed, the yield. The matrix is
    `coordinates` where that is given, and minimisation then starts at zero.
    """
    counts = problem.counts[window]
    model = Expectation.of(problem, window)
    nuisances = len(model.effects.names)
    free = model.parameters - nuisances - (fixed_yield is not None)
    linear = _linear_templates(model, model.effects.observed[0])
    offset = linear[-1] + (0.0 if fixed_yield is None else fixed_yield * linear[-2])
    rotation, start = _round_coordinates(linear[:free], counts, offset)
    scale = np.eye(nuisances + free)
    scale[nuisances:, nuisances:] = rotation
    start = np.concatenate([model.effects.observed[0], start])
    if coordinates is not None:
        scale, start = coordinates, np.zeros(start.size)
    if nuisances == 0 and not model.effects.statistics.any():
        nll, gradient = _objective(linear[:free].T @ rotation, counts, offset)
        minuit = Minuit(nll, start, grad=gradient)
    else:
        minuit = Minuit(_constrained_objective(model, scale, counts, fixed_yield), start)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.errors = np.ones(start.size)
    minuit.strategy, minuit.tol = 2, 1e-5
    return minuit, scale


def _rounded(
    problem: BinnedProblem, window: int, fixed_yield: float | None, minuit: Minuit, scale: Floats
) -> tuple[Minuit, Floats]:
    """Fit again from the minimum in coordinates of unit covariance, where numerical derivatives are exact.

    Nuisances and coefficients that do one thing leave a narrow valley, in which HESSE alone errs.
    """
    if not minuit.valid or minuit.covariance is None:
        return minuit, scale
    try:
        root = np.linalg.cholesky(np.array(minuit.covariance))
    except np.linalg.LinAlgError:
        return minuit, scale
    again, _ = window_minuit(problem, window, fixed_yield, scale @ root)
    again.values = np.linalg.solve(root, np.array(minuit.values))
    again.migrad(ncall=100_000)
    again.hesse()
    return (again, scale @ root) if again.valid else (minuit, scale)


def _linear_templates(model: Expectation, alpha: Floats) -> Floats:
    """Return the templates at nuisances `alpha`: background terms, the signal, the sum of fixed samples."""
    samples, nuisances = model.samples(alpha), len(model.effects.names)
    rows = [samples[model.owner == p].sum(axis=0) for p in range(nuisances, model.parameters)]
    return np.array([*rows, samples[model.owner < 0].sum(axis=0)])


def _round_coordinates(templates: Floats, counts: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Return the matrix from round coordinates to coefficients, and a start.

    The start is the least-squares solution, or a flat expectation where that is not positive.
    """
    if len(templates) == 0:
        return np.empty((0, 0)), np.empty(0)
    hessian = (templates / np.maximum(counts, 1.0)) @ templates.T
    scale: Floats = np.linalg.inv(np.linalg.cholesky(hessian)).T
    start: Floats = scale.T @ (templates @ ((counts - offset) / np.maximum(counts, 1.0)))
    if np.min(templates.T @ scale @ start + offset) <= 0.0:
        level = np.full(counts.size, max(counts.mean(), 1e-3)) - offset
        start = np.asarray(np.linalg.lstsq(templates.T @ scale, level, rcond=None)[0], dtype=np.float64)
    return scale, start


def _objective(design: Floats, counts: Floats, offset: Floats) -> tuple[Curve, Callable[[Floats], Floats]]:
    """Return the NLL above the saturated model and its gradient, in round coordinates."""
    occupied = counts > 0.0

    def nll(x: Floats) -> float:
        return _poisson(design @ x + offset, counts)

    def gradient(x: Floats) -> Floats:
        expected = design @ x + offset
        inside = np.maximum(expected, FLOOR)
        below = expected - inside
        slope = 1.0 + STEEPNESS * below
        slope[occupied] -= (counts / inside * (1.0 - below / FLOOR))[occupied]
        result: Floats = slope @ design
        return result

    return nll, gradient


def _poisson(expected: Floats, counts: Floats) -> float:
    """Return the NLL above the saturated model."""
    occupied = counts > 0.0
    seen = counts[occupied]
    inside = np.maximum(expected, FLOOR)
    below = expected - inside
    logs = np.log1p((inside[occupied] - seen) / seen)
    logs += below[occupied] / FLOOR - (below[occupied] / FLOOR) ** 2 / 2.0
    parabolas = 0.5 * STEEPNESS * (below @ below)
    bins = expected - counts
    bins[occupied] -= seen * logs
    return float(bins.sum() + parabolas)


def _constrained_objective(
    model: Expectation, scale: Floats, counts: Floats, fixed_yield: float | None
) -> Curve:
    """Return the NLL above the saturated model with every constraint, β at its minimum."""
    effects = model.effects
    observed, nuisances = effects.observed[0], len(effects.names)
    simulated = effects.statistics[0] > 0.0
    delta, measured = effects.statistics[0][simulated], effects.measured[0][simulated]
    held = np.empty(0) if fixed_yield is None else np.array([fixed_yield])

    def nll(x: Floats) -> float:
        theta = np.concatenate([scale @ x, held])
        with np.errstate(over="ignore", invalid="ignore"):
            expected, beta = model.expected(theta, counts)
            pulls = theta[:nuisances] - observed
            stretched = (beta[simulated] - measured) / delta
            total = _poisson(expected, counts) + 0.5 * float(pulls @ pulls + stretched @ stretched)
        return total if np.isfinite(total) else FAR

    return nll


def _opinion(minuit: Minuit, scale: Floats, nuisances: int, fixed_yield: float | None) -> Opinion:
    x = np.array(minuit.values)
    theta = scale @ x
    valid = bool(minuit.valid and minuit.covariance is not None and np.isfinite(theta).all())
    covariance = np.array(minuit.covariance) if valid else np.full((x.size, x.size), np.nan)
    errors = np.sqrt(np.diag(scale @ covariance @ scale.T))
    last = theta.size - (fixed_yield is None)
    return Opinion(
        float(theta[-1]) if fixed_yield is None else fixed_yield,
        float(errors[-1]) if fixed_yield is None else 0.0,
        theta[nuisances:last],
        float(minuit.fval),
        float(minuit.fmin.edm),
        valid,
        theta[:nuisances],
        errors[:nuisances],
    )
