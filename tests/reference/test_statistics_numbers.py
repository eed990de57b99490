"""Numbers of published papers and of other tools that the statistical methods must give."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gammaincc, ndtr, ndtri
from scipy.stats import gamma

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings, calculate
from scanner.stats.asymptotic import fit_hypotheses, limit_rows
from scanner.stats.bayesian import bayesian_limit
from scanner.stats.constrained_limits import cls_values
from scanner.stats.feldman_cousins import feldman_cousins_interval
from scanner.stats.on_off import asymptotic_cls
from scanner.stats.significance import poisson_interval, z_asimov, z_binomial, z_profile_likelihood

SIGMAS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def gaussian_targets(confidence_level):
    return ndtri(1.0 - (1.0 - confidence_level) * ndtr(SIGMAS)) + SIGMAS


@pytest.mark.parametrize("method", ["cls", "bayesian"])
@pytest.mark.parametrize(
    ("n", "b", "level", "limit"),
    [
        (0, 0.0, 0.90, 2.3026),
        (0, 5.0, 0.90, 2.3026),
        (1, 0.0, 0.90, 3.8897),
        (3, 0.0, 0.90, 6.6808),
        (3, 1.0, 0.90, 5.7115),
        (3, 3.0, 0.90, 4.3624),
        (0, 0.0, 0.95, 2.9957),
        (0, 3.0, 0.95, 2.9957),
        (1, 0.0, 0.95, 4.7439),
        (3, 1.0, 0.95, 6.7824),
        (3, 3.0, 0.95, 5.3954),
        (10, 3.0, 0.95, 13.9628),
        (1, 5.5, 0.95, 3.4183),
        (6, 5.5, 0.95, 7.0135),
        (11, 5.5, 0.95, 12.7319),
    ],
)
def test_known_background_cls_is_the_flat_prior_bayesian_limit(method, n, b, level, limit):
    found = calculate(n, b, method=method, confidence_level=level)
    assert found.limit == pytest.approx(limit, abs=6e-5)
    assert (found.low, found.high) == (0.0, found.limit)


@pytest.mark.parametrize(("n", "limit"), [(1, 3.0569), (6, 6.4323), (11, 11.9933)])
def test_asymptotic_cls_of_a_known_background(n, limit):
    found = calculate(n, 5.5, method="asymptotic", confidence_level=0.95)
    assert found.limit == pytest.approx(limit, abs=6e-5)
    assert found.expected[2] == pytest.approx(5.9568, abs=6e-5)


@pytest.mark.parametrize(
    ("n", "m", "alpha", "quoted"), [(2, 1, 0.3, 5.8074), (2, 10, 0.2, 4.8667), (6, 11, 0.5, 7.3991)]
)
def test_bayesian_on_off(n, m, alpha, quoted):
    """The quoted numbers cut the background's range, which their last digits show; the sum does not."""
    limit = calculate(n, off=m, tau=1.0 / alpha, method="bayesian", confidence_level=0.95).limit
    assert limit == pytest.approx(quoted, rel=1e-3)
    b = np.linspace(0.0, alpha * (m + 60.0), 200_001)
    weight = gamma.pdf(b, m + 1.0, scale=alpha)
    total = weight @ gammaincc(n + 1.0, b)
    whole = brentq(lambda s: weight @ gammaincc(n + 1.0, s + b) - 0.05 * total, 0.0, 30.0)
    assert limit == pytest.approx(whole, rel=1e-6)


def test_bayesian_limit_with_a_log_normal_efficiency():
    assert bayesian_limit(0, 1.47, 0.95, signal=4.76, kappa=1.2) == pytest.approx(0.67229, abs=6e-6)


TWO_BINS = {
    "signal": np.array([12.0, 11.0, 0.0, 0.0]),
    "background": np.array([50.0, 52.0]),
    "error": np.array([3.0, 7.0]),
    "counts": np.array([51.0, 48.0]),
}


def two_bin_arrays():
    """Two bins, each with its background measured by an auxiliary bin of relative error σ/b."""
    b, sigma = TWO_BINS["background"], TWO_BINS["error"]
    auxiliary = (b / sigma) ** 2
    terms = np.array([[b[0], 0.0, auxiliary[0], 0.0], [0.0, b[1], 0.0, auxiliary[1]]])
    counts = np.concatenate([TWO_BINS["counts"], auxiliary])
    return counts[None], TWO_BINS["signal"][None], terms[None]


def limits_at_whole_sigmas(problem, level):
    """Return observed and expected limits at −2 … 2 standard deviations."""
    targets = gaussian_targets(level)
    return limit_rows(problem, fit_hypotheses(problem), level, 0.0, targets, np.zeros(1))[0]


def test_two_bins_with_measured_backgrounds():
    limits = limits_at_whole_sigmas(BinnedProblem(*two_bin_arrays()), 0.95)
    assert limits[0] == pytest.approx(1.0115719, rel=3e-5)
    assert limits[1:] == pytest.approx([0.55988, 0.75702, 1.06235, 1.50117, 2.05079], rel=3e-5)


def test_two_bins_with_measured_backgrounds_by_the_engine_of_nuisances():
    """The digits quoted carry the tolerance of the minimiser that found them; the closed form does not."""
    values = cls_values(BinnedProblem(*two_bin_arrays()), np.ones(1))[0]
    assert values[0] == pytest.approx(0.0525155, rel=3e-5)
    root = -ndtri(0.5 * values[3])
    assert root**2 == pytest.approx(two_bin_asimov_q(), rel=1e-7)
    quoted = [0.00260626, 0.01382005, 0.06445321, 0.23525644, 0.57303621]
    assert ndtr(SIGMAS - root) / ndtr(SIGMAS) == pytest.approx(quoted, rel=6e-5)


def two_bin_asimov_q():
    """Return q_A at a strength of 1, by the conditional background of an on/off measurement."""
    counts, signal, background = TWO_BINS["counts"], TWO_BINS["signal"][:2], TWO_BINS["background"]
    off = (background / TWO_BINS["error"]) ** 2
    tau = off / background

    def best(s, n, m):
        excess = n + m - (1.0 + tau) * s
        return (excess + np.sqrt(excess**2 + 4.0 * (1.0 + tau) * s * m)) / (2.0 * (1.0 + tau))

    def nll(s, n, m):
        b = best(s, n, m)
        return np.sum(s + b - n * np.log(s + b) + tau * b - m * np.log(tau * b))

    null = best(0.0 * signal, counts, off)
    return 2.0 * (nll(signal, null, tau * null) - nll(0.0 * signal, null, tau * null))


def test_one_bin_with_a_measured_background_by_the_engine_of_nuisances():
    auxiliary = (50.0 / 7.0) ** 2
    one = BinnedProblem(
        np.array([[55.0, auxiliary]]), np.array([[10.0, 0.0]]), np.array([[[50.0, auxiliary]]])
    )
    assert cls_values(one, np.ones(1))[0, 0] == pytest.approx(0.454188929, rel=3e-5)


@pytest.mark.parametrize(("n", "low", "high"), [(0, 0.0, 0.5), (1, 0.3017, 2.3577), (5, 3.0841, 7.5811)])
@pytest.mark.parametrize("background", [0.5, 3.0])
def test_minos_intervals_of_poisson_counts(n, low, high, background):
    """With a known background the interval is that of the total, moved down by it."""
    nowhere = np.empty(0, dtype=int)
    known = Nuisances(
        (), np.zeros((1, 0, 2, 2)), np.zeros((1, 0, 2, 1)), nowhere, nowhere, np.full((1, 1, 1), background)
    )
    one = BinnedProblem(np.full((1, 1), float(n)), np.ones((1, 1)), np.empty((1, 0, 1)), nuisances=known)
    found = METHODS["minos"](one, Settings(1.0 - 2.0 * ndtr(-1.0)))
    assert found.yield_limit[0] + background == pytest.approx(high, abs=6e-5)
    assert found.yield_lower[0] + background == pytest.approx(low, abs=6e-5)


def test_one_bin_with_a_measured_background():
    cls = asymptotic_cls(10.0, 55.0, (50.0 / 7.0) ** 2, 50.0 / 49.0)
    assert cls == pytest.approx(0.454188929, rel=3e-5)


@pytest.mark.parametrize(
    ("n", "b", "low", "high"),
    [(0, 0.0, 0.0, 2.44), (1, 0.0, 0.11, 4.36), (3, 0.0, 1.10, 7.42), (10, 0.0, 5.50, 16.50)],
)
def test_feldman_cousins_without_background(n, b, low, high):
    found = calculate(n, b, method="fc")
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-3)
    assert found.limit == found.high


@pytest.mark.parametrize(("b", "high"), [(1.0, 1.61), (3.0, 1.077), (5.0, 0.98)])
def test_feldman_cousins_envelope(b, high):
    assert feldman_cousins_interval(0, b, 0.9)[1] == pytest.approx(high, abs=5e-3 if b != 3.0 else 1e-3)


def test_feldman_cousins_without_the_envelope():
    assert feldman_cousins_interval(0, 3.0, 0.9, monotonic=False)[1] == pytest.approx(0.953, abs=5e-4)


@pytest.mark.parametrize(
    ("n", "m", "tau", "profile", "binomial"), [(4, 5, 5.0, 1.95, 1.66), (50, 55, 2.0, 3.02, 2.93)]
)
def test_on_off_significances(n, m, tau, profile, binomial):
    assert z_profile_likelihood(n, m, tau) == pytest.approx(profile, abs=5e-3)
    assert z_binomial(n, m, tau) == pytest.approx(binomial, abs=5e-3)


@pytest.mark.parametrize(("n", "z"), [(150, 3.172973), (200, 5.829220)])
def test_li_ma(n, z):
    assert z_profile_likelihood(n, 100, 1.0) == pytest.approx(z, abs=6e-7)


def test_asimov_significance():
    assert z_asimov(5.0, 1.0) == pytest.approx(3.3913, abs=6e-5)
    assert z_asimov(10.0, 100.0) == pytest.approx(0.9840, abs=6e-5)


@pytest.mark.parametrize(("n", "low", "high"), [(0, 0.0, 0.5), (1, 0.3017, 2.3577), (5, 3.0841, 7.5811)])
def test_poisson_likelihood_intervals(n, low, high):
    assert poisson_interval(n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
    ("level", "limits"),
    [(0.95, [1.052, 1.412, 1.960, 2.727, 3.656]), (0.90, [0.837, 1.148, 1.645, 2.378, 3.295])],
)
def test_gaussian_bands(level, limits):
    """A window of 10⁸ events a bin is a Gaussian measurement of error 1/√Σ(S²/ν)."""
    counts = np.full((1, 4), 1e8)
    signal = np.array([[0.1, 0.4, 0.4, 0.1]])
    found = limits_at_whole_sigmas(BinnedProblem(counts, signal, counts[None] / 1e9), level)
    weight = signal[0] - signal[0].mean()
    sigma = np.sqrt(1e8 / (weight @ weight))
    assert found[1:] / sigma == pytest.approx(limits, abs=6e-4)


def test_exact_expected_limits():
    found = calculate(3, 3.0, method="cls", confidence_level=0.95)
    assert found.expected == pytest.approx((2.996, 3.643, 5.395, 7.663, 10.171), abs=6e-4)


def test_tau_to_three_muons():
    """Branching fraction limits of n = 1, b = 0.67 at a single-event sensitivity of 6.28e-9."""
    exact = calculate(1, 0.67, method="cls").limit * 6.28e-9
    asymptotic = calculate(1, 0.67, method="asymptotic").limit * 6.28e-9
    assert exact == pytest.approx(2.15e-8, abs=5e-11)
    assert asymptotic == pytest.approx(1.73e-8, abs=5e-11)
