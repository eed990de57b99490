"""Where the plan and the parts of what is being made are kept: beside it."""

from storage.locations import Location

GENERATION = "generate.json"
"""The plan of a generation."""


def run_place(made: str) -> str:
    """Return where the plan and the parts of a cube or a store are kept."""
    return made.rstrip("/") + ".run"


def generating(store: str) -> bool:
    """Tell whether a generation into a store runs, or was interrupted."""
    return Location(run_place(store)).exists(GENERATION)
