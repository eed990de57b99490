"""What a study throws its toys from: the windows of a region, background truths, and signals to inject.

A background toy is one spectrum that passes through all windows, as the data do. A signal is thrown for its
own window and added. Both follow from the study, their names and the toy's number alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.limits import block_limits, window_problem
from scanner.seeds import key_of
from scanner.stats import Limits, Settings
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.envelope import with_fitted_envelope
from scanner.stats.sampling import normal_numbers, poisson_toys
from scanner.studies.truth import Smooth, truth
from scanner.windows.grid import WindowGrid
from scanner.windows.joint import block_model
from scanner.windows.systematics import follow_counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bench:
    """The windows that a study looks at, and the spectra that it throws.

    Attributes
    ----------
    search : Search
    grid : WindowGrid
        The windows of the study.
    numbers : (W,) int
        Their numbers in the grid of the scan.
    configuration : int
        Number of the model configuration.
    truths : mapping of (F,) or (W, B) float
        Expected background by the name of the truth: on the fine axes of all channels, one after the
        other, or window by window where cuts depend on the window and the events form no one spectrum.
    identity : str
        What the seeds follow from.
    include : str
        Systematics that enter the likelihoods, a key of `scanner.windows.systematics.INCLUDED`. Toys have
        all nuisances at 0 and global observables that fluctuate around it, template statistics among them.
    """

    search: Search
    grid: WindowGrid
    numbers: NDArray[np.int64]
    configuration: int
    truths: Mapping[str, Floats]
    identity: str
    include: str = "nothing"

    @property
    def windows(self) -> slice:
        """All windows of the study."""
        return slice(0, len(self.grid))

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """Names of the windows, (W,)."""
        name = self.search.configurations[self.configuration].name
        names = (key_of(self.identity, name, self.grid.region, int(n)) for n in self.numbers)
        return np.fromiter(names, np.uint64, len(self.numbers))

    @cached_property
    def vetoed(self) -> NDArray[np.bool_]:
        """Windows that the search leaves out, (W,)."""
        return engine.vetoed(self.search, self.grid.mass)

    def background(self, name: str) -> Floats:
        """Return the expected background of a truth in the bins of windows, (W, B)."""
        return self._in_windows(self.truths[name])

    def background_toy(self, name: str, toy: int) -> Floats:
        """Throw a background toy of a truth, (W, B); toys of one number fluctuate together in all truths."""
        mean = self.truths[name]
        if mean.ndim == 1:
            key = key_of(self.identity, "background", self.grid.region)
            return self._in_windows(poisson_toys(mean, key, toy, 1)[0])
        thrown = (poisson_toys(row, int(k), toy, 1)[0] for k, row in zip(self.keys, mean, strict=True))
        return np.array(list(thrown))

    def _in_windows(self, events: Floats) -> Floats:
        return self.grid.counts(events) if events.ndim == 1 else events

    def signal_toys(self, yields: Floats, toy: int) -> Floats:
        """Throw the signals of a toy, (I, W, B), at mean yields (I, W)."""
        shapes = self.templates.signal
        return np.array(
            [
                [
                    poisson_toys(np.maximum(n * shape, 0.0), int(key), toy, 1, stream=1 + strength)[0]
                    for n, shape, key in zip(row, shapes, self.keys, strict=True)
                ]
                for strength, row in enumerate(yields)
            ]
        )

    @cached_property
    def templates(self) -> BinnedProblem:
        """The likelihoods of the windows for the first truth's expectation as data."""
        return self._build(self.background(next(iter(self.truths))))

    @cached_property
    def _live(self) -> NDArray[np.bool_]:
        """Bins that the search does not leave out, (W, B)."""
        templates = self.templates
        live: NDArray[np.bool_] = np.any(templates.background != 0.0, axis=1) | (templates.signal != 0.0)
        return live

    @cached_property
    def _follows_data(self) -> bool:
        parameters = dict(self.search.configurations[self.configuration].parameters)
        counts = self.background(next(iter(self.truths)))
        bent = any(block_model(self.search, self.grid, counts, self.windows, parameters).nonlinear)
        return bent or self.search.background.choose != "fixed" or follow_counts(self.search, self.include)

    def _build(self, counts: Floats) -> BinnedProblem:
        problem, _ = window_problem(
            self.search,
            self.grid,
            counts,
            self.windows,
            configuration=self.configuration,
            include=self.include,
        )
        return problem

    def problem(self, counts: Floats, toy: int | None = None) -> BinnedProblem:
        """Return the likelihoods of counts (W, B), with templates that follow them where a scan's would.

        Keys differ between toys, so that methods that throw toys of their own throw others each time. Without
        the number of a toy the global observables are those of an Asimov data set.
        """
        keys = self.keys ^ np.uint64(((toy or 0) * 0x9E3779B97F4A7C15) % (1 << 64))
        if self._follows_data:
            problem = replace(self._build(counts), keys=keys)
        else:
            problem = replace(self.templates, counts=np.where(self._live, counts, 0.0), keys=keys)
        if problem.nuisances is None or toy is None:
            return problem
        return replace(problem, nuisances=self._observed(problem.nuisances, toy))

    def _observed(self, nuisances: Nuisances, toy: int) -> Nuisances:
        """Throw global observables: a toy is one experiment, and has one of each for all its windows.

        The statistics of templates are observables too: a toy stands for other simulated samples.
        """
        key = key_of(self.identity, "observables")
        values = normal_numbers(key, toy, len(nuisances.names) + nuisances.statistics.shape[1])
        observed, luck = np.split(values, [len(nuisances.names)])
        measured = 1.0 + nuisances.statistics * luck
        return replace(nuisances, observed=np.tile(observed, (nuisances.windows, 1)), measured=measured)

    def fits(self, counts: Floats, toy: int | None = None) -> Limits:
        """Fit counts (W, B), of a toy or of an Asimov data set, as a scan does, without setting limits."""
        problem = self.problem(counts, toy)
        found = asymptotic_limits_above(problem, Settings(self.search.confidence_level), np.inf)
        if self.search.background.choose != "discrete_profile":
            return found
        return with_fitted_envelope(self._highest(problem), found)

    def limits(self, counts: Floats, method: str, toy: int) -> Limits:
        """Set limits for counts (W, B) as a scan does."""
        return block_limits(self.search, self.problem(counts, toy), self.grid.mass, method)

    def _highest(self, problem: BinnedProblem) -> BinnedProblem:
        return replace(problem, terms=engine.highest_terms(self.search, self.grid.mass))

    @cached_property
    def expected_error(self) -> Floats:
        """Error of the yield without signal, (W,), from the Asimov data set of the first truth."""
        found: Floats = self.fits(self.background(next(iter(self.truths)))).signal_yield_error
        return found


@dataclass(frozen=True)
class Source:
    """Events that truths are fitted to: of one region and configuration.

    Attributes
    ----------
    grid : WindowGrid
        The windows of the scan.
    counts : (F,) or (W, B) int
        Events on the fine axis, or window by window.
    scale : float
        Luminosity of the study over that of these events.
    """

    grid: WindowGrid
    counts: NDArray[np.int64]
    scale: float = 1.0


@dataclass(frozen=True)
class Truths:
    """Background truths by name, and how well each describes its source."""

    expectations: dict[str, Floats] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)


def choose_windows(grid: WindowGrid, every: int) -> tuple[WindowGrid, NDArray[np.int64]]:
    """Return every so-manyth window of a grid from the first, and their numbers."""
    numbers = np.arange(0, len(grid), every)
    return grid.select(numbers), numbers


def join_truths(found: Sequence[Truths], grid: WindowGrid, every: int) -> Truths:
    """Put the truths of the channels of a grid together; a truth is as good as where it is worst."""
    if len(found) == 1:
        return found[0]
    part, _ = choose_windows(grid, every)
    expectations, quality = {}, {}
    for name in found[0].expectations:
        rows = [one.expectations[name] for one in found]
        if any(row.ndim == 2 for row in rows):
            pairs = zip(part.channels.values(), rows, strict=True)
            rows = [row if row.ndim == 2 else axis.counts(row) for axis, row in pairs]
        expectations[name] = np.concatenate(rows, axis=-1)
        quality[name] = float(np.fmin.reduce([one.quality[name] for one in found]))
    return Truths(expectations, quality)


def fit_truths(source: Source, names: Sequence[str], every: int) -> Truths:
    """Fit background truths to a source, scaled to the luminosity of the study.

    Parameters
    ----------
    names : sequence of str
        Keys of `scanner.studies.truth.TRUTHS`.
    every : int
        Windows of the study, where truths are fitted window by window.
    """
    expectations, quality = {}, {}
    for name in names:
        if source.counts.ndim == 1:
            found = _smooth(name, source.counts, source.grid.edges_mass, source.grid.edges)
            expectations[name], quality[name] = source.scale * found.expectation, found.quality
        else:
            part, numbers = choose_windows(source.grid, every)
            indices = part.edge_indices()
            rows = [
                _smooth(name, source.counts[n], part.edges_mass[i], part.edges[i])
                for n, i in zip(numbers, indices, strict=True)
            ]
            expectations[name] = source.scale * np.array([row.expectation for row in rows])
            quality[name] = float(np.nanmedian([row.quality for row in rows] or [np.nan]))
    return Truths(expectations, quality)


def _smooth(name: str, counts: NDArray[np.int64], edges_mass: Floats, edges: Floats) -> Smooth:
    return truth(name, counts, 0.5 * (edges_mass[1:] + edges_mass[:-1]), np.diff(edges))
