"""The variables of a limit cube that the limits of a block of windows make."""

import numpy as np
from numpy.typing import NDArray

from scanner.engine import WindowModel
from scanner.stats import Limits
from scanner.stats.limits import NO_LIMIT
from scanner.stats.recovery import rungs
from scanner.windows.joint import BlockModel

Floats = NDArray[np.float64]
Results = dict[str, NDArray[np.generic]]

RECORDS = ("fit_attempts", "fit_rung", "fit_quality_toys")
VETOED = 250
"""Status of a window whose mass the search leaves out."""


def of_limits(limits: Limits) -> Results:
    """Return the variables of the cube that every method sets; no toys judge the fit yet."""
    return {
        "n_background": limits.n_background,
        "signal_yield": limits.signal_yield,
        "signal_yield_error": limits.signal_yield_error,
        "counted_yield": limits.counted_yield,
        "p_local": limits.p_local,
        "z_local": limits.z_local,
        "yield_limit": limits.yield_limit,
        "yield_limit_expected": limits.expected,
        "yield_limit_error": limits.yield_limit_error,
        "yield_lower": limits.yield_lower,
        "toys": limits.toys,
        "toys_failed": limits.toys_failed,
        "background_coefficients": limits.background_coefficients,
        "fit_quality": limits.fit_quality,
        "fit_quality_toys": np.zeros(len(limits.status), dtype=np.int64),
        "status": limits.status,
        "method": limits.method,
        "fit_attempts": limits.attempts,
        "fit_rung": rungs(limits),
    }


def backgrounds(expected: BlockModel, terms: NDArray[np.int64]) -> Results:
    """Return order and non-linear parameters of the background, (W,), or (W, C) for several channels.

    A channel without a part in a window has the order −1 there.
    """
    orders = terms - 1 - (expected.model.peaks >= 0).sum(axis=1)
    if len(expected.parts) == 1:
        return {"background_order": orders} | {
            f"background_{name}": values for name, values in expected.nonlinear[0].items()
        }
    each = [
        np.where(part.on, model.terms - 1 - (model.peaks >= 0).sum(axis=1), -1)
        for part, model in zip(expected.parts, expected.models, strict=True)
    ]
    names = {name: None for bends in expected.nonlinear for name in bends}
    missing = np.full(len(terms), np.nan)
    bends = {
        f"background_{name}": np.stack([found.get(name, missing) for found in expected.nonlinear], axis=1)
        for name in names
    }
    rates = np.stack([part.rate for part in expected.parts], axis=1)
    return {"background_order": np.stack(each, axis=1), "channel_efficiency": rates} | bends


def peak_yields(model: WindowModel, coefficients: Floats) -> Floats:
    """Return the fitted events of the free peaks (W, P) from the background's coefficients (W, K)."""
    places = np.maximum(model.peaks, 0)
    found: Floats = np.where(model.peaks >= 0, np.take_along_axis(coefficients, places, axis=1), np.nan)
    return found


def leave_out(results: Results, vetoed: NDArray[np.bool_]) -> Results:
    """Turn the results of vetoed windows into NaN with a status of their own; counts and efficiency stay."""
    kept = {
        "n_observed",
        "efficiency",
        "channel_efficiency",
        "efficiency_error",
        "resolution",
        "status",
        "method",
        "background_order",
    }
    kept |= {"toys", "toys_failed", *RECORDS}
    masked = {name: values if name in kept else _blank(values, vetoed) for name, values in results.items()}
    masked["status"] = np.where(vetoed, np.uint8(VETOED), results["status"])
    masked["method"] = np.where(vetoed, np.uint8(NO_LIMIT), results["method"])
    return masked


def _blank(values: NDArray[np.generic], rows: NDArray[np.bool_]) -> NDArray[np.generic]:
    blank = np.array(values, dtype=np.float64)
    blank[rows] = np.nan
    return blank
