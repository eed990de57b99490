"""The spurious signal of a bias study, for the systematic of a definition."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from scanner.errors import InputError

Floats = NDArray[np.float64]

SMALLEST = 1e-6
"""Events that stand for none: the size of a systematic is positive."""


def spurious_yields(
    cube: xr.Dataset, mass: Floats, *, configuration: str = "", luminosity: float | None = None
) -> Floats:
    """Return the spurious signal at masses, (W,) [events].

    Parameters
    ----------
    cube : Dataset
        The cube of `darkscan study bias`.
    mass : (W,) float
        [GeV]; between the masses of the study it is interpolated, beyond them it is that of the last.
    configuration : str
        Which one, where the study has several.
    luminosity : float, optional
        [fb⁻¹]; spurious signals grow with the luminosity, as the events do. That of the study by default.

    Raises
    ------
    InputError
        If the cube is none of a bias, has no such configuration, or knows no luminosity to scale from.
    """
    if cube.attrs.get("study") != "bias":
        raise InputError("a spurious signal comes from the cube of `darkscan study bias`, which this is not")
    if "configuration" in cube.dims:
        names = cube["configuration"].values.tolist()
        if configuration not in names:
            raise InputError(f"configuration {configuration!r} is none of the study's: {', '.join(names)}")
        cube = cube.sel(configuration=configuration)
    axis = str(cube["region"].dims[0])
    place, size = cube[axis].to_numpy(), cube["spurious_signal"].to_numpy()
    known = np.isfinite(size)
    if not known.any():
        raise InputError("the study has no spurious signal at any mass: none of its fits succeeded")
    found: Floats = np.interp(mass, place[known], size[known])
    return found * _scale(cube, luminosity)


def _scale(cube: xr.Dataset, luminosity: float | None) -> float:
    if luminosity is None:
        return 1.0
    if "luminosity" not in cube.attrs:
        raise InputError("the study knows no luminosity, so there is nothing to scale from")
    return luminosity / float(cube.attrs["luminosity"])


def as_systematic(cube: xr.Dataset, *, configuration: str = "") -> str:
    """Write the spurious signal as a systematic of a definition, YAML to paste or to extend from.

    Masses are those of the study; between those without a number it is interpolated.
    """
    axis = str(cube["region"].dims[0])
    mass = cube[axis].to_numpy()
    events = np.maximum(spurious_yields(cube, mass, configuration=configuration), SMALLEST)
    mass, unique = np.unique(mass, return_index=True)
    events = events[unique]
    rows = [
        "systematics:",
        "  spurious_signal:",
        "    on: yield",
        "    kind: normal",
        "    source: user",
        "    size:",
        "      source: user",
        "      outside: clamp",
        "      table:",
        f"        m: {', '.join(f'{m:.8g}' for m in mass)} GeV",
        f"        value: {', '.join(f'{n:.4g}' for n in events)} events",
    ]
    return "\n".join(rows) + "\n"
