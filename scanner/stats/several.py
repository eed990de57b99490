"""Limits of several experiments with one signal: fitted together, or counted each in its own core.

Few events are counted: the bins of an experiment's core are one count over what the bins beside it say of the
background, or a count each where an experiment is made of counts. Their likelihoods are averaged and limited
together as in `scanner.stats.joint_counts`, so that an experiment without sensitivity changes nothing. Toys
are thrown where the counts cannot be listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.counting import core as columns
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.combination import combine
from scanner.stats.asymptotic import asymptotic_limits_above
from scanner.stats.auto import UNASKED_TOYS, thresholds
from scanner.stats.counted import Counted, CountedLimits, counted_limits
from scanner.stats.counting import core_uncertainties, known_events, run_kernel, with_counting
from scanner.stats.joint_counts import JointCounts, counting_joint_limits
from scanner.stats.limits import COUNTING, Limits
from scanner.stats.settings import Settings
from scanner.stats.toys import with_toys

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NEGLIGIBLE = 1e-6
"""Part of the sensitivity Σ s²/b below which a count is left out: its background is not listed."""


@dataclass(frozen=True)
class Experiment:
    """One of several experiments.

    Attributes
    ----------
    problem : BinnedProblem
        Of W windows, with the signal of one event in all experiments.
    counts : bool
        Whether every bin of the core is an experiment of its own.
    """

    problem: BinnedProblem
    counts: bool

    def select(self, windows: NDArray[np.int64]) -> "Experiment":
        """Return the experiment of some windows only."""
        return Experiment(self.problem.select(windows), self.counts)

    def cores(self) -> list[Flags]:
        """Return the bins (W, B) of each count."""
        core = self.problem.core_bins() & (self.problem.signal != 0.0)
        if not self.counts:
            return [core]
        bins = np.arange(core.shape[1])
        return [core & (bins == one) for one in bins[core.any(axis=0)]]


def several_limits(experiments: Sequence[Experiment], settings: Settings) -> Limits:
    """Return asymptotic limits of experiments together where they have many events, and counts elsewhere.

    Parameters
    ----------
    experiments : sequence of Experiment
        Of the same W windows.
    """
    together = combine([one.problem for one in experiments])
    limits = asymptotic_limits_above(together, settings, thresholds(together))
    few = np.flatnonzero(~np.isfinite(limits.yield_limit))
    if few.size == 0:
        return limits
    part = [one.select(few) for one in experiments]
    limits = _with_counts(limits, few, joint_counts(part, together.select(few)), settings)
    left = np.flatnonzero(~np.isfinite(limits.yield_limit))
    asked = settings if settings.toys > 0 else replace(settings, toys=UNASKED_TOYS)
    return with_counting(together, settings, with_toys(together, asked, limits, left))


def _with_counts(limits: Limits, few: NDArray[np.int64], counts: JointCounts, settings: Settings) -> Limits:
    known = np.flatnonzero(np.all(np.isfinite(counts.gamma[0]), axis=1))
    found, rows = _counting_limits(counts.select(known), settings), few[known]
    sound = np.isfinite(found.yield_limit)
    new = {name: getattr(limits, name).copy() for name in ("yield_limit", "expected", "p_local", "z_local")}
    for name, values in new.items():
        values[rows[sound]] = getattr(found, name)[sound]
    method = limits.method.copy()
    method[rows[sound]] = COUNTING
    return replace(limits, **new, method=method)


def _counting_limits(counts: JointCounts, settings: Settings) -> CountedLimits:
    """Return limits without approximation; those of a single count take any number of events."""
    if len(counts.channels) > 1:
        return counting_joint_limits(counts, settings)
    found, share = counted_limits(counts.channels[0], settings, "counting"), counts.shares[:, 0]
    return replace(found, yield_limit=found.yield_limit / share, expected=found.expected / share[:, None])


def joint_counts(experiments: Sequence[Experiment], together: BinnedProblem) -> JointCounts:
    """Return the counts in the cores of experiments; NaN backgrounds where one has no estimate."""
    efficiency = np.expm1(core_uncertainties(together)[0])
    found = [_counted(one, core, efficiency) for one in experiments for core in one.cores()]
    shares = np.stack([share for _, share in found], axis=1)
    counts = JointCounts([counted for counted, _ in found], shares, efficiency, together.keys)
    with np.errstate(divide="ignore", invalid="ignore"):
        tells = shares**2 / np.maximum(counts.gamma[0], 1e-300)
    kept = tells > NEGLIGIBLE * np.nansum(tells, axis=1, keepdims=True)
    return replace(counts, shares=np.where(kept | np.isnan(tells), shares, 0.0))


def _counted(one: Experiment, core: Flags, efficiency: Floats) -> tuple[Counted, Floats]:
    """Return what the bins of a core count, and the part of the signal in them, (W,)."""
    problem = replace(one.problem, core=core)
    share = (problem.signal * core).sum(axis=1)
    extra = core_uncertainties(problem)[1]
    rows, _ = run_kernel(problem, 0.5, extra, known_events(problem))
    off, tau = (
        _off_regions(problem, core) if one.counts else (np.full(len(share), -1.0), np.zeros(len(share)))
    )
    on = share > 0.0
    return Counted(
        np.where(on, rows[:, columns.OBSERVED], 0.0).astype(np.int64),
        np.where(on, rows[:, columns.BACKGROUND], 0.0),
        np.where(on, np.sqrt(rows[:, columns.VARIANCE]), 0.0),
        np.where(on, off, -1.0),
        np.where(on, tau, 0.0),
        efficiency,
    ), share


def _nowhere(problem: BinnedProblem) -> tuple[Floats, Floats]:
    return np.full(problem.windows, -1.0), np.zeros(problem.windows)


def _off_regions(problem: BinnedProblem, core: Flags) -> tuple[Floats, Floats]:
    """Return the events of the off regions of single bins, and their ratios to the background there, (W,).

    −1 and 0 where no background term reaches the bin.
    """
    if problem.background.shape[1] == 0:
        return _nowhere(problem)
    inside = (problem.background * core[:, None]).sum(axis=2)
    term = np.argmax(inside > 0.0, axis=1)
    own = np.take_along_axis(problem.background, term[:, None, None], axis=1)[:, 0]
    there = np.take_along_axis(inside, term[:, None], axis=1)[:, 0]
    beside = np.where(core, 0.0, own)
    off, ratio = (problem.counts * (beside > 0.0)).sum(axis=1), beside.sum(axis=1)
    known = there > 0.0
    tau = np.divide(ratio, there, out=np.zeros_like(ratio), where=known)
    return np.where(known, off, -1.0), tau
