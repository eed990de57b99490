"""The methods that set limits on unbinned likelihoods, by name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats.auto import COUNTED, THRESHOLD, UNASKED_TOYS
from scanner.stats.counting import with_counting
from scanner.stats.limits import NO_LIMIT, Limits
from scanner.stats.settings import Settings
from scanner.stats.simultaneous import asymptotic_simultaneous, minos_simultaneous
from scanner.stats.simultaneous_posterior import bayesian_simultaneous
from scanner.stats.simultaneous_toys import toys_simultaneous, with_joint_toys
from scanner.stats.unbinned import asymptotic_unbinned, minos_unbinned

Method = Callable[[SimultaneousProblem, BinnedProblem, Settings], Limits]


def _asymptotic(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    if is_plain(problem):
        return asymptotic_unbinned(problem.channels[0], settings)
    return asymptotic_simultaneous(problem, settings)


def _minos(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    if is_plain(problem):
        return minos_unbinned(problem.channels[0], settings)
    return minos_simultaneous(problem, settings)


def _toys(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    return toys_simultaneous(problem, settings)


def _bayesian(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    return bayesian_simultaneous(problem, settings)


def _automatic(problem: SimultaneousProblem, binned: BinnedProblem, settings: Settings) -> Limits:
    """Leave asymptotic limits from an effective background of THRESHOLD on, throw toys or count below.

    Toys are thrown down to COUNTED where `settings.toys` is not 0, or where nothing can be counted, as in
    windows of bins.
    """
    if is_plain(problem):
        limits = asymptotic_unbinned(problem.channels[0], settings)
    else:
        limits = asymptotic_simultaneous(problem, settings, THRESHOLD)
    exact = ~(limits.effective_background >= THRESHOLD)
    observed, expected, chosen = limits.yield_limit.copy(), limits.expected.copy(), limits.method.copy()
    observed[exact] = expected[exact] = np.nan
    chosen[exact] = NO_LIMIT
    left = replace(limits, yield_limit=observed, expected=expected, method=chosen)
    if settings.toys > 0:
        between = exact & (limits.effective_background >= COUNTED)
        left = with_joint_toys(problem, settings, left, between)
    counted = with_counting(binned, settings, left)
    lost = ~np.isfinite(counted.yield_limit) & (limits.effective_background >= COUNTED)
    unasked = settings if settings.toys > 0 else replace(settings, toys=UNASKED_TOYS)
    return with_joint_toys(problem, unasked, counted, lost)


UNBINNED_METHODS: dict[str, Method] = {
    "auto": _automatic,
    "asymptotic": _asymptotic,
    "minos": _minos,
    "toys": _toys,
    "bayesian": _bayesian,
}
"""Methods of scans with an unbinned likelihood."""


def is_plain(problem: SimultaneousProblem) -> bool:
    """Tell whether windows are of one channel, uncut, without nuisances: a faster kernel has them."""
    (first, *others), certain = problem.channels, problem.nuisances is None
    return certain and not others and first.held == 1 and not first.is_cut


def unbinned_limits(
    problem: SimultaneousProblem, binned: BinnedProblem, settings: Settings, method: str
) -> Limits:
    """Return limits by one of UNBINNED_METHODS.

    Parameters
    ----------
    binned : BinnedProblem
        The same windows in bins, with the same systematics, from which events are counted.
    """
    limits = UNBINNED_METHODS[method](problem, binned, settings)
    found, terms = limits.background_coefficients, binned.background.shape[1]
    wide = np.pad(found, ((0, 0), (0, terms - found.shape[1])), constant_values=np.nan)
    return replace(limits, background_coefficients=wide)
