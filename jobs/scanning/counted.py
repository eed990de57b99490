"""Counting windows of a run: what passes leave of data and of simulated samples, and limits from it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scanner.definition import Search
from scanner.engine import stated
from scanner.errors import InputError
from scanner.reading.histogram import Histogram
from scanner.windows.backgrounds import Simulated
from scanner.windows.counting import counts
from scanner.windows.filled import sample_names, template_of, uses_templates
from storage.samples import DATA_LIKE, Sample

TEMPLATE_KINDS = ("simulation", "signal")
"""Kinds of samples that templates are filled from."""
SIMULATED = "~"
"""What stands between a region and the number of a simulated sample in the name of a histogram."""


def uses_simulation(search: Search) -> bool:
    """Whether simulated samples tell the background."""
    return counts(search) and search.background.estimate == "simulation"


def used_samples(search: Search, samples: Sequence[Sample]) -> tuple[int, ...]:
    """Return the numbers of the samples that a scan reads: data, and the simulation that it asks for.

    None where the counts are published.
    """
    if stated(search):
        return ()
    others = {process.process for process in search.simulation if process.role in ("signal", "control")}
    found = [number for number, sample in enumerate(samples) if sample.kind in DATA_LIKE]
    if uses_templates(search):
        names = sample_names(search)
        found += [
            number
            for number, sample in enumerate(samples)
            if sample.kind in TEMPLATE_KINDS and template_of(sample.name, names) is not None
        ]
    if uses_simulation(search):
        found += [
            number
            for number, sample in enumerate(samples)
            if sample.kind == "simulation" and sample.process not in others
        ]
    return tuple(sorted(found))


def histogram_name(region: str, sample: Sample, number: int) -> str:
    """Return the name of the histogram that the rows of a sample fill: that of the region for data."""
    return region if sample.kind in DATA_LIKE else f"{region}{SIMULATED}{number:03d}"


def check_simulation(search: Search, samples: Sequence[Sample], luminosity: float | None) -> None:
    """Refuse simulation that says nothing of the background.

    Raises
    ------
    InputError
        With the remedy.
    """
    if not uses_simulation(search):
        return
    found = [samples[n] for n in used_samples(search, samples) if samples[n].kind not in DATA_LIKE]
    if not found:
        raise InputError(
            f"search {search.name!r} takes its background from simulation, and the store holds none: ingest "
            "it with --kind simulation, or generate processes of the role template"
        )
    if luminosity is None:
        raise InputError("a background from simulation needs the luminosity of the data: state it")
    for sample in found:
        if sample.weighted:
            raise InputError(f"sample {sample.label} is weighted: only simulation without weights is counted")
        equivalent(sample)


def equivalent(sample: Sample) -> float:
    """Return the luminosity [fb⁻¹] that a simulated sample corresponds to.

    Raises
    ------
    InputError
        If it states neither its luminosity, nor its cross section and generated events.
    """
    if sample.luminosity is not None:
        return sample.luminosity
    if not sample.cross_section or not sample.generated:
        raise InputError(
            f"simulated sample {sample.label} states neither its luminosity nor its cross section and its "
            "generated events: ingest it again with --luminosity"
        )
    return sample.generated / sample.cross_section


def simulated(
    region: str,
    samples: Sequence[Sample],
    histograms: Mapping[str, Histogram],
    configuration: int,
    windows: slice,
    luminosity: float | None,
) -> tuple[Simulated, ...]:
    """Return the simulated rows in some windows, those of one process together.

    Samples of one process add up to the luminosity of them all.
    """
    found: dict[str, list[tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float]]] = {}
    for number, sample in enumerate(samples):
        name = histogram_name(region, sample, number)
        if sample.kind not in DATA_LIKE and name in histograms:
            rows = histograms[name].counts[configuration, windows, 0]
            found.setdefault(sample.process or sample.name, []).append((rows, equivalent(sample)))
    return tuple(
        Simulated(
            process,
            np.sum([rows for rows, _ in parts], axis=0),
            (luminosity or 0.0) / sum(generated for _, generated in parts),
        )
        for process, parts in sorted(found.items())
    )


def of_data(histograms: Iterable[str]) -> list[str]:
    """Return the names of histograms of data."""
    return [name for name in histograms if SIMULATED not in name]
