"""Nuisances that change how much of each sample there is, and leave the signal's shape to other parameters.

They are factors on samples of W windows, and additions that look like the signal: spurious signals, and
efficiencies with a normal error. Wherever the signal's template S is, such a window expects
ν_b = T S_b + Σ_k c_k B_kb + Σ_f g_f F_fb, with an amount T of signal and factors g that follow from yield and
nuisances by the formulas of `scanner.likelihoods.nuisances`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.likelihoods.binned import Floats
from scanner.likelihoods.expectation import norm_polynomial
from scanner.likelihoods.nuisances import Nuisances

CLOSE = 1e-9
"""Relative difference of shapes that are the same but for rounding."""


@dataclass(frozen=True)
class Amounts:
    """Such nuisances, apart from the template of the signal.

    Attributes
    ----------
    effects : Nuisances
        For some template of the signal.
    ratio : (W, E, 2) float
        Changes at −1 and +1 of each pair of nuisance and sample, in units of that template.
    """

    effects: Nuisances
    ratio: Floats

    @classmethod
    def of(cls, effects: Nuisances, signal: Floats) -> "Amounts":
        """Take nuisances for the signal (W, B) apart.

        Raises
        ------
        InputError
            If one changes a shape.
        """
        total = signal.sum(axis=1)
        ratio = effects.shape.sum(axis=3) / total[:, None, None]
        left = effects.shape - ratio[..., None] * signal[:, None, None]
        size = np.abs(effects.shape).max(axis=3, initial=0.0)
        if np.any(np.abs(left).max(axis=3, initial=0.0) > CLOSE * size) or effects.parts.size:
            raise InputError("nuisances beside floating parameters change amounts only, none changes a shape")
        return cls(effects, ratio)

    def at(self, signal: Floats) -> Nuisances:
        """Return the nuisances for another template of the signal (W, B)."""
        return replace(self.effects, shape=self.ratio[..., None] * signal[:, None, None])

    def keep_terms(self, kept: NDArray[np.int64], terms: int) -> "Amounts":
        """Return the nuisances of problems that keep some of their `terms` background terms."""
        samples = np.arange(self.effects.norm.shape[2])
        chosen = np.concatenate([[0], 1 + kept, samples[1 + terms :]])
        place = np.full(len(samples), -1)
        place[chosen] = np.arange(len(chosen))
        effects = replace(
            self.effects,
            norm=self.effects.norm[:, :, chosen],
            shape_sample=place[self.effects.shape_sample],
            uncertain=self.effects.uncertain[chosen],
        )
        return Amounts(effects, self.ratio)

    def expected(self, yields: Floats, pulls: Floats) -> tuple[Floats, Floats]:
        """Return the amount of signal T (W,) and the samples of known size (W, B) of parameters."""
        effects = self.effects
        factors = np.prod([norm_factors(effects.norm[:, j], a) for j, a in enumerate(pulls.T)], axis=0)
        factors = np.broadcast_to(factors, effects.norm.shape[::2])
        fixed = factors[:, factors.shape[1] - effects.fixed.shape[1] :]
        amount = yields * factors[:, 0]
        for e, (j, i) in enumerate(zip(effects.shape_nuisance, effects.shape_sample, strict=True)):
            scale = factors[:, i] * (yields if i == 0 else 1.0)
            amount = amount + scale * _changes(self.ratio[:, e], pulls[:, j])
        return amount, np.einsum("wf,wfb->wb", fixed, effects.fixed)


def norm_factors(logs: Floats, alpha: Floats) -> Floats:
    """Return factors (W, S) at nuisances (W,), whose logarithms at −1 and +1 are (W, S, 2)."""
    polynomial = norm_polynomial(logs.reshape(-1, 2)).reshape(6, *logs.shape[:2])
    inside = 1.0 + np.einsum("wp,pws->ws", alpha[:, None] ** np.arange(1, 7), polynomial)
    side = np.where(alpha[:, None] > 0.0, logs[..., 1], logs[..., 0])
    edge = np.exp(np.abs(alpha)[:, None] * side)
    factors: Floats = np.where(np.abs(alpha)[:, None] >= 1.0, edge, inside)
    return factors


def _changes(ratio: Floats, alpha: Floats) -> Floats:
    """Return the changes (W,) at nuisances (W,), those at −1 and +1 being (W, 2)."""
    down, up = ratio.T
    even = (3.0 * alpha**6 - 10.0 * alpha**4 + 15.0 * alpha**2) / 16.0
    inside = 0.5 * alpha * (up - down) + even * (up + down)
    change: Floats = np.where(np.abs(alpha) >= 1.0, np.abs(alpha) * np.where(alpha > 0.0, up, down), inside)
    return change
