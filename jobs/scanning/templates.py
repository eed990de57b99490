"""From the samples of a store to the templates of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.scanning.counted import TEMPLATE_KINDS, histogram_name
from jobs.scanning.weights import PREFIX
from scanner import engine
from scanner.definition import Search
from scanner.reading.histogram import Histogram
from scanner.reading.weighted import in_events
from scanner.windows.channels import views
from scanner.windows.filled import Filled, filled_grid, sample_names, template_of
from scanner.windows.grid import WindowGrid
from storage.samples import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Passed:
    """What the passes left: histograms of all samples, and sums of the weights of some, by name."""

    histograms: Mapping[str, Histogram]
    sums: Mapping[str, NDArray[Any]]
    samples: Sequence[Sample]
    luminosity: float | None

    def in_bins(self, name: str) -> tuple[Floats, Floats]:
        """Return Σw and Σw² of a histogram in its bins and in none, (configurations, B + 1) each."""
        if PREFIX + name in self.sums:
            return in_events(self.sums[PREFIX + name])
        histogram = self.histograms[name]
        beyond = (histogram.outside + histogram.not_finite)[:, None]
        counts = np.concatenate([histogram.counts, beyond], axis=1).astype(np.float64)
        return counts, counts


def with_templates(search: Search, grid: WindowGrid, passed: Passed, configuration: int) -> WindowGrid:
    """Return windows with the templates of a configuration."""
    found = {}
    for channel, single in views(search).items():
        axis = grid.channels.get(channel, grid)
        name = engine.pass_name(search, grid.region, channel)
        rows = _filled(search, name, passed)
        found[channel] = filled_grid(single, axis, rows, configuration)
    return replace(grid, channels=found) if grid.channels else next(iter(found.values()))


def _filled(search: Search, name: str, passed: Passed) -> list[Filled]:
    """Return what the pass filled of each sample under the name of one histogram, its periods together."""
    names = sample_names(search)
    groups: dict[str, list[int]] = {}
    for number, sample in enumerate(passed.samples):
        if sample.kind in TEMPLATE_KINDS and histogram_name(name, sample, number) in passed.histograms:
            groups.setdefault(sample.name, []).append(number)
    found = []
    for label, numbers in groups.items():
        periods = [passed.samples[number] for number in numbers]
        each = [passed.in_bins(histogram_name(name, passed.samples[number], number)) for number in numbers]
        content, squares = (np.sum([sums[k] for sums in each], axis=0) for k in range(2))
        wanted, scale = template_of(label, names) or label, _scale(periods, passed.luminosity)
        of = (content[:, :-1], squares[:, :-1], content.sum(axis=1))
        found.append(Filled(wanted, dict(periods[0].parameters), scale, *of))
    return found


def _scale(periods: Sequence[Sample], luminosity: float | None) -> float:
    """Return the luminosity of the data over that of a sample; 1 where either is not known."""
    known = [sample.luminosity for sample in periods if sample.luminosity is not None]
    if luminosity is None or len(known) != len(periods):
        return 1.0
    return luminosity / sum(known)
