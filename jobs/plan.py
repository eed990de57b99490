"""Plans: what a scan consists of, under one identity, before anything runs."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from scanner.errors import InputError

SCHEMA = 1
ROWS_A_BLOCK = 1 << 24
WINDOWS_A_BLOCK = 256
LIMITS_A_BLOCK = 1 << 16
ROWS_PER_SECOND = 5.0e7
WINDOWS_PER_SECOND = 1.0e4
BYTES_A_VALUE = 8
"""Rates of one core and the width of a value in memory, for estimates: low ends of what is measured."""


@dataclass(frozen=True)
class Options:
    """How a scan is run; none of it changes a number but `method` and `seed`."""

    method: str = "auto"
    seed: int = 0
    rows_a_block: int = ROWS_A_BLOCK
    windows_a_block: int = WINDOWS_A_BLOCK


@dataclass(frozen=True)
class PassBlock:
    """A run of rows of the event store: pieces (shard, first row, last row + 1)."""

    key: str
    pieces: tuple[tuple[int, int, int], ...]

    @property
    def rows(self) -> int:
        """Count the rows."""
        return sum(stop - start for _, start, stop in self.pieces)


@dataclass(frozen=True)
class FitBlock:
    """A run of windows of one region."""

    key: str
    region: str
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Everything that a worker needs to know, and nothing else.

    Attributes
    ----------
    search : str
        The canonical text of the search definition.
    store, store_digest : str
        Where the events are, and the digest of their content.
    method : str
        Statistical method.
    seed : int
        User seed, from which every random number is derived.
    luminosity : float or None
        Luminosity of the data [fb⁻¹].
    code, cpu : str
        Digest of the sources, and the instruction set that kernels are compiled for.
    passes, fits : tuple of blocks
        The distributed work.
    """

    search: str
    store: str
    store_digest: str
    method: str
    seed: int
    luminosity: float | None
    code: str
    cpu: str
    passes: tuple[PassBlock, ...]
    fits: tuple[FitBlock, ...]

    @property
    def scan_identity(self) -> str:
        """Digest of what may influence a number: definition, store content, method, seed, luminosity."""
        facts = [SCHEMA, self.search, self.store_digest, self.method, self.seed, self.luminosity]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def digest(self) -> str:
        """Digest of the whole plan but the place of its store: the address of its parts."""
        facts = asdict(self)
        facts.pop("store")
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def keys(self) -> tuple[str, ...]:
        """List the keys of all parts, in order."""
        return (*(block.key for block in self.passes), FOLD, *(block.key for block in self.fits))

    def to_json(self) -> bytes:
        """Write the plan out."""
        return json.dumps({"schema": SCHEMA, "digest": self.digest, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Plan":
        """Read a plan back.

        Raises
        ------
        InputError
            If the text is not a plan of this version, or was changed.
        """
        try:
            facts = json.loads(text)
            schema, digest = facts.pop("schema"), facts.pop("digest")
            passes = tuple(_pass_block(**block) for block in facts.pop("passes"))
            fits = tuple(FitBlock(**block) for block in facts.pop("fits"))
            plan = cls(passes=passes, fits=fits, **facts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"the plan cannot be read ({error}): start the scan anew with --overwrite"
            ) from error
        if schema != SCHEMA or plan.digest != digest:
            raise InputError(
                "the plan was changed or is of another version: start the scan anew with --overwrite"
            )
        return plan


FOLD = "histogram"
"""Key of the part that holds the sum of all passes."""


def _pass_block(key: str, pieces: Iterable[Iterable[int]]) -> PassBlock:
    return PassBlock(key, tuple((shard, start, stop) for shard, start, stop in pieces))


def pass_blocks(shards: Iterable[tuple[int, int]], rows: int) -> Iterator[PassBlock]:
    """Cut shards (index, rows) into blocks of at most `rows` rows; small shards share a block."""
    pieces: list[tuple[int, int, int]] = []
    room, number = rows, 0
    for shard, length in shards:
        start = 0
        while start < length:
            stop = min(length, start + room)
            pieces.append((shard, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield PassBlock(f"pass-{number:06d}", tuple(pieces))
                pieces, room, number = [], rows, number + 1
    if pieces:
        yield PassBlock(f"pass-{number:06d}", tuple(pieces))


def windows_a_block(most: int, points: int) -> int:
    """Return the windows of a block: fewer where each has many limits, so that workers share them.

    All points of a window stay together, since they have limits in common.
    """
    return max(1, min(most, LIMITS_A_BLOCK // points))


def fit_blocks(regions: Iterable[tuple[str, int]], windows: int) -> Iterator[FitBlock]:
    """Cut regions (name, windows) into blocks of at most `windows` windows."""
    for region, length in regions:
        for first in range(0, length, windows):
            last = min(length, first + windows)
            yield FitBlock(f"fit-{region}-{first:06d}-{last:06d}", region, first, last)


@dataclass(frozen=True)
class Estimate:
    """What a plan costs: blocks, bytes of memory a worker, seconds on a number of cores.

    A window has a limit in every configuration and at every point of the axes beside its mass.
    """

    pass_blocks: int
    fit_blocks: int
    rows: int
    windows: int
    limits: int
    memory: float
    seconds: float


def estimate(
    plan: Plan, *, columns: int, bins: int, workers: int, points: int = 1, rate: float = WINDOWS_PER_SECOND
) -> Estimate:
    """Estimate memory [bytes a worker] and time [s] of a plan.

    Parameters
    ----------
    columns : int
        Columns that the pass reads.
    bins : int
        Bins of the histograms of all regions.
    workers : int
        Cores that share the work.
    points : int
        Limits of a window.
    rate : float
        Limits that a core sets in a second.
    """
    rows = sum(block.rows for block in plan.passes)
    windows = sum(block.last - block.first for block in plan.fits)
    limits = windows * points
    seconds = (rows / ROWS_PER_SECOND + limits / rate) / max(1, workers)
    held = min(rows, 1 << 22) * columns * BYTES_A_VALUE + 4 * bins * BYTES_A_VALUE
    return Estimate(len(plan.passes), len(plan.fits), rows, windows, limits, float(held), seconds)
