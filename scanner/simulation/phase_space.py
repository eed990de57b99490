"""Three-body phase space: the mass of two of three particles."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.simulation.kinematics import two_body_momentum

Array = NDArray[np.float64]


def pair_masses(rng: Generator, total: Array, masses: tuple[float, float, float]) -> Array:
    """Draw the mass of the first two of three particles from the decay of masses `total` [GeV], (N,).

    The density is the product of the momentum of the pair and that of either particle in the pair.
    """
    first, second, third = masses
    low, high = first + second, total - third
    found, pending = np.empty_like(total), np.arange(len(total))
    while len(pending):
        t, top = total[pending], high[pending]
        m = low + (top - low) * rng.random(len(pending))
        weight = two_body_momentum(t, m, third) * two_body_momentum(m, first, second)
        # Neither factor exceeds its value at the end of the range where it is largest.
        bound = two_body_momentum(t, low, third) * two_body_momentum(top, first, second)
        kept = weight > rng.random(len(pending)) * bound
        found[pending[kept]] = m[kept]
        pending = pending[~kept]
    return found
