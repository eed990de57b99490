"""Counting experiments: what each method gives, and how often it covers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from scanner.guide.tables import Floats, Table, number, percent
from scanner.stats import calculate

TITLES = {"cls": "CLs, exact", "asymptotic": "CLs, asymptotic"}
LEVEL = 0.9
"""Confidence level of all examples."""
EXPERIMENTS = ((0, 0.1), (0, 3.0), (1, 1.0), (3, 3.0), (10, 10.0), (30, 30.0), (100, 100.0))
UNIFIED = 10.0
"""Largest background at which Feldman–Cousins intervals are shown: larger ones take seconds each."""
BACKGROUNDS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0, 100.0, 200.0)
SHOWN = (0.1, 1.0, 3.0, 10.0, 25.0, 50.0, 100.0, 200.0)
STRONGEST = 5.0
"""Largest true signal, in units of √b + 1, at which coverage is looked at."""
UNCERTAIN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("b = 3", {}),
    ("b = 3 ± 1, gamma", {"background_error": 1.0}),
    ("b = 3 ± 1, log-normal", {"background_error": 1.0, "background_shape": "lognormal"}),
    ("b = 3 ± 2, gamma", {"background_error": 2.0}),
    ("efficiency ± 10%", {"efficiency_error": 0.1}),
    ("efficiency ± 30%", {"efficiency_error": 0.3}),
)
"""What may be uncertain in the experiment n = 3, b = 3."""
PRIORS: Mapping[str, dict[str, Any]] = {
    "flat in yield": {},
    "flat in g, yield ∝ g²": {"prior": "flat in coupling", "power": 2.0},
    "flat in g, yield ∝ g⁴": {"prior": "flat in coupling", "power": 4.0},
}
"""Priors that are compared; that of 1/√yield is the second one."""
COUNTS = tuple(range(11))
"""Observed events at which the priors are drawn."""
POSTERIORS = ((0, 3.0), (3, 3.0), (8, 3.0), (10, 10.0), (100, 100.0))


def limit_table() -> Table:
    """Compare the upper limits of some experiments at 90% CL."""
    rows = []
    for n, b in EXPERIMENTS:
        limits = {method: calculate(n, b, method=method).limit for method in TITLES}
        unified = "–"
        if b <= UNIFIED:
            found = calculate(n, b, method="fc")
            unified = f"{number(found.low) if found.low else '0'} to {number(found.high)}"
        shortfall = percent(limits["asymptotic"] / limits["cls"] - 1.0)
        rows.append([f"{n}", f"{b:g}", *map(number, limits.values()), shortfall, unified])
    return Table(("n", "b", *TITLES.values(), "difference", "Feldman–Cousins"), rows)


@dataclass(frozen=True)
class Coverage:
    """How often a method's limit is above the true signal, over true signals up to `STRONGEST`."""

    backgrounds: Floats
    """(B,) expected background [events]."""
    worst: Floats
    """(B,)"""
    mean: Floats
    """(B,)"""


@cache
def coverage(method: str) -> Coverage:
    """Sum the coverage of a method at 90% CL over all that a counting experiment can observe."""
    found = np.array([_coverage(b, method) for b in BACKGROUNDS])
    return Coverage(np.array(BACKGROUNDS), found[:, 0], found[:, 1])


def _coverage(b: float, method: str) -> tuple[float, float]:
    strongest = STRONGEST * (np.sqrt(b) + 1.0)
    counts = np.arange(int(poisson.ppf(1.0 - 1e-9, b + strongest)) + 1)
    limits = np.array([calculate(int(n), b, method=method).limit for n in counts])
    # Coverage falls where a signal passes the limit of a count: it is worst just there.
    steps = limits[limits < strongest] * (1.0 + 1e-9)
    worst = _covered(steps, limits, counts, b).min()
    return float(worst), float(_covered(np.linspace(0.0, strongest, 401), limits, counts, b).mean())


def _covered(signals: Floats, limits: Floats, counts: NDArray[np.int64], b: float) -> Floats:
    above = limits >= signals[:, None]
    covered: Floats = np.sum(poisson.pmf(counts, signals[:, None] + b) * above, axis=1)
    return covered


def coverage_table() -> Table:
    """Show the worst and the mean coverage at some backgrounds."""
    found = {method: coverage(method) for method in TITLES}
    rows = []
    for b in SHOWN:
        i = BACKGROUNDS.index(b)
        values = [(one.worst[i], one.mean[i]) for one in found.values()]
        rows.append([f"{b:g}", *(percent(value) for pair in values for value in pair)])
    columns = [f"{title}, {which}" for title in TITLES.values() for which in ("worst", "mean")]
    return Table(("b", *columns), rows)


def uncertain_table() -> Table:
    """Show what uncertainties do to the limits of n = 3, b = 3."""
    rows = []
    for name, options in UNCERTAIN:
        limits = [
            calculate(3, 3.0, method=method, **options).limit for method in ("cls", "asymptotic", "bayesian")
        ]
        rows.append([name, *map(number, limits)])
    return Table(("n = 3", "CLs, marginal", "CLs asymptotic, profiled", "Bayesian, flat"), rows)


def prior_table() -> Table:
    """Compare the Bayesian limits of the priors at 90% CL."""
    rows = []
    for n, b in POSTERIORS:
        limits = [calculate(n, b, method="bayesian", **options).limit for options in PRIORS.values()]
        rows.append([f"{n}", f"{b:g}", *map(number, limits)])
    return Table(("n", "b", *PRIORS), rows)


@cache
def prior_limits() -> dict[str, Floats]:
    """Return the limit of every prior at `COUNTS` observed events and a background of 3, (N,) each."""
    return {
        prior: np.array([calculate(n, 3.0, method="bayesian", **options).limit for n in COUNTS])
        for prior, options in PRIORS.items()
    }
