"""Where the object of a shard lies, and that it is there in full."""

from storage.errors import StorageError
from storage.locations import Location
from storage.manifest import Shard

REMEDY = "run `darkscan verify` for a full list, then restore the object or write the sample anew"


def object_name(column: str, index: int) -> str:
    """Return the name of the object of a shard, as zarr's default chunk keys have it."""
    return f"{column}/c/{index}"


def check_object(location: Location, column: str, shard: Shard) -> str:
    """Make sure that the object of a shard is there in full, and return its path.

    Zarr reads a deleted chunk as its fill value without an error, so this comes before every read.
    """
    name = object_name(column, shard.index)
    where = location.describe(name)
    size, expected = location.size(name), shard.columns[column].size
    if size is None:
        raise StorageError(f"{where}: column {column} of shard {shard.index} is missing; {REMEDY}")
    if size != expected:
        raise StorageError(
            f"{where}: column {column} of shard {shard.index} has {size} bytes, not {expected}; {REMEDY}"
        )
    return where
