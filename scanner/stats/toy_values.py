"""CLs and CLs+b of tested toys, with the error that their number leaves.

The probabilities of both hypotheses are estimated from the toys of all truths that were thrown, each
weighted by its probability under one over that under their mixture (the balance heuristic, Veach and Guibas,
SIGGRAPH 95, eq. 12). A toy without signal counts a little as one with it; and where the data are a deficit,
rare under both, toys of the data's own best fit tell of a tail that no other toy reaches.
"""

import numpy as np
from numpy.typing import NDArray

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import Floats
from scanner.stats.pseudo import Sample

CURVES = 1 + len(QUANTILES)
ROUNDING = 1e-9
"""Relative error that a sum of weights may have: a probability of just a quantile reaches it."""
TIE = 1e-6
"""Relative difference within which two values of q̃_μ are one: counts are discrete, fits are rounded."""


def weights(sample: Sample) -> tuple[Floats, Floats]:
    """Return the weights (T,) of all toys, with signal, without and guides, that sum to probabilities.

    Their sums over the toys that are extreme are P(extreme | with signal) and P(extreme | without).
    """
    signal = np.concatenate([sample.signal_log_ratio, sample.background_log_ratio, sample.guide_log_ratio])
    mixture = np.logaddexp(np.log(sample.signal.size) + signal, np.log(sample.background.size))
    if sample.guide.size:
        mixture = np.logaddexp(mixture, np.log(sample.guide.size) + np.concatenate(sample.guidance))
    return np.exp(signal - mixture), np.exp(-mixture)


def log_criteria(sample: Sample, criterion: str) -> Floats:
    """Return ln CLs (or ln CLs+b) of the data and of the quantiles, (6,).

    CLs falls with q̃_μ: its p-quantile without signal is that of the largest q̃_μ which such toys reach or
    exceed with a probability of p, and 1 where they do not reach any but 0. All toys tell of that
    probability, so that those with signal make the quantiles of large excesses sharper.
    """
    with_signal, without = weights(sample)
    both = extreme(np.concatenate([sample.signal, sample.background, sample.guide]))
    order = np.argsort(both, kind="stable")
    rising = both[order]
    p_signal, p_background = (_sums_from(each[order]) for each in (with_signal, without))
    q = np.append(sample.observed, _quantiles(rising, p_background / p_background[0]))
    least = least_extreme(q)
    first = np.searchsorted(rising, least)
    signal, background = (np.where(least < 0.0, 1.0, each[first]) for each in (p_signal, p_background))
    if criterion != "cls":
        background = np.ones(CURVES)
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = np.where(background > 0.0, np.log(signal / background), 0.0)
    values[np.isnan(q)] = np.nan
    return values


def _quantiles(rising: Floats, p_background: Floats) -> Floats:
    """Return the largest q̃ that toys without signal reach with the probability of each quantile, (5,)."""
    reached = np.searchsorted(-p_background, -np.array(QUANTILES) * (1.0 - ROUNDING), side="right") - 1
    return np.where(reached < 0, 0.0, rising[np.maximum(reached, 0)])


def _sums_from(values: Floats) -> Floats:
    """Return the sums from each place to the end, (T + 1,)."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def observed_criterion(sample: Sample, criterion: str) -> tuple[float, float]:
    """Return ln CLs (or ln CLs+b) of the data, and its standard deviation: ∞ without a toy as extreme."""
    value = float(log_criteria(sample, criterion)[0])
    if np.isnan(value) or float(least_extreme(np.array([sample.observed]))[0]) < 0.0:
        return value, 0.0 if np.isfinite(value) else np.nan
    sizes = np.cumsum([sample.signal.size, sample.background.size])
    parts = [np.where(_chosen(sample), weight, 0.0) for weight in weights(sample)]
    if parts[0].sum() == 0.0 or parts[1].sum() == 0.0:
        return value, np.inf
    relative = parts[0] / parts[0].sum()
    if criterion == "cls":
        relative = relative - parts[1] / parts[1].sum()
    variance = sum(part.size * float(np.var(part)) for part in np.split(relative, sizes) if part.size)
    return value, float(np.sqrt(variance))


def plain_error(sample: Sample, toys: int, criterion: str) -> float:
    """Return what `observed_criterion` would be off by if `toys` of each hypothesis told of it alone.

    That is the error of two binomial parts; ∞ without a toy as extreme.
    """
    p = np.array([weight[_chosen(sample)].sum() for weight in weights(sample)])
    with np.errstate(divide="ignore"):
        variances = np.maximum(1.0 - p, 0.0) / p / toys
    return float(np.sqrt(variances[0] + (variances[1] if criterion == "cls" else 0.0)))


def _chosen(sample: Sample) -> NDArray[np.bool_]:
    """Return which toys, with signal, without and guides, are at least as extreme as the data."""
    q = extreme(np.concatenate([sample.signal, sample.background, sample.guide]))
    chosen: NDArray[np.bool_] = q >= least_extreme(np.array([sample.observed]))[0]
    return chosen


def failures(sample: Sample) -> int:
    """Count the toys with a fit that failed."""
    return int(sum(np.isnan(q).sum() for q in (sample.signal, sample.background, sample.guide)))


def extreme(q: Floats) -> Floats:
    """Return q̃ with failed toys as the most extreme."""
    return np.where(np.isnan(q), np.inf, q)


def ordered(q: Floats) -> Floats:
    """Return q̃ in rising order, failed toys last."""
    return np.sort(extreme(q))


def least_extreme(q: Floats) -> Floats:
    """Return the smallest value that is as extreme as q̃."""
    limit: Floats = q - TIE * (1.0 + np.where(np.isfinite(q), q, 0.0))
    return limit


def tail(rising: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Return P(≥ q) = (k+1)/(N+1) of toys in rising order, and the relative variance of k."""
    k: NDArray[np.int64] = rising.size - np.searchsorted(rising, least_extreme(q))
    p: Floats = np.asarray((k + 1.0) / (rising.size + 1.0))
    return p, (1.0 - p) / (k + 1.0)
