"""Six tracks that are no three dark photons: parametrised spectra, for which no simulation is good enough.

Neither the sizes nor the shapes are measured: both are defaults, and the searches take their backgrounds
from sidebands.
"""

from typing import ClassVar

import numpy as np
from numpy.random import Generator

from scanner.constants import MASS_ELECTRON
from scanner.simulation.base import Columns, FixedSize, Parameters, as_columns
from scanner.simulation.three_pairs import DARKONIUM_COLUMNS, SIX_COLUMNS

SLOPE, HEAVIEST = 0.6, 3.5
"""Scale on which the mass of pairs falls and its end [GeV]."""
SIX_CROSS_SECTION, DARKONIUM_CROSS_SECTION = 40.0, 60.0
"""Events with three pairs a fb⁻¹, before the cuts."""


def _pair_mass(rng: Generator, events: int, heaviest: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    share = -np.expm1(-heaviest / SLOPE)
    return np.asarray(2 * MASS_ELECTRON - SLOPE * np.log1p(-share * rng.random(events)))


class SixTracks(FixedSize):
    """Six tracks of the whole energy."""

    name: ClassVar[str] = "six_tracks"
    title: ClassVar[str] = "six tracks of the whole energy"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = (
        "parametrised: falling pair mass, all else flat; size and shape are defaults"
    )
    candidates: ClassVar[tuple[int, int]] = (3, 0)
    columns: ClassVar[dict[str, str]] = SIX_COLUMNS
    size: ClassVar[float] = SIX_CROSS_SECTION
    """Cross section [fb] before the cuts."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return three candidates an event."""
        self.check(parameters)
        m = _pair_mass(rng, events, HEAVIEST)
        two = np.repeat(2 * m, 3) + (sqrt_s - np.repeat(3 * m, 3)) * rng.random(3 * events)
        total = sqrt_s + rng.uniform(-1.0, 1.0, events)
        values = {"m_pair": m, "spread": m * rng.random(events), "m_six": total}
        repeated = {name: np.repeat(column, 3) for name, column in values.items()} | {"m_two": two}
        return as_columns(np.repeat(np.arange(events), 3), {name: repeated[name] for name in SIX_COLUMNS})


class RadiativeSixTracks(FixedSize):
    """Six tracks beside a photon off the beams."""

    name: ClassVar[str] = "radiative_six_tracks"
    title: ClassVar[str] = "six tracks beside a photon"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = SixTracks.approximation
    columns: ClassVar[dict[str, str]] = DARKONIUM_COLUMNS
    size: ClassVar[float] = DARKONIUM_CROSS_SECTION
    """Cross section [fb] before the cuts."""

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one candidate an event."""
        self.check(parameters)
        m = _pair_mass(rng, events, HEAVIEST)
        total = 3 * m + (sqrt_s - 3 * m) * rng.random(events)
        values = {"m_pair": m, "spread": m * rng.random(events), "m_six": total}
        values |= {"m2_recoil": rng.uniform(-4.0, 20.0, events)}
        return as_columns(np.arange(events), {name: values[name] for name in DARKONIUM_COLUMNS})
