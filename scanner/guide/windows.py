"""One mass window: its limit by every method, its CLs curve, the order of its background, priors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import ndtr

from scanner.guide.counting import LEVEL
from scanner.guide.tables import Floats, Table, number
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.stats import METHODS, Settings, order
from scanner.stats.envelope import Envelope, asimov_problem, log_cls
from scanner.stats.pseudo import LinearWindow
from scanner.stats.sampling import poisson_toys
from scanner.stats.toys import log_criterion

HALF_WIDTH, BINS, CORE = 10.0, 40, 2.0
"""Half-widths of window and core in resolutions, and bins of the window."""
SLOPE = -1.5
"""Of the exponential background, over half a window."""
ORDERS = 4
"""Highest order of the background that is tried, plus one."""
EFFECTIVE = (3.0, 30.0, 300.0)
"""Effective backgrounds [events] of the windows that methods are compared on."""
SETTINGS = Settings(LEVEL, toys=20_000)
FEW_TOYS = Settings(LEVEL, toys=2000)
TITLES: Mapping[str, tuple[str, Settings]] = {
    "asymptotic CLs": ("asymptotic", SETTINGS),
    "CLs by 20000 toys": ("toys", SETTINGS),
    "CLs by 2000 toys": ("toys", FEW_TOYS),
    "exact counting": ("counting", SETTINGS),
    "the automatic choice": ("auto", SETTINGS),
}
CHOSEN_AT = 30.0
"""The same of the window whose order is chosen."""
CURVE_AT = 3.0
"""Effective background [events] of the window whose CLs is drawn."""


def window(effective_background: float, terms: int = 3, key: int = 1) -> BinnedProblem:
    """Throw one window on an exponential background, fitted with Chebyshev terms, without signal."""
    edges = np.linspace(-HALF_WIDTH, HALF_WIDTH, BINS + 1)
    signal = np.diff(ndtr(edges))
    rows = [chebyshev.chebval(edges / HALF_WIDTH, chebyshev.chebint(row)) for row in np.eye(terms)]
    shape = np.diff(np.exp(SLOPE * edges / HALF_WIDTH) / SLOPE)
    mean = shape * effective_background * np.sum(signal**2 / shape)
    core = (edges[:-1] > -CORE - 1e-9) & (edges[1:] < CORE + 1e-9)
    keys = np.array([key], dtype=np.uint64)
    counts = poisson_toys(mean, key, 0, 1)
    background = np.asarray(np.diff(rows), dtype=np.float64)
    return BinnedProblem(counts, signal[None], background[None], core[None], keys=keys)


def method_table() -> Table:
    """Compare the limits of the methods at 90% CL on three windows."""
    rows = []
    problems = [window(b) for b in EFFECTIVE]
    for title, (method, settings) in TITLES.items():
        found = [METHODS[method](problem, settings) for problem in problems]
        pairs = [(float(one.yield_limit[0]), float(one.expected[0, 2])) for one in found]
        rows.append([title, *(number(value) for pair in pairs for value in pair)])
    columns = [f"{b:g} events, {which}" for b in EFFECTIVE for which in ("observed", "expected")]
    return Table(("method", *columns), rows)


@dataclass(frozen=True)
class Curve:
    """CLs of one window over the signal yield."""

    yields: Floats
    """(N,) [events]"""
    asymptotic: Floats
    """(N,)"""
    toys: Floats
    """(M,) at every fourth yield."""


@cache
def curve() -> Curve:
    """Evaluate CLs of a sparse window by asymptotic formulas and by toys."""
    problem = window(CURVE_AT)
    yields = np.linspace(0.25, 10.0, 40)
    many, toys = repeated(problem, len(yields)), LinearWindow(problem, 0)
    values = log_cls(q_tilde(many, yields), q_tilde(asimov_problem(many), yields))
    by_toys = [log_criterion(toys, float(s), SETTINGS) for s in yields[::4]]
    return Curve(yields, np.exp(values), np.exp(by_toys))


def repeated(problem: BinnedProblem, times: int) -> BinnedProblem:
    """Return one window many times, to fit it at many yields at once."""
    return problem.select(np.zeros(times, dtype=np.int64))


def q_tilde(problem: BinnedProblem, yields: Floats) -> Floats:
    """Return q̃ of a yield for every window (arXiv:1007.1727, eq. 16)."""
    best = fit(problem)
    below = np.where(best.yields < 0.0, fit(problem, np.zeros_like(yields)).nll, best.nll)
    q: Floats = np.where(best.yields > yields, 0.0, np.maximum(2.0 * (fit(problem, yields).nll - below), 0.0))
    return q


@dataclass(frozen=True)
class Profiles:
    """Corrected 2NLL over the signal yield, for every order of the background and for their envelope."""

    yields: Floats
    """(N,) [events]"""
    orders: Floats
    """(C, N) above the least of all."""
    envelope: Floats
    """(N,)"""
    deviances: Floats
    """(C,) 2NLL above the saturated model at the best yield, without the correction."""
    best: Floats
    """(C,) best yields [events]."""
    errors: Floats
    """(C,) their errors [events]."""
    by_f_test: int
    """Terms that the F-test takes."""
    by_profile: int
    """Terms at the minimum of the envelope."""


@cache
def profiles() -> Profiles:
    """Profile the likelihood of a window over its yield at every order."""
    problem = window(CHOSEN_AT, ORDERS)
    found, candidates = Envelope.of(problem), order.truncations(problem)
    fits = [fit(candidate) for candidate in candidates]
    deviances = np.array([2.0 * one.nll[0] for one in fits])
    yields = np.linspace(-30.0, 50.0, 81)
    many = repeated(problem, len(yields))
    values = order.deviances(order.truncations(many), yields)
    values = order.penalised(order.truncations(many), values, order.PENALTY)
    least = found.minimum[0]
    return Profiles(
        yields,
        values - least,
        Envelope.of(many).at(yields) - least,
        deviances,
        np.array([one.yields[0] for one in fits]),
        np.array([one.errors[0] for one in fits]),
        int(order.f_test(problem)[0]),
        1 + int(np.argmin(deviances + order.PENALTY * np.arange(1, ORDERS + 1))),
    )


def order_table() -> Table:
    """Show what decides on the order of the window's background."""
    found = profiles()
    rows = []
    for terms in range(1, ORDERS + 1):
        chosen = [
            name
            for name, number_of_terms in (("F-test", found.by_f_test), ("profile", found.by_profile))
            if number_of_terms == terms
        ]
        twice = found.deviances[terms - 1]
        best = f"{found.best[terms - 1]:.1f} ± {found.errors[terms - 1]:.1f}"
        rows.append([str(terms - 1), f"{twice:.2f}", f"{twice + terms:.2f}", best, " and ".join(chosen)])
    return Table(("order", "2NLL", "2NLL + terms", "fitted yield", "chosen by"), rows)
