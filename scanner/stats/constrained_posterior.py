"""The posterior of the signal yield of a window with constrained nuisances.

Nuisances have their constraints as priors, background coefficients flat ones wherever the background,
spurious signals included, is nowhere negative. At every yield they are integrated over by importance sampling
around a centre of their own: `scanner.kernels.bayesian.conditional`. The scatter of the replicates is the
stated error. Template statistics are integrated over in every bin by Gauss–Hermite quadrature.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from scanner.kernels.bayesian.conditional import find_range, sample, set_centres
from scanner.kernels.bayesian.posterior import GRID
from scanner.kernels.bayesian.sums import Model
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.expectation import Expectation, norm_polynomial
from scanner.likelihoods.fit import USABLE, Fit, fit
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.density import Density
from scanner.stats.sampling import OBSERVABLES, normal_numbers, poisson_toys

STATISTICS_NODES = 9
"""Gauss–Hermite nodes of the integral over a bin's template statistics."""


@dataclass(frozen=True)
class Centres:
    """Where the posterior of nuisances and coefficients is at each of M yields, and how wide.

    Attributes
    ----------
    low, step : float
        First node in √s, and distance between nodes.
    theta : (M, J+K) float
    factors : (M, J+K, J+K) float
        Lower Cholesky factors of the precisions, reciprocals on the diagonal.
    logs : (M,) float
        ln p in Laplace's approximation, −∞ where there is no centre.
    """

    low: float
    step: float
    theta: Floats
    factors: Floats
    logs: Floats


class Posterior:
    """The posterior of one window, for a prior s^(γ−1) of its yield."""

    def __init__(self, problem: BinnedProblem, window: int, power: float) -> None:
        one = Expectation.of(problem, window)
        self.power, self.size = power, one.parameters - 1
        effects, counts = one.effects, problem.counts[window]
        self._model = _model(one)
        self._data = (
            np.ascontiguousarray(counts),
            np.ascontiguousarray(effects.observed[0]),
            np.ascontiguousarray(effects.measured[0]),
        )
        self._weights = _weights(problem, window, effects)
        reach = problem.signal[window] / max(float(problem.signal[window].max()), 1e-300)
        size = max(float(problem.signal[window].sum()), 1e-300)
        self._high = float(np.sqrt((3.0 * counts @ np.maximum(reach, 0.0) + 10.0) / size))

    def centres(self, start: Floats) -> Centres | None:
        """Find the yields that matter and the centres there, from coefficients (K,); None without any.

        Nuisances start at their nominal values, where the coefficients leave the background positive.
        """
        theta = np.concatenate([np.zeros_like(self._data[1]), start])
        arrays = (self._model, self._data, self._weights, theta)
        low, high = find_range(*arrays, self._high)
        if not np.isfinite(high):
            return None
        step = (high - low) / (GRID - 1)
        centres, factors = np.empty((GRID, self.size)), np.empty((GRID, self.size, self.size))
        logs = np.empty(GRID)
        set_centres(*arrays, low, step, centres, factors, logs)
        return Centres(low, step, centres, factors, logs)

    def densities(self, centres: Centres, points: Floats, log_proposal: Floats) -> list[Density]:
        """Return the marginal posteriors of the replicates for points (R, N, J+K) of the proposal."""
        rows = np.empty((len(points), GRID))
        shape = (centres.theta, centres.factors, centres.logs, centres.low, centres.step)
        sample(self._model, self._data, *shape, points, log_proposal, rows)
        if not np.all(rows.max(axis=1) > -np.inf):
            return []
        return [Density(centres.low, centres.step, row, self.power) for row in rows]


def _model(one: Expectation) -> Model:
    """Return the arrays of a window that the kernels take."""
    effects = one.effects
    samples = len(one.owner)
    polynomials = [norm_polynomial(logs).T for logs in effects.norm[0]]
    nodes, weights = hermegauss(STATISTICS_NODES)
    return (
        np.ascontiguousarray(one.window),
        np.ascontiguousarray(one.owner, dtype=np.int64),
        effects.uncertain.astype(np.float64),
        np.ascontiguousarray(np.array(polynomials).reshape(len(effects.names), samples, 6)),
        np.ascontiguousarray(effects.norm[0]),
        np.stack([effects.shape_nuisance, effects.shape_sample], axis=1).astype(np.int64),
        np.ascontiguousarray(effects.shape[0]),
        np.ascontiguousarray(effects.statistics[0]),
        np.stack([nodes, weights / np.sqrt(2.0 * np.pi)], axis=1),
    )


def _weights(problem: BinnedProblem, window: int, effects: Nuisances) -> Floats:
    """Return the weights (B,) of the barrier that keeps centres off a background of zero.

    They sum to the number of coefficients, as the logarithm of a volume in a cone does, and to one more for
    each nuisance that could turn the background negative, in the bins where it would.
    """
    terms = int(problem.terms[window])
    reached = np.any(problem.background[window, :terms] != 0.0, axis=0)
    weights: Floats = reached * (terms / max(int(np.count_nonzero(reached)), 1))
    if terms == 0:
        return weights
    signals: NDArray[np.bool_] = np.isin(effects.shape_sample, [0, *_signal_parts(effects)])
    for change in np.abs(effects.shape[0, ~signals]).max(axis=1, initial=0.0) * reached:
        total = change.sum()
        weights = weights + (change / total if total > 0.0 else 0.0)
    return weights


def _signal_parts(effects: Nuisances) -> NDArray[np.int64]:
    first = effects.uncertain.size - effects.part_of.size
    return first + np.flatnonzero(effects.part_of == 0)


def starting_coefficients(problem: BinnedProblem) -> Floats:
    """Return background coefficients (W, K) of fits of a little more than the counts, positive everywhere."""
    reached = np.any(problem.background != 0.0, axis=1)
    added = problem.terms[:, None] / np.maximum(reached.sum(axis=1, keepdims=True), 1)
    found = fit(replace(problem, counts=problem.counts + added * reached), np.zeros(problem.windows))
    coefficients: Floats = found.background
    return coefficients


def throw_sets(problem: BinnedProblem, null: Fit, w: int, toys: int, stream: int) -> BinnedProblem | None:
    """Return toys of the background-only fit of window `w` as windows, or None where that fit failed.

    Counts, global observables and measured template statistics fluctuate around the fit.
    """
    if null.status[w] not in USABLE or problem.nuisances is None:
        return None
    terms, key = int(problem.terms[w]), int(problem.keys[w])
    theta = np.concatenate([null.pulls[w], null.background[w, :terms], [0.0]])
    expected, beta = Expectation.of(problem, w).expected(theta, problem.counts[w])
    sets = problem.select(np.full(toys, w))
    counts = poisson_toys(np.maximum(expected, 0.0), key, 0, toys, stream=stream)
    return replace(sets, counts=counts, nuisances=_thrown(sets, null.pulls[w], beta, key, stream))


def _thrown(sets: BinnedProblem, pulls: Floats, beta: Floats, key: int, stream: int) -> Nuisances | None:
    """Return the nuisances of toys with their global observables around the fit's."""
    nuisances = sets.nuisances
    if nuisances is None:
        return None
    size = pulls.size
    stream += OBSERVABLES
    normal = [normal_numbers(key, toy, size + beta.size, stream=stream) for toy in range(sets.windows)]
    numbers = np.array(normal).reshape(sets.windows, size + beta.size)
    return replace(
        nuisances,
        observed=pulls + numbers[:, :size],
        measured=beta + nuisances.statistics * numbers[:, size:],
    )
