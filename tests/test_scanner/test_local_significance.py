"""The local p-value of counted windows is that of the on/off problem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHODS, Settings

BINS, CORE = 50, slice(23, 28)
TAU = 9.0


def problem(inside, beside):
    """A flat background with nine times as much beside the core as in it."""
    counts = np.zeros((1, BINS))
    counts[0, 25] = inside
    np.add.at(counts[0], np.arange(beside) % 20, 1)
    signal = np.zeros((1, BINS))
    signal[0, CORE] = 0.2
    core = np.zeros((1, BINS), dtype=bool)
    core[0, CORE] = True
    return BinnedProblem(counts, signal, np.full((1, 1, BINS), 1.0 / BINS), core=core)


@given(inside=st.integers(1, 12), beside=st.integers(0, 60))
def test_it_equals_z_bi(inside, beside):
    """p = I_{1/(1+τ)}(n, m + 1) (Cousins, Linnemann, Tucker, arXiv:physics/0702156, eq. 14)."""
    limits = METHODS["counting"](problem(inside, beside), Settings(0.9))
    assert limits.p_local[0] == pytest.approx(betainc(inside, beside + 1, 1.0 / (1.0 + TAU)), rel=1e-5)


def test_events_over_no_background_are_no_certainty():
    limits = METHODS["counting"](problem(2, 0), Settings(0.9))
    assert limits.p_local[0] == pytest.approx((1.0 / (1.0 + TAU)) ** 2)
    assert np.isfinite(limits.z_local[0])
