"""Fits in which a few non-linear parameters float: mass, width or slope of the templates.

A window expects ν_b = s S_b(φ) + Σ_k c_k B_kb(φ). At given φ the rest is the linear problem of
`scanner.likelihoods.fit`, so that only F(φ) = min over s and c of the NLL is left, whose gradient is that of
the NLL at the minimum over the rest (the envelope theorem), Σ_b (1 − n_b/ν_b) ∂ν_b/∂φ, and whose curvature
is, to begin with, the Fisher information of φ less what s and c explain of it. That is Gauss and Newton's
method, which fits the templates linearised around φ, moves φ and linearises anew; the curvature then
learns from every step. Steps are damped as by Levenberg and Marquardt, so that F never rises. φ stays
within bounds. F may have several minima, as a peak may sit on one fluctuation or another: descents begin at a
start, and at the low places of a lattice between the bounds. Nuisances that change the amount of signal,
T(s, α), or of a background of known size belong to the rest as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.linear.window import NOT_CONVERGED
from scanner.likelihoods.amounts import Amounts
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, Fit, fit
from scanner.likelihoods.lattice import lattice_points, low_places

Flags = NDArray[np.bool_]

STEPS = 60
CLOSE = 1e-7
"""Gain in the NLL below which a window has converged: half a thousandth of an error."""
STIFF = 1e8
"""Damping at which no step that matters is left."""
RIDGE = 1e-9
MINIMA = 4
"""Low places of a lattice from which a window's descents begin at most."""


@dataclass(frozen=True)
class FloatingTemplates:
    """Templates of W windows at some values of P parameters."""

    signal: Floats
    """(W, B) bin integrals of a unit signal."""
    background: Floats
    """(W, K, B) bin integrals of the background's terms."""

    def put(self, rows: Flags, other: "FloatingTemplates") -> None:
        """Take the windows of a mask from another."""
        for name in ("signal", "background"):
            getattr(self, name)[rows] = getattr(other, name)[rows]


@dataclass(frozen=True)
class TemplateSlopes:
    """Derivatives of the templates of W windows with respect to P parameters."""

    signal: Floats
    """(W, P, B) of the signal."""
    background: Floats
    """(W, P, K, B) of the background; what is in the span of its terms may be left out."""


@dataclass(frozen=True)
class FloatingProblem:
    """Counts of W windows, and templates that depend on P parameters.

    Parameters
    ----------
    counts : (W, B) float
        Events in each bin.
    templates : callable
        From parameters (W, P) to the templates; a window's depend on its own parameters alone.
    slopes : callable
        From parameters to the derivatives.
    start, low, high : (W, P) float
        Where fits start, and the bounds.
    terms : (W,) int
        Background terms that each window uses.
    core : (W, B) bool
        Bins under the signal.
    lattice : tuple of P tuples of float, optional
        Where a lattice is between the bounds, 0 to 1, on which F is searched for further minima; a
        parameter without any takes the value of the first fit.
    amounts : Amounts, optional
        Nuisances, and backgrounds of known size.
    """

    counts: Floats
    templates: Callable[[Floats], FloatingTemplates]
    slopes: Callable[[Floats], TemplateSlopes]
    start: Floats
    low: Floats
    high: Floats
    terms: NDArray[np.int64]
    core: Flags
    lattice: tuple[tuple[float, ...], ...] = ()
    amounts: Amounts | None = None

    @property
    def windows(self) -> int:
        """Number of windows W."""
        return int(self.counts.shape[0])

    def at(self, templates: FloatingTemplates) -> BinnedProblem:
        """Return the linear problem of some templates."""
        return BinnedProblem(
            self.counts,
            templates.signal,
            templates.background,
            core=self.core,
            terms=self.terms,
            nuisances=None if self.amounts is None else self.amounts.at(templates.signal),
        )

    def expected(self, templates: FloatingTemplates, linear: Fit) -> tuple[Floats, Floats]:
        """Return the amount of signal (W,) and the expected events (W, B) of a fit; 0 where there is none."""
        background = (np.nan_to_num(linear.background)[:, None, :] @ templates.background)[:, 0]
        amount = np.nan_to_num(linear.yields)
        if self.amounts is not None:
            amount, fixed = self.amounts.expected(amount, np.nan_to_num(linear.pulls))
            background = background + fixed
        return amount, background + amount[:, None] * templates.signal


@dataclass(frozen=True)
class FloatingFit:
    """Minima of the windows of a problem."""

    parameters: Floats
    """(W, P) best φ."""
    templates: FloatingTemplates
    """Templates there."""
    linear: Fit
    """Fit of all other parameters there; its errors are those at fixed φ."""
    amount: Floats
    """(W,) amount of signal, the yield where there are no nuisances."""
    expectation: Floats
    """(W, B) expected events; 0 where there is no fit."""


def fit_floating(
    problem: FloatingProblem, fixed_yields: Floats | None = None, start: Floats | None = None
) -> FloatingFit:
    """Fit yield, background and the parameters of every window, or all but the yield at fixed yields.

    Parameters
    ----------
    problem : FloatingProblem
    fixed_yields : (W,) float, optional
        Signal yields to hold; NaN leaves a window's yield free.
    start : (W, P) float, optional
        Start in place of the problem's own.
    """
    fixed = np.full(problem.windows, np.nan) if fixed_yields is None else np.asarray(fixed_yields)
    first = problem.start if start is None else start
    best = _descend(problem, fixed, first, np.ones(problem.windows, dtype=np.bool_))
    if not any(problem.lattice):
        return best
    points = lattice_points(problem.lattice, problem.low, problem.high, best.parameters)
    heights = np.array([_point(problem, fixed, point).linear.nll for point in points])
    for number in low_places(problem.lattice, heights, MINIMA):
        begin = np.where((number >= 0)[:, None], np.array(points)[number, np.arange(number.size)], first)
        _take_lower(best, _descend(problem, fixed, begin, number >= 0))
    return best


def _take_lower(best: FloatingFit, other: FloatingFit) -> None:
    """Replace, in place, the windows whose other fit is lower, or is the only one."""
    lower = ~(other.linear.nll >= best.linear.nll - CLOSE) & np.isfinite(other.linear.nll)
    _put(best, lower, other)


def _put(best: FloatingFit, rows: Flags, other: FloatingFit) -> None:
    best.parameters[rows] = other.parameters[rows]
    best.templates.put(rows, other.templates)
    best.amount[rows], best.expectation[rows] = other.amount[rows], other.expectation[rows]
    for name in ("yields", "errors", "background", "nll", "edm", "status", "pulls"):
        getattr(best.linear, name)[rows] = getattr(other.linear, name)[rows]


def _point(problem: FloatingProblem, fixed: Floats, parameters: Floats) -> FloatingFit:
    templates = problem.templates(parameters)
    linear = fit(problem.at(templates), fixed, second_opinion=False)
    return FloatingFit(parameters.copy(), templates, linear, *problem.expected(templates, linear))


def _descend(problem: FloatingProblem, fixed: Floats, start: Floats, chosen: Flags) -> FloatingFit:
    """Minimise F from one start in chosen windows; one stops by itself, whatever the others do."""
    free = np.isnan(fixed)
    best = _point(problem, fixed, start)
    gradient, matrix = _curvature(problem, best, free)
    moving = chosen & np.isin(best.linear.status, USABLE)
    damping = np.full(problem.windows, 1e-3)
    for _ in range(STEPS):
        if not moving.any():
            return best
        step = _step(problem, best.parameters, gradient, matrix, damping)
        trial = np.clip(best.parameters + step, problem.low, problem.high)
        trial = np.where(moving[:, None], trial, best.parameters)
        tried = _point(problem, fixed, trial)
        slope, _ = _curvature(problem, tried, free)
        matrix = _learn(matrix, trial - best.parameters, slope - gradient)
        with np.errstate(invalid="ignore"):
            gain = best.linear.nll - tried.linear.nll
            better = moving & (gain >= 0.0)
            going = ~(np.abs(gain) <= CLOSE) & (damping < STIFF)
        _put(best, better, tried)
        gradient[better] = slope[better]
        damping *= np.where(better, 0.1, 10.0)
        moving &= going
    best.linear.status[moving] = NOT_CONVERGED
    return best


def _learn(matrix: Floats, step: Floats, change: Floats) -> Floats:
    """Return the curvature with what a step and the change of the gradient say, by damped BFGS.

    Fluctuations of the data make the curvature differ from its expectation (Nocedal, Wright, Numerical
    Optimization, eqs. 6.19 and 18.14 to 18.16).
    """
    forced = (matrix @ step[:, :, None])[..., 0]
    stiff, seen = (step * forced).sum(axis=1), (step * change).sum(axis=1)
    known = (stiff > 0.0) & np.isfinite(seen)
    size = np.where(known, stiff, 1.0)
    short = seen < 0.2 * stiff
    mix = np.where(short, 0.8 * size / np.where(short & known, stiff - seen, 1.0), 1.0)[:, None]
    force = np.where(known[:, None], mix * np.nan_to_num(change) + (1.0 - mix) * forced, 0.0)
    along = np.where(known, (step * force).sum(axis=1), 1.0)
    added = force[:, :, None] * force[:, None, :] / along[:, None, None]
    gone = forced[:, :, None] * forced[:, None, :] / size[:, None, None]
    update: Floats = np.where(known[:, None, None], matrix + added - gone, matrix)
    return update


def _step(
    problem: FloatingProblem, at: Floats, gradient: Floats, curvature: Floats, damping: Floats
) -> Floats:
    """Return the damped step of each window, (W, P).

    Parameters that press on a bound are held; where a step meets a bound, the others adapt to it.
    """
    held = ((at <= problem.low) & (gradient > 0.0)) | ((at >= problem.high) & (gradient < 0.0))
    width = problem.high - problem.low
    step = _solve(gradient, curvature, held, width, damping)
    inside = np.clip(at + step, problem.low, problem.high) - at
    cut = ~held & (inside != at + step - at)
    stopped = np.where(cut, inside, 0.0)
    pull = gradient + (curvature @ stopped[:, :, None])[..., 0]
    return np.where(cut, stopped, _solve(pull, curvature, held | cut, width, damping))


def _solve(gradient: Floats, curvature: Floats, held: Flags, width: Floats, damping: Floats) -> Floats:
    """Return the damped Newton step of the parameters that are not held."""
    unit, scale = np.eye(gradient.shape[1]), width[:, :, None]
    # In units of the bounds' distance a parameter without information has a step of its own.
    scaled = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature) * scale * scale.swapaxes(1, 2)
    diagonal = np.einsum("wpp->wp", scaled)[:, :, None] * unit
    matrix = scaled + damping[:, None, None] * diagonal + (RIDGE + held[:, None, :]) * unit
    slope = np.where(held, 0.0, gradient)[:, :, None] * scale
    step: Floats = -(scale * np.linalg.solve(matrix, slope))[..., 0]
    return np.nan_to_num(step)


def _curvature(problem: FloatingProblem, point: FloatingFit, free: Flags) -> tuple[Floats, Floats]:
    """Return gradient (W, P) and Fisher information (W, P, P) of F."""
    t, linear = point.templates, point.linear
    coefficients = np.nan_to_num(linear.background)
    expected = point.expectation
    positive = expected > 0.0
    safe = np.where(positive, expected, 1.0)
    miss = np.where(positive, 1.0 - problem.counts / safe, 0.0)
    weight = np.where(positive, 1.0 / safe, 0.0)
    slopes = problem.slopes(point.parameters)
    moved = point.amount[:, None, None] * slopes.signal
    moved = moved + (coefficients[:, None, None, :] @ slopes.background)[:, :, 0]
    rest = np.concatenate([t.background, (free[:, None] * t.signal)[:, None]], axis=1)
    own, mixed, others = (
        (a * weight[:, None]) @ b.swapaxes(1, 2) for a, b in ((moved, moved), (moved, rest), (rest, rest))
    )
    diagonal = np.einsum("wkk->wk", others)
    unit = np.eye(rest.shape[1])
    others = others + np.where(diagonal > 0.0, RIDGE * diagonal, 1.0)[:, :, None] * unit
    information = own - mixed @ np.linalg.solve(others, mixed.swapaxes(1, 2))
    return (moved * miss[:, None]).sum(axis=-1), information
