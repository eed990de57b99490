"""Templates in any number of dimensions from weighted samples, with the statistics of their sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.likelihoods.nuisances import Nuisances


@dataclass(frozen=True)
class WeightedTemplate:
    """Sums of weights in the bins of one sample, flattened in C order."""

    content: Floats
    """(B,) Σw, expected events at a factor of one."""
    variance: Floats
    """(B,) Σw²."""
    outside: float
    """Σw of rows beyond the edges."""

    @classmethod
    def fill(
        cls, columns: Sequence[Floats], edges: Sequence[Floats], weights: Floats | None = None
    ) -> "WeightedTemplate":
        """Return the template of a sample.

        Parameters
        ----------
        columns : sequence of (N,) float
            One observable a dimension.
        edges : sequence of float arrays
            Rising bin edges of each dimension.
        weights : (N,) float, optional
            Weights of the rows; default 1.

        Raises
        ------
        InputError
            On values or weights that are not finite, and on a bin whose weights sum to less than nothing.
        """
        rows = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
        given = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
        if not (np.isfinite(rows).all() and np.isfinite(given).all()):
            raise InputError("a weighted sample holds values or weights that are not finite")
        content, _ = np.histogramdd(rows, bins=edges, weights=given)
        variance, _ = np.histogramdd(rows, bins=edges, weights=given * given)
        if np.any(content < 0.0):
            raise InputError(
                f"weights sum to less than 0 in {int(np.sum(content < 0.0))} of {content.size} bins: "
                "take wider bins, or more of the sample"
            )
        return cls(content.ravel(), variance.ravel(), float(given.sum() - content.sum()))


def template_problem(
    counts: Floats,
    signal: WeightedTemplate,
    free: Sequence[WeightedTemplate] = (),
    fixed: Sequence[WeightedTemplate] = (),
) -> BinnedProblem:
    """Return the problem of one window of templates, with template statistics (Barlow–Beeston lite).

    The relative error of the sum of all samples in a bin is δ = √(Σw²)/Σw at factors of one.

    Parameters
    ----------
    counts : (B,) float
        Data, flattened as the templates are.
    signal : WeightedTemplate
        Its factor is the signal strength.
    free : sequence of WeightedTemplate
        Backgrounds with free factors.
    fixed : sequence of WeightedTemplate
        Backgrounds of known size.
    """
    samples = [signal, *free, *fixed]
    total = np.sum([one.content for one in samples], axis=0)
    error = np.sqrt(np.sum([one.variance for one in samples], axis=0))
    delta = np.divide(error, total, out=np.zeros_like(total), where=total > 0.0)
    bins, nowhere = total.size, np.empty(0, dtype=np.int64)
    nuisances = Nuisances(
        (),
        np.zeros((1, 0, len(samples), 2)),
        np.zeros((1, 0, 2, bins)),
        nowhere,
        nowhere,
        _rows(fixed, bins),
        statistics=delta[None],
    )
    return BinnedProblem(
        np.asarray(counts, dtype=np.float64).reshape(1, bins),
        signal.content[None],
        _rows(free, bins),
        nuisances=nuisances,
    )


def _rows(templates: Sequence[WeightedTemplate], bins: int) -> Floats:
    return np.array([one.content for one in templates]).reshape(1, len(templates), bins)
