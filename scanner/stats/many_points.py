"""The likelihood of one window with nuisances at many points of its parameters at once."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.expectation import Expectation, norm_polynomial, profiled_beta

Mask = NDArray[np.bool_]

STATISTICS_NODES = 9
"""Gauss–Hermite nodes of the integral over a bin's template statistics."""
ABSENT = 1e-300


@dataclass(frozen=True)
class Sums:
    """Expected events of N points in the B bins, by samples with and without template statistics.

    The expectation at a yield s is β (uncertain + s·uncertain_signal) + certain + s·certain_signal.
    """

    uncertain: Floats
    certain: Floats
    uncertain_signal: Floats
    certain_signal: Floats

    def background(self) -> Floats:
        """Return the expectation without signal, (N, B)."""
        return self.uncertain + self.certain

    def at(self, signal_yield: float) -> tuple[Floats, Floats]:
        """Return the uncertain and the certain events (N, B) at a yield."""
        return (
            self.uncertain + signal_yield * self.uncertain_signal,
            self.certain + signal_yield * self.certain_signal,
        )


class ManyPoints:
    """The expectation of one window at N points θ = (nuisances, background coefficients)."""

    def __init__(self, problem: BinnedProblem, window: int) -> None:
        self.one = Expectation.of(problem, window)
        self.effects = self.one.effects
        self.nuisances = len(self.effects.names)
        self.size = self.one.parameters - 1
        self._polynomials = [norm_polynomial(logs) for logs in self.effects.norm[0]]

    def samples(self, alpha: Floats) -> Floats:
        """Return the (N, S, B) samples at nuisances (N, J), without their free factors."""
        effects = self.effects
        templates = np.repeat(self.one.window[None], len(alpha), axis=0)
        for e, (j, i) in enumerate(zip(effects.shape_nuisance, effects.shape_sample, strict=True)):
            templates[:, i] += _shape_changes(effects.shape[0, e], alpha[:, j])
        for j, polynomial in enumerate(self._polynomials):
            templates *= _norm_factors(effects.norm[0, j], polynomial, alpha[:, j])[:, :, None]
        return templates

    def sums(self, theta: Floats) -> Sums:
        """Return the expected events at points (N, J+K)."""
        samples, owner, flags = (
            self.samples(theta[:, : self.nuisances]),
            self.one.owner,
            self.effects.uncertain,
        )
        signal = owner == self.size
        free = (owner >= 0) & ~signal
        factors = np.ones((len(theta), owner.size))
        factors[:, free] = theta[:, owner[free]]

        def total(chosen: Mask) -> Floats:
            result: Floats = np.einsum("ns,nsb->nb", factors * chosen, samples)
            return result

        return Sums(
            total(flags & ~signal), total(~flags & ~signal), total(flags & signal), total(~flags & signal)
        )

    def log_likelihood(self, counts: Floats, sums: Sums, yields: Floats) -> Floats:
        """Return ln L of the counts (B,) at the points and yields (M,), (N, M), averaged over the statistics.

        It is −∞ where a bin's expectation is negative, or zero under events.
        """
        reached = np.any((sums.uncertain_signal != 0.0) | (sums.certain_signal != 0.0), axis=0)
        steady = self._bins(counts, sums, 0.0, ~reached).sum(axis=1)
        return np.stack([steady + self._bins(counts, sums, s, reached).sum(axis=1) for s in yields], axis=1)

    def _bins(self, counts: Floats, sums: Sums, signal_yield: float, chosen: Mask) -> Floats:
        uncertain, certain = (part[:, chosen] for part in sums.at(signal_yield))
        delta, measured = self.effects.statistics[0, chosen], self.effects.measured[0, chosen]
        if not delta.any():
            return _poisson(counts[chosen], uncertain + certain)
        return _averaged_poisson(counts[chosen], uncertain, certain, delta, measured)


def _poisson(n: Floats, expected: Floats) -> Floats:
    """Return n ln ν − ν, −∞ where it is impossible."""
    safe = np.maximum(expected, ABSENT)
    possible: Mask = (expected > 0.0) | ((expected == 0.0) & (n == 0.0))
    logs: Floats = np.where(possible, n * np.log(safe) - expected, -np.inf)
    return logs


def _averaged_poisson(
    n: Floats, uncertain: Floats, certain: Floats, delta: Floats, measured: Floats
) -> Floats:
    """Return ln ∫ N(β; e, δ) Poisson(n; βA + C) dβ, by Gauss–Hermite nodes around the best β.

    The nodes have the width of the integrand at its maximum: the Laplace approximation, with corrections.
    """
    beta = profiled_beta(n, uncertain, certain, delta, measured)
    expected = np.maximum(beta * uncertain + certain, ABSENT)
    safe = np.where(delta > 0.0, delta, 1.0)
    width = np.where(delta > 0.0, 1.0 / np.sqrt(n * (uncertain / expected) ** 2 + 1.0 / safe**2), 0.0)
    nodes, weights = hermegauss(STATISTICS_NODES)
    logs = []
    for x, weight in zip(nodes, weights / np.sqrt(2.0 * np.pi), strict=True):
        value = beta + width * x
        constraint = np.where(delta > 0.0, ((value - measured) / safe) ** 2 - x * x, 0.0)
        constraint = np.where(value < 0.0, np.inf, constraint)
        logs.append(_poisson(n, value * uncertain + certain) - 0.5 * constraint + np.log(weight))
    total = np.logaddexp.reduce(np.array(logs), axis=0)
    jacobian: Floats = total + np.log(np.where(delta > 0.0, width / safe, 1.0))
    return jacobian


def _norm_factors(logs: Floats, polynomial: Floats, alpha: Floats) -> Floats:
    """Return the (N, S) factors on normalisations at alpha (N,)."""
    size = np.abs(alpha)[:, None]
    outside = np.exp(np.minimum(size, 1e3) * np.where(alpha[:, None] > 0.0, logs[:, 1], logs[:, 0]))
    inside = 1.0 + np.where(size < 1.0, alpha[:, None], 0.0) ** np.arange(1, 7) @ polynomial
    factors: Floats = np.where(size < 1.0, inside, outside)
    return factors


def _shape_changes(changes: Floats, alpha: Floats) -> Floats:
    """Return the (N, B) changes of a template at alpha (N,)."""
    down, up = changes
    a = alpha[:, None]
    even = (3.0 * a**6 - 10.0 * a**4 + 15.0 * a**2) / 16.0
    smooth = 0.5 * a * (up - down) + even * (up + down)
    changed: Floats = np.where(np.abs(a) < 1.0, smooth, np.abs(a) * np.where(a > 0.0, up, down))
    return changed
