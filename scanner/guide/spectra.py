"""A spectrum without signal: its largest excess, and how large those of toys are."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from scanner import definition, engine
from scanner.guide.tables import Floats, Table, number
from scanner.significance import excess, spectrum
from scanner.stats import look_elsewhere
from scanner.stats.look_elsewhere import Crossings, Excess
from scanner.stats.sampling import poisson_toys

SEARCH = """
extends: bump_hunt
observable: mass
range: [1 GeV, 2 GeV]
resolution: 20 MeV
order: 3
"""
EVENTS, FALL = 30_000.0, 2.0
"""Events of the spectrum, which falls like exp(−FALL·m)."""
TOYS, FEW_TOYS = 1000, 50
LEVELS = (2.5, 3.0, 3.5)


@dataclass(frozen=True)
class Elsewhere:
    """What toys and upcrossings say of local significances."""

    seen: Excess
    maxima: Floats
    """(N,) largest local significance of each toy."""
    crossings: Crossings
    """Of the first `FEW_TOYS` toys."""


@cache
def elsewhere() -> Elsewhere:
    """Throw toys of a spectrum of 101 windows."""
    search = definition.parse(SEARCH, where="the guide")
    grids = engine.grids(search)
    edges = grids["all"].edges
    fall = np.exp(-FALL * edges)
    truth = EVENTS * -np.diff(fall) / (fall[0] - fall[-1])
    data = poisson_toys(truth, 1, 0, 1).astype(np.int64)
    lines = spectrum.lines(search, spectrum.spectra(search, grids, {"all": data}, "the guide"))
    scans = excess.scan_toys(lines, 0, TOYS)
    few = look_elsewhere.mean_crossings(scans.crossings[:FEW_TOYS])
    return Elsewhere(excess.observe(search, lines), scans.maximum, few)


def significance_table() -> Table:
    """Compare global p-values by toys and by upcrossings at some local significances."""
    found = elsewhere()
    none = np.zeros(len(found.maxima), dtype=np.bool_)
    rows = []
    for z in LEVELS:
        toys = look_elsewhere.p_from_toys(z, found.maxima, none)
        few = look_elsewhere.p_from_crossings(z, found.crossings)
        local = look_elsewhere.p_from_crossings(z, Crossings(0.0, 0.0)).p
        by_toys = f"{number(toys.p)} ({number(toys.low)} to {number(toys.high)})"
        rows.append([f"{z:g}", number(local), by_toys, f"{number(few.p)} ± {number(few.high - few.p)}"])
    return Table(("z", "p_local", f"p_global, {TOYS} toys", f"upcrossings of {FEW_TOYS} toys"), rows)
