"""The arrays in which one window with constrained nuisances is fitted, allocated once a batch.

They are handed on as one tuple, a `Window`, whose members the first block of names below counts.
Samples stand in the order background terms, signal, fixed samples, parts, as far as the window uses
them; parameters in the order nuisances, background coefficients, signal yield. With the yield last, the
Cholesky factor of the leading block serves the fits at fixed yield. Whatever depends on a sample and a
nuisance is kept for the nuisances that act on the sample, in rising order: the a-th is `acting[i, a]`.

static (V, B)
    What the window is made of: the nominal templates of the S samples, then the changes of a template at
    +1 and −1 of each of the E pairs of nuisance and sample.
weights (3, V)
    The rows TOTAL … SUMS below, of each row of `static`.
samples (S, B)
    The samples at the present nuisances without their free factors, where something asks for them.
basis (M, B), gram (M, M), half (P, M)
    Rows that the derivatives of the expectation are sums of (`scanner.kernels.constrained.basis`), their
    products summed over bins, and scratch.
spans, taken (P, M), used (P,)
    What each derivative takes of the basis: coefficients, the rows that they stand before, and how many.
rows, more (P, B)
    Derivatives of the expectation by each parameter where the basis is not used; `more` of the uncertain
    samples alone, where the others have to be told apart.
bins (19, B)
    The seven rows of `scanner.kernels.linear.workspace`, then those below.
effects (S, J, 9)
    Coefficients α … α⁶ of the normalisation inside ±1, logarithms at +1 and −1, and 1 if there is one.
ratios, moments (2, S, J)
    g′/g and g″/g of the normalisations; sums over bins of the slope times first and second derivative of
    a sample's template by a nuisance.
pair_weights (E, 6)
    Weights of the changes at +1 and −1 in the template, and their two derivatives.
scale (6, S)
    The rows NORM … BENT below.
linear (L, B), linear_coefficients (5, L), coefficients (8, P), matrix, spare
    Scratch of the same kinds as in `scanner.kernels.linear.workspace`.
pairs (E, 4), owner, acts, place (S,), acting (S, J), sizes (8,)
    Nuisance, sample, place among the nuisances that act on it, and row of the basis, of each pair; the
    parameter that is a sample's factor, or −1; how many nuisances act on it; its row of the basis, or −1;
    the nuisances that act on it; the numbers NUISANCES … BASIS_ROWS below.
"""

from typing import Any

import numpy as np

from scanner.kernels import jit
from scanner.kernels.algebra import TILE
from scanner.kernels.lean import lean

STATIC, WEIGHTS, SAMPLES, BASIS, GRAM, HALF, SPANS, TAKEN, USED = range(9)
ROWS, MORE, BINS, EFFECTS, RATIOS, MOMENTS, PAIR_WEIGHTS, SCALE = range(9, 17)
LINEAR, LINEAR_COEFFICIENTS, COEFFICIENTS, MATRIX, SPARE = range(17, 22)
PAIRS, OWNER, ACTS, PLACE, ACTING, SIZES = range(22, 28)

Window = tuple[Any, ...]
"""The arrays above; each has a type of its own, which numba sees and an index by name hides."""
Given = tuple[Any, ...]
"""counts, signal, background, terms, then the fields of `scanner.likelihoods.nuisances.Nuisances` in order:
norm, shape, shape_nuisance, shape_sample, fixed, observed, statistics, measured, uncertain, parts,
part_of."""

COUNTS, UNCERTAIN, CENTRE, VARIANCE, BETA, MIXTURE = range(7, 13)
"""Rows of bins: n while DATA holds a target, the sum A of the uncertain samples, the measured β and its
variance, β, its weight 2β − e in a Hessian row."""
PENALTY, MORE_SLOPE, MORE_CURVE, UNCERTAIN_SLOPE, SPREAD, BEFORE = range(13, 19)
"""The constraint's part of the NLL, the slope and the curvature of the rows `more`, dNLL/dA, the
variance h = δ²A² that β can take up, the expectation before a step."""
TOTAL, UNCERTAIN_PART, SUMS = range(3)
"""Rows of weights: in the expectation, in that of the uncertain samples, and the sum of slope times row."""
NORM, FACTOR, FLAG, SUM, CONSTANT, BENT = range(6)
"""Rows of scale: the product of normalisations, the free factor, 1 for an uncertain sample, the sum of
slope times sample, the factor of a sample without a parameter, 1 for a sample with pairs."""
OBSERVED, BASE, START = 5, 6, 7
"""Rows of coefficients beside those of `scanner.kernels.linear.workspace`: the measured values of the
nuisances, and the parameters before a step and before a fit."""
NUISANCES, TERMS, PARAMETERS, MODE, WHOLE, SAMPLE_ROWS, PAIR_ROWS, BASIS_ROWS = range(8)
"""Numbers: of nuisances, background terms and parameters; one of the modes below; samples that are no
parts, samples, pairs in use, and rows of the basis, 0 where it is not used."""
CERTAIN, PURE, MIXED = range(3)
"""Whether no sample, every sample or some samples have statistical uncertainty."""
LOG_UP, LOG_DOWN, PRESENT = 6, 7, 8


@lean
def padded(size: int) -> int:
    """Return the rows of the tiles that hold so many."""
    return (size + TILE - 1) // TILE * TILE


@jit
def allocate(given: Given) -> Window:
    """Return the arrays for windows of this batch."""
    counts, _, background, _, norm, shape, _, _, fixed, _, _, _, _, parts, _ = given
    bins, nuisances, pairs = counts.shape[1], norm.shape[1], shape.shape[1]
    terms = background.shape[1]
    samples = terms + 1 + fixed.shape[1] + parts.shape[1]
    static, basis = padded(samples + 2 * pairs), padded(samples + min(nuisances, pairs))
    parameters = padded(nuisances + terms + 1)
    linear = padded(terms + 2)
    square = max(parameters, linear)
    return (
        np.zeros((static, bins)),
        np.zeros((3, static)),
        np.zeros((samples, bins)),
        np.zeros((basis, bins)),
        np.zeros((basis, basis)),
        np.zeros((parameters, basis)),
        np.zeros((parameters, basis)),
        np.zeros((parameters, basis), np.int64),
        np.zeros(parameters, np.int64),
        np.zeros((parameters, bins)),
        np.zeros((parameters, bins)),
        np.zeros((19, bins)),
        np.zeros((samples, nuisances, 9)),
        np.zeros((2, samples, nuisances)),
        np.zeros((2, samples, nuisances)),
        np.zeros((pairs, 6)),
        np.zeros((6, samples)),
        np.zeros((linear, bins)),
        np.zeros((5, linear)),
        np.zeros((8, parameters)),
        np.zeros((square, square)),
        np.zeros((square, square)),
        np.zeros((pairs, 4), np.int64),
        np.zeros(samples, np.int64),
        np.zeros(samples, np.int64),
        np.zeros(samples, np.int64),
        np.zeros((samples, nuisances), np.int64),
        np.zeros(8, np.int64),
    )
