"""Weights of simulated rows in the passes of a run: their sums beside the histograms of the samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.scanning.counted import TEMPLATE_KINDS, histogram_name
from scanner.reading.weighted import WeightedSelection
from storage.samples import Sample

PREFIX = "weights."

Sums = dict[str, NDArray[np.int64]]


def empty(
    selections: Mapping[str, WeightedSelection], samples: Sequence[Sample], numbers: Sequence[int]
) -> Sums:
    """Return the sums of no rows of the simulated samples among some, in channels whose rows have weights."""
    return {
        PREFIX + histogram_name(name, samples[number], number): selection.empty()
        for name, selection in selections.items()
        for number in numbers
        if samples[number].kind in TEMPLATE_KINDS
    }


def fill(
    selections: Mapping[str, WeightedSelection], sample: Sample, number: int, columns: Mapping[str, Any]
) -> Sums:
    """Return the sums of the rows of one sample."""
    if sample.kind not in TEMPLATE_KINDS:
        return {}
    return {
        PREFIX + histogram_name(name, sample, number): selection.sums(columns)
        for name, selection in selections.items()
    }
