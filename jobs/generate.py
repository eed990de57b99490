"""The generation job: pseudodata of a search into an event store, chunk by chunk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from jobs.executors import Executor, Task
from jobs.progress import progress
from jobs.scan import IncompleteError
from scanner import simulation
from scanner.definition import Search
from scanner.errors import InputError
from scanner.simulation.sampling import generator
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.manifest import Shard
from storage.parts import PartStore
from storage.samples import Sample

EVENTS_A_CHUNK = 1 << 18
MOST_EVENTS = 10_000_000_000
RECORDS = "records"
PLAN = "generate.json"


@dataclass(frozen=True)
class Source:
    """One sample to generate: its process, parameters and produced events."""

    name: str
    process: str
    parameters: dict[str, float]
    cross_section: float
    events: int

    @property
    def chunks(self) -> int:
        """Count the chunks."""
        return -(-self.events // EVENTS_A_CHUNK)


@dataclass(frozen=True)
class Generation:
    """What is generated into a store: everything that its content depends on."""

    search: str
    store: str
    sqrt_s: float
    luminosity: float
    seed: int
    period: str
    first_shard: int
    sources: tuple[Source, ...]

    def chunk_keys(self) -> tuple[str, ...]:
        """List the chunks, one shard each, in order."""
        return tuple(
            f"{s:03d}-{c:06d}" for s, source in enumerate(self.sources) for c in range(source.chunks)
        )

    def to_json(self) -> bytes:
        """Write it down."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Generation":
        """Read it back."""
        facts = json.loads(text)
        sources = tuple(Source(**source) for source in facts.pop("sources"))
        return cls(sources=sources, **facts)


def generate(
    search: Search,
    store: str,
    *,
    executor: Executor,
    luminosity: float | None = None,
    seed: int = 1,
    signals: Sequence[Mapping[str, float]] = (),
    period: str = "",
) -> dict[str, Any]:
    """Generate the backgrounds of a search, and signals, into an event store.

    An interrupted generation goes on where it stopped when it is started again with the same
    arguments; nothing counts before all of it is there.

    Parameters
    ----------
    search : Search
        Its `simulation` names the processes.
    store : str
        Path or URL of a new store, or of one that gets a further `period`.
    executor : Executor
        Runs the chunks.
    luminosity : float, optional
        [fb⁻¹]; the definition's own by default.
    seed : int
        With search, process and chunk the only source of randomness.
    signals : sequence of mappings
        Injected signals: the mass [GeV] under the name of the mass axis, and `cross_section` [fb]
        or `coupling`.
    period : str
        Run period of the rows.

    Returns
    -------
    dict
        `store`, `rows`, `luminosity`, `digest`, and `samples` with their generated events and rows.

    Raises
    ------
    InputError
        If the search names no processes, a signal is incomplete, or the events are absurdly many.
    """
    target = luminosity or search.luminosity
    if target is None:
        raise InputError(f"search {search.name!r} states no luminosity: give --luminosity, such as 178/fb")
    generation = _plan(search, store, target, seed, signals, period)
    place = Location(store.rstrip("/") + ".run")
    _start(generation, place)
    parts = PartStore(place.child(RECORDS))
    _run(generation, place, parts, executor)
    opened = _commit(generation, parts)
    place.remove_tree(PLAN)
    return _report(generation, opened)


def _plan(
    search: Search,
    store: str,
    luminosity: float,
    seed: int,
    signals: Sequence[Mapping[str, float]],
    period: str,
) -> Generation:
    backgrounds = [
        _source(search, process.process, dict(process.parameters), luminosity, seed)
        for process in search.simulation
        if process.role == "background"
    ]
    if not backgrounds:
        raise InputError(
            f"search {search.name!r} names no processes under 'simulation': there is nothing to generate"
        )
    injected = [_signal(search, number, signal, luminosity, seed) for number, signal in enumerate(signals)]
    first = _first_shard(store)
    sources = (*backgrounds, *injected)
    return Generation(search.digest, store, search.sqrt_s, luminosity, seed, period, first, sources)


def _first_shard(store: str) -> int:
    location = Location(store)
    if not location.exists(MANIFEST):
        return 0
    opened = EventStore.open(location, allow_empty=True)
    return max((shard.index for shard in opened.shards), default=-1) + 1


def _source(
    search: Search, process: str, parameters: dict[str, float], luminosity: float, seed: int, name: str = ""
) -> Source:
    mean = simulation.expected_events(
        process, sqrt_s=search.sqrt_s, luminosity=luminosity, parameters=parameters
    )
    if mean > MOST_EVENTS:
        raise InputError(
            f"{process} at {luminosity:g} fb⁻¹ has {mean:.3g} events, more than {MOST_EVENTS:.0e}: lower it"
        )
    key = (seed, *_numbers(name), TOTAL)
    events = int(generator(process, key).poisson(mean))
    return Source(name or process, process, parameters, mean / luminosity, events)


TOTAL = (1 << 32) - 1
"""Last number of the random key of a sample's total; chunks count from 0."""


def _numbers(name: str) -> tuple[int, ...]:
    """Turn a sample's name into a number for random keys, so that two signals of one process differ."""
    return (int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"),) if name else ()


def _signal(search: Search, number: int, signal: Mapping[str, float], luminosity: float, seed: int) -> Source:
    processes = [process for process in search.simulation if process.role == "signal"]
    if not processes:
        raise InputError(f"search {search.name!r} names no signal process under 'simulation'")
    axis = search.scan_axis
    rest = dict(signal)
    mass = rest.pop(axis.name, rest.pop("m", None))
    if mass is None or not {"cross_section", "coupling"} & set(rest):
        raise InputError(
            f"a signal needs {axis.name} and cross_section: write --inject {axis.name}=3,cross_section=5fb"
        )
    if not axis.low <= mass <= axis.high:
        raise InputError(
            f"{axis.name} = {mass:g} is outside of the search, which covers {axis.low:g} to {axis.high:g} GeV"
        )
    parameters = dict(processes[0].parameters) | {"mass": mass} | rest
    name = f"signal_{number}" if number else "signal"
    return _source(search, processes[0].process, parameters, luminosity, seed, name)


def _start(generation: Generation, place: Location) -> None:
    """Write the plan down and make the store, or check that the one begun is the same."""
    text = generation.to_json()
    if place.exists(PLAN) and place.read(PLAN) != text:
        raise InputError(
            f"another generation into {generation.store} was interrupted: repeat it with its own arguments, "
            f"or remove {generation.store} and {place.describe()}"
        )
    if not Location(generation.store).exists(MANIFEST):
        columns = {"event": ""} | {
            n: u for s in generation.sources for n, u in simulation.get(s.process).columns.items()
        }
        EventStore.create(generation.store, columns)
    elif not place.exists(PLAN) and any(s.period == generation.period for s in _samples(generation.store)):
        raise InputError(
            f"{generation.store} holds rows of the period {generation.period!r} already: "
            "name another --period, or remove the store"
        )
    place.replace(PLAN, text)


def _samples(store: str) -> tuple[Sample, ...]:
    return EventStore.open(store, allow_empty=True).samples


def _run(generation: Generation, place: Location, parts: PartStore, executor: Executor) -> None:
    keys = generation.chunk_keys()
    with progress("generate", len(keys), "chunks") as advance:
        todo = _missing(keys, parts)
        advance(len(keys) - len(todo))
        while todo:
            executor.run(Task(write_chunk, place.url, parts.keys), todo, lambda _: advance(1))
            left = _missing(keys, parts)
            if len(left) == len(todo):
                raise IncompleteError(f"{len(left)} chunks cannot be generated, the first is {left[0]}")
            todo = left


def _missing(keys: Sequence[str], parts: PartStore) -> list[str]:
    done = set(parts.keys())
    return [key for key in keys if key not in done]


@lru_cache(maxsize=4)
def _opened(place: str) -> tuple[Generation, EventStore]:
    generation = Generation.from_json(Location(place).read(PLAN))
    return generation, EventStore.open(generation.store, allow_empty=True)


def write_chunk(place: str, key: str) -> str:
    """Generate one chunk, write it as a shard, and commit the shard's record."""
    generation, store = _opened(place)
    number, chunk = (int(text) for text in key.split("-"))
    source = generation.sources[number]
    events = min(EVENTS_A_CHUNK, source.events - chunk * EVENTS_A_CHUNK)
    name = source.name if source.name != source.process else ""
    columns = simulation.generate_chunk(
        source.process,
        events,
        (generation.seed, *_numbers(name), chunk),
        sqrt_s=generation.sqrt_s,
        parameters=source.parameters,
    )
    index = generation.first_shard + generation.chunk_keys().index(key)
    columns["event"] = columns["event"] + index * EVENTS_A_CHUNK
    rows = len(columns["event"])
    record = store.write_shard(index, columns, sample=number).as_dict() if rows else {}
    PartStore(Location(place).child(RECORDS)).commit(key, {}, {"record": record})
    return key


def _commit(generation: Generation, parts: PartStore) -> EventStore:
    """Make the shards count, by one swap of the manifest."""
    store = EventStore.open(generation.store, allow_empty=True)
    samples = [_sample(generation, source) for source in generation.sources]
    if any(sample.period == generation.period for sample in store.samples):
        return store  # the swap happened before the interruption
    records = [parts.read(key).meta["record"] for key in generation.chunk_keys()]
    store.commit(samples, [Shard.from_dict(record) for record in records if record])
    return store


def _sample(generation: Generation, source: Source) -> Sample:
    return Sample(
        name=source.name,
        kind="pseudodata",
        process=source.process,
        period=generation.period,
        sqrt_s=generation.sqrt_s,
        luminosity=generation.luminosity,
        cross_section=source.cross_section,
        generated=source.events,
        seed=generation.seed,
        parameters=source.parameters,
    )


def _report(generation: Generation, store: EventStore) -> dict[str, Any]:
    samples = [
        {
            "name": sample.name,
            "process": sample.process,
            "generated": sample.generated,
            "cross_section": sample.cross_section,
            "rows": sum(shard.rows for shard in store.shards if shard.sample == number),
        }
        for number, sample in enumerate(store.samples)
        if sample.period == generation.period
    ]
    return {
        "store": generation.store,
        "rows": store.rows,
        "luminosity": store.luminosity,
        "digest": store.digest,
        "samples": samples,
    }
