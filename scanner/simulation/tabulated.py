"""Spectra that other generators give: they are read once, and say where they are from."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "tables"


@cache
def table(name: str) -> dict[str, Any]:
    """Return the table of this name, with its source and units."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded
