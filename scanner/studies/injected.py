"""Signals injected into single windows of any search: pseudo-experiments of the window's own model.

The background is what a fit without signal finds in the data of the window; toys are thrown and fitted by
the machinery of the other studies, `scanner.studies.bench` and `scanner.studies.linearity`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import fit
from scanner.limits import window_problem
from scanner.seeds import key_of
from scanner.studies import counts, linearity
from scanner.studies.bench import Bench
from scanner.studies.cases import Cases, Variables, grouped, mean_and_error, total
from scanner.windows.grid import WindowGrid
from scanner.windows.stated import stated_problem

MODEL = "model"
"""Name of the truth that is a window's own model."""


@dataclass(frozen=True)
class Pulls:
    """What pseudo-experiments with one injected signal give; NaN where none has a fit."""

    toys: int
    toys_failed: int
    fitted_mean: float
    pull_mean: float
    pull_mean_error: float
    pull_width: float


@dataclass(frozen=True)
class StatedBench(Bench):
    """The masses of a search whose counts are published: a window has a bin for each channel."""

    @property
    def _follows_data(self) -> bool:
        return False

    def _build(self, counts: Floats) -> BinnedProblem:
        del counts  # the model is that of the definition
        chosen = self.search.configurations[self.configuration]
        problem, _ = stated_problem(
            self.search,
            self.grid,
            self.windows,
            parameters=chosen.parameters,
            names=(self.identity, chosen.name),
            include=self.include,
        )
        return problem

    @property
    def _live(self) -> NDArray[np.bool_]:
        return np.ones_like(self.templates.signal, dtype=np.bool_)


def at_point(search: Search, configuration: int, point: Mapping[str, float]) -> Search:
    """Return a search of one configuration, with a point of the further axes among its parameters."""
    chosen = search.configurations[configuration]
    merged = chosen.model_copy(update={"parameters": {**chosen.parameters, **point}})
    return search.model_copy(update={"configurations": (merged,)})


def expectation(problem: BinnedProblem) -> Floats:
    """Return the background that a fit without signal finds in windows, (W, B); nuisances are at 0."""
    coefficients = np.nan_to_num(fit(problem, np.zeros(problem.windows)).background)
    expected = np.einsum("wk,wkb->wb", coefficients, problem.background)
    if problem.nuisances is not None:
        expected = expected + problem.nuisances.fixed.sum(axis=1)
    found: Floats = np.maximum(expected, 0.0)
    return found


def fitted_bench(search: Search, grid: WindowGrid, counts: Floats, window: int, identity: str) -> Bench:
    """Return the bench of one window whose data are (B,) counts; the search has one configuration."""
    part, include = grid.select(np.array([window])), "everything"
    problem, _ = window_problem(
        search, part, counts[None], slice(0, 1), configuration=0, identity=identity, include=include
    )
    truths = {MODEL: expectation(problem)}
    return Bench(search, part, np.array([window]), 0, truths, identity, include)


def stated_bench(search: Search, grid: WindowGrid, window: int, identity: str) -> Bench:
    """Return the bench of one mass of a search whose counts are published."""
    part, include = grid.select(np.array([window])), "everything"
    chosen = search.configurations[0]
    problem, _ = stated_problem(
        search,
        part,
        slice(0, 1),
        parameters=chosen.parameters,
        names=(identity, chosen.name),
        include=include,
    )
    return StatedBench(search, part, np.array([window]), 0, {MODEL: expectation(problem)}, identity, include)


def fitted_pulls(bench: Bench, signal: float, toys: int) -> Pulls:
    """Throw toys with a signal [events] in all bins of a bench of one window, and fit them."""
    cases = Cases(MODEL, np.array([signal]), np.array([[signal]]))
    sums = total(grouped(lambda toy: linearity.measure(bench, cases, toy), 0, toys))
    return _pulls({name: values[0, 0] for name, values in linearity.summarise(sums).items()})


def _pulls(found: Variables) -> Pulls:
    return Pulls(
        int(found["toys"]),
        int(found["toys_failed"]),
        float(found["fitted_yield"]),
        float(found["pull_mean"]),
        float(found["pull_mean_error"]),
        float(found["pull_width"]),
    )


def counted_pulls(data: counts.Counters, signal: float, toys: int, *names: str | int) -> Pulls:
    """Throw toys of counting windows with a signal [events]; random numbers follow from the names."""
    return _summary(*counts.pulls(data, signal, key_of(*names), toys))


def _summary(yields: Floats, values: Floats) -> Pulls:
    sound = np.isfinite(values)
    kept, number = values[sound], int(sound.sum())
    moments = mean_and_error(np.array(float(number)), kept.sum(), np.square(kept).sum())
    return Pulls(
        len(values),
        len(values) - number,
        float(yields[sound].mean()),
        *(float(x) for x in (moments.mean, moments.error, moments.width)),
    )
