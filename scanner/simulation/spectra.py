"""A generic spectrum for `bump_hunt`: a falling exponential and a Gaussian peak in the column `mass`."""

from typing import ClassVar

import numpy as np
from numpy.random import Generator

from scanner.errors import InputError
from scanner.simulation.base import Columns, Parameters, StatedSize, as_columns, required

LOW, HIGH, SCALE, CROSS_SECTION, RELATIVE_RESOLUTION = 1.0, 10.0, 3.0, 1000.0, 0.01
"""Defaults: range and decay constant of the spectrum [GeV], cross section [fb], σ/m of the peak."""


class FallingSpectrum(StatedSize):
    """Background: dN/dm ∝ exp(−m/scale) between low and high [GeV], one candidate an event."""

    name: ClassVar[str] = "falling_spectrum"
    title: ClassVar[str] = "a falling spectrum"
    role: ClassVar[str] = "background"
    approximation: ClassVar[str] = "a parametrised spectrum; its cross section is a default of 1 pb"
    parameters: ClassVar[tuple[str, ...]] = ("low", "high", "scale", "cross_section")
    columns: ClassVar[dict[str, str]] = {"mass": "GeV"}
    size: ClassVar[float | None] = CROSS_SECTION

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one mass an event."""
        del sqrt_s
        low, high = parameters.get("low", LOW), parameters.get("high", HIGH)
        scale = parameters.get("scale", SCALE)
        if not (low < high and scale > 0):
            raise InputError(
                f"process {self.name} wants low < high and scale > 0, has {low}, {high}, {scale}"
            )
        mass = low - scale * np.log1p(rng.random(events) * np.expm1((low - high) / scale))
        return as_columns(np.arange(events), {"mass": mass})


class Peak(StatedSize):
    """Signal: a Gaussian of the given mass and resolution [GeV], one candidate an event."""

    name: ClassVar[str] = "peak"
    title: ClassVar[str] = "a Gaussian peak"
    role: ClassVar[str] = "signal"
    approximation: ClassVar[str] = "a parametrised peak, 1% wide unless `resolution` says otherwise"
    parameters: ClassVar[tuple[str, ...]] = ("mass", "resolution", "cross_section")
    columns: ClassVar[dict[str, str]] = {"mass": "GeV"}

    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return one mass an event."""
        del sqrt_s
        mass = required(self.name, parameters, "mass")
        resolution = parameters.get("resolution", RELATIVE_RESOLUTION * mass)
        if resolution <= 0:
            raise InputError(f"process {self.name}: resolution = {resolution} must be positive")
        return as_columns(np.arange(events), {"mass": mass + resolution * rng.standard_normal(events)})
