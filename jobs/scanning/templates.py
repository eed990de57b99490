"""From the samples of a store to the templates of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jobs.scanning.counted import TEMPLATE_KINDS, histogram_name
from scanner import engine
from scanner.definition import Search
from scanner.reading.histogram import Histogram
from scanner.windows.channels import views
from scanner.windows.filled import Filled, filled_grid, sample_names, template_of
from scanner.windows.grid import WindowGrid
from storage.samples import Sample


def with_templates(
    search: Search,
    grid: WindowGrid,
    histograms: Mapping[str, Histogram],
    samples: Sequence[Sample],
    luminosity: float | None,
    configuration: int,
) -> WindowGrid:
    """Return windows with the templates of a configuration."""
    found = {}
    for channel, single in views(search).items():
        axis = grid.channels.get(channel, grid)
        name = engine.pass_name(search, grid.region, channel)
        rows = _filled(search, name, histograms, samples, luminosity)
        found[channel] = filled_grid(single, axis, rows, configuration)
    return replace(grid, channels=found) if grid.channels else next(iter(found.values()))


def _filled(
    search: Search,
    name: str,
    histograms: Mapping[str, Histogram],
    samples: Sequence[Sample],
    luminosity: float | None,
) -> list[Filled]:
    """Return what the pass filled of each sample under the name of one histogram, its periods together."""
    names = sample_names(search)
    groups: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        if sample.kind in TEMPLATE_KINDS and histogram_name(name, sample, number) in histograms:
            groups.setdefault(sample.name, []).append(number)
    found = []
    for label, numbers in groups.items():
        periods = [samples[number] for number in numbers]
        each = [histograms[histogram_name(name, samples[number], number)] for number in numbers]
        counts = np.asarray(np.sum([h.counts for h in each], axis=0), dtype=np.float64)
        beyond = np.asarray(np.sum([h.outside + h.not_finite for h in each], axis=0))
        rows = np.asarray(counts.sum(axis=1) + beyond)
        wanted, scale = template_of(label, names) or label, _scale(periods, luminosity)
        found.append(Filled(wanted, dict(periods[0].parameters), scale, counts, rows))
    return found


def _scale(periods: Sequence[Sample], luminosity: float | None) -> float:
    """Return the luminosity of the data over that of a sample; 1 where either is not known."""
    known = [sample.luminosity for sample in periods if sample.luminosity is not None]
    if luminosity is None or len(known) != len(periods):
        return 1.0
    return luminosity / sum(known)
