"""Limit plots over two mass axes: the observed limit as a map of colours, the local significance below it."""

from collections.abc import Hashable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from scanner.errors import InputError
from scanner.plots import curves, frame, labels, style
from scanner.plots.curves import Floats

HEIGHT = 3.6
"""Of a map [inch]."""
LIMIT_COLOURS, SIGNIFICANCE_COLOURS = "viridis", "magma_r"
HIGHEST_Z = 5.0
"""Local significance at the end of its colours, where no excess is larger."""


def is_plane(cube: xr.Dataset) -> bool:
    """Whether a cube is over two mass axes, with more than one point on the second."""
    return "region" in cube.coords and cube["region"].ndim == 2 and cube["region"].shape[1] > 1


@style.styled
def plane_plot(cube: xr.Dataset, variable: str | None = None) -> Figure:
    """Draw one limit of a cube over the plane of its two mass axes, with the local significance below it.

    Parameters
    ----------
    cube : Dataset
        Limit cube over two mass axes: `<variable>_limit`, or else the median of `<variable>_limit_expected`,
        and `z_local` where there is one, other dimensions selected.
    variable : str, optional
        coupling, cross_section, branching_fraction or yield; the first of these that the cube has.

    Returns
    -------
    Figure
        Points that are not scanned, or have no limit, are grey.

    Raises
    ------
    InputError
        If the cube has no such limit, or more dimensions than the two masses.
    """
    cube = curves.single(cube)
    label = curves.array(cube, curves.choose(cube, variable))
    limit = label if "quantile" not in label.dims else label.sel(quantile=0.5)
    first, second = map(str, cube["region"].dims)
    maps = [limit, *([cube["z_local"]] if "z_local" in cube else [])]
    for drawn in maps:
        if set(drawn.dims) != {first, second}:
            further = sorted(str(name) for name in set(drawn.dims) - {first, second})
            raise InputError(
                f"{drawn.name} is also over {', '.join(further)}: select a point with cube.sel(...)"
            )
    figure, panels = style.panels([HEIGHT] * len(maps))
    _limit(figure, panels[0], cube, limit, (first, second))
    if len(maps) > 1:
        _significance(figure, panels[1], cube, maps[1], (first, second))
    panels[-1].set_xlabel(labels.axis(cube, first))
    frame.header(panels[0], cube.attrs)
    return figure


def _limit(
    figure: Figure, axes: Axes, cube: xr.Dataset, limit: xr.DataArray, names: tuple[Hashable, Hashable]
) -> None:
    values = curves.drawable(limit.transpose(*names).values)
    there = values[np.isfinite(values)]
    if not there.size:
        raise InputError(f"{limit.name} has no value at any point of the plane: look at the cube's status")
    low, high = float(there.min()), float(there.max())
    norm = LogNorm(low, high if high > low else 1.1 * low)
    _draw(figure, axes, cube, values, names, norm, LIMIT_COLOURS, labels.quantity(limit))
    title = labels.heading(cube.attrs, what="upper limits")
    axes.text(0.02, 0.97, title, transform=axes.transAxes, va="top", size=10.5, zorder=5.0)


def _significance(
    figure: Figure, axes: Axes, cube: xr.Dataset, z: xr.DataArray, names: tuple[Hashable, Hashable]
) -> None:
    values = np.array(z.transpose(*names).values, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    highest = np.nanmax(values, initial=HIGHEST_Z)
    norm = Normalize(0.0, float(highest))
    _draw(figure, axes, cube, values, names, norm, SIGNIFICANCE_COLOURS, r"Local significance $[\sigma]$")


def _draw(
    figure: Figure,
    axes: Axes,
    cube: xr.Dataset,
    values: Floats,
    names: tuple[Hashable, Hashable],
    norm: Normalize,
    colours: str,
    label: str,
) -> None:
    """Draw one map; a cell of a point reaches half way to its neighbours."""
    horizontal, vertical = (_edges(np.asarray(cube[name].values, dtype=np.float64)) for name in names)
    axes.set_facecolor(style.GAP)
    mesh = axes.pcolormesh(
        horizontal, vertical, values.T, norm=norm, cmap=colours, rasterized=True, shading="flat"
    )
    axes.set_xlim(horizontal[0], horizontal[-1])
    axes.set_ylim(vertical[0], vertical[-1])
    axes.set_ylabel(labels.axis(cube, names[1]))
    figure.colorbar(mesh, ax=axes, pad=0.02).set_label(label)


def _edges(values: Floats) -> Floats:
    """Return the edges (N + 1,) of cells around rising values (N,)."""
    if len(values) == 1:
        room = 0.05 * abs(values[0]) or 1.0
        return np.array([values[0] - room, values[0] + room])
    middle = 0.5 * (values[1:] + values[:-1])
    return np.concatenate(([2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]))
