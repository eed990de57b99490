"""What a search leaves out: mass hypotheses, bins of the spectrum, and candidates."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.schema.axes import Veto
from scanner.schema.channels import Channel
from scanner.schema.names import MASS_ALIAS
from scanner.windows.channels import views

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def vetoed(search: Search, mass: Floats) -> Flags:
    """Mark the masses (W,) [GeV] at which nothing is searched.

    They are those of the search's own vetoes, and those at which a veto of every channel leaves out the
    candidates.
    """
    flags: Flags = np.logical_and.reduce([_vetoed(single, mass) for single in views(search).values()])
    return flags


def _vetoed(single: Search, mass: Floats) -> Flags:
    inside = np.zeros(mass.shape, dtype=np.bool_)
    for veto in (*single.vetoes, *_of_the_spectrum(single)):
        for low, high in veto.intervals(single.signal.resolution):
            inside |= (mass >= low) & (mass <= high)
    return inside


def live_bins(search: Search, edges_mass: Floats, mass: Floats) -> Flags:
    """Mark the bins (W, B) that are fitted: those that overlap with no veto of the spectrum.

    Windows whose own mass is vetoed are blanked in the end and keep their bins.

    Parameters
    ----------
    edges_mass : (W, B + 1) float
        Bin edges in mass [GeV].
    mass : (W,) float
        Hypotheses [GeV].
    """
    live = np.ones((len(mass), edges_mass.shape[1] - 1), dtype=np.bool_)
    vetoes = [veto for veto in search.vetoes if veto.in_windows]
    for veto in (*vetoes, *_of_the_spectrum(search)):
        for low, high in veto.intervals(search.signal.resolution):
            live &= (edges_mass[:, :-1] >= high) | (edges_mass[:, 1:] <= low)
    live[vetoed(search, mass)] = True
    return live


def cuts(search: Search, channel: Channel) -> tuple[str, ...]:
    """Return the cuts of a channel: its conditions, then its vetoes in a stated observable."""
    stated = [veto for veto in channel.vetoes if veto.observable is not None]
    return (
        *channel.select,
        *(
            f"({veto.observable}) < {low!r} or ({veto.observable}) > {high!r}"
            for veto in stated
            for low, high in veto.intervals(search.signal.resolution)
        ),
    )


def _of_the_spectrum(search: Search) -> Iterator[Veto]:
    """Yield the channels' vetoes in what is histogrammed, whether they name it or not."""
    histogrammed = {(region.observable, region.peak) for region in search.regions}
    for channel in search.channels.values():
        for veto in channel.vetoes:
            if veto.observable is None or histogrammed == {(veto.observable, MASS_ALIAS)}:
                yield veto
