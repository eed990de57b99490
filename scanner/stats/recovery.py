"""The ladder that a failing fit climbs, and the record of every attempt.

Newton's method from the least-squares solution; the interior point, which starts anywhere; iminuit, in
coordinates of its own; and the whole window anew with background terms made orthonormal. The last mends
terms that are hard to tell apart in double precision, such as powers of a mass far from zero, and gives
a limit too; it describes the same likelihood, since its terms span the same backgrounds.
"""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from scanner.kernels.linear import window as codes
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.fit import USABLE
from scanner.stats.limits import Limits

NEWTON, INTERIOR, RESCALED, IMINUIT = codes.NEWTON, codes.INTERIOR, 4, 8
ATTEMPT_MEANINGS: dict[int, str] = {
    NEWTON: "newton",
    INTERIOR: "interior_point",
    RESCALED: "orthonormal_terms",
    IMINUIT: "iminuit",
}
"""Bits of the attempts at a fit."""
RUNG_MEANINGS: dict[int, str] = {0: "none"} | ATTEMPT_MEANINGS
"""Which attempt gave the fit."""
FAILED = (codes.NOT_CONVERGED, codes.SINGULAR, codes.SECOND_OPINION)
RANK = 1e-11
"""Part of a term that lies outside of the span of those before it, relative to its size, below which
rounding of its bin integrals leaves too little of it: the terms are the same."""


def recover(problem: BinnedProblem, limits: Limits, again: Callable[[BinnedProblem], Limits]) -> Limits:
    """Do windows whose fit with or without signal failed anew with orthonormal background terms.

    Parameters
    ----------
    problem : BinnedProblem
        Where nuisances act on the background terms as they are, nothing is done.
    limits : Limits
        What was found.
    again : callable
        The method that found it.

    Returns
    -------
    Limits
        With the windows that have a minimum now; coefficients are those of the original terms.
    """
    without = np.isnan(limits.background_coefficients).all(axis=1) & (problem.terms > 0)
    without &= np.isin(limits.status, USABLE)
    failed = np.flatnonzero(np.isin(limits.status, FAILED) | without)
    if failed.size == 0 or _acts_on_terms(problem):
        return limits
    part = problem.select(failed)
    terms, triangles = orthonormal_terms(part)
    found = again(replace(part, background=terms))
    coefficients = original_coefficients(found.background_coefficients, triangles)
    mended = np.isin(found.status, (codes.OK, codes.BOUNDARY))
    merged = _merge(limits, replace(found, background_coefficients=coefficients), failed, mended)
    attempts = limits.attempts.copy()
    attempts[failed] |= RESCALED
    return replace(merged, attempts=attempts)


def _acts_on_terms(problem: BinnedProblem) -> bool:
    """Tell whether a nuisance changes a background term, or a part of one."""
    nuisances, terms = problem.nuisances, problem.background.shape[1]
    if nuisances is None:
        return False
    changed = [nuisances.shape_sample, nuisances.part_of]
    if nuisances.statistics.any():
        changed.append(np.flatnonzero(nuisances.uncertain))
    numbers = np.concatenate(changed)
    return bool(nuisances.norm[:, :, 1 : 1 + terms].any() or np.any((numbers >= 1) & (numbers <= terms)))


def _merge(limits: Limits, found: Limits, failed: NDArray[np.int64], mended: NDArray[np.bool_]) -> Limits:
    """Put the mended rows of every array of `found` into `limits`."""
    changed = {}
    for name in (field.name for field in fields(limits)):
        before, after = getattr(limits, name), getattr(found, name)
        if before is not None and after is not None and len(before) == len(limits.status):
            changed[name] = before.copy()
            changed[name][failed[mended]] = after[mended]
    return replace(limits, **changed)


def orthonormal_terms(problem: BinnedProblem) -> tuple[Floats, Floats]:
    """Make the background terms of every window orthonormal, a bin's weight being 1/max(n, 1).

    Returns
    -------
    terms : (W, K, B) float
        Those before term k span what the original ones do; terms that are the same stay as they are.
    triangles : (W, K, K) float
        Upper triangular matrices M with original = terms · M, columns being terms.
    """
    windows, most = problem.background.shape[:2]
    terms, triangles = problem.background.copy(), np.tile(np.eye(most), (windows, 1, 1))
    for w in range(windows):
        used = int(problem.terms[w])
        error = np.sqrt(np.maximum(problem.counts[w], 1.0))
        columns = (problem.background[w, :used] / error).T
        sizes = np.linalg.norm(columns, axis=0)
        if used == 0 or used > len(columns) or not np.all(sizes > 0.0):
            continue
        basis, triangle = np.linalg.qr(columns / sizes)
        if np.all(np.abs(np.diag(triangle)) > RANK):
            live = np.any(problem.background[w, :used] != 0.0, axis=0)
            terms[w, :used] = np.where(live, basis.T * error, 0.0)
            triangles[w, :used, :used] = triangle * sizes
    return terms, triangles


def original_coefficients(coefficients: Floats, triangles: Floats) -> Floats:
    """Return the coefficients (W, K) of original terms from those of orthonormal ones; NaN where unused."""
    unused = np.isnan(coefficients)
    values = np.where(unused, 0.0, coefficients)[..., None]
    found = np.asarray(np.linalg.solve(triangles, values)[..., 0], dtype=np.float64)
    found[unused] = np.nan
    return found


def rungs(limits: Limits) -> NDArray[np.uint8]:
    """Return the attempt that gave each fit, (W,) keys of RUNG_MEANINGS; 0 where no record is kept."""
    tried = limits.attempts.astype(np.int64) & (NEWTON | INTERIOR | RESCALED)
    last = np.select([tried >= RESCALED, tried >= INTERIOR], [RESCALED, INTERIOR], tried)
    last = np.where(limits.status == codes.SECOND_OPINION, IMINUIT, last)
    return np.where(np.isin(limits.status, USABLE) & (limits.attempts > 0), last, 0).astype(np.uint8)
