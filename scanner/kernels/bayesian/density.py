"""A density of the signal yield from its logarithm at nodes: spline, integrals and quantiles.

Nodes are equidistant in x = √s, where a likelihood at s = 0 has no slope. A prior s^(γ−1) is flat in
u = s^γ, so that integrals run over u and the singularity of the prior at 0 is none.
"""

import math

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import Floats

NODES = (0.06943184420297371, 0.33000947820757187, 0.6699905217924281, 0.9305681557970262)
WEIGHTS = (0.17392742256872692, 0.3260725774312731, 0.3260725774312731, 0.17392742256872692)
"""Gauss–Legendre rule of four points on (0, 1)."""
PIECES = 4
"""Parts of a cell, each integrated by that rule."""
VANISHED = 60.0


@jit
def set_curvature(start: float, step: float, logs: Floats, curvature: Floats) -> None:
    """Set the second derivatives (M,) of the cubic spline through `logs` (M,).

    The slope at s = 0 is zero; an end elsewhere, where the density has vanished, is natural.
    """
    size = logs.size
    upper, right = np.empty(size), np.empty(size)
    diagonal = 2.0
    upper[0] = 1.0 if start == 0.0 else 0.0
    right[0] = 6.0 * (logs[1] - logs[0]) / (step * step) if start == 0.0 else 0.0
    upper[0] /= diagonal
    right[0] /= diagonal
    for i in range(1, size - 1):
        diagonal = 4.0 - upper[i - 1]
        bend = 6.0 * (logs[i + 1] - 2.0 * logs[i] + logs[i - 1]) / (step * step)
        upper[i] = 1.0 / diagonal
        right[i] = (bend - right[i - 1]) / diagonal
    curvature[size - 1] = 0.0
    for i in range(size - 2, -1, -1):
        curvature[i] = right[i] - upper[i] * curvature[i + 1]


@jit
def value(x: float, start: float, step: float, logs: Floats, curvature: Floats) -> float:
    """Return the density at x = √s, by the spline of its logarithm."""
    cell = min(max(int((x - start) / step), 0), logs.size - 2)
    right = (x - start) / step - cell
    left = 1.0 - right
    bend = (left**3 - left) * curvature[cell] + (right**3 - right) * curvature[cell + 1]
    return math.exp(left * logs[cell] + right * logs[cell + 1] + step * step / 6.0 * bend)


@jit
def integral(
    low: float, high: float, power: float, start: float, step: float, logs: Floats, curvature: Floats
) -> float:
    """Return ∫ du of the density over the s = u^(1/γ) from x = `low` to x = `high`."""
    first, last = low ** (2.0 * power), high ** (2.0 * power)
    width = (last - first) / PIECES
    total = 0.0
    for i in range(PIECES):
        for k in range(len(NODES)):
            u = first + (i + NODES[k]) * width
            total += WEIGHTS[k] * value(u ** (0.5 / power), start, step, logs, curvature)
    return float(total * width)


@jit
def set_cumulative(
    power: float, start: float, step: float, logs: Floats, curvature: Floats, cumulative: Floats
) -> None:
    """Set the integrals (M,) from the first node to each."""
    cumulative[0] = 0.0
    for i in range(1, logs.size):
        x = start + i * step
        cumulative[i] = cumulative[i - 1] + integral(x - step, x, power, start, step, logs, curvature)


@jit
def quantile(
    share: float,
    power: float,
    start: float,
    step: float,
    logs: Floats,
    curvature: Floats,
    cumulative: Floats,
) -> float:
    """Return the s below which the `share` of the density lies."""
    target = share * cumulative[-1]
    cell = 0
    while cell < logs.size - 2 and cumulative[cell + 1] < target:
        cell += 1
    left = start + cell * step
    low, high = left, left + step
    for _ in range(40):
        middle = 0.5 * (low + high)
        mass = cumulative[cell] + integral(left, middle, power, start, step, logs, curvature)
        if mass < target:
            low = middle
        else:
            high = middle
        if high - low < 1e-9 * high:
            break
    return 0.25 * (low + high) ** 2


@jit
def mend_ends(logs: Floats) -> None:
    """Replace logarithms of nothing by a steep fall, which the spline bears."""
    top = logs[0]
    for i in range(logs.size):
        top = max(top, logs[i])
    for i in range(logs.size):
        if not logs[i] > top - VANISHED:
            logs[i] = top - VANISHED


@jit
def credible_limit(
    share: float, power: float, start: float, step: float, logs: Floats, scratch: Floats
) -> float:
    """Return the upper limit of credibility `share` from logarithms (M,) at the nodes; scratch (2, M)."""
    mend_ends(logs)
    set_curvature(start, step, logs, scratch[0])
    set_cumulative(power, start, step, logs, scratch[0], scratch[1])
    return quantile(share, power, start, step, logs, scratch[0], scratch[1])
