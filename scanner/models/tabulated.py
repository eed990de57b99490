"""Tables of hadronic physics that models share: they are read once and interpolated."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scanner.models.base import Array

FOLDER = Path(__file__).parent / "tables"


@cache
def table(name: str) -> dict[str, Any]:
    """Return the table of this name, with its source and units."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def log_linear(m: Array, masses: list[float], values: list[float]) -> Array:
    """Interpolate the logarithm of positive values linearly in mass; constant beyond both ends."""
    return np.asarray(np.exp(np.interp(m, masses, np.log(values))))


def linear(m: Array, masses: list[float], values: list[float]) -> Array:
    """Interpolate values linearly in mass; constant beyond both ends."""
    return np.asarray(np.interp(m, masses, values))
