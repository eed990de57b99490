"""Excluded intervals of a coupling that sets the lifetime too, from limits along an axis of the scan.

Along a lifetime, a coupling g is excluded where its rate is above the limit at cτ(g). Along the coupling
itself, where its rate is above the limit at g, whose efficiency then knows what g does to the lifetime.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from scanner.couplings import excluded_intervals
from scanner.definition import Search
from scanner.interpretation import Place, bound_model, production_per_coupling, quantity
from scanner.schema.axes import ScanAxis
from scanner.windows.axes import outer_axes

Floats = NDArray[np.float64]

LOW, HIGH = "coupling_low", "coupling_high"
POINTS = 400
"""Points of the grid on which the ends of intervals are bracketed."""
MOST = 4
"""Intervals of one mass at most."""
ROUNDING = 1e-9
"""Steps of the axis by which its ends may be missed."""


def axis_of(search: Search) -> ScanAxis | None:
    """Return the axis that a coupling is followed along: the only outer one, a lifetime or the coupling."""
    axes = outer_axes(search)
    if search.model is None or quantity(search) is None or len(axes) != 1:
        return None
    (axis,) = axes
    follows = axis.unit == "cm" or axis.unit == bound_model(search.model).unit
    return axis if follows and len(axis.values or ()) > 1 else None


def coupling_intervals(search: Search, cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the excluded intervals of the first interpretation's coupling.

    Returns
    -------
    dict of DataArray
        `coupling_low` and `coupling_high` and their `_expected` over `interval`, NaN where there is no
        further one; an interval that ends where the scanned axis does has that end. Empty where no axis of
        the search is a lifetime or the coupling.
    """
    axis, name = axis_of(search), f"{quantity(search)}_limit"
    if axis is None or name not in cube:
        return {}
    found = {suffix: _of_limits(search, axis, cube[name + suffix]) for suffix in ("", "_expected")}
    rooms = [_intervals_used(both.to_numpy()) for both in found.values()]
    return {
        label + suffix: both.isel(end=side, interval=slice(0, max(1, *rooms)), drop=True)
        for suffix, both in found.items()
        for side, label in enumerate((LOW, HIGH))
    }


def _intervals_used(both: Floats) -> int:
    """Return the largest number of intervals of a mass among (…, interval, end)."""
    return int(np.isfinite(both[..., 0]).sum(axis=-1).max(initial=0))


def _of_limits(search: Search, axis: ScanAxis, limit: xr.DataArray) -> xr.DataArray:
    """Return the intervals (…, mass, interval, end) that limits on the rate exclude."""
    if "configuration" not in limit.dims:
        return _of_configuration(search, axis, limit, search.configurations[0].parameters)
    bare = limit.drop_vars([name for name in search.configurations[0].parameters if name in limit.coords])
    each = [
        _of_configuration(search, axis, bare.isel(configuration=number, drop=True), known.parameters)
        for number, known in enumerate(search.configurations)
    ]
    return xr.concat(
        each, xr.IndexVariable("configuration", bare["configuration"].to_numpy()), coords="minimal"
    )


def _of_configuration(
    search: Search, axis: ScanAxis, limit: xr.DataArray, parameters: Mapping[str, float]
) -> xr.DataArray:
    mass = search.scan_axis.name
    place = Place(limit[mass].to_numpy(), parameters)
    assert search.model is not None  # axis_of says so
    model = bound_model(search.model, place)
    curve = Curve(
        np.asarray(axis.values),
        production_per_coupling(search, search.model, model, place),
        model.decay_length(place.mass) if axis.unit == "cm" else None,
        float(model.power),
    )
    found: xr.DataArray = xr.apply_ufunc(
        curve.excluded,
        limit,
        input_core_dims=[[mass, axis.name]],
        output_core_dims=[[mass, "interval", "end"]],
        vectorize=True,
    )
    return found


@dataclass(frozen=True)
class Curve:
    """The rate of a model as a function of its coupling, beside limits along an axis.

    Attributes
    ----------
    values : (X,) float
        Points of the axis, rising: lifetimes [cm] or couplings.
    reach : (W,) float
        Rate at a coupling of 1.
    decay_length : (W,) float or None
        cτ [cm] at a coupling of 1; None where the axis is the coupling.
    power : float
        Power of the coupling that the rate and the width go with.
    """

    values: Floats
    reach: Floats
    decay_length: Floats | None
    power: float

    def excluded(self, limit: Floats) -> Floats:
        """Return the intervals (W, MOST, 2) of the coupling where the rate is above the limit (W, X)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(limit)
        x = np.log(self.values)

        def ratio(windows: NDArray[np.intp], couplings: Floats) -> Floats:
            place = np.log(self._places(windows, couplings))
            index = np.clip(np.searchsorted(x, place, side="right") - 1, 0, x.size - 2)
            share = (place - x[index]) / (x[index + 1] - x[index])
            with np.errstate(invalid="ignore", over="ignore"):
                limited = np.exp((1 - share) * logs[windows, index] + share * logs[windows, index + 1])
                found = self.reach[windows] * couplings**self.power / limited
            inside = (share > -ROUNDING) & (share < 1 + ROUNDING)
            return np.where(inside & np.isfinite(found), found, 0.0)

        return excluded_intervals(ratio, np.ones(len(limit)), self.grid(), MOST)

    def _places(self, windows: NDArray[np.intp], couplings: Floats) -> Floats:
        """Return where on the axis couplings are."""
        if self.decay_length is None:
            return couplings
        return np.asarray(self.decay_length[windows] * couplings**-self.power)

    def grid(self) -> Floats:
        """Return the couplings (POINTS,) among which the ends of intervals are bracketed."""
        low, high = self.values[0], self.values[-1]
        if self.decay_length is not None:
            known = self.decay_length[np.isfinite(self.decay_length) & (self.decay_length > 0.0)]
            longest, shortest = (known.max(), known.min()) if known.size else (high, low)
            low, high = (shortest / high) ** (1 / self.power), (longest / low) ** (1 / self.power)
        return np.geomspace(low, high, POINTS)
