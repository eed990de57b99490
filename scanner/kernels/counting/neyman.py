"""The likelihood ratio that orders data sets in a Neyman construction, for windows.

t(s) = −2 ln L(s, ĉ(s)) / L(ŝ, ĉ) with ŝ ≥ 0 (Feldman, Cousins, physics/9711021, eq. 4.1, with the
background profiled).
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Flags, Floats
from scanner.kernels.linear.profile import Profile, profile, set_reference, set_tangent_of_free_fit
from scanner.kernels.linear.window import EMPTY, IMPOSSIBLE, fit_window, usable
from scanner.kernels.linear.workspace import EXPECTED, TANGENT, THETA, allocate, load


@jit
def likelihood_ratios(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: int,
    yields: Floats,
    ratios: Floats,
    best: Floats,
    status: Flags,
) -> None:
    """Set the ratio t of several data sets of one window at each of the `yields`.

    Shapes: counts (T, B), signal (B,), background (K, B), yields (G,) not negative and rising, ratios
    (T, G), best (T,) yields ŝ ≥ 0, status (T,) of the free fit. NaN where a fit fails.
    """
    scratch, rows, coefficients, matrix = allocate(background.shape[0] + 1, counts.shape[1])
    for t in range(counts.shape[0]):
        ratios[t] = best[t] = math.nan
        status[t] = IMPOSSIBLE
        templates, bins, possible = load(scratch, rows, counts[t], signal, background, terms)
        if not possible:
            continue
        arrays = (bins, coefficients, matrix)
        status[t] = _set_best(templates, arrays, terms)
        if not (usable(status[t]) or status[t] == EMPTY):
            continue
        best[t] = coefficients[THETA, terms]
        for i in range(yields.size):
            ratios[t, i], _, _ = profile(templates, arrays, terms, yields[i])


@jit
def _set_best(templates: Floats, arrays: Profile, terms: int) -> int:
    """Fit with ŝ ≥ 0 and take that fit as reference; without events it is nothing at all."""
    bins, coefficients, matrix = arrays
    status, _ = fit_window(templates, bins, coefficients, matrix, terms, math.nan)
    coefficients[TANGENT] = 0.0
    if status == EMPTY:
        coefficients[THETA] = 0.0
        bins[EXPECTED] = 0.0
    elif usable(status):
        set_tangent_of_free_fit(coefficients, matrix, terms)
        if coefficients[THETA, terms] < 0.0:
            _, _, null = profile(templates, arrays, terms, 0.0)
            status = status if usable(null) else null
    set_reference(bins, coefficients)
    return status
