"""Spurious signals: what the fit finds on background alone, where the background has another shape."""

from collections.abc import Sequence

import numpy as np

from scanner.studies.bench import Bench, Floats
from scanner.studies.cases import Variables

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


def spurious_signal(
    found: Variables, mass: Floats, resolution: Floats, quality: Sequence[float]
) -> Variables:
    """Return the spurious signal that a systematic may take, in events and in errors, (W,).

    It is the largest size over the truths that describe their source, and over the windows within `REACH`
    resolutions; where no truth does, over all of them.
    """
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
