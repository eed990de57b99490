"""Asymptotic limits whose likelihood is the envelope over background orders.

The order is a discrete nuisance: Λ(s) = min over orders of [2NLL(s) + 1 a free background term], every
order refitted at every s (Dauncey, Kenzie, Wardle, Davies, JINST 10 (2015) P04015, arXiv:1408.6865).
The test statistic q̃_s of arXiv:1007.1727, eq. 16, is taken from Λ, for the data and for the Asimov set
of the best background-only order alike, so that limit, bands and significance include the choice.
An envelope of parabolas need not rise steadily: limits are the largest yield that is not excluded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from scanner.kernels.constrained.batch import NLL
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.constrained import asimov, fit_constrained
from scanner.likelihoods.fit import fit
from scanner.stats import order
from scanner.stats.asymptotic import gaussian_limits
from scanner.stats.limits import ASYMPTOTIC, NO_LIMIT, Limits
from scanner.stats.settings import Settings

GRID = 24
"""Yields between the best one and beyond the limit, at which crossings are looked for."""
DOUBLINGS = 12
STEPS = 40
CLOSE = 1e-9
"""Relative width of a bracket that ends the search for a crossing."""

Curve = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Envelope:
    """Λ of W windows: the least corrected 2NLL over the orders.

    Attributes
    ----------
    orders : callable
        From yields (W,) to the corrected 2NLL of every order, (C, W); infinite where an order has no fit.
    best : (W,) float
        Yield at the global minimum.
    minimum : (W,) float
        Λ there.
    error : (W,) float
        Error of the yield by the Hessian of the order at the minimum.
    """

    orders: Curve
    best: Floats
    minimum: Floats
    error: Floats

    @classmethod
    def of(cls, problem: BinnedProblem, penalty: float = order.PENALTY) -> "Envelope":
        """Fit every order of a problem with a free yield."""
        candidates = order.truncations(problem)
        fits = [fit(candidate) for candidate in candidates]
        twice = np.array([2.0 * found.nll for found in fits])
        values = order.penalised(candidates, np.where(np.isnan(twice), np.inf, twice), penalty)
        yields, errors = np.array([f.yields for f in fits]), np.array([f.errors for f in fits])

        def orders(held: Floats) -> Floats:
            return order.penalised(candidates, order.deviances(candidates, held), penalty)

        return cls.least(orders, yields, errors, values)

    @classmethod
    def least(cls, orders: Curve, yields: Floats, errors: Floats, values: Floats) -> "Envelope":
        """Return the envelope of orders with their best yields, errors of these, and values there, (C, W)."""
        lowest = np.argmin(values, axis=0), np.arange(values.shape[1])
        return cls(orders, yields[lowest], values[lowest], errors[lowest])

    def at(self, yields: Floats) -> Floats:
        """Return Λ at given yields, (W,); infinite where no order has a fit."""
        lowest: Floats = self.orders(yields).min(axis=0)
        return lowest

    def q_tilde(self, yields: Floats) -> Floats:
        """Return q̃ of given yields, (W,) (arXiv:1007.1727, eq. 16)."""
        rise = np.maximum(self.at(yields) - self._reference, 0.0)
        q: Floats = np.where(self.best > yields, 0.0, rise)
        return q

    @cached_property
    def _reference(self) -> Floats:
        """Λ of the best yield from 0 on, (W,)."""
        return np.where(self.best < 0.0, self.at(np.zeros_like(self.best)), self.minimum)


def with_envelope(problem: BinnedProblem, settings: Settings, limits: Limits) -> Limits:
    """Return `limits` with the asymptotic ones replaced by those of the envelope.

    Parameters
    ----------
    problem : BinnedProblem
        Windows with the highest order.
    settings : Settings
    limits : Limits
        Limits at the order that `scanner.stats.order.discrete_profile` chose, by any method.
    """
    chosen = np.flatnonzero(limits.method == ASYMPTOTIC)
    if chosen.size == 0:
        return limits
    return merged(limits, chosen, envelope_limits(problem.select(chosen), settings))


def merged(limits: Limits, chosen: NDArray[np.int64], found: Mapping[str, Floats]) -> Limits:
    """Return `limits` with what was found for the chosen windows."""
    columns = {name: getattr(limits, name).copy() for name in found}
    for name, values in found.items():
        columns[name][chosen] = values
    method = limits.method.copy()
    method[chosen[~np.isfinite(found["yield_limit"])]] = NO_LIMIT
    return replace(limits, **columns, method=method)


def with_fitted_envelope(problem: BinnedProblem, limits: Limits) -> Limits:
    """Return `limits` with yield and error of the envelope in every window that has a fit."""
    data = Envelope.of(problem)
    sound = np.isfinite(limits.signal_yield) & np.isfinite(data.minimum)
    return replace(
        limits,
        signal_yield=np.where(sound, data.best, limits.signal_yield),
        signal_yield_error=np.where(sound, half_width(data), limits.signal_yield_error),
    )


def envelope_limits(problem: BinnedProblem, settings: Settings) -> dict[str, Floats]:
    """Return limits, bands, yield with its error, and significance of the envelope, by names of `Limits`."""
    return limits_of(Envelope.of(problem), Envelope.of(asimov_problem(problem)), settings)


def limits_of(data: Envelope, expected_data: Envelope, settings: Settings) -> dict[str, Floats]:
    """Return the same from the envelopes of data and Asimov set.

    The error is half the distance of the yields at which Λ is 1 above its minimum.
    """
    q0 = np.where(data.best > 0.0, data.at(np.zeros_like(data.best)) - data.minimum, 0.0)
    z = np.sqrt(np.maximum(q0, 0.0))
    observed, expected = crossing_limits(data, expected_data, settings)
    return {
        "yield_limit": observed,
        "expected": expected,
        "signal_yield": data.best,
        "signal_yield_error": half_width(data),
        "p_local": ndtr(-z),
        "z_local": z,
    }


def asimov_problem(problem: BinnedProblem) -> BinnedProblem:
    """Return the Asimov data of the best order of the background without signal."""
    candidates = order.truncations(problem)
    nothing = np.zeros(problem.windows)
    fits = [fit_constrained(candidate, nothing) for candidate in candidates]
    twice = np.array([2.0 * found.numbers[:, NLL] for found in fits])
    values = order.penalised(candidates, np.where(np.isnan(twice), np.inf, twice))
    best = np.argmin(values, axis=0), np.arange(problem.windows)
    data = [asimov(candidate, found) for candidate, found in zip(candidates, fits, strict=True)]
    counts = np.array([one.counts for one in data])[best]
    effects = [one.nuisances for one in data if one.nuisances is not None]
    if problem.nuisances is None:
        return replace(problem, counts=counts)
    observed, measured = (
        np.array([getattr(one, name) for one in effects])[best] for name in ("observed", "measured")
    )
    return replace(
        problem, counts=counts, nuisances=replace(problem.nuisances, observed=observed, measured=measured)
    )


def log_cls(q: Floats, q_asimov: Floats, criterion: str = "cls") -> Floats:
    """Return ln CLs, or ln CLs+b, of q̃ and q_A (arXiv:1007.1727, eqs. 59, 65 and 66)."""
    a = np.sqrt(q_asimov)
    safe = np.where(a > 0.0, a, 1.0)
    near = q <= q_asimov
    x = np.where(near, np.sqrt(q), 0.5 * (q / safe + a))
    y = np.where(near, np.sqrt(q) - a, 0.5 * (q / safe - a))
    signal = log_ndtr(-x)
    value: Floats = np.where(a > 0.0, signal - (log_ndtr(-y) if criterion == "cls" else 0.0), 0.0)
    return value


class Deviance(Protocol):
    """Twice the NLL of W windows as a function of the yield, whatever it is profiled over."""

    @property
    def best(self) -> Floats:
        """(W,) yield at the minimum."""

    @property
    def minimum(self) -> Floats:
        """(W,) value there."""

    @property
    def error(self) -> Floats:
        """(W,) scale on which it rises."""

    def at(self, yields: Floats) -> Floats:
        """Return the values at yields (W,)."""

    def q_tilde(self, yields: Floats) -> Floats:
        """Return q̃ of yields (W,)."""


def crossing_limits(
    data: Deviance, asimov: Deviance, settings: Settings, points: int = GRID, close: float = CLOSE
) -> tuple[Floats, Floats]:
    """Return the observed limit (W,) and the expected ones (W, 5): the last crossings of CLs and √q_A."""
    log_alpha = np.log1p(-settings.confidence_level)

    def excess(s: Floats) -> Floats:
        return -log_cls(data.q_tilde(s), asimov.q_tilde(s), settings.criterion)

    def root(s: Floats) -> Floats:
        return np.sqrt(asimov.q_tilde(s))

    start = np.maximum(data.best, 0.0)
    (observed,) = last_crossings(excess, (-log_alpha,), start, start + 3.0 * data.error, points, close)
    targets = gaussian_limits(settings.confidence_level)
    bands = last_crossings(root, tuple(targets), np.zeros_like(start), 4.0 * asimov.error, points, close)
    return observed, np.stack(bands, axis=1)


def half_width(data: Deviance, close: float = CLOSE) -> Floats:
    """Return half the width of the region where Λ is within 1 of its minimum; its upper half at an edge."""

    def above(distance: Floats) -> Floats:
        return data.at(data.best + distance) - data.minimum

    def below(distance: Floats) -> Floats:
        return data.at(data.best - distance) - data.minimum

    nothing = np.zeros_like(data.best)
    (up,), (down,) = (
        last_crossings(curve, (1.0,), nothing, 1.5 * data.error, 10, close) for curve in (above, below)
    )
    error: Floats = np.where(np.isfinite(down), 0.5 * (up + down), up)
    return error


def last_crossings(
    curve: Curve,
    levels: Sequence[float],
    start: Floats,
    stop: Floats,
    points: int = GRID,
    close: float = CLOSE,
) -> list[Floats]:
    """Return the largest arguments at which a curve rises through each of some levels.

    Parameters
    ----------
    curve : callable
        (W,) to (W,); each value depends on its own window alone.
    levels : sequence of float
    start, stop : (W,) float
        Where to look; `stop` moves on, doubling the distance, until the curve is above the levels there.
    points : int
        Arguments from start to stop between which crossings are looked for.
    close : float
        Relative width of a bracket that ends the search.

    Returns
    -------
    list of (W,) float
        One a level; NaN where the curve does not rise through it.
    """
    stop, reach = _beyond(curve, max(levels), start, stop)
    arguments = np.linspace(0.0, 1.0, points)[:, None] * (stop - start) + start
    arguments[-1] = stop
    values = np.array([curve(x) for x in arguments[:-1]] + [reach])
    return [_last_crossing(curve, level, arguments, values, close) for level in levels]


def _beyond(curve: Curve, level: float, start: Floats, stop: Floats) -> tuple[Floats, Floats]:
    reach = curve(stop)
    for _ in range(DOUBLINGS):
        short = ~(reach > level)
        if not short.any():
            break
        stop = np.where(short, start + 2.0 * (stop - start), stop)
        reach = np.where(short, curve(stop), reach)
    return stop, reach


def _last_crossing(curve: Curve, level: float, arguments: Floats, values: Floats, close: float) -> Floats:
    """Find the last pair of neighbouring arguments that encloses the level, and close it."""
    below = values[:-1] < level
    last = len(below) - 1 - np.argmax(below[::-1], axis=0)
    columns = np.arange(arguments.shape[1])
    ends = (arguments[last, columns], arguments[last + 1, columns])
    heights = (values[last, columns] - level, values[last + 1, columns] - level)
    found = below.any(axis=0) & (values[-1] > level)
    return np.where(found, _refine(lambda x: curve(x) - level, *ends, *heights, close), np.nan)


def _refine(curve: Curve, low: Floats, high: Floats, f_low: Floats, f_high: Floats, close: float) -> Floats:
    """Close brackets by the Illinois method; a window's bracket moves by its own values alone."""
    side = np.zeros(low.size)
    for _ in range(STEPS):
        active = (np.abs(high - low) > close * np.abs(high)) & (f_low < 0.0) & (f_high > 0.0)
        if not active.any():
            break
        with np.errstate(invalid="ignore", divide="ignore"):
            point = high - f_high * (high - low) / (f_high - f_low)
        inside = (point > low) & (point < high) & np.isfinite(point)
        point = np.where(inside, point, 0.5 * (low + high))
        value = curve(np.where(active, point, high))
        lower, upper = active & (value < 0.0), active & ~(value < 0.0)
        f_high = np.where(lower & (side < 0), 0.5 * f_high, f_high)
        f_low = np.where(upper & (side > 0), 0.5 * f_low, f_low)
        low, f_low = np.where(lower, point, low), np.where(lower, value, f_low)
        high, f_high = np.where(upper, point, high), np.where(upper, value, f_high)
        side = np.where(lower, -1.0, np.where(upper, 1.0, side))
    return high
