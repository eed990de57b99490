"""Efficiencies along lifetimes, from simulated signals whose rows are weighted to them.

An efficiency that a definition states beside its `decays` is that of what the simulation leaves out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import Place, bound_model
from scanner.reading.lived import UNIT, Flight
from scanner.schema.channels import Channel
from scanner.schema.functions import NumberFunction, Table
from scanner.windows.axes import outer_points

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST = 10.0
"""Effective rows from which an efficiency is taken."""
NEGLIGIBLE = 0.01
"""Share of the largest efficiency along a lifetime below which its precision does not matter."""
SPREAD = 3.0
"""Times that share for every further lifetime, over which the rows are spread."""
ROUNDING = 1e-6
"""Relative distance from the ends of the scan at which simulated masses still count as its ends."""
END = 0.01
"""Relative distance from the mass at which production closes that simulated masses need not reach."""
MASSES = 10_001
"""Masses at which a branching fraction is asked whether a channel sees them."""


@dataclass(frozen=True)
class Lived:
    """What a pass leaves of one simulated signal in one channel and configuration.

    Attributes
    ----------
    mass : float
        [GeV].
    generated : int
        Events before any selection.
    sums : (2, P) int
        Weights of the selected rows and their squares at every point of the outer axes, in units of 1/UNIT.
    """

    mass: float
    generated: int
    sums: Integers

    @property
    def efficiency(self) -> Floats:
        """Selected over generated events at every point, (P,)."""
        found: Floats = self.sums[0] / UNIT / self.generated
        return found

    @property
    def error(self) -> Floats:
        """Standard deviation of the efficiency from the number of simulated events, (P,)."""
        squares = self.sums[1] / UNIT / self.generated
        found: Floats = np.sqrt(np.maximum(squares - self.efficiency**2, 0.0) / self.generated)
        return found

    @property
    def effective(self) -> Floats:
        """Rows without weights that would be as precise, (P,)."""
        sums, squares = self.sums / UNIT
        effective: Floats = np.zeros_like(sums)
        np.divide(sums**2, squares, out=effective, where=squares > 0.0)
        return effective


def flights(search: Search) -> tuple[Flight, ...]:
    """Return the decays whose lifetimes are axes of the scan, parameters of configurations, or constant."""
    return tuple(
        Flight(decay.displacement, decay.generated_ctau, decay.generated_from)
        for decay in search.decays.values()
    )


def lifetimes(search: Search, configuration: int) -> list[Floats]:
    """Return the mean proper decay lengths [cm] of every decay at each of P points, (P,) each.

    Raises
    ------
    InputError
        If a decay names neither an axis nor a parameter, and states no constant.
    """
    known, points = search.configurations[configuration].parameters, outer_points(search)
    found = []
    for name, decay in search.decays.items():
        if decay.ctau is not None and decay.ctau.constant is not None:
            found.append(np.full(len(points), decay.ctau.constant))
            continue
        if decay.axis is None or (decay.axis not in points[0] and decay.axis not in known):
            raise InputError(
                f"decay {name!r} names no axis of the scan and no parameter for its c·tau: add 'axis: NAME', "
                "or a constant 'ctau'"
            )
        found.append(np.array([{**known, **point}[decay.axis] for point in points], dtype=np.float64))
    return found


def lived_search(
    search: Search, signals: Mapping[str, Sequence[Lived]], configuration: int, point: int
) -> Search:
    """Return a search whose efficiencies are those of simulated signals at one lifetime.

    Parameters
    ----------
    signals : mapping of sequences of Lived
        For each channel.
    point : int
        Number of the point of the outer axes.

    Raises
    ------
    InputError
        If the simulated masses do not reach the ends of the scan.
    """
    values = {**search.configurations[configuration].parameters, **outer_points(search)[point]}
    _check_precision(search, signals, values, point)
    channels = {
        name: _with_efficiency(search, name, channel, signals.get(name, ()), values, point)
        for name, channel in search.channels.items()
    }
    if len(channels) > 1:
        return search.changed(channels=channels)
    (only,) = channels.values()
    signal = search.signal.model_copy(update={"stated_efficiency": only.efficiency})
    return search.changed(channels=channels, signal=signal)


def _with_efficiency(
    search: Search,
    name: str,
    channel: Channel,
    signals: Sequence[Lived],
    values: Mapping[str, float],
    point: int,
) -> Channel:
    told = _best(signals, point)
    _check_masses(search, name, channel, [signal.mass for signal in told], values)
    mass = np.array([signal.mass for signal in told])
    efficiency = np.array([signal.efficiency[point] for signal in told])
    error = np.array([signal.error[point] for signal in told])
    stated = channel.efficiency or search.signal.stated_efficiency
    factor = np.ones(mass.shape) if stated is None else stated(mass, **values)
    return channel.model_copy(
        update={
            "efficiency": _between(search, mass, efficiency * factor),
            "efficiency_error": _between(search, mass, error * factor),
        }
    )


def _best(signals: Sequence[Lived], point: int) -> list[Lived]:
    """Return the signal of each mass, rising, that tells its efficiency best: the most effective rows."""
    found: dict[float, Lived] = {}
    for signal in signals:
        known = found.get(signal.mass)
        if known is None or signal.effective[point] > known.effective[point]:
            found[signal.mass] = signal
    return [found[mass] for mass in sorted(found)]


def _between(search: Search, mass: Floats, values: Floats) -> NumberFunction:
    """Return what is linear between simulated masses, and constant beyond them."""
    table = Table(
        axes=(search.scan_axis.name,),
        grids=(tuple(mass.tolist()),),
        units=("GeV",),
        values=tuple(values.tolist()),
        unit="1",
    )
    return NumberFunction.model_construct(
        table=table, interpolation="linear", outside="clamp", source="computed"
    )


def _check_precision(
    search: Search, signals: Mapping[str, Sequence[Lived]], values: Mapping[str, float], point: int
) -> None:
    """Refuse a mass whose efficiency in all channels few rows tell, where it is not negligible."""
    scanned = sum(decay.ctau is None for decay in search.decays.values())
    matters = NEGLIGIBLE * SPREAD ** max(scanned - 1, 0)
    rates: dict[float, Floats] = {}
    variances: dict[float, Floats] = {}
    for name, channel in search.channels.items():
        for signal in _best(signals.get(name, ()), point):
            share = _fraction(channel, signal.mass, values)
            rates[signal.mass] = rates.get(signal.mass, 0.0) + share * signal.efficiency
            variances[signal.mass] = variances.get(signal.mass, 0.0) + (share * signal.error) ** 2
    for mass, rate in rates.items():
        variance = variances[mass][point]
        if rate[point] > matters * rate.max() and rate[point] ** 2 < FEWEST * variance:
            where = ", ".join(f"{name} = {value:g}" for name, value in values.items())
            raise InputError(
                f"the simulated signals of {mass:g} GeV tell the efficiency at {where} from "
                f"{rate[point] ** 2 / variance:.1f} effective rows: generate more, or of a nearer lifetime"
            )


def _fraction(channel: Channel, mass: float, values: Mapping[str, float]) -> float:
    """Return the branching fraction into a channel, 1 where none is stated and 0 beyond what is."""
    stated = channel.branching_fraction
    if stated is None:
        return 1.0
    grid = () if stated.table is None else stated.table.grids[0]
    inside = stated.outside == "clamp" or not grid or grid[0] <= mass <= grid[-1]
    return float(stated(np.array([mass]), **values)[0]) if inside else 0.0


def _check_masses(
    search: Search, name: str, channel: Channel, masses: Sequence[float], values: Mapping[str, float]
) -> None:
    """Refuse simulated masses that do not reach the ends of what a channel sees of the scan."""
    axis, end = search.scan_axis, _end(search, values)
    low, high = _seen(axis.low, axis.high, channel, values)
    if not low <= min(high, end):
        return
    high, margin = min((high, ROUNDING), (end, END))
    inside = masses and masses[0] <= low * (1 + ROUNDING) and masses[-1] >= high * (1 - margin)
    if not inside or len(masses) < 2 - (low == high):
        have = f"from {masses[0]:g} to {masses[-1]:g} GeV" if masses else "at no mass"
        raise InputError(
            f"the scan goes from {low:g} to {high:g} GeV and channel {name!r} has simulated "
            f"signals {have}: generate or ingest them (--kind signal) at both ends and between"
        )


def _end(search: Search, values: Mapping[str, float]) -> float:
    """Return the mass at which the production of the search's model closes, infinite without one."""
    if search.model is None:
        return np.inf
    return bound_model(search.model, Place(np.empty(0), values)).mass_range(search.sqrt_s)[1]


def _seen(low: float, high: float, channel: Channel, values: Mapping[str, float]) -> tuple[float, float]:
    """Return the range of masses where a channel has a branching fraction, reversed where it has none."""
    if channel.branching_fraction is None:
        return low, high
    mass = np.linspace(low, high, MASSES)
    seen = mass[channel.branching_fraction(mass, **values) > 0.0]
    return (float(seen[0]), float(seen[-1])) if seen.size else (high, low)
