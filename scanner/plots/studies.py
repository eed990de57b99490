"""Plots of studies: linearity and pulls, coverage by mass, spurious signals."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scanner.errors import InputError
from scanner.plots import curves, frame, labels, style

HEADROOM = 0.5
"""Room for a legend, in heights of what is drawn."""


@style.styled
def study_plot(cube: xr.Dataset) -> Figure:
    """Draw the cube of a study over the mass.

    Parameters
    ----------
    cube : Dataset
        A cube of `darkscan study` with one scan axis and one configuration.

    Returns
    -------
    Figure
        Linearity: slope of the line, mean and width of the pulls. Coverage: its fraction with binomial
        errors against the confidence level. Bias: spurious signal of each truth in units of its error,
        and the largest one in events.

    Raises
    ------
    InputError
        If the cube is of no study, or holds several configurations.
    """
    kind = str(cube.attrs.get("study", ""))
    if kind not in PANELS:
        raise InputError(f"this cube is of no study that can be drawn: {kind or 'a scan'}")
    cube = curves.single(cube)
    axis = str(cube["region"].dims[0])
    mass = np.asarray(cube[axis].values, dtype=np.float64)
    panels = PANELS[kind]
    figure, axes = style.panels([2.6] * len(panels))
    for panel, draw in zip(axes, panels, strict=True):
        draw(panel, cube, mass)
    frame.mass_axis(axes[-1], mass, labels.axis(cube, axis))
    frame.header(axes[0], cube.attrs)
    return figure


def _slope(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    axes.axhline(1.0, color=style.LINE, linewidth=0.8)
    if "slope" in cube:
        _points(axes, mass, cube["slope"], cube["slope_error"], style.MEDIAN, None)
    axes.set_ylabel("Slope fitted/injected")


def _pull_means(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    _strengths(axes, cube, mass, "pull_mean", 0.0)
    axes.set_ylabel("Mean pull")
    _headroom(axes)
    frame.legend(axes, _injected(cube))


def _pull_widths(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    _strengths(axes, cube, mass, "pull_width", 1.0)
    axes.set_ylabel("Width of the pulls")


def _strengths(axes: Axes, cube: xr.Dataset, mass: curves.Floats, name: str, aim: float) -> None:
    axes.axhline(aim, color=style.LINE, linewidth=0.8)
    for number, strength in enumerate(cube["injected"].values):
        part = cube.isel(injected=number)
        colour = style.SEQUENCE[number % len(style.SEQUENCE)]
        _points(axes, mass, part[name], part[f"{name}_error"], colour, f"{strength:g}")


def _points(
    axes: Axes,
    mass: curves.Floats,
    values: xr.DataArray,
    errors: xr.DataArray,
    colour: str,
    label: str | None,
) -> None:
    axes.errorbar(
        mass,
        values.to_numpy(),
        errors.to_numpy(),
        fmt="o",
        markersize=2.5,
        elinewidth=0.7,
        color=colour,
        label=label,
    )


def _headroom(axes: Axes) -> None:
    """Leave room for a legend above what is drawn."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + HEADROOM * (high - low))


def _injected(cube: xr.Dataset) -> str:
    return labels.plain(str(cube["injected"].attrs.get("long_name", "injected")), 60)


def _coverage(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    axes.axhline(float(cube.attrs["confidence_level"]), color=style.LINE, linewidth=0.8, linestyle="--")
    for number, strength in enumerate(cube["injected"].values):
        part = cube.isel(injected=number)
        colour = style.SEQUENCE[number % len(style.SEQUENCE)]
        value = part["coverage"].to_numpy()
        ends = [value - part["coverage_low"].to_numpy(), part["coverage_high"].to_numpy() - value]
        axes.errorbar(
            mass,
            value,
            np.maximum(np.nan_to_num(ends), 0.0),
            fmt="o",
            markersize=2.5,
            elinewidth=0.7,
            color=colour,
            label=f"{strength:g}",
        )
    axes.set_ylabel("Coverage")
    _headroom(axes)
    frame.legend(axes, _injected(cube))


def _significance(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    axes.axhline(0.0, color=style.LINE, linewidth=0.8)
    for number, name in enumerate(cube["truth"].values):
        colour = style.SEQUENCE[number % len(style.SEQUENCE)]
        values = cube["fitted_significance"].isel(truth=number).to_numpy()
        axes.plot(mass, values, color=colour, label=labels.plain(str(name).replace("_", " ")))
    axes.set_ylabel("Spurious signal / error")
    _headroom(axes)
    frame.legend(axes, "Background truth")


def _spurious(axes: Axes, cube: xr.Dataset, mass: curves.Floats) -> None:
    axes.plot(mass, cube["spurious_signal"].to_numpy(), color=style.MEDIAN)
    axes.set_ylabel("Largest spurious signal")
    axes.set_ylim(bottom=0.0)


Panel = Callable[[Axes, xr.Dataset, curves.Floats], None]
PANELS: dict[str, tuple[Panel, ...]] = {
    "linearity": (_slope, _pull_means, _pull_widths),
    "coverage": (_coverage,),
    "bias": (_significance, _spurious),
}
"""Panels of each kind of study, from the top."""
