"""The frame around the curves: ranges of the axes, the line of text above them, the legend inside."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from scanner.plots import labels
from scanner.plots.curves import Floats

FOOTROOM = 0.06
HEADROOM = 0.6
LITTLE_HEADROOM = 0.3
"""Room below the curves, above them for a whole legend and for one line of it: fractions of their decades."""
LEAST_DECADES = 0.8
MOST_LETTERS = 20
"""Letters of an experiment's name, and of the kind of data, that have room."""
PLAIN_DECADES = (-2.1, 3.1)
"""Powers of ten between which a logarithmic axis has plain numbers."""
LOG_MASS_RATIO = 100.0
"""Masses that span more than this are drawn on a logarithmic axis."""


class PlainLog(LogFormatter):
    """Labels the ticks that a logarithmic axis chooses by plain numbers: 0.1 rather than 1e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick, empty where there is none."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def mass_axis(axes: Axes, mass: Floats, label: str) -> None:
    """Set range and label of the horizontal axis for masses (W,) in any order."""
    low, high = float(mass.min()), float(mass.max())
    if low > 0.0 and high > LOG_MASS_RATIO * low:
        axes.set_xscale("log")
    margin = 0.0 if high > low else 0.05 * abs(high) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel(label)


def filled(headroom: float) -> float:
    """Return the fraction of a vertical axis that lies below the highest value."""
    return (1.0 + FOOTROOM) / (1.0 + FOOTROOM + headroom)


def value_axis(axes: Axes, values: Floats, headroom: float, nothing: str = "no limit in any window") -> None:
    """Set the range of a logarithmic vertical axis around positive values (N,), with room above them."""
    axes.set_yscale("log")
    if not values.size:
        axes.set_ylim(0.1, 10.0)
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center")
        return
    low, high = np.log10(values.min()), np.log10(values.max())
    decades = max(high - low, LEAST_DECADES)
    axes.set_ylim(10.0 ** (low - FOOTROOM * decades), 10.0 ** (high + headroom * decades))
    if low > PLAIN_DECADES[0] and high < PLAIN_DECADES[1]:
        axes.yaxis.set_major_formatter(PlainLog())
        axes.yaxis.set_minor_formatter(PlainLog())


def header(axes: Axes, attributes: Mapping[Any, Any], *, with_luminosity: bool = True) -> None:
    """Write experiment and kind of data above the left corner, luminosity and energy above the right.

    Parameters
    ----------
    attributes : mapping
        `experiment`, `data_kind` (drawn unless it is "data"), `luminosity` [fb⁻¹], `sqrt_s` [GeV];
        each may be missing.
    """
    above: dict[str, Any] = {"textcoords": "offset points", "va": "bottom", "annotation_clip": False}
    kind = str(attributes.get("data_kind", "data"))
    experiment = axes.annotate(
        labels.plain(attributes.get("experiment") or "", MOST_LETTERS),
        (0.0, 1.0),
        (0.0, 4.0),
        xycoords="axes fraction",
        weight="bold",
        size=14.0,
        **above,
    )
    if kind != "data":
        axes.annotate(
            labels.plain(kind, MOST_LETTERS),
            (1.0, 0.0),
            (6.0, 0.0),
            xycoords=experiment,
            style="italic",
            **above,
        )
    right = labels.data(attributes, with_luminosity=with_luminosity)
    axes.annotate(right, (1.0, 1.0), (0.0, 4.0), xycoords="axes fraction", ha="right", **above)


def legend(axes: Axes, title: str, first: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
    """Draw a legend of two columns at the top left; entries in `first` lead, those in `without` stay out."""
    handles, names = axes.get_legend_handles_labels()
    shown = [i for i, name in enumerate(names) if name not in (*without, *names[:i])]
    order = sorted(shown, key=lambda i: first.index(names[i]) if names[i] in first else len(first))
    if not order:
        return
    drawn = axes.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        title=title,
        loc="upper left",
        ncols=2,
        alignment="left",
        frameon=True,
        framealpha=0.9,
        edgecolor="none",
        borderaxespad=0.6,
    )
    drawn.set_zorder(6.0)
    drawn.set_in_layout(False)  # however wide it is, the axes keep their size
