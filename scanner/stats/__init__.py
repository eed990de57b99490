"""Statistical methods: limits of mass windows, and calculators of single counting experiments."""

from collections.abc import Callable

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.stats.auto import automatic_limits, expected_limits
from scanner.stats.calculators import CALCULATORS, calculate
from scanner.stats.counting import asymptotic_or_counted, counting_limits
from scanner.stats.experiment import CountingData, CountingResult
from scanner.stats.limits import METHOD_MEANINGS, Limits
from scanner.stats.minos import minos_limits
from scanner.stats.neyman import feldman_cousins_limits
from scanner.stats.posterior import bayesian_limits
from scanner.stats.settings import Settings
from scanner.stats.toys import toy_limits

METHODS: dict[str, Callable[[BinnedProblem, Settings], Limits]] = {
    "auto": automatic_limits,
    "asymptotic": asymptotic_or_counted,
    "counting": counting_limits,
    "toys": toy_limits,
    "bayesian": bayesian_limits,
    "feldman_cousins": feldman_cousins_limits,
    "minos": minos_limits,
}
"""Methods of limits by name: each takes a problem and the settings."""

__all__ = [
    "CALCULATORS",
    "METHODS",
    "METHOD_MEANINGS",
    "STATUS_MEANINGS",
    "CountingData",
    "CountingResult",
    "Limits",
    "Settings",
    "calculate",
    "expected_limits",
]
