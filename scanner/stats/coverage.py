"""Maps of coverage: how often the limit of each method is above the true yield, by counts and shape.

A window of ±10 resolutions in forty bins, a Gaussian signal, and backgrounds that are flat, linear, or
fall like an exponential, each fitted with the Chebyshev terms that it is made of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.polynomial import chebyshev
from scipy.special import ndtr, ndtri

from scanner.kernels.linear.window import usable
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.seeds import key_of
from scanner.stats import METHODS, auto
from scanner.stats.counting import with_counting
from scanner.stats.limits import COUNTING
from scanner.stats.neyman import intervals_cover
from scanner.stats.posterior import credible_limits_cover
from scanner.stats.pseudo import LinearWindow
from scanner.stats.sampling import poisson_toys
from scanner.stats.settings import Settings
from scanner.stats.toy_values import observed_criterion

BACKGROUNDS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Effective backgrounds [events]: those of the counting experiments with the same information."""
SHAPES: Mapping[str, tuple[float, ...]] = {
    "flat": (1.0,),
    "linear": (1.0, -0.5),
    "exponential": (1.0, -1.19, 0.41),
}
"""Chebyshev coefficients over the window; the last are those of exp(−1.5 x) up to the second order."""
MULTIPLES = (0.6, 1.0, 1.7)
"""True yields, in units of −ln(1 − CL) + Φ⁻¹(CL)·√b, about the median limit."""
FIRST_TOYS, CLEAR = 100, 3.0
"""Toys to begin with, and the standard deviations from the level that make these enough."""
HALF_WIDTH, BINS, CORE = 10.0, 40, 2.0
"""Half-widths of window and core in resolutions, and bins of the window."""

Covers = Callable[[BinnedProblem, float, Settings], Floats]
"""Tells of every window (W,) whether its limit is at or above a yield: 1, 0, or NaN without a limit."""


def limits_cover(method: str) -> Covers:
    """Return the test by a method's limits; those of windows that `asymptotic` counts are not its own."""

    def covers(problem: BinnedProblem, signal_yield: float, settings: Settings) -> Floats:
        found = METHODS[method](problem, settings)
        foreign = (method == "asymptotic") & (found.method == COUNTING)
        limit = np.where(foreign, np.nan, found.yield_limit)
        return np.where(np.isnan(limit), np.nan, limit >= signal_yield)

    return covers


def toys_cover(problem: BinnedProblem, signal_yield: float, settings: Settings) -> Floats:
    """Tell by CLs at the yield alone: the limit of toys is above it where CLs is at least 1 − CL.

    A few toys are thrown first, and all of them where these are not clear.
    """
    values = np.full(problem.windows, np.nan)
    for w in range(problem.windows):
        window = LinearWindow(problem, w)
        if usable(window.status):
            values[w] = _above_level(window, signal_yield, settings)
    return np.where(np.isnan(values), np.nan, values >= 0.0)


def _above_level(window: LinearWindow, signal_yield: float, settings: Settings) -> float:
    """Return ln CLs less that of the level, from no more toys than its sign needs."""
    level = np.log1p(-settings.confidence_level)
    for count in (min(FIRST_TOYS, settings.toys), settings.toys):
        value, error = observed_criterion(window.sample(signal_yield, count), settings.criterion)
        if np.isnan(value) or abs(value - level) > CLEAR * error:
            break
    return float(value - level)


def automatic_cover(problem: BinnedProblem, signal_yield: float, settings: Settings) -> Floats:
    """Tell by the method that is chosen for each window."""
    limits, windows = auto.without_toys(problem, settings)
    limit = with_counting(problem, settings, limits).yield_limit
    found = np.where(np.isnan(limit), np.nan, limit >= signal_yield)
    by_toys = toys_cover(problem.select(windows), signal_yield, settings)
    found[windows] = np.where(np.isnan(by_toys), found[windows], by_toys)
    return found


COVERS: dict[str, Covers] = {
    "toys": toys_cover,
    "auto": automatic_cover,
    "bayesian": credible_limits_cover,
    "feldman_cousins": intervals_cover,
}
"""Tests that are cheaper than to set the limits of that method."""


@dataclass(frozen=True)
class Case:
    """One window whose truth is known."""

    signal: Floats
    """(B,) bin integrals of a unit yield."""
    terms: Floats
    """(K, B) bin integrals of the background's terms."""
    expectation: Floats
    """(B,) expected background events."""
    core: Floats
    """(B,) bins for counting."""

    def problem(self, signal_yield: float, experiments: int, key: int) -> BinnedProblem:
        """Throw experiments with a true yield [events]: they are the windows."""
        counts = poisson_toys(self.expectation + signal_yield * self.signal, key, 0, experiments)
        rows = (experiments, 1)
        return BinnedProblem(
            counts,
            np.tile(self.signal, rows),
            np.tile(self.terms, (*rows, 1)),
            np.tile(self.core, rows).astype(bool),
            keys=np.array([key_of("toys", key, i) for i in range(experiments)], dtype=np.uint64),
        )


def case(shape: str, effective_background: float) -> Case:
    """Return the window with a background of a shape of `SHAPES`, of that many effective events."""
    edges = np.linspace(-HALF_WIDTH, HALF_WIDTH, BINS + 1)
    signal = np.diff(ndtr(edges))
    x = edges / HALF_WIDTH
    coefficients = SHAPES[shape]
    rows = [np.diff(chebyshev.chebval(x, chebyshev.chebint(row))) for row in np.eye(len(coefficients))]
    terms: Floats = np.array(rows, dtype=np.float64)
    mean = np.array(coefficients) @ terms
    scale = effective_background * float(np.sum(signal * signal / mean))
    core = (edges[:-1] > -CORE - 1e-9) & (edges[1:] < CORE + 1e-9)
    return Case(signal, terms, scale * mean, core.astype(np.float64))


def true_yields(effective_background: float, confidence_level: float, multiples: Sequence[float]) -> Floats:
    """Return true yields around the median limit [events]."""
    spread = np.sqrt(effective_background) * float(ndtri(confidence_level))
    yields: Floats = np.asarray(multiples) * (spread - np.log1p(-confidence_level))
    return yields


def coverage_map(
    methods: Sequence[str],
    settings: Settings,
    *,
    experiments: int | Mapping[str, int],
    backgrounds: Sequence[float] = BACKGROUNDS,
    shapes: Sequence[str] = tuple(SHAPES),
    multiples: Sequence[float] = MULTIPLES,
    seed: int = 0,
) -> xr.Dataset:
    """Return the coverage of methods over backgrounds, shapes and true yields.

    Parameters
    ----------
    methods : sequence of str
        Keys of `scanner.stats.METHODS`.
    settings : Settings
        With the toys of each experiment, for methods that throw any.
    experiments : int or mapping of int
        Pseudo-experiments of a point, also by method: all methods have the same first ones.
    backgrounds : sequence of float
        Effective backgrounds [events].
    shapes : sequence of str
        Keys of `SHAPES`.
    multiples : sequence of float
        True yields in units of those of `true_yields`.
    seed : int

    Returns
    -------
    xarray.Dataset
        `covered` and `missing`, the numbers of experiments whose limit is at or above the true yield and
        that have no limit, (limit_method, shape, background, multiple); `coverage` of those with a limit, its
        binomial standard deviation `coverage_error`, and `signal_yield` (background, multiple).
    """
    yields = np.array([true_yields(b, settings.confidence_level, multiples) for b in backgrounds])
    sizes = [experiments if isinstance(experiments, int) else experiments[method] for method in methods]
    covered = np.zeros((len(methods), len(shapes), *yields.shape), dtype=np.int64)
    missing = np.zeros_like(covered)
    for s, shape in enumerate(shapes):
        for (b, m), signal_yield in np.ndenumerate(yields):
            key = key_of("coverage", seed, shape, str(backgrounds[b]), str(multiples[m]))
            problem = case(shape, backgrounds[b]).problem(float(signal_yield), max(sizes), key)
            for i, method in enumerate(methods):
                covers, first = COVERS.get(method, limits_cover(method)), np.arange(sizes[i])
                found = covers(problem.select(first), float(signal_yield), settings)
                covered[i, s, b, m], missing[i, s, b, m] = np.sum(found == 1.0), np.sum(np.isnan(found))
    coordinates: dict[str, Sequence[object]] = {
        "limit_method": list(methods),
        "shape": list(shapes),
        "background": list(backgrounds),
        "multiple": list(multiples),
    }
    return _dataset(coordinates, covered, missing, yields, np.array(sizes), settings)


def _dataset(
    coordinates: Mapping[str, Sequence[object]],
    covered: Floats,
    missing: Floats,
    yields: Floats,
    experiments: Floats,
    settings: Settings,
) -> xr.Dataset:
    told = experiments[:, None, None, None] - missing
    smooth = (covered + 1.0) / (told + 2.0)
    error = np.sqrt(smooth * (1.0 - smooth) / np.maximum(told, 1))
    axes = tuple(coordinates)
    with np.errstate(invalid="ignore"):
        part = covered / told
    variables = {
        "covered": (axes, covered, {"units": "1", "long_name": "experiments with a limit above the truth"}),
        "missing": (axes, missing, {"units": "1", "long_name": "experiments without a limit"}),
        "coverage": (axes, part, {"units": "1", "long_name": "coverage"}),
        "coverage_error": (axes, error, {"units": "1", "long_name": "binomial error of the coverage"}),
        "experiments": (axes[:1], experiments, {"units": "1", "long_name": "experiments of a point"}),
        "signal_yield": (axes[2:], yields, {"units": "1", "long_name": "true signal yield"}),
    }
    attributes = {
        "confidence_level": settings.confidence_level,
        "criterion": settings.criterion,
        "toys": settings.toys,
    }
    return xr.Dataset(variables, coordinates, attributes)
