"""The whole spectrum of a region: its background truth, toys of it, and the look at them through all windows.

A toy is one spectrum, thrown once over the fine axis and passed through every window as the data are,
so that windows which overlap share its events. Toys of windows thrown one by one would not, and their
largest excess would be that of far more independent places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner import engine, runnable
from scanner.definition import Search
from scanner.errors import InputError
from scanner.kernels.linear import hypotheses
from scanner.kernels.linear.window import EMPTY
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import USABLE
from scanner.likelihoods.nuisances import Nuisances
from scanner.seeds import key_of
from scanner.significance.background import Counts, all_windows, background_truth
from scanner.stats.asymptotic import fit_hypotheses
from scanner.stats.sampling import normal_numbers, poisson_toys
from scanner.windows.grid import WindowGrid
from scanner.windows.systematics import follow_counts

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Spectrum:
    """One fine histogram, and the configurations that look at it.

    Fine bins of several channels stand one channel after the other.

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
    observables : int
        Seed of their global observables, which all spectra of a scan share.
    """

    grid: WindowGrid
    configurations: tuple[int, ...]
    counts: Integers
    expectation: Floats
    key: int
    observables: int = 0

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
        Events on the fine axis of each region, a row a configuration; of several channels, the histogram of
        each by the name of its pass.
    identity : str
        Scan identity, from which the seeds follow.

    Raises
    ------
    InputError
        If the events of a region were counted window by window, which leaves no spectrum to throw, or the
        background has peaks of a stated yield.
    """
    runnable.refuse_known_yields(search, "a global significance")
    found = []
    for region, grid in grids.items():
        counts = _region_counts(region, [histograms[name] for name in engine.pass_names(search, region)])
        rows = _equal_rows(counts)
        found += [_spectrum(search, grid, numbers, counts[numbers[0]], identity) for numbers in rows]
    return tuple(found)


def _region_counts(region: str, channels: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the fine bins of a region, (C, F), those of its channels one after the other."""
    if any(counts.ndim != 2 for counts in channels):
        raise InputError(
            f"the cuts of region {region!r} depend on the window, so that its events form no one spectrum: "
            "a global p-value needs cuts that do not"
        )
    return np.concatenate([np.asarray(counts) for counts in channels], axis=1)


def _equal_rows(counts: NDArray[np.int64]) -> list[tuple[int, ...]]:
    rows: dict[bytes, list[int]] = {}
    for number, row in enumerate(counts):
        rows.setdefault(row.tobytes(), []).append(number)
    return [tuple(numbers) for numbers in rows.values()]


def _spectrum(
    search: Search, grid: WindowGrid, rows: tuple[int, ...], counts: Integers, identity: str
) -> Spectrum:
    expectation = background_truth(search, grid, counts, rows[0])
    name = search.configurations[rows[0]].name
    key = key_of(identity, "spectrum", name, grid.region)
    return Spectrum(grid, rows, counts, expectation, key, key_of(identity, "observables"))


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
    include : str
        Systematics that enter the fits, a key of `scanner.windows.systematics.INCLUDED`. Toys have all
        nuisances at 0 and global observables that fluctuate around it.
    """

    def __init__(
        self, search: Search, spectrum: Spectrum, configuration: int, include: str = "nothing"
    ) -> None:
        self.search, self.spectrum, self.configuration = search, spectrum, configuration
        self.include = include
        self.looked_at = ~engine.vetoed(search, spectrum.grid.mass)
        self._problem, self._live, bends = self._build(spectrum.counts)
        follows = any(bends) or search.background.choose != "fixed" or follow_counts(search, include)
        self._fixed = not follows

    def _build(
        self, events: Counts
    ) -> tuple[BinnedProblem, NDArray[np.bool_], tuple[dict[str, Floats], ...]]:
        return all_windows(self.search, self.spectrum.grid, events, self.configuration, self.include)

    def scan(self, events: Counts, toy: int | None = None) -> LocalScan:
        """Fit every window to events on the fine axis (F,), be they data or those of a toy."""
        problem = self._problem_of(events) if self._fixed else self._build(events)[0]
        if problem.nuisances is not None and toy is not None:
            problem = replace(problem, nuisances=self._observed(problem.nuisances, toy))
        fits = fit_hypotheses(problem.select(np.flatnonzero(self.looked_at)))
        columns = fits.rows.T
        found = np.where(fits.status == EMPTY, 0.0, columns[hypotheses.LOCAL_Z])
        found[~np.isin(fits.status, (*USABLE, EMPTY))] = np.nan
        z, effective = np.full(self.looked_at.shape, np.nan), np.full(self.looked_at.shape, np.nan)
        z[self.looked_at], effective[self.looked_at] = found, columns[hypotheses.EFFECTIVE_BACKGROUND]
        return LocalScan(z, effective, int(np.isnan(found).sum()))

    def _observed(self, nuisances: Nuisances, toy: int) -> Nuisances:
        """Throw the global observables of a toy: one of each for all windows, as in an experiment."""
        values = normal_numbers(self.spectrum.observables, toy, len(nuisances.names))
        return replace(nuisances, observed=np.tile(values, (nuisances.windows, 1)))

    def _problem_of(self, events: Counts) -> BinnedProblem:
        """Return the windows with other events, where templates do not follow the events."""
        counts = np.where(self._live, self.spectrum.grid.counts(events), 0.0)
        return replace(self._problem, counts=counts)


def lines(search: Search, found: tuple[Spectrum, ...], include: str = "nothing") -> tuple[Line, ...]:
    """List every mass axis that is looked at, spectrum by spectrum."""
    return tuple(
        Line(search, spectrum, number, include) for spectrum in found for number in spectrum.configurations
    )
