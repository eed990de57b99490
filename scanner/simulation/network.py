"""Parametrised output of a signal classifier, in place of a trained network.

The densities on [0, 1] are truncated exponentials that mirror each other: falling for background,
rising for signal. A cut at 0.5 keeps 70% of the signal and 1% of the background, the two orders of
magnitude that the four-muon searches report; both numbers are defaults. The output depends on nothing
else, so it does not shape any spectrum.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import brentq

SIGNAL_KEPT, BACKGROUND_KEPT = 0.70, 0.01
"""Fractions of signal and background with an output above 0.5."""


def output(is_signal: NDArray[np.bool_], rng: Generator) -> NDArray[np.float64]:
    """Draw the output for each candidate, shape as `is_signal`."""
    fraction = np.where(is_signal, SIGNAL_KEPT, BACKGROUND_KEPT)
    rate = 2 * np.log(fraction / (1 - fraction))
    # Inverse of the distribution function of exp(rate y) on [0, 1].
    return np.asarray(np.log1p(rng.random(is_signal.shape) * np.expm1(rate)) / rate)


def output_above(fraction: float, cut: float, size: int, rng: Generator) -> NDArray[np.float64]:
    """Draw outputs of which a stated fraction is above a cut, with a truncated exponential as density."""

    def excess(rate: float) -> float:
        return float(np.expm1(rate * (1 - cut)) / -np.expm1(-rate) * np.exp(rate * (cut - 1))) - fraction

    # The rate 0 is a flat output; no fraction of practical use needs more than 10³.
    rate = (
        0.0
        if fraction == 1 - cut
        else float(brentq(excess, *((1e-9, 1e2) if fraction > 1 - cut else (-1e2, -1e-9))))
    )
    y = rng.random(size)
    return y if rate == 0.0 else np.asarray(np.log1p(y * np.expm1(rate)) / rate)
