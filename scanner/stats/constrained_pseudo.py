"""The pseudo-experiments of a window with nuisances.

At every hypothesis the nuisances take the values of the fit to the data at its yield. The global
observables, and the measured factors of the template statistics, are thrown around these values with
their constraints, as the counts are (arXiv:1007.1727, section 2; CERN-OPEN-2012-016).
"""

from dataclasses import dataclass, replace

import numpy as np

from scanner.kernels.constrained.batch import ERROR, INFORMATION, NLL
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import ConstrainedFit, fit_constrained
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.pseudo import BACKGROUND_STREAM, SIGNAL_STREAM, Sample
from scanner.stats.sampling import normal_numbers, poisson_toys

AT_ONCE = 1000
"""Toys that are fitted as the windows of one problem."""
AUXILIARY = 2
"""Added to a stream of counts for the stream of their global observables."""
SPECK = 1e-6
"""Events that a toy without any is given where most are expected: a fit needs some."""


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
        self._data = problem.select(np.array([window]))
        self._key = int(problem.keys[window])
        self._null = self._fit_data(0.0)
        self._free = self._fit_data(np.nan)
        self.status = int(self._null.status[0] if self._free.found[0] else self._free.status[0])
        self._kept: list[tuple[BinnedProblem, Floats, Floats, Floats]] = []

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
        """Test a yield with the toys 0 … count − 1 of both hypotheses."""
        alternative = self._fit_data(signal_yield)
        if not alternative.found[0]:
            nothing = np.full(count, np.nan)
            return Sample(np.nan, nothing, nothing, np.zeros(count), np.zeros(count))
        null, truth = self._truth(self._null), self._truth(alternative)
        parts = [self._test_background(i, signal_yield) for i in range(self._batches(count))]
        background = np.concatenate([q for _, q in parts])[:count]
        ratios = [truth.log_density(toys) - null.log_density(toys) for toys, _ in parts]
        signal, signal_ratios = np.empty(0), np.empty(0)
        for first in range(0, count, AT_ONCE):
            toys = self._throw(truth, int(SIGNAL_STREAM), first, min(AT_ONCE, count - first))
            signal = np.append(signal, _qmu_tilde(toys, *_free_fits(toys)[:2], signal_yield))
            signal_ratios = np.append(signal_ratios, truth.log_density(toys) - null.log_density(toys))
        observed = _qmu_tilde(self._data, *_free_fits(self._data)[:2], signal_yield)[0]
        return Sample(float(observed), signal, background, signal_ratios, np.concatenate(ratios)[:count])

    def excesses(self, count: int) -> tuple[float, Floats]:
        """Return q₀ of the data and of the toys without signal."""
        kept = [self._kept[i] for i in range(self._batches(count))]
        q = np.concatenate([_excess(yields, best, null) for _, yields, best, null in kept])[:count]
        return float(_excess(*_free_fits(self._data))[0]), q

    def _fit_data(self, signal_yield: float) -> ConstrainedFit:
        return fit_constrained(self._data, np.full(1, signal_yield))

    def _truth(self, fit: ConstrainedFit) -> Truth:
        nuisances = _nuisances(self._data)
        names = len(nuisances.names)
        spreads = np.append(np.ones(names), nuisances.statistics[0])
        centres = np.append(fit.theta[0, :names], fit.beta[0])
        return Truth(np.maximum(fit.expected[0], 0.0), centres, spreads)

    def _throw(self, truth: Truth, stream: int, first: int, count: int) -> BinnedProblem:
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

    def _batches(self, count: int) -> int:
        """Throw and fit the toys without signal that there are not yet; return how many batches do."""
        batches = -(-count // AT_ONCE)
        for i in range(len(self._kept), batches):
            toys = self._throw(self._truth(self._null), int(BACKGROUND_STREAM), i * AT_ONCE, AT_ONCE)
            self._kept.append((toys, *_free_fits(toys)))
        return batches

    def _test_background(self, batch: int, signal_yield: float) -> tuple[BinnedProblem, Floats]:
        toys, yields, best, _ = self._kept[batch]
        return toys, _qmu_tilde(toys, yields, best, signal_yield)


def _nuisances(problem: BinnedProblem) -> Nuisances:
    nuisances = problem.nuisances
    if nuisances is None:
        raise TypeError("a window without nuisances")
    return nuisances


def _observables(problem: BinnedProblem) -> Floats:
    """Return the global observables (N, J + B)."""
    nuisances = _nuisances(problem)
    return np.concatenate([nuisances.observed, nuisances.measured], axis=1)


def _fitted(problem: BinnedProblem, yields: Floats) -> tuple[Floats, Floats]:
    """Return the yields and the NLL of fits, NaN where one fails."""
    result = fit_constrained(_with_specks(problem), yields)
    nll = np.where(result.found, result.numbers[:, NLL], np.nan)
    return np.where(result.found, result.yields, np.nan), nll


def _with_specks(problem: BinnedProblem) -> BinnedProblem:
    empty = problem.counts.sum(axis=1) == 0.0
    if not empty.any():
        return problem
    counts = problem.counts.copy()
    counts[empty, np.argmax(problem.signal, axis=1)[empty]] = SPECK
    return replace(problem, counts=counts)


def _free_fits(problem: BinnedProblem) -> tuple[Floats, Floats, Floats]:
    """Return max(ŝ, 0), the NLL there, and that without signal, (N,)."""
    yields, best = _fitted(problem, np.full(problem.windows, np.nan))
    _, null = _fitted(problem, np.zeros(problem.windows))
    return np.where(yields < 0.0, 0.0, yields), np.where(yields > 0.0, best, null), null


def _excess(yields: Floats, best: Floats, null: Floats) -> Floats:
    """Return q₀ (eq. 12)."""
    return np.where(yields > 0.0, np.maximum(2.0 * (null - best), 0.0), 0.0 * (null + yields))


def _qmu_tilde(problem: BinnedProblem, yields: Floats, best: Floats, signal_yield: float) -> Floats:
    """Return q̃_μ (eq. 16) of the windows (N,), NaN where a fit fails."""
    _, fixed = _fitted(problem, np.full(problem.windows, signal_yield))
    q = np.maximum(2.0 * (fixed - best), 0.0)
    return np.where(yields >= signal_yield, 0.0 * yields, q)
