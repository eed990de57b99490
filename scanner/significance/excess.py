"""The largest excess of a scan: where the data have it, and how large those of toys are."""

from collections.abc import Sequence

import numpy as np

from scanner.definition import Search
from scanner.errors import InputError
from scanner.significance.spectrum import Floats, Line, LocalScan
from scanner.stats import look_elsewhere
from scanner.stats.look_elsewhere import FEW, Excess, ToyScans

TOYS_AT_ONCE = 64
"""Toys thrown together: the tables of the distribution are made once for them."""


def observe(search: Search, lines: Sequence[Line]) -> Excess:
    """Find the largest √q₀ of the data among all windows whose fit is sound.

    Raises
    ------
    InputError
        If no window has a significance.
    """
    scans = [line.scan(line.spectrum.counts) for line in lines]
    largest = [np.max(scan.z, initial=-1.0, where=np.isfinite(scan.z)) for scan in scans]
    best = int(np.argmax(largest))
    if largest[best] < 0.0:
        raise InputError("no window of this scan has a significance: look at the status of its fits")
    line, scan = lines[best], scans[best]
    return Excess(
        z=float(largest[best]),
        mass=float(line.spectrum.grid.mass[np.nanargmax(scan.z)]),
        region=line.spectrum.grid.region,
        configuration=search.configurations[line.configuration].name,
        windows=sum(int(line.looked_at.sum()) for line in lines),
        few=sum(map(_few, lines, scans)),
        stretches=sum(look_elsewhere.stretches(line.looked_at) for line in lines),
    )


def _few(line: Line, scan: LocalScan) -> int:
    """Count the windows with few events."""
    return int((line.looked_at & ~(scan.effective_background >= FEW)).sum())


def scan_toys(lines: Sequence[Line], first: int, last: int) -> ToyScans:
    """Throw toys of all spectra and scan them along all lines.

    Parameters
    ----------
    lines : sequence of Line
        Those of one spectrum see the same events.
    first, last : int
        Number of the first toy, and one past the last.
    """
    shape = last - first
    scans = ToyScans(np.zeros(shape), *(np.zeros(shape, dtype=np.int64) for _ in range(3)))
    for start in range(first, last, TOYS_AT_ONCE):
        count = min(TOYS_AT_ONCE, last - start)
        thrown: dict[int, Floats] = {}
        for line in lines:
            spectrum = line.spectrum
            if spectrum.key not in thrown:
                thrown[spectrum.key] = spectrum.throw(start, count)
            for toy, events in enumerate(thrown[spectrum.key], start):
                _add(scans, toy - first, line.scan(events, toy))
    return scans


def _add(scans: ToyScans, row: int, scan: LocalScan) -> None:
    largest = np.max(scan.z, initial=0.0, where=np.isfinite(scan.z))
    scans.maximum[row] = max(scans.maximum[row], largest)
    scans.crossings[row] += look_elsewhere.upcrossings(scan.z)
    scans.crossings_half[row] += look_elsewhere.upcrossings(scan.z[::2])
    scans.failed[row] += scan.failed
