"""The largest excesses of toys, and that of the data among them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from scanner.errors import InputError
from scanner.plots import frame, style

BINS_A_SIGMA = 8


@style.styled
def toy_maxima_plot(
    maxima: ArrayLike, observed: float, *, attributes: Mapping[str, Any] | None = None
) -> Figure:
    """Draw the distribution of the largest local significance of toys with that of the data.

    Parameters
    ----------
    maxima : (N,) float
        One for each toy.
    observed : float
        That of the data.
    attributes : mapping, optional
        Of the cube: header, and `p_global`, `z_global` for the legend.

    Raises
    ------
    InputError
        If there is no toy.
    """
    values = np.asarray(maxima, dtype=np.float64)
    if not values.size:
        raise InputError("no toys to draw: throw some first")
    facts = attributes or {}
    top = max(float(values.max()), observed) + 1.0 / BINS_A_SIGMA
    edges = np.arange(0.0, top + 1.0 / BINS_A_SIGMA, 1.0 / BINS_A_SIGMA)
    heights = np.histogram(values, edges)[0]
    figure, (axes,) = style.panels([3.0])
    axes.stairs(heights, edges, fill=True, color=style.BACKGROUND, alpha=0.35, label="Toys without signal")
    axes.axvline(observed, color=style.SIGNAL, linewidth=1.6, label=_label(observed, facts))
    axes.set_xlim(max(0.0, float(min(values.min(), observed)) - 0.5), edges[-1])
    axes.set_ylim(0.0, 1.45 * max(1, int(heights.max())))
    axes.set_xlabel(r"Largest local significance $[\sigma]$")
    axes.set_ylabel("Toys")
    frame.legend(axes, "")
    frame.header(axes, facts)
    return figure


def _label(observed: float, facts: Mapping[str, Any]) -> str:
    text = rf"Data: ${observed:.1f}\,\sigma$"
    if "z_global" not in facts:
        return text
    return text + rf", globally ${facts['z_global']:.1f}\,\sigma$ ($p = {facts['p_global']:.2g}$)"
