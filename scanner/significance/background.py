"""The background truth of a spectrum: the fits of its windows without signal, averaged and smoothed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.kernels.linear.window import EMPTY
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import USABLE
from scanner.limits import window_problem
from scanner.stats.asymptotic import fit_hypotheses
from scanner.windows.channels import rate, views
from scanner.windows.grid import WindowGrid
from scanner.windows.joint import block_model

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Counts = NDArray[np.int64] | Floats
"""Events in fine bins: integers of data, whole numbers of toys."""

SMOOTHINGS = 8
"""How often the averaged fits are fitted and averaged again: on a smooth spectrum windows then find signals
of 0.03 of their errors in it, where a single average has 0.15, which would make the largest excess of a toy
larger by 0.05 standard deviations than that of the data."""


def background_truth(search: Search, grid: WindowGrid, counts: Counts, configuration: int = 0) -> Floats:
    """Return the expected background of every fine bin, (F,), from the fits without signal.

    Each window's fit is evaluated on its fine bins; where windows overlap, their fits are averaged with
    the weight (1 − u²)², u from −1 to 1 over a window, so that no window's end shows as a step. An
    average of fits is a little rougher than a fit, which a window would take for a signal in every toy;
    so the average is fitted and averaged again, `SMOOTHINGS` times. An empty window expects nothing; a
    window whose fit failed says nothing. A polynomial that dips below zero between the centres of bins
    is taken as zero there.

    Parameters
    ----------
    counts : (F,) int or float
        Events on the fine axis.
    configuration : int
        Number of the model configuration.
    """
    if grid.channels:
        spectra = zip(grid.channels.items(), grid.by_channel(counts), strict=True)
        singles = views(search)
        return np.concatenate(
            [_channel_truth(singles[name], axis, own, configuration) for (name, axis), own in spectra]
        )
    smoother = _Smoother(search, grid, counts, configuration)
    expected = np.asarray(counts, dtype=np.float64)
    for _ in range(1 + SMOOTHINGS):
        expected, known = smoother.average(expected)
        expected = np.where(known, expected, counts)
    return np.where(known, expected, 0.0)


def _channel_truth(single: Search, axis: WindowGrid, counts: Counts, configuration: int) -> Floats:
    """Return the background truth of one channel, from the windows in which it sees a signal."""
    parameters = dict(single.configurations[configuration].parameters)
    seen = np.flatnonzero(rate(single, axis.mass, parameters) > 0.0)
    if seen.size == 0:
        return np.zeros(len(counts))
    return background_truth(single, axis.select(seen), counts, configuration)


class _Smoother:
    """The windows of a spectrum, to fit any events and average the fits; templates are those of the data."""

    def __init__(self, search: Search, grid: WindowGrid, counts: Counts, configuration: int) -> None:
        self.grid = grid
        self.looked_at = ~engine.vetoed(search, grid.mass)
        self.problem, self.live, (nonlinear,) = all_windows(search, grid, counts, configuration)
        parameters = dict(search.configurations[configuration].parameters)
        self.runs = []
        for stride in np.unique(grid.stride):
            chosen = np.flatnonzero(grid.stride == stride)
            fine = _on_fine_bins(grid, chosen)
            bends = {name: values[chosen] for name, values in nonlinear.items()}
            model = engine.window_model(search, fine, slice(0, len(fine)), parameters, bends)
            self.runs.append(_Run(chosen, fine, model.background, _weights(fine.bins) * model.live))

    def average(self, counts: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the average of the fits without signal, and where there is any, (F,) each."""
        events = np.where(self.live, self.grid.counts(counts), 0.0)
        fits = fit_hypotheses(replace(self.problem, counts=events).select(np.flatnonzero(self.looked_at)))
        found = np.where((fits.status == EMPTY)[:, None], 0.0, np.nan_to_num(fits.null_theta))
        coefficients, usable = np.zeros((len(self.grid), found.shape[1])), np.zeros_like(self.looked_at)
        coefficients[self.looked_at] = found
        usable[self.looked_at] = np.isin(fits.status, (*USABLE, EMPTY))
        total, weight = np.zeros(len(counts)), np.zeros(len(counts))
        for run in self.runs:
            shares = run.shares * usable[run.windows, None]
            expected = np.einsum("wk,wkb->wb", coefficients[run.windows, : run.terms.shape[1]], run.terms)
            for first, share, values in zip(run.grid.first, shares, shares * expected, strict=True):
                total[first : first + run.grid.bins] += values
                weight[first : first + run.grid.bins] += share
        known = weight > 0.0
        return np.maximum(total, 0.0) / np.where(known, weight, 1.0), known


@dataclass(frozen=True)
class _Run:
    """Windows of one stride, on fine bins."""

    windows: Integers
    grid: WindowGrid
    terms: Floats
    """(W, K, B) background terms."""
    shares: Floats
    """(W, B) weights of the windows in the average, 0 in bins that are left out."""


def all_windows(
    search: Search, grid: WindowGrid, counts: Counts, configuration: int, include: str = "nothing"
) -> tuple[BinnedProblem, NDArray[np.bool_], tuple[dict[str, Floats], ...]]:
    """Return the likelihoods of all windows, their fitted bins (W, B), and each channel's bends."""
    windows, events = slice(0, len(grid)), grid.counts(counts)
    parameters = dict(search.configurations[configuration].parameters)
    expected = block_model(search, grid, events, windows, parameters)
    problem, _ = window_problem(search, grid, events, windows, configuration=configuration, include=include)
    return problem, expected.model.live, expected.nonlinear


def _on_fine_bins(grid: WindowGrid, chosen: Integers) -> WindowGrid:
    """Return windows of one stride with every fine bin as a bin of its own."""
    return replace(
        grid,
        mass=grid.mass[chosen],
        resolution=grid.resolution[chosen],
        first=grid.first[chosen],
        stride=np.ones(len(chosen), dtype=np.int64),
        bins=grid.bins * int(grid.stride[chosen[0]]),
    )


def _weights(bins: int) -> Floats:
    u = (2.0 * np.arange(bins) + 1.0) / bins - 1.0
    weights: Floats = (1.0 - u * u) ** 2
    return weights
