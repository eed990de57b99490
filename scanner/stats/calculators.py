"""Limit calculators of single counting experiments, by name of the method."""

from collections.abc import Callable
from math import log1p

from scanner.errors import InputError
from scanner.kernels.counting import counting_limit
from scanner.stats import on_off
from scanner.stats.bayesian import bayesian_limit
from scanner.stats.experiment import CountingData, CountingResult
from scanner.stats.feldman_cousins import feldman_cousins_interval


def cls(data: CountingData, confidence_level: float) -> CountingResult:
    """Set the exact CLs limit, an uncertain background marginalised over its Gamma distribution."""
    b, spread = data.gamma
    limits = {
        n: counting_limit(n, b, spread, log1p(-confidence_level))
        for n in {data.observed, *data.expected_counts()}
    }
    return _one_sided(data, limits)


def asymptotic(data: CountingData, confidence_level: float) -> CountingResult:
    """Set the asymptotic CLs limit, an uncertain background profiled."""
    m, tau = data.auxiliary
    limit = on_off.asymptotic_limit(data.observed, m, tau, confidence_level)
    bands = on_off.asymptotic_bands(data.observed, m, tau, confidence_level)
    return CountingResult(limit, bands, 0.0, limit)


def bayesian(data: CountingData, confidence_level: float) -> CountingResult:
    """Set the Bayesian limit for a prior flat in the signal, by quadrature over the background."""
    b, spread = data.gamma
    limits = {
        n: bayesian_limit(n, b, confidence_level, spread=spread)
        for n in {data.observed, *data.expected_counts()}
    }
    return _one_sided(data, limits)


def feldman_cousins(data: CountingData, confidence_level: float) -> CountingResult:
    """Set the Feldman–Cousins interval; its upper end is the limit."""
    b, spread = data.gamma
    intervals = {
        n: feldman_cousins_interval(n, b, confidence_level, spread=spread)
        for n in {data.observed, *data.expected_counts()}
    }
    low, high = intervals[data.observed]
    return CountingResult(high, tuple(intervals[n][1] for n in data.expected_counts()), low, high)


def _one_sided(data: CountingData, limits: dict[int, float]) -> CountingResult:
    limit = limits[data.observed]
    return CountingResult(limit, tuple(limits[n] for n in data.expected_counts()), 0.0, limit)


CALCULATORS: dict[str, Callable[[CountingData, float], CountingResult]] = {
    "cls": cls,
    "asymptotic": asymptotic,
    "bayesian": bayesian,
    "fc": feldman_cousins,
}
"""Methods of `darkscan limit`."""
LARGEST = {"cls": 1e9, "asymptotic": 1e9, "bayesian": 1e9, "fc": 500.0}
"""Most events of each method: beyond them sums take minutes, or lose their digits."""


def calculate(
    observed: int,
    background: float | None = None,
    background_error: float = 0.0,
    off: int | None = None,
    tau: float | None = None,
    method: str = "cls",
    confidence_level: float = 0.9,
) -> CountingResult:
    """Set the limit of one counting experiment by a method of CALCULATORS.

    Raises
    ------
    InputError
        On an unknown method, a confidence level outside 0.5 … 1, or data that are no experiment.
    """
    if method not in CALCULATORS:
        raise InputError(f"unknown method {method!r}: take one of {', '.join(CALCULATORS)}")
    if not 0.5 < confidence_level < 1.0:
        raise InputError(f"confidence level {confidence_level}: give one between 0.5 and 1, such as 0.9")
    data = CountingData(observed, background, background_error, off, tau)
    events = max(float(observed), background or 0.0 if off is None else off / (tau or 1.0))
    if events > LARGEST[method]:
        others = [name for name, most in LARGEST.items() if events <= most]
        raise InputError(
            f"{events:.4g} events are too many for the method {method}, which takes {LARGEST[method]:g}: "
            + (f"take {' or '.join(others)}" if others else "a Gaussian approximation is exact enough")
        )
    return CALCULATORS[method](data, confidence_level)
