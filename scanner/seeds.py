"""Where random numbers come from: the names of windows, and nothing else.

A window's key follows from the scan, the configuration, the region and the window's number, so that
a toy is the same whatever block, worker or attempt throws it.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def key_of(*names: str | int) -> int:
    """Return a 64-bit key of a sequence of names."""
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def window_keys(identity: str, configuration: str, region: str, windows: slice) -> Keys:
    """Return the keys of a run of windows, (W,).

    Parameters
    ----------
    identity : str
        Scan identity, which holds the user's seed.
    configuration, region : str
        Names.
    windows : slice
        First window and one past the last.
    """
    numbers = range(windows.start, windows.stop)
    return np.array([key_of(identity, configuration, region, w) for w in numbers], dtype=np.uint64)
