"""Figures of limit cubes, projections and spectra: they draw what they are given and compute nothing.

Every function returns a `matplotlib.figure.Figure` that belongs to no window system and no global
state, so that it can be drawn on a worker, in a notebook or in a test alike.
"""

from scanner.plots.files import save, save_small
from scanner.plots.intervals import interval_plot
from scanner.plots.limits import draw, limit_plot, overview_plot
from scanner.plots.maxima import toy_maxima_plot
from scanner.plots.overlays import Overlay
from scanner.plots.planes import plane_plot
from scanner.plots.projections import projection_plot
from scanner.plots.spectra import Marker, spectrum_plot, window_plot
from scanner.plots.studies import study_plot

__all__ = [
    "Marker",
    "Overlay",
    "draw",
    "interval_plot",
    "limit_plot",
    "overview_plot",
    "plane_plot",
    "projection_plot",
    "save",
    "save_small",
    "spectrum_plot",
    "study_plot",
    "toy_maxima_plot",
    "window_plot",
]
