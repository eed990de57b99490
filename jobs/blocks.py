"""Jobs of named blocks: a job written down once, its blocks run until the store of parts holds them all.

A scan, a study and the throwing of spectra differ in what a block computes. What they share is here: the
job's facts under one digest, the check of what is begun already, and "list the parts, do what remains".
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from jobs.executors import Executor, Task
from jobs.progress import progress
from scanner import kernels
from scanner.errors import InputError
from storage.locations import Location
from storage.parts import PartStore
from storage.provenance import code_digest

JOB = "job.json"
PARTS = "parts"
SCHEMA = 1


class IncompleteError(RuntimeError):
    """Some blocks could not be done; the committed ones stand."""

    exit_code = 3


@dataclass(frozen=True)
class Job:
    """What the blocks of a job need to know, and nothing else.

    Attributes
    ----------
    kind : str
        What the blocks compute, such as ``linearity``.
    facts : dict
        JSON values: everything that may influence a number.
    keys : tuple of str
        The blocks; how the work is cut influences no number.
    code, cpu : str
        Digest of the sources, and the instruction set that kernels are compiled for.
    """

    kind: str
    facts: dict[str, Any]
    keys: tuple[str, ...]
    code: str
    cpu: str

    @classmethod
    def of(cls, kind: str, facts: dict[str, Any], keys: Sequence[str]) -> "Job":
        """Make a job of the sources and the processor at hand."""
        return cls(kind, facts, tuple(keys), code_digest(), kernels.instruction_set())

    @property
    def identity(self) -> str:
        """Digest of what may influence a number: the seed of everything random."""
        return _digest([SCHEMA, self.kind, self.facts])

    @property
    def digest(self) -> str:
        """Digest of the whole job: the address of its parts."""
        return _digest([SCHEMA, asdict(self)])

    def to_json(self) -> bytes:
        """Write the job out."""
        return json.dumps({"schema": SCHEMA, "digest": self.digest, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Job":
        """Read a job back.

        Raises
        ------
        InputError
            If the text is no job of this version, or was changed.
        """
        try:
            read = json.loads(text)
            schema, digest = read.pop("schema"), read.pop("digest")
            job = cls(keys=tuple(read.pop("keys")), **read)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"the job cannot be read ({error}): start it anew with --overwrite") from error
        if schema != SCHEMA or job.digest != digest:
            raise InputError("the job was changed or is of another version: start it anew with --overwrite")
        return job


@dataclass(frozen=True)
class Opened(ABC):
    """What was begun at a place, with what follows from it, made once a process."""

    place: str

    @property
    @abstractmethod
    def digest(self) -> str:
        """Digest of what is being done there."""

    @property
    def ticket(self) -> str:
        """What a worker needs to open this, and no other that has the same place later."""
        return f"{self.digest} {self.place}"

    @cached_property
    def parts(self) -> PartStore:
        """The committed parts."""
        return PartStore(Location(self.place).child(PARTS))


@dataclass(frozen=True)
class OpenJob(Opened):
    """A job at its place."""

    job: Job

    @property
    def digest(self) -> str:
        """Digest of the whole job."""
        return self.job.digest


Found = TypeVar("Found", bound=Opened)


def redeemed(ticket: str, opened: Callable[[str], Found]) -> Found:
    """Open what a ticket was given out for.

    Raises
    ------
    InputError
        If something else has its place by now.
    """
    place = ticket.partition(" ")[2]
    found = opened(place)
    if found.ticket != ticket:
        raise InputError(f"what was begun in {place} was started anew meanwhile: this one ends here")
    return found


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def begin(job: Job, place: str, *, resume: bool, overwrite: bool) -> OpenJob:
    """Write a job down, or find the one that is being resumed.

    Raises
    ------
    InputError
        If a job is there already and is neither resumed nor overwritten, or is another one.
    """
    location = Location(place)
    if overwrite:
        location.remove_tree(JOB)
    if not location.exists(JOB):
        location.replace(JOB, job.to_json())
    elif not (resume or overwrite):
        raise InputError(f"a job in {place} was started before: --resume it, or --overwrite it")
    opened = open_job(place)
    if opened.job.identity != job.identity:
        raise InputError(
            f"the job begun in {place} is of another definition, input, options or seed: "
            "--overwrite it, or choose another -o"
        )
    return opened


def open_job(place: str) -> OpenJob:
    """Open a job and check that this process computes what the job's author would.

    Raises
    ------
    InputError
        If the sources or the instruction set differ from the job's.
    """
    job = Job.from_json(Location(place).read(JOB))
    check_alike("job", job.code, job.cpu)
    return OpenJob(place, job)


def check_alike(what: str, code: str, cpu: str) -> None:
    """Refuse a job or plan whose blocks would have other bits here.

    Raises
    ------
    InputError
        If the sources or the instruction set differ from its author's.
    """
    if code != code_digest():
        raise InputError(
            f"this {what} was made by other sources than those installed here: install one version "
            "everywhere, or start it anew with --overwrite"
        )
    if cpu != kernels.instruction_set():
        raise InputError(
            f"this {what} is for {cpu} processors, and this one is {kernels.instruction_set()}: "
            "bits would differ; use equal machines, or set NUMBA_CPU_NAME=x86-64-v3 on all and start anew"
        )


@lru_cache(maxsize=4)
def of_ticket(ticket: str) -> OpenJob:
    """Open a job once a process."""
    return redeemed(ticket, open_job)


def remaining(parts: PartStore, keys: Sequence[str]) -> tuple[str, ...]:
    """List the keys without a sound part; damaged parts are thrown away first."""
    parts.remove_damaged()
    done = set(parts.keys())
    return tuple(key for key in keys if key not in done)


def finish(
    task: Task,
    parts: PartStore,
    executor: Executor,
    *,
    keys: Sequence[str],
    label: str,
    unit: str = "blocks",
    weight: Callable[[str], float] = lambda _: 1.0,
) -> None:
    """Run what remains of some blocks until the store of parts holds them all.

    Parameters
    ----------
    task : Task
        What a worker does with a key: it commits the part of that key to `parts`.
    keys : sequence of str
        The blocks.
    label, unit : str
        For the progress bar.
    weight : callable
        How much a block counts in the progress bar.

    Raises
    ------
    IncompleteError
        If a round over what remains commits nothing more.
    """
    todo = remaining(parts, keys)
    with progress(label, sum(map(weight, keys)), unit) as advance:
        advance(sum(map(weight, set(keys) - set(todo))))
        while todo:
            executor.run(task, todo, lambda key: advance(weight(key)))
            left = remaining(parts, keys)
            if len(left) == len(todo):
                raise IncompleteError(
                    f"{len(left)} blocks cannot be done, the first is {left[0]}; --resume tries again"
                )
            todo = left
