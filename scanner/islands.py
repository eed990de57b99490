"""Excluded intervals of a coupling that sets lifetimes too, from limits along the outer axes of the scan.

Along a lifetime, a coupling g is excluded where its rate is above the limit at cτ(g). Along the coupling
itself, where its rate is above the limit at g, whose efficiency then knows what g does to the lifetime.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from scanner.couplings import excluded_intervals
from scanner.definition import Search
from scanner.interpretation import (
    COUPLING,
    EXPECTED,
    Place,
    bound_model,
    expected_name,
    interpretations,
    production_per_coupling,
    quantity,
)
from scanner.models import CouplingModel
from scanner.schema.axes import ScanAxis
from scanner.schema.statistics import Model
from scanner.windows.axes import outer_axes

Floats = NDArray[np.float64]

LOW, HIGH = "coupling_low", "coupling_high"
OPEN = "_open"
POINTS = 400
"""Points of the grid on which the ends of intervals are bracketed."""
MOST = 4
"""Intervals of one mass at most."""
ROUNDING = 1e-9
"""Steps of the axis by which its ends may be missed."""
PROMPT = 1e-9
"""Part of the first lifetime after 0 to which couplings are looked at, where an axis starts with 0."""
CUT = 1e-6
"""Part by which the rate is above the limit at the end of an interval that is cut off."""


def axes_of(search: Search, reference: Model) -> tuple[ScanAxis, ...]:
    """Return the axes that the coupling of an interpretation is followed along: all outer ones, or none.

    Each is the coupling itself, or a lifetime that the model knows by the name of the axis; one lifetime
    alone may have any name.
    """
    axes, model = outer_axes(search), bound_model(reference)
    known = model.flights(np.ones(1))
    if quantity(search) is None or any(len(axis.values or ()) < 2 for axis in axes):
        return ()
    if not known and len(axes) != 1:
        return ()
    followed = [axis.name in known if known else axis.unit in ("cm", model.unit) for axis in axes]
    return axes if all(followed) else ()


def coupling_intervals(search: Search, cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the excluded intervals of the coupling of every interpretation that can be followed.

    Returns
    -------
    dict of DataArray
        `coupling_low` and `coupling_high` and their `_expected` over `interval`, NaN where there is no
        further one, and `coupling_low_NAME` for interpretations after the first. An interval that ends where
        the scanned axis does has that end, and `coupling_low_open` or `coupling_high_open` is 1 there: more
        may be excluded than was looked at. Empty where no axis of the search is a lifetime or the coupling.
    """
    name = f"{quantity(search)}_limit"
    found: dict[str, xr.DataArray] = {}
    for label, reference in interpretations(search) if name in cube else ():
        axes = axes_of(search, reference)
        for suffix in ("", EXPECTED) if axes else ():
            own = expected_name(label) if suffix else label
            both = _of_limits(search, reference, axes, cube[name + suffix])
            for side, end in enumerate((LOW, HIGH)):
                ends = both.isel(end=side, drop=True)
                found[own.replace(COUPLING, end, 1)] = ends.isel(kind=0, drop=True)
                found[own.replace(COUPLING, end + OPEN, 1)] = ends.isel(kind=1, drop=True).astype(np.int8)
    used = max((_intervals_used(v.to_numpy()) for name, v in found.items() if OPEN not in name), default=1)
    return {own: values.isel(interval=slice(0, max(1, used))) for own, values in found.items()}


def _intervals_used(ends: Floats) -> int:
    """Return the largest number of intervals of a mass among (…, interval)."""
    return int(np.isfinite(ends).sum(axis=-1).max(initial=0))


def _of_limits(
    search: Search, reference: Model, axes: Sequence[ScanAxis], limit: xr.DataArray
) -> xr.DataArray:
    """Return the excluded intervals (…, mass, interval, end, kind): where they end, and whether open."""
    if "configuration" not in limit.dims:
        return _of_configuration(search, reference, axes, limit, search.configurations[0].parameters)
    bare = limit.drop_vars([name for name in search.configurations[0].parameters if name in limit.coords])
    each = [
        _of_configuration(
            search, reference, axes, bare.isel(configuration=number, drop=True), known.parameters
        )
        for number, known in enumerate(search.configurations)
    ]
    return xr.concat(
        each, xr.IndexVariable("configuration", bare["configuration"].to_numpy()), coords="minimal"
    )


def _of_configuration(
    search: Search,
    reference: Model,
    axes: Sequence[ScanAxis],
    limit: xr.DataArray,
    parameters: Mapping[str, float],
) -> xr.DataArray:
    mass = search.scan_axis.name
    place = Place(limit[mass].to_numpy(), parameters)
    model = bound_model(reference, place)
    curve = Curve(
        tuple(np.asarray(axis.values) for axis in axes),
        production_per_coupling(search, reference, model, place),
        tuple(_length(model, axis, place.mass) for axis in axes),
        float(model.power),
        model.largest_coupling(place.mass, search.sqrt_s),
    )
    found: xr.DataArray = xr.apply_ufunc(
        lambda values: np.stack([ends := curve.excluded(values), curve.open(values, ends)], axis=-1),
        limit,
        input_core_dims=[[mass, *(axis.name for axis in axes)]],
        output_core_dims=[[mass, "interval", "end", "kind"]],
        vectorize=True,
    )
    return found


def _length(model: CouplingModel, axis: ScanAxis, mass: Floats) -> tuple[Floats, float]:
    """Return where on an axis the coupling 1 is, (W,), and the power of the coupling that it falls with."""
    if axis.unit != "cm":
        return np.ones(mass.shape), -1.0
    length, power = model.flights(mass).get(axis.name, (None, 0))
    return (model.decay_length(mass), float(model.power)) if length is None else (length, float(power))


@dataclass(frozen=True)
class Curve:
    """The rate of a model as a function of its coupling, beside limits along axes.

    Attributes
    ----------
    values : tuple of (X,) float
        Points of each axis, rising: lifetimes [cm], of which the first may be 0, or couplings.
    reach : (W,) float
        Rate at a coupling of 1.
    lengths : tuple of ((W,) float, float)
        For each axis where on it the coupling 1 is, and the power of the coupling that it falls with: −1
        where the axis is the coupling, and 0 where the coupling does not matter.
    power : float
        Power of the coupling that the rate goes with.
    largest : (W,) float or float
        Largest coupling that has a meaning.
    """

    values: tuple[Floats, ...]
    reach: Floats
    lengths: tuple[tuple[Floats, float], ...]
    power: float
    largest: Floats | float = np.inf

    def excluded(self, limit: Floats) -> Floats:
        """Return the intervals (W, MOST, 2) of the coupling where the rate is above the limit (W, X, …)."""
        return excluded_intervals(self._ratio(limit), np.ones(len(limit)), self.grid(), MOST)

    def open(self, limit: Floats, ends: Floats) -> Floats:
        """Return 1 for the ends of intervals (W, MOST, 2) where the rate is above the limit, else 0.

        An axis or a lifetime without a limit puts them there, and not the rate.
        """
        most = np.broadcast_to(self.largest, len(limit))[:, None, None] * (1.0 - ROUNDING)
        found, known = np.zeros(ends.shape), np.isfinite(ends) & (ends < most)
        above = self._ratio(limit)(np.nonzero(known)[0], ends[known]) > 1.0 + CUT
        found[known] = above
        return found

    def _ratio(self, limit: Floats) -> Callable[[NDArray[np.intp], Floats], Floats]:
        """Return the rate over the limit (W, X, …) at couplings of windows; 0 where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(limit)
        most = np.broadcast_to(self.largest, len(limit))

        def ratio(windows: NDArray[np.intp], couplings: Floats) -> Floats:
            value, inside = self._interpolated(logs, windows, couplings)
            with np.errstate(invalid="ignore", over="ignore"):
                found = self.reach[windows] * couplings**self.power / np.exp(value)
            inside &= couplings <= most[windows]
            return np.where(inside & np.isfinite(found), found, 0.0)

        return ratio

    def _interpolated(
        self, logs: Floats, windows: NDArray[np.intp], couplings: Floats
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return logarithms of limits, linear between the points of the axes, and which lie among them."""
        inside = np.ones(windows.shape, dtype=np.bool_)
        corners: list[tuple[tuple[NDArray[np.intp], ...], Floats]] = [((windows,), np.ones(windows.shape))]
        for points, (length, power) in zip(self.values, self.lengths, strict=True):
            with np.errstate(divide="ignore"):
                place = _coordinate(points, np.log(length[windows]) - power * np.log(couplings))
                x = _coordinate(points, np.log(points))
            index = np.clip(np.searchsorted(x, place, side="right") - 1, 0, x.size - 2)
            share = (place - x[index]) / (x[index + 1] - x[index])
            inside &= (share > -ROUNDING) & (share < 1 + ROUNDING)
            share = np.clip(share, 0.0, 1.0)
            corners = [
                ((*indices, index + step), weight * (share if step else 1.0 - share))
                for indices, weight in corners
                for step in (0, 1)
            ]
        value = np.zeros(windows.shape)
        with np.errstate(invalid="ignore"):
            for indices, weight in corners:
                value += np.where(weight > 0.0, weight * logs[indices], 0.0)
        return value, inside

    def grid(self) -> Floats:
        """Return the couplings (POINTS,) among which the ends of intervals are bracketed."""
        low, high = 0.0, np.inf
        for points, (length, power) in zip(self.values, self.lengths, strict=True):
            known = length[np.isfinite(length) & (length > 0.0)]
            if power == 0.0 or not known.size:
                continue
            first = points[0] or PROMPT * points[1]
            ends = (known.min() / points[-1]) ** (1 / power), (known.max() / first) ** (1 / power)
            low, high = max(low, min(ends)), min(high, max(ends))
        high = min(high, np.max(self.largest))
        return np.geomspace(low, high, POINTS) if 0.0 < low < high else np.geomspace(1e-9, 1.0, POINTS)


def _coordinate(points: Floats, logs: Floats) -> Floats:
    """Return what limits are linear along between the points of an axis, from logarithms of places on it.

    It is the logarithm; where an axis starts with 0, the value itself up to the next point.
    """
    if points[0] > 0.0:
        return logs
    first = np.log(points[1])
    return np.where(logs < first, first - 1.0 + np.exp(np.minimum(logs - first, 0.0)), logs)
