"""Constrained nuisance parameters of a batch of mass windows, as arrays.

A window's expectation is a sum of samples: the signal (times the yield s), K background terms (times
their free coefficients), and F fixed samples whose normalisation is known up to nuisances. With S =
1 + K + F samples in that order and J nuisances α_j ~ N(a_j, 1), sample i contributes

    factor_i · Π_j g_ij(α_j) · [T_ib + Σ_j Δ_ijb(α_j)]

to bin b, where g interpolates the logarithm of the normalisation and Δ the template between its values
at −1, 0 and +1 (HistFactory, CERN-OPEN-2012-016; the smooth choices that pyhf calls codes 4 and 4p).
A normal constraint on a normalisation is a template change that is proportional to the template.

A part is a piece of a sample with effects of its own, as the signal in one of several channels: its
template is taken out of the whole sample's, and it shares the whole sample's factor. Parts follow the
fixed samples, so that S = 1 + K + F + D.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Nuisances:
    """Effects of J nuisances on the S = 1 + K + F + D samples of W windows with B bins.

    Parameters
    ----------
    names : tuple of str
        The J nuisances; nuisances of one name are one parameter when channels are combined.
    norm : (W, J, S, 2) float
        Logarithm of the factor on each sample's normalisation at α = −1 and at α = +1; 0 for none.
    shape : (W, E, 2, B) float
        Change of a template at α = −1 and at α = +1, for E pairs of nuisance and sample; it has the
        units of that sample's template.
    shape_nuisance, shape_sample : (E,) int
        Nuisance and sample of each pair.
    fixed : (W, F, B) float
        Expected events of samples without a free factor.
    observed : (W, J) float, optional
        Values a_j of the global observables; default 0.
    statistics : (W, B) float, optional
        Relative standard deviation δ of the summed `uncertain` samples from finite simulation: their sum
        is multiplied by β_b ~ N(1, δ_b), which is profiled in closed form (Barlow–Beeston lite,
        J. Conway, arXiv:1103.0354); 0 for none.
    uncertain : (S,) bool, optional
        Samples whose sum `statistics` is about; default all.
    measured : (W, B) float, optional
        Value that the simulation measured for β_b, its global observable; default 1, other in toys and
        Asimov data.
    parts : (W, D, B) float, optional
        Templates of parts; default none.
    part_of : (D,) int, optional
        Sample that each part belongs to: the signal or a background term.

    Raises
    ------
    InputError
        On wrong shapes and on values that are not finite.
    """

    names: tuple[str, ...]
    norm: Floats
    shape: Floats
    shape_nuisance: Integers
    shape_sample: Integers
    fixed: Floats
    observed: Floats = field(default_factory=lambda: np.empty(0))
    statistics: Floats = field(default_factory=lambda: np.empty(0))
    uncertain: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    measured: Floats = field(default_factory=lambda: np.empty(0))
    parts: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    part_of: Integers = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        """Bring every array to its type, fill in the defaults, and check all."""
        windows, samples = np.shape(self.norm)[0], np.shape(self.norm)[2]
        pairs, bins = np.shape(self.shape)[1], np.shape(self.fixed)[2]
        nuisances = len(self.names)
        if np.size(self.observed) == 0:
            self._set("observed", np.zeros((windows, nuisances)))
        if np.size(self.statistics) == 0:
            self._set("statistics", np.zeros((windows, bins)))
        if np.size(self.uncertain) == 0:
            self._set("uncertain", np.ones(samples, dtype=np.bool_))
        if np.size(self.measured) == 0:
            self._set("measured", np.ones((windows, bins)))
        if np.size(self.parts) == 0:
            self._set("parts", np.zeros((windows, 0, bins)))
        shapes: dict[str, tuple[int, ...]] = {
            "norm": (windows, nuisances, samples, 2),
            "shape": (windows, pairs, 2, bins),
            "fixed": (windows, np.shape(self.fixed)[1], bins),
            "observed": (windows, nuisances),
            "statistics": (windows, bins),
            "measured": (windows, bins),
            "parts": (windows, np.shape(self.parts)[1], bins),
        }
        for name, expected in shapes.items():
            self._set(name, _checked(name, getattr(self, name), expected))
        for name, limit in (("shape_nuisance", nuisances), ("shape_sample", samples)):
            self._set(name, _indices(name, getattr(self, name), pairs, limit))
        whole = samples - self.fixed.shape[1] - self.parts.shape[1]
        self._set("part_of", _indices("part_of", self.part_of, self.parts.shape[1], whole))
        self._set("uncertain", np.ascontiguousarray(self.uncertain, dtype=np.bool_))
        if self.uncertain.shape != (samples,):
            raise InputError(f"uncertain has the shape {self.uncertain.shape}, expected {(samples,)}")
        if np.any(self.statistics < 0.0):
            raise InputError("statistics of the nuisances holds negative standard deviations")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def windows(self) -> int:
        """Number of windows W."""
        return int(self.norm.shape[0])

    def select(self, windows: NDArray[Any]) -> "Nuisances":
        """Return the nuisances of some windows only, by a mask or by indices."""
        return Nuisances(
            self.names,
            self.norm[windows],
            self.shape[windows],
            self.shape_nuisance,
            self.shape_sample,
            self.fixed[windows],
            self.observed[windows],
            self.statistics[windows],
            self.uncertain,
            self.measured[windows],
            self.parts[windows],
            self.part_of,
        )

    @classmethod
    def none(cls, windows: int, terms: int, bins: int) -> "Nuisances":
        """Return no nuisances at all, for a problem of that many windows, background terms and bins."""
        nowhere = np.empty(0, dtype=np.int64)
        empty = np.zeros((windows, 0, bins))
        norm, shape = np.zeros((windows, 0, 1 + terms, 2)), np.zeros((windows, 0, 2, bins))
        return cls((), norm, shape, nowhere, nowhere, empty)


def _checked(name: str, values: object, shape: tuple[int, ...]) -> Floats:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"{name} of the nuisances has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} of the nuisances holds values that are not finite")
    return array


def _indices(name: str, values: object, size: int, limit: int) -> Integers:
    array = np.ascontiguousarray(values, dtype=np.int64)
    if array.shape != (size,):
        raise InputError(f"{name} of the nuisances has shape {array.shape}, expected {(size,)}")
    if np.any((array < 0) | (array >= limit)):
        raise InputError(f"{name} of the nuisances points outside of 0 … {limit - 1}")
    return array
