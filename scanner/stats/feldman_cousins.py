"""Feldman–Cousins intervals of a counting experiment (physics/9711021).

Counts are ordered by P(n|s)/P(n|s_best). For a background that is known the upper end is, as in the
published tables, not allowed to rise with the background: it is the largest of the upper ends at
all larger backgrounds. An uncertain background or efficiency is averaged over (Conrad, Botner, Hallgren,
Pérez de los Heros, hep-ex/0202013), without that envelope.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.counting import belt
from scanner.kernels.counting.feldman_cousins import STEP, envelope, interval_end
from scanner.likelihoods.binned import Floats
from scanner.stats import mixture
from scanner.stats.mixture import Mixture

ENVELOPE_REACH = 3.0
"""How far above the background larger upper ends are looked for."""
ENVELOPE_STEP = 0.002
ENVELOPE_WINDOW = 0.5
"""Larger than any jump of the upper end."""
COARSE = 25
"""Steps that are taken at once; the ends then are looked for in the coarse step and the two before it."""
ROOT_STEP = 0.04
"""Distance in √s of the signals between which that of the largest P(n|s) is interpolated."""
BISECTIONS = 40


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
    if spread > 0.0:
        mixed = Belt.of([n], mixture.gamma(background, spread), mixture.exactly(1.0), confidence_level)
        return mixed.interval(n)
    top = max(n - background, 0.0) + 6.0 * math.sqrt(n + 1.0) + 6.0
    low = float(interval_end(n, 0.0, top, background, confidence_level))
    high = float(interval_end(n, top, 0.0, background, confidence_level))
    if not monotonic:
        return low, high
    reach = (ENVELOPE_REACH, ENVELOPE_STEP, ENVELOPE_WINDOW)
    return low, float(envelope(n, high, background, confidence_level, *reach))


@dataclass(frozen=True)
class Belt:
    """Acceptance regions of a count whose background and efficiency are averaged over.

    Attributes
    ----------
    scales : Mixture
        Efficiency, relative to the one that signals are counted with.
    noise : (M,) float
        Probabilities of 0 … M−1 background events.
    best : (M,) float
        max over s ≥ 0 of P(n|s).
    confidence_level : float
    top : float
        Signal beyond the intervals of all counts that are asked for.
    """

    scales: Mixture
    noise: Floats
    best: Floats
    confidence_level: float
    top: float
    regions: dict[float, NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Iterable[int], backgrounds: Mixture, scales: Mixture, level: float) -> "Belt":
        """Return the belt that holds the intervals of some counts."""
        wanted = list(counts)
        mean, spread = _moments(backgrounds)
        _, uncertain = _moments(scales)
        width = math.hypot(math.sqrt(max(wanted) + 1.0), spread)
        top = (max(max(wanted) - mean, 0.0) + 6.0 * width + 6.0) * (1.0 + 6.0 * uncertain)
        while True:
            reach = math.hypot(math.sqrt(mean + top), math.hypot(spread, uncertain * top))
            noise = np.empty(max(int(mean + top + 8.0 * reach + 20.0), max(wanted) + 1))
            belt.mixed_probabilities(*backgrounds, noise)
            found = cls(scales, noise, _largest(noise, scales), level, top)
            if not any(found.accepts(n, top) for n in wanted):
                return found
            top *= 1.5

    def probabilities(self, signal: float) -> Floats:
        """Return P(0 … M−1 | s), (M,)."""
        return _probabilities(signal, self.noise, self.scales)

    def accepts(self, n: int, signal: float) -> bool:
        """Return whether n is in the acceptance region of `signal`."""
        if signal not in self.regions:
            region = np.empty(self.noise.size, dtype=np.uint8)
            belt.accepted(self.probabilities(signal), self.best, self.confidence_level, region)
            self.regions[signal] = region
        return bool(self.regions[signal][n])

    def interval(self, n: int) -> tuple[float, float]:
        """Return both ends for n observed events."""
        steps = COARSE * math.ceil(self.top / STEP / COARSE)
        return self._end(n, range(steps + 1)), self._end(n, range(steps, -1, -1))

    def _end(self, n: int, steps: range) -> float:
        """Return the first accepted signal on the way along multiples of STEP."""
        first = next((i for i in range(0, len(steps), COARSE) if self.accepts(n, STEP * steps[i])), None)
        if first is None:
            return math.nan
        for i in range(max(first - 3 * COARSE, 0), first + 1):
            if self.accepts(n, STEP * steps[i]):
                return STEP * steps[0] if i == 0 else self._bisect(n, STEP * steps[i - 1], STEP * steps[i])
        return math.nan

    def _bisect(self, n: int, outside: float, inside: float) -> float:
        for _ in range(BISECTIONS):
            middle = 0.5 * (outside + inside)
            if self.accepts(n, middle):
                inside = middle
            else:
                outside = middle
        return inside


def _moments(values: Mixture) -> tuple[float, float]:
    """Return the mean and the standard deviation."""
    mean = float(values[0] @ values[1])
    return mean, math.sqrt(max(float(values[0] ** 2 @ values[1]) - mean * mean, 0.0))


def _probabilities(signal: float, noise: Floats, scales: Mixture) -> Floats:
    events, total = np.empty(noise.size), np.empty(noise.size)
    belt.mixed_probabilities(signal * scales[0], scales[1], events)
    belt.sum_probabilities(events, noise, total)
    return total


def _largest(noise: Floats, scales: Mixture) -> Floats:
    """Return max over s ≥ 0 of P(n|s) for every n, (M,), by quartics through five signals around it."""
    roots = ROOT_STEP * np.arange(max(5, math.ceil(math.sqrt(1.5 * noise.size) / ROOT_STEP)))
    with np.errstate(divide="ignore"):
        logs = np.log(np.array([_probabilities(root * root, noise, scales) for root in roots]))
    rows = np.argmax(logs, axis=0)
    start = np.clip(rows - 2, 0, roots.size - 5)
    columns = np.arange(noise.size)
    near = np.array([logs[start + i, columns] for i in range(5)])
    return np.where(rows == 0, np.exp(logs[0]), np.exp(_peaks(near, (rows - start).astype(float))))


def _peaks(values: Floats, x: Floats) -> Floats:
    """Return the maxima (M,) of the quartics through values (5, M) at 0 … 4, beginning near x (M,)."""
    powers = np.linalg.solve(np.vander(np.arange(5.0), increasing=True), values)
    slope = powers[1:] * np.arange(1.0, 5.0)[:, None]
    curve = slope[1:] * np.arange(1.0, 4.0)[:, None]
    start = x.copy()
    for _ in range(20):
        step = np.polynomial.polynomial.polyval(x, slope, tensor=False)
        x = x - step / np.polynomial.polynomial.polyval(x, curve, tensor=False)
        x = np.clip(x, start - 1.0, start + 1.0)
    return np.asarray(np.polynomial.polynomial.polyval(x, powers, tensor=False), dtype=np.float64)
