"""The result of a study of the bias as the size of a systematic."""

import json
from typing import Any

import numpy as np

from scanner import definition
from scanner.definition import Search
from scanner.errors import InputError
from scanner.schema.statistics import ESTIMATED
from scanner.studies.spurious import SMALLEST, spurious_yields
from storage import cubes


def with_spurious_signal(search: Search, study: str, luminosity: float | None) -> Search:
    """Return a search whose systematics of size `spurious_signal` have the size that a study found.

    Parameters
    ----------
    study : str
        Path or URL of the cube of `darkscan study bias`, of one configuration.
    luminosity : float or None
        Luminosity of the data [fb^-1]: the study's spurious signal is scaled to it where both are known.

    Raises
    ------
    InputError
        If the search has no such systematic, or the cube is no bias study of this search.
    """
    waiting = [name for name, term in search.systematics.items() if term.estimate == ESTIMATED]
    if not waiting:
        raise InputError(
            f"search {search.name!r} has no systematic of 'size: {ESTIMATED}' that a study could give"
        )
    content = json.loads(search.canonical)
    for name in waiting:
        content["systematics"][name] |= {"events": _sizes(search, study, luminosity), "estimate": "given"}
    return definition.from_json(json.dumps(content))


def _sizes(search: Search, study: str, luminosity: float | None) -> dict[str, Any]:
    """Return the table of a study's spurious signal by mass, as in a canonical text."""
    cube = cubes.open(study)
    kind, name = cube.attrs.get("study"), cube.attrs.get("search")
    if kind != "bias" or name != search.name:
        raise InputError(f"{study} is no bias study of {search.name!r}: make one by `darkscan study bias`")
    mass = np.unique(cube[search.scan_axis.name].to_numpy())
    known = luminosity if "luminosity" in cube.attrs else None
    table = {
        "axes": ["m"],
        "grids": [mass.tolist()],
        "units": ["GeV"],
        "values": np.maximum(spurious_yields(cube, mass, luminosity=known), SMALLEST).tolist(),
        "unit": "events",
    }
    return {"table": table, "outside": "clamp", "source": "computed"}
