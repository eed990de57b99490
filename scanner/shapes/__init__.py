"""Signal and background densities, and their integrals over the bins of windows.

Two tables name every shape: `SIGNALS`, densities in the mass around a hypothesis, and `BACKGROUNDS`,
sums of terms that are linear in their coefficients, in the observable, with a few non-linear parameters.
"""

from scanner.shapes.backgrounds import background_density, background_integrals, background_norm
from scanner.shapes.crystal_ball import crystal_ball_cdf
from scanner.shapes.families import BACKGROUNDS, BackgroundShape
from scanner.shapes.polynomials import bernstein_integrals, chebyshev_integrals
from scanner.shapes.signals import SIGNALS, SignalShape, signal_density, signal_integrals
from scanner.shapes.starts import background_start
from scanner.shapes.types import Floats, Integers, Parameters

__all__ = [
    "BACKGROUNDS",
    "SIGNALS",
    "BackgroundShape",
    "Floats",
    "Integers",
    "Parameters",
    "SignalShape",
    "background_density",
    "background_integrals",
    "background_norm",
    "background_start",
    "bernstein_integrals",
    "chebyshev_integrals",
    "crystal_ball_cdf",
    "signal_density",
    "signal_integrals",
]
