"""Densities of signal and background at the points of a window, as rows of its templates.

Rows are laid out as in `scanner.kernels.algebra`: background terms, the signal, then zeros. Signals are
densities in the mass, which is the observable here, backgrounds densities in the observable; here they
are Chebyshev polynomials, and all others are tabulated.
"""

import math

from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean
from scanner.kernels.special import ROOT_2PI, normal_cdf
from scanner.kernels.unbinned.exponential import exponential

GAUSSIAN, DOUBLE_GAUSSIAN, CRYSTAL_BALL, TABULATED = range(4)
"""Signals; parameters are mass, resolution, then those of `scanner.shapes` in their order."""


@lean
def fill_templates(
    templates: Floats,
    x: Floats,
    terms: int,
    signal: int,
    parameters: Floats,
    low: float,
    high: float,
) -> None:
    """Set all rows of `templates` at the points x, for a signal that is not tabulated."""
    _fill_chebyshev(templates, x, terms, low, high)
    mass, resolution = parameters[0], parameters[1]
    if signal == GAUSSIAN:
        _fill_gaussian(templates, terms, x, mass, resolution, 1.0)
    elif signal == DOUBLE_GAUSSIAN:
        fraction, ratio = parameters[2], parameters[3]
        _fill_gaussian(templates, terms, x, mass, resolution, 1.0 - fraction)
        _add_gaussian(templates, terms, x, mass, resolution * ratio, fraction)
    elif signal == CRYSTAL_BALL:
        _fill_crystal_ball(templates, terms, x, mass, resolution, parameters[2], parameters[3])
    templates[terms + 1 :] = 0.0


@lean
def _fill_gaussian(
    templates: Floats, row: int, x: Floats, mass: float, resolution: float, events: float
) -> None:
    inverse = 1.0 / resolution
    norm = events * inverse / ROOT_2PI
    for i in range(x.size):
        z = (x[i] - mass) * inverse
        templates[row, i] = norm * exponential(-0.5 * z * z)


@lean
def _add_gaussian(
    templates: Floats, row: int, x: Floats, mass: float, resolution: float, events: float
) -> None:
    inverse = 1.0 / resolution
    norm = events * inverse / ROOT_2PI
    for i in range(x.size):
        z = (x[i] - mass) * inverse
        templates[row, i] += norm * exponential(-0.5 * z * z)


@lean
def _fill_crystal_ball(
    templates: Floats, row: int, x: Floats, mass: float, resolution: float, alpha: float, n: float
) -> None:
    """Gaussian, and beyond −α the power law (n/α)ⁿ e^{−α²/2} (n/α − α − z)^{−n}; α < 0 mirrors it."""
    side = math.copysign(1.0, alpha)
    size = abs(alpha)
    joint = math.exp(-0.5 * size * size)
    area = n / size / (n - 1.0) * joint + ROOT_2PI * normal_cdf(size)
    _fill_gaussian(templates, row, x, mass, resolution, ROOT_2PI / area)
    norm = joint / (area * resolution)
    for i in range(x.size):
        z = side * (x[i] - mass) / resolution
        if z < -size:
            templates[row, i] = norm * (1.0 - (size + z) * size / n) ** -n


@lean
def _fill_chebyshev(templates: Floats, x: Floats, terms: int, low: float, high: float) -> None:
    """T_k(u)/(high − low), u from −1 to 1: the coefficient of T₀ alone is in events."""
    norm = 1.0 / (high - low)
    scale, shift = 2.0 * norm, (low + high) * norm
    if terms > 0:
        templates[0] = norm
    if terms > 1:
        for i in range(x.size):
            templates[1, i] = norm * (x[i] * scale - shift)
    for k in range(2, terms):
        for i in range(x.size):
            u = x[i] * scale - shift
            templates[k, i] = 2.0 * u * templates[k - 1, i] - templates[k - 2, i]
