"""The profile likelihood of the yield in one unbinned window, of its events or of an Asimov data set.

Points of an Asimov data set are the middles of the grid's cells, each weighted by the expectation there
times its width. That is the midpoint rule for the integrals that the mean of the likelihood is, and its
own integrals I_j are taken by the same rule, so that its best fit is its truth exactly. Cells of an
eighth of the resolution make the rule's error of a Gaussian smaller than rounding (it falls as
exp(−2π²σ²/h²)), and that of polynomials a part of 1/(24 cells²).
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Floats, factorise, solve
from scanner.kernels.lean import lean
from scanner.kernels.linear.profile import set_tangent_of_free_fit
from scanner.kernels.linear.window import BOUNDARY, usable
from scanner.kernels.linear.workspace import EXPECTED, MULTIPLIER, REFERENCE, TANGENT, THETA
from scanner.kernels.unbinned.likelihood import descend_points
from scanner.kernels.unbinned.points import EXTRA, WEIGHT, derive, log_ratio

Likelihood = tuple[Floats, Floats, Floats, Floats, Floats, int, float]
"""Templates, points, coefficients, integrals and matrix; number of events; width of a cell."""
ITERATIONS = 60
CLOSE = 1e-6


@lean
def refer(coefficients: Floats) -> None:
    """Take the present θ as the one that differences refer to."""
    for j in range(coefficients.shape[1]):
        coefficients[REFERENCE, j] = coefficients[THETA, j]


@lean
def profile_points(likelihood: Likelihood, terms: int, signal_yield: float) -> tuple[float, float, int]:
    """Fit the background at `signal_yield`; return (−2 ln λ, its slope, status)."""
    templates, points, coefficients, integrals, matrix, events, cell = likelihood
    distance = signal_yield - coefficients[THETA, terms]
    for i in range(terms):
        coefficients[THETA, i] += distance * coefficients[TANGENT, i]
    coefficients[THETA, terms] = signal_yield
    status, _ = descend_points(templates, points, coefficients, integrals, matrix, terms, cell)
    if not usable(status):
        return math.nan, math.nan, status
    for i in range(terms):
        coefficients[TANGENT, i] = -matrix[terms, i]
    solve(matrix, terms, coefficients, TANGENT, TANGENT)
    rise = 0.0
    for j in range(integrals.size):
        rise += integrals[j] * (coefficients[THETA, j] - coefficients[REFERENCE, j])
    slope = _yield_slope(templates, points, integrals, terms, status)
    return 2.0 * (rise - log_ratio(templates, points, coefficients, events)), slope, status


@lean
def _yield_slope(templates: Floats, points: Floats, integrals: Floats, terms: int, status: int) -> float:
    """Return d(−2 ln λ)/ds: at a minimum over the rest, only the signal moves the NLL."""
    total = integrals[terms]
    if status == BOUNDARY:
        for i in range(points.shape[1]):
            total -= templates[terms, i] * points[MULTIPLIER, i]
    else:
        for i in range(points.shape[1]):
            total -= templates[terms, i] * points[WEIGHT, i] / points[EXPECTED, i]
    return float(2.0 * total)


@jit
def start_asimov(likelihood: Likelihood, source: Floats, terms: int, zero: float) -> float:
    """Make the Asimov data set of the coefficients `source`, without signal; return σ at s = 0.

    Cells with less than `zero` expected events have no weight.
    """
    templates, points, coefficients, integrals, matrix, _, cell = likelihood
    coefficients[:] = 0.0
    coefficients[THETA, :terms] = source[:terms]
    refer(coefficients)
    cells = points.shape[1] - EXTRA
    points[WEIGHT] = 0.0
    integrals[:] = 0.0
    for i in range(cells):
        expected = 0.0
        for j in range(terms):
            expected += source[j] * templates[j, i]
        points[WEIGHT, i] = expected * cell if expected * cell > zero else 0.0
        for j in range(terms + 1):
            integrals[j] += templates[j, i] * cell
    derive(templates, points, coefficients, integrals, matrix)
    if not factorise(matrix, terms + 1, PIVOT_FLOOR):
        return 1.0
    set_tangent_of_free_fit(coefficients, matrix, terms)
    return float(matrix[terms, terms])


@lean
def crossing(likelihood: Likelihood, terms: int, best: float, step: float, rise: float) -> float:
    """Return the yield on the side of `step` from `best` where −2 ln λ is `rise`; NaN if not found."""
    near, far, x = best, math.inf, best + step
    for _ in range(ITERATIONS):
        q, slope, status = profile_points(likelihood, terms, x)
        if not usable(status):
            break
        near, far = (x, far) if q < rise else (near, x)
        point = x + (rise - q) / slope
        inside = (point - near) * step > 0.0 and (math.isinf(far) or (far - point) * step > 0.0)
        if not inside:
            point = best + 2.0 * (x - best) if math.isinf(far) else 0.5 * (near + far)
        done = abs(point - x) <= CLOSE * abs(point - best)
        x = point
        if done:
            return x
    return math.nan
