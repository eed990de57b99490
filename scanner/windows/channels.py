"""The channels of a search, each as a search of its own."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.schema.complete import region_in

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


def rate(single: Search, mass: Floats, parameters: Mapping[str, float]) -> Floats:
    """Return efficiency times branching fraction of a search of one channel at masses, (W,)."""
    (channel,) = single.channels.values()
    found: Floats = single.signal.efficiency(mass, **parameters)
    if channel.branching_fraction is not None:
        found = found * channel.branching_fraction(mass, **parameters)
    return found
