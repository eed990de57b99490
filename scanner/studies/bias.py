"""Spurious signals: what the fit finds on background alone, where the background has another shape."""

from collections.abc import Mapping, Sequence

import numpy as np

from scanner.studies.bench import Bench, Floats
from scanner.studies.cases import Variables, mean_and_error

REACH = 5.0
"""Distance in resolutions over which the largest spurious signal counts: it changes sign along the mass axis,
and a window at a zero is no better known than its neighbours (ATLAS, ATL-PHYS-PUB-2020-028)."""
GOOD_ENOUGH = 1e-3
"""p-value of a truth's description of its source, below which it does not count."""


def spurious_signals(bench: Bench) -> Variables:
    """Fit the Asimov data set of every truth.

    Returns
    -------
    dict of arrays
        `fitted_yield`, `fitted_yield_error` and `fitted_significance`, the yield in units of its error,
        (W, T) each, in the order of the truths.
    """
    fits = [bench.fits(bench.background(name)) for name in bench.truths]
    yields = np.stack([fit.signal_yield for fit in fits], axis=1)
    errors = np.stack([fit.signal_yield_error for fit in fits], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = yields / errors
    return {"fitted_yield": yields, "fitted_yield_error": errors, "fitted_significance": ratio}


def measure(bench: Bench, toy: int) -> Variables:
    """Fit one background toy of every truth; the results of toys add up, (W, T).

    Where the order of the background follows the data, or empty bins bound the fit, their mean need not be
    the yield of the Asimov data set.
    """
    fits = [bench.fits(bench.background_toy(name, toy)) for name in bench.truths]
    yields = np.stack([fit.signal_yield for fit in fits], axis=1)
    sound = np.isfinite(yields)
    y = np.where(sound, yields, 0.0)
    return {
        "toys": sound.astype(np.float64),
        "toys_failed": (~sound).astype(np.float64),
        "yield": y,
        "yield2": y * y,
    }


def summarise(sums: Mapping[str, Floats]) -> Variables:
    """Turn sums over toys into mean yields with their errors."""
    mean = mean_and_error(sums["toys"], sums["yield"], sums["yield2"])
    return {
        "toys": sums["toys"],
        "toys_failed": sums["toys_failed"],
        "toy_yield": mean.mean,
        "toy_yield_error": mean.error,
    }


def spurious_signal(
    found: Variables, mass: Floats, resolution: Floats, quality: Sequence[float]
) -> Variables:
    """Return the spurious signal that a systematic may take, in events and in errors, (W,).

    It is the largest size over the truths that describe their source, and over the windows within `REACH`
    resolutions; where no truth does, over all of them. Where there are toys their mean yields count, and
    not the yields of Asimov data sets.
    """
    if "toy_yield" in found:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = found["toy_yield"] / found["fitted_yield_error"]
        found = found | {"fitted_yield": found["toy_yield"], "fitted_significance": ratio}
    good = np.array([not q < GOOD_ENOUGH for q in quality])
    good = good if good.any() else np.ones_like(good)
    result = {}
    for name, source in (
        ("spurious_signal", "fitted_yield"),
        ("spurious_significance", "fitted_significance"),
    ):
        size = np.abs(found[source][:, good])
        size = np.where(np.isfinite(size), size, -np.inf).max(axis=1)
        near = np.abs(mass[:, None] - mass) <= REACH * resolution[:, None]
        largest = np.where(near, size, -np.inf).max(axis=1)
        result[name] = np.where(np.isfinite(largest), largest, np.nan)
    return result
