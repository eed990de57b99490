"""The saturated-model goodness of fit where counts are too low for its asymptotic distribution.

Toys of a window's fitted expectation are fitted as the data were. They have as many events as the data: the
distance from the saturated model follows the number of events where bins are nearly empty, and the fit has
taken that number from the data (Heinrich, CDF note 5718).

Throwing stops when `HITS` toys are as far from the saturated model as the data. Then p lies between
HITS/(toys + 1) and HITS/toys, otherwise between hits/(toys + 1) and (hits + 1)/(toys + 1) (Besag, Clifford,
Biometrika 78 (1991) 301); a random number of the window chooses where, and which toys at the same distance
count, so that p is uniform for a true model.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats, Integers
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import excess_over_saturated
from scanner.kernels.linear.window import fit_window, usable
from scanner.kernels.linear.workspace import allocate, load
from scanner.kernels.toys.random import Words, random_words, uniform

HITS = 5
STREAM, TIES = np.uint64(0x676F6F64), np.uint64(0x74696573)
"""Keep these toys apart from those of limits, and ties apart from toys."""
TIE = 1e-9
"""Relative difference of two NLLs that is none: sparse toys often repeat the data."""


@jit
def calibrate_windows(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    theta: Floats,
    chosen: Flags,
    keys: NDArray[np.uint64],
    most: int,
    quality: Floats,
    toys: Integers,
) -> None:
    """Set the p-values and the numbers of toys of every chosen window.

    Shapes: counts, signal (W, B), background (W, K, B), terms, chosen, keys (W,), theta (W, K+1) the fits
    to the data with the yield last, `most` toys at most, quality, toys (W,); those of others stay.
    """
    bins_of = counts.shape[1]
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, bins_of)
    means, thrown, random = np.empty(bins_of), np.empty(bins_of), np.empty(2, np.uint64)
    for w in range(counts.shape[0]):
        if not chosen[w]:
            continue
        size = terms[w]
        _expect(signal[w], background[w], theta[w], size, means)
        seen = _distance(counts[w], means)
        _accumulate(means)
        words = np.empty(2 * ((round(np.sum(counts[w])) + 1) // 2), np.uint64)
        hits = number = 0
        while number < most and hits < HITS:
            _throw(means, round(np.sum(counts[w])), keys[w], number, words, thrown)
            random_words(keys[w], TIES, np.uint64(number), random)
            number += 1
            templates, bins, _ = load(scratch, rows, thrown, signal[w], background[w], size)
            status, _ = fit_window(templates, bins, coefficients, matrix, size, math.nan)
            if not usable(status):
                hits += 1
                continue
            excess = excess_over_saturated(bins) - seen
            tie = abs(excess) <= TIE * seen
            hits += (excess > 0.0 and not tie) or (tie and uniform(random[0]) < 0.5)
        random_words(keys[w], TIES, np.uint64(most), random)
        quality[w] = _between(hits, number, uniform(random[0]))
        toys[w] = number


@jit
def _between(hits: int, toys: int, place: float) -> float:
    if hits == HITS:
        low, high = HITS / (toys + 1.0), HITS / float(toys)
    else:
        low, high = hits / (toys + 1.0), (hits + 1.0) / (toys + 1.0)
    return low + place * (high - low)


@lean
def _accumulate(means: Floats) -> None:
    """Turn means into the cumulative distribution of an event's bin."""
    for b in range(1, means.size):
        means[b] += means[b - 1]
    total = means[means.size - 1]
    for b in range(means.size):
        means[b] /= total


@jit
def _throw(cumulative: Floats, events: int, key: np.uint64, toy: int, words: Words, counts: Floats) -> None:
    """Spread events over the bins."""
    random_words(key, STREAM, np.uint64(toy), words)
    counts[:] = 0.0
    for i in range(events):
        counts[np.searchsorted(cumulative, uniform(words[i]))] += 1.0


@lean
def _expect(signal: Floats, background: Floats, theta: Floats, terms: int, means: Floats) -> None:
    for b in range(means.size):
        total = theta[theta.size - 1] * signal[b]
        for k in range(terms):
            total += theta[k] * background[k, b]
        means[b] = max(total, 0.0)


@lean
def _distance(counts: Floats, means: Floats) -> float:
    """Return the NLL of a fit above that of the saturated model."""
    total = 0.0
    for b in range(counts.size):
        n, mean = counts[b], means[b]
        total += mean - n
        if n > 0.0:
            total += n * math.log(n / mean) if mean > 0.0 else math.inf
    return total
