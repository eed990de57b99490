"""Fits and limits of all windows at once as array programs, in numpy and in jax: the honest baselines.

Each function takes `xp`, the module of array functions. Newton's method takes a fixed number of steps
from least squares, and 4×4 solves are eliminations over whole arrays: as a careful user of arrays
would write it, without anything of darkscan. The groups are those of the other fit benchmarks.
"""

import importlib.util
import os

import numpy as np
import pytest
from scipy.special import log_ndtr

from scanner.constants import QUANTILES
from scanner.likelihoods.fit import fit
from scanner.stats import METHODS, Settings
from scanner.stats.asymptotic import gaussian_limits

pytestmark = pytest.mark.benchmark_suite

PASSES = 3
BAND_STEPS = 4
LIMIT_STEPS = 5
LEVEL = 0.95
FIT_GROUP = "fit of signal and background: 100 bins, 50 thousand events a window"
LIMIT_GROUP = "limit with bands: 100 bins, 50 thousand events a window"
PROGRAMS = {"numpy, batched Newton": "numpy", "jax.jit, batched Newton": "jax"}


def solve(matrix, right):
    """Return x with matrix·x = right for (W, K, K) and (W, K), by elimination without pivoting."""
    size = right.shape[1]
    rows = [[matrix[:, i, j] for j in range(size)] + [right[:, i]] for i in range(size)]
    for i in range(size):
        for k in range(i + 1, size):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    x = [None] * size
    for i in reversed(range(size)):
        known = sum(rows[i][j] * x[j] for j in range(i + 1, size))
        x[i] = (rows[i][size] - known) / rows[i][i]
    return x


def newton(xp, counts, templates, offset, theta):
    """Return θ of (W, K, B) templates after `PASSES` steps; offset (W, B) is a fixed part of ν."""
    for _ in range(PASSES):
        nu = offset + xp.matmul(theta[:, None], templates)[:, 0]
        ratio = counts / nu
        gradient = xp.matmul(templates, (1.0 - ratio)[..., None])[..., 0]
        hessian = xp.matmul(templates * (ratio / nu)[:, None], templates.transpose(0, 2, 1))
        theta = theta - xp.stack(solve(hessian, gradient), axis=1)
    return theta, hessian


def least_squares(xp, counts, templates):
    weights = 1.0 / xp.maximum(counts, 1.0)
    hessian = xp.matmul(templates * weights[:, None], templates.transpose(0, 2, 1))
    right = xp.matmul(templates, (weights * counts)[..., None])[..., 0]
    return xp.stack(solve(hessian, right), axis=1)


def fits(xp, counts, templates):
    """Return yields, errors and θ; templates (W, K, B) have the signal last."""
    theta, hessian = newton(xp, counts, templates, 0.0, least_squares(xp, counts, templates))
    last = xp.zeros_like(theta) + xp.asarray([0.0] * (theta.shape[1] - 1) + [1.0])
    return theta[:, -1], xp.sqrt(solve(hessian, last)[-1]), theta


def profile(xp, counts, templates, reference, s, start):
    """Return −2 ln λ(s) against `reference` (W, B), its slope, and the background's coefficients."""
    background, signal = templates[:, :-1], templates[:, -1]
    offset = s[:, None] * signal
    theta, _ = newton(xp, counts, background, offset, start)
    nu = offset + xp.matmul(theta[:, None], background)[:, 0]
    rise = nu - reference - counts * xp.log(nu / reference)
    slope = 2.0 * xp.sum(signal * (1.0 - counts / nu), axis=1)
    return 2.0 * xp.sum(rise, axis=1), slope, theta


def log_cls(xp, log_ndtr, q, a):
    """Return ln CLs of q̃ and √q_A (1007.1727, eqs. 59, 65, 66)."""
    root, inside = xp.sqrt(xp.maximum(q, 0.0)), q <= a * a
    p = xp.where(inside, root, 0.5 * (q / a + a))
    b = xp.where(inside, root - a, 0.5 * (q / a - a))
    return log_ndtr(-p) - log_ndtr(-b)


def limits(xp, log_ndtr, counts, templates, targets, log_alpha):
    """Return (W, 6) observed and expected limits, each by Newton steps from the Gaussian one."""
    yields, errors, theta = fits(xp, counts, templates)
    background = templates[:, :-1]
    null, _ = newton(xp, counts, background, 0.0, theta[:, :-1])
    asimov = xp.matmul(null[:, None], background)[:, 0]
    free = xp.matmul(theta[:, None], templates)[:, 0]
    bands = [band(xp, asimov, templates, null, target, errors * target) for target in targets]
    reference = xp.where((yields > 0.0)[:, None], free, asimov)
    best = xp.maximum(yields, 0.0)
    s = best + 1.5 * errors
    for _ in range(LIMIT_STEPS):
        q, slope, _ = profile(xp, counts, templates, reference, s, null)
        q_asimov, slope_asimov, _ = profile(xp, asimov, templates, asimov, s, null)
        a, step = xp.sqrt(q_asimov), 1e-5 * errors
        value = log_cls(xp, log_ndtr, q, a)
        ahead = log_cls(xp, log_ndtr, q + slope * step, a + 0.5 * slope_asimov / a * step)
        s = xp.maximum(s - (value - log_alpha) * step / (ahead - value), best + 0.2 * errors)
    return xp.stack([s, *bands], axis=1)


def band(xp, asimov, templates, start, target, s):
    """Return the yield with √q_A = target."""
    for _ in range(BAND_STEPS):
        q, slope, start = profile(xp, asimov, templates, asimov, s, start)
        a = xp.sqrt(q)
        s = s - (a - target) / (0.5 * slope / a)
    return s


@pytest.fixture(scope="module", autouse=True)
def _one_core():
    """Keep this thread, and those that jax starts from it, on one processor core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request):
    """Return the name of a peer, and its fits and limits of (counts, templates)."""
    targets, log_alpha = tuple(gaussian_limits(LEVEL)), np.log1p(-LEVEL)
    if PROGRAMS[request.param] == "numpy":
        return (
            request.param,
            lambda counts, templates: fits(np, counts, templates)[:2],
            lambda counts, templates: limits(np, log_ndtr, counts, templates, targets, log_alpha),
        )
    if importlib.util.find_spec("jax") is None:
        pytest.skip("no jax: `make jax` adds this peer")
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import log_ndtr as jax_log_ndtr

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    fast_fits = jax.jit(lambda counts, templates: fits(jnp, counts, templates)[:2])
    fast_limits = jax.jit(
        lambda counts, templates: limits(jnp, jax_log_ndtr, counts, templates, targets, log_alpha)
    )
    return (
        request.param,
        lambda counts, templates: [np.asarray(column) for column in fast_fits(counts, templates)],
        lambda counts, templates: np.asarray(fast_limits(counts, templates)),
    )


def arrays(batch):
    return batch.counts, np.concatenate([batch.background, batch.signal[:, None]], axis=1)


def test_array_programs_give_the_same_answers(program, windows):
    batch = windows(500.0)
    _, their_fits, their_limits = program
    ours = fit(batch)
    yields, errors = their_fits(*arrays(batch))
    assert np.all(np.abs(yields - ours.yields) < 1e-6 * ours.errors)
    assert errors == pytest.approx(ours.errors, rel=1e-4)
    limited = METHODS["asymptotic"](batch, Settings(LEVEL))
    theirs = their_limits(*arrays(batch))
    assert theirs.shape == (batch.windows, 1 + len(QUANTILES))
    assert theirs[:, 0] == pytest.approx(limited.yield_limit, rel=1e-6)
    assert theirs[:, 1:] == pytest.approx(limited.expected, rel=1e-6)


def test_fit(race, program, windows):
    who, their_fits, _ = program
    counts, templates = arrays(windows(500.0))
    race(FIT_GROUP, who, lambda: their_fits(counts, templates), items=len(counts), unit="window", rounds=20)


def test_limit(race, program, windows):
    who, _, their_limits = program
    counts, templates = arrays(windows(500.0))
    race(LIMIT_GROUP, who, lambda: their_limits(counts, templates), items=len(counts), unit="window")
