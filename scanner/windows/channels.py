"""The channels of a search, each as a search of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.schema.complete import region_in
from scanner.schema.densities import Background

Floats = NDArray[np.float64]


def view(search: Search, name: str) -> Search:
    """Return one channel of a search as a search of its own: what the channel states takes its place."""
    channel = search.channels[name]
    resolution = channel.resolution or search.signal.stated_resolution
    efficiency = channel.efficiency or search.signal.stated_efficiency
    stated = {"stated_resolution": resolution, "stated_efficiency": efficiency}
    return search.changed(
        channels={name: channel},
        signal=search.signal.model_copy(update=stated),
        background=channel.background or search.background,
        regions=tuple(region_in(region, channel) for region in search.regions),
    )


def views(search: Search) -> dict[str, Search]:
    """Return every channel as a search of its own; the search itself if it has only one."""
    if len(search.channels) == 1:
        return dict.fromkeys(search.channels, search)
    return {name: view(search, name) for name in search.channels}


def at_luminosity(search: Search, luminosity: float | None) -> Search:
    """Return a search whose known peaks have the yields of a luminosity [fb⁻¹].

    Stated yields are those of the stated luminosity, as stated pairs are, and grow with it.
    """
    if luminosity is None or search.luminosity is None or luminosity == search.luminosity:
        return search
    scale = luminosity / search.luminosity
    channels = {
        name: channel.model_copy(update={"background": _with_peaks(channel.background, scale)})
        for name, channel in search.channels.items()
    }
    background = _with_peaks(search.background, scale) or search.background
    return search.changed(channels=channels, background=background)


def _with_peaks(background: Background | None, scale: float) -> Background | None:
    if background is None or not any(peak.expected for peak in background.peaks.values()):
        return background
    peaks = {
        name: peak.model_copy(update={"expected": None if peak.expected is None else scale * peak.expected})
        for name, peak in background.peaks.items()
    }
    return background.model_copy(update={"peaks": peaks})


def rate(single: Search, mass: Floats, parameters: Mapping[str, Any]) -> Floats:
    """Return efficiency times branching fraction of a search of one channel at masses, (W,)."""
    (channel,) = single.channels.values()
    found: Floats = single.signal.efficiency(mass, **parameters)
    if channel.branching_fraction is not None:
        found = found * channel.branching_fraction(mass, **parameters)
    return found


def rate_error(single: Search, mass: Floats, parameters: Mapping[str, float]) -> Floats | None:
    """Return the error of the rate from the size of simulated signals, (W,); None where none is stated."""
    (channel,) = single.channels.values()
    if channel.efficiency_error is None:
        return None
    found: Floats = channel.efficiency_error(mass, **parameters)
    if channel.branching_fraction is not None:
        found = found * channel.branching_fraction(mass, **parameters)
    return found
