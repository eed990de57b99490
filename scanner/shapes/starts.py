"""Values of the non-linear parameters of a background, from the data of each window."""

import numpy as np

from scanner.shapes.backgrounds import background_integrals, find_background
from scanner.shapes.families import BACKGROUNDS
from scanner.shapes.types import Floats, Parameters

STEPS = 40
CLOSE = 1e-10
LARGEST_STEP = 2.0
RIDGE = 1e-3
"""Fisher information, in events, that holds a parameter at its start where no data say otherwise."""


def background_start(shape: str, edges: Floats, counts: Floats, constants: Parameters) -> dict[str, Floats]:
    """Fit the non-linear parameters of background alone in each window, by maximum likelihood.

    Fisher scoring of the multinomial likelihood of the bins: its gradient is the difference between
    the mean of g_p over the data and over the density, and its information the covariance of the bins'
    means of g_p.

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
    low, high = np.array([bounds[name] for name in names]).T
    moving = np.ones(len(edges), dtype=np.bool_)  # a window stops by itself, whatever the others do
    for _ in range(STEPS):
        known = {**constants, **_named(names, values)}
        chosen = {name: value[moving] for name, value in known.items()}
        step = _step(shape, edges[moving], counts[moving], chosen)
        moved = np.clip(values[moving] + np.clip(step, -LARGEST_STEP, LARGEST_STEP), low, high)
        far = np.abs(moved - values[moving]).max(axis=1) > CLOSE
        values[moving] = moved
        moving[moving] = far
        if not far.any():
            break
    return _named(names, values)


def _named(names: tuple[str, ...], values: Floats) -> dict[str, Floats]:
    return {name: np.ascontiguousarray(values[:, p]) for p, name in enumerate(names)}


def _step(shape: str, edges: Floats, counts: Floats, parameters: Parameters) -> Floats:
    """Return the step of Fisher scoring, (W, P)."""
    one = np.ones(len(edges), dtype=np.int64)
    terms = background_integrals(shape, edges, parameters, one, derivatives=True)
    share = np.maximum(terms[:, 0], 1e-300)
    means = terms[:, 1:] / share[:, None]
    centred = means - (terms[:, 1:]).sum(axis=2, keepdims=True)
    possible = np.where(terms[:, 0] > 0.0, counts, 0.0)
    gradient = (possible[:, None] * centred).sum(axis=-1)
    products = share[:, None, None] * centred[:, :, None] * centred[:, None, :]
    information = possible.sum(axis=1)[:, None, None] * products.sum(axis=-1)
    information = information + RIDGE * np.eye(means.shape[1])
    step: Floats = np.linalg.solve(information, gradient[..., None])[..., 0]
    return step
