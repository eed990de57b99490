"""Parametrised output of a signal classifier, in place of a trained network.

The densities on [0, 1] are truncated exponentials that mirror each other: falling for background,
rising for signal. A cut at 0.5 keeps 70% of the signal and 1% of the background, the two orders of
magnitude that the four-muon searches report; both numbers are defaults. The output depends on nothing
else, so it does not shape any spectrum.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIGNAL_KEPT, BACKGROUND_KEPT = 0.70, 0.01
"""Fractions of signal and background with an output above 0.5."""


def output(is_signal: NDArray[np.bool_], rng: Generator) -> NDArray[np.float64]:
    """Draw the output for each candidate, shape as `is_signal`."""
    fraction = np.where(is_signal, SIGNAL_KEPT, BACKGROUND_KEPT)
    rate = 2 * np.log(fraction / (1 - fraction))
    # Inverse of the distribution function of exp(rate y) on [0, 1].
    return np.asarray(np.log1p(rng.random(is_signal.shape) * np.expm1(rate)) / rate)
