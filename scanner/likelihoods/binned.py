"""The binned extended likelihood of a batch of mass windows, as arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.likelihoods.nuisances import Nuisances

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BinnedProblem:
    """Counts and templates of W windows with B bins each and up to K background terms.

    Bin b of a window expects ν_b = s S_b + Σ_k c_k B_kb events; its NLL is Σ (ν − n ln ν). The yield s
    and the coefficients c are free as far as ν_b ≥ 0 in every bin, also in the empty ones.

    Parameters
    ----------
    counts : (W, B) float
        Events in each bin, not negative; weighted or Asimov counts need not be whole.
    signal : (W, B) float
        Bin integrals of the signal density for a yield of one event.
    background : (W, K, B) float
        Bin integrals of each background term; they may be negative in places, as polynomials are.
    core : (W, B) bool, optional
        Bins that a counting experiment uses; without it, the bins of the central 95% of the signal.
    terms : (W,) int, optional
        How many of the K background terms each window uses, counted from the first; default all.
    nuisances : Nuisances, optional
        Constrained nuisances, fixed samples and template statistics; without them the expectation is
        the linear one above.
    keys : (W,) uint64, optional
        What names a window for ever: the seed of its random numbers follows from it, and from nothing
        else. Default 0 … W−1.

    Raises
    ------
    InputError
        On wrong shapes, on values that are not finite, on negative counts, on a window whose signal
        is zero everywhere.
    """

    counts: Floats
    signal: Floats
    background: Floats
    core: NDArray[np.bool_] | None = None
    terms: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    nuisances: Nuisances | None = None
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def __post_init__(self) -> None:
        """Bring every array to its type and layout, and check it."""
        self._set("counts", _floats("counts", self.counts, 2))
        self._set("signal", _floats("signal", self.signal, 2))
        self._set("background", _floats("background", self.background, 3))
        windows, bins = self.counts.shape
        _expect_shape("signal", self.signal, (windows, bins))
        _expect_shape("background", self.background, (windows, self.background.shape[1], bins))
        if self.core is not None:
            self._set("core", np.ascontiguousarray(self.core, dtype=np.bool_))
            _expect_shape("core", self.core, (windows, bins))
        self._set("terms", self._checked_terms())
        if np.size(self.keys) == 0:
            self._set("keys", np.arange(windows, dtype=np.uint64))
        self._set("keys", np.ascontiguousarray(self.keys, dtype=np.uint64))
        _expect_shape("keys", self.keys, (windows,))
        if self.nuisances is not None:
            _expect_shape("nuisances.norm", self.nuisances.norm, self._norm_shape(self.nuisances))
            _expect_shape("nuisances.statistics", self.nuisances.statistics, (windows, bins))
        _refuse_windows("counts", "negative", np.any(self.counts < 0.0, axis=1))
        _refuse_windows("signal", "zero in every bin", ~np.any(self.signal != 0.0, axis=1))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _checked_terms(self) -> NDArray[np.int64]:
        windows, most = self.background.shape[:2]
        if np.size(self.terms) == 0:
            return np.full(windows, most, dtype=np.int64)
        terms = np.ascontiguousarray(self.terms, dtype=np.int64)
        _expect_shape("terms", terms, (windows,))
        _refuse_windows("terms", f"outside 0 … {most}", (terms < 0) | (terms > most))
        return terms

    def _norm_shape(self, nuisances: Nuisances) -> tuple[int, int, int, int]:
        samples = 1 + self.background.shape[1] + nuisances.fixed.shape[1] + nuisances.parts.shape[1]
        return self.windows, len(nuisances.names), samples, 2

    @property
    def windows(self) -> int:
        """Number of windows W."""
        return int(self.counts.shape[0])

    def select(self, windows: NDArray[Any]) -> "BinnedProblem":
        """Return the problem of some windows only, by a mask or by indices."""
        return BinnedProblem(
            self.counts[windows],
            self.signal[windows],
            self.background[windows],
            None if self.core is None else self.core[windows],
            self.terms[windows],
            None if self.nuisances is None else self.nuisances.select(windows),
            self.keys[windows],
        )

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Return what the kernels of likelihoods with nuisances take, also where there are none."""
        effects = self.nuisances
        if effects is None:
            effects = Nuisances.none(*self.background.shape)
        return (
            self.counts,
            self.signal,
            self.background,
            self.terms,
            effects.norm,
            effects.shape,
            effects.shape_nuisance,
            effects.shape_sample,
            effects.fixed,
            effects.observed,
            effects.statistics,
            effects.measured,
            effects.uncertain,
            effects.parts,
            effects.part_of,
        )

    def core_bins(self) -> NDArray[np.bool_]:
        """Return the (W, B) mask of the bins for counting."""
        if self.core is not None:
            return self.core
        size = np.abs(self.signal)
        below = np.cumsum(size, axis=1) / size.sum(axis=1, keepdims=True)
        above = below - size / size.sum(axis=1, keepdims=True)
        central: NDArray[np.bool_] = (below > 0.025) & (above < 0.975)
        return central


def _floats(name: str, values: object, dimensions: int) -> Floats:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != dimensions:
        raise InputError(f"{name} has {array.ndim} dimensions, expected {dimensions}")
    if not np.isfinite(array).all():
        finite = np.all(np.isfinite(array).reshape(len(array), -1), axis=1)
        _refuse_windows(name, "not finite", ~finite)
    return array


def _expect_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"{name} has the shape {array.shape}, expected {shape}")


def _refuse_windows(name: str, what: str, refused: Any) -> None:
    bad = np.asarray(refused)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{name} is {what} in {int(bad.sum())} of {bad.size} windows, first in window {first}; "
            f"mend or drop these windows before the fit"
        )
