"""Polynomials on a window that is mapped to [−1, 1], as values and as integrals over bins."""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev, polynomial
from scipy.special import comb

from scanner.shapes.types import Floats, Integers

Basis = Callable[[Floats, int], Floats]
"""Values of the first terms of a polynomial at u, terms along a new first axis."""


def constant_values(u: Floats, terms: int) -> Floats:
    """Return 1 as the only term."""
    del terms
    return np.ones((1, *np.shape(u)))


def chebyshev_values(u: Floats, terms: int) -> Floats:
    """Return T₀ … at u, (terms, …)."""
    return np.stack([chebyshev.chebval(u, c) for c in np.eye(terms)])


def bernstein_values(u: Floats, terms: int) -> Floats:
    """Return the Bernstein polynomials of degree terms − 1 at u, each with a mean of one, (terms, …)."""
    t, degree = 0.5 * (1.0 + np.asarray(u)), terms - 1
    return np.stack([terms * comb(degree, k) * t**k * (1.0 - t) ** (degree - k) for k in range(terms)])


def chebyshev_integrals(edges: Floats, terms: int) -> Floats:
    """Integrate Chebyshev polynomials T₀ … over the bins of windows.

    Parameters
    ----------
    edges : (W, B + 1) float
        Bin edges in the observable; each window is mapped to [−1, 1].
    terms : int
        Order plus one.

    Returns
    -------
    (W, K, B) float
        Integrals with dx/2, so that the coefficient of T₀ alone is in events.
    """
    low, high = edges[:, :1], edges[:, -1:]
    x = 2.0 * (edges - low) / (high - low) - 1.0
    basis = np.eye(terms)
    return np.ascontiguousarray(
        np.stack([0.5 * np.diff(chebyshev.chebval(x, chebyshev.chebint(c)), axis=1) for c in basis], axis=1)
    )


def bernstein_integrals(edges: Floats, terms: int) -> Floats:
    """Integrate the Bernstein polynomials of degree terms − 1 over the bins of windows.

    Parameters
    ----------
    edges : (W, B + 1) float
        Bin edges in the observable.
    terms : int
        Degree plus one.

    Returns
    -------
    (W, K, B) float
        Each term is normalised to one event in the window, so that coefficients are in events.
    """
    low, high = edges[:, :1], edges[:, -1:]
    t = (edges - low) / (high - low)
    powers = [_bernstein_powers(k, terms - 1) for k in range(terms)]
    return np.ascontiguousarray(
        np.stack(
            [terms * np.diff(polynomial.polyval(t, polynomial.polyint(c)), axis=1) for c in powers], axis=1
        )
    )


def _bernstein_powers(k: int, degree: int) -> Floats:
    """Return the coefficients of tᵏ(1−t)ⁿ⁻ᵏ times n over k, by powers of t."""
    ones = polynomial.polypow(np.array([1.0, -1.0]), degree - k)
    powers: Floats = comb(degree, k) * np.concatenate((np.zeros(k), ones))
    return powers


def chebyshev_by_window(edges: Floats, terms: Integers) -> Floats:
    """Integrate as many Chebyshev polynomials as the window with the most terms has, (W, K, B)."""
    return chebyshev_integrals(edges, int(terms.max()))


def bernstein_by_window(edges: Floats, terms: Integers) -> Floats:
    """Integrate the Bernstein polynomials of each window's own degree; unused terms are 0, (W, K, B)."""
    found = np.zeros((len(edges), int(terms.max()), edges.shape[1] - 1))
    for number in np.unique(terms):
        chosen = terms == number
        found[chosen, :number] = bernstein_integrals(edges[chosen], int(number))
    return found
