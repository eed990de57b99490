"""Fits of many toys of one truth, from a common start and in coordinates that suit them all.

Every toy of a truth has nearly the same Hessian. So the templates are first combined linearly until the
Hessian that is expected is the unit matrix; then a Newton step is the gradient itself, and a toy of many
events is fitted by a few passes over the bins without any matrix (a chord method). It gains a factor of
√n a pass. Toys of a truth with few events in some bin are fitted by `scanner.kernels.toys.sparse`. A toy that
either does not bring to the minimum is fitted by `scanner.kernels.linear.window.descend`, as data are.

The signal stays last in that combination, so that its coordinate is the yield times a constant, and a fit
at fixed yield fixes that coordinate.

Arrays are those of `scanner.kernels.linear.workspace` with some rows more, and those of the toys of few
events. A row of fixed expectation may follow the signal's; its coefficient is 1.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import (
    PIVOT_FLOOR,
    TILE,
    Floats,
    accumulate,
    combine,
    factorise,
    solve,
)
from scanner.kernels.lean import lean
from scanner.kernels.linear.difference import divergence
from scanner.kernels.linear.interior import minimise_on_boundary
from scanner.kernels.linear.newton import evaluate, subtract
from scanner.kernels.linear.profile import yield_slope
from scanner.kernels.linear.window import (
    BOUNDARY,
    IMPOSSIBLE,
    NOT_CONVERGED,
    OK,
    SINGULAR,
    count,
    descend,
    usable,
)
from scanner.kernels.linear.workspace import (
    CHANGE,
    CURVE,
    DATA,
    EXPECTED,
    GRADIENT,
    REFERENCE,
    SLOPE,
    STEP,
    THETA,
)
from scanner.kernels.toys.sparse import (
    NUMBERS,
    VALUE,
    Few,
    allocate_few,
    fit_few,
    set_sums,
    slope_of_few,
)

START = 7
"""Row of the bins with the expectation where fits start; row 0 of the coefficients has its θ."""
BINS_ROWS = 8
COEFFICIENTS_ROWS = NUMBERS + 1
DENSE = 2.0
"""Smallest expectation of a bin with which the chord method is tried."""
PASSES = 14
SHRINK = 0.3
"""Largest ratio of squared steps with which the chord method goes on."""
DECREMENT = 1e-11
"""Squared step, in units of σ², after which only its tenth is left."""

Arrays = tuple[Floats, Floats, Floats, Few]
"""Bins, coefficients and matrix of the present toy, and what toys of few events need."""


@jit
def allocate_toys(rows: int, bins: int) -> Arrays:
    """Return bins, coefficients, matrix and what toys of few events need, for templates of that shape."""
    few = allocate_few(rows, bins)
    return np.zeros((BINS_ROWS, bins)), np.zeros((COEFFICIENTS_ROWS, rows)), np.zeros((rows, rows)), few


@lean
def fit_given(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    terms: int,
    fixed_rows: int,
    fixed: float,
) -> int:
    """Fit the counts in `bins` at the yield `fixed`, or with a free one for NaN; return the status."""
    free = terms + 1 if math.isnan(fixed) else terms
    coefficients[THETA] = 0.0
    coefficients[THETA, terms] = 0.0 if math.isnan(fixed) else fixed
    coefficients[THETA, terms + 1 : terms + 1 + fixed_rows] = 1.0
    combine(templates, coefficients, THETA, bins, EXPECTED)
    for b in range(bins.shape[1]):
        inverse = 1.0 / (bins[DATA, b] + 1.0)
        bins[SLOPE, b] = (bins[EXPECTED, b] - bins[DATA, b]) * inverse
        bins[CURVE, b] = inverse
    accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    if not factorise(matrix, free, PIVOT_FLOOR):
        return SINGULAR
    coefficients[STEP] = 0.0
    solve(matrix, free, coefficients, GRADIENT, STEP)
    subtract(coefficients, THETA, 1.0, STEP)
    return _descend(templates, bins, coefficients, matrix, free)


@lean
def _descend(templates: Floats, bins: Floats, coefficients: Floats, matrix: Floats, free: int) -> int:
    """Fit from θ; without events the minimum is a corner of the positive region."""
    if free == 0:
        evaluate(templates, bins, coefficients)
        return _possible(bins)
    if count(bins) > 0.0:
        status, _ = descend(templates, bins, coefficients, matrix, free)
        return status
    converged, _ = minimise_on_boundary(templates, bins, coefficients, matrix, free)
    return OK if converged else NOT_CONVERGED


@lean
def _possible(bins: Floats) -> int:
    """Return the status of an expectation without a free coefficient: an empty bin may expect nothing."""
    bad = 0
    for b in range(bins.shape[1]):
        bad += (bins[EXPECTED, b] < 0.0) | ((bins[EXPECTED, b] == 0.0) & (bins[DATA, b] > 0.0))
    return IMPOSSIBLE if bad > 0 else OK


@lean
def _profile_slope(templates: Floats, bins: Floats, terms: int, status: int) -> float:
    """Return the slope of the NLL in the signal's coordinate at a minimum over the others."""
    if status == BOUNDARY:
        return 0.5 * yield_slope(templates, bins, terms, status)
    total = 0.0
    for b in range(bins.shape[1]):
        n = bins[DATA, b]
        total += templates[terms, b] * (1.0 - n / bins[EXPECTED, b] if n > 0.0 else 1.0)
    return total


@lean
def set_start(
    templates: Floats,
    means: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    terms: int,
    whitened: Floats,
) -> tuple[float, bool]:
    """Make the present fit the start of toys with the means (B,).

    Sets `whitened` to the combined templates. Returns the constant between the yield and its coordinate,
    0 if the templates cannot be told apart, and whether the chord method holds.
    """
    evaluate(templates, bins, coefficients)
    mean = np.mean(means) + 1e-9
    dense = True
    for b in range(means.size):
        expected = max(bins[EXPECTED, b], 0.0)
        bins[START, b] = expected
        bins[REFERENCE, b] = means[b]
        dense = dense and expected >= DENSE and means[b] >= DENSE
        bins[SLOPE, b] = 0.0
        bins[CURVE, b] = max(means[b], 1e-3 * mean) / max(expected, 1e-3 * mean) ** 2
    accumulate(templates, bins, SLOPE, CURVE, coefficients, GRADIENT, matrix)
    regular = factorise(matrix, terms + 1, PIVOT_FLOOR)
    _whiten(templates, matrix, terms + 1, whitened)
    set_sums(whitened, bins, coefficients)
    for j in range(templates.shape[0]):
        total = coefficients[THETA, j]
        if j <= terms:
            total /= matrix[j, j]
            for i in range(j + 1, terms + 1):
                total += matrix[i, j] * coefficients[THETA, i]
        coefficients[REFERENCE, j] = total
    return (1.0 / matrix[terms, terms] if regular else 0.0), dense


@jit
def _whiten(templates: Floats, factor: Floats, free: int, whitened: Floats) -> None:
    whitened[:] = templates
    for i in range(free):
        for k in range(i):
            for b in range(templates.shape[1]):
                whitened[i, b] -= factor[i, k] * whitened[k, b]
        for b in range(templates.shape[1]):
            whitened[i, b] *= factor[i, i]


@lean
def begin(bins: Floats, coefficients: Floats) -> None:
    """Put ν and θ where fits start."""
    for b in range(bins.shape[1]):
        bins[EXPECTED, b] = bins[START, b]
    for j in range(coefficients.shape[1]):
        coefficients[THETA, j] = coefficients[REFERENCE, j]
        coefficients[STEP, j] = 0.0


@lean
def fit_toy(
    templates: Floats,
    bins: Floats,
    coefficients: Floats,
    matrix: Floats,
    few: Few,
    terms: int,
    target: float,
    dense: bool,
) -> tuple[int, float]:
    """Fit from the present point with the yield's coordinate at `target`, or free for NaN.

    Returns status and slope of the profiled NLL in that coordinate.
    """
    fixed = not math.isnan(target)
    free = terms if fixed else terms + 1
    if fixed:
        coefficients[STEP, terms] += coefficients[THETA, terms] - target
        coefficients[THETA, terms] = target
    if dense:
        if _follow_chord(templates, bins, coefficients, free):
            return OK, coefficients[GRADIENT, terms]
    elif fit_few(templates, bins, coefficients, matrix, few, free):
        return OK, slope_of_few(templates, coefficients, few, terms)
    begin(bins, coefficients)
    if fixed:
        coefficients[THETA, terms] = target
    status = _descend(templates, bins, coefficients, matrix, free)
    coefficients[STEP] = 0.0
    if not usable(status):
        return status, math.nan
    coefficients[NUMBERS, VALUE] = above_truth(bins)
    return status, _profile_slope(templates, bins, terms, status)


@lean
def _follow_chord(templates: Floats, bins: Floats, coefficients: Floats, free: int) -> bool:
    """Minimise by steps of the gradient; return whether that came to an end.

    The last step is left in STEP, already taken off θ, for the next fit to take off ν.
    """
    before = math.inf
    for _ in range(PASSES):
        if templates.shape[0] == TILE:
            positive = _pass_tile(templates, bins, coefficients)
        else:
            positive = _pass(templates, bins, coefficients)
        if not positive:
            return False
        squared = 0.0
        for j in range(free):
            step = coefficients[GRADIENT, j]
            coefficients[STEP, j] = step
            coefficients[THETA, j] -= step
            squared += step * step
        for j in range(free, templates.shape[0]):
            coefficients[STEP, j] = 0.0
        if squared < DECREMENT:
            return True
        if squared > SHRINK * before:
            return False
        before = squared
    return False


@lean
def _pass_tile(templates: Floats, bins: Floats, coefficients: Floats) -> bool:
    """Take STEP off ν and set the gradient; return whether every bin is positive."""
    s0, s1 = coefficients[STEP, 0], coefficients[STEP, 1]
    s2, s3 = coefficients[STEP, 2], coefficients[STEP, 3]
    g0 = g1 = g2 = g3 = 0.0
    bad = 0
    for b in range(bins.shape[1]):
        t0, t1, t2, t3 = templates[0, b], templates[1, b], templates[2, b], templates[3, b]
        expected = bins[EXPECTED, b] - ((s0 * t0 + s1 * t1) + (s2 * t2 + s3 * t3))
        bins[EXPECTED, b] = expected
        slope = 1.0 - bins[DATA, b] / expected
        bad += not expected > 0.0
        g0 += slope * t0
        g1 += slope * t1
        g2 += slope * t2
        g3 += slope * t3
    coefficients[GRADIENT, 0], coefficients[GRADIENT, 1] = g0, g1
    coefficients[GRADIENT, 2], coefficients[GRADIENT, 3] = g2, g3
    return bad == 0


@lean
def _pass(templates: Floats, bins: Floats, coefficients: Floats) -> bool:
    """Do the same for any number of templates."""
    combine(templates, coefficients, STEP, bins, CHANGE)
    subtract(bins, EXPECTED, 1.0, CHANGE)
    bad = 0
    for b in range(bins.shape[1]):
        bins[SLOPE, b] = 1.0 - bins[DATA, b] / bins[EXPECTED, b]
        bad += not bins[EXPECTED, b] > 0.0
    for j in range(templates.shape[0]):
        total = 0.0
        for b in range(bins.shape[1]):
            total += templates[j, b] * bins[SLOPE, b]
        coefficients[GRADIENT, j] = total
    return bad == 0


@lean
def likelihood(bins: Floats, coefficients: Floats, dense: bool) -> float:
    """Return the NLL of the last fit less that of the truth."""
    return above_truth(bins) if dense else float(coefficients[NUMBERS, VALUE])


@lean
def above_truth(bins: Floats) -> float:
    """Return the NLL at ν less that at the truth."""
    for b in range(bins.shape[1]):
        bins[CHANGE, b] = bins[EXPECTED, b] - bins[REFERENCE, b]
    return divergence(bins, REFERENCE)
