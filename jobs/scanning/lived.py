"""Simulated signals of a run: weighted to every lifetime in the pass, and turned into efficiencies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.reading.lived import LivedSelection
from scanner.windows.lived import Lived, lifetimes
from storage.events import EventStore
from storage.samples import Sample

PREFIX = "lived."
MASS = "mass"
ROWS_A_BATCH = 1 << 16
"""Rows in memory at once, each with a weight for every lifetime."""

Sums = dict[str, NDArray[np.int64]]


def signal_samples(search: Search, samples: Sequence[Sample]) -> tuple[int, ...]:
    """Return the numbers of the samples that tell efficiencies along lifetimes; none without decays.

    Raises
    ------
    InputError
        If there is none, or one does not say what it is.
    """
    if not search.decays:
        return ()
    found = tuple(number for number, sample in enumerate(samples) if sample.kind == "signal")
    if not found:
        raise InputError(
            f"search {search.name!r} reweights decays in flight, and the store holds no simulated signal: "
            "`darkscan generate` makes it beside the data if the definition has a process of the role "
            f"efficiency; for files of your own use `darkscan ingest --kind signal {_stating(search)} "
            "--generated 100000`, a sample for each mass"
        )
    for number in found:
        sample = samples[number]
        if MASS not in sample.parameters or not sample.generated:
            raise InputError(
                f"signal sample {sample.label} states no mass or no generated events, and tells no "
                f"efficiency: ingest it with {_stating(search)} --generated 100000"
            )
    return found


def _stating(search: Search) -> str:
    """Return the options that state what a signal sample of the first channel is."""
    first = next(iter(search.channels.values()))
    known = {MASS: 1.0, **first.simulated}
    return " ".join(f"--parameter {name}={value:g}" for name, value in known.items())


def tells(search: Search, sample: Sample, channel: str) -> bool:
    """Whether a simulated signal tells the efficiency of a channel: it is of what the channel selects."""
    wanted = search.channels[channel].simulated
    return all(sample.parameters.get(name) == value for name, value in wanted.items())


def told(search: Search, sample: Sample) -> tuple[int, ...]:
    """Return the numbers of the configurations that a simulated signal is one of."""

    def alike(parameters: Mapping[str, float]) -> bool:
        return all(sample.parameters.get(name, value) == value for name, value in parameters.items())

    return tuple(number for number, known in enumerate(search.configurations) if alike(known.parameters))


def empty(
    search: Search,
    selections: Mapping[str, LivedSelection],
    samples: Sequence[Sample],
    numbers: Sequence[int],
    points: int,
) -> Sums:
    """Return the sums of no rows of samples by number, in the channels whose efficiency they tell."""
    return {
        key(number, channel): np.zeros((len(told(search, samples[number])), 2, points), dtype=np.int64)
        for number in numbers
        for channel in selections
        if tells(search, samples[number], channel) and told(search, samples[number])
    }


def key(number: int, channel: str) -> str:
    """Return the name of the sums of a sample in a channel."""
    return f"{PREFIX}{number:03d}.{channel}"


def fill(
    search: Search,
    store: EventStore,
    selections: Mapping[str, LivedSelection],
    number: int,
    piece: tuple[int, int, int],
) -> Iterator[Sums]:
    """Read the rows of a piece of a signal sample, and sum their weights in the channels that it tells of."""
    shard, start, stop = piece
    sample = store.samples[number]
    selections = {name: found for name, found in selections.items() if tells(search, sample, name)}
    needed = sorted({name for selection in selections.values() for name in selection.needed})
    wanted = {configuration: lifetimes(search, configuration) for configuration in told(search, sample)}
    if not (selections and wanted):
        return
    for first in range(start, stop, ROWS_A_BATCH):
        columns = store.read(shard, needed, first, min(stop, first + ROWS_A_BATCH))
        yield {
            key(number, channel): selection.sums(columns, wanted) for channel, selection in selections.items()
        }


def signals(
    search: Search, samples: Sequence[Sample], arrays: Mapping[str, Any]
) -> tuple[dict[str, list[Lived]], ...]:
    """Return what the passes left of every simulated signal, for each configuration and by channel."""
    found: tuple[dict[str, list[Lived]], ...] = tuple(
        {channel: [] for channel in search.channels} for _ in search.configurations
    )
    for name in sorted(name for name in arrays if name.startswith(PREFIX)):
        number, _, channel = name.removeprefix(PREFIX).partition(".")
        sample = samples[int(number)]
        mass, generated = float(sample.parameters[MASS]), int(sample.generated or 0)
        for configuration, sums in zip(told(search, sample), np.asarray(arrays[name]), strict=True):
            found[configuration][channel].append(Lived(mass, generated, sums))
    return found
