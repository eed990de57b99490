"""Efficiencies along lifetimes, from simulated signals whose rows are weighted to them.

An efficiency that a definition states beside its `decays` is that of what the simulation leaves out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.reading.lived import UNIT, Flight
from scanner.schema.channels import Channel
from scanner.schema.functions import NumberFunction, Table
from scanner.windows.axes import outer_points

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST = 10.0
"""Effective rows from which an efficiency is taken."""
NEGLIGIBLE = 0.01
"""Share of the largest efficiency along the lifetime below which its precision does not matter."""
ROUNDING = 1e-6
"""Relative distance from the ends of the scan at which simulated masses still count as its ends."""


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
    def effective(self) -> Floats:
        """Rows without weights that would be as precise, (P,)."""
        sums, squares = self.sums / UNIT
        effective: Floats = np.zeros_like(sums)
        np.divide(sums**2, squares, out=effective, where=squares > 0.0)
        return effective


def flights(search: Search) -> tuple[Flight, ...]:
    """Return the decays whose lifetimes are axes of the scan or parameters of its configurations."""
    return tuple(Flight(decay.displacement, decay.generated_ctau) for decay in search.decays.values())


def lifetimes(search: Search, configuration: int) -> list[Floats]:
    """Return the mean proper decay lengths [cm] of every decay at each of P points, (P,) each.

    Raises
    ------
    InputError
        If a decay names neither an axis nor a parameter.
    """
    known, points = search.configurations[configuration].parameters, outer_points(search)
    found = []
    for name, decay in search.decays.items():
        if decay.axis is None or (decay.axis not in points[0] and decay.axis not in known):
            raise InputError(
                f"decay {name!r} names no axis of the scan and no parameter for its c·tau: add 'axis: NAME'"
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
    channels = {
        name: _with_efficiency(search, name, channel, signals.get(name, ()), values, point)
        for name, channel in search.channels.items()
    }
    return search.changed(channels=channels)


def _with_efficiency(
    search: Search,
    name: str,
    channel: Channel,
    signals: Sequence[Lived],
    values: Mapping[str, float],
    point: int,
) -> Channel:
    ordered = sorted(signals, key=lambda signal: signal.mass)
    _check_masses(search, name, [signal.mass for signal in ordered])
    mass = np.array([signal.mass for signal in ordered])
    for signal in ordered:
        _check_precision(name, signal, values, point)
    efficiency = np.array([signal.efficiency[point] for signal in ordered])
    stated = channel.efficiency or search.signal.stated_efficiency
    if stated is not None:
        efficiency = efficiency * stated(mass, **values)
    table = Table(
        axes=(search.scan_axis.name,),
        grids=(tuple(mass.tolist()),),
        units=("GeV",),
        values=tuple(efficiency.tolist()),
        unit="1",
    )
    function = NumberFunction.model_construct(
        table=table, interpolation="linear", outside="clamp", source="computed"
    )
    return channel.model_copy(update={"efficiency": function})


def _check_precision(channel: str, signal: Lived, values: Mapping[str, float], point: int) -> None:
    """Refuse an efficiency that a few rows of large weight tell, where it is not negligible."""
    efficiency, effective = signal.efficiency, signal.effective[point]
    if efficiency[point] > NEGLIGIBLE * efficiency.max() and effective < FEWEST:
        where = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise InputError(
            f"channel {channel!r}: the simulated signal of {signal.mass:g} GeV tells its efficiency at "
            f"{where} from {effective:.1f} effective rows: generate more, or with a lifetime that is nearer"
        )


def _check_masses(search: Search, channel: str, masses: Sequence[float]) -> None:
    axis = search.scan_axis
    inside = masses and masses[0] <= axis.low * (1 + ROUNDING) and masses[-1] >= axis.high * (1 - ROUNDING)
    if len(masses) != len(set(masses)):
        raise InputError(f"channel {channel!r} has two simulated signals of one mass: leave one out")
    if not inside or len(masses) < 2 - (axis.low == axis.high):
        have = f"from {masses[0]:g} to {masses[-1]:g} GeV" if masses else "at no mass"
        raise InputError(
            f"the scan goes from {axis.low:g} to {axis.high:g} GeV and channel {channel!r} has simulated "
            f"signals {have}: generate or ingest them (--kind signal) at both ends and between"
        )
