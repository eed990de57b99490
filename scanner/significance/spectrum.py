"""The whole spectrum of a region: its background truth, toys of it, and the look at them through all windows.

A toy is one spectrum, thrown once over the fine axis and passed through every window as the data are,
so that windows which overlap share its events. Toys of windows thrown one by one would not, and their
largest excess would be that of far more independent places.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.errors import InputError
from scanner.kernels.linear import hypotheses
from scanner.kernels.linear.window import EMPTY
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import USABLE
from scanner.limits import window_problem
from scanner.seeds import key_of
from scanner.stats.asymptotic import fit_hypotheses
from scanner.stats.sampling import poisson_toys
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


@dataclass(frozen=True)
class Spectrum:
    """One fine histogram, and the configurations that look at it.

    Attributes
    ----------
    grid : WindowGrid
        The windows.
    configurations : tuple of int
        Numbers of the model configurations whose selections leave these same events.
    counts : (F,) int
        Events of the data.
    expectation : (F,) float
        Background truth of the toys [events].
    key : int
        Seed of its toys.
    """

    grid: WindowGrid
    configurations: tuple[int, ...]
    counts: Integers
    expectation: Floats
    key: int

    def throw(self, first: int, count: int) -> Floats:
        """Return the events of some toys, (count, F); a toy follows from the key and its number alone."""
        return poisson_toys(self.expectation, self.key, first, count)


def spectra(
    search: Search,
    grids: Mapping[str, WindowGrid],
    histograms: Mapping[str, NDArray[np.int64]],
    identity: str,
) -> tuple[Spectrum, ...]:
    """Find the spectra of a scan, each once, and their background truth.

    Configurations whose events differ get spectra of their own, thrown independently: the events that
    their selections share are unknown. That overstates the number of places to look at, never understates it.

    Parameters
    ----------
    histograms : mapping of (C, F) int
        Events on the fine axis of each region, a row a configuration.
    identity : str
        Scan identity, from which the seeds follow.

    Raises
    ------
    InputError
        If the events of a region were counted window by window, which leaves no spectrum to throw, or the
        search has several channels.
    """
    engine.check_single(search, "a global significance")
    engine.refuse_known_yields(search, "a global significance")
    return tuple(
        _spectrum(search, grids[region], rows, np.asarray(counts[rows[0]]), identity)
        for region, counts in histograms.items()
        for rows in _equal_rows(region, counts)
    )


def _equal_rows(region: str, counts: NDArray[np.int64]) -> list[tuple[int, ...]]:
    if counts.ndim != 2:
        raise InputError(
            f"the cuts of region {region!r} depend on the window, so that its events form no one spectrum: "
            "a global p-value needs cuts that do not"
        )
    rows: dict[bytes, list[int]] = {}
    for number, row in enumerate(counts):
        rows.setdefault(row.tobytes(), []).append(number)
    return [tuple(numbers) for numbers in rows.values()]


def _spectrum(
    search: Search, grid: WindowGrid, rows: tuple[int, ...], counts: Integers, identity: str
) -> Spectrum:
    expectation = background_truth(search, grid, counts, rows[0])
    name = search.configurations[rows[0]].name
    return Spectrum(grid, rows, counts, expectation, key_of(identity, "spectrum", name, grid.region))


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
    smoother = _Smoother(search, grid, counts, configuration)
    expected = np.asarray(counts, dtype=np.float64)
    for _ in range(1 + SMOOTHINGS):
        expected, known = smoother.average(expected)
        expected = np.where(known, expected, counts)
    return np.where(known, expected, 0.0)


class _Smoother:
    """The windows of a spectrum, to fit any events and average the fits; templates are those of the data."""

    def __init__(self, search: Search, grid: WindowGrid, counts: Counts, configuration: int) -> None:
        self.grid = grid
        self.looked_at = ~engine.vetoed(search, grid.mass)
        self.problem, self.live, nonlinear = _windows(search, grid, counts, configuration)
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


def _windows(
    search: Search, grid: WindowGrid, counts: Counts, configuration: int
) -> tuple[BinnedProblem, NDArray[np.bool_], dict[str, Floats]]:
    """Return the likelihoods of all windows, their bins (W, B) that are fitted, and non-linear parameters."""
    windows, events = slice(0, len(grid)), grid.counts(counts)
    parameters = dict(search.configurations[configuration].parameters)
    live = block_model(search, grid, events, windows, parameters).model.live
    problem, nonlinear = window_problem(search, grid, events, windows, configuration=configuration)
    return problem, live, nonlinear


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


@dataclass(frozen=True)
class LocalScan:
    """Local significances along the mass axis of one configuration."""

    z: Floats
    """(W,) √q₀, 0 for a deficit or an empty window, NaN where the search looks away or the fit failed."""
    effective_background: Floats
    """(W,) background of the counting experiment with the same information; NaN without a fit."""
    failed: int
    """Windows whose fit failed."""


class Line:
    """The mass axis of one configuration over one spectrum: any events of it become significances.

    Parameters
    ----------
    spectrum : Spectrum
    configuration : int
        One of the spectrum's.
    """

    def __init__(self, search: Search, spectrum: Spectrum, configuration: int) -> None:
        self.search, self.spectrum, self.configuration = search, spectrum, configuration
        self.looked_at = ~engine.vetoed(search, spectrum.grid.mass)
        self._problem, self._live, nonlinear = self._build(spectrum.counts)
        self._fixed = not nonlinear and search.background.choose == "fixed"

    def _build(self, events: Counts) -> tuple[BinnedProblem, NDArray[np.bool_], dict[str, Floats]]:
        return _windows(self.search, self.spectrum.grid, events, self.configuration)

    def scan(self, events: Counts) -> LocalScan:
        """Fit every window to events on the fine axis (F,), be they data or a toy."""
        problem = self._problem_of(events) if self._fixed else self._build(events)[0]
        fits = fit_hypotheses(problem.select(np.flatnonzero(self.looked_at)))
        columns = fits.rows.T
        found = np.where(fits.status == EMPTY, 0.0, columns[hypotheses.LOCAL_Z])
        found[~np.isin(fits.status, (*USABLE, EMPTY))] = np.nan
        z, effective = np.full(self.looked_at.shape, np.nan), np.full(self.looked_at.shape, np.nan)
        z[self.looked_at], effective[self.looked_at] = found, columns[hypotheses.EFFECTIVE_BACKGROUND]
        return LocalScan(z, effective, int(np.isnan(found).sum()))

    def _problem_of(self, events: Counts) -> BinnedProblem:
        """Return the windows with other events, where templates do not follow the events."""
        counts = np.where(self._live, self.spectrum.grid.counts(events), 0.0)
        return replace(self._problem, counts=counts)


def lines(search: Search, found: tuple[Spectrum, ...]) -> tuple[Line, ...]:
    """List every mass axis that is looked at, spectrum by spectrum."""
    return tuple(Line(search, spectrum, number) for spectrum in found for number in spectrum.configurations)
