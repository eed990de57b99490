"""The spread σ = s/√q_A of an Asimov data set as a polynomial of the root a = √q_A.

σ is nearly constant. Its value at the background-only fit, from the Hessian there, and its values
and slopes at two more yields fix a polynomial of fourth order (Hermite's, in Newton's form). The part
of fourth order says how well the series has converged; where that is not small enough, nothing is
interpolated and every limit takes fits of its own.
"""

import math

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.linear.profile import Profile, estimate
from scanner.kernels.linear.window import OK

NEAR, FAR, VALUE, SLOPE, BEND, TWIST, LAST, REACH = range(8)
"""Entries of a series: its two roots a, five divided differences, and the largest yield it holds for."""
SIZE = 8
CONVERGED = 1e-5
"""Largest part of fourth order, relative to σ, at which a series is used."""
ITERATIONS = 4


@lean
def spread_point(
    templates: Floats, asimov: Profile, terms: int, variance: float, x: float
) -> tuple[float, float, float, int]:
    """Return root, spread and slope dσ/da at the yield `x`, with status; q_A must be positive to use them.

    `variance` is added to that of the yield: σ² = x²/q_A + variance, and the root is x/σ.
    """
    q, slope, status = estimate(templates, asimov, terms, x)
    if not q > 0.0:
        return math.nan, math.nan, math.nan, status
    a = math.sqrt(q)
    widening = 1.0 + variance * (a / x) ** 2
    root = a / math.sqrt(widening)
    root_slope = (0.5 * slope / a + variance * (a / x) ** 3) / (widening * math.sqrt(widening))
    spread = x / root
    return root, spread, (1.0 / root_slope - spread) / root, status


@lean
def build_series(
    templates: Floats,
    asimov: Profile,
    terms: int,
    sigma: float,
    variance: float,
    targets: Floats,
    series: Floats,
) -> bool:
    """Set `series` from two fits; return whether it holds at all targets, which rise."""
    start = math.sqrt(sigma * sigma + variance)
    last = targets.size - 1
    a, spread, slope, status = spread_point(templates, asimov, terms, variance, targets[1] * start)
    if not (status == OK and a > 0.0):
        return False
    aim = 0.9 * targets[last]
    bend = (slope - (spread - start) / a) / a
    x = aim * (spread + (aim - a) * (slope + (aim - a) * bend))
    if not x > 1.1 * targets[1] * start:
        return False
    c, far_spread, far_slope, status = spread_point(templates, asimov, terms, variance, x)
    if not (status == OK and c > a):
        return False
    _divide(series, a, spread, slope, c, far_spread, far_slope, start)
    series[REACH] = 1.1 * x
    largest = 0.0
    for i in range(targets.size):
        largest = max(largest, abs(_fourth_order(series, targets[i])))
    return largest <= CONVERGED * spread


@jit
def _divide(
    series: Floats,
    a: float,
    spread: float,
    slope: float,
    c: float,
    far_spread: float,
    far_slope: float,
    start: float,
) -> None:
    """Set the divided differences on the nodes a, a, c, c, 0."""
    width = c - a
    chord = (far_spread - spread) / width
    bend = (chord - slope) / width
    twist = ((far_slope - chord) / width - bend) / width
    series[NEAR], series[FAR] = a, c
    series[VALUE], series[SLOPE], series[BEND], series[TWIST] = spread, slope, bend, twist
    missing = start - (spread - a * (slope - a * (bend - c * twist)))
    series[LAST] = missing / (a * a * c * c)


@lean
def _fourth_order(series: Floats, root: float) -> float:
    near, far = root - series[NEAR], root - series[FAR]
    return float(series[LAST] * near * near * far * far)


@lean
def spread_at(series: Floats, root: float) -> tuple[float, float]:
    """Return σ and dσ/da at a root."""
    near, far = root - series[NEAR], root - series[FAR]
    inner = series[TWIST] + far * series[LAST]
    middle = series[BEND] + far * inner
    middle_slope = inner + far * series[LAST]
    outer = series[SLOPE] + near * middle
    outer_slope = middle + near * middle_slope
    return series[VALUE] + near * outer, outer + near * outer_slope


@lean
def root_at(series: Floats, signal_yield: float) -> tuple[float, float]:
    """Return the root a with a σ(a) = `signal_yield`, and its slope, by Newton's method."""
    root = signal_yield / series[VALUE]
    slope = 0.0
    for _ in range(ITERATIONS):
        spread, spread_slope = spread_at(series, root)
        slope = 1.0 / (spread + root * spread_slope)
        root -= (root * spread - signal_yield) * slope
    return root, slope
