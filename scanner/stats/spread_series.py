"""The spread σ = s/√q_A of the Asimov data of many windows as polynomials of the root a = √q_A.

σ varies little: its values and slopes at five fits, and its value without signal, make a polynomial
(Hermite's, in Newton's form). It tells all bands, and √q_A at the observed limit. The fits stand where bands
are guessed to be by the ones before. By how much these miss the last two says how well the series has
converged: with morphed templates, which are only twice continuously differentiable, it need not.
"""

from dataclasses import dataclass

import numpy as np

from scanner.likelihoods.binned import Floats
from scanner.likelihoods.constrained import Mask
from scanner.stats.profiling import Profile

NODES = (0, 2, 4, 3, 1)
"""Bands at whose guessed yields the fits stand, in their order: σ without signal guesses the lowest best."""
CONVERGED = (2e-5, 3e-7)
"""Largest misses of the last fit but one and of the last, relative to σ, at which a series is used."""
BEYOND = 1.05
"""Yield over the largest of the fits up to which the series is used."""
ITERATIONS = 4


@dataclass(frozen=True)
class SpreadSeries:
    """σ(a) of W windows."""

    nodes: Floats
    """(N, W) roots, twice each where a slope is known too."""
    parts: Floats
    """(N, W) divided differences on the nodes, by rising order."""
    reach: Floats
    """(W,) largest yield that it holds for."""
    holds: Mask
    """(W,) where it has converged."""

    def spread(self, root: Floats | float) -> tuple[Floats, Floats]:
        """Return σ and dσ/da (W,) at roots."""
        value, slope = self.parts[-1], np.zeros_like(self.reach)
        for node, part in zip(self.nodes[-2::-1], self.parts[-2::-1], strict=True):
            slope = value + (root - node) * slope
            value = part + (root - node) * value
        return value, slope

    def root(self, signal_yields: Floats) -> tuple[Floats, Floats]:
        """Return the roots a with a σ(a) = s, and da/ds, by Newton's method."""
        root = signal_yields / self.parts[0]
        slope = np.zeros_like(root)
        for _ in range(ITERATIONS):
            spread, spread_slope = self.spread(root)
            slope = 1.0 / (spread + root * spread_slope)
            root = root - (root * spread - signal_yields) * slope
        return root, slope


@dataclass(frozen=True)
class Background:
    """Asimov data without signal: their profile, and a series of its roots where that has converged."""

    profile: Profile
    series: SpreadSeries

    def evaluate(self, yields: Floats, chosen: Mask) -> tuple[Floats, Floats, Mask]:
        """Return q_A, its slope and where there is one, by fits where the series does not reach."""
        series = self.series
        by_series = chosen & series.holds & (yields <= series.reach)
        root, root_slope = series.root(np.where(by_series, yields, np.nan))
        q, slope, found = np.square(root), 2.0 * root * root_slope, by_series
        rest = chosen & ~by_series
        if rest.any():
            q_fitted, slope_fitted, found_too = self.profile.evaluate(yields, rest)
            q, slope = np.where(rest, q_fitted, q), np.where(rest, slope_fitted, slope)
            found = found | found_too
        return q, slope, found


def spread_series(asimov: Profile, start: Floats, targets: Floats, chosen: Mask) -> SpreadSeries:
    """Return the series of some windows; it holds in no other.

    Parameters
    ----------
    asimov : Profile
        Of Asimov data without signal.
    start : (W,) float
        σ at s = 0.
    targets : (5,) float
        Rising and positive roots of the bands.
    chosen : (W,) bool
        Windows to look at.
    """
    holds, reach = chosen & (start > 0.0), np.zeros_like(start)
    series = SpreadSeries(np.zeros((1, start.size)), start[None], reach, holds)
    misses = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in NODES if chosen.any() else ():
            x = targets[i] * series.spread(targets[i])[0]
            holds = holds & (x > 0.0)
            q, q_slope, found = asimov.evaluate(x, holds)
            holds &= found & (q > 0.0)
            root = np.sqrt(q)
            spread, reach = x / root, np.fmax(reach, BEYOND * x)
            misses.append(np.abs(spread - series.spread(root)[0]) / spread)
            series = _with_node(series, root, spread, (2.0 * root / q_slope - spread) / root)
        for miss, most in zip(misses[-2:], CONVERGED, strict=False):
            holds &= miss <= most
    return SpreadSeries(series.nodes, series.parts, reach, holds)


def _with_node(series: SpreadSeries, root: Floats, value: Floats, slope: Floats) -> SpreadSeries:
    """Return the series with a further node, by its value and its slope there.

    A divided difference with one node more follows from the value there less that of the series so far.
    """
    nodes, parts = series.nodes, series.parts
    here, slope_here = series.spread(root)
    product = np.prod(root - nodes, axis=0)
    first = (value - here) / product
    logarithmic = np.sum(1.0 / (root - nodes), axis=0)
    second = (slope - slope_here) / product - first * logarithmic
    return SpreadSeries(
        np.concatenate([nodes, [root, root]]),
        np.concatenate([parts, [first, second]]),
        series.reach,
        series.holds,
    )
