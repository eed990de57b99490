"""Several channels in one fit: a shared signal strength, and nuisances shared by name."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Integers, Nuisances


def combine(problems: Sequence[BinnedProblem]) -> BinnedProblem:
    """Return one problem whose windows hold the bins of those of every channel, one after the other.

    The signal yield is the strength that all channels share; background terms, fixed samples and template
    statistics stay those of their channels. Nuisances of one name are one parameter. The signal of each
    channel becomes a part of the signal with the effects that it has there.

    Parameters
    ----------
    problems : sequence of BinnedProblem
        The channels, of W windows each; keys are those of the first one.

    Raises
    ------
    InputError
        If the channels have different numbers of windows, if the global observables of a shared nuisance
        differ, or if windows use different numbers of background terms whose shapes vary.
    """
    if len(problems) == 0 or len({problem.windows for problem in problems}) > 1:
        raise InputError("channels to combine must be at least one, all of the same number of windows")
    background, places = _stack_background(problems)
    together = BinnedProblem(
        np.concatenate([problem.counts for problem in problems], axis=1),
        np.concatenate([problem.signal for problem in problems], axis=1),
        background,
        core=np.concatenate([problem.core_bins() for problem in problems], axis=1),
        terms=np.sum([problem.terms for problem in problems], axis=0),
        keys=problems[0].keys,
    )
    if all(problem.nuisances is None for problem in problems):
        return together
    nuisances = _Merger(problems, places, background.shape[1]).merged()
    return BinnedProblem(
        together.counts,
        together.signal,
        together.background,
        together.core,
        together.terms,
        nuisances,
        together.keys,
    )


def _stack_background(problems: Sequence[BinnedProblem]) -> tuple[Floats, list[Integers]]:
    """Return the terms of all channels, those in use first, and the place (W, K) of each channel's terms."""
    windows = problems[0].windows
    most = sum(problem.background.shape[1] for problem in problems)
    edges = np.cumsum([0, *(problem.counts.shape[1] for problem in problems)])
    background = np.zeros((windows, most, edges[-1]))
    used, unused = np.zeros(windows, dtype=np.int64), np.sum([p.terms for p in problems], axis=0)
    rows, places = np.arange(windows), []
    for problem, low, high in zip(problems, edges[:-1], edges[1:], strict=True):
        place = np.empty((windows, problem.background.shape[1]), dtype=np.int64)
        for k in range(problem.background.shape[1]):
            live = k < problem.terms
            place[:, k] = np.where(live, used, unused)
            used, unused = used + live, unused + ~live
            background[rows, place[:, k], low:high] = problem.background[:, k]
        places.append(place)
    return background, places


class _Merger:
    """Puts the effects of channels together, sample by sample."""

    def __init__(self, problems: Sequence[BinnedProblem], places: list[Integers], terms: int) -> None:
        self.problems, self.places, self.terms = problems, places, terms
        self.effects = [p.nuisances or Nuisances.none(*p.background.shape) for p in problems]
        self.names = tuple(dict.fromkeys(name for one in self.effects for name in one.names))
        self.edges = np.cumsum([0, *(problem.counts.shape[1] for problem in problems)])
        self.fixed = sum(one.fixed.shape[1] for one in self.effects)
        self.parts = len(problems) + sum(one.parts.shape[1] for one in self.effects)
        self.first_part = 1 + terms + self.fixed
        self.samples = self.first_part + self.parts

    def merged(self) -> Nuisances:
        """Return the nuisances of all channels together."""
        windows, bins = self.problems[0].windows, int(self.edges[-1])
        norm = np.zeros((windows, len(self.names), self.samples, 2))
        fixed, parts = np.zeros((windows, self.fixed, bins)), np.zeros((windows, self.parts, bins))
        part_of, uncertain = np.zeros(self.parts, dtype=np.int64), np.ones(self.samples, dtype=np.bool_)
        for channel in range(len(self.problems)):
            self._put_factors(channel, norm, uncertain)
            self._put_templates(channel, fixed, parts, part_of)
        uncertain[0] = np.all(uncertain[self.first_part :])
        return Nuisances(
            self.names,
            norm,
            *self._shapes(),
            fixed,
            self._observed(),
            np.concatenate([one.statistics for one in self.effects], axis=1),
            uncertain,
            np.concatenate([one.measured for one in self.effects], axis=1),
            parts,
            part_of,
        )

    def _put_factors(self, channel: int, norm: Floats, uncertain: NDArray[np.bool_]) -> None:
        one, which = self.effects[channel], self._nuisances_of(channel)
        for sample, place in enumerate(self._samples_of(channel).T):
            for j, name in enumerate(which):
                norm[np.arange(len(norm)), name, place] += one.norm[:, j, sample]
            uncertain[place] = one.uncertain[sample]

    def _put_templates(self, channel: int, fixed: Floats, parts: Floats, part_of: Integers) -> None:
        one, span = self.effects[channel], self._span(channel)
        place = self._samples_of(channel)[0]
        fixed[:, place[self._fixed(channel)] - 1 - self.terms, span] = one.fixed
        parts[:, place[0] - self.first_part, span] = self._rest_of_signal(channel)
        own = place[len(place) - one.parts.shape[1] :] - self.first_part
        parts[:, own, span] = one.parts
        part_of[own] = [0 if of == 0 else place[of] for of in one.part_of]
        self._require_one_order(channel, [*one.shape_sample, *one.part_of])

    def _shapes(self) -> tuple[Floats, Integers, Integers]:
        """Return the changes of templates, and the nuisance and the sample of each."""
        changes, nuisance_of, sample_of = [], [], []
        for channel, one in enumerate(self.effects):
            change = np.zeros((*one.shape.shape[:3], int(self.edges[-1])))
            change[..., self._span(channel)] = one.shape
            changes.append(change)
            nuisance_of.append(self._nuisances_of(channel)[one.shape_nuisance])
            sample_of.append(self._samples_of(channel)[0, one.shape_sample])
        return np.concatenate(changes, axis=1), np.concatenate(nuisance_of), np.concatenate(sample_of)

    def _span(self, channel: int) -> slice:
        return slice(int(self.edges[channel]), int(self.edges[channel + 1]))

    def _nuisances_of(self, channel: int) -> Integers:
        names = self.effects[channel].names
        return np.array([self.names.index(name) for name in names], dtype=np.int64)

    def _fixed(self, channel: int) -> slice:
        first = 1 + self.problems[channel].background.shape[1]
        return slice(first, first + self.effects[channel].fixed.shape[1])

    def _samples_of(self, channel: int) -> Integers:
        """Return where the samples of a channel stand, (W, S): its signal is a part."""
        before = self.effects[:channel]
        one, windows = self.effects[channel], self.problems[0].windows
        first_fixed = 1 + self.terms + sum(other.fixed.shape[1] for other in before)
        parts = self.first_part + len(self.problems) + sum(other.parts.shape[1] for other in before)
        rest = [*(first_fixed + np.arange(one.fixed.shape[1])), *(parts + np.arange(one.parts.shape[1]))]
        signal = np.full((windows, 1), self.first_part + channel)
        others = np.tile(np.array(rest, dtype=np.int64), (windows, 1))
        return np.concatenate([signal, 1 + self.places[channel], others], axis=1)

    def _rest_of_signal(self, channel: int) -> Floats:
        """Return the signal of a channel without its own parts, (W, B)."""
        one = self.effects[channel]
        rest: Floats = self.problems[channel].signal - one.parts[:, one.part_of == 0].sum(axis=1)
        return rest

    def _require_one_order(self, channel: int, samples: list[int]) -> None:
        whole = self._samples_of(channel)
        if any(np.ptp(whole[:, sample]) > 0 for sample in samples):
            raise InputError(
                f"channel {channel}: windows use different numbers of background terms, and the shape of a "
                "term varies: combine windows of equal numbers of terms on their own"
            )

    def _observed(self) -> Floats:
        observed = np.zeros((self.problems[0].windows, len(self.names)))
        seen: set[str] = set()
        for one in self.effects:
            for j, name in enumerate(one.names):
                place = self.names.index(name)
                if name in seen and not np.array_equal(observed[:, place], one.observed[:, j]):
                    raise InputError(f"nuisance {name!r} has different global observables in two channels")
                observed[:, place] = one.observed[:, j]
                seen.add(name)
        return observed
