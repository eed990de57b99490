"""Pseudo-experiments: Poisson counts that follow from a key and the toy's number, and nothing else."""

import numpy as np

from scanner.errors import InputError
from scanner.kernels.toys import poisson
from scanner.kernels.toys.random import normal_draws
from scanner.likelihoods.binned import Floats

LARGEST_MEAN = 1e12
OBSERVABLES = 1 << 16
"""Added to the stream of the counts for that of their global observables, which are independent."""


def poisson_toys(expectation: Floats, key: int, first: int, count: int, *, stream: int = 0) -> Floats:
    """Throw toys first … first + count − 1 of an expectation.

    Bin b of toy t is a function of (key, stream, t, b) and its own mean alone, so that any toy can be
    thrown again by itself. It is the inverse of the cumulative distribution at a random number, which
    rises with the mean: toys of one number at two expectations fluctuate together.

    Parameters
    ----------
    expectation : (B,) float
        Expected events, from 0 to 1e12 a bin. Up to 8192 the distribution is exact to 2⁻⁴²; above, its
        probabilities are right to 1e-8.
    key : int
        64-bit key, such as a window's of `scanner.seeds`.
    first, count : int
        Number of the first toy and how many.
    stream : int
        Separates independent draws under one key, such as those of two hypotheses.

    Returns
    -------
    (count, B) float
        Whole numbers of events.

    Raises
    ------
    InputError
        If an expectation is negative, not finite or too large.

    Examples
    --------
    >>> import numpy as np
    >>> whole = poisson_toys(np.array([0.5, 20.0]), key=7, first=0, count=100)
    >>> bool((poisson_toys(np.array([0.5, 20.0]), key=7, first=42, count=1) == whole[42]).all())
    True
    """
    means = np.ascontiguousarray(expectation, dtype=np.float64)
    if means.ndim != 1 or not np.all((means >= 0.0) & (means <= LARGEST_MEAN)):
        raise InputError(f"expectations of toys must be one row of numbers from 0 to {LARGEST_MEAN:.0e}")
    out = np.empty((count, means.size))
    poisson.poisson_toys(means, np.uint64(key), np.uint64(stream), first, out)
    return out


def normal_numbers(key: int, toy: int, count: int, *, stream: int = 0) -> Floats:
    """Return (count,) standard normal numbers of a toy, which follow from its key, stream and number."""
    out = np.empty(count)
    normal_draws(np.uint64(key), np.uint64(stream), np.uint64(toy), out)
    return out
