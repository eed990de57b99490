"""Limit calculators of single counting experiments, by name of the method."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isinf

from scanner.errors import InputError
from scanner.stats import hybrid, on_off, profiled_count
from scanner.stats.bayesian import flat_limit, posterior_density
from scanner.stats.experiment import CountingData, CountingResult
from scanner.stats.feldman_cousins import Belt, feldman_cousins_interval
from scanner.stats.posterior import prior_power
from scanner.stats.profiled_count import ProfiledCount
from scanner.stats.settings import Settings

INTERVALS = ("limit", "shortest")
"""What the interval of a Bayesian result is: from 0 to the limit, or the shortest."""


def cls(data: CountingData, settings: Settings) -> CountingResult:
    """Set the exact CLs or CLs+b limit, what is uncertain averaged over its distribution."""
    found = hybrid.clsb_limit if settings.criterion == "clsb" else hybrid.cls_limit
    return _one_sided(data, lambda n: found(data, n, settings.confidence_level), "averaged")


def asymptotic(data: CountingData, settings: Settings) -> CountingResult:
    """Set the asymptotic CLs or CLs+b limit, what is uncertain profiled."""
    if data.is_exact and settings.criterion == "cls":
        m, tau = data.auxiliary
        limit = on_off.asymptotic_limit(data.observed, m, tau, settings.confidence_level)
        bands = on_off.asymptotic_bands(data.observed, m, tau, settings.confidence_level)
    else:
        count = ProfiledCount.of(data, data.observed)
        limit = profiled_count.asymptotic_limit(count, settings.confidence_level, settings.criterion)
        bands = profiled_count.asymptotic_bands(count, settings.confidence_level, settings.criterion)
    return CountingResult(limit, bands, 0.0, limit, _treatment(data, "profiled"))


def bayesian(data: CountingData, settings: Settings) -> CountingResult:
    """Set the Bayesian limit by quadrature over what is uncertain."""
    backgrounds, scales, power = data.backgrounds(), data.efficiencies(), prior_power(settings)

    def limit(n: int) -> float:
        if power == 1.0:
            return flat_limit(n, backgrounds, scales, settings.confidence_level)
        return posterior_density(n, backgrounds, scales, power).quantile(settings.confidence_level)

    return _one_sided(data, limit, "marginalised")


def feldman_cousins(data: CountingData, settings: Settings) -> CountingResult:
    """Set the Feldman–Cousins interval; its upper end is the limit."""
    level, counts = settings.confidence_level, {data.observed, *data.expected_counts()}
    if data.is_exact and isinf(data.auxiliary[1]):
        intervals = {n: feldman_cousins_interval(n, data.auxiliary[0], level) for n in counts}
    else:
        belt = Belt.of(counts, data.backgrounds(), data.efficiencies(), level)
        intervals = {n: belt.interval(n) for n in counts}
    low, high = intervals[data.observed]
    expected = tuple(intervals[n][1] for n in data.expected_counts())
    return CountingResult(high, expected, low, high, _treatment(data, "averaged"))


def shortest_interval(data: CountingData, settings: Settings) -> tuple[float, float]:
    """Return the shortest Bayesian interval in the yield, of credibility `confidence_level`."""
    mixed = data.backgrounds(), data.efficiencies()
    return posterior_density(data.observed, *mixed, prior_power(settings)).shortest(settings.confidence_level)


def _one_sided(data: CountingData, limit_of: Callable[[int], float], treatment: str) -> CountingResult:
    limits = {n: limit_of(n) for n in {data.observed, *data.expected_counts()}}
    limit = limits[data.observed]
    expected = tuple(limits[n] for n in data.expected_counts())
    return CountingResult(limit, expected, 0.0, limit, _treatment(data, treatment))


def _treatment(data: CountingData, treatment: str) -> str:
    return f"{' and '.join(data.uncertain)} {treatment}" if data.uncertain else ""


@dataclass(frozen=True)
class Calculator:
    """A method of limits of one counting experiment."""

    calculate: Callable[[CountingData, Settings], CountingResult]
    largest: float
    """Most events: beyond them sums take minutes, or lose their digits."""
    criteria: tuple[str, ...]
    """Criteria that it knows."""
    is_bayesian: bool = False
    """Whether it has a prior of the yield."""


CALCULATORS: dict[str, Calculator] = {
    "cls": Calculator(cls, 1e9, ("cls", "clsb")),
    "asymptotic": Calculator(asymptotic, 1e9, ("cls", "clsb")),
    "bayesian": Calculator(bayesian, 1e9, ("cls",), is_bayesian=True),
    "fc": Calculator(feldman_cousins, 500.0, ("cls",)),
}
"""Methods of `darkscan limit`."""


def calculate(
    observed: int,
    background: float | None = None,
    background_error: float = 0.0,
    off: int | None = None,
    tau: float | None = None,
    method: str = "cls",
    confidence_level: float = 0.9,
    *,
    background_shape: str = "gamma",
    efficiency_error: float = 0.0,
    efficiency_shape: str = "lognormal",
    criterion: str = "cls",
    prior: str = "flat in yield",
    power: float = 2.0,
    interval: str = "limit",
) -> CountingResult:
    """Set the limit of one counting experiment by a method of CALCULATORS.

    Data are those of `CountingData`; `criterion`, `prior` and `power` those of `Settings`. An `interval`
    of ``shortest`` gives a Bayesian result the shortest interval in the yield beside its limit.

    Raises
    ------
    InputError
        On an unknown method or option, a confidence level outside 0.5 … 1, or data that are no experiment.
    """
    if method not in CALCULATORS:
        raise InputError(f"unknown method {method!r}: take one of {', '.join(CALCULATORS)}")
    if not 0.5 < confidence_level < 1.0:
        raise InputError(f"confidence level {confidence_level}: give one between 0.5 and 1, such as 0.9")
    data = CountingData(
        *(observed, background, background_error, off, tau),
        *(background_shape, efficiency_error, efficiency_shape),
    )
    settings = Settings(confidence_level, criterion=criterion, prior=prior, power=power)
    _check_options(method, settings, interval)
    _check_size(method, data)
    result = CALCULATORS[method].calculate(data, settings)
    return result.with_interval(*shortest_interval(data, settings)) if interval == "shortest" else result


def _check_options(method: str, settings: Settings, interval: str) -> None:
    calculator = CALCULATORS[method]
    if settings.criterion not in calculator.criteria:
        raise InputError(f"the method {method} has no criterion {settings.criterion}: take cls or asymptotic")
    if settings.prior != Settings.prior and not calculator.is_bayesian:
        raise InputError(f"the method {method} has no prior of the yield: take bayesian")
    if interval not in INTERVALS:
        raise InputError(f"unknown interval {interval!r}: take one of {', '.join(INTERVALS)}")
    if interval == "shortest" and not calculator.is_bayesian:
        raise InputError(f"the method {method} has no shortest interval: take bayesian")


def _check_size(method: str, data: CountingData) -> None:
    events = max(float(data.observed), data.mean_background)
    if events <= CALCULATORS[method].largest:
        return
    others = [name for name, calculator in CALCULATORS.items() if events <= calculator.largest]
    raise InputError(
        f"{events:.4g} events are too many for the method {method}, which takes "
        f"{CALCULATORS[method].largest:g}: "
        + (f"take {' or '.join(others)}" if others else "a Gaussian approximation is exact enough")
    )
