"""What a window with nuisances expects, in plain numpy: for the second opinion, toys and plots.

The formulas are those of `scanner.likelihoods.nuisances`, written anew and apart from the kernels, so that a
fit by iminuit checks both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Nuisances


@dataclass(frozen=True)
class Expectation:
    """One window's likelihood as functions of the parameters: nuisances, coefficients, yield."""

    window: Floats
    """(S, B) nominal templates, parts taken out of their samples."""
    owner: NDArray[np.int64]
    """(S,) place of each sample's factor among the parameters, or −1."""
    effects: Nuisances
    """Nuisances of this window alone."""
    parameters: int
    """Number of nuisances, coefficients in use and the yield."""

    @classmethod
    def of(cls, problem: BinnedProblem, window: int) -> "Expectation":
        """Return the expectation of one window of a problem."""
        one = problem.select(np.array([window]))
        effects = one.nuisances or Nuisances.none(*one.background.shape)
        nuisances, terms = len(effects.names), int(one.terms[0])
        templates = np.concatenate([one.signal, one.background[0], effects.fixed[0], effects.parts[0]])
        owner = np.full(len(templates), -1)
        owner[0], owner[1 : 1 + terms] = nuisances + terms, nuisances + np.arange(terms)
        templates[1 + terms : 1 + one.background.shape[1]] = 0.0
        first = len(templates) - len(effects.part_of)
        for part, whole in enumerate(effects.part_of):
            owner[first + part] = owner[whole]
            templates[first + part] *= owner[whole] >= 0
            templates[whole] -= templates[first + part]
        return cls(templates, owner, effects, nuisances + terms + 1)

    def samples(self, alpha: Floats) -> Floats:
        """Return the (S, B) samples at the nuisances `alpha` (J,), without their free factors."""
        effects = self.effects
        templates = self.window.copy()
        for e, (j, i) in enumerate(zip(effects.shape_nuisance, effects.shape_sample, strict=True)):
            templates[i] += shape_change(effects.shape[0, e], float(alpha[j]))
        factors = np.ones(len(templates))
        for j, value in enumerate(alpha):
            factors *= norm_factor(effects.norm[0, j], float(value))
        scaled: Floats = factors[:, None] * templates
        return scaled

    def sums(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return the sums of uncertain and of certain samples, each (B,), at β = 1."""
        alpha = theta[: len(self.effects.names)]
        factors = np.where(self.owner >= 0, theta[self.owner], 1.0)
        samples = factors[:, None] * self.samples(alpha)
        flags = self.effects.uncertain
        uncertain: Floats = samples[flags].sum(axis=0)
        certain: Floats = samples[~flags].sum(axis=0)
        return uncertain, certain

    def expected(self, theta: Floats, counts: Floats) -> tuple[Floats, Floats]:
        """Return the (B,) expectation ν and the profiled β of every bin."""
        uncertain, certain = self.sums(theta)
        effects = self.effects
        beta = profiled_beta(counts, uncertain, certain, effects.statistics[0], effects.measured[0])
        total: Floats = beta * uncertain + certain
        return total, beta


def norm_factor(logs: Floats, alpha: float) -> Floats:
    """Return the factors (S,) on normalisations whose logarithms at −1 and +1 are `logs` (S, 2).

    Inside ±1 a polynomial of sixth degree continues value, slope and curvature of the exponentials.
    """
    down, up = logs[:, 0], logs[:, 1]
    if abs(alpha) >= 1.0:
        edge: Floats = np.exp(abs(alpha) * (up if alpha > 0.0 else down))
        return edge
    inside: Floats = np.asarray(1.0 + alpha ** np.arange(1, 7) @ norm_polynomial(logs), dtype=np.float64)
    return inside


def norm_polynomial(logs: Floats) -> Floats:
    """Return the coefficients (6, S) of α … α⁶ that continue the exponentials inside ±1."""
    down, up = logs[:, 0], logs[:, 1]
    powers = np.arange(1, 7)
    at_edges = [
        derivative * sign ** (powers - order)
        for sign in (1.0, -1.0)
        for order, derivative in enumerate((np.ones(6), powers, powers * (powers - 1)))
    ]
    high, low = np.exp(up), np.exp(down)
    values = np.array([high - 1.0, high * up, high * up**2, low - 1.0, -low * down, low * down**2])
    coefficients: Floats = np.linalg.solve(np.array(at_edges, dtype=np.float64), values)
    return coefficients


def shape_change(changes: Floats, alpha: float) -> Floats:
    """Return the change (B,) of a template whose changes at −1 and +1 are `changes` (2, B)."""
    down, up = changes
    if abs(alpha) >= 1.0:
        linear: Floats = abs(alpha) * (up if alpha > 0.0 else down)
        return linear
    even = (3.0 * alpha**6 - 10.0 * alpha**4 + 15.0 * alpha**2) / 16.0
    smooth: Floats = 0.5 * alpha * (up - down) + even * (up + down)
    return smooth


def profiled_beta(n: Floats, uncertain: Floats, certain: Floats, delta: Floats, measured: Floats) -> Floats:
    """Return β ≥ 0 where βA + C − n ln(βA + C) + (β−e)²/2δ² is least, and βA + C not negative.

    It is the upper root of Aβ² + (C + δ²A² − eA)β + δ²A(C − n) − eC = 0.
    """
    h = delta**2 * uncertain
    with np.errstate(divide="ignore", invalid="ignore"):
        b = certain / uncertain + h - measured
        c = delta**2 * (certain - n) - measured * certain / uncertain
        root = np.sqrt(np.maximum(b * b - 4.0 * c, 0.0))
        beta = np.where(b < 0.0, 0.5 * (root - b), -2.0 * c / (b + root))
        floor = np.where(n > 0.0, 0.0, np.maximum(0.0, -certain / uncertain))
    beta = np.where(uncertain == 0.0, measured - delta**2 * 0.0, np.maximum(beta, floor))
    return np.where(delta > 0.0, beta, 1.0)
