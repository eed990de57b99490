"""What a generation consists of: the samples of a search, with their produced events."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from scanner import simulation
from scanner.definition import Search
from scanner.engine import stated
from scanner.errors import InputError
from scanner.schema.statistics import SimulatedProcess
from scanner.simulation.sampling import generator

EVENTS_A_CHUNK = 1 << 18
MOST_EVENTS = 10_000_000_000
TRIAL, MOST_TIMES = 2000, 20
"""Events of a trial of a signal that tells an efficiency; it gets those stated so many times at most."""


@dataclass(frozen=True)
class Source:
    """One sample to generate: its process, parameters and produced events.

    `times` is its luminosity over that of the data, 0 for a signal's template, which has none.
    """

    name: str
    process: str
    parameters: dict[str, float]
    cross_section: float
    events: int
    kind: str = "pseudodata"
    times: float = 1.0

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
        """Read it back.

        Raises
        ------
        InputError
            If the text is damaged or of another version.
        """
        try:
            facts = json.loads(text)
            sources = tuple(Source(**source) for source in facts.pop("sources"))
            return cls(sources=sources, **facts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"the plan of an interrupted generation cannot be read ({error}): remove the store and the "
                "folder .run beside it, then start anew"
            ) from error


def plan_generation(
    search: Search,
    store: str,
    luminosity: float,
    seed: int,
    signals: Sequence[Mapping[str, float]],
    period: str,
    first_shard: int,
) -> Generation:
    """Draw how many events each background and each signal of a search has at a luminosity [fb⁻¹].

    Raises
    ------
    InputError
        If the search names no processes, a signal is incomplete, or the events are absurdly many.
    """
    backgrounds = [
        _source(search, process.process, dict(process.parameters), luminosity, (seed, period))
        for process in search.simulation
        if process.role == "background"
    ]
    efficiencies = _efficiencies(search)
    if not backgrounds and not (stated(search) and efficiencies):
        raise InputError(
            f"search {search.name!r} names no processes under 'simulation': there is nothing to generate"
        )
    injected = [
        _signal(search, number, signal, luminosity, (seed, period)) for number, signal in enumerate(signals)
    ]
    sources = (*backgrounds, *injected, *_templates(search, luminosity, (seed, period)))
    sources = (*sources, *efficiencies)
    return Generation(search.digest, store, search.sqrt_s, luminosity, seed, period, first_shard, sources)


def _source(
    search: Search,
    process: str,
    parameters: dict[str, float],
    luminosity: float,
    origin: tuple[int, str],
    name: str = "",
) -> Source:
    mean = simulation.expected_events(
        process, sqrt_s=search.sqrt_s, luminosity=luminosity, parameters=parameters
    )
    if mean > MOST_EVENTS:
        raise InputError(
            f"{process} at {luminosity:g} fb^-1 has {mean:.3g} events, more than {MOST_EVENTS:.0e}: lower it"
        )
    seed, period = origin
    key = (seed, *key_numbers(name, period), TOTAL)
    events = int(generator(process, key).poisson(mean))
    return Source(name or process, process, parameters, mean / luminosity, events)


def _templates(search: Search, luminosity: float, origin: tuple[int, str]) -> list[Source]:
    """List the samples that templates are filled from: backgrounds, and signals at every mass."""
    found: list[Source] = []
    for wanted in (process for process in search.simulation if process.role == "template"):
        name, given = wanted.sample or wanted.process, dict(wanted.parameters)
        if wanted.events is None:
            source = _source(search, wanted.process, given, wanted.times * luminosity, origin, name)
            found.append(replace(source, kind="simulation", times=wanted.times))
            continue
        known = simulation.get(wanted.process).parameters
        for number, (mass, configuration) in enumerate(_points(search)):
            own = {key: value for key, value in configuration.items() if key in known}
            parameters = {**given, **own, "mass": mass}
            label = f"{name}_{number:03d}"
            found.append(Source(label, wanted.process, parameters, 0.0, wanted.events, "signal", 0.0))
    return found


def _efficiencies(search: Search) -> list[Source]:
    """List the signals that tell the efficiencies of the channels, at the masses that each can have."""
    found: list[Source] = []
    for wanted in (process for process in search.simulation if process.role == "efficiency"):
        for given in simulated_parameters(search, wanted):
            low, high = simulation.get(wanted.process).mass_range(given, search.sqrt_s)
            found += [
                Source(
                    f"{wanted.sample or wanted.process}_{len(found) + number:03d}",
                    *(wanted.process, {**given, "mass": mass}, 0.0, _produced(search, wanted, given, mass)),
                    *("signal", 0.0),
                )
                for number, mass in enumerate(mass for mass in wanted.masses if low < mass < high)
            ]
    return found


def _produced(search: Search, wanted: SimulatedProcess, given: dict[str, float], mass: float) -> int:
    """Return the events of a signal that tells an efficiency: more than stated where few rows are kept."""
    events = wanted.events or 0
    if wanted.rows is None:
        return events
    parameters = {**given, "mass": mass}
    trial = simulation.generate_chunk(
        wanted.process, TRIAL, (0,), sqrt_s=search.sqrt_s, parameters=parameters
    )
    needed = wanted.rows * TRIAL // max(len(trial["event"]), 1)
    return max(events, min(needed, MOST_TIMES * events))


def simulated_parameters(search: Search, wanted: SimulatedProcess) -> list[dict[str, float]]:
    """List the parameters, without the mass, of the signals of all channels and configurations once."""
    known = simulation.get(wanted.process).parameters
    found: list[dict[str, float]] = []
    for chosen in search.configurations:
        own = {key: value for key, value in chosen.parameters.items() if key in known}
        found += [{**wanted.parameters, **own, **single.simulated} for single in search.channels.values()]
    return [given for number, given in enumerate(found) if given not in found[:number]]


def _points(search: Search) -> list[tuple[float, Mapping[str, float]]]:
    """List the masses of a search in each of its configurations."""
    masses = search.scan_axis.values or ()
    return [(mass, chosen.parameters) for chosen in search.configurations for mass in masses]


TOTAL = (1 << 32) - 1
"""Last number of the random key of a sample's total; chunks count from 0."""


def key_numbers(name: str, period: str) -> tuple[int, ...]:
    """Turn name and period of a sample into a number for random keys.

    Two signals of one process, and two periods of one seed, are independent.
    """
    text = f"{name}/{period}" if period else name
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"),) if text else ()


def _signal(
    search: Search, number: int, signal: Mapping[str, float], luminosity: float, origin: tuple[int, str]
) -> Source:
    processes = [process for process in search.simulation if process.role == "signal"]
    if not processes:
        raise InputError(f"search {search.name!r} names no signal process under 'simulation'")
    axis, known = search.scan_axis, simulation.get(processes[0].process)
    masses = [value for key, value in signal.items() if key in (axis.name, "m")]
    rest = {key: value for key, value in signal.items() if key not in (axis.name, "m")}
    decay = ["branching_fraction"] if "branching_fraction" in known.parameters else []
    if len(masses) != 1 or len({"cross_section", "coupling", *decay} & set(rest)) != 1:
        raise InputError(
            f"a signal needs {axis.name} and one of {', '.join([*decay, 'cross_section'])} and coupling: "
            f"write --inject {axis.name}=3,cross_section=5fb"
        )
    (mass,) = masses
    if not axis.low <= mass <= axis.high:
        raise InputError(
            f"{axis.name} = {mass:g} is outside of the search, which covers {axis.low:g} to {axis.high:g} GeV"
        )
    parameters = dict(processes[0].parameters) | {"mass": mass} | rest
    name = f"signal_{number}" if number else "signal"
    return _source(search, processes[0].process, parameters, luminosity, origin, name)
