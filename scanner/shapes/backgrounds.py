"""Background densities and their integrals over the bins of windows, from the table of families."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scanner.errors import InputError
from scanner.shapes.families import BACKGROUNDS, BackgroundShape, Points
from scanner.shapes.types import Flags, Floats, Integers, Parameters

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
EDGE_NODES, EDGE_WEIGHTS = np.polynomial.legendre.leggauss(16)
EDGE_POWER = 6
"""Near an edge the quadrature runs in the sixth root of the distance, which makes powers smooth."""
PIECES = 64
"""Pieces of a window over which the norm of a density is summed."""


def background_integrals(
    shape: str, edges: Floats, parameters: Parameters, terms: Integers, *, derivatives: bool = False
) -> Floats:
    """Integrate the terms of a background over the bins of windows.

    Parameters
    ----------
    shape : str
        A key of `BACKGROUNDS`.
    edges : (W, B + 1) float
        Bin edges in the observable.
    parameters : mapping of (W,) float
        Non-linear parameters and constants of the shape.
    terms : (W,) int
        Terms of the polynomial in each window; those of shapes without a polynomial are 1.
    derivatives : bool
        Whether each term is followed, after the terms themselves, by its derivative with respect to each
        non-linear parameter. With them the parameters float to first order around their values.

    Returns
    -------
    (W, K, B) float
        Normalised such that the family without its polynomial is one event in the window; the
        derivatives are those at a fixed norm.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    found = find_background(shape, parameters)
    if found.integrals is not None:
        return found.integrals(edges, terms)
    nodes = quadrature(shape, edges, parameters)
    family = nodes.family(parameters)
    values = family * found.basis(nodes.points.u, int(terms.max()))
    if derivatives:
        values = np.concatenate((values, *(exponent * values for exponent in nodes.exponents.values())))
    norm = family.reshape(len(edges), -1).sum(axis=1)
    norm[norm == 0.0] = 1.0  # a window beyond the edge expects nothing
    return np.ascontiguousarray(np.moveaxis(values.sum(axis=-1), 0, 1) / norm[:, None, None])


@dataclass(frozen=True)
class Quadrature:
    """What of a family does not depend on its non-linear parameters, at nodes in every bin.

    Attributes
    ----------
    points
        Nodes (W, B, N).
    weights : (W, B, N) float
        Weights of the nodes times the fixed factor of the family.
    exponents : mapping of (W, B, N) float
        g_p of each non-linear parameter.
    """

    points: Points
    weights: Floats
    exponents: dict[str, Floats]

    def family(self, parameters: Parameters) -> Floats:
        """Return the weighted family at the nodes, for parameters (W,) each."""
        if not self.exponents:
            return self.weights
        total = sum(np.asarray(parameters[name])[:, None, None] * g for name, g in self.exponents.items())
        value: Floats = self.weights * np.exp(total)
        return value

    def select(self, windows: Flags) -> "Quadrature":
        """Return the nodes of some windows only."""
        ends = (array[windows] for array in (self.points.x, self.points.low, self.points.high))
        chosen = {name: g[windows] for name, g in self.exponents.items()}
        return Quadrature(Points(*ends), self.weights[windows], chosen)


def quadrature(shape: str, edges: Floats, constants: Parameters) -> Quadrature:
    """Lay out Gauss–Legendre nodes in every bin (W, B + 1 edges), with all that is constant there."""
    found = BACKGROUNDS[shape]
    columns = {name: np.asarray(constants[name], np.float64)[:, None, None] for name in found.constants}
    points, weights = _nodes(found, edges, constants)
    if found.fixed is not None:
        weights = weights * np.exp(found.fixed(points, columns))
    return Quadrature(points, weights, {p: g(points, columns) for p, g in found.exponents.items()})


def background_density(
    shape: str,
    x: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    parameters: Parameters,
    terms: int,
    norm: ArrayLike | None = None,
    *,
    derivatives: bool = False,
) -> Floats:
    """Return the densities of a background's terms on windows of the observable.

    Parameters
    ----------
    shape : str
        A key of `BACKGROUNDS`.
    x, low, high : array_like
        Points and the ends of their windows, broadcast against each other.
    parameters : mapping of array_like
        Non-linear parameters and constants, broadcast likewise.
    terms : int
        Terms of the polynomial.
    norm : array_like, optional
        `background_norm` of the points' windows, which is calculated for every point otherwise.
    derivatives : bool
        Whether the derivatives with respect to each non-linear parameter follow, as in
        `background_integrals`.

    Returns
    -------
    (K, …) float
        Per unit of the observable; the family without its polynomial has the integral 1 from low to
        high, so that the bin integrals of `background_integrals` are those of these densities.
    """
    found = find_background(shape, parameters)
    columns = _columns(found, parameters)
    points = Points(*(np.asarray(value, dtype=np.float64) for value in (x, low, high)))
    scale = background_norm(shape, low, high, parameters) if norm is None else np.asarray(norm)
    density: Floats = _family(found, points, columns) / scale * found.basis(points.u, terms)
    if derivatives:
        slopes = [exponent(points, columns) * density for exponent in found.exponents.values()]
        density = np.concatenate((density, *slopes))
    return density


def background_norm(shape: str, low: ArrayLike, high: ArrayLike, parameters: Parameters) -> Floats:
    """Return the integral of a family without its polynomial over windows, in the unit of the observable.

    Parameters
    ----------
    low, high : array_like
        Ends of the windows.
    parameters : mapping of array_like
        Non-linear parameters and constants, broadcast against them.
    """
    found = find_background(shape, parameters)
    columns = _columns(found, parameters)
    whole = np.broadcast_arrays(np.asarray(low, np.float64), np.asarray(high, np.float64), *columns.values())
    start, stop, *values = (array.ravel() for array in whole)
    if found.integrals is not None:
        return np.asarray(whole[1] - whole[0])
    named = dict(zip(columns, values, strict=True))
    edges = start[:, None] + (stop - start)[:, None] * np.linspace(0.0, 1.0, PIECES + 1)
    family = quadrature(shape, edges, named).family(named)
    norm: Floats = family.reshape(len(edges), -1).sum(axis=1)
    return norm.reshape(whole[0].shape)


def find_background(shape: str, parameters: Parameters) -> BackgroundShape:
    """Return a shape of the table, and check that its parameters are there.

    Raises
    ------
    InputError
        If the shape or one of its parameters is missing.
    """
    if shape not in BACKGROUNDS:
        raise InputError(f"unknown background shape {shape!r}: take one of {', '.join(BACKGROUNDS)}")
    found = BACKGROUNDS[shape]
    missing = [name for name in (*found.parameters, *found.constants) if name not in parameters]
    if missing:
        raise InputError(f"background shape {shape!r} wants the parameter {missing[0]!r}")
    return found


def _columns(found: BackgroundShape, parameters: Parameters) -> dict[str, Floats]:
    """Return the parameters that a shape wants as arrays."""
    wanted = (*found.parameters, *found.constants)
    return {name: np.asarray(parameters[name], dtype=np.float64) for name in wanted}


def _family(found: BackgroundShape, points: Points, parameters: Parameters) -> Floats:
    """Return e^{h + Σ η g} at points."""
    exponent = np.zeros(np.shape(points.x)) if found.fixed is None else found.fixed(points, parameters)
    for name, function in found.exponents.items():
        exponent = exponent + parameters[name] * function(points, parameters)
    value: Floats = np.exp(exponent)
    return value


def _nodes(found: BackgroundShape, edges: Floats, parameters: Parameters) -> tuple[Points, Floats]:
    """Return Gauss–Legendre nodes and their weights in every bin, (W, B, nodes)."""
    low, high = edges[:, :1, None], edges[:, -1:, None]
    if found.edge is None:
        half = 0.5 * np.diff(edges, axis=1)[..., None]
        middle = 0.5 * (edges[:, 1:] + edges[:, :-1])[..., None]
        return Points(middle + half * NODES, low, high), half * WEIGHTS
    edge = np.asarray(parameters[found.edge], dtype=np.float64)[:, None]
    side = 1.0 if found.edge == "threshold" else -1.0
    root = np.maximum(side * (edges - edge), 0.0) ** (1.0 / EDGE_POWER)
    half = 0.5 * np.diff(root, axis=1)[..., None]
    t = 0.5 * (root[:, 1:] + root[:, :-1])[..., None] + half * EDGE_NODES
    x = edge[..., None] + side * t**EDGE_POWER
    return Points(x, low, high), np.abs(half) * EDGE_WEIGHTS * EDGE_POWER * t ** (EDGE_POWER - 1)
