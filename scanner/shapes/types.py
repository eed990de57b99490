"""What all shapes are made of."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Parameters = Mapping[str, Floats]
"""Values of a shape's parameters by name, broadcast against the points."""

Profile = Callable[[Floats, Parameters], Floats]
"""A function of z, the distance from the peak in resolutions."""
