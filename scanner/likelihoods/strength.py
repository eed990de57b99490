"""Likelihoods of searches for one coupling, with the signal of all in units of the first one's events."""

from collections.abc import Collection
from dataclasses import replace

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Nuisances


def scaled(problem: BinnedProblem, factors: Floats) -> BinnedProblem:
    """Return a problem whose unit of the signal is `factors` (W,) times as many events."""
    effects = problem.nuisances
    return replace(
        problem,
        signal=problem.signal * factors[:, None],
        nuisances=None if effects is None else _scaled(effects, factors),
    )


def _scaled(effects: Nuisances, factors: Floats) -> Nuisances:
    first_part = effects.norm.shape[2] - effects.parts.shape[1]
    parts, shape = effects.parts.copy(), effects.shape.copy()
    signals = {0}
    for part, whole in enumerate(effects.part_of):
        if whole == 0:
            parts[:, part] *= factors[:, None]
            signals.add(first_part + part)
    for pair, sample in enumerate(effects.shape_sample):
        if int(sample) in signals:
            shape[:, pair] *= factors[:, None, None]
    return replace(effects, parts=parts, shape=shape)


def named_apart(problem: BinnedProblem, owner: str, shared: Collection[str]) -> BinnedProblem:
    """Return a problem whose nuisances bear the name of their owner, but for those that are shared."""
    effects = problem.nuisances
    if effects is None:
        return problem
    names = tuple(name if name in shared else f"{owner}.{name}" for name in effects.names)
    return replace(problem, nuisances=replace(effects, names=names))
