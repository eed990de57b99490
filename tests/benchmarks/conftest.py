"""How every benchmark states who runs, on what, and what bounds it."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem


@pytest.fixture
def race(benchmark):
    """Time one competitor of a group; `darkscan bench` prints each over the one named darkscan."""

    def run(group, who, work, *, items, unit, rounds=5, bound=""):
        benchmark.group = group
        benchmark.extra_info.update(who=who, items=items, unit=unit, bound=bound)
        return benchmark.pedantic(work, rounds=rounds, warmup_rounds=1)

    return run


@pytest.fixture(scope="session")
def windows():
    """Return windows of 100 bins at a mean count: a Gaussian of 0.05 on three Chebyshev terms on [−1, 1]."""

    def problem(rate, number=500):
        edges = np.linspace(-1.0, 1.0, 101)
        rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(3)]
        signal = np.diff(norm.cdf(edges / 0.05))
        centres = 0.5 * (edges[1:] + edges[:-1])
        counts = np.random.default_rng(17).poisson(rate * (1.0 - 0.5 * centres), (number, 100))
        return BinnedProblem(
            counts.astype(float), np.tile(signal, (number, 1)), np.tile(rows, (number, 1, 1))
        )

    return problem
