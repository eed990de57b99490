"""The files of their own that a search is run on: their samples and columns, and the commands for them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from jobs.generation import simulated_parameters
from jobs.scanning.counted import uses_simulation
from scanner import engine, simulation
from scanner.definition import Search
from scanner.schema.statistics import SimulatedProcess
from scanner.windows.channels import views
from scanner.windows.filled import uses_templates

STORE, CUBE = "events.zarr", "limits.zarr"


@dataclass(frozen=True)
class OwnSample:
    """One sample of files: how it is named and ingested.

    Attributes
    ----------
    name, kind : str
        Of the sample.
    meaning : str
        What its rows are, and which others like it there are.
    luminosity : float, optional
        [fb⁻¹], as in the definition.
    generated : int, optional
        Events before any selection.
    parameters : mapping
        What was simulated.
    constants : tuple of str
        Columns that mean nothing for these rows, and that the store has for others.
    """

    name: str
    kind: str
    meaning: str
    luminosity: float | None = None
    generated: int | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    constants: tuple[str, ...] = ()

    def command(self, columns: tuple[str, ...]) -> str:
        """Return the command that reads it from a file whose columns have the names of the search."""
        words = [f"darkscan ingest {self.name}.parquet {STORE}"]
        if self.kind != "data":
            words.append(f"--sample {self.name} --kind {self.kind}")
        if self.luminosity is not None:
            words.append(f"--luminosity {self.luminosity:g}/fb")
        if self.generated is not None:
            words.append(f"--generated {self.generated}")
        words += [f"--parameter {name}={value:g}" for name, value in self.parameters.items()]
        words.append(f"--columns {','.join(name for name in columns if name not in self.constants)}")
        words += [f"--derive {name}=0" for name in self.constants]
        return " ".join(words)


def data_columns(search: Search) -> tuple[str, ...]:
    """Return the stored columns that the selection of the data reads."""
    selected = engine.selections(search, _stored(search))
    return _ordered(search, (selection.needed for selection in selected.values()))


def signal_columns(search: Search) -> tuple[str, ...]:
    """Return the stored columns that signals tell efficiencies along lifetimes with; none without decays."""
    lived = engine.lived_selections(search, _stored(search))
    return _ordered(search, (selection.needed for selection in lived.values()))


def _stored(search: Search) -> tuple[str, ...]:
    return tuple(name for name, column in search.columns.items() if column.expression is None)


def _ordered(search: Search, needed: Iterable[Iterable[str]]) -> tuple[str, ...]:
    wanted = {name for names in needed for name in names}
    return tuple(name for name in search.columns if name in wanted)


def columns(search: Search) -> tuple[str, ...]:
    """Return the columns that files need, in the order of the definition."""
    return _ordered(search, (data_columns(search), signal_columns(search)))


def samples(search: Search) -> tuple[OwnSample, ...]:
    """Return the samples that a search reads; of many alike the first."""
    return (*_data(search), *_simulated(search), *_signals(search))


def commands(search: Search) -> list[str]:
    """Return the commands that read the samples of a search and scan them."""
    names = columns(search)
    ingested = [sample.command(names) for sample in samples(search)]
    return [*ingested, f"darkscan scan {search.name} {STORE} -o {CUBE}"]


def remarks(search: Search) -> str:
    """Say how files may differ from what the commands take, and what is not read from them."""
    found = samples(search)
    kinds, taken = {sample.kind for sample in found}, _from_definition(search)
    said = {
        "Where files have other names write `--columns NAME=OLD`, for other units `--unit NAME=MeV`, and for "
        "what is made of their columns `--derive NAME=EXPRESSION`.": True,
        "All samples of a store have the same columns: those that data have not are derived as 0.": any(
            sample.constants for sample in found
        ),
        "The luminosity is that of your data, which have no weights.": "data" in kinds,
        "That of simulated samples is the one that they correspond to.": "simulation" in kinds,
        "`--generated` counts the events before any selection.": "signal" in kinds,
        f"{taken} are those of the definition: put your own into a copy of it.": True,
    }
    return " ".join(text for text, here in said.items() if here)


def _from_definition(search: Search) -> str:
    """Return what a search takes from its definition, and not from the files."""
    if search.decays:
        return "Resolutions and systematics"
    return f"Efficiency{'' if uses_templates(search) else ', resolution'} and systematics"


def _data(search: Search) -> Iterator[OwnSample]:
    if engine.stated(search):
        return
    read = data_columns(search)
    spare = tuple(name for name in columns(search) if name not in read)
    yield OwnSample("data", "data", "what was measured", search.luminosity or 100.0, constants=spare)


def _simulated(search: Search) -> Iterator[OwnSample]:
    """Yield the samples that tell backgrounds."""
    luminosity = search.luminosity or 100.0
    processes = [p for p in search.simulation if p.role == "template" and p.events is None]
    if uses_templates(search):
        for single in views(search).values():
            for name, template in single.background.templates.items():
                times = next((p.times for p in processes if p.sample == template.sample), 1.0)
                meaning = f"template of the background `{name}`, under this name"
                yield OwnSample(template.sample, "simulation", meaning, times * luminosity)
    elif uses_simulation(search):
        for process in processes:
            meaning = "a background; the names of such samples are yours"
            name = process.sample or process.process
            yield OwnSample(name, "simulation", meaning, process.times * luminosity)


def _signals(search: Search) -> Iterator[OwnSample]:
    """Yield the first of the samples that tell templates or efficiencies of the signal."""
    masses = search.scan_axis.values or ()
    if uses_templates(search) and search.signal.template is not None:
        wanted = next(p for p in search.simulation if p.sample == search.signal.template)
        known = simulation.get(wanted.process).parameters
        own = [{k: v for k, v in c.parameters.items() if k in known} for c in search.configurations]
        meaning = f"template of the signal: {_alike(list(masses), own)}, under this name and a number"
        yield OwnSample(
            f"{search.signal.template}_000",
            "signal",
            meaning,
            None,
            wanted.events,
            {"mass": masses[0], **own[0]},
        )
    for wanted in (p for p in search.simulation if p.role == "efficiency" and search.decays):
        own = _own(search, wanted)
        meaning = f"efficiency of the signal: {_alike(list(wanted.masses), own)}; names are yours"
        yield OwnSample(
            "signal_000", "signal", meaning, None, wanted.events, {"mass": wanted.masses[0], **own[0]}
        )


def _own(search: Search, wanted: SimulatedProcess) -> list[dict[str, float]]:
    """Return the parameters of signals that the search tells channels and configurations by."""
    every = [
        {name: value for name, value in given.items() if name not in wanted.parameters}
        for given in simulated_parameters(search, wanted)
    ]
    return [given for number, given in enumerate(every) if given not in every[:number]]


def _alike(masses: list[float], own: list[dict[str, float]]) -> str:
    """Say which samples there are beside the first."""
    several = {name: sorted({given[name] for given in own}) for name in own[0]}
    lists = [f"{name} {_listed(values)}" for name, values in several.items()]
    span = f"a sample for each mass, {_listed(masses)} GeV"
    return ", and each of ".join([span, "; ".join(lists)]) if lists else span


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
