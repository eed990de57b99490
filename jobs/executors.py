"""Ways to run blocks: in this process, or on a Dask cluster.

An executor only makes things happen. Whether a block is done is judged by the store of parts, so an
executor may lose blocks, run some twice, or report too few: the caller lists the parts and asks again.
"""

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dask
from distributed import Client, Future, LocalCluster, wait
from distributed.client import FuturesCancelledError

from jobs.notices import tell_of_compilation
from scanner.errors import InputError
from storage.errors import StorageError

IN_FLIGHT_A_SLOT = 3
PATIENCE = 120.0
"""Seconds without a finished block after which the store is asked what is done."""
MOST_STRIKES = 3
"""Times a block may kill its worker or vanish before it is given up and reported."""

Execute = Callable[[str, str], str]
Report = Callable[[str], None]
Committed = Callable[[], Collection[str]]


class ClusterLostError(RuntimeError):
    """The scheduler or all workers are gone; the committed blocks stand."""

    exit_code = 3


SETTINGS = {
    "distributed.scheduler.allowed-failures": 20,
    "distributed.scheduler.worker-ttl": "120s",
    "distributed.comm.timeouts.tcp": "30s",
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.daemon": True,
    "distributed.worker.preload": ["jobs.interrupts"],
    "distributed.admin.tick.limit": "60s",
    "distributed.logging.distributed": "critical",
}


@dataclass(frozen=True)
class Task:
    """What to do with a key: `execute(place, key)`; `committed()` lists the keys that are done."""

    execute: Execute
    place: str
    committed: Committed


class Executor(Protocol):
    """Runs blocks by key until each has finished, failed or vanished."""

    def run(self, task: Task, keys: Sequence[str], report: Report) -> tuple[str, ...]:
        """Run the task for each key, `report(key)` each that finished, and return those given up."""
        ...


class SerialExecutor:
    """Runs blocks one after the other in this process."""

    def run(self, task: Task, keys: Sequence[str], report: Report) -> tuple[str, ...]:
        """Run the blocks in order; an error of one stops the run."""
        tell_of_compilation()
        for key in keys:
            report(task.execute(task.place, key))
        return ()


class DaskExecutor:
    """Runs blocks on a Dask cluster, a few a slot in flight, each future released once handled."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def run(self, task: Task, keys: Sequence[str], report: Report) -> tuple[str, ...]:
        """Run the blocks; those that keep killing their worker come back as given up."""
        with self.client.as_current():
            return _Flight(self.client, task, keys, report).land()


class _Flight:
    """The blocks of one call: waiting, in flight, and struck."""

    def __init__(self, client: Client, task: Task, keys: Sequence[str], report: Report) -> None:
        self.client, self.task, self.report = client, task, report
        self.waiting = deque(keys)
        self.flying: dict[Future[Any], str] = {}
        self.strikes: Counter[str] = Counter()
        self.given_up: list[str] = []

    def land(self) -> tuple[str, ...]:
        """Keep the slots busy until nothing waits and nothing flies."""
        try:
            while self.waiting or self.flying:
                self._refill()
                finished = self._finished()
                self._collect(finished)
                if not finished:
                    self._stalled()
        finally:
            self.client.cancel(list(self.flying), force=True)
        return tuple(self.given_up)

    def _refill(self) -> None:
        # A block that failed before flies alone, so that it takes no other block down with it.
        slots = max(1, sum(self.client.nthreads().values()))
        while self.waiting and len(self.flying) < IN_FLIGHT_A_SLOT * slots:
            if self.strikes[self.waiting[0]] and self.flying:
                return
            key = self.waiting.popleft()
            future = self.client.submit(self.task.execute, self.task.place, key, pure=False, retries=0)
            self.flying[future] = key
            if self.strikes[key]:
                return

    def _finished(self) -> list[Future[Any]]:
        with contextlib.suppress(TimeoutError, FuturesCancelledError):
            wait(list(self.flying), timeout=PATIENCE, return_when="FIRST_COMPLETED")
        return [future for future in self.flying if future.status != "pending"]

    def _collect(self, done: Iterable[Future[Any]]) -> None:
        for future in done:
            key = self.flying.pop(future)
            if future.status == "finished":
                self.report(key)
            else:
                self._strike(key, future)
            future.release()

    def _stalled(self) -> None:
        """Nothing moved for long: believe the store, and leave when the cluster is gone."""
        if self.client.status != "running" or not self.client.nthreads():
            raise ClusterLostError("the cluster is gone: what is committed is kept, --resume does the rest")
        committed = self.task.committed()
        for future, key in list(self.flying.items()):
            if key in committed:
                del self.flying[future]
                future.release()
                self.report(key)

    def _strike(self, key: str, future: Any) -> None:
        error = future.exception(timeout=5) if future.status == "error" else None
        if isinstance(error, InputError | StorageError):
            raise error
        self.strikes[key] += 1
        if self.strikes[key] < MOST_STRIKES:
            self.waiting.append(key)
        else:
            self.given_up.append(key)


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Start a cluster of single-threaded processes on this machine, reachable from this machine alone.

    Raises
    ------
    InputError
        If the number of workers is not positive.
    """
    if workers < 1:
        raise InputError(f"{workers} workers: give a positive number of worker processes")
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(workers, timeout=60.0)
        yield client
