"""Feldman–Cousins intervals of a counting experiment (physics/9711021).

Counts are ordered by P(n|s)/P(n|s_best). For a background that is known the upper end is, as in the
published tables, not allowed to rise with the background: it is the largest of the upper ends at
all larger backgrounds. An uncertain background is marginalised (Conrad et al., hep-ex/0202013),
without that envelope.
"""

import math

from scanner.kernels.feldman_cousins import envelope, interval_end

ENVELOPE_REACH = 3.0
"""How far above the background larger upper ends are looked for."""
ENVELOPE_STEP = 0.002
ENVELOPE_WINDOW = 0.5
"""Larger than any jump of the upper end."""


def feldman_cousins_interval(
    n: int, background: float, confidence_level: float, *, spread: float = 0.0, monotonic: bool = True
) -> tuple[float, float]:
    """Return both ends of the interval for n observed events.

    Parameters
    ----------
    n : int
        Observed events.
    background : float
        Mean background.
    confidence_level : float
    spread : float
        Variance of the background over its mean; above 0 the background is Gamma distributed.
    monotonic : bool
        Whether the upper end of a known background follows the published tables' envelope.
    """
    width = math.sqrt(n + 1.0 + background * spread)
    top = max(n - background, 0.0) + 6.0 * width + 6.0
    size = _counts_that_matter(background + ENVELOPE_REACH + top, background * spread, n)
    low = float(interval_end(n, 0.0, top, background, spread, size, confidence_level))
    high = float(interval_end(n, top, 0.0, background, spread, size, confidence_level))
    if spread > 0.0 or not monotonic:
        return low, high
    reach = (ENVELOPE_REACH, ENVELOPE_STEP, ENVELOPE_WINDOW)
    return low, float(envelope(n, high, background, size, confidence_level, *reach))


def _counts_that_matter(mean: float, variance: float, n: int) -> int:
    return int(max(float(n), mean + 8.0 * math.sqrt(mean + variance) + 20.0)) + 1
