"""What killed writers left in an event store: found, and deleted while no other runs."""

from collections.abc import Callable
from dataclasses import dataclass

from storage.events import EventStore


@dataclass(frozen=True)
class Swept:
    """How many objects no manifest names, and of how many bytes; False if they may be a running writer's."""

    objects: int
    size: int
    removed: bool


def sweep(store: EventStore, busy: Callable[[], bool] = lambda: False) -> Swept:
    """Delete what killed writers left, unless one still runs.

    Parameters
    ----------
    store : EventStore
        In a bucket, which has no locks, nothing is deleted.
    busy : callable
        Tells of writers that use `write_shard` and not `append`. It is asked when leftovers have been listed:
        those of a writer that is done by then have been committed.
    """
    with store.location.alone() as alone:
        found = _unnamed(store)
        if not found or not alone or busy():
            return Swept(len(found), _size(store, found), removed=not found)
        store.reload()
        lost = found & _unnamed(store)
        size = _size(store, lost)
        for name in lost:
            store.location.remove(name)
    return Swept(len(lost), size, removed=True)


def _unnamed(store: EventStore) -> set[str]:
    return {*store.leftovers(), *store.location.unfinished()}


def _size(store: EventStore, names: set[str]) -> int:
    return sum(store.location.size(name) or 0 for name in names)
