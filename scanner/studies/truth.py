"""Smooth background spectra to throw toys from: alternative shapes fitted over a whole region.

ln ν is a sum of smooth functions along the mass axis, fitted to the events by Poisson maximum likelihood.
How many functions, or how stiff a spline, is chosen by an information criterion; the shapes of a search's
windows play no part, so that the differences between them and these truths are honest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.sparse import csr_array, diags_array
from scipy.special import chdtrc, xlogy

Floats = NDArray[np.float64]

MOST_BINS = 2000
"""Bins of a fit; finer ones are joined."""
TERMS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 18)
"""Sizes of polynomials that are tried."""
STIFFNESS = tuple(10.0**power for power in range(-2, 7))
MOST_KNOTS = 60
BINS_A_KNOT = 10
ITERATIONS = 100
RIDGE = 1e-8
RANGE = 40.0
"""Bound of ln ν around the logarithm of the mean: no bin expects nothing, and none overflows."""


@dataclass(frozen=True)
class Design:
    """Functions on the bins and a quadratic penalty on their coefficients."""

    functions: csr_array
    """(B, P) values at the centres of bins; sparse products sum in one order on any number of threads."""
    penalty: Floats
    """(P, P) matrix of the penalty ½ c·P·c on the NLL."""


@dataclass(frozen=True)
class Smooth:
    """A smooth spectrum.

    Attributes
    ----------
    expectation : (F,) float
        Expected events of each bin.
    parameters : float
        Effective number of parameters.
    quality : float
        p-value of twice the NLL above the saturated model over bins joined to five events or more.
    """

    expectation: Floats
    parameters: float
    quality: float


def truth(name: str, counts: NDArray[Any], mass: Floats, width: Floats) -> Smooth:
    """Fit a smooth shape to the events along a mass axis.

    Parameters
    ----------
    name : str
        A key of `TRUTHS`.
    counts : (F,) float
        Events on the fine axis.
    mass : (F,) float
        Centres of its bins [GeV].
    width : (F,) float
        Their widths in the observable, whose density is smooth.

    Returns
    -------
    Smooth
        An empty spectrum stays empty.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.sum() == 0.0:
        return Smooth(np.zeros(counts.size), 0.0, np.nan)
    joined = -(-counts.size // MOST_BINS)
    starts = np.arange(0, counts.size, joined)
    sums, size = np.add.reduceat(counts, starts), np.add.reduceat(width, starts)
    place = np.add.reduceat(mass * width, starts) / size
    inner, outer = (TRUTHS[name](where, (mass[0], mass[-1]), counts.sum()) for where in (place, mass))
    fits = [_fit(design, sums, size) for design in inner]
    best = min(range(len(fits)), key=lambda k: fits[k].criterion)
    coefficients = fits[best].coefficients
    expectation = width * np.exp(_bounded(outer[best].functions @ coefficients))
    expectation *= counts.sum() / expectation.sum()
    quality = goodness(counts, expectation, fits[best].parameters)
    return Smooth(expectation, fits[best].parameters, quality)


@dataclass(frozen=True)
class _Fitted:
    coefficients: Floats
    parameters: float
    criterion: float


def _bounded(logarithm: Floats) -> Floats:
    return np.clip(logarithm, -RANGE, RANGE)


def _fit(design: Design, counts: Floats, size: Floats) -> _Fitted:
    """Minimise the penalised NLL by Newton's method with halved steps; sizes compare by AIC (H. Akaike)."""
    functions, penalty = design.functions, design.penalty + RIDGE * np.eye(len(design.penalty))
    offset = float(np.log(counts.sum() / size.sum()))
    base = offset + np.log(size)
    coefficients = np.zeros(len(penalty))
    value = _objective(functions, penalty, base, counts, coefficients)
    for _ in range(ITERATIONS):
        expected = np.exp(base + _bounded(functions @ coefficients))
        gradient = functions.T @ (expected - counts) + penalty @ coefficients
        hessian = _information(functions, expected) + penalty
        step = np.linalg.solve(hessian, gradient)
        scale, trial = 1.0, np.inf
        while scale > 1e-6:
            trial = _objective(functions, penalty, base, counts, coefficients - scale * step)
            if trial <= value:
                break
            scale *= 0.5
        if trial > value:
            break
        coefficients = coefficients - scale * step
        if value - trial < 1e-9 * (1.0 + abs(value)):
            break
        value = trial
    expected = np.exp(base + _bounded(functions @ coefficients))
    information = _information(functions, expected)
    parameters = float(np.trace(np.linalg.solve(information + penalty, information)))
    deviance = 2.0 * float(np.sum(expected - counts + xlogy(counts, counts / expected)))
    return _Fitted(coefficients, parameters, deviance + 2.0 * parameters)


def _information(functions: csr_array, expected: Floats) -> Floats:
    weighted: Floats = (functions.T @ diags_array(expected) @ functions).toarray()
    return weighted


def _objective(functions: csr_array, penalty: Floats, base: Floats, counts: Floats, c: Floats) -> float:
    logarithm = base + _bounded(functions @ c)
    return float(np.sum(np.exp(logarithm) - counts * logarithm) + 0.5 * c @ penalty @ c)


def goodness(counts: Floats, expectation: Floats, parameters: float) -> float:
    """Return the p-value of the saturated-model goodness of fit over bins joined to five events or more."""
    group = np.floor(np.cumsum(expectation) / 5.0).astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    seen, expected = np.bincount(group, counts), np.bincount(group, expectation)
    degrees = seen.size - parameters
    if degrees < 1.0:
        return float("nan")
    deviance = 2.0 * float(np.sum(expected - seen + xlogy(seen, seen / expected)))
    return float(chdtrc(degrees, max(deviance, 0.0)))


Ends = tuple[float, float]


def _polynomials(x: Floats) -> list[Design]:
    values: Floats = np.asarray(chebyshev.chebvander(x, TERMS[-1] - 1), dtype=np.float64)
    sizes = [terms for terms in TERMS if terms < x.size]
    return [Design(csr_array(values[:, :terms]), np.zeros((terms, terms))) for terms in sizes]


def _unit(x: Floats, low: float, high: float) -> Floats:
    return 2.0 * (x - low) / (high - low) - 1.0


def mass_designs(mass: Floats, ends: Ends, events: float) -> Sequence[Design]:
    """Return polynomials in the mass, for the logarithm of the spectrum."""
    del events
    return _polynomials(_unit(mass, *ends))


def log_mass_designs(mass: Floats, ends: Ends, events: float) -> Sequence[Design]:
    """Return polynomials in the logarithm of the mass: a power law and its corrections."""
    del events
    return _polynomials(_unit(np.log(mass), *np.log(ends)))


def spline_designs(mass: Floats, ends: Ends, events: float) -> Sequence[Design]:
    """Return cubic splines with penalised second differences (Eilers, Marx, Statist. Sci. 11 (1996) 89).

    Their knots are even in the logarithm of the mass, and fewer where there are few events.
    """
    spans = int(np.clip(min(events / BINS_A_KNOT, mass.size / 3), 4, MOST_KNOTS))
    x = np.clip(0.5 * (_unit(np.log(mass), *np.log(ends)) + 1.0), 0.0, 1.0)
    knots = np.arange(-3, spans + 4) / spans
    functions = BSpline.design_matrix(x, knots, 3, extrapolate=True)
    differences = np.diff(np.eye(functions.shape[1]), 2, axis=0)
    penalty = differences.T @ differences
    return [Design(functions, stiffness * penalty) for stiffness in STIFFNESS]


TRUTHS: dict[str, Callable[[Floats, Ends, float], Sequence[Design]]] = {
    "spline": spline_designs,
    "mass_polynomial": mass_designs,
    "log_mass_polynomial": log_mass_designs,
}
"""Background truths by name; the first is the one that signals are injected into."""
