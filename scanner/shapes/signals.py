"""The table of signal shapes, their densities in mass and their integrals over bins.

A signal is a density in the mass around its hypothesis; an observable is a rising function of the
mass, so a bin integral is a difference of the cumulative function at the masses of the bin's edges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanner.errors import InputError
from scanner.shapes import crystal_ball, peaks, voigt
from scanner.shapes.types import Floats, Parameters, Profile


@dataclass(frozen=True)
class SignalShape:
    """A density around a peak, in units of the resolution.

    Attributes
    ----------
    density, cumulative
        Functions of z = (x − m)/σ and the parameters; the density is normalised on all z.
    parameters
        Names of what the shape wants beside mass and resolution.
    """

    density: Profile
    cumulative: Profile
    parameters: tuple[str, ...] = ()


SIGNALS: dict[str, SignalShape] = {
    "gaussian": SignalShape(peaks.gaussian_density, peaks.gaussian_cdf),
    "double_gaussian": SignalShape(
        peaks.double_gaussian_density, peaks.double_gaussian_cdf, ("fraction", "ratio")
    ),
    "crystal_ball": SignalShape(
        crystal_ball.crystal_ball_density, crystal_ball.crystal_ball_cdf, ("alpha", "n")
    ),
    "double_crystal_ball": SignalShape(
        crystal_ball.double_crystal_ball_density,
        crystal_ball.double_crystal_ball_cdf,
        ("alpha_low", "n_low", "alpha_high", "n_high"),
    ),
    "voigt": SignalShape(voigt.voigt_density, voigt.voigt_cdf, ("width",)),
    "johnson": SignalShape(peaks.johnson_density, peaks.johnson_cdf, ("gamma", "delta")),
}
"""Every signal shape by its name in definitions."""


def signal_integrals(
    shape: str, edges_mass: Floats, mass: Floats, resolution: Floats, parameters: Parameters
) -> Floats:
    """Integrate a unit signal over the bins of windows.

    Parameters
    ----------
    shape : str
        A key of `SIGNALS`.
    edges_mass : (W, B + 1) float
        Bin edges in mass [GeV].
    mass, resolution : (W,) float
        Hypothesis and its resolution [GeV].
    parameters : mapping of (W,) float
        The shape's further parameters.

    Returns
    -------
    (W, B) float
        Part of the signal in each bin; the sum over bins is below 1 where a window cuts a tail.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    found = find_signal(shape, parameters)
    z = (edges_mass - mass[:, None]) / resolution[:, None]
    columns = {name: _floats(parameters[name]).reshape(-1, 1) for name in found.parameters}
    return np.ascontiguousarray(np.diff(found.cumulative(z, columns), axis=1))


def signal_density(
    shape: str, x: ArrayLike, mass: ArrayLike, resolution: ArrayLike, parameters: Parameters
) -> Floats:
    """Return the density of a unit signal in mass [1/GeV].

    Parameters
    ----------
    shape : str
        A key of `SIGNALS`.
    x, mass, resolution : array_like
        Points, hypothesis and resolution [GeV], broadcast against each other.
    parameters : mapping of array_like
        The shape's further parameters, broadcast likewise.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    found = find_signal(shape, parameters)
    sigma = _floats(resolution)
    wanted = {name: _floats(parameters[name]) for name in found.parameters}
    return found.density((_floats(x) - _floats(mass)) / sigma, wanted) / sigma


def find_signal(shape: str, parameters: Parameters) -> SignalShape:
    """Return a shape of the table, and check that its parameters are there.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    if shape not in SIGNALS:
        raise InputError(f"unknown signal shape {shape!r}: take one of {', '.join(SIGNALS)}")
    missing = [name for name in SIGNALS[shape].parameters if name not in parameters]
    if missing:
        raise InputError(
            f"signal shape {shape!r} wants the parameter {missing[0]!r}: add it under signal.parameters"
        )
    return SIGNALS[shape]


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
