"""Counts of several channels with one signal, against scipy, pyhf and a channel alone."""

from dataclasses import replace
from itertools import product

import numpy as np
import pyhf
import pytest
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import nbinom, norm, poisson

from scanner.constants import QUANTILES
from scanner.kernels.counting.joint import LARGEST
from scanner.stats.counted import Counted, counted_limits
from scanner.stats.joint_counts import JOINT_METHODS, JointCounts, joint_limits, joint_problem
from scanner.stats.limits import ASYMPTOTIC, COUNTING, NO_LIMIT
from scanner.stats.settings import Settings

# pyhf 0.7 checks workspaces by a class that jsonschema calls old.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
SETTINGS = Settings(0.9)


def channel(observed, off=None, tau=None, background=0.0, error=0.0, efficiency=0.0):
    """Make experiments of scalars or lists."""
    n = np.atleast_1d(observed)
    beside = (-1.0, 0.0) if off is None else (off, tau)
    columns = [
        np.broadcast_to(np.asarray(x, float), n.shape) for x in (background, error, *beside, efficiency)
    ]
    return Counted(n.astype(np.int64), *columns)


def together(channels, shares, efficiency=0.0):
    windows = len(channels[0].observed)
    return JointCounts(
        channels,
        np.tile(np.asarray(shares, float), (windows, 1)),
        np.full(windows, efficiency),
        np.arange(windows, dtype=np.uint64),
    )


def pmf(counted):
    """Return the distribution of the background's count, by scipy."""
    (mean,), (over,) = counted.gamma
    if mean == 0.0:
        return lambda j: np.where(j == 0, 1.0, 0.0)
    if over == 0.0:
        return lambda j: poisson.pmf(j, mean)
    return lambda j: nbinom.pmf(j, mean / over, 1.0 / (1.0 + over))


def likelihood(counts, channels, shares, s):
    """Return the likelihood of signals s (N,), averaged over the backgrounds."""
    signals = np.atleast_1d(s)
    value = np.ones(signals.size)
    for n, counted, share in zip(counts, channels, shares, strict=True):
        j = np.arange(n + 1)
        value *= pmf(counted)(j) @ poisson.pmf((n - j)[:, None], share * signals)
    return value


SETS = {
    "off regions": ([channel(2, 5, 3.0), channel(0, 1, 20.0), channel(1, 0, 8.0)], (0.5, 0.3, 0.1)),
    "known": ([channel(4, background=2.5), channel(1, background=0.2)], (0.2, 0.7)),
    "no background": ([channel(3, background=0.0), channel(0, 7, 1.5)], (0.1, 0.4)),
    "an error": ([channel(0, background=1.2, error=0.7), channel(3, 2, 2.0)], (0.6, 0.6)),
    "nothing": ([channel(0, 0, 10.0), channel(0, 0, 30.0)], (0.9, 0.05)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("efficiency", [0.0, 0.2])
def test_the_limit_is_where_the_tail_of_the_averaged_likelihood_ends(name, efficiency):
    channels, shares = SETS[name]
    found = joint_limits(together(channels, shares, efficiency), SETTINGS, "counting")
    counts = [int(c.observed[0]) for c in channels]

    signals = np.linspace(0.0, 150.0 / sum(shares), 6001)
    integral = CubicSpline(signals, likelihood(counts, channels, shares, signals)).antiderivative()

    def tail(s):
        return 1.0 - integral(min(s, signals[-1])) / integral(signals[-1])

    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    factors = np.exp(np.log1p(efficiency) * nodes) if efficiency else np.ones(1)
    weights = weights / weights.sum() if efficiency else np.ones(1)
    level = sum(w * tail(f * found.yield_limit[0]) for f, w in zip(factors, weights, strict=True) if w > 1e-9)
    assert level == pytest.approx(0.1, rel=1e-6)
    assert found.method[0] == COUNTING


def outcomes(channels, most):
    """List counts (N, C) up to `most` of each channel, with their probabilities without signal."""
    counts = np.array(list(product(range(most), repeat=len(channels))))
    chances = np.prod([pmf(c)(counts[:, k]) for k, c in enumerate(channels)], axis=0)
    return counts, chances


@pytest.mark.parametrize("name", ["off regions", "known", "an error"])
def test_expected_limits_are_quantiles_over_all_outcomes(name):
    channels, shares = SETS[name]
    found = joint_limits(together(channels, shares), SETTINGS, "auto").expected[0]
    counts, chances = outcomes(channels, 14)
    kept = chances > 1e-7
    many = [
        replace(c, **{
            field: np.repeat(getattr(c, field), kept.sum()) for field in
            ("background", "error", "off", "tau", "efficiency_error")
        }, observed=counts[kept, k])
        for k, c in enumerate(channels)
    ]  # fmt: skip
    each = joint_limits(together(many, shares), SETTINGS, "counting").yield_limit
    order = np.argsort(each)
    passed = np.cumsum(chances[kept][order])
    assert passed[-1] == pytest.approx(1.0, abs=1e-4)
    assert found == pytest.approx([each[order][np.searchsorted(passed, q)] for q in QUANTILES], rel=1e-9)


@pytest.mark.parametrize("name", ["off regions", "known", "an error"])
def test_the_p_value_is_the_sum_over_outcomes_of_a_larger_likelihood_ratio(name):
    channels, shares = SETS[name]

    counts, chances = outcomes(channels, 16)
    signals = np.linspace(0.0, 60.0, 1501)
    tables = [
        np.stack([np.log(likelihood([n], [c], [share], signals)) for n in range(16)])
        for c, share in zip(channels, shares, strict=True)
    ]
    logs = sum(table[counts[:, k]] for k, table in enumerate(tables))
    ratio = logs.max(axis=1) - logs[:, 0]
    seen = (counts == [int(c.observed[0]) for c in channels]).all(axis=1)
    p = 1.0 - chances[ratio < ratio[seen] - 1e-4].sum()
    found = joint_limits(together(channels, shares), SETTINGS, "auto")
    assert found.p_local[0] == pytest.approx(p, rel=1e-5)


SINGLE = channel(
    [0, 3, 3, 2, 6, 12, 40], off=[0, 5, 5, 3, 1, 2, 50], tau=[3.0, 2.0, 2.0, 12.0, 5.0, 1.0, 2.0],
    efficiency=[0.0, 0.0, 0.1, 0.0, 0.15, 0.2, 0.05],
)  # fmt: skip


@pytest.mark.parametrize("method", ["counting", "bayesian", "asymptotic"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_one_channel_is_a_count_by_itself(method, share):
    """Another channel that tells nothing changes nothing."""
    alone = counted_limits(SINGLE, SETTINGS, method)
    other = channel(np.full(7, 2), 3, 2.0)
    joint = replace(together([SINGLE, other], (share, 0.0)), efficiency_error=SINGLE.efficiency_error)
    found = joint_limits(joint, SETTINGS, method)
    assert share * found.yield_limit == pytest.approx(alone.yield_limit, rel=1e-6)
    assert share * found.expected == pytest.approx(alone.expected, rel=1e-6)
    if method != "asymptotic":
        excess = alone.p_local < 0.4
        assert excess.sum() == 4
        assert found.p_local[excess] == pytest.approx(alone.p_local[excess], rel=1e-9)


@pytest.mark.parametrize(("split", "rest"), [(0.5, 0.5), (0.2, 0.8)])
def test_halves_of_a_channel_without_background_are_the_whole(split, rest):
    whole = counted_limits(channel(5, background=0.0), SETTINGS, "counting")
    parts = [channel(4, background=0.0), channel(1, background=0.0)]
    found = joint_limits(together(parts, (split, rest)), SETTINGS, "counting")
    assert found.yield_limit == pytest.approx(whole.yield_limit, rel=1e-9)


def test_channels_with_equal_parts_of_signal_and_background_are_their_sum():
    # Known backgrounds in the ratio of the signals: the counts by themselves tell nothing more.
    parts = [channel(2, background=0.6), channel(3, background=1.4)]
    found = joint_limits(together(parts, (0.3, 0.7)), SETTINGS, "counting")
    whole = counted_limits(channel(5, background=2.0), SETTINGS, "counting")
    assert found.yield_limit == pytest.approx(whole.yield_limit, rel=1e-9)
    assert found.p_local == pytest.approx(whole.p_local, rel=1e-9)


def workspace(channels, shares, efficiency):
    """Write the likelihood for pyhf: a signal and an off region for each channel, one strength."""
    normal = {
        "name": "efficiency",
        "type": "normsys",
        "data": {"lo": 1 / (1 + efficiency), "hi": 1 + efficiency},
    }
    parts, observations, parameters = [], [], [{"name": "s", "inits": [1.0], "bounds": [[0.0, 200.0]]}]
    for number, (counted, share) in enumerate(zip(channels, shares, strict=True)):
        off, tau = float(counted.off[0]), float(counted.tau[0])
        free = {"name": f"b{number}", "type": "normfactor", "data": None}
        strength = {"name": "s", "type": "normfactor", "data": None}
        parts.append({"name": f"on{number}", "samples": [
            {"name": "signal", "data": [share], "modifiers": [strength, normal]},
            {"name": "background", "data": [1.0], "modifiers": [free]},
        ]})  # fmt: skip
        parts.append({"name": f"off{number}", "samples": [
            {"name": "background", "data": [tau], "modifiers": [free]}
        ]})  # fmt: skip
        observations += [{"name": f"on{number}", "data": [float(counted.observed[0])]}]
        observations += [{"name": f"off{number}", "data": [off]}]
        parameters.append({"name": f"b{number}", "inits": [off / tau], "bounds": [[1e-9, 500.0]]})
    document = {
        "version": "1.0.0", "channels": parts, "observations": observations,
        "measurements": [{"name": "limit", "config": {"poi": "s", "parameters": parameters}}],
    }  # fmt: skip
    found = pyhf.Workspace(document)
    model = found.model(modifier_settings={"normsys": {"interpcode": "code4"}})
    return model, found.data(model)


@pytest.fixture
def minuit():
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    yield
    pyhf.set_backend("numpy")


@pytest.mark.parametrize("efficiency", [0.0, 0.15])
def test_many_events_are_fitted_as_pyhf_does(efficiency, minuit):
    channels, shares = [channel(25, 60, 3.0), channel(9, 14, 2.0), channel(40, 90, 2.5)], (0.5, 0.3, 0.1)
    found = joint_limits(together(channels, shares, efficiency), SETTINGS, "auto")
    assert found.method[0] == ASYMPTOTIC
    model, data = workspace(channels, shares, efficiency)
    level = pyhf.infer.hypotest(found.yield_limit[0], data, model, test_stat="qtilde")
    assert float(level) == pytest.approx(0.1, rel=2e-3)
    _, bands = pyhf.infer.hypotest(
        found.expected[0, 2], data, model, test_stat="qtilde", return_expected_set=True
    )
    assert float(bands[2]) == pytest.approx(0.1, rel=2e-3)


def test_the_automatic_choice_is_by_the_events_that_the_signal_sees():
    channels = [channel([1, 30, 1], [8, 60, 0], [8.0, 2.0, 30.0]), channel([0, 12, 900], [3, 9, 400], 1.0)]
    shares = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 1e-4]])
    joint = replace(together(channels, (1.0, 1.0)), shares=shares)
    found = joint_limits(joint, SETTINGS, "auto")
    assert found.method.tolist() == [COUNTING, ASYMPTOTIC, ASYMPTOTIC]
    assert np.isfinite(found.yield_limit).all()
    too_many = joint_limits(joint, SETTINGS, "counting")
    assert channels[1].observed[2] > LARGEST
    assert too_many.method[2] == NO_LIMIT
    assert np.isnan(too_many.yield_limit[2])


TOYS = ("toys", "feldman_cousins")


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[pytest.mark.slow] * (name in TOYS)) for name in JOINT_METHODS]
)
def test_a_set_has_the_same_limit_whatever_the_batch(method):
    channels = [channel([3, 14], [4, 25], [2.0, 2.0]), channel([1, 5], [2, 9], [5.0, 1.0])]
    settings = Settings(0.9, toys=200)
    joint = together(channels, (0.5, 0.4), 0.1)
    whole = joint_limits(joint, settings, method)
    for number in range(2):
        alone = joint_limits(joint.select(np.array([number])), settings, method)
        assert alone.yield_limit[0] == whole.yield_limit[number]
        assert (alone.expected[0] == whole.expected[number]).all()


def limit_of_ratios(observed, backgrounds, shares):
    """Return the CLs limit of q̃ from all outcomes over known backgrounds; half of a tie is as extreme."""
    b, f = np.array(backgrounds), np.array(shares)
    counts = np.array(list(product(range(30), repeat=2)))
    at = counts.tolist().index(list(observed))

    def minus_log(s):
        means = b + np.outer(np.broadcast_to(s, len(counts)), f)
        return np.sum(means - counts * np.log(means), axis=1)

    def slope(s, n):
        return np.sum(f * (1.0 - n / (b + s * f)))

    best = np.array([0.0 if slope(0.0, n) >= 0.0 else brentq(slope, 0.0, 200.0, args=(n,)) for n in counts])

    def cls(s):
        q = np.where(best > s, 0.0, 2.0 * (minus_log(s) - minus_log(best)))
        extreme = np.where(np.abs(q - q[at]) < 1e-9, 0.5, q > q[at])
        tails = [np.prod(poisson.pmf(counts, mean), axis=1) @ extreme for mean in (b + s * f, b)]
        return tails[0] / tails[1]

    return brentq(lambda s: cls(s) - 0.1, 1.0, 20.0)


@pytest.mark.slow
def test_toys_agree_with_the_sum_over_outcomes():
    """Backgrounds are known to a few percent, by off regions whose fluctuations tell equal counts apart.

    That breaks ties, so that toys are stronger than counts alone, which are no averages over backgrounds.
    """
    channels, shares = [channel(3, 400, 200.0), channel(1, 150, 300.0)], (0.5, 0.4)
    found = joint_limits(together(channels, shares), Settings(0.9, toys=1000), "toys").yield_limit[0]
    assert found == pytest.approx(limit_of_ratios((3, 1), (2.0, 0.5), shares), rel=0.05)
    assert found < joint_limits(together(channels, shares), SETTINGS, "counting").yield_limit[0]


def test_limits_cover():
    """The limit is above the true yield in at least 90% of the outcomes, up to 1%."""
    backgrounds, shares = (0.4, 1.5), (0.6, 0.3)
    counts = np.array(list(product(range(25), repeat=2)))
    many = [channel(counts[:, k], background=b) for k, b in enumerate(backgrounds)]
    limits = joint_limits(together(many, shares), SETTINGS, "counting").yield_limit
    for s in (0.5, 2.0, 5.0, 9.0):
        means = [b + f * s for b, f in zip(backgrounds, shares, strict=True)]
        chances = np.prod([poisson.pmf(counts[:, k], mean) for k, mean in enumerate(means)], axis=0)
        assert chances[limits >= s].sum() > 0.89
        assert chances.sum() == pytest.approx(1.0, abs=1e-5)


def test_known_backgrounds_are_fixed_in_the_fit():
    """The signal that raises −2 ln L by z² is where a fit of numpy's likelihood has it."""
    channels, shares = [channel(40, background=30.0), channel(20, background=22.0)], (0.4, 0.3)
    problem = joint_problem(together(channels, shares))
    assert problem.terms.tolist() == [0]
    found = joint_limits(together(channels, shares), Settings(0.9, criterion="clsb"), "asymptotic")

    def minus_log(s):
        means = (30.0 + 0.4 * s, 22.0 + 0.3 * s)
        return -2.0 * sum(poisson.logpmf(n, mean) for n, mean in zip((40, 20), means, strict=True))

    best = minimize_scalar(minus_log, bounds=(0.0, 100.0), method="bounded", options={"xatol": 1e-9})
    root = brentq(lambda s: minus_log(s) - best.fun - norm.isf(0.1) ** 2, best.x, 200.0)
    assert found.yield_limit[0] == pytest.approx(root, rel=1e-6)
