"""What is thrown for every toy of a study, and the sums over toys."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from scanner.studies.bench import Bench, Floats

Variables = dict[str, Floats]
GROUP = 10
"""Toys that are summed into one row; blocks hold whole groups, so that sums do not depend on blocks."""


@dataclass(frozen=True)
class Cases:
    """Signal strengths on one background truth.

    Attributes
    ----------
    truth : str
        Name of the background truth.
    strengths : (I,) float
        As asked for: in expected errors, or in events.
    yields : (W, I) float
        Mean injected yields [events].
    """

    truth: str
    strengths: Floats
    yields: Floats


def cases_of(bench: Bench, truth: str, strengths: Floats, *, in_events: bool) -> Cases:
    """Return the cases of some strengths: of the expected error of each window, or events."""
    scale = np.ones(len(bench.grid)) if in_events else bench.expected_error
    return Cases(truth, strengths, scale[:, None] * strengths)


def thrown(bench: Bench, cases: Cases, toy: int) -> Iterator[Floats]:
    """Yield the counts (W, B) of a toy at each strength; its background is the same at all of them."""
    background = bench.background_toy(cases.truth, toy)
    for signal in bench.signal_toys(np.nan_to_num(cases.yields.T), toy):
        yield background + signal


def grouped(measure: Callable[[int], Variables], first: int, last: int) -> Variables:
    """Sum what each toy gives over groups of `GROUP` toys, in the order of toys: (G, …) each."""
    rows = [_summed(measure, start, min(start + GROUP, last)) for start in range(first, last, GROUP)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _summed(measure: Callable[[int], Variables], first: int, last: int) -> Variables:
    total = measure(first)
    for toy in range(first + 1, last):
        total = {name: total[name] + values for name, values in measure(toy).items()}
    return total


def total(groups: Mapping[str, Floats]) -> Variables:
    """Sum groups (G, …) in their order."""
    sums: Variables = {}
    for name, values in groups.items():
        sums[name] = values[0].copy()
        for row in values[1:]:
            sums[name] += row
    return sums


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a sample, with their standard errors; NaN without two members."""

    mean: Floats
    error: Floats
    width: Floats
    width_error: Floats


def mean_and_error(n: Floats, total: Floats, squares: Floats) -> Moments:
    """Return the moments of samples of sizes n from their sums and sums of squares.

    The error of the width is that of a normal sample, width/√(2(n − 1)).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0.0, total / n, np.nan)
        variance = np.where(n > 1.0, np.maximum(squares - n * mean**2, 0.0) / (n - 1.0), np.nan)
        width = np.sqrt(variance)
        return Moments(mean, width / np.sqrt(n), width, width / np.sqrt(2.0 * (n - 1.0)))
