"""The methods that set limits on unbinned likelihoods, by name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.stats.auto import COUNTED, THRESHOLD
from scanner.stats.counting import with_counting
from scanner.stats.limits import NO_LIMIT, Limits
from scanner.stats.settings import Settings
from scanner.stats.simultaneous import asymptotic_simultaneous, minos_simultaneous
from scanner.stats.simultaneous_toys import bayesian_simultaneous, toys_simultaneous, with_joint_toys
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


def _adds(problem: SimultaneousProblem) -> bool:
    return problem.nuisances is not None and bool(np.any(problem.nuisances.added))


def _refuse_added(problem: SimultaneousProblem) -> None:
    if _adds(problem):
        raise InputError(
            "unbinned toys know no spurious signal: take `auto` or `asymptotic`, or keep it out by "
            "'in_limit: false'"
        )


def _toys(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    _refuse_added(problem)
    return toys_simultaneous(problem, settings)


def _bayesian(problem: SimultaneousProblem, _binned: BinnedProblem, settings: Settings) -> Limits:
    if problem.nuisances is not None:
        raise InputError(
            "unbinned posteriors know no systematics: take `auto`, `asymptotic` or `toys`, or keep them out "
            "by 'in_limit: false'"
        )
    return bayesian_simultaneous(problem, settings)


def _automatic(problem: SimultaneousProblem, binned: BinnedProblem, settings: Settings) -> Limits:
    """Leave asymptotic limits from an effective background of THRESHOLD on, throw toys or count below.

    Toys are thrown down to COUNTED where `settings.toys` is not 0, as in windows of bins, but not with
    spurious signals: beside channels without events the NLL then has kinks, which fits of toys may miss.
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
    if settings.toys > 0 and not _adds(problem):
        between = exact & (limits.effective_background >= COUNTED)
        left = with_joint_toys(problem, settings, left, between)
    return with_counting(binned, settings, left)


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
    return len(problem.channels) == 1 and problem.nuisances is None and not problem.channels[0].is_cut


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
