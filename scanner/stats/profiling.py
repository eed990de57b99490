"""Profile likelihoods of the signal yields of many windows at once, and where they cross a value.

Each window is on its own: its fits, its brackets and its convergence depend on nothing else.
"""

from dataclasses import dataclass

import numpy as np

from scanner.kernels.constrained.batch import NLL, YIELD_SLOPE
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import ConstrainedFit, Mask, fit_constrained

EVALUATIONS = 100
CLOSE_ROOT = 1e-4
"""Relative distance from a target of √(−2 ln λ) from which a step ends within about its square."""
KICK = 0.3
"""Standard deviations by which nuisances are moved off a saddle, where Newton's method ends by symmetry."""
VISITS = ((2, 2), (1, 2), (3, 2), (0, 1), (4, 3))
"""Order of the bands, each with the one whose spread its guess takes."""
EDGE = 1e-9
"""Relative width of the bracket of a yield beyond which some bin is negative."""


@dataclass
class Profile:
    """−2 ln λ of the signal yields of W windows; every evaluation starts from the last one that succeeded.

    Parameters
    ----------
    problem : BinnedProblem
    reference : ConstrainedFit
        The minima that −2 ln λ refers to.
    """

    problem: BinnedProblem
    reference: ConstrainedFit

    def __post_init__(self) -> None:
        """Start from the reference."""
        self._theta, self._tangent = self.reference.theta.copy(), self.reference.tangent.copy()

    def evaluate(self, yields: Floats, chosen: Mask) -> tuple[Floats, Floats, Mask]:
        """Fit everything else at `yields` (W,) in the chosen windows.

        Returns
        -------
        q : (W,) float
            −2 ln λ, not negative.
        slope : (W,) float
            Its derivative by the yield.
        found : (W,) bool
            Where there is a fit among the chosen ones.
        """
        distance = yields - self._theta[:, -1]
        start = self._theta + distance[:, None] * self._tangent
        result = fit_constrained(self.problem, yields, start, chosen)
        found = chosen & result.found
        if np.any(chosen & ~found):
            found = found | self._off_saddles(result, yields, start, chosen & ~found)
        numbers, theta, tangent = result.numbers, result.theta, result.tangent
        self._theta[found], self._tangent[found] = theta[found], tangent[found]
        q = 2.0 * (numbers[:, NLL] - self.reference.numbers[:, NLL])
        return np.maximum(q, 0.0), 2.0 * numbers[:, YIELD_SLOPE], found

    def _off_saddles(self, result: ConstrainedFit, yields: Floats, start: Floats, lost: Mask) -> Mask:
        """Fit lost windows from both sides of where they started; put the lower fits in, and tell which."""
        mended, nuisances = np.zeros(len(yields), dtype=np.bool_), result.pull_errors.shape[1]
        for kick in (KICK, -KICK) if nuisances else ():
            moved = start.copy()
            moved[:, :nuisances] += kick
            other = fit_constrained(self.problem, yields, moved, lost)
            better = lost & other.found & ~(result.numbers[:, NLL] <= other.numbers[:, NLL])
            for name in ("numbers", "theta", "tangent"):
                getattr(result, name)[better] = getattr(other, name)[better]
            mended |= better
        return mended


@dataclass
class Bracket:
    """Where the roots of W windows lie, (W,) each, while Newton's method looks for them."""

    low: Floats
    high: Floats
    x: Floats

    def reopen(self, windows: Mask) -> None:
        """Forget the upper ends of some windows."""
        self.high = np.where(windows, np.inf, self.high)

    def is_narrow(self) -> Mask:
        """Tell where the bracket is as good as closed."""
        return np.asarray(self.high - self.low < EDGE * self.high)

    def step(self, asked: Mask, below: Mask, point: Floats) -> None:
        """Narrow the brackets at x, and go on to `point` where that lies inside, else bisect or double."""
        self.low = np.where(asked & below, self.x, self.low)
        self.high = np.where(asked & ~below, self.x, self.high)
        inside = (self.low < point) & (point < self.high)
        other = np.where(np.isinf(self.high), 2.0 * self.x, 0.5 * (self.low + self.high))
        self.x = np.where(asked, np.where(inside, point, other), self.x)


def crossing(
    profile: Profile, best: Floats, direction: Floats, target: Floats, guess: Floats, chosen: Mask
) -> Floats:
    """Return the yields (W,) on one side of `best` where √(−2 ln λ) is `target`.

    Parameters
    ----------
    profile : Profile
    best : (W,) float
        Yields of the reference.
    direction : (W,) float
        1 to look above `best`, −1 below.
    target : (W,) float
        Positive.
    guess : (W,) float
        Distance from `best` to try first; 1 where it is not positive.
    chosen : (W,) bool
        Windows to look at.

    Returns
    -------
    (W,) float
        NaN where there is none. Below `best` the yield is at least the lowest one that leaves no bin
        negative. Where a fit fails only because it starts too far off, the bracket is opened again, and the
        lowest yield with a fit is the end if it takes too long.
    """
    start = np.where(guess > 0.0, guess, 1.0)
    bracket = Bracket(np.zeros(len(best)), np.full(len(best), np.inf), start)
    result, active = np.full(len(best), np.nan), chosen & np.isfinite(best)
    by_failure = np.zeros(len(best), dtype=np.bool_)
    for _ in range(EVALUATIONS):
        if not active.any():
            break
        x = bracket.x
        q, slope, found = profile.evaluate(best + direction * x, active)
        lost, root = active & ~found, np.sqrt(q)
        with np.errstate(divide="ignore", invalid="ignore"):
            point = np.where(found, x + 2.0 * (target - root) * root / (direction * slope), np.nan)
        by_failure = np.where(active & ~(found & (root < target)), lost, by_failure)
        bracket.reopen(found & (root < target) & by_failure & bracket.is_narrow())
        bracket.step(active, found & (root < target), point)
        done = found & (np.abs(root - target) <= CLOSE_ROOT * target)
        edge = lost & (direction < 0.0) & bracket.is_narrow()
        result = np.where(done, best + direction * point, result)
        result = np.where(edge, best + direction * bracket.low, result)
        active &= ~(done | edge | (lost & (direction > 0.0)))
    return np.where(active & by_failure & (direction < 0.0), best + direction * bracket.low, result)


def crossings(profile: Profile, start: Floats, guesses: Floats, targets: Floats, chosen: Mask) -> Floats:
    """Return the yields (W, 5) where √(−2 ln λ), with the sign of the yield, is each target.

    Parameters
    ----------
    profile : Profile
        Of Asimov data without signal.
    start : (W,) float
        Spread s/√(−2 ln λ) at s = 0.
    guesses : (5, W) float
        Of the spread at the targets; where one is NaN that of the target next to it is taken.
    targets : (5,) float
        Rising.
    chosen : (W,) bool
        Windows to look at; NaN in others, and where there is none.
    """
    zeros, yields = np.zeros(start.size), np.full((start.size, len(targets)), np.nan)
    spreads = np.tile(start, (len(targets), 1))
    for i, near in VISITS if chosen.any() else ():
        if targets[i] == 0.0:
            yields[chosen, i] = 0.0
            continue
        size, side = np.full_like(zeros, abs(targets[i])), np.full_like(zeros, np.sign(targets[i]))
        first = size * np.where(guesses[i] > 0.0, guesses[i], spreads[near])
        yields[:, i] = crossing(profile, zeros, side, size, first, chosen)
        if targets[i] * targets[near] > 0.0:
            spreads[i] = yields[:, i] / targets[i]
    return yields
