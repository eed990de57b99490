"""Values of the non-linear parameters of a background, from the data of each window."""

from dataclasses import dataclass

import numpy as np

from scanner.shapes.backgrounds import Quadrature, find_background, quadrature
from scanner.shapes.families import BACKGROUNDS, TINY
from scanner.shapes.types import Flags, Floats, Parameters

STEPS = 80
CLOSE = 1e-9
"""Gain in the log-likelihood, relative to 1 + its size, below which a window has converged."""
LARGEST_STEP = 5.0
RIDGE = 1e-3
"""Fisher information, in events, that holds a parameter at its start where no data say otherwise."""


@dataclass(frozen=True)
class Slopes:
    """Log-likelihood of W windows (W,), its gradient (W, P) and the Fisher information (W, P, P)."""

    value: Floats
    gradient: Floats
    information: Floats


def background_start(
    shape: str, edges: Floats, counts: Floats, constants: Parameters, live: Flags | None = None
) -> dict[str, Floats]:
    """Fit the non-linear parameters of background alone in each window, by maximum likelihood.

    Fisher scoring of the multinomial likelihood of the bins, damped as by Levenberg and Marquardt: the
    gradient is the difference between the mean of g_p over the data and over the density, and the
    information the covariance of the bins' means of g_p.

    Parameters
    ----------
    shape : str
        A key of `BACKGROUNDS`.
    edges : (W, B + 1) float
        Bin edges in the observable.
    counts : (W, B) float
        Events; a window without events keeps the value 0 of every parameter.
    constants : mapping of (W,) float
        Constants of the shape.
    live : (W, B) bool, optional
        Bins that take part; all by default.

    Returns
    -------
    dict of (W,) float
        Within the bounds of the shape; empty for shapes without non-linear parameters.
    """
    names = BACKGROUNDS[shape].parameters if shape in BACKGROUNDS else ()
    values = np.zeros((len(edges), len(names)))
    bounds = find_background(shape, {**constants, **_named(names, values)}).bounds
    if not names:
        return {}
    taken = np.ones(counts.shape, dtype=np.bool_) if live is None else live
    nodes = quadrature(shape, edges, constants)

    def slopes(chosen: Flags, at: Floats) -> Slopes:
        part = nodes if chosen.all() else nodes.select(chosen)
        return _slopes(part, counts[chosen], taken[chosen], _named(names, at))

    low, high = np.array([bounds[name] for name in names]).T
    moving = np.ones(len(edges), dtype=np.bool_)  # a window stops by itself, whatever the others do
    found = slopes(moving, values)
    damping = np.full(len(edges), 1e-4)
    for _ in range(STEPS):
        part = Slopes(found.value[moving], found.gradient[moving], found.information[moving])
        trial = np.clip(values[moving] + _step(part, damping[moving], values[moving], low, high), low, high)
        tried = slopes(moving, trial)
        gain = tried.value - part.value
        better = gain >= 0.0
        rows = np.flatnonzero(moving)
        values[rows[better]] = trial[better]
        for old, new in ((found.value, tried.value), (found.gradient, tried.gradient)):
            old[rows[better]] = new[better]
        found.information[rows[better]] = tried.information[better]
        damping[rows] *= np.where(better, 0.1, 10.0)
        moving[rows] = np.abs(gain) > CLOSE * (1.0 + np.abs(part.value))
        if not moving.any():
            break
    return _named(names, values)


def _named(names: tuple[str, ...], values: Floats) -> dict[str, Floats]:
    return {name: np.ascontiguousarray(values[:, p]) for p, name in enumerate(names)}


def _step(slopes: Slopes, damping: Floats, values: Floats, low: Floats, high: Floats) -> Floats:
    """Return the damped step of each window, (W, P), with parameters that press on a bound held."""
    held = ((values <= low) & (slopes.gradient < 0.0)) | ((values >= high) & (slopes.gradient > 0.0))
    gradient = np.where(held, 0.0, slopes.gradient)
    unit = np.eye(len(low))
    matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, slopes.information)
    damped = matrix * (1.0 + damping[:, None, None] * unit) + (RIDGE + held[:, None, :]) * unit
    step = np.linalg.solve(damped, gradient[..., None])[..., 0]
    size = np.maximum(np.abs(step).max(axis=1, keepdims=True), TINY)
    capped: Floats = step * np.minimum(1.0, LARGEST_STEP / size)
    return capped


def _slopes(nodes: Quadrature, counts: Floats, live: Flags, parameters: Parameters) -> Slopes:
    family = nodes.family(parameters)
    share = live * family.sum(axis=-1)
    total = np.maximum(share.sum(axis=1, keepdims=True), TINY)
    share = share / total
    moments = np.stack([(family * g).sum(axis=-1) for g in nodes.exponents.values()], axis=1)
    moments = live[:, None] * moments / total[:, None]
    floor = np.maximum(share, TINY)
    centred = moments / floor[:, None] - moments.sum(axis=2, keepdims=True)
    possible = np.where(share > 0.0, counts, 0.0)
    products = share[:, None, None] * centred[:, :, None] * centred[:, None, :]
    return Slopes(
        (possible * np.log(floor)).sum(axis=1),
        (possible[:, None] * centred).sum(axis=-1),
        possible.sum(axis=1)[:, None, None] * products.sum(axis=-1),
    )
