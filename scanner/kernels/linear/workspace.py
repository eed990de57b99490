"""The arrays in which one window is fitted, allocated once a batch.

Kernels hand on four arrays and index their rows by the names below. A named tuple would read
better, but every look at its members costs two atomic operations, more than the arithmetic.

templates (rows, bins)
    Background terms, then the signal, then zeros up to a whole number of tiles. While one window is
    fitted these are its own rows only: the other arrays have as many as the batch needs at most.
bins (7, bins)
    REFERENCE ν of the fit that differences refer to, DATA counts n, EXPECTED ν, MULTIPLIER λ,
    CHANGE of ν in a step, SLOPE dNLL/dν, CURVE d²NLL/dν².
coefficients (5, rows)
    REFERENCE, THETA, STEP, GRADIENT, TANGENT dθ/ds along the profile.
matrix (rows, rows)
    Lower triangle of the Hessian, then the Cholesky factor of its leading block in its place.
"""

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE, Floats
from scanner.kernels.lean import lean

REFERENCE, DATA, EXPECTED, MULTIPLIER, CHANGE, SLOPE, CURVE = range(7)
_, THETA, STEP, GRADIENT, TANGENT = range(5)


@jit
def allocate(parameters: int, bins: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return templates, bins, coefficients and matrix for `parameters` templates of `bins` bins."""
    rows = tiled(parameters)
    return np.zeros((rows, bins)), np.zeros((7, bins)), np.zeros((5, rows)), np.zeros((rows, rows))


@jit
def tiled(parameters: int) -> int:
    """Return the rows of the tiles that hold `parameters` templates."""
    return (parameters + TILE - 1) // TILE * TILE


@jit
def load(
    templates: Floats, bins: Floats, counts: Floats, signal: Floats, background: Floats, terms: int
) -> tuple[Floats, Floats, bool]:
    """Copy one window; return templates and bins cut to its rows and live bins, and whether it is possible.

    A bin where every template is zero says nothing when it is empty, and is left out; with events
    in it no coefficients can describe the window.
    """
    possible = True
    live = counts.size
    if not _reaches_every_bin(background[0] if terms > 0 else signal):
        live, possible = _survey(counts, signal, background, terms)
    templates = templates[: tiled(terms + 1)]
    if live == bins.shape[1]:
        _copy(templates, bins, counts, signal, background, terms)
        return templates, bins, possible
    templates, bins = cut(templates, live), cut(bins, live)
    _copy_live(templates, bins, counts, signal, background, terms)
    return templates, bins, possible


@lean
def _reaches_every_bin(template: Floats) -> bool:
    dead = 0
    for b in range(template.size):
        dead += template[b] == 0.0
    return dead == 0


@lean
def _survey(counts: Floats, signal: Floats, background: Floats, terms: int) -> tuple[int, bool]:
    live = 0
    possible = True
    for b in range(counts.size):
        if _is_live(signal, background, terms, b):
            live += 1
        elif counts[b] > 0.0:
            possible = False
    return live, possible


@lean
def _is_live(signal: Floats, background: Floats, terms: int, b: int) -> bool:
    if signal[b] != 0.0:
        return True
    for k in range(terms):  # noqa: SIM110  (numba compiles loops, not generators)
        if background[k, b] != 0.0:
            return True
    return False


@jit
def cut(array: Floats, bins: int) -> Floats:
    """Return the same memory as a contiguous array of fewer bins."""
    rows = array.shape[0]
    return array.reshape(array.size)[: rows * bins].reshape(rows, bins)


@lean
def _copy(
    templates: Floats, bins: Floats, counts: Floats, signal: Floats, background: Floats, terms: int
) -> None:
    for b in range(counts.size):
        bins[DATA, b] = counts[b]
        templates[terms, b] = signal[b]
    for k in range(terms):
        for b in range(counts.size):
            templates[k, b] = background[k, b]
    for k in range(terms + 1, templates.shape[0]):
        for b in range(counts.size):
            templates[k, b] = 0.0


@lean
def _copy_live(
    templates: Floats, bins: Floats, counts: Floats, signal: Floats, background: Floats, terms: int
) -> None:
    templates[terms + 1 :] = 0.0
    live = 0
    for b in range(counts.size):
        if _is_live(signal, background, terms, b):
            bins[DATA, live] = counts[b]
            templates[terms, live] = signal[b]
            for k in range(terms):
                templates[k, live] = background[k, b]
            live += 1
