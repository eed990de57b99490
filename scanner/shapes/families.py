"""Background densities: polynomials times e^{h(x) + Σ_p η_p g_p(x)} with non-linear parameters η.

The parameters of all these densities are those of exponential families, so that the derivative of a
term with respect to η_p is the term times g_p, and the log-likelihood of background alone is concave.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from scanner.shapes import polynomials
from scanner.shapes.polynomials import Basis
from scanner.shapes.types import Floats, Integers, Parameters

TINY = 1e-300
LARGEST_SLOPE = 50.0
"""Bound of an exponential slope over half a window."""


@dataclass(frozen=True)
class Points:
    """Points of the observable with the ends of their windows, and the mapping to u in [−1, 1]."""

    x: Floats
    low: Floats
    high: Floats

    @property
    def u(self) -> Floats:
        """Position in the window from −1 to 1."""
        return 2.0 * (self.x - self.low) / (self.high - self.low) - 1.0

    @property
    def middle(self) -> Floats:
        """Middle of the window."""
        return 0.5 * (self.low + self.high)


Exponent = Callable[[Points, Parameters], Floats]


@dataclass(frozen=True)
class BackgroundShape:
    """A family of background densities on a window of the observable.

    Attributes
    ----------
    basis
        The polynomial that multiplies the family, linear in its coefficients.
    exponents
        g_p(x) of each non-linear parameter p, by its name.
    bounds
        Range of each non-linear parameter.
    fixed
        h(x), which holds no free parameter; None for 0.
    constants
        Names of numbers in the observable's unit (or pure) that the definition fixes.
    edge
        The constant at which the density vanishes or diverges, where quadrature needs care.
    polynomial
        Whether the order of the background counts terms of the basis.
    integrals
        Closed form of the integrals of all terms over bins, from edges and the windows' terms.
    """

    basis: Basis = polynomials.constant_values
    exponents: Mapping[str, Exponent] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: Exponent | None = None
    constants: tuple[str, ...] = ()
    edge: str | None = None
    polynomial: bool = False
    integrals: Callable[[Floats, Integers], Floats] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the non-linear parameters."""
        return tuple(self.exponents)


def slope_exponent(points: Points, parameters: Parameters) -> Floats:
    """Return −u, of a slope κ over half a window."""
    del parameters
    return -points.u


def power_exponent(points: Points, parameters: Parameters) -> Floats:
    """Return −ln(x/x_c), of a falling power of the observable; x_c is the middle of the window."""
    del parameters
    value: Floats = -np.log(np.maximum(points.x, TINY) / points.middle)
    return value


def curvature_exponent(points: Points, parameters: Parameters) -> Floats:
    """Return −(1 − x²/c²), of the ARGUS curvature χ²/2."""
    value: Floats = -(1.0 - (points.x / parameters["endpoint"]) ** 2)
    return value


def argus_factor(points: Points, parameters: Parameters) -> Floats:
    """Return ln[x (1 − x²/c²)^p], −∞ beyond the endpoint c."""
    room = 1.0 - (points.x / parameters["endpoint"]) ** 2
    inside = (room > 0.0) & (points.x > 0.0)
    value = np.log(np.maximum(points.x, TINY)) + parameters["power"] * np.log(np.maximum(room, TINY))
    return np.where(inside, value, -np.inf)


def rise_exponent(points: Points, parameters: Parameters) -> Floats:
    """Return ln[(x − x₀)/(x_high − x₀)], of the power with which a density rises from a threshold."""
    reach = np.maximum(points.high - parameters["threshold"], TINY)
    value: Floats = np.log(np.maximum((points.x - parameters["threshold"]) / reach, TINY))
    return value


def above_threshold(points: Points, parameters: Parameters) -> Floats:
    """Return 0 above the threshold and −∞ below."""
    return np.where(points.x > parameters["threshold"], 0.0, -np.inf)


def threshold_factor(points: Points, parameters: Parameters) -> Floats:
    """Return ln of ((x − x₀)/(x_high − x₀))^p with a fixed power."""
    rise = parameters["power"] * rise_exponent(points, parameters)
    return rise + above_threshold(points, parameters)


SLOPE_BOUNDS = (-LARGEST_SLOPE, LARGEST_SLOPE)
CHEBYSHEV = BackgroundShape(
    polynomials.chebyshev_values, polynomial=True, integrals=polynomials.chebyshev_by_window
)
BACKGROUNDS: dict[str, BackgroundShape] = {
    "chebyshev": CHEBYSHEV,
    "linear": CHEBYSHEV,
    "bernstein": BackgroundShape(
        polynomials.bernstein_values, polynomial=True, integrals=polynomials.bernstein_by_window
    ),
    "exponential": BackgroundShape(exponents={"slope": slope_exponent}, bounds={"slope": SLOPE_BOUNDS}),
    "power_law": BackgroundShape(
        exponents={"exponent": power_exponent}, bounds={"exponent": (-200.0, 200.0)}
    ),
    "argus": BackgroundShape(
        exponents={"curvature": curvature_exponent},
        bounds={"curvature": (-200.0, 200.0)},
        fixed=argus_factor,
        constants=("endpoint", "power"),
        edge="endpoint",
    ),
    "threshold": BackgroundShape(
        exponents={"power": rise_exponent, "slope": slope_exponent},
        bounds={"power": (-0.5, 30.0), "slope": SLOPE_BOUNDS},
        fixed=above_threshold,
        constants=("threshold",),
        edge="threshold",
    ),
    "threshold_polynomial": BackgroundShape(
        polynomials.chebyshev_values,
        fixed=threshold_factor,
        constants=("threshold", "power"),
        edge="threshold",
        polynomial=True,
    ),
}
"""Every background shape by its name in definitions."""
