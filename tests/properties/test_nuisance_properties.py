"""Random windows with nuisances: maxima and errors against iminuit."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scanner.likelihoods.expectation import Expectation
from scanner.likelihoods.fit import STATUS_MEANINGS, fit
from scanner.likelihoods.minuit import fit_window

rates = st.floats(-2.0, 6.0).map(lambda power: 10.0**power)
seeds = st.integers(0, 2**32 - 1)
deltas = st.just(0.0) | st.floats(0.01, 0.5)
sizes = st.integers(0, 4)


def touches_zero(problem, found):
    """Whether a bin is at zero, where β bends the NLL too sharply for Minuit to follow."""
    expected, _ = Expectation.of(problem, 0).expected(parameters(found), problem.counts[0])
    return expected.min() < 1e-7


def parameters(found):
    """Return nuisances, background coefficients and the yield as one array."""
    return np.concatenate([found.pulls[0], found.background[0], found.yields])


@settings(max_examples=60, deadline=None)
@example(0.01, 0, 3, 0.03125, 1)
@example(1e4, 0, 2, 0.0, 0)
@example(1e6, 0, 3, 0.0, 2)
@example(0.01727197391743757, 147, 4, 0.0, 1)
@example(10.0**-1.875, 148, 3, 0.0, 1)
@given(rates, seeds, sizes, deltas, st.integers(0, 2))
def test_maxima_and_errors_are_those_of_iminuit(bent_window, rate, seed, nuisances, delta, terms):
    one = bent_window(rate, seed, nuisances, delta, terms)
    ours, theirs = fit(one, second_opinion=False), fit_window(one, 0)
    assert STATUS_MEANINGS[ours.status[0]] in ("ok", "positivity_boundary")
    if ours.nll[0] > theirs.nll + 1e-5:  # nuisances that the data pull far leave room for two minima
        theirs = fit_window(one, 0, start=parameters(ours))
    assert ours.nll[0] < theirs.nll + 1e-5
    if not theirs.valid or STATUS_MEANINGS[ours.status[0]] != "ok" or touches_zero(one, ours):
        return
    assert theirs.nll == pytest.approx(ours.nll[0], abs=1e-4)
    assert abs(theirs.signal_yield - ours.yields[0]) < 0.02 * ours.errors[0]
    if rate > 1.0:
        assert theirs.error == pytest.approx(ours.errors[0], rel=0.05)
