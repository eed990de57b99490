"""Limits and significances by pseudo-experiments, for windows where no asymptotic formula holds.

CLs or CLs+b with q̃_μ (Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727, eq. 16). At every tested yield
toys are thrown with the background of the fit to the data at that yield, and, for the hypothesis
without signal, with that of the fit at 0; where the data are a deficit, toys of their own best fit are added.
All of them tell of both probabilities (`scanner.stats.toy_values`). Expected limits are the yields where a
quantile of the CLs of the toys without signal is at the level. A toy whose fit fails counts as at least as
extreme as the data, and is reported.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.special import ndtr, ndtri

from scanner.errors import InputError
from scanner.kernels.linear.window import usable
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Integers
from scanner.stats.asymptotic import asymptotic_limits_above, gaussian_limits
from scanner.stats.constrained_pseudo import ConstrainedWindow
from scanner.stats.limits import NO_LIMIT, TOYS, Limits
from scanner.stats.pseudo import LinearWindow, PseudoExperiments
from scanner.stats.settings import Settings
from scanner.stats.toy_roots import BAND_LEAST, Roots, find_roots
from scanner.stats.toy_values import observed_criterion, ordered, tail

RESOLVED = 10
"""Toys at least as extreme as the data from which they tell the local p-value."""

KNOWN = 0.05
"""Standard error of the local significance at which no more toys are thrown."""


def toy_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return limits of every window by toys.

    Yield, error and fit quality are those of the likelihood fit. The local p-value is that of the toys
    where ten or more of them are as extreme as the data, and the asymptotic one beyond, which toys do
    not reach.

    Raises
    ------
    InputError
        If there are no toys to throw.
    """
    if settings.toys < 1:
        raise InputError("the method toys needs toys: give their number, such as 10000")
    fits = asymptotic_limits_above(problem, settings, np.inf)
    return with_toys(problem, settings, fits, np.arange(problem.windows))


def with_toys(problem: BinnedProblem, settings: Settings, limits: Limits, windows: Integers) -> Limits:
    """Return `limits` with those of some windows, by index, set by toys where these have any."""
    return with_toys_of(settings, limits, ((int(w), pseudo_experiments(problem, int(w))) for w in windows))


def with_toys_of(
    settings: Settings, limits: Limits, windows: Iterable[tuple[int, PseudoExperiments]]
) -> Limits:
    """Return `limits` with those of numbered windows set by their toys where these have any."""
    names = ("yield_limit", "yield_limit_error", "expected", "p_local", "z_local")
    columns = {name: getattr(limits, name).copy() for name in (*names, "method", "toys", "toys_failed")}
    for w, window in windows:
        if not usable(window.status):
            continue
        roots = window_limits(window, settings)
        columns["yield_limit"][w], columns["expected"][w] = roots.yields[0], roots.yields[1:]
        columns["toys"][w], columns["toys_failed"][w] = roots.toys, roots.failed
        columns["method"][w] = TOYS if np.isfinite(roots.yields[0]) else NO_LIMIT
        columns["yield_limit_error"][w] = roots.error
        p = local_p(window, settings.toys, float(columns["p_local"][w]))
        columns["p_local"][w], columns["z_local"][w] = p, max(0.0, -float(ndtri(p)))
    return replace(limits, **columns)


def window_limits(window: PseudoExperiments, settings: Settings) -> Roots:
    """Return the limits of one window, beginning at those of a Gaussian measurement."""
    alpha = 1.0 - settings.confidence_level
    sigma, best = window.spread, window.best_yield
    beyond = max(alpha * float(ndtr(best / sigma)), 1e-300)
    guesses = np.array([best - sigma * float(ndtri(beyond)), *(sigma * gaussian_limits(1.0 - alpha))])
    least = -np.log(alpha)  # no limit of a counting experiment is below
    guesses = np.maximum(guesses, least)
    return find_roots(window, guesses, least, np.log(alpha), settings.criterion, settings.toys)


def log_criterion(window: PseudoExperiments, signal_yield: float, settings: Settings) -> float:
    """Return ln CLs, or ln CLs+b, of the data at one yield."""
    sample = window.sample(signal_yield, settings.toys)
    return observed_criterion(sample, settings.criterion)[0]


def local_p(window: PseudoExperiments, toys: int, asymptotic: float) -> float:
    """Return P(q₀ at least that of the data | no signal), 1 without an excess.

    Toys are added until the error of the significance is below `KNOWN`, or all are thrown.
    """
    count, p = 0, 1.0
    while count < toys and not error_of_z(p, count) < KNOWN:
        count = min(toys, max(2 * count, BAND_LEAST))
        observed, excesses = window.excesses(count)
        p = float(tail(ordered(excesses), np.array([observed]))[0][0])
    unresolved = p * (count + 1) < RESOLVED + 1
    return asymptotic if unresolved and asymptotic < p else p  # NaN is not below


def error_of_z(p: float, toys: int) -> float:
    """Return the standard error of Φ⁻¹(p) from toys, 0 of a certain one, ∞ without toys."""
    if toys == 0 or p == 1.0:
        return 0.0 if toys else np.inf
    return float(np.sqrt(2.0 * np.pi * p * (1.0 - p) / toys) * np.exp(0.5 * ndtri(p) ** 2))


def pseudo_experiments(problem: BinnedProblem, window: int) -> LinearWindow | ConstrainedWindow:
    """Return what throws the toys of a window: the fast fits where nuisances are but fixed samples."""
    nuisances = problem.nuisances
    if nuisances is None or not (nuisances.names or nuisances.parts.size or np.any(nuisances.statistics)):
        return LinearWindow(problem, window)
    return ConstrainedWindow(problem, window)
