"""Projection plots: the expected limit over the mass at several luminosities."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scanner.errors import InputError
from scanner.plots import curves, frame, labels, overlays, pieces, style
from scanner.plots.curves import Floats, LimitCurve
from scanner.plots.overlays import Overlay

SPACING = 0.055
"""Least distance of two labels at the right edge, as a fraction of the axis."""
HEADROOM = 0.45
"""Room for the legend above the curves, as a fraction of the decades that they span."""


@style.styled
def projection_plot(
    projection: xr.Dataset,
    variable: str | None = None,
    overlay: Overlay | Iterable[Overlay] | None = None,
) -> Figure:
    """Draw the median expected limit over the mass, a colour a luminosity and a line style a scenario.

    Parameters
    ----------
    projection : Dataset
        `<variable>_limit_expected` (mass, quantile, luminosity[, scenario]), with the coordinate
        `luminosity` [fb⁻¹]; the lowest of the first scenario is drawn with its bands. The attribute
        `systematics` is a remark in the legend where there is one scenario.
    variable : str, optional
        coupling, cross_section, branching_fraction or yield; the first of these that there is.
    overlay : Overlay or several, optional
        Published limits in the unit of the variable, instead of those in the attribute `published`.

    Raises
    ------
    InputError
        If there is no luminosity, no such limit, no windows, or more than one scan axis.
    """
    projection = _prepare(projection)
    name = curves.choose(projection, variable)
    figure, (axes,) = style.panels([3.9])
    reaches = tuple(_reaches(projection, name))
    first = reaches[0].curve
    pieces.gaps(axes, first, frame.filled(HEADROOM))
    pieces.band(axes, first, first.expected[:, [0, 4]], style.BAND_95, f"95% expected, {reaches[0].label}")
    pieces.band(axes, first, first.expected[:, [1, 3]], style.BAND_68, f"68% expected, {reaches[0].label}")
    for reach in reaches:
        median = reach.curve.expected[:, 2]
        pieces.line(axes, reach.curve, median, "", linestyle=reach.linestyle, colour=reach.colour, width=1.4)
    published = overlays.choose(projection, name, overlay)
    values = [pieces.overlay(axes, first, entry, i) for i, entry in enumerate(published)]
    values += [first.expected.ravel(), *(reach.curve.expected[:, 2] for reach in reaches)]
    numbers = np.concatenate(values)
    frame.value_axis(axes, numbers[np.isfinite(numbers)], HEADROOM)
    _name_ends(axes, reaches)
    _scenarios(axes, reaches)
    _finish(axes, projection, name, first)
    return figure


@dataclass(frozen=True)
class Reach:
    """The expected limit at one luminosity in one scenario, and how it is drawn."""

    label: str
    scenario: str
    colour: str
    linestyle: str
    curve: LimitCurve


def _prepare(projection: xr.Dataset) -> xr.Dataset:
    projection = curves.single(projection)
    for dimension in ("luminosity", "scenario"):
        if dimension in projection.coords and dimension not in projection.dims:
            projection = projection.expand_dims(dimension)
    if not projection.sizes.get("luminosity"):
        raise InputError("the dataset has no luminosities to draw: make one with `darkscan project`")
    return projection.sortby("luminosity")


def _reaches(projection: xr.Dataset, variable: str) -> Iterator[Reach]:
    scenarios = range(projection.sizes["scenario"]) if "scenario" in projection.dims else (None,)
    for number, scenario in enumerate(scenarios):
        chosen = projection if scenario is None else projection.isel(scenario=scenario)
        for index, luminosity in enumerate(projection["luminosity"].values.tolist()):
            yield Reach(
                labels.luminosity(luminosity),
                "" if scenario is None else labels.plain(chosen["scenario"].item()),
                style.SEQUENCE[index % len(style.SEQUENCE)],
                style.LINE_STYLES[number % len(style.LINE_STYLES)],
                curves.read(chosen.isel(luminosity=index), variable),
            )


def _name_ends(axes: Axes, reaches: tuple[Reach, ...]) -> None:
    """Write the luminosity of each curve of the first scenario beside its end, and keep the labels apart."""
    first = [r for r in reaches if r.scenario == reaches[0].scenario]
    named = [r for r in first if np.isfinite(r.curve.expected[:, 2]).any()]
    if not named:
        return
    low, high = np.log10(axes.get_ylim())
    ends = [_last(reach.curve.expected[:, 2]) for reach in named]
    places = _apart((np.log10(ends) - low) / (high - low))
    for reach, place in zip(named, places, strict=True):
        axes.annotate(
            reach.label,
            (1.0, place),
            (5.0, 0.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=reach.colour,
            annotation_clip=False,
        )


def _last(values: Floats) -> float:
    return float(values[np.isfinite(values)][-1])


def _apart(places: Floats) -> Floats:
    """Move places as little as possible (least squares) until neighbours are `SPACING` apart.

    With the spacing taken off, this is isotonic regression, by pooling adjacent violators.
    """
    order = np.argsort(places, kind="stable")
    steps = SPACING * np.arange(len(places))
    pools: list[tuple[float, int]] = []
    for place in (places[order] - steps).tolist():
        mean, size = place, 1
        while pools and pools[-1][0] > mean:
            above, count = pools.pop()
            mean, size = (above * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    apart = np.empty_like(places)
    apart[order] = np.concatenate([np.full(size, mean) for mean, size in pools]) + steps
    return apart


def _scenarios(axes: Axes, reaches: tuple[Reach, ...]) -> None:
    """Add one legend entry a scenario, where there are any."""
    for scenario, linestyle in dict.fromkeys((r.scenario, r.linestyle) for r in reaches):
        if scenario:
            axes.plot([], [], color="0.25", linewidth=1.4, linestyle=linestyle, label=scenario)


def _finish(axes: Axes, projection: xr.Dataset, name: str, curve: LimitCurve) -> None:
    axis = curves.scan_axis(projection, curves.array(projection, name), ("luminosity", "scenario"))
    axes.set_ylabel(labels.quantity(curves.array(projection, name)))
    remark = "" if "scenario" in projection.dims else str(projection.attrs.get("systematics", ""))
    frame.legend(axes, labels.heading(projection.attrs, what="median expected upper limits", remark=remark))
    frame.mass_axis(axes, curve.mass, labels.axis(projection, axis))
    frame.header(axes, projection.attrs, with_luminosity=False)
