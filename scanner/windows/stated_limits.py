"""One block of masses of a search with published numbers to one block of results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.interpretation import Exposure, Place, Results, physics_limits
from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHODS, Settings
from scanner.stats.counted import COUNTED_METHODS, Counted, counted_limits
from scanner.stats.counting import core_uncertainties, known_events
from scanner.windows.counted import SMALLEST_COUNT
from scanner.windows.grid import WindowGrid
from scanner.windows.stated import stated_counts, stated_problem

Floats = NDArray[np.float64]


def scan_stated(
    search: Search,
    grid: WindowGrid,
    block: slice,
    *,
    configuration: int,
    exposure: Exposure,
    method: str,
    settings: Settings,
    identity: str = "",
    point: Mapping[str, float],
) -> Results:
    """Set the limits of a block of masses from the counts that a definition states.

    Parameters are those of `scanner.limits.scan_block`. With one channel, limits follow from its count and
    what is known of its background; several are fitted together, and `auto` throws toys of them.
    """
    chosen = search.configurations[configuration]
    parameters = {**chosen.parameters, **point}
    problem, efficiency = stated_problem(
        search,
        grid,
        block,
        parameters=parameters,
        names=(identity, chosen.name),
        include="everything",
    )
    single = problem.counts.shape[1] == 1 and method in COUNTED_METHODS
    found = _counted(problem, settings, method) if single else _fitted(problem, settings, method)
    results: Results = found | {
        "n_observed": problem.counts.sum(axis=1).astype(np.int64),
        "n_background": np.full(len(efficiency), sum(counts.expected for counts in stated_counts(search))),
        "efficiency": efficiency,
        "resolution": grid.resolution[block],
    }
    place, yields = Place(grid.mass[block], parameters), (found["yield_limit"], found["yield_limit_expected"])
    return results | physics_limits(search, place, *yields, efficiency, exposure)


def _counted(problem: BinnedProblem, settings: Settings, method: str) -> dict[str, Any]:
    """Set the limits of single counts, each over a Gamma distribution of its background."""
    background = known_events(problem)[:, 0]
    spread, error = core_uncertainties(problem)
    nowhere, nothing = np.full(problem.windows, -1.0), np.zeros(problem.windows)
    observed = problem.counts[:, 0]
    known = (background, error, nowhere, nothing, np.expm1(spread))
    limits = counted_limits(Counted(observed.astype(np.int64), *known), settings, method)
    return {
        "signal_yield": observed - background,
        "signal_yield_error": np.sqrt(np.maximum(observed, SMALLEST_COUNT) + error**2),
        "p_local": limits.p_local,
        "z_local": limits.z_local,
        "yield_limit": limits.yield_limit,
        "yield_limit_expected": limits.expected,
        "yield_lower": limits.yield_lower,
        "status": np.zeros(problem.windows, dtype=np.uint8),
        "method": limits.method,
    }


def _fitted(problem: BinnedProblem, settings: Settings, method: str) -> dict[str, Any]:
    """Set the limits of several counts together."""
    limits = METHODS["toys" if method == "auto" else method](problem, settings)
    return {
        "signal_yield": limits.signal_yield,
        "signal_yield_error": limits.signal_yield_error,
        "p_local": limits.p_local,
        "z_local": limits.z_local,
        "yield_limit": limits.yield_limit,
        "yield_limit_expected": limits.expected,
        "yield_limit_error": limits.yield_limit_error,
        "yield_lower": limits.yield_lower,
        "toys": limits.toys,
        "toys_failed": limits.toys_failed,
        "status": limits.status,
        "method": limits.method,
    }
