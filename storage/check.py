"""The full check of whatever lies at a place: an event store or a cube."""

from storage import cubes
from storage.errors import StorageError
from storage.events import MANIFEST, EventStore
from storage.locations import Location
from storage.verify import Problem


def verify(url: str) -> tuple[Problem, ...]:
    """Read every byte of an event store or a limit cube and name what is damaged.

    Raises
    ------
    StorageError
        If neither is there, or its manifest or record cannot be read.
    """
    location = Location(url)
    if location.exists(MANIFEST):
        return EventStore.open(location).verify()
    if location.exists(cubes.RECORD):
        return cubes.verify(location)
    raise StorageError(f"{location.describe()}: is neither an event store nor a limit cube; check the path")
