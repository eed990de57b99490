"""The pieces that limit plots are made of: bands, lines, gaps and significance, each on given axes."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scanner.plots import curves, frame, labels, style
from scanner.plots.curves import Floats, LimitCurve
from scanner.plots.overlays import Overlay

OBSERVED, MEDIAN = "Observed", "Median expected"
BAND_68, BAND_95 = "68% expected", "95% expected"
NO_LIMIT = "No limit (vetoed or failed)"
LEAST_GAP = 0.002
"""Least width of a gap on the page, as a fraction of the axis."""
CROWDED = 400
"""Windows beyond which a line gets thinner."""
LEVELS = (3.0, 5.0)
"""Local significances with a guiding line."""


def limit(
    axes: Axes, curve: LimitCurve, published: Iterable[Overlay] = (), headroom: float = frame.HEADROOM
) -> None:
    """Draw bands, median, observed and published limits, and set a logarithmic axis around them.

    Parameters
    ----------
    curve : LimitCurve
        Limits of W windows.
    published : several Overlay
        Limits in the unit of the curve.
    headroom : float
        Room for a legend, as a fraction of the decades that the values span.
    """
    gaps(axes, curve, frame.filled(headroom))
    band(axes, curve, curve.expected[:, [0, 4]], style.BAND_95, BAND_95)
    band(axes, curve, curve.expected[:, [1, 3]], style.BAND_68, BAND_68)
    line(axes, curve, curve.observed, OBSERVED, width=_width(curve))
    line(axes, curve, curve.expected[:, 2], MEDIAN, linestyle="--", width=1.4, colour=style.MEDIAN)
    values = [curve.values, *(overlay(axes, curve, entry, i) for i, entry in enumerate(published))]
    frame.value_axis(axes, np.concatenate(values), headroom)


def overlay(axes: Axes, curve: LimitCurve, published: Overlay, number: int) -> Floats:
    """Draw a published limit, and return those of its values that fall inside the masses of the curve."""
    mass, value = np.asarray(published.mass), curves.drawable(published.value)
    colour = style.OVERLAYS[number % len(style.OVERLAYS)]
    axes.plot(mass, value, color=colour, linewidth=1.3, label=labels.plain(published.label), zorder=2.8)
    inside = (mass >= curve.mass.min()) & (mass <= curve.mass.max()) & np.isfinite(value)
    return np.asarray(value[inside])


def _width(curve: LimitCurve) -> float:
    """Return the width of a line that rises and falls from window to window: thinner where they crowd."""
    return float(np.clip(1.2 * np.sqrt(CROWDED / len(curve.mass)), 0.5, 1.2))


def line(
    axes: Axes,
    curve: LimitCurve,
    values: Floats,
    label: str,
    *,
    linestyle: str = "-",
    width: float = 1.1,
    colour: str = style.LINE,
) -> None:
    """Draw values (W,) as one line a region, with a dot where a value stands alone between gaps."""
    if not np.isfinite(values).any():
        return
    for number, run in enumerate(curve.regions):
        mass, value = curve.mass[run], values[run]
        name = label if number == 0 else None
        axes.plot(mass, value, linestyle=linestyle, linewidth=width, color=colour, label=name, zorder=3.0)
        alone = curves.isolated(value)
        if alone.any():
            axes.plot(mass[alone], value[alone], ".", markersize=4.0, color=colour, zorder=3.0)


def band(axes: Axes, curve: LimitCurve, ends: Floats, colour: str, label: str) -> None:
    """Fill between the lower and upper ends (W, 2) of a band, region by region."""
    if not np.isfinite(ends).all(axis=1).any():
        return
    for number, run in enumerate(curve.regions):
        mass, (low, high) = curve.mass[run], ends[run].T
        name = label if number == 0 else None
        axes.fill_between(mass, low, high, color=colour, linewidth=0.0, label=name, zorder=1.0)
        alone = curves.isolated(low + high)
        if alone.any():
            axes.vlines(mass[alone], low[alone], high[alone], color=colour, linewidth=3.0, zorder=1.0)


def gaps(axes: Axes, curve: LimitCurve, top: float = 1.0) -> None:
    """Shade the masses that have no limit, up to a fraction of the height."""
    shown = curve.observed if np.isfinite(curve.observed).any() else curve.expected[:, 2]
    least = LEAST_GAP * float(np.ptp(curve.mass))
    spans = [(low, max(high - low, least)) for low, high in curves.gaps(curve.mass, shown, curve.regions)]
    if spans:
        place = axes.get_xaxis_transform()
        axes.broken_barh(
            spans, (0.0, top), transform=place, color=style.GAP, linewidth=0.0, label=NO_LIMIT, zorder=0.5
        )


def significance(axes: Axes, curve: LimitCurve, z_local: Floats, unit: str) -> None:
    """Draw the local significance (W,), with the largest excess marked and named.

    Parameters
    ----------
    curve : LimitCurve
        The limit that the significance belongs to, for its masses, regions and gaps.
    z_local : (W,) float
        One-sided local significance, NaN where there is none; an infinite one is an arrow at the top.
    unit : str
        Unit of the masses.
    """
    gaps(axes, curve)
    line(axes, curve, np.where(np.isfinite(z_local), z_local, np.nan), "", width=0.8 * _width(curve))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylabel("Local signif. [$\\sigma$]")
    finite = np.isfinite(z_local)
    if not finite.any():
        axes.set_ylim(-1.0, 4.0)
        return
    largest = int(np.nanargmax(np.where(finite, z_local, -np.inf)))
    top = max(4.0, 1.35 * float(z_local[largest]))
    axes.set_ylim(min(-0.5, 1.15 * float(z_local[finite].min())), top)
    for level in LEVELS:
        if level < top:
            axes.axhline(level, color="0.45", linewidth=0.7, linestyle=":", zorder=0.8)
    unbounded = curve.mass[np.isposinf(z_local)]
    if unbounded.size:
        axes.plot(unbounded, np.full(unbounded.shape, 0.97 * top), "^", markersize=3.5, color=style.SIGNAL)
    place = float(curve.mass[largest]), float(z_local[largest])
    _mark(axes, place, f"{place[1]:.1f}$\\sigma$ at {labels.with_value(place[0], unit)}")


def _mark(axes: Axes, place: tuple[float, float], text: str) -> None:
    """Ring a point and write beside it, on the side that has room."""
    axes.plot(
        [place[0]], [place[1]], "o", markersize=7.0, markerfacecolor="none", color=style.SIGNAL, zorder=4.0
    )
    low, high = axes.dataLim.intervalx
    side = -1.0 if place[0] > 0.5 * (low + high) else 1.0
    axes.annotate(
        text,
        place,
        (8.0 * side, 0.0),
        textcoords="offset points",
        ha="right" if side < 0.0 else "left",
        va="center",
        color=style.SIGNAL,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
        zorder=3.5,
    )
