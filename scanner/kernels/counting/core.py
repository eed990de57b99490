"""Counting in the core of mass windows, over a background interpolated from both sides."""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import solve
from scanner.kernels.counting.exact import (
    background_tail,
    counting_limit,
    expected_counting_limits,
    one_sided_z,
)
from scanner.kernels.linear.window import BOUNDARY, EMPTY, SINGULAR, fit_window, usable
from scanner.kernels.linear.workspace import DATA, EXPECTED, GRADIENT, STEP, THETA, allocate, cut, tiled

Floats = NDArray[np.float64]

OBSERVED, EFFICIENCY, BACKGROUND, VARIANCE, ODDS, LOCAL_P, LOCAL_Z, LIMIT, EXPECTED_LIMITS = range(9)
"""Columns of the result rows; the five expected limits are the last columns."""


@jit
def count_windows(
    counts: Floats,
    signal: Floats,
    background: Floats,
    known: Floats,
    terms: NDArray[np.int64],
    core: NDArray[np.bool_],
    extra: Floats,
    quantiles: Floats,
    log_alpha: float,
    result: Floats,
    status: NDArray[np.uint8],
) -> None:
    """Count, estimate and limit every window on its own.

    Shapes: counts, signal, core (W, B), background (W, K, B), terms, status (W,), result (W, 13) with
    the columns above. `known` (W, B) are events of samples of known size: those beside the core are not
    taken for background terms, and those in it are part of the background. `extra` (W,) is a further
    standard deviation of the signal yield. Yields are of the whole signal: what is counted is divided by
    the core's efficiency. Without signal in the core, or without a bin beside it to estimate the background
    terms from, there is no limit.
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[1] + 1, counts.shape[1])
    numbers = np.zeros(quantiles.size)
    for w in range(counts.shape[0]):
        result[w] = math.nan
        _sum_core(counts[w], signal[w], core[w], result[w])
        side = counts.shape[1] - int(np.sum(core[w]))
        status[w] = SINGULAR
        if not result[w, EFFICIENCY] > 0.0 or (side == 0 and terms[w] > 0):
            continue
        templates, bins = cut(scratch[: tiled(terms[w] + 1)], side), cut(rows, side)
        _load_sideband(templates, bins, counts[w], background[w], known[w], terms[w], core[w])
        status[w] = _estimate(
            templates, bins, coefficients, matrix, background[w], terms[w], core[w], result[w]
        )
        if not usable(status[w]):
            continue
        fitted = result[w, BACKGROUND]
        result[w, BACKGROUND] += _inside(known[w], core[w])
        result[w, VARIANCE] += (extra[w] * result[w, EFFICIENCY]) ** 2
        _limit(result[w], fitted, quantiles, log_alpha, numbers)


@jit
def _sum_core(counts: Floats, signal: Floats, core: NDArray[np.bool_], result: Floats) -> None:
    observed = efficiency = 0.0
    for b in range(counts.size):
        if core[b]:
            observed += counts[b]
            efficiency += signal[b]
    result[OBSERVED] = observed
    result[EFFICIENCY] = efficiency


@jit
def _load_sideband(
    templates: Floats,
    bins: Floats,
    counts: Floats,
    background: Floats,
    known: Floats,
    terms: int,
    core: NDArray[np.bool_],
) -> None:
    """Copy the bins beside the core; samples of known size take the row of the signal."""
    templates[terms:] = 0.0
    side = 0
    for b in range(counts.size):
        if not core[b]:
            bins[DATA, side] = counts[b]
            templates[terms, side] = known[b]
            for k in range(terms):
                templates[k, side] = background[k, b]
            side += 1


@jit
def _estimate(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    background: Floats,
    terms: int,
    core: NDArray[np.bool_],
    result: Floats,
) -> int:
    """Set what the terms add to the core and its variance; return the status of the sideband fit.

    The variance is that of the fitted coefficients, and never below b²/(events beside the core), what
    a fit of the normalisation alone would have. ODDS are the background in the core for one event
    beside it: variance over background, or that of the first term alone where the fit is at the
    positivity boundary, whose curvature says little, or found no events.
    """
    result[BACKGROUND] = result[VARIANCE] = result[ODDS] = 0.0
    if terms == 0:
        return 0
    status = fit_window(templates, bins, coefficients, matrix, terms, 1.0)
    flat = _odds(background[0], core)
    if status[0] == EMPTY:
        result[ODDS] = flat
        return 0
    if not usable(status[0]):
        return status[0]
    under = 0.0
    for k in range(terms):
        share = 0.0
        for b in range(core.size):
            share += background[k, b] if core[b] else 0.0
        coefficients[GRADIENT, k] = share
        under += share * coefficients[THETA, k]
    beside = 0.0
    for b in range(bins.shape[1]):
        beside += bins[EXPECTED, b] - templates[terms, b]
    under = max(under, 0.0)
    variance = solve(matrix, terms, coefficients, GRADIENT, STEP)
    result[BACKGROUND] = under
    alone = under * under / beside if beside > 0.0 else 0.0
    result[VARIANCE] = max(variance, alone) if under > 0.0 else 0.0
    odds = result[VARIANCE] / under if under > 0.0 else 0.0
    result[ODDS] = max(odds, flat) if status[0] == BOUNDARY or under == 0.0 else odds
    return 0


@jit
def _inside(known: Floats, core: NDArray[np.bool_]) -> float:
    total = 0.0
    for b in range(core.size):
        total += known[b] if core[b] else 0.0
    return total


@jit
def _odds(term: Floats, core: NDArray[np.bool_]) -> float:
    """Return the integral of one background term in the core over that beside it."""
    inside = outside = 0.0
    for b in range(core.size):
        if core[b]:
            inside += term[b]
        else:
            outside += term[b]
    return inside / outside if outside > 0.0 else 0.0


@jit
def _limit(result: Floats, fitted: float, quantiles: Floats, log_alpha: float, numbers: Floats) -> None:
    """Set limits and p-value, with `fitted` events of the background terms in the core.

    The p-value is that of the on/off problem with one event more beside the core, as in Z_Bi (Cousins,
    Linnemann, Tucker, arXiv:physics/0702156, eq. 14): it never claims to know that there is no background.
    """
    efficiency, background = result[EFFICIENCY], result[BACKGROUND]
    spread = result[VARIANCE] / background if background > 0.0 else 0.0
    n = round(result[OBSERVED])
    limits = result[EXPECTED_LIMITS:]
    expected_counting_limits(background, spread, quantiles, log_alpha, numbers, limits)
    for i in range(limits.size):
        limits[i] /= efficiency
    result[LIMIT] = counting_limit(n, background, spread, log_alpha) / efficiency
    odds = result[ODDS]
    mean = background + odds
    wide = odds * (fitted + odds) / mean if fitted < background else odds
    result[LOCAL_P] = background_tail(n, mean, max(wide, spread))
    result[LOCAL_Z] = one_sided_z(result[LOCAL_P])
