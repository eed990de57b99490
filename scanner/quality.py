"""Windows whose results differ from those of their neighbours by more than statistics can explain.

Neighbouring windows share most of their events, and resolutions, efficiencies and spectra are smooth, so
results change slowly along the mass. A wrong minimum, a jump in a table of the definition or a defect in
the data does not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

YIELD, ERROR, BACKGROUND, LIMIT = 1, 2, 4, 8
OUTLIER_MEANINGS: dict[int, str] = {
    YIELD: "signal_yield",
    ERROR: "signal_yield_error",
    BACKGROUND: "n_background",
    LIMIT: "yield_limit_expected",
}
"""Bits of what differs."""
COMPARED = (*OUTLIER_MEANINGS.values(), "n_observed", "method")
"""Variables that are looked at."""

NEIGHBOURS = 3
"""Windows on either side from which a window is predicted."""
REACH = 4.0
"""Distance of neighbours in resolutions, at most."""
AROUND = 25
"""Windows on either side in which the spread of the differences is measured."""
SPREADS = 8.0
"""Robust standard deviations from which a difference counts."""
SMALLEST = np.log(1.2)
"""Relative difference below which none counts."""
POISSON = 3.0
"""Relative difference in units of 1/√n, with n events in the window, below which none counts: one event more
may be seen in all that follows from a few."""
JUMP = 5.0
"""Errors by which the yield must differ from what neighbours say."""
CLOSE = 1.5
"""Distance in resolutions up to which neighbours have something to say on a yield."""


def outliers(found: Mapping[str, NDArray[Any]], mass: Floats, resolution: Floats) -> NDArray[np.uint8]:
    """Compare every window of a region with its neighbours.

    Parameters
    ----------
    found : mapping of arrays
        The variables `COMPARED` of the limit cube, each with W as first dimension.
    mass, resolution : (W,) float
        Rising masses and their resolutions [GeV].

    Returns
    -------
    (W,) uint8
        Bits of OUTLIER_MEANINGS. A window without three neighbours on either side is not judged, and
        neither is a limit beside limits of another method.
    """
    median = found["yield_limit_expected"][:, found["yield_limit_expected"].shape[1] // 2]
    method = found["method"]
    flags = YIELD * _jumps(found["signal_yield"], found["signal_yield_error"], mass, resolution)
    least = np.maximum(SMALLEST, POISSON / np.sqrt(np.maximum(found["n_observed"], 1)))
    sizes = ((ERROR, found["signal_yield_error"]), (BACKGROUND, found["n_background"]), (LIMIT, median))
    for bit, values in sizes:
        alike = method if bit == LIMIT else np.zeros_like(method)
        difference = _difference(np.asarray(values, dtype=np.float64), alike, mass, resolution)
        spread = 1.4826 * _running_median(difference)
        flags = flags | bit * ((difference > least) & (difference > SPREADS * spread))
    return flags.astype(np.uint8)


def _neighbours(values: Floats, shift: int) -> Floats:
    """Return the values of the windows `shift` further on, NaN beyond the ends."""
    padded = np.pad(values.astype(np.float64), abs(shift), constant_values=np.nan)
    first = abs(shift) + shift
    return padded[first : first + len(values)]


def _difference(values: Floats, alike: NDArray[Any], mass: Floats, resolution: Floats) -> Floats:
    """Return how far the logarithm of positive values is off the mean of the medians of both sides."""
    logs = np.log(np.where(values > 0.0, values, np.nan))
    sides = []
    for sign in (-1, 1):
        near = []
        for step in range(1, NEIGHBOURS + 1):
            other = _neighbours(logs, sign * step)
            far = np.abs(_neighbours(mass, sign * step) - mass) > REACH * resolution
            strange = _neighbours(alike.astype(np.float64), sign * step) != alike
            near.append(np.where(far | strange, np.nan, other))
        sides.append(np.median(near, axis=0))
    difference: Floats = np.abs(logs - 0.5 * (sides[0] + sides[1]))
    return difference


def _running_median(values: Floats) -> Floats:
    padded = np.pad(values, AROUND, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)
    known = np.isfinite(around).sum(axis=1)
    ordered = np.sort(around, axis=1)  # NaN comes last
    middle = np.take_along_axis(ordered, np.maximum(known - 1, 0)[:, None] // 2, axis=1)[:, 0]
    return np.where(known > 0, middle, np.nan)


def _jumps(yields: Floats, errors: Floats, mass: Floats, resolution: Floats) -> NDArray[np.bool_]:
    """Tell where a yield stands out from both neighbours' to the same side, in units of their errors.

    The yield that a fit finds beside a signal falls as exp(−d²/4) with the distance d in resolutions; half
    as much again is allowed for.
    """
    left, right = yields - _neighbours(yields, -1), yields - _neighbours(yields, 1)
    error = 0.5 * (_neighbours(errors, -1) + _neighbours(errors, 1))
    step = np.maximum(mass - _neighbours(mass, -1), _neighbours(mass, 1) - mass) / resolution
    peak = np.max(np.abs([_neighbours(yields, -1), yields, _neighbours(yields, 1)]), axis=0)
    allowed = JUMP * error + 1.5 * (1.0 - np.exp(-0.25 * step**2)) * peak
    stands_out = (left * right > 0.0) & (np.minimum(np.abs(left), np.abs(right)) > allowed)
    found: NDArray[np.bool_] = stands_out & (step <= CLOSE)
    return found
