"""Unbinned channels with one signal: against iminuit on numba-stats densities, bins, and closed forms."""

import math

import numpy as np
import pytest
from iminuit import Minuit
from numba_stats import norm
from numpy.polynomial import chebyshev

from scanner import shapes
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import STATUS_MEANINGS
from scanner.likelihoods.nuisances import Nuisances
from scanner.likelihoods.simultaneous import SignalNuisances, SimultaneousProblem
from scanner.likelihoods.unbinned import UnbinnedProblem
from scanner.stats import METHOD_MEANINGS, Settings
from scanner.stats.asymptotic import asymptotic_limits
from scanner.stats.simultaneous import asymptotic_simultaneous, minos_simultaneous
from scanner.stats.unbinned import asymptotic_unbinned

SIGMA = 0.05
WITHIN = math.erf(1.0 / (SIGMA * math.sqrt(2.0)))
PEAK = 1.0 / (SIGMA * math.sqrt(2.0 * math.pi))
"""Density of the signal at its mass; windows reach from −1 to 1."""
ONE_SIGMA = Settings(0.6826894921370859)


def channel(x, terms=1, pieces=None, mass=0.0):
    one = np.ones(1)
    cut = {} if pieces is None else {"pieces": np.array([pieces])}
    return UnbinnedProblem(np.sort(x), [0], [len(x)], -one, one, mass * one, SIGMA * one, [terms], **cut)


def problem(events, shares, terms=None, nuisances=None):
    counts = terms or [1] * len(events)
    channels = tuple(channel(np.asarray(x, float), n) for x, n in zip(events, counts, strict=True))
    return SimultaneousProblem(channels, np.array([shares]), nuisances)


def nuisances_of(logs, factors=None, added=None):
    """Return nuisances of one window from (J, C) sizes; what is added has both signs."""
    logs = np.array(logs, dtype=float)
    factors = np.zeros_like(logs) if factors is None else np.array(factors, dtype=float)
    added = np.zeros_like(logs) if added is None else np.array(added, dtype=float)
    both = np.stack([-added, added], axis=-1)
    names = tuple(f"n{j}" for j in range(len(logs)))
    return SignalNuisances(names, logs[None], factors[None], both[None])


class Independent:
    """The joint likelihood from scratch, for iminuit."""

    def __init__(self, events, shares, terms, nuisances=None, pieces=((-1.0, 1.0),)):
        self.events, self.shares, self.terms, self.pieces = events, shares, terms, pieces
        self.logs, self.factors, self.added = nuisances or (np.zeros((0, len(events))),) * 3

    def __call__(self, values):
        s, used = values[0], len(self.logs)
        alpha, rest = values[1 : 1 + used], values[1 + used :]
        total = 0.5 * np.sum(alpha * alpha)
        for c, (x, terms) in enumerate(zip(self.events, self.terms, strict=True)):
            own, rest = rest[:terms], rest[terms:]
            signal = s * self.shares[c] * np.exp(alpha @ self.logs[:, c]) * (1.0 + alpha @ self.factors[:, c])
            signal += alpha @ self.added[:, c]
            primitive = chebyshev.chebint(own)
            for low, high in self.pieces:
                inside = norm.cdf(np.array([low, high]), 0.0, SIGMA)
                total += signal * (inside[1] - inside[0])
                total += 0.5 * (chebyshev.chebval(high, primitive) - chebyshev.chebval(low, primitive))
            if len(x):
                density = signal * norm.pdf(np.asarray(x, float), 0.0, SIGMA) + 0.5 * chebyshev.chebval(
                    x, own
                )
                if density.min() <= 0.0:
                    return 1e6
                total -= np.log(density).sum()
        return total

    def minimise(self, fixed=None):
        """Return the best yield, its error and the NLL, at a fixed yield if one is given."""
        start = [5.0 if fixed is None else fixed, *np.zeros(len(self.logs))]
        for x, terms in zip(self.events, self.terms, strict=True):
            start += [len(x), *np.zeros(terms - 1)]
        minuit = Minuit(self, np.array(start))
        minuit.errordef, minuit.tol, minuit.strategy, minuit.print_level = 0.5, 1e-5, 2, 0
        minuit.fixed["x0"] = fixed is not None
        minuit.migrad()
        if fixed is None:
            minuit.hesse()
        return minuit.values["x0"], minuit.errors["x0"], minuit.fval


def random_model(seed, systematics):
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(2, 5))
    terms = rng.integers(1, 4, channels)
    events = []
    for mean in rng.uniform(150.0, 400.0, channels):
        slope = rng.uniform(-0.4, 0.4)
        x = rng.uniform(-1.0, 1.0, rng.poisson(mean))
        kept = x[rng.uniform(size=x.size) < 0.6 * (1.0 + slope * x)]
        events.append(np.append(kept, rng.normal(0.0, SIGMA, rng.poisson(6))))
    shares = rng.dirichlet(np.ones(channels))
    effects = None
    if systematics:
        logs = np.zeros((3, channels))
        logs[0], logs[1] = 0.03, np.where(np.arange(channels) < 2, 0.2, 0.0)
        factors, added = np.zeros_like(logs), np.zeros_like(logs)
        factors[1, -1], added[2, 0] = 0.1, 3.0
        effects = (logs, factors, added)
    return events, shares, terms, effects


@pytest.mark.parametrize("systematics", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_fits_and_intervals_are_those_of_minuit(seed, systematics):
    events, shares, terms, effects = random_model(seed, systematics)
    joint = problem(events, shares, list(terms), effects and nuisances_of(*effects))
    limits = minos_simultaneous(joint, ONE_SIGMA)
    assert STATUS_MEANINGS[limits.status[0]] == "ok"
    assert METHOD_MEANINGS[limits.method[0]] == "minos"
    other = Independent(events, shares, terms, effects)
    best, error, lowest = other.minimise()
    assert limits.signal_yield[0] == pytest.approx(best, abs=2e-3 * error)
    assert limits.signal_yield_error[0] == pytest.approx(error, rel=5e-3)
    for end in (limits.yield_lower[0], limits.yield_limit[0]):
        assert 2.0 * (other.minimise(end)[2] - lowest) == pytest.approx(1.0, abs=2e-3)
    q = max(2.0 * (other.minimise(0.0)[2] - lowest), 0.0) if best > 0.0 else 0.0
    assert limits.z_local[0] == pytest.approx(math.sqrt(q), abs=2e-3)


def test_one_channel_is_what_its_own_kernel_says():
    x = np.random.default_rng(3).uniform(-1.0, 1.0, 500)
    alone, joint = asymptotic_unbinned(channel(x, 3), Settings(0.9)), problem([x], [1.0], [3])
    limits = asymptotic_simultaneous(joint, Settings(0.9))
    for name in (
        "yield_limit",
        "expected",
        "signal_yield",
        "z_local",
        "n_background",
        "effective_background",
    ):
        np.testing.assert_allclose(getattr(limits, name), getattr(alone, name), rtol=1e-6)


def test_tabulated_densities_are_those_of_kernels():
    """Bernstein polynomials span what Chebyshev's do, and are tabulated; the other channel is not."""
    rng = np.random.default_rng(9)
    x, y, one = np.sort(rng.uniform(-1.0, 1.0, 400)), rng.uniform(-1.0, 1.0, 300), np.ones(1)
    table = UnbinnedProblem(x, [0], [x.size], -one, one, 0.0 * one, SIGMA * one, [3], background="bernstein")
    limits = [
        asymptotic_simultaneous(
            SimultaneousProblem((first, channel(y, 2)), np.array([[0.3, 0.7]])), ONE_SIGMA
        )
        for first in (table, channel(x, 3))
    ]
    for name in ("yield_limit", "expected", "signal_yield", "signal_yield_error", "n_background"):
        np.testing.assert_allclose(*(getattr(found, name) for found in limits), rtol=2e-6)


BINS = 8_000


def fine_bins(events, shares, terms):
    """Return the same in bins of a 200th of the resolution, all channels on one axis."""
    edges = np.linspace(-1.0, 1.0, BINS + 1)[None]
    counts = np.concatenate([np.histogram(x, edges[0])[0] for x in events]).astype(float)
    peak = shapes.signal_integrals("gaussian", edges, np.zeros(1), np.array([SIGMA]), {})[0]
    background = np.zeros((1, sum(terms), counts.size))
    at = 0
    for c, used in enumerate(terms):
        span = slice(c * BINS, (c + 1) * BINS)
        background[0, at : at + used, span] = shapes.chebyshev_integrals(edges, used)[0]
        at += used
    signal = np.concatenate([share * peak for share in shares])
    return BinnedProblem(counts[None], signal[None], background)


@pytest.mark.parametrize("seed", [1, 2])
def test_limits_are_those_of_fine_bins(seed):
    events, shares, terms, _ = random_model(seed, systematics=False)
    exact = asymptotic_simultaneous(problem(events, shares, list(terms)), Settings(0.95))
    fine = asymptotic_limits(fine_bins(events, shares, list(terms)), Settings(0.95))
    sigma = exact.signal_yield_error[0]
    assert exact.yield_limit[0] == pytest.approx(fine.yield_limit[0], abs=4e-3 * sigma)
    assert exact.expected[0] == pytest.approx(fine.expected[0], abs=2e-3 * sigma)
    np.testing.assert_allclose(exact.background_coefficients[0], fine.background_coefficients[0], atol=0.3)


@pytest.mark.parametrize("kind", ["logs", "factors", "added"])
def test_a_nuisance_moves_limits_as_it_does_in_fine_bins(kind):
    x = random_model(4, systematics=False)[0][0]
    sizes = {"logs": np.zeros((1, 1)), "factors": np.zeros((1, 1)), "added": np.zeros((1, 1))}
    sizes[kind][:] = {"logs": math.log(1.3), "factors": 0.3, "added": 6.0}[kind]
    exact = asymptotic_simultaneous(problem([x], [1.0], [2], nuisances_of(**sizes)), Settings(0.9))
    without = asymptotic_simultaneous(problem([x], [1.0], [2]), Settings(0.9))
    bare = fine_bins([x], [1.0], [2])
    norm_sizes, shape = np.zeros((1, 1, 4, 2)), np.zeros((1, 0, 2, BINS))
    pairs, fixed = (np.zeros(0, np.int64),) * 2, np.zeros((1, 1, BINS))
    if kind == "logs":
        norm_sizes[0, 0, 0] = -math.log(1.3), math.log(1.3)
    else:
        change = 0.3 * bare.signal if kind == "factors" else 6.0 * bare.signal
        shape, pairs = np.stack([-change, change], axis=1)[:, None], (np.zeros(1, np.int64),) * 2
        pairs = (pairs[0], np.array([0 if kind == "factors" else 3]))
    nuisances = Nuisances(("n",), norm_sizes, shape, *pairs, fixed)
    binned = BinnedProblem(bare.counts, bare.signal, bare.background, nuisances=nuisances)
    fine = asymptotic_limits(binned, Settings(0.9))
    sigma = exact.signal_yield_error[0]
    assert exact.yield_limit[0] == pytest.approx(fine.yield_limit[0], abs=4e-3 * sigma)
    assert exact.expected[0] == pytest.approx(fine.expected[0], abs=4e-3 * sigma)
    assert exact.z_local[0] == pytest.approx(fine.z_local[0], abs=4e-3)
    assert exact.yield_limit[0] > 1.005 * without.yield_limit[0]


def test_channels_without_events_have_the_limit_of_counting_nothing():
    limits = asymptotic_simultaneous(problem([[], []], [0.3, 0.7]), Settings(0.95))
    assert STATUS_MEANINGS[limits.status[0]] == "empty_window"
    assert METHOD_MEANINGS[limits.method[0]] == "counting"
    assert limits.yield_limit[0] == pytest.approx(-math.log(0.05) / WITHIN, rel=1e-9)


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("events", [1, 2])
def test_events_at_the_mass_beside_an_empty_channel_are_all_signal(events, terms):
    """ν = s f S at the mass and no background: ŝ = n/ΣfI and q₀ = 2 n ln(ŝ f S(m) / ν₀), ν₀ = n/2."""
    limits = minos_simultaneous(problem([[0.0] * events, []], [0.4, 0.6], [1, terms]), ONE_SIGMA)
    best = events / WITHIN
    assert limits.signal_yield[0] == pytest.approx(best, rel=1e-6)
    assert limits.z_local[0] ** 2 == pytest.approx(
        2.0 * events * math.log(best * 0.4 * PEAK / (events / 2.0)), rel=1e-6
    )
    for end in (limits.yield_limit[0], limits.yield_lower[0]):  # 2 (s I − n ln s) rises by 1
        q = 2.0 * ((end - best) * WITHIN - events * math.log(end / best))
        assert q == pytest.approx(1.0, abs=1e-4)


def test_an_event_far_from_the_mass_leaves_the_yield_at_the_kink():
    """Below 0 the empty channel has to lift its background; above, all of Σ f I counts."""
    limits = minos_simultaneous(problem([[0.8], []], [0.4, 0.6]), ONE_SIGMA)
    assert STATUS_MEANINGS[limits.status[0]] == "positivity_boundary"
    assert limits.signal_yield[0] == pytest.approx(0.0, abs=1e-9)
    assert limits.yield_limit[0] == pytest.approx(0.5 / WITHIN, rel=1e-5)
    # Below: −s f (max S/B − I) of the empty channel; the other one's event pays for its background alike.
    lifted = 2.0 * PEAK
    own, end = 0.4, limits.yield_lower[0]

    def nll(s):
        least = -s * own * lifted  # background of the channel with an event, or 1 if that is more
        background = max(1.0, least)
        return s * WITHIN + background - math.log(background) - s * 0.6 * lifted

    assert 2.0 * (nll(end) - nll(0.0)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.37, 0.81])
@pytest.mark.parametrize("x", [0.5, 0.55, 0.6, 0.7, 0.8, 0.9])
def test_a_curvature_that_is_rounding_is_no_scale(x, share):
    """(S/ν)² of an event ten widths off is 1e-40 or less: the NLL is a straight line, with slope Σ f I."""
    limits = minos_simultaneous(problem([[x], []], [share, 1.0 - share]), ONE_SIGMA)
    assert limits.yield_limit[0] == pytest.approx(0.5 / WITHIN, rel=1e-5)
    assert limits.signal_yield_error[0] == pytest.approx(0.5 / WITHIN, rel=1e-5)
    assert limits.yield_lower[0] < 0.0


@pytest.mark.parametrize("terms", [1, 2, 4])
def test_fits_of_few_events_do_not_depend_on_the_rest_of_the_batch(terms):
    rng = np.random.default_rng(7)
    windows, rows = 40, np.ones(40)
    x = np.sort(rng.uniform(-1.0, 1.0, 30))
    low = np.linspace(-1.0, 0.5, windows)
    first, last = np.searchsorted(x, low), np.searchsorted(x, low + 0.5)
    one = UnbinnedProblem(x, first, last, low, low + 0.5, low + 0.25, 0.02 * rows, np.full(windows, terms))
    two = UnbinnedProblem(
        x[:3], *(np.searchsorted(x[:3], e) for e in (low, low + 0.5)),
        low, low + 0.5, low + 0.25, 0.02 * rows, np.ones(windows, int),
    )  # fmt: skip
    joint = SimultaneousProblem((one, two), np.tile([0.5, 0.5], (windows, 1)))
    whole = asymptotic_simultaneous(joint, Settings(0.9))
    assert np.isfinite(whole.yield_limit).all()
    for w in (0, 17, 39):
        part = asymptotic_simultaneous(joint.select(np.array([w])), Settings(0.9))
        for name in ("yield_limit", "expected", "signal_yield", "z_local"):
            np.testing.assert_array_equal(getattr(part, name)[0], getattr(whole, name)[w])


def test_windows_cut_by_vetoes_are_those_of_minuit_on_the_live_parts():
    pieces = ((-1.0, -0.52), (-0.3, 0.61), (0.7, 1.0))
    rng = np.random.default_rng(11)
    x = np.append(rng.uniform(-1.0, 1.0, 600), rng.normal(0.0, SIGMA, 25))
    live = x[np.any([(x >= low) & (x < high) for low, high in pieces], axis=0)]
    joint = SimultaneousProblem((channel(x, 3, pieces),), np.ones((1, 1)))
    limits = minos_simultaneous(joint, ONE_SIGMA)
    other = Independent([live], [1.0], [3], pieces=pieces)
    best, error, lowest = other.minimise()
    assert limits.signal_yield[0] == pytest.approx(best, abs=2e-3 * error)
    assert limits.signal_yield_error[0] == pytest.approx(error, rel=5e-3)
    assert 2.0 * (other.minimise(limits.yield_limit[0])[2] - lowest) == pytest.approx(1.0, abs=2e-3)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(InputError, match="background term"):
        problem([[0.1], [0.2]], [0.5, 0.5], [1, 0])
    with pytest.raises(InputError, match="one for each window and channel"):
        problem([[0.1], [0.2]], [0.5])
