"""Plots of the data themselves: the whole spectrum, and one fitted window with its pulls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from scanner.errors import InputError
from scanner.plots import frame, labels, style
from scanner.plots.curves import Floats

LOG_RATIO = 50.0
"""Counts that span more than this are drawn on a logarithmic axis."""
PULL_RANGE = 3.5


@dataclass(frozen=True)
class Marker:
    """A place on a spectrum worth pointing at: its abscissa, and what to write there."""

    x: float
    label: str


@style.styled
def spectrum_plot(
    edges: ArrayLike,
    counts: ArrayLike,
    *,
    label: str,
    units: str = "GeV",
    markers: Iterable[Marker] = (),
    log: bool | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw the histogram of a whole spectrum with markers, for instance of the largest excesses.

    Parameters
    ----------
    edges : (B + 1,) array-like
        Rising edges of the bins [units].
    counts : (B,) array-like
        Candidates in each bin.
    label, units : str
        Name and unit of the observable.
    markers : several Marker
        Places to point at.
    log : bool, optional
        Logarithmic counts; by default where they span more than a factor of fifty.
    attributes : mapping, optional
        Attributes of a cube for the line above the panel: experiment, luminosity, sqrt_s.

    Raises
    ------
    InputError
        If the shapes do not fit, or the edges do not rise.
    """
    low, high = _bins(edges, counts)
    figure, (axes,) = style.panels([3.6])
    axes.stairs(high, low, color=style.LINE, linewidth=0.9, fill=False)
    _count_axis(axes, high, log)
    for marker in markers:
        _point(axes, marker, low, high)
    axes.set_ylabel("Candidates per bin")
    frame.mass_axis(axes, low, labels.with_unit(labels.plain(label), units))
    frame.header(axes, attributes or {})
    return figure


@style.styled
def window_plot(
    edges: ArrayLike,
    counts: ArrayLike,
    background: ArrayLike,
    signal: ArrayLike,
    *,
    label: str,
    units: str = "GeV",
    title: str = "",
    attributes: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw one fitted window: counts, background, signal on top of it, and the pulls below.

    Parameters
    ----------
    edges : (B + 1,) array-like
        Rising edges of the bins [units].
    counts, background, signal : (B,) array-like
        Candidates, fitted background and fitted signal (may be negative) in each bin.
    label, units : str
        Name and unit of the observable.
    title : str
        Heading of the legend, for instance the mass and the fitted yield.
    attributes : mapping, optional
        Attributes of a cube for the line above the panel: experiment, luminosity, sqrt_s.

    Notes
    -----
    A pull is (counts − expectation)/√expectation, where the expectation is background plus signal; a
    bin that expects nothing has none.

    Raises
    ------
    InputError
        If the shapes do not fit, or the edges do not rise.
    """
    axis, observed = _bins(edges, counts)
    base, total = _bins(edges, background)[1], _bins(edges, background)[1] + _bins(edges, signal)[1]
    centre = 0.5 * (axis[1:] + axis[:-1])
    figure, (upper, lower) = style.panels([3.2, 1.1])
    upper.stairs(total, axis, baseline=base, fill=True, color=style.SIGNAL, alpha=0.25, linewidth=0.0)
    upper.stairs(total, axis, baseline=None, color=style.SIGNAL, linewidth=1.3, label="Signal + background")
    upper.stairs(base, axis, baseline=None, color=style.BACKGROUND, linestyle="--", label="Background")
    errors = np.sqrt(observed)
    upper.errorbar(
        centre, observed, errors, fmt="o", markersize=3.0, color=style.LINE, elinewidth=0.8, label="Data"
    )
    top = np.nanmax(np.concatenate((observed + errors, total, [1.0])))
    upper.set_ylim(0.0, 1.45 * top)
    upper.set_ylabel("Candidates per bin")
    frame.legend(upper, labels.plain(title), ("Data",))
    frame.header(upper, attributes or {})
    _pulls(lower, axis, observed, total)
    frame.mass_axis(lower, axis, labels.with_unit(labels.plain(label), units))
    return figure


def _bins(edges: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    axis, content = np.asarray(edges, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if axis.ndim != 1 or content.shape != (axis.size - 1,) or not content.size:
        raise InputError(
            f"{content.size} bins of shape {content.shape} do not fit edges of shape {axis.shape}: "
            "give one edge more than bins, and at least one bin"
        )
    if not (np.diff(axis) > 0.0).all():
        raise InputError("the edges of a histogram must rise from each to the next")
    return axis, content


def _count_axis(axes: Axes, counts: Floats, log: bool | None) -> None:
    filled = counts[counts > 0.0]
    top = float(filled.max()) if filled.size else 1.0
    logarithmic = bool(filled.size and top > LOG_RATIO * filled.min()) if log is None else log
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(0.5 * (float(filled.min()) if filled.size else 1.0), 8.0 * top)
    else:
        axes.set_ylim(0.0, 1.25 * top)


def _point(axes: Axes, marker: Marker, edges: Floats, counts: Floats) -> None:
    """Put an arrow and a label above the bin that a marker falls into."""
    index = int(np.clip(np.searchsorted(edges, marker.x, side="right") - 1, 0, counts.size - 1))
    height = max(float(counts[index]), axes.get_ylim()[0])
    axes.annotate(
        labels.plain(marker.label),
        (marker.x, height),
        (0.0, 22.0),
        textcoords="offset points",
        ha="center",
        color=style.SIGNAL,
        arrowprops={"arrowstyle": "-|>", "color": style.SIGNAL, "linewidth": 0.9, "shrinkB": 3.0},
    )


def _pulls(axes: Axes, edges: Floats, counts: Floats, expected: Floats) -> None:
    known = expected > 0.0
    pulls = np.full(counts.shape, np.nan)
    pulls[known] = (counts[known] - expected[known]) / np.sqrt(expected[known])
    axes.bar(edges[:-1], pulls, np.diff(edges), align="edge", color="0.55", linewidth=0.0)
    largest = float(np.max(np.abs(pulls[known]), initial=0.0))
    reach = max(PULL_RANGE, 1.1 * largest)
    axes.set_ylim(-reach, reach)
    axes.axhline(0.0, color=style.LINE, linewidth=0.8)
    axes.set_ylabel("Pull")
