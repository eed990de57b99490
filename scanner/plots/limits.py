"""Limit plots: observed and expected limits over the mass, with the local significance below."""

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from scanner.plots import curves, frame, intervals, labels, overlays, pieces, planes, style
from scanner.plots.overlays import Overlay

FIRST = (pieces.OBSERVED, pieces.MEDIAN, pieces.BAND_68, pieces.BAND_95)
"""Legend entries in the order of their importance."""


def draw(cube: xr.Dataset, variable: str = "all") -> Figure:
    """Draw the named limit of a cube (see `limit_plot`), or all of them (see `overview_plot`).

    `excluded` draws the excluded intervals of its couplings (see `interval_plot`).
    """
    if variable.startswith(intervals.EXCLUDED):
        return intervals.interval_plot(cube, variable)
    return overview_plot(cube) if variable == "all" else limit_plot(cube, variable)


@style.styled
def limit_plot(
    cube: xr.Dataset,
    variable: str | None = None,
    overlay: Overlay | Iterable[Overlay] | None = None,
) -> Figure:
    """Draw one limit of a cube over the mass, with the local significance below it.

    Parameters
    ----------
    cube : Dataset
        Limit cube over one scan axis: `<variable>_limit` (mass,), `<variable>_limit_expected`
        (mass, quantile) in the units of their attributes, `z_local` (mass,) where there is one, and
        a coordinate `region` (mass,) where several regions are not to be joined.
    variable : str, optional
        coupling, cross_section, branching_fraction or yield; the first of these that the cube has.
    overlay : Overlay or several, optional
        Published limits in the unit of the variable, instead of those in the cube's attribute `published`.

    Returns
    -------
    Figure
        Masses without a limit (vetoes, failed fits) are gaps in every line, on grey. Limits over two mass
        axes are a map, see `scanner.plots.planes`.

    Raises
    ------
    InputError
        If the cube has no such limit, no windows, or more than one scan axis.
    """
    if planes.is_plane(cube):
        return planes.plane_plot(cube, variable)
    return _stack(cube, (curves.choose(cube, variable),), overlay)


@style.styled
def overview_plot(cube: xr.Dataset) -> Figure:
    """Draw every limit of a cube but the bare yield, stacked, the coupling lowest.

    Of a coupling that sets the lifetime too, the excluded intervals take the place of the limit.

    Parameters
    ----------
    cube : Dataset
        Limit cube over one scan axis, as for `limit_plot` and `interval_plot`.

    Raises
    ------
    InputError
        As `limit_plot`.
    """
    if planes.is_plane(cube):
        return planes.plane_plot(cube)
    islands = intervals.names(cube)
    aside = ("yield", "coupling") if islands else ("yield",)
    physical = tuple(q for q in reversed(curves.available(cube)) if q not in aside)
    return _stack(cube, physical or (curves.choose(cube, None),), None, islands)


def _stack(
    cube: xr.Dataset,
    variables: tuple[str, ...],
    overlay: Overlay | Iterable[Overlay] | None,
    islands: tuple[str, ...] = (),
) -> Figure:
    cube = curves.single(cube)
    axis = curves.scan_axis(cube, curves.array(cube, variables[0]))
    heights = [3.4] + [2.5] * (len(variables) - 1 + len(islands)) + [1.15] * ("z_local" in cube)
    figure, axes = style.panels(heights)
    for panel, variable in zip(axes, variables, strict=False):
        curve = curves.read(cube, variable)
        headroom = frame.HEADROOM if panel is axes[0] else frame.LITTLE_HEADROOM
        pieces.limit(panel, curve, overlays.choose(cube, variable, overlay), headroom)
        panel.set_ylabel(labels.quantity(curves.array(cube, variable)))
        if panel is axes[0]:
            frame.legend(panel, labels.heading(cube.attrs, what="upper limits"), FIRST)
        else:
            frame.legend(panel, "", without=(*FIRST, pieces.NO_LIMIT))
    for panel, name in zip(axes[len(variables) :], islands, strict=False):
        intervals.draw(panel, cube, name, "Excluded")
    if "z_local" in cube:
        unit = str(cube[axis].attrs.get("units", "GeV"))
        pieces.significance(axes[-1], curve, np.array(cube["z_local"].values, dtype=np.float64), unit)
    frame.mass_axis(axes[-1], curve.mass, labels.axis(cube, axis))
    frame.header(axes[0], cube.attrs)
    return figure
