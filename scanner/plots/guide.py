"""The figures of the statistics guide; `python -m scanner.plots.guide docs` makes them and its tables."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtr

from scanner.guide import TABLES, counting, covering, spectra, windows
from scanner.guide.tables import filled, place
from scanner.plots import files, frame, style
from scanner.stats import look_elsewhere
from scanner.stats.coverage import BACKGROUNDS

TEXTS = ("statistics.md", "likelihoods.md")
IMAGES = "images/statistics"
COLOURS = (style.SIGNAL, style.BACKGROUND, *style.OVERLAYS[1:])


@style.styled
def coverage_figure() -> Figure:
    """Draw the coverage of counting limits against the expected background."""
    figure, (axes,) = style.panels([2.6])
    for colour, (method, title) in zip(COLOURS, counting.TITLES.items(), strict=False):
        found = counting.coverage(method)
        axes.plot(found.backgrounds, found.worst, color=colour, label=f"{title}, worst")
        axes.plot(found.backgrounds, found.mean, "--", color=colour, label=f"{title}, mean")
    axes.axhline(counting.LEVEL, color=style.LINE, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("Expected background [events]")
    axes.set_ylabel("Coverage of 90% CL limits")
    axes.set_ylim(0.78, 1.06)
    return _finished(figure, axes)


@style.styled
def map_figure() -> Figure:
    """Draw the lowest coverage of every method against the effective background."""
    figure, (axes,) = style.panels([2.6])
    places = np.arange(len(BACKGROUNDS))
    for number, (method, title) in enumerate(covering.TITLES.items()):
        found = covering.worst(method)
        x = places + 0.12 * (number - 0.5 * (len(covering.TITLES) - 1))
        marks: dict[str, Any] = {"fmt": "o", "ms": 4, "color": style.SEQUENCE[number]}
        axes.errorbar(x, found.coverage, found.error, label=title, **marks)
    axes.axhline(counting.LEVEL, color=style.LINE, linewidth=0.8)
    axes.set_xticks(places, [f"{background:g}" for background in BACKGROUNDS])
    axes.set_xlabel("Effective background [events]")
    axes.set_ylabel("Lowest coverage of 90% CL limits")
    axes.set_ylim(0.72, 1.1)
    return _finished(figure, axes)


@style.styled
def prior_figure() -> Figure:
    """Draw the Bayesian limits of different priors against the observed events."""
    figure, (axes,) = style.panels([2.6])
    for colour, (prior, limits) in zip(COLOURS, counting.prior_limits().items(), strict=False):
        axes.plot(counting.COUNTS, limits, "o-", ms=4, color=colour, label=prior)
    axes.set_xlabel("Observed events")
    axes.set_ylabel("90% limit on the yield, $b = 3$")
    axes.set_ylim(0.0, 20.0)
    return _finished(figure, axes)


@style.styled
def cls_figure() -> Figure:
    """Draw CLs of a sparse window by asymptotic formulas and by toys."""
    found = windows.curve()
    figure, (axes,) = style.panels([2.6])
    axes.plot(found.yields, found.asymptotic, color=style.SIGNAL, label="Asymptotic")
    axes.plot(found.yields[::4], found.toys, "o-", ms=4, color=style.BACKGROUND, label="Toys")
    axes.axhline(1.0 - windows.SETTINGS.confidence_level, color=style.LINE, linewidth=0.8, label="10%")
    axes.set_xlabel("Signal yield [events]")
    axes.set_ylabel(r"$\mathrm{CL}_s$")
    axes.set_ylim(0.0, 1.35)
    return _finished(figure, axes)


@style.styled
def order_figure() -> Figure:
    """Draw the likelihood of a window at every order of its background, and their envelope."""
    found = windows.profiles()
    figure, (axes,) = style.panels([2.6])
    for terms, (colour, values) in enumerate(zip(COLOURS, found.orders, strict=False)):
        axes.plot(found.yields, values, color=colour, label=f"Order {terms}")
    axes.plot(found.yields, found.envelope, "--", color=style.LINE, linewidth=2.0, label="Envelope")
    axes.set_xlabel("Signal yield [events]")
    axes.set_ylabel(r"2NLL + terms, above the least")
    axes.set_ylim(0.0, 16.0)
    return _finished(figure, axes)


@style.styled
def elsewhere_figure() -> Figure:
    """Draw global p-values against the local significance: by toys, and by upcrossings of a few of them."""
    found = spectra.elsewhere()
    z = np.linspace(1.5, 4.5, 61)
    none = np.zeros(len(found.maxima), dtype=np.bool_)
    toys = [look_elsewhere.p_from_toys(one, found.maxima, none) for one in z]
    few = [look_elsewhere.p_from_crossings(one, found.crossings) for one in z]
    resolved = np.array([one.p for one in toys]) > 5.0 / len(found.maxima)
    figure, (axes,) = style.panels([2.6])
    axes.plot(z, ndtr(-z), ":", color=style.LINE, label="Local")
    axes.fill_between(z, [p.low for p in few], [p.high for p in few], color=style.BAND_68, linewidth=0.0)
    axes.plot(z, [p.p for p in few], color=style.MEDIAN, label=f"Upcrossings of {spectra.FEW_TOYS} toys")
    axes.plot(
        z[resolved],
        np.array([p.p for p in toys])[resolved],
        color=style.SIGNAL,
        label=f"{len(found.maxima)} toys",
    )
    axes.set_yscale("log")
    axes.set_ylim(3e-6, 30.0)
    axes.set_xlabel(r"Largest local significance $[\sigma]$")
    axes.set_ylabel("p-value")
    return _finished(figure, axes)


def _finished(figure: Figure, axes: Axes) -> Figure:
    frame.legend(axes, "")
    return figure


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "coverage": coverage_figure,
    "map": map_figure,
    "priors": prior_figure,
    "cls": cls_figure,
    "orders": order_figure,
    "elsewhere": elsewhere_figure,
}
"""Every figure by the name of its file."""


def main(folder: str) -> None:
    """Make all figures and tables of the guide in a folder of documentation."""
    docs = Path(folder)
    (docs / IMAGES).mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        files.save(draw(), docs / IMAGES / f"{name}.svg")
    tables = {name: make() for name, make in TABLES.items()}
    for name in TEXTS:
        text = (docs / name).read_text()
        here = {table: made for table, made in tables.items() if place(table).search(text)}
        (docs / name).write_text(filled(text, here))


if __name__ == "__main__":
    main(*sys.argv[1:])
