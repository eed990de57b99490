"""Limits of windows that count events in several channels with one signal, each over a sideband of its own.

Channel c sees n ~ Poisson(f s + b) events, f of a signal of one event, and its off region m ~ Poisson(τ b).
Few events are treated without approximation: each background is averaged over its Gamma distribution, and
the limit is where the tail of the likelihood of s, of unit integral over s ≥ 0, is 1 − CL. For one channel
that is its CLs limit (Zhukov, Bonesini, hep-ex/9902006), and with a flat prior of the yield it is Bayesian.
Many events are fitted: every n and m is a bin, and every background a free term of its own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.kernels.counting import joint
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats.asymptotic import asymptotic_limits
from scanner.stats.auto import THRESHOLD
from scanner.stats.counted import Counted, CountedLimits
from scanner.stats.counting import NODES, WEIGHTS
from scanner.stats.limits import BAYESIAN, COUNTING, NO_LIMIT, Limits
from scanner.stats.neyman import feldman_cousins_limits
from scanner.stats.posterior import bayesian_limits
from scanner.stats.settings import Settings
from scanner.stats.toys import toy_limits

FitMethod = Callable[[BinnedProblem, Settings], Limits]
JointMethod = Callable[["JointCounts", Settings], CountedLimits]

MOST = 30.0
"""Background of all channels up to which outcomes are listed for the expected limits."""


@dataclass(frozen=True)
class JointCounts:
    """W sets of C counts.

    Attributes
    ----------
    channels : sequence of C Counted
        Each with W experiments. Their errors of the efficiency are not used.
    shares : (W, C) float
        Events in each window of a signal of one event; 0 leaves a channel out.
    efficiency_error : (W,) float
        Relative error of the efficiency of all channels, log-normal.
    keys : (W,) uint64
        What names the windows, for the random numbers of toys.
    """

    channels: Sequence[Counted]
    shares: Floats
    efficiency_error: Floats
    keys: NDArray[np.uint64]

    @property
    def observed(self) -> NDArray[np.int64]:
        """Counts (W, C)."""
        return np.stack([channel.observed for channel in self.channels], axis=1)

    @property
    def gamma(self) -> tuple[Floats, Floats]:
        """Means of the backgrounds' Gamma distributions, and their variances over the means, (W, C) each."""
        each = [channel.gamma for channel in self.channels]
        return np.stack([mean for mean, _ in each], axis=1), np.stack([over for _, over in each], axis=1)

    @property
    def auxiliary(self) -> tuple[Floats, Floats]:
        """Events of the off regions and their ratios τ, (W, C) each; τ = 0 where a background is known.

        A background of a stated error is an off region of the same relative error.
        """
        off, tau = np.zeros((2, *self.shares.shape))
        for c, channel in enumerate(self.channels):
            beside, uncertain = channel.off >= 0.0, (channel.off < 0.0) & (channel.error > 0.0)
            error = np.where(uncertain, channel.error, 1.0)
            off[:, c] = np.where(
                beside, channel.off, np.where(uncertain, (channel.background / error) ** 2, 0.0)
            )
            tau[:, c] = np.where(beside, channel.tau, np.where(uncertain, channel.background / error**2, 0.0))
        return off, tau

    def select(self, windows: NDArray[np.int64]) -> "JointCounts":
        """Return some of the sets."""
        channels = [Counted.from_table(channel.table()[windows]) for channel in self.channels]
        return JointCounts(channels, self.shares[windows], self.efficiency_error[windows], self.keys[windows])


def joint_limits(counts: JointCounts, settings: Settings, method: str) -> CountedLimits:
    """Set the limits of all sets by a method of `JOINT_METHODS`."""
    return JOINT_METHODS[method](counts, settings)


def few(counts: JointCounts) -> NDArray[np.bool_]:
    """Tell which sets have too few events to be fitted, (W,).

    They have an effective background 1/Σ(p²/b), p the channel's part of the signal, below THRESHOLD, and
    no more events than can be listed.
    """
    mean = counts.gamma[0]
    total = counts.shares.sum(axis=1, keepdims=True)
    parts = np.divide(counts.shares, total, out=np.zeros_like(mean), where=total > 0.0)
    with np.errstate(divide="ignore"):
        effective = 1.0 / np.sum(parts**2 / np.maximum(mean, 1e-300), axis=1)
    return np.asarray((effective < THRESHOLD) & listed(counts))


def listed(counts: JointCounts) -> NDArray[np.bool_]:
    """Tell which sets have few enough events for limits without approximation, (W,)."""
    on = counts.shares > 0.0
    background = np.sum(counts.gamma[0] * on, axis=1)
    return np.asarray((background <= MOST) & (np.sum(counts.observed * on, axis=1) <= joint.LARGEST))


def automatic_joint_limits(counts: JointCounts, settings: Settings) -> CountedLimits:
    """Return limits without approximation of few events, and asymptotic ones of many."""
    chosen = few(counts) if settings.criterion == "cls" else np.zeros(len(counts.shares), dtype=np.bool_)
    return _with_fits(asymptotic_limits, counts, settings, _listed(counts, settings, chosen), ~chosen)


def counting_joint_limits(counts: JointCounts, settings: Settings) -> CountedLimits:
    """Return limits without approximation; none of more events than can be listed."""
    return _listed(counts, settings, listed(counts))


def bayesian_joint_limits(counts: JointCounts, settings: Settings) -> CountedLimits:
    """Return Bayesian limits: those of `counting_joint_limits` where they are for a flat prior.

    An efficiency κ^z adds a factor κ^−z to the average, which multiplies the limit by exp(ln²κ).
    """
    chosen = listed(counts)
    if settings.prior != "flat in yield":
        chosen = np.zeros_like(chosen)
    exact = _listed(counts, settings, chosen)
    shift = np.exp(np.log1p(counts.efficiency_error) ** 2)
    code = np.where(exact.method == COUNTING, BAYESIAN, exact.method).astype(np.uint8)
    scaled = CountedLimits(
        shift * exact.yield_limit, shift[:, None] * exact.expected, exact.yield_lower, exact.p_local,
        exact.z_local, code,
    )  # fmt: skip
    return _with_fits(bayesian_limits, counts, settings, scaled, ~chosen)


def _listed(counts: JointCounts, settings: Settings, chosen: NDArray[np.bool_]) -> CountedLimits:
    """Return the limits of some sets from all their outcomes, NaN of the others."""
    windows = len(counts.shares)
    rows = np.full((windows, joint.EXPECTED_LIMITS + len(QUANTILES)), np.nan)
    number = np.flatnonzero(chosen)
    found = np.empty((number.size, rows.shape[1]))
    mean, over = counts.gamma
    joint.limit_joint_counts(
        counts.observed[number],
        mean[number],
        over[number],
        counts.shares[number],
        np.log1p(counts.efficiency_error[number]),
        NODES,
        WEIGHTS,
        np.array(QUANTILES),
        math.log1p(-settings.confidence_level),
        found,
    )
    rows[number] = found
    limit = rows[:, joint.LIMIT].copy()
    return CountedLimits(
        limit,
        rows[:, joint.EXPECTED_LIMITS :].copy(),
        np.where(np.isfinite(limit), 0.0, np.nan),
        rows[:, joint.LOCAL_P].copy(),
        rows[:, joint.LOCAL_Z].copy(),
        np.where(np.isfinite(limit), COUNTING, NO_LIMIT).astype(np.uint8),
    )


def _fitted(method: FitMethod) -> JointMethod:
    """Make a method of likelihoods one of counts."""
    return lambda counts, settings: _of_fits(method, counts, settings)


def _of_fits(method: FitMethod, counts: JointCounts, settings: Settings) -> CountedLimits:
    found = method(joint_problem(counts), settings)
    return CountedLimits(
        found.yield_limit, found.expected, found.yield_lower, found.p_local, found.z_local, found.method
    )


def _with_fits(
    method: FitMethod, counts: JointCounts, settings: Settings, known: CountedLimits, rows: NDArray[np.bool_]
) -> CountedLimits:
    """Return limits with those of some sets from fits."""
    if not rows.any():
        return known
    fitted = _of_fits(method, counts.select(np.flatnonzero(rows)), settings)
    columns = []
    for column in fields(CountedLimits):
        values = getattr(known, column.name).copy()
        values[rows] = getattr(fitted, column.name)
        columns.append(values)
    return CountedLimits(*columns)


def joint_problem(counts: JointCounts) -> BinnedProblem:
    """Return the likelihood of all counts: a bin for each window and for each off region.

    Backgrounds with an off region are free terms, and known ones are fixed samples.
    """
    off, tau = counts.auxiliary
    windows, channels = counts.shares.shape
    nothing = np.zeros((windows, channels))
    free = (tau > 0.0) & (counts.shares > 0.0)
    observed = np.where(counts.shares > 0.0, counts.observed, 0)
    background = np.zeros((windows, channels, 2 * channels))
    number = np.cumsum(free, axis=1) - 1
    w, c = np.nonzero(free)
    background[w, number[w, c], c] = 1.0
    background[w, number[w, c], channels + c] = tau[w, c]
    return BinnedProblem(
        np.concatenate([observed, np.where(free, off, 0.0)], axis=1),
        np.concatenate([counts.shares, nothing], axis=1),
        background,
        core=np.concatenate([counts.shares > 0.0, nothing > 0.0], axis=1),
        terms=free.sum(axis=1),
        nuisances=_nuisances(counts, free),
        keys=counts.keys,
    )


def _nuisances(counts: JointCounts, free: NDArray[np.bool_]) -> Nuisances | None:
    """Return the nuisance of the efficiency, and the backgrounds that are known as fixed samples."""
    windows, channels = free.shape
    mean = np.where(free | (counts.shares <= 0.0), 0.0, counts.gamma[0])
    spread = np.log1p(counts.efficiency_error)
    if not (mean.any() or spread.any()):
        return None
    fixed = np.concatenate([mean, np.zeros_like(mean)], axis=1)[:, None]
    norm = np.zeros((windows, 1, 2 + channels, 2))
    norm[:, 0, 0] = np.stack([-spread, spread], axis=1)
    nowhere = np.empty(0, dtype=np.int64)
    return Nuisances(("efficiency",), norm, np.zeros((windows, 0, 2, 2 * channels)), nowhere, nowhere, fixed)


JOINT_METHODS: dict[str, JointMethod] = {
    "auto": automatic_joint_limits,
    "counting": counting_joint_limits,
    "asymptotic": _fitted(asymptotic_limits),
    "bayesian": bayesian_joint_limits,
    "toys": _fitted(toy_limits),
    "feldman_cousins": _fitted(feldman_cousins_limits),
}
"""Methods of limits of several counts together, by name."""
SAMPLING = ("toys", "feldman_cousins", "bayesian")
"""Those whose limits may follow from random numbers."""
