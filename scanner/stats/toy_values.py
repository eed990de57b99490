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

    The p-th quantile of the CLs of the toys without signal is that of the toy which a part p of them
    has no smaller q̃_μ than, since CLs falls with q̃_μ. Without a toy as extreme, CLs is 1.
    """
    background = ordered(sample.background)
    count = background.size
    places = count - np.maximum(np.ceil(np.array(QUANTILES) * count).astype(np.int64), 1)
    q = np.array([sample.observed, *background[places]])
    both = extreme(np.concatenate([sample.signal, sample.background, sample.guide]))
    order = np.argsort(both, kind="stable")
    first = np.searchsorted(both[order], least_extreme(q))
    with_signal, without = weights(sample)
    p_signal = np.where(least_extreme(q) < 0.0, 1.0, _sums_from(with_signal[order], first))
    p_background = np.ones(CURVES)
    if criterion == "cls":
        p_background = np.where(least_extreme(q) < 0.0, 1.0, _sums_from(without[order], first))
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = np.where(p_background > 0.0, np.log(p_signal / p_background), 0.0)
    values[np.isnan(q)] = np.nan
    return values


def _sums_from(values: Floats, first: NDArray[np.int64]) -> Floats:
    sums: Floats = np.append(np.cumsum(values[::-1])[::-1], 0.0)[first]
    return sums


def observed_criterion(sample: Sample, criterion: str) -> tuple[float, float]:
    """Return ln CLs (or ln CLs+b) of the data, and its standard deviation: ∞ without a toy as extreme."""
    value = float(log_criteria(sample, criterion)[0])
    if np.isnan(value) or float(least_extreme(np.array([sample.observed]))[0]) < 0.0:
        return value, 0.0 if np.isfinite(value) else np.nan
    sizes = np.cumsum([sample.signal.size, sample.background.size])
    q = extreme(np.concatenate([sample.signal, sample.background, sample.guide]))
    chosen = q >= least_extreme(np.array([sample.observed]))[0]
    parts = [np.where(chosen, weight, 0.0) for weight in weights(sample)]
    if parts[0].sum() == 0.0 or parts[1].sum() == 0.0:
        return value, np.inf
    relative = parts[0] / parts[0].sum()
    if criterion == "cls":
        relative = relative - parts[1] / parts[1].sum()
    variance = sum(part.size * float(np.var(part)) for part in np.split(relative, sizes) if part.size)
    return value, float(np.sqrt(variance))


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
