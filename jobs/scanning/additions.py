"""What later jobs find out about a scan: kept in its run, so that a cube assembled anew has it again."""

from collections.abc import Mapping
from typing import Any

from storage.locations import Location
from storage.manifest import seal, unseal

RECORD = "significance.json"
FORMAT = "darkscan significance"
SCHEMA = 1


def keep(place: str, attributes: Mapping[str, Any]) -> None:
    """Write the attributes of a global significance down in the run that they are about.

    A run is of one scan, one version of the sources and one processor, so that they hold for every cube
    that is assembled from it, and leave with it.
    """
    body = {"format": FORMAT, "schema": SCHEMA, "attributes": dict(attributes)}
    Location(place).replace(RECORD, seal(body))


def present(place: str) -> bool:
    """Tell whether attributes were written down in a run."""
    return Location(place).exists(RECORD)


def kept(place: str) -> dict[str, Any]:
    """Return the attributes that were written down in a run, none if there are none.

    Raises
    ------
    StorageError
        If the record is damaged.
    """
    run = Location(place)
    if not present(place):
        return {}
    where = f"{run.describe(RECORD)} (remove it, then `darkscan significance` writes it anew)"
    attributes: dict[str, Any] = unseal(run.read(RECORD), FORMAT, SCHEMA, where)["attributes"]
    return attributes
