"""How often limits and intervals contain the injected yield."""

from collections.abc import Mapping

import numpy as np
from scipy.special import betaincinv

from scanner.studies.bench import Bench, Floats
from scanner.studies.cases import Cases, Variables, thrown

CONTENT = 0.6826894921370859
"""Confidence level of the binomial errors."""


def measure(bench: Bench, cases: Cases, toy: int, method: str) -> Variables:
    """Set the limits of one toy at every injected strength; the results of toys add up, (W, I)."""
    found = [bench.limits(counts, method, toy) for counts in thrown(bench, cases, toy)]
    high = np.stack([limits.yield_limit for limits in found], axis=1)
    low = np.stack([limits.yield_lower for limits in found], axis=1)
    sound = np.isfinite(high)
    covered = sound & (high >= cases.yields) & (low <= cases.yields)
    return {
        "toys": sound.astype(np.float64),
        "toys_failed": (~sound).astype(np.float64),
        "covered": covered.astype(np.float64),
        "limit": np.where(sound, high, 0.0),
    }


def summarise(sums: Mapping[str, Floats]) -> Variables:
    """Turn sums over toys into coverages with binomial errors (Clopper, Pearson, Biometrika 26 (1934) 404).

    A toy without a limit counts neither as covered nor as not; their number stands beside.
    """
    n, k = sums["toys"], sums["covered"]
    low, high = binomial_interval(k, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "toys": n,
            "toys_failed": sums["toys_failed"],
            "coverage": np.where(n > 0.0, k / n, np.nan),
            "coverage_low": low,
            "coverage_high": high,
            "mean_limit": np.where(n > 0.0, sums["limit"] / n, np.nan),
        }


def binomial_interval(k: Floats, n: Floats, content: float = CONTENT) -> tuple[Floats, Floats]:
    """Return the central interval of the probability behind k of n."""
    tail = 0.5 * (1.0 - content)
    some, all_of = np.maximum(k, 1.0), np.minimum(k, n - 1.0)
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0.0, betaincinv(some, n - k + 1.0, tail), 0.0)
        high = np.where(k < n, betaincinv(np.maximum(all_of, 0.0) + 1.0, n - all_of, 1.0 - tail), 1.0)
    return np.where(n > 0.0, low, np.nan), np.where(n > 0.0, high, np.nan)
