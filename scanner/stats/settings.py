"""How limits are set: what every statistical method is told beside the data."""

import math
from dataclasses import dataclass

from scanner.errors import InputError

CRITERIA = ("cls", "clsb")
PRIORS = ("flat in yield", "flat in coupling", "1/sqrt(yield)")


@dataclass(frozen=True)
class Settings:
    """Confidence level and options of a statistical method; a method ignores what it has no use for.

    Parameters
    ----------
    confidence_level : float
        Between 0 and 1.
    criterion : str
        ``cls`` for CLs (A. L. Read, J. Phys. G 28 (2002) 2693), ``clsb`` for CLs+b.
    toys : int
        Pseudo-experiments of a hypothesis: the most of a yield that Feldman and Cousins's method tests; the
        method of toys throws fewer to find limits, and up to 16 times as many where the error of one is
        above 2%, or above that of so many at the limit. With 0 the automatic choice counts where it would
        throw any.
    prior : str
        Bayesian prior of the signal, one of `PRIORS`.
    power : float
        Power of the coupling that the yield is proportional to, for the prior flat in the coupling.

    Raises
    ------
    InputError
        If a value is outside of its range.
    """

    confidence_level: float
    criterion: str = "cls"
    toys: int = 10_000
    prior: str = "flat in yield"
    power: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values outside of their ranges."""
        if not 0.0 < self.confidence_level < 1.0:
            raise InputError(
                f"confidence level {self.confidence_level}: give one between 0 and 1, such as 0.9"
            )
        if self.criterion not in CRITERIA:
            raise InputError(f"unknown criterion {self.criterion!r}: take one of {', '.join(CRITERIA)}")
        if self.prior not in PRIORS:
            raise InputError(f"unknown prior {self.prior!r}: take one of {', '.join(PRIORS)}")
        if self.toys < 0 or not (math.isfinite(self.power) and self.power > 0.0):
            raise InputError(f"toys = {self.toys}, power = {self.power}: they must not be negative, or 0")
