"""What passes leave, and the arrays that it is kept as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scanner.reading.candidates import Candidates
from scanner.reading.histogram import Histogram

Arrays = dict[str, np.ndarray[Any, Any]]
FIELDS = ("counts", "cutflow", "outside", "not_finite")
COUNTS, CANDIDATES = ".counts", ".candidates."


@dataclass(frozen=True, eq=False)
class Filled:
    """What a pass leaves of a region: counts, and candidates where the likelihood is unbinned."""

    histogram: Histogram
    candidates: Candidates | None

    def __add__(self, other: "Filled") -> "Filled":
        """Merge."""
        mine, theirs = self.candidates, other.candidates
        merged = None if mine is None or theirs is None else mine + theirs
        return Filled(self.histogram + other.histogram, merged)


def pack(total: Mapping[str, Filled]) -> Arrays:
    """Flatten what a pass left by region into named arrays; candidates in rising order."""
    arrays: Arrays = {}
    for region, filled in total.items():
        arrays |= {f"{region}.{field}": getattr(filled.histogram, field) for field in FIELDS}
        kept = () if filled.candidates is None else filled.candidates.in_order().values
        arrays |= {f"{region}{CANDIDATES}{number:03d}": values for number, values in enumerate(kept)}
    return arrays


def unpack(arrays: Mapping[str, Any]) -> dict[str, Filled]:
    """Build what a pass left by region from named arrays."""
    found = {}
    for region in (name.removesuffix(COUNTS) for name in arrays if name.endswith(COUNTS)):
        histogram = Histogram(*(arrays[f"{region}.{field}"] for field in FIELDS))
        names = sorted(name for name in arrays if name.startswith(region + CANDIDATES))
        found[region] = Filled(histogram, Candidates(tuple(arrays[n] for n in names)) if names else None)
    return found
