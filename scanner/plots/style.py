"""The look of every figure in one place: fonts, sizes, colours and frames.

The frame is that of the field's papers: ticks inside on all sides, the experiment in bold above the
left corner, luminosity and energy above the right one. The bands are light blue (68%) and yellow
(95%) instead of green and yellow: the two keep apart for readers with red-green colour blindness and
in grey print, and a black line stays readable on both.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Drawing = TypeVar("Drawing", bound=Callable[..., object])

WIDTH = 6.4
"""Width of a figure [inch]: two columns of a paper at 93%, or one slide."""
BAND_95, BAND_68 = "#FFDF7F", "#85D1FB"
LINE = "black"
MEDIAN = "#08407E"
OVERLAYS = ("#D55E00", "#7A21DD", "#009E73", "#B9AC70")
"""Colours of published limits."""
SIGNAL, BACKGROUND = "#D55E00", "#0072B2"
GAP = "#DEDEDE"
"""Grey of the masses without a limit."""
SEQUENCE = ("#A8690B", "#C0323F", "#832DB6", "#3F5FC4", "#0B7A75", "#2B3A42")
"""Colours of luminosities, in rising order."""
LINE_STYLES = ("-", "--", "-.", ":")

SETTINGS: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 12.0,
    "axes.labelsize": 13.0,
    "axes.linewidth": 0.9,
    "axes.axisbelow": False,
    "xtick.labelsize": 11.5,
    "ytick.labelsize": 11.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.size": 6.0,
    "ytick.major.size": 6.0,
    "xtick.minor.size": 3.0,
    "ytick.minor.size": 3.0,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "legend.fontsize": 10.5,
    "legend.title_fontsize": 11.0,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.35,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200.0,
    "figure.dpi": 100.0,
    "pdf.fonttype": 42,
    "svg.hashsalt": "darkscan",
}


def styled(function: Drawing) -> Drawing:
    """Run a function under the settings above, whatever the user has set, and restore those after it."""
    return style.context(SETTINGS, after_reset=True)(function)


def panels(heights: Sequence[float], *, inches: float | None = None) -> tuple[Figure, list[Axes]]:
    """Make a figure of stacked panels that share the horizontal axis.

    Parameters
    ----------
    heights : sequence of float
        Relative heights of the panels, from the top.
    inches : float, optional
        Height of the figure [inch].
    """
    layout = ConstrainedLayoutEngine(hspace=0.0, h_pad=0.03, w_pad=0.03)
    figure = Figure(figsize=(WIDTH, inches or 1.0 + sum(heights)), layout=layout)
    stacked = figure.subplots(len(heights), 1, sharex=True, height_ratios=list(heights), squeeze=False)
    axes: list[Axes] = list(stacked[:, 0])
    figure.align_ylabels(axes)
    return figure, axes
