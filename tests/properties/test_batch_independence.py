"""A window's fit, limit and bands follow from its own content, to the last bit, whatever stands beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.stats import METHODS, Settings

RATES = (0.05, 0.6, 8.0, 150.0, 2000.0)
"""Events a bin: from windows on the positivity boundary to plenty in every bin."""
BINS = 30
seeds = st.integers(0, 2**32 - 1)
orders = st.integers(0, 6)
methods = pytest.mark.parametrize("method", ["fit", "asymptotic", "counting"])


def window(seed, rate, terms, most, dead=0):
    """Return one window among `most` background terms, of which it uses `terms`, and `dead` empty bins."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    signal = np.diff(norm.cdf(edges / rng.uniform(0.05, 0.3)))
    mean = rate * (1.0 - rng.uniform(-0.7, 0.7) * (edges[1:] + edges[:-1]) / 2.0)
    counts = rng.poisson(mean + 3.0 * rng.random() * np.sqrt(rate) * signal)
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(most)]
    background = np.array(rows).reshape(1, most, BINS)
    background[:, terms:] *= rng.normal(size=BINS)  # what stands in terms out of use must not matter
    core = np.abs(edges[1:]) < 0.4
    wide = [np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, dead)]) for array in (counts, signal, core)]
    background = np.pad(background, [(0, 0), (0, 0), (0, dead)])
    return BinnedProblem(wide[0][None], wide[1][None], background, wide[2][None], np.array([terms]))


def together(problems):
    """Return windows of equal shapes as one batch."""
    fields = ("counts", "signal", "background", "core", "terms")
    return BinnedProblem(*(np.concatenate([getattr(p, field) for p in problems]) for field in fields))


def results(problem, method):
    """Return all that is said of every window, (W, columns), its coefficients cut to the terms in use."""
    found = fit(problem, second_opinion=False) if method == "fit" else METHODS[method](problem, Settings(0.9))
    columns = dict(vars(found))
    coefficients = columns.pop("background" if method == "fit" else "background_coefficients")
    scalars = np.column_stack([values.astype(float) for values in columns.values() if values is not None])
    return [(row, c[:used]) for row, c, used in zip(scalars, coefficients, problem.terms, strict=True)]


def equal(one, other):
    """Tell whether two results are equal bit by bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@methods
@settings(max_examples=30)
@given(seed=seeds, rate=st.sampled_from(RATES), terms=orders)
def test_terms_out_of_use_change_no_bit(method, seed, rate, terms):
    plain = results(window(seed, rate, terms, terms), method)[0]
    for more in (1, 2, 3, 4):
        padded = results(window(seed, rate, terms, terms + more), method)[0]
        assert equal(padded, plain), (more, padded, plain)


@pytest.mark.parametrize("method", ["fit", "asymptotic"])
@settings(max_examples=20)
@given(seed=seeds, rate=st.sampled_from(RATES), terms=orders, dead=st.integers(1, 20))
def test_bins_without_templates_change_no_bit(method, seed, rate, terms, dead):
    plain = results(window(seed, rate, terms, terms), method)[0]
    assert equal(results(window(seed, rate, terms, terms, dead), method)[0], plain)


@methods
@settings(max_examples=20)
@given(
    choices=st.lists(st.tuples(seeds, st.sampled_from(RATES), orders), min_size=2, max_size=5), shuffle=seeds
)
def test_neighbours_and_their_order_change_no_bit(method, choices, shuffle):
    most = max(terms for _, _, terms in choices)
    problems = [window(*choice, most) for choice in choices]
    order = np.random.default_rng(shuffle).permutation(len(problems))
    mixed = results(together([problems[w] for w in order]), method)
    for place, w in enumerate(order):
        alone = results(window(*choices[w], choices[w][-1]), method)[0]
        assert equal(mixed[place], alone), (choices[w], mixed[place], alone)
