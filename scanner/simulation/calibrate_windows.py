"""Resolutions and efficiency of counting windows as the embedded generator makes them.

The tables of built-in definitions of counting windows that say `source: computed` are results of `measure`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.errors import InputError
from scanner.simulation import generate_chunk

Array = NDArray[np.float64]

CORE = 4.0
ONE_SIGMA = (15.865525, 84.134475)
"""Percentiles between which a resolution is half the distance."""


@dataclass(frozen=True)
class WindowMeasurement:
    """What the generator gives at one point.

    Attributes
    ----------
    resolutions : tuple of float
        Of each observable after the cuts [GeV].
    tilt : float
        Angle [rad] of the axis of the covariance that is nearest to the first of two observables, from events
        within four resolutions of the point; 0 for one.
    efficiency, efficiency_error : float
        Part of the produced events that the window counts, and its binomial error.
    """

    resolutions: tuple[float, ...]
    tilt: float
    efficiency: float
    efficiency_error: float


def measure(
    search: Search, process: str, point: Mapping[str, float], events: int, seed: int
) -> WindowMeasurement:
    """Generate a signal and count it in the window of its own point.

    Parameters
    ----------
    process : str
        A signal in `scanner.simulation.PROCESSES`, whose parameters are `mass` and the names of the axes
        after the first.
    point : mapping
        Values of all axes of the scan.
    """
    (first, *others) = search.scan
    given = {"mass": point[first], "cross_section": 1.0} | {name: point[name] for name in others}
    columns = generate_chunk(process, events, (seed,), sqrt_s=search.sqrt_s, parameters=given)
    columns.pop("event")
    single = at_point(search, point)
    ((name, grid),) = engine.counting_grids(single).items()
    counted = engine.selections(single, tuple(columns))[name].fill(columns)
    if not counted.cutflow[0, -1]:
        raise InputError(f"no event of {process} is in the window at {dict(point)}")
    efficiency = float(counted.counts[0, 0, 0]) / events
    values = np.stack([columns[name].astype(np.float64) for name in grid.observables])
    spreads = np.diff(np.percentile(values, ONE_SIGMA, axis=1), axis=0)[0] / 2
    near = (np.abs(values - grid.centre.T) < CORE * spreads[:, None]).all(axis=0)
    error = float(np.sqrt(efficiency * (1 - efficiency) / events))
    return WindowMeasurement(tuple(spreads.tolist()), _tilt(values[:, near]), efficiency, error)


def _tilt(values: Array) -> float:
    if len(values) == 1:
        return 0.0
    (a, c), (_, b) = np.cov(values)
    return float(0.5 * np.arctan2(2 * c, a - b)) if a > b else float(-0.5 * np.arctan2(2 * c, b - a))


def at_point(search: Search, point: Mapping[str, float]) -> Search:
    """Return a search of one point only, scanned or not, without sidebands."""
    scan = {
        name: axis.model_copy(
            update={
                "values": (point[name],),
                "low": point[name],
                "high": point[name],
                "step": None,
                "where": None,
            }
        )
        for name, axis in search.scan.items()
    }
    first = search.scan_axis.name
    regions = tuple(
        region.model_copy(update={"low": point[first], "high": point[first]}) for region in search.regions[:1]
    )
    background = search.background.model_copy(update={"sideband": None, "estimate": "simulation"})
    return search.model_copy(update={"scan": scan, "regions": regions, "background": background})
