"""Limits on the signal yield of a batch of mass windows, by any method."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.likelihoods.binned import Floats

ASYMPTOTIC, COUNTING, TOYS, FELDMAN_COUSINS, BAYESIAN, MINOS = range(1, 7)
NO_LIMIT = 0
METHOD_MEANINGS: dict[int, str] = {
    NO_LIMIT: "none",
    ASYMPTOTIC: "asymptotic",
    COUNTING: "counting",
    TOYS: "toys",
    FELDMAN_COUSINS: "feldman_cousins",
    BAYESIAN: "bayesian",
    MINOS: "minos",
}
"""What each value of `Limits.method` says."""


@dataclass(frozen=True)
class Limits:
    """Limits, significance and fit of W windows; NaN where `status` and `method` say that there is none.

    Yields are in events of the whole signal whose bin integrals the problem gives.
    """

    yield_limit: Floats
    """(W,) observed upper limit on the signal yield."""
    expected: Floats
    """(W, 5) limits expected without signal, at the quantiles of `scanner.constants.QUANTILES`."""
    signal_yield: Floats
    """(W,) best-fit yield ŝ of the likelihood fit, which may be negative."""
    signal_yield_error: Floats
    """(W,) its standard deviation; at the positivity boundary the rise of −2 ln λ by 1 above ŝ."""
    n_background: Floats
    """(W,) background expected in the core bins, from the fit that the limit rests on."""
    p_local: Floats
    """(W,) one-sided p-value of the background-only hypothesis; 0.5 for any deficit if asymptotic."""
    z_local: Floats
    """(W,) Φ⁻¹(1−p), not below 0."""
    background_coefficients: Floats
    """(W, K) coefficients of the background-only fit; NaN where a window does not use the term."""
    fit_quality: Floats
    """(W,) p-value of the saturated-model goodness of fit (Baker, Cousins, NIM 221 (1984) 437) of the
    fit with signal, by its asymptotic χ² distribution, which is rough below five events a bin."""
    effective_background: Floats
    """(W,) 1/Σ(S²/ν): the background of a counting experiment with the same information."""
    status: NDArray[np.uint8]
    """(W,) status of the likelihood fit, a key of STATUS_MEANINGS."""
    method: NDArray[np.uint8]
    """(W,) method of the limit, a key of METHOD_MEANINGS."""
    yield_lower: Floats
    """(W,) lower end of the interval on the signal yield; 0 for one-sided methods."""
    toys: NDArray[np.int64]
    """(W,) pseudo-experiments that were thrown, 0 without."""
    toys_failed: NDArray[np.int64]
    """(W,) those of them whose fits failed; p-values count them as at least as extreme as the data."""
    yield_limit_error: Floats
    """(W,) standard error of the observed limit from toys or from sampling, NaN without either."""
    attempts: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    """(W,) bits of `scanner.stats.recovery.ATTEMPT_MEANINGS`: how the likelihood fit was tried; 0
    where the method keeps no record."""
    counted_yield: Floats = field(default_factory=lambda: np.empty(0))
    """(W,) yield that a counted limit belongs to: events above the background in the core, over the part of
    the signal there; NaN for limits that are not counted."""

    def __post_init__(self) -> None:
        """Fill in the attempts and the counted yields of methods that have none."""
        if self.attempts.size == 0:
            object.__setattr__(self, "attempts", np.zeros(len(self.status), dtype=np.uint8))
        if self.counted_yield.size == 0:
            object.__setattr__(self, "counted_yield", np.full(len(self.status), np.nan))
