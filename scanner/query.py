"""The accessor `ds.limits`: questions that people ask of a limit cube."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from scanner.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scanner.significance.plane import PlaneSignificance


SOUND = ("ok", "positivity_boundary", "second_opinion")
"""Statuses of windows whose fit can be believed."""


@dataclass(frozen=True)
class Excess:
    """The window with the largest local significance; in a plane, `axis` and `mass` are of the first axis."""

    axis: str
    mass: float
    p_local: float
    z_local: float
    signal_yield: float
    signal_yield_error: float
    place: dict[str, float] = field(default_factory=dict)
    """Masses [GeV] by the name of their axis."""


@xr.register_dataset_accessor("limits")
class Limits:
    """Limits of a cube, as `cube.limits`."""

    def __init__(self, cube: xr.Dataset) -> None:
        self._cube = cube

    @property
    def axis(self) -> str:
        """Name of the mass axis.

        Raises
        ------
        InputError
            If the cube has two, or none.
        """
        if len(self.axes) != 1:
            raise InputError(f"this cube is over {' and '.join(self.axes)}: this is about one mass axis")
        return self.axes[0]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the mass axes: one, or the two of a plane."""
        if "region" not in self._cube.coords:
            raise InputError("this dataset is no limit cube: it has no mass axis with regions")
        return tuple(map(str, self._cube["region"].dims))

    def at(self, **point: Any) -> xr.Dataset:
        """Select the window nearest to a point.

        Parameters
        ----------
        **point
            Masses [GeV] by the name of their axis; further coordinates by label.

        Raises
        ------
        InputError
            If a name is not an axis of the cube, or the point lies outside of it.

        Examples
        --------
        ``cube.limits.at(m_zprime=3.2)["coupling_limit"]``
        """
        cube = self._cube
        for name, value in point.items():
            if name not in cube.dims:
                raise InputError(f"{name!r} is no axis of this cube: it has {', '.join(map(str, cube.dims))}")
            cube = (
                cube.sel({name: value})
                if cube[name].dtype.kind in "UTO"
                else self._nearest(cube, name, float(value))
            )
        return cube

    @staticmethod
    def _nearest(cube: xr.Dataset, name: str, value: float) -> xr.Dataset:
        axis = cube[name].to_numpy()
        if not axis.min() <= value <= axis.max():
            raise InputError(
                f"{name} = {value:g} is outside of the cube, which covers {axis.min():g} to {axis.max():g}"
            )
        return cube.isel({name: int(np.argmin(np.abs(axis - value)))})

    def excluded(self, coupling: float | xr.DataArray) -> xr.DataArray:
        """Tell where a coupling is excluded: at or above the observed limit.

        Parameters
        ----------
        coupling : float or DataArray
            One value, or one for each mass.
        """
        if "coupling_limit" not in self._cube:
            raise InputError(
                "this cube has no coupling limit: its search names no model, or the luminosity is unknown"
            )
        return self._cube["coupling_limit"] <= coupling

    def tied(self) -> xr.DataArray:
        """Tell where a systematic may make a limit stronger: toys of windows of less than one event.

        Data sets of the same few events are then told apart by their fluctuating global observables, so that
        the limit is free of the caution of discrete counts.
        """
        cube, known = self._cube, str(self._cube.attrs.get("systematics", "none")).startswith("none")
        toys = [code for code, word in self.flags("method").items() if word in ("toys", "feldman_cousins")]
        many = cube["n_background"] >= 1.0 if "n_background" in cube else True
        found: xr.DataArray = cube["method"].isin([] if known else toys) & np.logical_not(many)
        return found

    def has_significance(self) -> bool:
        """Tell whether any window has a sound fit and with it a local significance."""
        return bool(_sound_z(self._cube).notnull().any())

    def largest_excess(self) -> Excess:
        """Return the window with the largest local significance among those with a sound fit.

        Raises
        ------
        InputError
            If no window has a significance.
        """
        if not self.has_significance():
            raise InputError("no window of this cube has a significance: look at its status variable")
        best = self._cube.isel(_sound_z(self._cube).argmax(...))
        names = ("p_local", "z_local", "signal_yield", "signal_yield_error")
        values = {name: float(best[name]) for name in names}
        place = {name: float(best[name]) for name in self.axes}
        return Excess(axis=self.axes[0], mass=place[self.axes[0]], place=place, **values)

    def plane_significance(self, toys: xr.Dataset) -> "PlaneSignificance":
        """Return the global significance of the largest excess over two mass axes.

        An empty window has no excess; one without a sound fit is not looked at. See
        `scanner.significance.plane.plane_significance`.

        Parameters
        ----------
        toys : Dataset
            `z_local` and `status` of the scans of toys without signal, concatenated along `toy`.

        Raises
        ------
        InputError
            If the cube has not two mass axes, or those of the toys differ.

        Examples
        --------
        ``toys = xr.concat([scan[["z_local", "status"]] for scan in scans], "toy")``
        ``cube.attrs |= cube.limits.plane_significance(toys).attributes()``
        """
        from scanner.significance.plane import plane_significance

        return plane_significance(_excess_map(self._cube), _excess_map(toys))

    def flags(self, name: str) -> dict[int, str]:
        """Return what each value of a flag variable means, or each bit of one whose bits add up.

        `status`, `method` and `fit_rung` have values, `fit_attempts` and `outliers` bits.
        """
        return _flags(self._cube[name])

    def has_status(self, *words: str) -> xr.DataArray:
        """Tell which windows have one of these statuses."""
        return _where_status(self._cube, words)

    def meanings(self, name: str) -> dict[int, str]:
        """Return what every value of a flag variable says; bits are joined by +, without any it is `none`."""
        flags = self.flags(name)
        if "flag_masks" not in self._cube[name].attrs:
            return flags
        values = range(2 * max(flags))
        return {v: "+".join(word for bit, word in flags.items() if v & bit) or "none" for v in values}

    def project(self, luminosities: Sequence[float], scenario: str = "statistical") -> xr.Dataset:
        """Project to other luminosities [fb⁻¹]; see `scanner.projection.project`."""
        from scanner.projection import project

        return project(self._cube, luminosities, scenario)

    def plot(self, **options: Any) -> "Figure":
        """Draw the limits; see `scanner.plots.limit_plot`."""
        from scanner.plots import limit_plot

        return limit_plot(self._cube, **options)


def _flags(variable: xr.DataArray) -> dict[int, str]:
    values = variable.attrs["flag_values" if "flag_values" in variable.attrs else "flag_masks"]
    return dict(zip(map(int, values), variable.attrs["flag_meanings"].split(), strict=True))


def _where_status(cube: xr.Dataset, words: Sequence[str]) -> xr.DataArray:
    return cube["status"].isin([code for code, word in _flags(cube["status"]).items() if word in words])


def _sound_z(cube: xr.Dataset) -> xr.DataArray:
    """Return the local significances, NaN where the fit is not sound."""
    return cube["z_local"].where(_where_status(cube, SOUND))


def _excess_map(cube: xr.Dataset) -> xr.DataArray:
    """Return the local significances, 0 in empty windows, NaN where a fit is not sound."""
    return _sound_z(cube).where(~_where_status(cube, ("empty_window",)), 0.0)
