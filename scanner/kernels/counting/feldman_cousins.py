"""Acceptance of a signal over a known background by the ordering of Feldman and Cousins (physics/9711021).

The likelihood ratio R_k = P(k|s)/P(k|max(0, k−b)) rises in k up to s + b and falls beyond it. So the
counts of a larger ratio than that of n lie side by side, and their other end is found by bisection.
"""

import math

from scanner.kernels import jit

STEP = 0.01
"""Signal step of the search for the ends of an interval, which bisection then refines."""
NEGLIGIBLE = 1e-18


@jit
def log_ratio(k: float, signal: float, mean: float) -> float:
    """Return ln R_k."""
    best = max(k, mean)
    if k == 0.0:
        return best - signal - mean
    return k * math.log((signal + mean) / best) - signal - mean + best


@jit
def _other_end(n: int, signal: float, mean: float) -> int:
    """Return the last count on the other side of s + b whose ratio is larger than that of n."""
    own, total = log_ratio(n, signal, mean), signal + mean
    if n > total:
        outside, inside = -1, int(total) if total == int(total) else int(total) + 1
        inside = min(inside, n - 1)
    else:
        inside, outside = max(int(total), n + 1), 2 * int(total) + 4
        while log_ratio(outside, signal, mean) > own:
            outside *= 2
    while abs(outside - inside) > 1:
        middle = (outside + inside) // 2
        if log_ratio(middle, signal, mean) > own:
            inside = middle
        else:
            outside = middle
    return inside


@jit
def poisson_sum(first: int, last: int, mean: float) -> float:
    """Return P(first ≤ k ≤ last) of a Poisson distribution."""
    if last < first:
        return 0.0
    start = min(max(int(mean), first), last)
    top = math.exp(start * math.log(mean) - mean - math.lgamma(start + 1.0))
    total = term = top
    for k in range(start, first, -1):
        term *= k / mean
        total += term
        if term < NEGLIGIBLE * total:
            break
    term = top
    for k in range(start + 1, last + 1):
        term *= mean / k
        total += term
        if term < NEGLIGIBLE * total:
            break
    return total


@jit
def accepts(n: int, signal: float, mean: float, cl: float) -> bool:
    """Return whether n is in the acceptance region of `signal`.

    It is, where the counts of larger likelihood ratio together have a probability below the confidence
    level `cl`.
    """
    total = signal + mean
    if total == 0.0:
        return n == 0
    if n == total:
        return True
    other = _other_end(n, signal, mean)
    if n > total:
        return poisson_sum(other, n - 1, total) < cl
    return poisson_sum(n + 1, other, total) < cl


@jit
def interval_end(n: int, start: float, stop: float, mean: float, cl: float) -> float:
    """Return the first accepted signal on the way from `start` to `stop`, or `stop` if there is none."""
    if accepts(n, start, mean, cl):
        return start
    steps = math.ceil(abs(stop - start) / STEP)
    step = (stop - start) / max(steps, 1)
    for i in range(1, steps + 1):
        if accepts(n, start + i * step, mean, cl):
            outside, inside = start + (i - 1) * step, start + i * step
            for _ in range(40):
                middle = 0.5 * (outside + inside)
                if accepts(n, middle, mean, cl):
                    inside = middle
                else:
                    outside = middle
            return inside
    return stop


@jit
def envelope(n: int, high: float, mean: float, cl: float, reach: float, step: float, window: float) -> float:
    """Return the largest upper end at the known backgrounds mean … mean + reach, at least `high`.

    Between jumps an upper end falls as the background rises, and no jump is wider than `window`; so
    the largest one stands just after a jump, which bisection finds within the step before it.
    """
    best = 0.0
    for i in range(1, int(reach / step) + 1):
        end = interval_end(n, high + window, high, mean + i * step, cl)
        if end > high:
            high, best = end, i * step
    low = max(best - step, 0.0)
    for _ in range(20):
        middle = 0.5 * (low + best)
        end = interval_end(n, high + window, high, mean + middle, cl)
        if end > high:
            high, best = end, middle
        else:
            low = middle
    return high
