"""Exact limits from the number of events in the core of each window.

n events in the core bins are compared with the background that the bins beside the core predict, and with
samples of known size, such as known peaks. The variance, that of the sideband fit, enters as a Gamma
distribution, so that the background count is negative binomial and every sum is exact. Discreteness makes
these limits conservative.

Nuisances are averaged over: the signal in the core is taken as log-normal, with the quadratic sum of what
they change of it, and what they add to the background in the core widens its distribution.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels.counting import core as columns
from scanner.kernels.counting.efficiency import average_windows
from scanner.kernels.linear.window import usable
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import fit
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.asymptotic import asymptotic_limits, asymptotic_limits_above
from scanner.stats.limits import COUNTING, Limits
from scanner.stats.settings import Settings

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
"""Average over a standard normal variable."""


def counting_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return exact CLs limits of every window from its core bins, whatever its counts.

    Yield, error and fit quality stay those of the likelihood fit; `counted_yield` is that of the limit.
    """
    return with_counting(problem, settings, asymptotic_limits_above(problem, settings, np.inf))


def asymptotic_or_counted(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return asymptotic limits, and counted ones of windows that have none, as without any event or fit.

    `method` records which is which.
    """
    return with_counting(problem, settings, asymptotic_limits(problem, settings))


def with_counting(problem: BinnedProblem, settings: Settings, limits: Limits) -> Limits:
    """Return `limits` with those that are missing set by counting."""
    missing = np.flatnonzero(~np.isfinite(limits.yield_limit))
    if missing.size == 0:
        return limits
    part = problem if missing.size == problem.windows else problem.select(missing)
    spread, extra = core_uncertainties(part)
    rows, status = run_kernel(part, settings.confidence_level, extra, known_events(part))
    average_windows(spread, NODES, WEIGHTS, np.array(QUANTILES), np.log1p(-settings.confidence_level), rows)
    counted = rows.T

    def put(old: Floats, new: Floats) -> Floats:
        merged = old.copy()
        merged[missing] = new
        return merged

    method = limits.method.copy()
    method[missing] = np.where([usable(code) for code in status], COUNTING, limits.method[missing])
    return replace(
        limits,
        yield_limit=put(limits.yield_limit, counted[columns.LIMIT]),
        expected=put(limits.expected, rows[:, columns.EXPECTED_LIMITS :]),
        n_background=put(limits.n_background, counted[columns.BACKGROUND]),
        p_local=put(limits.p_local, counted[columns.LOCAL_P]),
        z_local=put(limits.z_local, counted[columns.LOCAL_Z]),
        counted_yield=put(limits.counted_yield, _excess(counted)),
        method=method,
    )


def _excess(counted: Floats) -> Floats:
    """Return the events above the background in the core, as yields of the whole signal (W,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        above: Floats = (counted[columns.OBSERVED] - counted[columns.BACKGROUND]) / counted[
            columns.EFFICIENCY
        ]
    return np.where(np.isfinite(counted[columns.LIMIT]), above, np.nan)


def known_events(problem: BinnedProblem) -> Floats:
    """Return the events (W, B) of samples of known size, which no interpolation from beside finds."""
    if problem.nuisances is None:
        return np.zeros_like(problem.counts)
    events: Floats = problem.nuisances.fixed.sum(axis=1)
    return events


def core_uncertainties(problem: BinnedProblem) -> tuple[Floats, Floats]:
    """Return what nuisances do to the core: to the logarithm of the signal, and to its yield, (W,) each.

    The first is half the difference of ln Σ S between +1 and −1, the second half the difference of the
    background that samples of known size make, in the core and by what the bins beside it then predict,
    as a yield of the whole signal. Both are added in quadrature, the second with the statistics of the
    templates in the core, whose background terms are those of a fit without signal.
    """
    spread, extra = np.zeros((2, problem.windows))
    nuisances = problem.nuisances
    if nuisances is None:
        return spread, extra
    core, first_fixed = problem.core_bins(), 1 + problem.background.shape[1]
    first_part = first_fixed + nuisances.fixed.shape[1]
    signals = {0: problem.signal - nuisances.parts.sum(axis=1)}
    signals |= {first_part + d: nuisances.parts[:, d] for d in range(nuisances.parts.shape[1])}
    fixed = {first_fixed + f: nuisances.fixed[:, f] for f in range(nuisances.fixed.shape[1])}
    whole = (problem.signal * core).sum(axis=1)
    whole[whole <= 0.0] = np.nan
    for j in range(len(nuisances.names)):
        ends = [_inside(_moved(nuisances, signals, j, end), core) for end in (0, 1)]
        spread += (0.5 * np.log(_positive(ends[1]) / _positive(ends[0]))) ** 2
        added = [_inside(_moved(nuisances, fixed, j, end), core) for end in (0, 1)]
        beside = _beside(problem, nuisances, fixed, j)
        extra += (0.5 * (added[1] - added[0] + beside) / whole) ** 2
    uncertain = sum((fixed[i] for i in fixed if nuisances.uncertain[i]), _uncertain_terms(problem, nuisances))
    extra += _inside((nuisances.statistics * uncertain) ** 2, core) / whole**2
    return np.nan_to_num(np.sqrt(spread)), np.nan_to_num(np.sqrt(extra))


def _uncertain_terms(problem: BinnedProblem, nuisances: Nuisances) -> Floats:
    """Return the events (W, B) of the background terms that template statistics are about."""
    terms = problem.background.shape[1]
    sampled = nuisances.uncertain[1 : 1 + terms]
    if not (sampled.any() and nuisances.statistics.any()):
        return np.zeros_like(problem.counts)
    coefficients = np.nan_to_num(fit(problem, np.zeros(problem.windows), second_opinion=False).background)
    return np.asarray(np.einsum("wk,wkb->wb", coefficients * sampled, problem.background))


def _inside(events: Floats, core: NDArray[np.bool_]) -> Floats:
    total: Floats = (events * core).sum(axis=1)
    return total


def _positive(events: Floats) -> Floats:
    return np.where(events > 0.0, events, np.nan)


def _moved(nuisances: Nuisances, samples: dict[int, Floats], nuisance: int, end: int) -> Floats:
    """Return the events (W, B) of some samples with a nuisance at −1 (end 0) or +1 (end 1)."""
    total = np.zeros_like(nuisances.statistics)
    for sample, template in samples.items():
        pairs = (nuisances.shape_nuisance == nuisance) & (nuisances.shape_sample == sample)
        changed = template + nuisances.shape[:, pairs, end].sum(axis=1)
        total += np.exp(nuisances.norm[:, nuisance, sample, end])[:, None] * changed
    return total


def _beside(problem: BinnedProblem, nuisances: Nuisances, fixed: dict[int, Floats], nuisance: int) -> Floats:
    """Return how much more (W,) the bins beside the core predict for it with a nuisance at +1 than at −1.

    A spurious signal has no events of its own, and is all in the core.
    """
    change, windows = np.zeros(problem.windows), np.flatnonzero(known_events(problem).any(axis=1))
    known = {i: events for i, events in fixed.items() if events.any()}
    ends = [_moved(nuisances, known, nuisance, end) for end in (0, 1)]
    if windows.size and problem.background.shape[1] and np.any(ends[0] != ends[1]):
        part, core = problem.select(windows), problem.core_bins()[windows]
        for end, sign in ((0, -1.0), (1, 1.0)):
            events = np.maximum(ends[end][windows], 0.0)
            rows, _ = run_kernel(part, 0.5, np.zeros(windows.size), events)
            change[windows] += sign * (rows[:, columns.BACKGROUND] - _inside(events, core))
    return np.nan_to_num(change)


def run_kernel(
    problem: BinnedProblem, confidence_level: float, extra: Floats, known: Floats
) -> tuple[Floats, NDArray[np.uint8]]:
    """Run the kernel; return its result rows (W, 13) and the status of the sideband fits."""
    rows = np.empty((problem.windows, columns.EXPECTED_LIMITS + len(QUANTILES)))
    status = np.empty(problem.windows, dtype=np.uint8)
    columns.count_windows(
        problem.counts,
        problem.signal,
        problem.background,
        known,
        problem.terms,
        problem.core_bins(),
        extra,
        np.array(QUANTILES),
        np.log1p(-confidence_level),
        rows,
        status,
    )
    return rows, status
