"""Published counts with a signal among them: backgrounds are thrown, and decays in flight are generated."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.reading.lived import UNIT, LivedSelection
from scanner.simulation.sampling import generator
from storage.events import EventStore

PSEUDODATA = "pseudodata"


def with_signal(search: Search, store: str, values: Mapping[str, float], seed: int) -> Search:
    """Return a search whose channels have observed their expected background and the signals of a store.

    Parameters
    ----------
    store : str
        An event store; its pseudodata are signals.
    values : mapping
        Values of the axes, with the lifetimes that these signals have.
    seed : int
        Of the background's Poisson numbers.
    """
    events = EventStore.open(store)
    means = [np.array([values[decay.axis]]) for decay in search.decays.values() if decay.axis is not None]
    rng = generator("published", (seed,))
    channels = {}
    for name, selection in engine.lived_selections(search, tuple(events.columns)).items():
        channel = search.channels[name]
        if channel.counts is not None:
            signal = sum(_selected(events, selection, means, number) for number in _shards(events))
            counts = {"observed": signal + int(rng.poisson(channel.counts.expected))}
            channel = channel.model_copy(update={"counts": channel.counts.model_copy(update=counts)})
        channels[name] = channel
    return search.changed(channels=channels)


def _shards(events: EventStore) -> list[int]:
    return [shard.index for shard in events.shards if events.samples[shard.sample].kind == PSEUDODATA]


def _selected(
    events: EventStore,
    selection: LivedSelection,
    means: list[NDArray[np.float64]],
    shard: int,
) -> int:
    """Count the selected rows of a shard, each with a weight of 1 at the lifetime it was generated with."""
    columns = events.read(shard, list(selection.needed), 0, events.shards[shard].rows)
    return round(int(selection.sums(columns, {0: means})[0, 0, 0]) / UNIT)
