"""The whole spectrum of a region: its background truth, toys of it, and the look at them through all windows.

A toy is one spectrum, thrown once over the fine axis and passed through every window as the data are,
so that windows which overlap share its events. Toys of windows thrown one by one would not, and their
largest excess would be that of far more independent places.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.errors import InputError
from scanner.fit import USABLE
from scanner.kernels import hypotheses
from scanner.kernels.window import EMPTY
from scanner.likelihood import BinnedProblem
from scanner.limits import window_problem
from scanner.seeds import key_of
from scanner.stats.asymptotic import fit_hypotheses
from scanner.stats.sampling import poisson_toys
from scanner.windows import WindowGrid

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Counts = NDArray[np.int64] | Floats
"""Events in fine bins: integers of data, whole numbers of toys."""

WINDOWS_AT_ONCE = 256
"""Windows whose fine templates are in memory together."""


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


def background_truth(search: Search, grid: WindowGrid, counts: Integers, configuration: int = 0) -> Floats:
    """Return the expected background of every fine bin, (F,), from the fits without signal.

    Each window's fit is evaluated on its fine bins; where windows overlap, their fits are averaged with
    the weight (1 − u²)², u from −1 to 1 over a window, so that no window's end shows as a step. An
    empty window expects nothing; a window whose fit failed says nothing. A polynomial that dips below
    zero between the centres of bins is taken as zero there.

    Parameters
    ----------
    counts : (F,) int
        Events on the fine axis.
    configuration : int
        Number of the model configuration.
    """
    windows = slice(0, len(grid))
    problem, nonlinear = window_problem(
        search, grid, grid.counts(counts), windows, configuration=configuration
    )
    fits = fit_hypotheses(problem)
    coefficients = np.nan_to_num(fits.null_theta)
    coefficients[fits.status == EMPTY] = 0.0
    known = np.isin(fits.status, (*USABLE, EMPTY))
    parameters = dict(search.configurations[configuration].parameters)
    total, weight = np.zeros(len(counts)), np.zeros(len(counts))
    for chosen in _runs(grid, known):
        fine = _on_fine_bins(grid, chosen)
        bends = {name: values[chosen] for name, values in nonlinear.items()}
        terms = engine.window_model(search, fine, slice(0, len(fine)), parameters, bends).background
        expected = np.einsum("wk,wkb->wb", coefficients[chosen, : terms.shape[1]], terms)
        share = _weights(fine.bins)
        for first, values in zip(fine.first, expected, strict=True):
            total[first : first + fine.bins] += share * values
            weight[first : first + fine.bins] += share
    return np.maximum(total, 0.0) / np.where(weight > 0.0, weight, 1.0)


def _runs(grid: WindowGrid, known: NDArray[np.bool_]) -> Iterator[Integers]:
    """Yield the numbers of windows of one stride, a few at a time."""
    for stride in np.unique(grid.stride):
        numbers = np.flatnonzero(known & (grid.stride == stride))
        for start in range(0, len(numbers), WINDOWS_AT_ONCE):
            yield numbers[start : start + WINDOWS_AT_ONCE]


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
        self._problem, nonlinear = self._build(spectrum.grid.counts(spectrum.counts))
        self._fixed = not nonlinear and search.background.choose == "fixed"

    def _build(self, counts: Floats) -> tuple[BinnedProblem, dict[str, Floats]]:
        grid = self.spectrum.grid
        return window_problem(
            self.search, grid, counts, slice(0, len(grid)), configuration=self.configuration
        )

    def scan(self, events: Counts) -> LocalScan:
        """Fit every window to events on the fine axis (F,), be they data or a toy."""
        counts = self.spectrum.grid.counts(events)
        # What does not follow the events - templates, the order of the background - is that of the data.
        problem = replace(self._problem, counts=counts) if self._fixed else self._build(counts)[0]
        fits = fit_hypotheses(problem)
        columns = fits.rows.T
        z = np.where(fits.status == EMPTY, 0.0, columns[hypotheses.LOCAL_Z])
        z[~np.isin(fits.status, (*USABLE, EMPTY))] = np.nan
        failed = int((np.isnan(z) & self.looked_at).sum())
        z[~self.looked_at] = np.nan
        return LocalScan(z, columns[hypotheses.EFFECTIVE_BACKGROUND], failed)


def lines(search: Search, found: tuple[Spectrum, ...]) -> tuple[Line, ...]:
    """List every mass axis that is looked at, spectrum by spectrum."""
    return tuple(Line(search, spectrum, number) for spectrum in found for number in spectrum.configurations)
