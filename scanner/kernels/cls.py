"""Asymptotic CLs limits with bands, one window at a time (Cowan, Cranmer, Gross, Vitells 1007.1727).

The Asimov data set is post-fit: the expectation of the background-only fit to the data, so that the
coefficients of its own fit at s = 0 are exactly those and its best yield is 0.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import PIVOT_FLOOR, Flags, Floats, Integers, accumulate, factorise
from scanner.kernels.newton import derivatives
from scanner.kernels.profile import (
    Profile,
    difference,
    move,
    next_point,
    profile,
    set_reference,
    set_tangent_of_free_fit,
)
from scanner.kernels.special import (
    log_normal_tail,
    normal_cdf,
    normal_hazard,
    normal_quantile,
    normal_tail,
)
from scanner.kernels.window import (
    BOUNDARY,
    IMPOSSIBLE,
    NOT_CONVERGED,
    ZERO,
    excess_over_saturated,
    fit_from_data,
    usable,
)
from scanner.kernels.workspace import (
    CURVE,
    DATA,
    EXPECTED,
    GRADIENT,
    SLOPE,
    TANGENT,
    THETA,
    allocate,
    cut,
    load,
)

EVALUATIONS = 60
STEP_DONE = 1e-5
"""Relative Newton step after which the root is known to about its square."""
YIELD, ERROR, NLL, LOCAL_P, LOCAL_Z, EFFECTIVE_BACKGROUND, BINS, LIMIT, EXPECTED_LIMITS = range(9)
"""Columns of the result rows; the five expected limits are the last columns."""


@jit
def log_cls(q: float, q_slope: float, a: float, a_slope: float) -> tuple[float, float]:
    """Return ln CLs and its slope, from q̃_μ and a = √q_A and their slopes (eqs. 59, 65, 66)."""
    if a == 0.0:  # no sensitivity: signal and background hypotheses are the same
        return 0.0, 0.0
    if q <= a * a:
        x = math.sqrt(max(q, 0.0))
        x_slope = 0.5 * q_slope / x if x > 0.0 else 0.0
        y, y_slope = x - a, x_slope - a_slope
    else:
        ratio, ratio_slope = q / a, (q_slope - q * a_slope / a) / a
        x, x_slope = 0.5 * (ratio + a), 0.5 * (ratio_slope + a_slope)
        y, y_slope = 0.5 * (ratio - a), 0.5 * (ratio_slope - a_slope)
    value = log_normal_tail(x) - log_normal_tail(y)
    return value, normal_hazard(y) * y_slope - normal_hazard(x) * x_slope


@jit
def asimov_root(
    templates: Floats, asimov: Profile, terms: int, signal_yield: float
) -> tuple[float, float, bool]:
    """Return (a, da/ds, ok) with a = √q_A: the Asimov fit at `signal_yield`."""
    q, slope, status = profile(templates, asimov, terms, signal_yield)
    a = math.sqrt(max(q, 1e-300))
    return a, 0.5 * slope / a, usable(status)


@jit
def expected_limit(
    templates: Floats, asimov: Profile, terms: int, guess: float, target: float, variance: float
) -> float:
    """Return the yield where s/σ = `target`, with σ² = (s/a)² + `variance`, a = √q_A.

    With target Φ⁻¹(1−αΦ(N)) + N that is the N-sigma edge of the band (eqs. 30 and 89).
    """
    low, high, x = 0.0, math.inf, guess
    for _ in range(EVALUATIONS):
        a, slope, ok = asimov_root(templates, asimov, terms, x)
        if not ok:
            break
        widening = 1.0 + variance * (a / x) ** 2  # σ²a²/s²
        value = target - a / math.sqrt(widening)
        gain = (slope + variance * (a / x) ** 3) / (widening * math.sqrt(widening))
        low, high = (x, high) if value > 0.0 else (low, x)
        point = next_point(low, high, x, value, -gain)
        done = abs(point - x) <= STEP_DONE * x
        x = point
        if done:
            return x
    return math.nan


@jit
def observed_limit(
    templates: Floats,
    observed: Profile,
    asimov: Profile,
    terms: int,
    best: float,
    guess: float,
    log_alpha: float,
) -> float:
    """Return the yield with CLs = α; `observed` and `asimov` are (bins, coefficients, matrix)."""
    low, high, x = max(best, 0.0), math.inf, guess
    for _ in range(EVALUATIONS):
        q, slope, status = profile(templates, observed, terms, x)
        a, a_slope, ok = asimov_root(templates, asimov, terms, x)
        if not (ok and usable(status)):
            break
        value, value_slope = log_cls(q, slope, a, a_slope)
        value -= log_alpha
        low, high = (x, high) if value > 0.0 else (low, x)
        point = next_point(low, high, x, value, value_slope)
        done = abs(point - x) <= STEP_DONE * x
        x = point
        if done:
            return x
    return math.nan


@jit
def start_asimov(templates: Floats, observed: Profile, asimov: Profile, terms: int) -> float:
    """Set the Asimov profile from the background-only fit of the observed one; return σ at s = 0."""
    source, bins = observed[0], asimov[0]
    for b in range(bins.shape[1]):
        expected = source[EXPECTED, b]
        bins[EXPECTED, b] = expected
        bins[DATA, b] = expected if expected > ZERO else 0.0
    asimov[1][THETA] = observed[1][THETA]
    set_reference(bins, asimov[1])
    derivatives(bins)
    accumulate(templates, bins, SLOPE, CURVE, asimov[1], GRADIENT, asimov[2])
    regular = factorise(asimov[2], terms + 1, PIVOT_FLOOR)
    if not regular:
        asimov[1][TANGENT] = 0.0
        return math.nan
    set_tangent_of_free_fit(asimov[1], asimov[2], terms)
    return float(asimov[2][terms, terms])


@jit
def effective_background(templates: Floats, bins: Floats, terms: int) -> float:
    """Return 1/Σ(S²/ν): the background of the counting experiment with the same information."""
    total = 0.0
    for b in range(bins.shape[1]):
        total += templates[terms, b] * templates[terms, b] / bins[EXPECTED, b]
    return 1.0 / total


@jit
def discover(templates: Floats, observed: Profile, terms: int) -> tuple[float, int]:
    """Move a free fit to s = 0; return (q₀, status), with q₀ = 0 for a yield below 0 (eq. 12)."""
    bins, coefficients, matrix = observed
    best = coefficients[THETA, terms]
    set_reference(bins, coefficients)
    set_tangent_of_free_fit(coefficients, matrix, terms)
    status = move(templates, bins, coefficients, matrix, terms, 0.0)
    q = difference(templates, bins, coefficients)
    if best <= 0.0:
        set_reference(bins, coefficients)
        return 0.0, status
    return (q if q > 0.0 else 0.0), status


@jit
def half_error(templates: Floats, observed: Profile, terms: int, best: float) -> float:
    """Return the distance above the best yield where −2 ln λ rises by 1, for fits on the boundary."""
    bins, coefficients, _ = observed
    set_reference(bins, coefficients)
    coefficients[TANGENT] = 0.0
    low, high, x = best, math.inf, best + 1.0
    for _ in range(EVALUATIONS):
        q, slope, status = profile(templates, observed, terms, x)
        if not usable(status):
            break
        low, high = (x, high) if q < 1.0 else (low, x)
        point = x + (1.0 - q) / slope
        if not (low < point and point < high):
            point = best + 2.0 * (x - best) if high > 1e300 else 0.5 * (low + high)
        done = abs(point - x) <= STEP_DONE * (point - best)
        x = point
        if done:
            return x - best
    return math.nan


@jit
def asymptotic_windows(
    counts: Floats,
    signal: Floats,
    background: Floats,
    terms: Integers,
    targets: Floats,
    confidence: float,
    threshold: float,
    variance: Floats,
    theta: Floats,
    result: Floats,
    status: Flags,
) -> None:
    """Fit and limit every window on its own.

    Shapes: counts, signal (W, B), background (W, K, B), terms (W,), targets (5,),
    variance (W,) added to that of the yield in expected limits, theta (W, K) coefficients of the
    background-only fit, result (W, 13) with the columns above, status (W,). Limits are left NaN where
    the effective background is below `threshold`.
    """
    observed = allocate(background.shape[1] + 1, counts.shape[1])
    asimov = allocate(background.shape[1] + 1, counts.shape[1])
    result[:] = math.nan
    theta[:] = math.nan
    log_alpha = math.log(1.0 - confidence)
    for w in range(counts.shape[0]):
        templates, bins, possible = load(
            observed[0], observed[1], counts[w], signal[w], background[w], terms[w]
        )
        status[w] = IMPOSSIBLE
        if possible:
            status[w] = _limit_window(
                templates,
                (bins, observed[2], observed[3]),
                (cut(asimov[1], bins.shape[1]), asimov[2], asimov[3]),
                terms[w],
                targets,
                log_alpha,
                threshold,
                variance[w],
                theta[w],
                result[w],
            )


@jit
def _limit_window(
    templates: Floats,
    observed: Profile,
    asimov: Profile,
    terms: int,
    targets: Floats,
    log_alpha: float,
    threshold: float,
    variance: float,
    theta: Floats,
    result: Floats,
) -> int:
    status = _fit_both(templates, observed, terms, theta, result)
    if usable(status) and result[EFFECTIVE_BACKGROUND] >= threshold:
        _set_limits(templates, observed, asimov, terms, targets, log_alpha, variance, result)
        if not np.isfinite(result[LIMIT:].sum()):
            return NOT_CONVERGED
    return status


@jit
def _fit_both(templates: Floats, observed: Profile, terms: int, theta: Floats, result: Floats) -> int:
    """Fit with and without signal; fill the columns before the limits and return the status."""
    bins, coefficients, matrix = observed
    status, _ = fit_from_data(templates, bins, coefficients, matrix, terms + 1)
    if not usable(status):
        return status
    best = coefficients[THETA, terms]
    result[YIELD] = best
    result[ERROR] = matrix[terms, terms]
    result[NLL] = excess_over_saturated(bins)
    result[BINS] = bins.shape[1]
    if status == BOUNDARY:
        result[ERROR] = half_error(templates, observed, terms, best)
        fit_from_data(templates, bins, coefficients, matrix, terms + 1)
    q, null_status = discover(templates, observed, terms)
    if not usable(null_status):
        return null_status
    theta[:terms] = coefficients[THETA, :terms]
    result[LOCAL_Z] = math.sqrt(q)
    result[LOCAL_P] = normal_tail(result[LOCAL_Z])
    result[EFFECTIVE_BACKGROUND] = effective_background(templates, bins, terms)
    return status


@jit
def _set_limits(
    templates: Floats,
    observed: Profile,
    asimov: Profile,
    terms: int,
    targets: Floats,
    log_alpha: float,
    variance: float,
    result: Floats,
) -> None:
    """Fill the columns of the observed and expected limits."""
    sigma = start_asimov(templates, observed, asimov, terms)
    if not sigma > 0.0:
        sigma = math.sqrt(result[EFFECTIVE_BACKGROUND]) + 1.0
    best = result[YIELD]
    pull = best / sigma
    beyond = max(math.exp(log_alpha) * normal_cdf(pull), 1e-300)  # 1 − beyond is 1 for a deep deficit
    guess = max(best - sigma * normal_quantile(beyond), 0.1 * sigma)
    result[LIMIT] = observed_limit(templates, observed, asimov, terms, best, guess, log_alpha)
    for i in range(targets.size):
        guess = sigma * targets[i]
        result[EXPECTED_LIMITS + i] = expected_limit(templates, asimov, terms, guess, targets[i], variance)
