"""Central intervals on the signal yield from the shape of the profile likelihood, as MINOS finds them."""

import numpy as np
from scipy.special import ndtri

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.stats.asymptotic import as_limits, constrained_hypotheses
from scanner.stats.constrained_limits import intervals
from scanner.stats.limits import MINOS, Limits
from scanner.stats.settings import Settings


def minos_limits(problem: BinnedProblem, settings: Settings) -> Limits:
    """Return the central intervals where −2 ln λ(s) rises by z², for example by 1 at a level of 68.27%.

    z is the two-sided standard score of the confidence level (S. S. Wilks, Ann. Math. Stat. 9 (1938) 60).
    `yield_limit` is the upper end, `yield_lower` the lower one, which may be negative; where no bin may
    get more negative it is the lowest possible yield. Expected are the upper ends without signal.
    """
    fits, pair = constrained_hypotheses(problem)
    score = float(ndtri(0.5 + 0.5 * settings.confidence_level))
    targets: Floats = score + ndtri(np.array(QUANTILES))
    found = intervals(problem, pair, targets, score, pair.found)
    return as_limits(problem, fits, found[:, :-1], MINOS, found[:, -1])
