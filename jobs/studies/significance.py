"""The global significance of a scan: toys of whole spectra in blocks, summed up into the cube.

Toys are numbered, and a toy is a function of the scan and its number alone. A part holds a run of toys under
a key that names them, so that a second call with more toys adds only those that are missing, whatever the
blocks of the first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.blocks import finish
from jobs.executors import Executor, Task
from jobs.places import run_place
from jobs.scanning import additions
from jobs.scanning.run import PLAN, Run, open_run, run_of
from scanner import runnable
from scanner.errors import InputError
from scanner.significance import excess, spectrum
from scanner.significance.spectrum import Line
from scanner.stats import look_elsewhere
from scanner.stats.look_elsewhere import GlobalSignificance, ToyScans
from storage import cubes as cube_store
from storage.locations import Location
from storage.parts import PartStore

PLACE = "significance"
TOYS_A_BLOCK = 50
DEFAULT_TOYS = {"toys": 1000, "upcrossings": 100}
"""Toys of each method, unless the user says otherwise."""


@dataclass(frozen=True)
class Options:
    """How the significance is found; the size of blocks changes no number.

    Attributes
    ----------
    method : str
        A key of `DEFAULT_TOYS`.
    toys : int
        Toys; 0 for the method's default.
    """

    method: str = "toys"
    toys: int = 0
    toys_a_block: int = TOYS_A_BLOCK

    @property
    def count(self) -> int:
        """The number of toys, checked.

        Raises
        ------
        InputError
            If the method is unknown, or its toys are too few.
        """
        if self.method not in DEFAULT_TOYS:
            raise InputError(f"unknown method {self.method!r}: take one of {', '.join(DEFAULT_TOYS)}")
        count = self.toys or DEFAULT_TOYS[self.method]
        if count < 2:
            raise InputError(f"{count} toys tell nothing of their spread: take two or more")
        return count


@dataclass(frozen=True)
class Look:
    """A finished scan, its spectra with their truth, and the parts of its toys."""

    run: Run

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every mass axis that is looked at."""
        run = self.run
        counts = {region: np.asarray(h.counts) for region, h in run.histograms.items()}
        found = spectrum.spectra(run.search, run.grids, counts, run.plan.scan_identity)
        return spectrum.lines(run.search, found, "significance")

    @cached_property
    def parts(self) -> PartStore:
        """The committed toys."""
        return PartStore(Location(self.run.place).child(PLACE))


@lru_cache(maxsize=2)
def _look_of(ticket: str) -> Look:
    return Look(run_of(ticket))


def execute(ticket: str, key: str) -> str:
    """Scan the toys that a key names and commit their part; return the key."""
    look = _look_of(ticket)
    scans = excess.scan_toys(look.lines, *numbers_of(key))
    look.parts.commit(key, scans.arrays())
    return key


def key_of(first: int, last: int) -> str:
    """Name a run of toys: the first and one past the last."""
    return f"toys-{first:09d}-{last:09d}"


def numbers_of(key: str) -> tuple[int, int]:
    """Return the toys that a key names: the first and one past the last."""
    _, first, last = key.split("-")
    return int(first), int(last)


def missing_blocks(keys: tuple[str, ...], toys: int, size: int) -> Iterator[str]:
    """Cut the toys that no key names into blocks of at most `size`."""
    here = np.zeros(toys + 1, dtype=np.bool_)
    for key in keys:
        here[slice(*numbers_of(key))] = True
    here[toys] = True
    first = 0
    while first < toys:
        if here[first]:
            first += 1
            continue
        last = min(first + size, first + int(np.argmax(here[first:])))
        yield key_of(first, last)
        first = last


def open_look(cube: str) -> Look:
    """Open the run of a cube and check that the cube came from it.

    Raises
    ------
    InputError
        If the run is missing, or of another scan.
    """
    place = run_place(cube)
    identity = cube_store.open(cube).attrs.get("scan_identity")
    if not Location(place).exists(PLAN):
        raise InputError(
            f"the run {place} is missing: the spectra of a scan are kept there; scan again into {cube}"
        )
    run = open_run(place)
    if run.plan.scan_identity != identity:
        raise InputError(f"{cube} was not made by the run {place}: scan again with --overwrite")
    runnable.refuse_special(run.search, "a global significance")
    return _look_of(run.ticket)


def throw(look: Look, executor: Executor, options: Options) -> ToyScans:
    """Scan the toys that are not there yet, and collect them all.

    Raises
    ------
    IncompleteError
        If blocks cannot be done.
    """
    toys = options.count
    look.parts.remove_damaged()
    todo = tuple(missing_blocks(look.parts.keys(), toys, options.toys_a_block))
    finish(
        Task(execute, look.run.ticket, look.parts.keys),
        look.parts,
        executor,
        keys=todo,
        label="toys",
        unit="toys",
        weight=_toys_in,
    )
    return collect(look.parts, toys)


def _toys_in(key: str) -> float:
    first, last = numbers_of(key)
    return float(last - first)


def collect(parts: PartStore, toys: int) -> ToyScans:
    """Put the first toys together, by their numbers."""
    found: dict[str, NDArray[Any]] = {}
    for key in sorted(parts.keys()):
        first, last = numbers_of(key)
        for name, values in parts.read(key).arrays.items() if first < toys else ():
            whole = found.setdefault(name, np.zeros(toys, dtype=values.dtype))
            whole[first:last] = values[: max(0, toys - first)]
    return ToyScans(**found)


def significance(
    cube: str,
    *,
    executor: Executor,
    options: Options = Options(),
    report: Callable[[ToyScans], None] = lambda _: None,
) -> GlobalSignificance:
    """Find the global significance of a cube's largest excess, and write it into its attributes.

    It is kept in the run as well, so that a cube assembled anew from the same parts has it.

    Parameters
    ----------
    cube : str
        A cube whose run is still beside it.
    executor : Executor
        Serial or Dask.
    options : Options
    report : callable
        Receives the scans of the toys, for a plot.

    Raises
    ------
    InputError, StorageError, IncompleteError
    """
    _ = options.count  # wrong options are found before the work
    look = open_look(cube)
    seen = excess.observe(look.run.search, look.lines)
    scans = throw(look, executor, options)
    found = look_elsewhere.summarise(seen, scans, options.method)
    report(scans)
    additions.keep(look.run.place, found.attributes())
    dataset = cube_store.open(cube)
    dataset.attrs |= found.attributes()
    cube_store.write(dataset, cube, overwrite=True)
    return found
