"""The generation job: pseudodata of a search into an event store, chunk by chunk."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jobs.blocks import IncompleteError
from jobs.executors import Executor, Task
from jobs.generation import EVENTS_A_CHUNK, Generation, Source, key_numbers, plan_generation
from jobs.places import GENERATION, run_place
from jobs.progress import progress
from scanner import simulation
from scanner.definition import Search
from scanner.errors import InputError
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.manifest import Shard
from storage.parts import PartStore
from storage.samples import Sample

RECORDS = "records"


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
    target = search.luminosity if luminosity is None else luminosity
    if target is None:
        raise InputError(f"search {search.name!r} states no luminosity: give --luminosity, such as 178/fb")
    if not target > 0.0:
        raise InputError(f"luminosity {target:g} fb^-1: give a positive one, such as 178/fb")
    place = Location(run_place(store))
    generation = plan_generation(search, store, target, seed, signals, period, _first_shard(store, place))
    _start(generation, place)
    if not _is_committed(generation):  # or the interruption came after the swap of the manifest
        parts = PartStore(place.child(RECORDS))
        _run(generation, place, parts, executor)
        _commit(generation, parts)
    place.remove_tree(GENERATION)
    return _report(generation, EventStore.open(store, allow_empty=True))


def _first_shard(store: str, place: Location) -> int:
    """Return the first object number that nothing has, or the one that an interrupted generation chose."""
    if place.exists(GENERATION):
        return Generation.from_json(place.read(GENERATION)).first_shard
    location = Location(store)
    if not location.exists(MANIFEST):
        return 0
    opened = EventStore.open(location, allow_empty=True)
    numbers = [name.rpartition("/")[2] for name in opened.leftovers()]
    used = [int(number) for number in numbers if number.isdigit()]
    return max([*used, *(shard.index for shard in opened.shards)], default=-1) + 1


def _start(generation: Generation, place: Location) -> None:
    """Write the plan down and make the store, or check that the one begun is the same."""
    text = generation.to_json()
    begun = place.exists(GENERATION)
    if begun and place.read(GENERATION) != text:
        raise InputError(
            f"another generation into {generation.store} was interrupted: repeat it with its own arguments, "
            f"or remove {generation.store} and {place.describe()}"
        )
    columns = {"event": ""} | {
        n: u for s in generation.sources for n, u in simulation.get(s.process).columns.items()
    }
    if not Location(generation.store).exists(MANIFEST):
        EventStore.create(generation.store, columns)
    elif not begun:
        _check_store(generation, columns)
    place.replace(GENERATION, text)


def _check_store(generation: Generation, columns: Mapping[str, str]) -> None:
    """Refuse a store that holds these rows already, or other columns."""
    store = EventStore.open(generation.store, allow_empty=True)
    if _is_committed(generation):
        named = f"the period {generation.period!r}" if generation.period else "the period without a name"
        raise InputError(
            f"{generation.store} holds rows of {named} already: name another --period, or remove the store"
        )
    there = {name: info.unit for name, info in store.columns.items()}
    if there != columns:
        odd = ", ".join(sorted({name for name, _ in set(there.items()) ^ set(columns.items())}))
        raise InputError(
            f"{generation.store} has other columns or units than these events: {odd}; write a new store"
        )


def _is_committed(generation: Generation) -> bool:
    samples = EventStore.open(generation.store, allow_empty=True).samples
    return any(sample.period == generation.period for sample in samples)


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
def _opened(text: bytes) -> tuple[Generation, EventStore]:
    """Open what is being written, once a process and plan."""
    generation = Generation.from_json(text)
    return generation, EventStore.open(generation.store, allow_empty=True)


def write_chunk(place: str, key: str) -> str:
    """Generate one chunk, write it as a shard, and commit the shard's record."""
    generation, store = _opened(Location(place).read(GENERATION))
    number, chunk = (int(text) for text in key.split("-"))
    source = generation.sources[number]
    events = min(EVENTS_A_CHUNK, source.events - chunk * EVENTS_A_CHUNK)
    name = source.name if source.name != source.process else ""
    columns = simulation.generate_chunk(
        source.process,
        events,
        (generation.seed, *key_numbers(name, generation.period), chunk),
        sqrt_s=generation.sqrt_s,
        parameters=source.parameters,
    )
    index = generation.first_shard + generation.chunk_keys().index(key)
    columns["event"] = columns["event"] + index * EVENTS_A_CHUNK
    rows = len(columns["event"])
    record = store.write_shard(index, columns, sample=number).as_dict() if rows else {}
    PartStore(Location(place).child(RECORDS)).commit(key, {}, {"record": record})
    return key


def _commit(generation: Generation, parts: PartStore) -> None:
    """Make the shards count, by one swap of the manifest."""
    store = EventStore.open(generation.store, allow_empty=True)
    samples = [_sample(generation, source) for source in generation.sources]
    records = [parts.read(key).meta["record"] for key in generation.chunk_keys()]
    store.commit(samples, [Shard.from_dict(record) for record in records if record])


def _sample(generation: Generation, source: Source) -> Sample:
    return Sample(
        name=source.name,
        kind=source.kind,
        process=source.process,
        period=generation.period,
        sqrt_s=generation.sqrt_s,
        luminosity=generation.luminosity * source.times or None,
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
