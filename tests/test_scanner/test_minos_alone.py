"""MINOS intervals of windows in which only signal is possible, against scipy."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.shapes import signal_integrals
from scanner.stats import METHODS, Settings
from scanner.stats.limits import METHOD_MEANINGS

EDGES = np.linspace(-2.0, 2.0, 9)
SIGNAL = signal_integrals("gaussian", EDGES[None], np.zeros(1), np.ones(1), {})
WHOLE = SIGNAL.sum()
LEVEL = 0.6826894921370859
"""At which −2 ln λ rises by 1."""
NOWHERE = np.empty(0, dtype=np.int64)


def intervals(places, log_factor=0.0):
    counts = np.bincount(places, minlength=8).astype(float)[None]
    norm = np.array([[[[-log_factor, log_factor]]]])
    empty = np.zeros((1, 0, 8))
    nuisances = Nuisances(("efficiency",), norm, np.zeros((1, 0, 2, 8)), NOWHERE, NOWHERE, empty)
    problem = BinnedProblem(counts, SIGNAL, empty, nuisances=nuisances if log_factor else None)
    return METHODS["minos"](problem, Settings(LEVEL))


def ratio(n, signal, log_factor):
    """−2 ln λ of n events at a yield, the efficiency profiled: its factor is κ^α with a unit normal α."""

    def deviance(alpha):
        mean = signal * WHOLE * np.exp(log_factor * alpha)
        return 2.0 * (mean - n + (n * np.log(n / mean) if n else 0.0)) + alpha * alpha

    return minimize_scalar(deviance, bracket=(-0.5, 0.5)).fun if log_factor else deviance(0.0)


@pytest.mark.parametrize("log_factor", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("places", [[], [4], [2, 4, 5], [3, 4, 4, 5, 6]])
def test_intervals_of_signal_alone(places, log_factor):
    found, n = intervals(places, log_factor), len(places)
    best = n / WHOLE
    upper, nothing = (
        brentq(lambda s, n=n: ratio(n, s, log_factor) - 1.0, low, 60.0) for n, low in ((n, best), (0, 1e-9))
    )
    lower = brentq(lambda s: ratio(n, s, log_factor) - 1.0, 1e-3 * best, best) if n else 0.0
    assert METHOD_MEANINGS[int(found.method[0])] == "minos"
    assert found.signal_yield[0] == pytest.approx(best, rel=1e-6)
    assert found.yield_limit[0] == pytest.approx(upper, rel=2e-5)
    assert found.yield_lower[0] == pytest.approx(lower, rel=2e-5)
    assert found.expected[0] == pytest.approx(np.full(5, nothing), rel=2e-5)
