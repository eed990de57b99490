"""Asymptotic limits of windows in which non-linear parameters of the templates float.

q̃_s of arXiv:1007.1727, eq. 16, is taken from the likelihood that is profiled over them too, and over its
nuisances, for the data and for the Asimov set of the fit without signal. Mass and width of the signal have
no meaning without signal, so that the local significance is that of the best ones within their bounds: its
p-value counts one degree of freedom and is too small by the number of independent places within them.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc, ndtr

from scanner.constants import QUANTILES
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE, fit
from scanner.likelihoods.floating import FloatingFit, FloatingProblem, fit_floating
from scanner.stats.auto import THRESHOLD
from scanner.stats.counting import with_counting
from scanner.stats.envelope import crossing_limits, half_width
from scanner.stats.limits import ASYMPTOTIC, NO_LIMIT, Limits
from scanner.stats.settings import Settings

POINTS = 8
"""Yields at which a crossing is looked for first: a profile over these parameters rises steadily."""
CLOSE = 1e-5
"""Relative precision of limits, above what the fits' own leaves of them."""
FLOATING_METHODS = ("auto", "asymptotic")
"""Methods of scans with floating parameters."""


@dataclass(frozen=True)
class Profile:
    """The deviance 2NLL of W windows as a function of the yield."""

    problem: FloatingProblem
    free: FloatingFit
    best: Floats
    """(W,) yield at the minimum."""
    minimum: Floats
    """(W,) 2NLL there."""
    error: Floats
    """(W,) error of the yield with the parameters held, a scale to search on."""
    without: Floats
    """(W,) 2NLL without signal."""

    @classmethod
    def of(cls, problem: FloatingProblem, null: FloatingFit) -> "Profile":
        """Fit a problem with a free yield, from its start; `null` is its fit without signal."""
        free = fit_floating(problem)
        twice = 2.0 * free.linear.nll, 2.0 * null.linear.nll
        return cls(problem, free, free.linear.yields, twice[0], free.linear.errors, twice[1])

    def at(self, yields: Floats) -> Floats:
        """Return 2NLL at given yields, (W,); infinite where there is no fit."""
        found = fit_floating(self.problem, yields, self.free.parameters)
        value: Floats = np.where(np.isfinite(found.linear.nll), 2.0 * found.linear.nll, np.inf)
        return value

    def q_tilde(self, yields: Floats) -> Floats:
        """Return q̃ of given yields, (W,)."""
        reference = np.where(self.best < 0.0, self.without, self.minimum)
        q: Floats = np.where(self.best > yields, 0.0, np.maximum(self.at(yields) - reference, 0.0))
        return q


def floating_limits(
    problem: FloatingProblem, binned: BinnedProblem, settings: Settings, method: str
) -> tuple[Limits, FloatingFit, FloatingFit]:
    """Return limits by one of FLOATING_METHODS, and the fits with and without signal.

    Parameters
    ----------
    binned : BinnedProblem
        The same windows with the parameters held, from which limits are counted: by `auto` below an
        effective background of `scanner.stats.auto.THRESHOLD`, and where no asymptotic limit was found.
    """
    null = fit_floating(replace(problem, lattice=()), np.zeros(problem.windows))
    data = Profile.of(problem, null)
    limits = _asymptotic(data, null, settings)
    if method == "asymptotic":
        return limits, data.free, null
    exact = ~(limits.effective_background >= THRESHOLD)
    observed, expected, chosen = limits.yield_limit.copy(), limits.expected.copy(), limits.method.copy()
    observed[exact] = expected[exact] = np.nan
    chosen[exact] = NO_LIMIT
    missing = replace(limits, yield_limit=observed, expected=expected, method=chosen)
    return with_counting(binned, settings, missing), data.free, null


def _asymptotic(data: Profile, null: FloatingFit, settings: Settings) -> Limits:
    problem, windows = data.problem, data.problem.windows
    known = np.isin(data.free.linear.status, USABLE) & np.isin(null.linear.status, USABLE)
    found = np.full((windows, 1 + len(QUANTILES)), np.nan)
    error = np.full(windows, np.nan)
    if known.any():
        asimov = _asimov(problem, null)
        with np.errstate(invalid="ignore"):
            observed, bands = crossing_limits(data, asimov, settings, POINTS, CLOSE)
            error = half_width(data, CLOSE)
        found = np.where(known[:, None], np.concatenate([observed[:, None], bands], axis=1), np.nan)
    found[~np.all(np.isfinite(found), axis=1)] = np.nan
    rise = data.without - data.minimum
    z = np.where(data.best > 0.0, np.sqrt(np.maximum(np.nan_to_num(rise), 0.0)), 0.0)
    z[~known] = np.nan
    none = np.zeros(windows, dtype=np.int64)
    return Limits(
        yield_limit=found[:, 0].copy(),
        expected=found[:, 1:].copy(),
        signal_yield=data.best.copy(),
        signal_yield_error=np.where(known, error, np.nan),
        n_background=np.where(known, _under(problem, null), np.nan),
        p_local=ndtr(-z),
        z_local=z,
        background_coefficients=null.linear.background,
        fit_quality=_goodness(data),
        effective_background=np.where(known, _effective_background(null), np.nan),
        status=data.free.linear.status,
        method=np.where(np.isfinite(found[:, 0]), ASYMPTOTIC, NO_LIMIT).astype(np.uint8),
        yield_lower=np.zeros(windows),
        toys=none,
        toys_failed=none.copy(),
        yield_limit_error=np.full(windows, np.nan),
    )


def _asimov(problem: FloatingProblem, null: FloatingFit) -> Profile:
    """Return the profile of the expectation without signal, whose minimum is there."""
    amounts = problem.amounts
    if amounts is not None:
        observed = np.nan_to_num(null.linear.pulls)
        amounts = replace(amounts, effects=replace(amounts.effects, observed=observed))
    counts = np.maximum(null.expectation, 0.0)
    expected = replace(problem, counts=counts, start=null.parameters, amounts=amounts)
    scale = fit(expected.at(null.templates), second_opinion=False)
    at = replace(null, linear=scale)
    nothing = np.zeros(problem.windows)
    return Profile(expected, at, nothing, 2.0 * scale.nll, scale.errors, 2.0 * scale.nll)


def _under(problem: FloatingProblem, null: FloatingFit) -> Floats:
    under: Floats = (null.expectation * problem.core).sum(axis=1)
    return under


def _effective_background(null: FloatingFit) -> Floats:
    """Return 1/Σ(S²/ν), the background of a counting experiment with the same information."""
    expected, signal = null.expectation, null.templates.signal
    share = np.where(expected > 0.0, signal * signal / np.where(expected > 0.0, expected, 1.0), 0.0)
    value: Floats = 1.0 / np.maximum(share.sum(axis=1), 1e-300)
    return value


def _goodness(data: Profile) -> Floats:
    """Return the p-value of the saturated model of the fit with signal."""
    parameters = data.problem.start.shape[1] + data.problem.terms + 1
    bins = (data.free.templates.signal != 0.0).sum(axis=1)
    value: Floats = chdtrc(np.maximum(bins - parameters, 1), np.maximum(data.minimum, 0.0))
    return value
