"""Efficiency and peak of a search's signal as the embedded generator makes it.

The tables of the built-in definitions that say `source: computed` are the results of `measure`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from scanner import engine, expressions, shapes
from scanner.constants import MASS_MUON
from scanner.definition import Search
from scanner.errors import InputError
from scanner.schema.axes import Region
from scanner.simulation import generate_chunk, get
from scanner.windows.coordinates import straightened

Array = NDArray[np.float64]

REACH, BINS = 12.0, 240
"""Half width in resolutions, and bins, of the range in which the peak is fitted."""
AXIS_POINTS = 200_001
STARTS = {"fraction": 0.2, "ratio": 2.0, "alpha": 1.2, "n": 5.0, "alpha_low": 1.2, "alpha_high": 1.5}
"""Starting values of the parameters of signal shapes."""
RESOLUTION = "resolution"


@dataclass(frozen=True)
class Measurement:
    """What the generator gives at one mass.

    Attributes
    ----------
    mass
        Mass of the signal [GeV].
    efficiency, efficiency_error
        Part of the produced events whose true candidate passes the cuts, and its binomial error.
    resolution
        The shape's resolution [GeV].
    parameters
        The shape's further parameters.
    shift
        Median of the peak minus the mass [GeV].
    """

    mass: float
    efficiency: float
    efficiency_error: float
    resolution: float
    parameters: Mapping[str, float]
    shift: float


def true_masses(
    search: Search,
    process: str,
    mass: float,
    events: int,
    seed: int,
    parameters: Mapping[str, float] | None = None,
) -> Array:
    """Return the measured masses [GeV] of the true candidates that pass the search's cuts.

    Where the shape of the signal is one in the observable, they are on the axis that is linear in it.

    Parameters
    ----------
    process
        A signal in `scanner.simulation.PROCESSES`.
    mass
        Mass of the signal [GeV].
    events
        Events produced, before the detector.
    parameters
        Further parameters of the process.
    """
    given = {**(parameters or {}), "mass": mass}
    columns = generate_chunk(process, events, (seed,), sqrt_s=search.sqrt_s, parameters=given)
    rows, true = get(process).candidates
    known: dict[str, Any] = engine.constants(search) | engine.window_variables(search, np.array(mass))
    known |= {name: values[true::rows] for name, values in columns.items()}
    for name, column in search.columns.items():
        if column.expression and name not in known:
            known[name] = expressions.parse(column.expression).evaluate(known)
    (channel,) = search.channels.values()
    kept = np.ones(len(known["event"]), dtype=np.bool_)
    for cut in channel.select:
        kept &= expressions.parse(cut).evaluate(known, channel.functions)
    low, high, region = _region(search, mass)
    observable = np.asarray(expressions.parse(region.observable).evaluate(known))[kept]
    if search.signal.measured_in == "observable":
        return np.asarray(straightened(search, region, observable[None], np.array([mass]))[0])
    axis = np.linspace(low, high, AXIS_POINTS)
    values = expressions.parse(region.peak).evaluate(known | engine.window_variables(search, axis))
    return np.asarray(np.interp(observable, values, axis))


def _region(search: Search, mass: float) -> tuple[float, float, Region]:
    """Return a generous mass axis around the mass, and its region."""
    regions = [region for region in search.regions if region.low <= mass <= region.high]
    if not regions:
        raise InputError(f"search {search.name} has no region at {mass} GeV")
    low, high = max(0.0, search.regions[0].low - 0.2), search.sqrt_s
    low = max(low, 2 * MASS_MUON) if "m_mu" in expressions.parse(regions[-1].peak).names else low
    return low, high, regions[-1]


def fit_peak(
    shape: str, masses: Array, mass: float, start: float, fixed: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """Fit resolution and parameters of a signal shape centred at `mass`, by binned maximum likelihood.

    Parameters
    ----------
    masses
        Measured masses [GeV], shape (N,).
    start
        Rough resolution [GeV]; sets the fitted range, ± REACH of them.
    fixed
        Parameters of the shape that are not fitted; `resolution` [GeV] among them holds it.
    """
    edges = mass + start * np.linspace(-REACH, REACH, BINS + 1)
    counts = np.histogram(masses, bins=edges)[0]
    free = [name for name in shapes.SIGNALS[shape].parameters if name not in fixed]

    def unpack(x: Array) -> tuple[float, dict[str, float]]:
        values = {name: STARTS[name] * float(np.exp(v)) for name, v in zip(free, x[1:], strict=True)}
        resolution = fixed.get(RESOLUTION, start * float(np.exp(x[0])))
        return resolution, {name: v for name, v in fixed.items() if name != RESOLUTION} | values

    def nll(x: Array) -> float:
        resolution, parameters = unpack(x)
        one = {name: np.array([value]) for name, value in parameters.items()}
        share = shapes.signal_integrals(shape, edges[None], np.array([mass]), np.array([resolution]), one)[0]
        return float(-np.sum(counts * np.log(np.maximum(share / share.sum(), 1e-300))))

    best = minimize(
        nll, np.zeros(1 + len(free)), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4}
    )
    return unpack(best.x)


def measure(
    search: Search,
    process: str,
    mass: float,
    *,
    events: int = 100_000,
    seed: int = 1,
    fixed: Mapping[str, float] | None = None,
    parameters: Mapping[str, float] | None = None,
) -> Measurement:
    """Measure efficiency and peak of a signal.

    Parameters
    ----------
    fixed
        Parameters of the signal shape that keep these values; the others are fitted.
    parameters
        Further parameters of the process.
    """
    masses = true_masses(search, process, mass, events, seed, parameters)
    efficiency = len(masses) / events
    low, middle, high = np.quantile(masses, [0.1587, 0.5, 0.8413])
    rough = (fixed or {}).get(RESOLUTION, float(high - low) / 2)
    resolution, shape = fit_peak(search.signal.shape, masses, mass, rough, fixed or {})
    error = float(np.sqrt(efficiency * (1 - efficiency) / events))
    return Measurement(mass, efficiency, error, resolution, shape, float(middle - mass))
