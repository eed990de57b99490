"""Fitted against injected yields, and pulls."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scanner.studies.bench import Bench, Floats
from scanner.studies.cases import Cases, Variables, mean_and_error, thrown


def measure(bench: Bench, cases: Cases, toy: int) -> Variables:
    """Fit one toy at every injected strength; the results of toys add up.

    Returns
    -------
    dict of arrays
        Counts, sums and sums of squares of yields, errors and pulls (W, I), and of the slope and the
        offset of the line through a toy's strengths (W,).
    """
    fits = [bench.fits(counts, toy) for counts in thrown(bench, cases, toy)]
    yields = np.stack([fit.signal_yield for fit in fits], axis=1)
    errors = np.stack([fit.signal_yield_error for fit in fits], axis=1)
    sound = np.isfinite(yields) & np.isfinite(errors) & (errors > 0.0)
    y, e = np.where(sound, yields, 0.0), np.where(sound, errors, 1.0)
    pull = np.where(sound, (y - cases.yields) / e, 0.0)
    found = {"toys": sound.astype(np.float64), "toys_failed": (~sound).astype(np.float64)}
    found |= {
        "yield": y,
        "yield2": y * y,
        "error": np.where(sound, e, 0.0),
        "pull": pull,
        "pull2": pull * pull,
    }
    if len(cases.strengths) > 1:
        found |= _line(y, cases.yields, sound.all(axis=1))
    return found


def _line(y: Floats, injected: Floats, whole: Any) -> Variables:
    """Return slope and offset of the least-squares line of a toy; its strengths share the background."""
    centred = injected - injected.mean(axis=1, keepdims=True)
    spread = (centred**2).sum(axis=1)
    usable = whole & (spread > 0.0)
    slope = np.where(usable, (centred * y).sum(axis=1) / np.where(usable, spread, 1.0), 0.0)
    offset = np.where(usable, y.mean(axis=1) - slope * injected.mean(axis=1), 0.0)
    return {
        "lines": usable.astype(np.float64),
        "slope": slope,
        "slope2": slope * slope,
        "offset": offset,
        "offset2": offset * offset,
    }


def summarise(sums: Mapping[str, Floats]) -> Variables:
    """Turn sums over toys into means, widths and their errors."""
    n = sums["toys"]
    fitted = mean_and_error(n, sums["yield"], sums["yield2"])
    pull = mean_and_error(n, sums["pull"], sums["pull2"])
    found = {
        "toys": n,
        "toys_failed": sums["toys_failed"],
        "fitted_yield": fitted.mean,
        "fitted_yield_error": fitted.error,
        "fitted_yield_spread": fitted.width,
        "mean_error": mean_and_error(n, sums["error"], sums["error"]).mean,
        "pull_mean": pull.mean,
        "pull_mean_error": pull.error,
        "pull_width": pull.width,
        "pull_width_error": pull.width_error,
    }
    for name in ("slope", "offset") if "slope" in sums else ():
        line = mean_and_error(sums["lines"], sums[name], sums[f"{name}2"])
        found |= {name: line.mean, f"{name}_error": line.error}
    return found
