"""Poisson numbers by inversion: the count rises with the random word, and with the mean.

So toys of one number and key at two means move together, and a p-value is smooth in the signal.

Up to a mean of `LARGE` the cumulative distribution is tabulated in units of 2⁻⁶⁴, summed from below for
counts under the mode and from above for the others, so that both tails keep their digits. The words
are divided into equal cells (Chen and Asau, AIIE Transactions 6 (1974) 163), so many that in nearly all
of them the count takes one value or two, and one comparison ends the search; the cells in the tails
are marked, and search the table. Above `LARGE` the count is Giles' normal asymptotic expansion of the
inverse (ACM TOMS 42 (2016) 7, Algorithm 955), whose probabilities there are right to 1e-8.

A cell has 32 bits, so that the tables of a window stay in the second-level cache: eleven of the first
count in the cell, less that of the table; the mark; and twenty of the last word of that count. A word
that agrees in those twenty is looked up in the table, so that nothing is lost by their number.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.toys.random import WORD, Words, normal, random_words

Cells = NDArray[np.uint32]

LARGE = 8192.0
"""Mean above which the expansion is used."""
CELLS_A_SIGMA = 20.0
SMALLEST_BITS = 3
NEGLIGIBLE = 1e-25
"""Probability relative to the mode beyond which a table ends; words have steps of 5e-20."""
FULL = 2.0**64
TOP = np.uint64(0xFFFFFFFFFFFFFFFF)
FINE_BITS = np.uint64(20)
FINE = np.uint64((1 << 20) - 1)
COUNT_SHIFT = np.uint64(21)
ZERO, ONE = np.uint64(0), np.uint64(1)

LOW, FIRST, SIZE = range(3)
"""Rows of a plan: where a bin's thresholds begin, the first count of its table and how many there are."""
WORDS, PLACE, FRACTION, MARKED = range(4)
"""Rows of the scratch of a toy: random words; place of the cell, then the cell; the bits that are
compared, then whether to look further; the bins where to."""

Tables = tuple[Words, Cells, Words, np.uint64, bool]
"""Plan (3, B), cells of all bins, thresholds, the shift that turns a word into the number of its cell,
and whether there are means above LARGE, for one truth."""


@jit
def tabulate(means: Floats) -> Tables:
    """Return the tables from which toys of the means (B,) are thrown."""
    plan = np.empty((3, means.size), np.uint64)
    bits = SMALLEST_BITS
    thresholds = 0
    large = False
    for b in range(means.size):
        first, last = _support(means[b])
        while last > first and (1 << bits) < CELLS_A_SIGMA * math.sqrt(means[b]):
            bits += 1
        plan[LOW, b], plan[FIRST, b] = np.uint64(thresholds), np.uint64(first)
        plan[SIZE, b] = np.uint64(last - first + 1)
        thresholds += last - first + 1
        large = large or means[b] > LARGE
    cells, bounds = np.empty(means.size << bits, np.uint32), np.empty(thresholds, np.uint64)
    shift = np.uint64(64 - bits)
    for b in range(means.size):
        low = np.int64(plan[LOW, b])
        own = bounds[low : low + np.int64(plan[SIZE, b])]
        _fill_thresholds(means[b], int(plan[FIRST, b]), own)
        _fill_cells(own, cells[b << bits : (b + 1) << bits], shift)
    return plan, cells, bounds, shift, large


@jit
def _support(mean: float) -> tuple[int, int]:
    """Return the first and the last count of a table; without one they are 0."""
    if not mean > 0.0 or mean > LARGE:
        return 0, 0
    low = high = int(mean)
    term = 1.0
    while low > 0 and term > NEGLIGIBLE:
        term *= low / mean
        low -= 1
    term = 1.0
    while term > NEGLIGIBLE:
        high += 1
        term *= mean / high
    return low, high


@jit
def _fill_thresholds(mean: float, first: int, bounds: Words) -> None:
    """Set the last word of every count: those of first + i end at bounds[i]."""
    if bounds.size == 1:
        bounds[0] = TOP
        return
    mode = int(mean) - first
    terms = np.empty(bounds.size)
    terms[mode] = total = 1.0
    inverse = 1.0 / mean
    for i in range(mode, 0, -1):
        terms[i - 1] = terms[i] * ((first + i) * inverse)
        total += terms[i - 1]
    for i in range(mode + 1, terms.size):
        terms[i] = terms[i - 1] * (mean / (first + i))
        total += terms[i]
    scale = FULL / total
    below = 0.0
    for i in range(mode):
        below += terms[i] * scale
        bounds[i] = np.uint64(below)
    above = 0.0
    for i in range(terms.size - 1, mode - 1, -1):
        bounds[i] = TOP - np.uint64(above)
        above += terms[i] * scale


@lean
def _fill_cells(bounds: Words, cells: Cells, shift: np.uint64) -> None:
    """Set every cell of one mean from the last words of its counts."""
    i = 0
    for c in range(cells.size):
        begin = np.uint64(c) << shift
        end = begin + ((ONE << shift) - ONE)
        while bounds[i] < begin:
            i += 1
        fine = min(bounds[i], end) >> (shift - FINE_BITS) & FINE
        mark = np.uint64(bounds[i] < end and bounds[i + 1] < end)
        cells[c] = np.uint32((np.uint64(i) << COUNT_SHIFT) | (mark << FINE_BITS) | fine)


@jit
def allocate_draws(bins: int) -> Words:
    """Return the scratch of toys with that many bins."""
    return np.empty((4, bins + bins % 2), np.uint64)


@lean
def throw(
    means: Floats, tables: Tables, key: np.uint64, stream: np.uint64, toy: int, draws: Words, counts: Floats
) -> None:
    """Set counts (B,) to the toy of this number, one random word a bin.

    The steps are apart because the compiler then runs all but the fetching for several bins at a time.
    """
    plan, cells, thresholds, shift, large = tables
    words, place, fraction = draws[WORDS], draws[PLACE], draws[FRACTION]
    random_words(key, stream, np.uint64(toy), words)
    _find_cells(words, shift, place, fraction)
    _fetch_cells(cells, place, counts.size)
    _compare(place, fraction, plan[FIRST], counts)
    marked = _collect(fraction, draws[MARKED], counts.size)
    for i in range(marked):
        b = draws[MARKED, i]
        low = plan[LOW, b]
        end = _search(thresholds, low + (place[b] >> COUNT_SHIFT), words[b])
        counts[b] = float(np.int64(plan[FIRST, b] + (end - low)))
    if large:
        _throw_large(means, words, counts)


@lean
def _find_cells(words: Words, shift: np.uint64, place: Words, fraction: Words) -> None:
    size = ONE << (WORD - shift)
    for b in range(words.size):
        place[b] = np.uint64(b) * size + (words[b] >> shift)
        fraction[b] = (words[b] >> (shift - FINE_BITS)) & FINE


@lean
def _fetch_cells(cells: Cells, place: Words, bins: int) -> None:
    for b in range(bins):
        place[b] = np.uint64(cells[place[b]])


@lean
def _compare(cell: Words, fraction: Words, first: Words, counts: Floats) -> None:
    """Set the counts of draws that one comparison settles, and the mark of the others."""
    for b in range(counts.size):
        edge = cell[b] & FINE
        count = first[b] + (cell[b] >> COUNT_SHIFT) + np.uint64(fraction[b] > edge)
        counts[b] = float(np.int32(count))
        fraction[b] = ((cell[b] >> FINE_BITS) & ONE) | np.uint64(fraction[b] == edge)


@lean
def _collect(marks: Words, marked: Words, bins: int) -> np.uint64:
    number = ZERO
    for b in range(bins):
        marked[number] = np.uint64(b)
        number += marks[b]
    return number


@lean
def _search(thresholds: Words, place: np.uint64, word: np.uint64) -> np.uint64:
    """Return the place of the first threshold not below `word`, at or above `place`."""
    while thresholds[place] < word:
        place += ONE
    return place


@lean
def _throw_large(means: Floats, words: Words, counts: Floats) -> None:
    for b in range(means.size):
        if means[b] > LARGE:
            counts[b] = _expand(means[b], normal(words[b]))


@jit
def _expand(mean: float, w: float) -> float:
    """Return ⌊Q(w)⌋, the normal asymptotic expansion of the inverse in powers of 1/√mean."""
    root, s = math.sqrt(mean), w * w
    value = mean + root * w + (2.0 + s) / 6.0 - w * (2.0 + s) / (72.0 * root)
    value += (-16.0 + s * (7.0 + 3.0 * s)) / (810.0 * mean)
    return float(max(math.floor(value), 0.0))


@jit
def poisson_toys(means: Floats, key: np.uint64, stream: np.uint64, first: int, out: Floats) -> None:
    """Fill out (toys, B) with the toys first, first + 1, … of the means (B,)."""
    tables = tabulate(means)
    draws = allocate_draws(means.size)
    for t in range(out.shape[0]):
        throw(means, tables, key, stream, first + t, draws, out[t])
