"""What becomes of systematics at other luminosities: the scenarios of projections."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.definition import Search
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.schema.functions import EventsFunction
from scanner.schema.statistics import Systematic

Floats = NDArray[np.float64]

SCENARIOS = {
    "statistical": "statistical errors only",
    "constant": "every systematic keeps its relative size",
    "improving": "every systematic follows its stated law of luminosity, down to its floor",
}


def improves(systematic: Systematic, scenario: str) -> bool:
    """Tell whether a systematic shrinks with the luminosity in a scenario."""
    return scenario == "improving" and systematic.scaling == "1/sqrt(L)"


def improved(size: Floats, scale: float, floor: float) -> Floats:
    """Return relative sizes at `scale` times the luminosity, where they shrink down to a floor."""
    found: Floats = np.maximum(size / np.sqrt(scale), np.minimum(size, floor))
    return found


@dataclass(frozen=True)
class _Events:
    """A systematic in events, times a factor."""

    events: EventsFunction
    factor: float

    def __call__(self, m: ArrayLike, **values: Any) -> Floats:
        return np.asarray(self.factor * self.events(m, **values))


class LaterSystematic(Systematic):
    """A systematic at another luminosity, which is part of limits."""

    scale: float = 1.0
    shrinks: bool = False

    def relative(self, m: ArrayLike, parameters: Mapping[str, float]) -> Floats:
        """Return its relative size at masses [GeV]."""
        size = super().relative(m, parameters)
        return improved(size, self.scale, self.floor) if self.shrinks else size


def at_scenario(search: Search, scale: float, scenario: str, *, counts_scaled: bool) -> Search:
    """Return a search with the systematics of a scenario at `scale` times the luminosity.

    Those that limits on data leave out are part of it; those whose size a study would tell are not.

    Parameters
    ----------
    counts_scaled : bool
        Whether sizes in events are those of counts that are scaled already, and not of today's.
    """
    if scenario == "statistical":
        background = search.background.model_copy(update={"systematic": None})
        return search.changed(systematics={}, background=background)
    known = {
        name: _later(term, scale, scenario, scale if counts_scaled else 1.0)
        for name, term in search.systematics.items()
        if term.size is not None or term.events is not None
    }
    return search.changed(systematics=known)


def _later(term: Systematic, scale: float, scenario: str, factor: float) -> LaterSystematic:
    shrinks = improves(term, scenario)
    content = {name: getattr(term, name) for name in Systematic.model_fields}
    content |= {"in_limit": True, "scale": scale, "shrinks": shrinks}
    if term.events is not None:
        content["events"] = _Events(term.events, factor / np.sqrt(scale) if shrinks else factor)
    return LaterSystematic.model_construct(
        **(content | {"in_limit": True, "scale": scale, "shrinks": shrinks})
    )


def without_systematics(problem: BinnedProblem) -> BinnedProblem:
    """Return likelihoods whose samples of known size are certain, and templates without statistics."""
    effects = problem.nuisances
    if effects is None:
        return problem
    bare = Nuisances.none(problem.windows, problem.background.shape[1], problem.counts.shape[1])
    samples = 1 + problem.background.shape[1] + effects.fixed.shape[1]
    norm = np.zeros((problem.windows, 0, samples, 2))
    known = Nuisances((), norm, bare.shape, bare.shape_nuisance, bare.shape_sample, effects.fixed)
    return replace(problem, nuisances=known if effects.fixed.shape[1] else None)


def at_luminosity(problem: BinnedProblem, scale: float, shrink: float = 1.0) -> BinnedProblem:
    """Return likelihoods with `scale` times the events, of data and of samples of known size.

    Parameters
    ----------
    shrink : float
        What the relative error of templates from the size of their samples is multiplied with.
    """
    effects = problem.nuisances
    if effects is None:
        return replace(problem, counts=scale * problem.counts)
    first = 1 + problem.background.shape[1]
    known = (effects.shape_sample >= first) & (effects.shape_sample < first + effects.fixed.shape[1])
    shape = np.where(known[None, :, None, None], scale * effects.shape, effects.shape)
    measured = 1.0 + shrink * (effects.measured - 1.0)
    effects = replace(
        effects,
        shape=shape,
        fixed=scale * effects.fixed,
        statistics=shrink * effects.statistics,
        measured=measured,
    )
    return replace(problem, counts=scale * problem.counts, nuisances=effects)
