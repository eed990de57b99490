"""How many background terms a window needs: by F-test, and by discrete profiling.

Candidates are problems that share data and signal and differ in their background; those of one shape
are its truncations to the first terms, which are nested. Every candidate is refitted with the signal
yield free, so that a signal does not ask for a higher order.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import fit

Terms = NDArray[np.int64]
LEVEL = 0.05
"""Significance from which a higher order is taken."""
PENALTY = 1.0
"""Added to 2NLL for each free background parameter (Dauncey et al., arXiv:1408.6865)."""
REACH = 2
"""Higher orders that each order is tested against: odd and even ones describe different departures."""


def truncations(problem: BinnedProblem) -> tuple[BinnedProblem, ...]:
    """Return the problems with 1, 2, … background terms, up to those that each window has.

    A window with fewer terms than others repeats its last problem.
    """
    most = int(problem.terms.max(initial=0))
    numbers = range(1, most + 1)
    return tuple(replace(problem, terms=np.minimum(problem.terms, n)) for n in numbers)


def deviances(candidates: Sequence[BinnedProblem], yields: Floats | None = None) -> Floats:
    """Return twice the minimal NLL above the saturated model, (C, W); infinite where there is no fit.

    Parameters
    ----------
    candidates : sequence of C problems of W windows
    yields : (W,) float, optional
        Signal yields to hold; free by default.
    """
    twice = np.array([2.0 * fit(candidate, yields).nll for candidate in candidates])
    found: Floats = np.where(np.isnan(twice), np.inf, twice)
    return found


def f_test(problem: BinnedProblem, level: float = LEVEL, *, statistic: str = "likelihood_ratio") -> Terms:
    """Choose the lowest order that no higher one improves significantly.

    Order k is left for k + 1 when k + 1 or k + 2 describes the data better with a p-value below `level`,
    shared among the comparisons that are made (Bonferroni), so that a true order is left at most that
    often. Sparse windows follow the distributions only roughly.

    Parameters
    ----------
    problem : BinnedProblem
        Windows with the highest order.
    level : float
        Significance.
    statistic : str
        ``likelihood_ratio``: the drop of 2NLL is χ² with a degree of freedom a term (S. S. Wilks, Ann.
        Math. Stat. 9 (1938) 60). ``f``: the drop a term over 2NLL a degree of freedom follows Fisher's F
        (Bevington, Robinson, Data Reduction and Error Analysis, section 11.4), which also allows for
        fits that are bad at any order.

    Returns
    -------
    (W,) int
        Terms of each window, the order plus one; all of its terms where no fit exists.
    """
    candidates = truncations(problem)
    if len(candidates) < 2:
        return problem.terms.copy()
    found = deviances(candidates)
    test = _likelihood_ratio if statistic == "likelihood_ratio" else _fisher
    kept = np.zeros(problem.windows, dtype=np.bool_)
    terms = problem.terms.copy()
    for number in range(1, len(candidates)):
        enough = ~_improves(problem, found, number, level, test) & np.isfinite(found[number - 1])
        stops = ~kept & (number < problem.terms) & enough
        terms[stops] = number
        kept |= stops
    return terms


PValue = Callable[[Floats, Floats, Floats, Floats], Floats]


def _improves(
    problem: BinnedProblem, found: Floats, number: int, level: float, p_value: PValue
) -> NDArray[np.bool_]:
    """Tell for each window whether one of the next orders is significantly better than `number` terms."""
    better = np.zeros(problem.windows, dtype=np.bool_)
    shared = np.clip(problem.terms - number, 1, REACH)
    bins = np.count_nonzero(np.any(problem.background != 0.0, axis=1) | (problem.signal != 0.0), axis=1)
    for other in range(number + 1, min(number + REACH, len(found)) + 1):
        with np.errstate(invalid="ignore"):
            drop = np.maximum(found[number - 1] - found[other - 1], 0.0)
        more = np.full(problem.windows, float(other - number))
        value = p_value(drop, more, found[other - 1], bins - other - 1.0)
        better |= (other <= problem.terms) & (value < level / shared)
    return better


def _likelihood_ratio(drop: Floats, more: Floats, left: Floats, degrees: Floats) -> Floats:
    del left, degrees
    value: Floats = np.where(np.isnan(drop), 1.0, chdtrc(more, np.nan_to_num(drop)))
    return value


def _fisher(drop: Floats, more: Floats, left: Floats, degrees: Floats) -> Floats:
    sound = np.isfinite(drop) & np.isfinite(left) & (left > 0.0) & (degrees > 0.0)
    ratio = np.where(sound, drop / more, 0.0) / np.where(sound, left / np.maximum(degrees, 1.0), 1.0)
    value: Floats = np.where(sound, fdtrc(more, np.maximum(degrees, 1.0), ratio), 1.0)
    return value


def discrete_profile(problem: BinnedProblem, penalty: float = PENALTY) -> Terms:
    """Choose the order with the least 2NLL + `penalty` a background term, all refitted.

    That is the minimum of the envelope whose limits `scanner.stats.envelope` sets.

    Parameters
    ----------
    problem : BinnedProblem
        Windows with the highest order.
    penalty : float
        1 stands for the p-value correction of arXiv:1408.6865 at many events, 2 is Akaike's.

    Returns
    -------
    (W,) int
        Terms of each window; all of its terms where no fit exists.
    """
    candidates = truncations(problem)
    if not candidates:
        return problem.terms.copy()
    values = penalised(candidates, deviances(candidates), penalty)
    best = np.argmin(values, axis=0)
    chosen = np.array([candidate.terms for candidate in candidates])[best, np.arange(problem.windows)]
    terms: Terms = np.where(np.isfinite(values.min(axis=0)), chosen, problem.terms)
    return terms


def penalised(candidates: Sequence[BinnedProblem], found: Floats, penalty: float = PENALTY) -> Floats:
    """Return 2NLL with its correction for free background parameters, (C, W)."""
    corrected: Floats = found + penalty * np.array([candidate.terms for candidate in candidates])
    return corrected


def fixed(problem: BinnedProblem) -> Terms:
    """Keep the order that the definition states."""
    return problem.terms.copy()


CHOICES: dict[str, Callable[[BinnedProblem], Terms]] = {
    "fixed": fixed,
    "f_test": f_test,
    "discrete_profile": discrete_profile,
}
"""How `background.choose` of a definition chooses the terms of each window from its own counts."""
