"""The posterior of the signal yield of a window with constrained nuisances.

Nuisances have their constraints as priors, background coefficients flat ones wherever the background is
nowhere negative. Both are integrated over by importance sampling, as `scanner.kernels.bayesian.posterior`
does for coefficients alone: points of randomised lattices around the centre of the posterior, each with
its whole likelihood in s; the scatter of the replicates is the stated error. Template statistics are
integrated over in every bin by Gauss–Hermite quadrature around their best value.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from scanner.kernels.bayesian.posterior import DROP, GRID, PILOT
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.expectation import Expectation
from scanner.likelihoods.fit import USABLE, Fit, fit
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.density import Density
from scanner.stats.many_points import ManyPoints, Sums
from scanner.stats.sampling import OBSERVABLES, normal_numbers, poisson_toys

ITERATIONS = 40
DECREMENT = 1e-4
"""Newton decrement squared at which the centre is found: it need not be exact."""
HALVINGS = 20
DIFFERENCE = 1e-4
"""Step of a nuisance for derivatives of the expectation."""
RIDGE = 1e-10
"""Added to the relative diagonal of a precision, which rounding may make singular."""


@dataclass(frozen=True)
class Centre:
    """Where the posterior of nuisances and coefficients is, and how wide.

    Attributes
    ----------
    theta : (J+K,) float
    factor : (J+K, J+K) float
        Lower Cholesky factor of the precision, the yield integrated over.
    signal_yield, width : float
        Those of the yield.
    """

    theta: Floats
    factor: Floats
    signal_yield: float
    width: float


class Posterior:
    """The posterior of one window, for a prior s^(γ−1) of its yield."""

    def __init__(self, problem: BinnedProblem, window: int, power: float) -> None:
        self.counts, self.power = problem.counts[window], power
        self.points = ManyPoints(problem, window)
        self.observed = self.points.effects.observed[0]
        reached = np.any(problem.background[window, : problem.terms[window]] != 0.0, axis=0)
        terms = self.points.size - self.observed.size
        self.weights: Floats = reached * (terms / max(np.count_nonzero(reached), 1))

    def constraint(self, theta: Floats) -> Floats:
        """Return the logarithm of the nuisances' prior at points (N, J+K), up to a constant."""
        distance = theta[:, : self.observed.size] - self.observed
        log_prior: Floats = -0.5 * np.sum(distance * distance, axis=1)
        return log_prior

    def log_density(self, theta: Floats, yields: Floats) -> Floats:
        """Return ln of likelihood and prior of the nuisances, (N, M), −∞ where the background is negative."""
        sums = self.points.sums(theta)
        logs = self.points.log_likelihood(self.counts, sums, yields)
        allowed = np.all(sums.background() >= 0.0, axis=1)
        return np.where(allowed[:, None], logs + self.constraint(theta)[:, None], -np.inf)

    def centre(self, start: Floats) -> Centre | None:
        """Return the minimum of −ln p − Σ w ln β − γ ln s, from coefficients (K,), or None."""
        size = float(np.sum(np.abs(self.points.one.window[self.points.one.owner == self.points.size])))
        theta = np.concatenate([self.observed, start, [1.0 / max(size, 1e-300)]])
        value = self._objective(theta)
        for _ in range(ITERATIONS):
            gradient, hessian = self._derivatives(theta)
            step = np.linalg.solve(hessian, gradient)
            decrement = float(step @ gradient)
            if not np.isfinite(value) or not np.isfinite(decrement):
                return None
            if decrement < DECREMENT:
                break
            trials = (theta - 0.5**i * step for i in range(HALVINGS))
            better = next(((t, v) for t in trials if (v := self._objective(t)) < value), None)
            if better is None:
                break
            theta, value = better
        return _marginal_centre(theta, self._derivatives(theta)[1])

    def _objective(self, theta: Floats) -> float:
        if theta[-1] <= 0.0:
            return np.inf
        row = theta[None, :-1]
        background = self.points.sums(row).background()[0]
        barred = self.weights > 0.0
        if np.any(background[barred] <= 0.0):
            return np.inf
        log = float(self.log_density(row, theta[-1:])[0, 0])
        barrier = float(self.weights[barred] @ np.log(background[barred]))
        return -log - barrier - self.power * float(np.log(theta[-1]))

    def _derivatives(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the gradient and the Hessian without second derivatives of the expectation."""
        sums = self.points.sums(theta[None, :-1])
        slopes = self._slopes(theta)
        uncertain, certain = sums.at(theta[-1])
        expected = (uncertain + certain)[0]
        spread = self.counts * (self.points.effects.statistics[0] * uncertain[0]) ** 2
        damped = expected * expected / (expected * expected + spread)
        gradient = slopes[0] @ ((1.0 - self.counts / expected) * damped)
        hessian = (slopes[0] * (self.counts / (expected * expected + spread))) @ slopes[0].T
        background, barred = sums.background()[0], self.weights > 0.0
        relative = slopes[1][:, barred] / background[barred]
        gradient -= relative @ self.weights[barred]
        hessian += (relative * self.weights[barred]) @ relative.T
        nuisances = self.observed.size
        gradient[:nuisances] += theta[:nuisances] - self.observed
        hessian[np.arange(nuisances), np.arange(nuisances)] += 1.0
        gradient[-1] -= self.power / theta[-1]
        hessian[-1, -1] += self.power / theta[-1] ** 2
        hessian[np.diag_indices_from(hessian)] *= 1.0 + RIDGE
        return gradient, hessian

    def _slopes(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives (J+K+1, B) of the whole expectation and of the background."""
        steps = DIFFERENCE * np.maximum(np.abs(theta[:-1]), 1.0)
        steps[: self.observed.size] = DIFFERENCE
        moves = np.diag(steps)
        above, below = self.points.sums(theta[:-1] + moves), self.points.sums(theta[:-1] - moves)
        here, twice = self.points.sums(theta[None, :-1]), 2.0 * steps[:, None]
        whole = (_total(above, theta[-1]) - _total(below, theta[-1])) / twice
        background = (above.background() - below.background()) / twice
        signal = here.uncertain_signal + here.certain_signal
        return np.concatenate([whole, signal]), np.concatenate([background, np.zeros_like(signal)])

    def densities(self, centre: Centre, points: Floats, log_proposal: Floats) -> list[Density]:
        """Return the marginal posteriors of the replicates for points (R, N, J+K) of the proposal."""
        found = self._range(centre, points[0, :PILOT], log_proposal[0, :PILOT])
        if found is None:
            return []
        roots = np.linspace(*found, GRID)
        rows = self._marginals(centre, points, log_proposal, roots)
        return [Density(float(roots[0]), float(roots[1] - roots[0]), row, self.power) for row in rows]

    def _marginals(self, centre: Centre, points: Floats, log_proposal: Floats, roots: Floats) -> Floats:
        """Return ln Σ_i p(s, θ_i)/g(θ_i) at the nodes in √s, for every replicate, (R, M)."""
        flat = points.reshape(-1, points.shape[2])
        theta = centre.theta + flat
        if flat.shape[1] > 0:
            theta = centre.theta + solve_triangular(centre.factor, flat.T, lower=True, trans="T").T
        logs = self.log_density(theta, roots * roots).reshape(*log_proposal.shape, roots.size)
        total: Floats = np.logaddexp.reduce(logs - log_proposal[:, :, None], axis=1)
        return total

    def _range(self, centre: Centre, points: Floats, log_proposal: Floats) -> tuple[float, float] | None:
        """Return the √s between which ln p is within DROP of its maximum, by a few points."""
        low = np.sqrt(max(centre.signal_yield - 10.0 * centre.width, 0.0))
        high = np.sqrt(centre.signal_yield + 25.0 * centre.width)
        for _ in range(40):
            roots = np.linspace(low, high, GRID)
            logs = self._marginals(centre, points[None], log_proposal[None], roots)[0]
            near = np.flatnonzero(logs > logs.max() - DROP)
            if near.size == 0:
                return None
            if near[-1] < GRID - 1:
                return float(roots[max(near[0] - 1, 0)]), float(roots[near[-1] + 1])
            high *= np.sqrt(2.0)
        return None


def _total(sums: Sums, signal_yield: float) -> Floats:
    uncertain, certain = sums.at(signal_yield)
    total: Floats = uncertain + certain
    return total


def _marginal_centre(theta: Floats, hessian: Floats) -> Centre | None:
    """Integrate the yield over: the precision of the rest is H − H_s H_sᵀ/H_ss."""
    rest, mixed, own = hessian[:-1, :-1], hessian[:-1, -1], float(hessian[-1, -1])
    try:
        factor: Floats = np.asarray(np.linalg.cholesky(rest - np.outer(mixed, mixed) / own), np.float64)
        width = float(np.sqrt(np.linalg.inv(hessian)[-1, -1]))
    except np.linalg.LinAlgError:
        return None
    return Centre(theta[:-1], factor, float(theta[-1]), width)


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
