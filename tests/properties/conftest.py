"""What the properties of windows with nuisances share."""

import numpy as np
import pytest
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances


def window(rate, seed, nuisances, delta, terms):
    """Nuisances scale and bend everything; those of dense windows are as small as their data tell."""
    rng = np.random.default_rng(seed)
    bins = int(rng.integers(3, 12))
    x = np.linspace(-1.0, 1.0, bins)
    signal = np.diff(norm.cdf(np.linspace(-3.0, 3.0, bins + 1) - rng.uniform(-1.0, 1.0)))
    fixed = rate * np.exp(rng.normal(0.0, 0.3) * x) * rng.uniform(0.5, 2.0)
    background = np.array([np.ones(bins), 1.0 + rng.uniform(-0.5, 0.5) * x])[:terms].reshape(terms, bins)
    norms = np.zeros((1, nuisances, terms + 2, 2))
    norms[0, :, 0] = rng.uniform([-0.2, 0.02], [-0.02, 0.2], (nuisances, 2))
    norms[0, :, -1] = rng.uniform([-0.2, 0.02], [-0.02, 0.2], (nuisances, 2))
    bent = rng.normal(0.0, 0.05, (nuisances, 1, 1)) * np.array([-1.0, 1.1])[:, None] * fixed * np.sin(3.0 * x)
    effects = Nuisances(
        tuple(f"n{j}" for j in range(nuisances)),
        norms,
        bent[None],
        np.arange(nuisances),
        np.full(nuisances, terms + 1),
        fixed[None, None],
        observed=rng.normal(0.0, 0.5, (1, nuisances)),
        statistics=np.full((1, bins), delta),
        uncertain=np.arange(terms + 2) == terms + 1,
    )
    truth = fixed + rate * background.sum(axis=0) + rng.uniform(0.0, 5.0) * np.sqrt(rate * bins) * signal
    counts = rng.poisson(truth).astype(float)[None]
    return BinnedProblem(counts, signal[None], background[None], nuisances=effects)


@pytest.fixture(scope="session")
def bent_window():
    """A function that makes a random window: rate, seed, nuisances, δ of its statistics, terms."""
    return window
