"""Windows beside a huge peak, where the fit wants a yield dozens of errors below zero."""

import numpy as np
import pytest

from scanner import shapes
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.stats import METHODS, Settings

EDGES = np.linspace(-5.0, 5.0, 101)


def beside_a_peak(peak, offset):
    """7500 events at `peak`, on a flat background of 120 a bin; the signal is sought at `offset`."""
    mass, sigma = np.array([offset]), np.array([1.0])
    spectrum = shapes.signal_integrals("gaussian", EDGES[None], np.array([peak]), sigma, {})
    signal = shapes.signal_integrals("gaussian", EDGES[None], mass, sigma, {})
    background = shapes.chebyshev_integrals(EDGES[None], 3)
    return BinnedProblem(np.rint(7500.0 * spectrum + 120.0), signal, background)


@pytest.mark.parametrize("offset", [-4.0, -3.0, -2.5, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("method", ["auto", "asymptotic"])
def test_a_deep_deficit_has_an_asymptotic_limit_and_no_significance(offset, method):
    limits = METHODS[method](beside_a_peak(0.0, offset), Settings(0.9))
    assert limits.signal_yield[0] < -8.3 * limits.signal_yield_error[0]  # where 1 − Φ is 1 in floating point
    assert STATUS_MEANINGS[int(limits.status[0])] == "ok"
    assert limits.z_local[0] == 0.0
    assert 0.0 < limits.yield_limit[0] < limits.signal_yield_error[0]
    assert np.all(np.diff(limits.expected[0]) > 0.0)
