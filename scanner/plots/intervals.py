"""Excluded intervals of a coupling that sets rate and lifetime: the regions between their ends."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.plots import curves, frame, labels, overlays, style
from scanner.plots.curves import Floats

LOW, HIGH = "coupling_low", "coupling_high"
EXCLUDED = "excluded"
"""What asks for the intervals of all interpretations, or followed by _NAME for those of one."""
REGION, MEDIAN, CUT_OFF = "Observed", "Median expected", "The scan ends"
HEIGHT = 3.0
"""Of a panel [inch]."""
ALONE = 3.0
"""Width [points] of an interval that no neighbouring mass continues."""


@dataclass(frozen=True)
class Intervals:
    """Excluded intervals over masses in rising order: two ends of each, NaN where there is none.

    Attributes
    ----------
    mass : (M,) float
    ends : (M, N, 2) float
        Lower and upper ends of N intervals at most.
    cut : (M, N, 2) bool
        Whether the scan ends there, and not the excluded couplings.
    """

    mass: Floats
    ends: Floats
    cut: NDArray[np.bool_]

    def joined(self) -> Iterator[tuple[int, int, int]]:
        """Yield (m, n, k) for intervals n at mass m and k at the next one that overlap."""
        for m in range(len(self.mass) - 1):
            here, there = self.ends[m][:, None], self.ends[m + 1][None]
            overlap = np.minimum(here[..., 1], there[..., 1]) >= np.maximum(here[..., 0], there[..., 0])
            yield from ((m, int(n), int(k)) for n, k in zip(*np.nonzero(overlap), strict=True))

    def chains(self) -> list[list[tuple[int, int]]]:
        """List runs of overlapping intervals as places (m, n), each pair of neighbours once."""
        found: list[list[tuple[int, int]]] = []
        last: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for m, n, k in self.joined():
            chain = last.pop((m, n), None)
            if chain is None:
                found.append(chain := [(m, n)])
            chain.append((m + 1, k))
            last.setdefault((m + 1, k), chain)
        return found

    def alone(self) -> NDArray[np.bool_]:
        """Mark intervals (M, N) that overlap with none at a neighbouring mass."""
        found = np.asarray(np.isfinite(self.ends).all(axis=2))
        for m, n, k in self.joined():
            found[m, n] = found[m + 1, k] = False
        return found


def names(cube: xr.Dataset) -> tuple[str, ...]:
    """List the interpretations of a cube that have intervals, as what is added to `coupling_low`."""
    found = (str(name).removeprefix(LOW) for name in cube.data_vars if str(name).startswith(LOW))
    return tuple(name for name in found if "_expected" not in name and "_open" not in name)


def chosen(cube: xr.Dataset, variable: str) -> tuple[str, ...]:
    """Return the interpretations that `excluded` or `excluded_NAME` asks for.

    Raises
    ------
    InputError
        If the cube has none of them.
    """
    found = names(cube)
    wanted = found if variable == EXCLUDED else tuple(n for n in found if EXCLUDED + n == variable)
    if not wanted:
        have = ", ".join([EXCLUDED, *(EXCLUDED + n for n in found if n)]) if found else "none"
        raise InputError(f"the cube has no intervals {variable!r}: it has {have}")
    return wanted


@style.styled
def interval_plot(cube: xr.Dataset, variable: str = EXCLUDED) -> Figure:
    """Draw the excluded intervals of a coupling over the mass, a panel for each interpretation.

    Parameters
    ----------
    cube : Dataset
        Limit cube with `coupling_low` and `coupling_high` (mass, interval), other dimensions selected; outer
        axes such as lifetimes are no dimensions of these.
    variable : str
        `excluded` for all interpretations, or `excluded_NAME` for one of those after the first.

    Returns
    -------
    Figure
        Ends that the scan cuts off are dotted: more may be excluded beyond.

    Raises
    ------
    InputError
        If the cube has no intervals, or those of several configurations.
    """
    cube = curves.single(cube)
    shown = chosen(cube, variable)
    axis = curves.scan_axis(cube, cube[LOW + shown[0]], ("interval",))
    figure, panels = style.panels([HEIGHT] * len(shown))
    for panel, name in zip(panels, shown, strict=True):
        draw(panel, cube, name, labels.heading(cube.attrs, what="excluded") if panel is panels[0] else "")
    frame.mass_axis(panels[-1], np.asarray(cube[axis].values, dtype=np.float64), labels.axis(cube, axis))
    frame.header(panels[0], cube.attrs)
    return figure


def draw(axes: Axes, cube: xr.Dataset, name: str, title: str) -> None:
    """Draw the intervals of one interpretation on given axes: observed ones filled, median ones as a line."""
    found = read(cube, name)
    values = [known.ends[np.isfinite(known.ends)] for known in found.values()]
    if REGION in found:
        _fill(axes, found[REGION])
        _outline(axes, found[REGION], {"color": style.LINE, "linewidth": 1.0, "zorder": 3.0})
    if MEDIAN in found:
        drawn = {"color": style.MEDIAN, "linewidth": 1.4, "linestyle": "--", "zorder": 2.9, "label": MEDIAN}
        _outline(axes, found[MEDIAN], drawn)
    for number, known in enumerate(overlays.published(cube, "coupling") if not name else ()):
        colour = style.OVERLAYS[1 + number % 3]
        axes.plot(known.mass, known.value, color=colour, linewidth=1.3, label=labels.plain(known.label))
    frame.value_axis(axes, np.concatenate(values), frame.HEADROOM, "nothing is excluded")
    about = cube[LOW + name].attrs
    axes.set_ylabel(labels.with_unit(labels.plain(about.get("symbol", "coupling")), about.get("units", "")))
    lines = [title, labels.plain(about.get("model", ""))]
    frame.legend(axes, "\n".join(line for line in lines if line), (REGION, MEDIAN))


def read(cube: xr.Dataset, name: str) -> dict[str, Intervals]:
    """Return the intervals of an interpretation by their label: observed and median expected ones."""
    axis, found = curves.scan_axis(cube, cube[LOW + name], ("interval",)), {}
    for label, suffix in ((REGION, ""), (MEDIAN, "_expected")):
        if f"{LOW}{suffix}{name}" not in cube:
            continue
        both = [cube[f"{end}{suffix}{name}"] for end in (LOW, HIGH)]
        cut = [cube.get(f"{end}_open{suffix}{name}", xr.zeros_like(both[0])) for end in (LOW, HIGH)]
        ends, open_ = (
            np.stack([_median(part).transpose(axis, "interval").to_numpy() for part in parts], axis=-1)
            for parts in (both, cut)
        )
        mass = np.asarray(cube[axis].values, dtype=np.float64)
        found[label] = Intervals(mass, np.asarray(ends, dtype=np.float64), open_ == 1)
    return found


def _median(values: xr.DataArray) -> xr.DataArray:
    return values.sel(quantile=0.5) if "quantile" in values.dims else values


def _fill(axes: Axes, found: Intervals) -> None:
    """Fill the regions between the ends, from mass to mass, and intervals that stand alone."""
    m = found.mass
    shapes = [
        [(m[i], low), (m[i + 1], beyond), (m[i + 1], above), (m[i], high)]
        for i, n, k in found.joined()
        for (low, high), (beyond, above) in [(found.ends[i, n], found.ends[i + 1, k])]
    ]
    region = PolyCollection(
        shapes, facecolor=style.BAND_68, edgecolor=style.BAND_68, linewidth=0.4, zorder=1.0
    )
    region.set_label(REGION if shapes else "")
    axes.add_collection(region)
    single = np.nonzero(found.alone())
    if single[0].size:
        axes.vlines(m[single[0]], *found.ends[single].T, color=style.BAND_68, linewidth=ALONE, zorder=1.0)


def _outline(axes: Axes, found: Intervals, drawn: dict[str, Any]) -> None:
    """Draw the ends from mass to mass, dotted where the scan cuts them off."""
    dotted = {**drawn, "color": style.SIGNAL, "linestyle": ":", "linewidth": 1.8, "label": CUT_OFF}
    for chain in found.chains():
        places = tuple(np.array(chain).T)
        for end in (0, 1):
            values, cut = found.ends[places][:, end], found.cut[places][:, end]
            for kept, how in ((_beside(~cut), drawn), (cut, dotted)):
                if kept.any():
                    axes.plot(found.mass[places[0]], np.where(kept, values, np.nan), **how)


def _beside(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark flagged places and their neighbours."""
    padded = np.concatenate(([False], flags, [False]))
    found: NDArray[np.bool_] = padded[:-2] | padded[1:-1] | padded[2:]
    return found
