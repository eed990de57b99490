"""Toys of one window: thrown, fitted, and compared by q̃_μ (Cowan, Cranmer, Gross, Vitells 1007.1727).

The profile likelihood is convex in the yield: the sign of its slope at 0 and at μ tells on which side ŝ
lies, and most fits of q̃_μ need not be done. Toys of one number are thrown again for every yield that is
tested: that is cheaper than to keep them.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.window import count, usable
from scanner.kernels.linear.workspace import DATA, REFERENCE, THETA
from scanner.kernels.toys.fits import Arrays, begin, fit_toy, likelihood
from scanner.kernels.toys.poisson import allocate_draws, tabulate, throw
from scanner.kernels.toys.sparse import Few, allocate_places, gather

YIELD, FREE, NULL = range(3)
"""Columns of toys without signal: max(ŝ, 0), and the NLL less that of the truth at it and at s = 0."""
COLUMNS = 3
Q, LOG_RATIO = range(2)
"""Rows of tested toys: q̃_μ, and ln L_μ/L_0 of the two truths."""
DECISIVE = 1e6
"""Logarithm of a ratio that settles which of two hypotheses a toy is of."""


@lean
def fit_free(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    few: Few,
    terms: int,
    dense: bool,
) -> tuple[float, float, float]:
    """Fit from the present point at s = 0 and, where there is an excess, with a free yield.

    Returns max(ŝ, 0) in its coordinate, and the NLL less that of the truth at it and at s = 0; NaN where
    the fit fails. A toy without events has its minimum at s = 0; one that is impossible without signal
    has an infinite NLL there.
    """
    status, slope = fit_toy(templates, bins, coefficients, matrix, few, terms, 0.0, dense)
    null = math.inf
    if usable(status):
        null = likelihood(bins, coefficients, dense)
        if slope >= 0.0 or count(bins) == 0.0:
            return 0.0, null, null
    else:
        begin(bins, coefficients)
    status, _ = fit_toy(templates, bins, coefficients, matrix, few, terms, math.nan, dense)
    if not usable(status):
        return math.nan, math.nan, null
    return max(coefficients[THETA, terms], 0.0), likelihood(bins, coefficients, dense), null


@jit
def not_negative(q: float) -> float:
    """Return 0 for the negative values that rounding leaves, and NaN for NaN."""
    return 0.0 if q < 0.0 else q


@lean
def qmu_tilde(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    few: Few,
    terms: int,
    target: float,
    dense: bool,
) -> float:
    """Return q̃_μ of the counts in `bins` (eq. 16), NaN where a fit fails; `target` is μ's coordinate.

    Where the slope makes ŝ > 0 likely a free yield is fitted at once, and s = 0 only where it is not.
    """
    begin(bins, coefficients)
    status, slope = fit_toy(templates, bins, coefficients, matrix, few, terms, target, dense)
    if not usable(status):
        return math.nan
    empty = count(bins) == 0.0
    if slope <= 0.0 and not empty:
        return 0.0
    at_mu = likelihood(bins, coefficients, dense)
    if slope < target:
        status, _ = fit_toy(templates, bins, coefficients, matrix, few, terms, math.nan, dense)
        if usable(status) and coefficients[THETA, terms] >= 0.0:
            return not_negative(2.0 * (at_mu - likelihood(bins, coefficients, dense)))
    _, best, _ = fit_free(templates, bins, coefficients, matrix, few, terms, dense)
    return not_negative(2.0 * (at_mu - best))


@jit
def throw_background(
    whitened: Floats,
    arrays: Arrays,
    terms: int,
    scale: float,
    dense: bool,
    key: np.uint64,
    stream: np.uint64,
    first: int,
    out: Floats,
) -> None:
    """Throw toys of the reference and fit them; fill out (toys, COLUMNS), NaN where a fit fails."""
    bins, coefficients, matrix, few = arrays
    means = bins[REFERENCE].copy()
    tables, draws, places = tabulate(means), allocate_draws(means.size), allocate_places(means.size)
    without_events = (math.nan, math.nan, math.nan)
    for t in range(out.shape[0]):
        throw(means, tables, key, stream, first + t, draws, bins[DATA])
        if count(bins) == 0.0 and not math.isnan(without_events[0]):
            best, free, null = without_events
        else:
            toy = few if dense else gather(whitened, bins, few, places)
            begin(bins, coefficients)
            best, free, null = fit_free(whitened, bins, coefficients, matrix, toy, terms, dense)
            if count(bins) == 0.0:
                without_events = (best, free, null)
        out[t, YIELD], out[t, FREE], out[t, NULL] = best / scale, free, null


@lean
def set_log_ratio(signal_means: Floats, background_means: Floats, logs: Floats) -> float:
    """Fill logs (B,) with those of the ratio of two truths; return the difference of their sums.

    A count is thrown in a bin that one of them leaves empty only by the other: `DECISIVE` says which.
    """
    offset = 0.0
    for b in range(logs.size):
        above, below = signal_means[b], background_means[b]
        offset += above - below
        logs[b] = math.log(above / below) if above > 0.0 and below > 0.0 else 0.0
        if above > 0.0 and not below > 0.0:
            logs[b] = DECISIVE
        elif below > 0.0 and not above > 0.0:
            logs[b] = -DECISIVE
    return offset


@lean
def log_likelihood_ratio(counts: Floats, logs: Floats, offset: float) -> float:
    """Return ln L_μ/L_0 of the truths of two hypotheses for thrown counts."""
    total = -offset
    for b in range(counts.size):
        total += counts[b] * logs[b]
    return total


@jit
def test_background(
    whitened: Floats,
    arrays: Arrays,
    terms: int,
    scale: float,
    dense: bool,
    key: np.uint64,
    stream: np.uint64,
    fits: Floats,
    signal_yield: float,
    logs: Floats,
    offset: float,
    out: Floats,
) -> None:
    """Throw the toys of `throw_background` from the first again; fill out (2, toys).

    Its rows are q̃_μ and the log of the ratio of the truths.
    """
    bins, coefficients, matrix, few = arrays
    means = bins[REFERENCE].copy()
    tables, draws, places = tabulate(means), allocate_draws(means.size), allocate_places(means.size)
    target = signal_yield * scale
    without_events = math.nan
    for t in range(out.shape[1]):
        throw(means, tables, key, stream, t, draws, bins[DATA])
        out[LOG_RATIO, t] = log_likelihood_ratio(bins[DATA], logs, offset)
        if fits[t, YIELD] >= signal_yield:
            out[Q, t] = 0.0
            continue
        empty = count(bins) == 0.0
        if empty and not math.isnan(without_events):
            out[Q, t] = without_events
            continue
        toy = few if dense else gather(whitened, bins, few, places)
        begin(bins, coefficients)
        status, _ = fit_toy(whitened, bins, coefficients, matrix, toy, terms, target, dense)
        value = 2.0 * (likelihood(bins, coefficients, dense) - fits[t, FREE]) if usable(status) else math.nan
        out[Q, t] = not_negative(value)
        if empty:
            without_events = out[Q, t]


@jit
def test_signal(
    whitened: Floats,
    arrays: Arrays,
    terms: int,
    scale: float,
    dense: bool,
    key: np.uint64,
    stream: np.uint64,
    signal_yield: float,
    logs: Floats,
    offset: float,
    out: Floats,
) -> None:
    """Throw toys of the reference; fill out (2, toys) as `test_background` does, NaN where a fit fails."""
    bins, coefficients, matrix, few = arrays
    means = bins[REFERENCE].copy()
    tables, draws, places = tabulate(means), allocate_draws(means.size), allocate_places(means.size)
    target = signal_yield * scale
    without_events = math.nan
    for t in range(out.shape[1]):
        throw(means, tables, key, stream, t, draws, bins[DATA])
        out[LOG_RATIO, t] = log_likelihood_ratio(bins[DATA], logs, offset)
        empty = count(bins) == 0.0
        if empty and not math.isnan(without_events):
            out[Q, t] = without_events
            continue
        toy = few if dense else gather(whitened, bins, few, places)
        out[Q, t] = qmu_tilde(whitened, bins, coefficients, matrix, toy, terms, target, dense)
        if empty:
            without_events = out[Q, t]


@jit
def test_counts(
    whitened: Floats,
    arrays: Arrays,
    terms: int,
    scale: float,
    dense: bool,
    counts: Floats,
    signal_yield: float,
) -> float:
    """Return q̃_μ of the counts (B,)."""
    bins, coefficients, matrix, few = arrays
    toy = _take_counts(whitened, bins, few, dense, counts)
    return qmu_tilde(whitened, bins, coefficients, matrix, toy, terms, signal_yield * scale, dense)


@jit
def fit_counts(
    whitened: Floats, arrays: Arrays, terms: int, dense: bool, counts: Floats
) -> tuple[float, float, float]:
    """Fit the counts (B,) as `fit_free` does."""
    bins, coefficients, matrix, few = arrays
    toy = _take_counts(whitened, bins, few, dense, counts)
    begin(bins, coefficients)
    return fit_free(whitened, bins, coefficients, matrix, toy, terms, dense)


@jit
def _take_counts(whitened: Floats, bins: Floats, few: Few, dense: bool, counts: Floats) -> Few:
    for b in range(bins.shape[1]):
        bins[DATA, b] = counts[b]
    return few if dense else gather(whitened, bins, few, allocate_places(bins.shape[1]))
