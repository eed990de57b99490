"""The pseudo-experiments of a window with nuisances.

At every hypothesis the nuisances take the values of the fit to the data at its yield. The global
observables, and the measured factors of the template statistics, are thrown around these values with
their constraints, as the counts are (arXiv:1007.1727, section 2; CERN-OPEN-2012-016).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scanner.kernels.constrained.batch import ERROR, INFORMATION
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import ConstrainedFit, fit_constrained
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.constrained_ratios import FreeFits, free_fits, with_specks
from scanner.stats.pseudo import BACKGROUND_STREAM, GUIDE_STREAM, GUIDED, SIGNAL_STREAM, Sample
from scanner.stats.sampling import normal_numbers, poisson_toys

AT_ONCE = 125
"""Toys that are fitted as the windows of one problem."""
AUXILIARY = 2
"""Added to a stream of counts for the stream of their global observables."""
DECISIVE = 1e6
"""Largest logarithm of a ratio of densities."""

Batch = tuple[BinnedProblem, FreeFits]
"""Toys as the windows of a problem, and their fits."""


@dataclass(frozen=True)
class Truth:
    """What toys of one hypothesis are thrown from."""

    counts: Floats
    """(B,) expected events."""
    centres: Floats
    """(J + B,) nuisances, then factors of the template statistics."""
    spreads: Floats
    """(J + B,) standard deviations of their global observables, 0 where there is none."""

    def log_density(self, problem: BinnedProblem) -> Floats:
        """Return the log of the density of toys (N,), but for what no truth changes."""
        counts, observed = problem.counts, _observables(problem)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(counts > 0.0, counts * np.log(self.counts), 0.0)
            pulls = np.where(self.spreads > 0.0, (observed - self.centres) / self.spreads, 0.0)
        total: Floats = logs.sum(axis=1) - self.counts.sum() - 0.5 * np.sum(pulls * pulls, axis=1)
        return total


class ConstrainedWindow:
    """Pseudo-experiments of a window with constrained nuisances.

    Attributes
    ----------
    status : int
        Key of `scanner.likelihoods.fit.STATUS_MEANINGS` of the fit without signal; not usable, nothing can
        be thrown.
    """

    def __init__(self, problem: BinnedProblem, window: int) -> None:
        self._data = with_specks(problem.select(np.array([window])))
        self._key = int(problem.keys[window])
        self._null = self._fit_data(0.0)
        self._free = self._fit_data(np.nan)
        self.status = int(self._null.status[0] if self._free.found[0] else self._free.status[0])
        self._own = free_fits(self._data)
        self._kept: dict[int, list[Batch]] = {}
        deficit = self._free.found[0] and self._free.yields[0] < -GUIDED * self.spread
        self._guide = self._truth(self._free) if deficit else None

    @property
    def best_yield(self) -> float:
        """Best-fit yield ŝ of the data, or 0 for a deficit [events]."""
        return max(float(self._free.yields[0]), 0.0)

    @property
    def spread(self) -> float:
        """Standard deviation of the yield, by the fit to the data [events]."""
        error = float(self._free.numbers[0, ERROR])
        return error if error > 0.0 else float(self._null.numbers[0, INFORMATION] ** -0.5)

    def sample(self, signal_yield: float, count: int) -> Sample:
        """Test a yield with the toys 0 … count − 1 of both hypotheses, and of the best fit to a deficit."""
        alternative = self._fit_data(signal_yield)
        if not alternative.found[0]:
            nothing = np.full(count, np.nan)
            return Sample(np.nan, nothing, nothing, np.zeros(count), np.zeros(count))
        truth, null = self._truth(alternative), self._truth(self._null)
        truths = [null, truth] + ([self._guide] if self._guide is not None else [])
        signal = self._tested(_fresh(self, truth, count), signal_yield, truths)
        background = self._tested(self._keep(BACKGROUND_STREAM, null, count), signal_yield, truths)
        observed = float(self._own.qmu_tilde(signal_yield)[0])
        background = background[:, :count]
        both = (signal[0], background[0], signal[1], background[1])
        if self._guide is None:
            return Sample(observed, *both)
        kept = self._keep(GUIDE_STREAM, self._guide, count)
        guide = self._tested(kept, signal_yield, truths)[:, :count]
        return Sample(observed, *both, guide[0], guide[1], (signal[2], background[2], guide[2]))

    def _tested(self, batches: Iterable[Batch], signal_yield: float, truths: Sequence[Truth]) -> Floats:
        """Return q̃_μ of toys, and ln of the densities of other truths over that of the first, (T, N)."""
        rows = []
        for toys, fits in batches:
            densities = np.array([truth.log_density(toys) for truth in truths])
            with np.errstate(invalid="ignore"):
                ratios = np.clip(densities[1:] - densities[0], -DECISIVE, DECISIVE)
            rows.append(np.concatenate([fits.qmu_tilde(signal_yield)[None], ratios]))
        return np.concatenate(rows, axis=1)

    def excesses(self, count: int) -> tuple[float, Floats]:
        """Return q₀ of the data and of the toys without signal."""
        kept = self._keep(BACKGROUND_STREAM, self._truth(self._null), count)
        q = np.concatenate([fits.excess() for _, fits in kept])[:count]
        return float(self._own.excess()[0]), q

    def _fit_data(self, signal_yield: float) -> ConstrainedFit:
        return fit_constrained(self._data, np.full(1, signal_yield))

    def _truth(self, fit: ConstrainedFit) -> Truth:
        nuisances = _nuisances(self._data)
        names = len(nuisances.names)
        spreads = np.append(np.ones(names), nuisances.statistics[0])
        centres = np.append(fit.theta[0, :names], fit.beta[0])
        return Truth(np.maximum(fit.expected[0], 0.0), centres, spreads)

    def throw(self, truth: Truth, stream: int, first: int, count: int) -> BinnedProblem:
        """Throw toys first … first + count − 1 of a hypothesis, as the windows of a problem."""
        size = truth.centres.size
        streams = {"stream": stream + AUXILIARY}
        normal = np.array([normal_numbers(self._key, first + t, size, **streams) for t in range(count)])
        observed = truth.centres + truth.spreads * normal
        toys = self._data.select(np.zeros(count, dtype=np.int64))
        names = len(_nuisances(toys).names)
        moved = replace(_nuisances(toys), observed=observed[:, :names], measured=observed[:, names:])
        counts = poisson_toys(truth.counts, self._key, first, count, stream=stream)
        return replace(toys, counts=counts, nuisances=moved)

    def _keep(self, stream: np.uint64, truth: Truth, count: int) -> list[Batch]:
        """Return the batches of toys that do not depend on the yield; each is thrown and fitted once."""
        kept, batches = self._kept.setdefault(int(stream), []), -(-count // AT_ONCE)
        for i in range(len(kept), batches):
            toys = self.throw(truth, int(stream), i * AT_ONCE, AT_ONCE)
            kept.append((toys, free_fits(toys)))
        return kept[:batches]


def _fresh(window: ConstrainedWindow, truth: Truth, count: int) -> Iterator[Batch]:
    """Throw and fit the toys of a hypothesis with signal, batch by batch."""
    for first in range(0, count, AT_ONCE):
        toys = window.throw(truth, int(SIGNAL_STREAM), first, min(AT_ONCE, count - first))
        yield toys, free_fits(toys)


def _nuisances(problem: BinnedProblem) -> Nuisances:
    nuisances = problem.nuisances
    if nuisances is None:
        raise TypeError("a window without nuisances")
    return nuisances


def _observables(problem: BinnedProblem) -> Floats:
    """Return the global observables (N, J + B)."""
    nuisances = _nuisances(problem)
    return np.concatenate([nuisances.observed, nuisances.measured], axis=1)
